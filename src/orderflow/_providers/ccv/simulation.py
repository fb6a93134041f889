"""How CCV's simulator is used: the entry point ``ccv`` of the group ``orderflow.simulators``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orderflow._providers.ccv import TIMING, Ccv
from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow.simulators import Simulation, SimulationContext


def create(**switches: Any) -> CcvSimulator:
    """A simulator that accepts ``http://`` notification URLs, because local tests have no certificate."""
    return CcvSimulator(**{"allow_http_notifications": True, **switches})


def arguments(base_url: str, simulator: CcvSimulator) -> Mapping[str, str]:
    """The base URL of the reseller API, and a key that the simulator accepts."""
    return {"base_url": f"{base_url}{simulator.prefix}", "api_key": simulator.api_key or "any"}


def configure(base_url: str, simulator: CcvSimulator, surroundings: SimulationContext, **settings: Any) -> Ccv:
    """``Ccv`` against the simulator at ``base_url``; ``settings`` override its arguments."""
    defaults: dict[str, Any] = {
        **arguments(base_url, simulator),
        "timing": surroundings.adjust(TIMING),
        "timeout": surroundings.timeout,
        "allow_http": True,
    }
    return Ccv(**{**defaults, **settings})


SIMULATION = Simulation("ccv", create, configure, arguments, fast={"step_seconds": 0.05})
