"""The parts of ``orderflow.lifecycle``, which has the public names."""
