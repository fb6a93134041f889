"""Deterministic simulation: the engine and both simulators in virtual time, with seeded faults, in two phases.

Faults are on for some virtual days: customers, providers, lost and doubled notifications, forged claims, killed processes. Then all faults
stop, one poll cap and interval pass, and every order is compared with what its simulator knows. The same seed gives the same journals.
"""

from tests.verification.simulation.faults import NO_FAULTS, ONE_CALL_IN_EIGHT, FaultRates
from tests.verification.simulation.simulate import Simulated, simulate
from tests.verification.simulation.world import TIMING, VirtualWorld, virtual_world

__all__ = ["NO_FAULTS", "ONE_CALL_IN_EIGHT", "TIMING", "FaultRates", "Simulated", "VirtualWorld", "simulate", "virtual_world"]
