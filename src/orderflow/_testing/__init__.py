"""The parts of ``orderflow.testing``, which has the public names."""
