"""The parts of ``orderflow.analysis``, which has the public names."""
