"""The parts of ``orderflow.diagrams``, which has the public names."""
