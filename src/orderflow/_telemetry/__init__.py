"""The parts of ``orderflow.telemetry``, which has the public names."""
