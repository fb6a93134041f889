"""The parts of ``orderflow.provider``, which has the public names."""
