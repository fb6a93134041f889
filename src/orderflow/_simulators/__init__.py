"""The parts of ``orderflow.simulators``, which has the public names."""
