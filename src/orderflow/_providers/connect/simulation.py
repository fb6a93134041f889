"""How Connect's simulator is used: the entry point ``connect`` of the group ``orderflow.simulators``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orderflow._providers.connect import TIMING, Connect
from orderflow._providers.connect.simulator import FULFILLED, ConnectSimulator
from orderflow.simulators import Simulation, SimulationContext


def arguments(base_url: str, simulator: ConnectSimulator) -> Mapping[str, str]:
    """Base URLs of apiServer and loginServer, and the credentials that the simulator accepts."""
    tokens = simulator.tokens
    return {
        "api": f"{base_url}/capi",
        "login": f"{base_url}/user",
        "client_id": tokens.client_id,
        "client_secret": tokens.client_secret,
    }


def configure(base_url: str, simulator: ConnectSimulator, surroundings: SimulationContext, **settings: Any) -> Connect:
    """``Connect`` against the simulator at ``base_url``; ``settings`` override its arguments."""
    defaults: dict[str, Any] = {
        **arguments(base_url, simulator),
        "timing": surroundings.adjust(TIMING),
        "timeout": surroundings.timeout,
        "fulfilled_literals": [FULFILLED],
        "return_pages": surroundings.return_pages,
        "clock": surroundings.clock,
    }
    return Connect(**{**defaults, **settings})


SIMULATION = Simulation("connect", ConnectSimulator, configure, arguments)
