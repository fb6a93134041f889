"""The kit for simulators of providers: clock, faults, request journal, deliveries, pages and control calls over HTTP.

A simulator subclasses ``Simulator``, builds an ASGI app of its own and sets ``self.asgi = self.wrap(app)``. Its endpoints call
``mark_executed(request.scope)`` where the provider has acted. Nothing here knows a provider.
docs/how-to/simulate-a-provider.md is the guide.

What is in ``__all__`` is public. What needs starlette or httpx is imported on first use, so that ``find_simulations`` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from orderflow._serving import serve
from orderflow._simulators.clock import SimClock
from orderflow._simulators.events import EventLog, SimulatorEvent
from orderflow._simulators.faults import Fault, FaultKind, Faults, matches
from orderflow._simulators.journal import RecordedRequest, RequestJournal, mark_executed
from orderflow._simulators.operations import Answer, Operation
from orderflow._simulators.scenario import HEADER, UnknownScenario
from orderflow._simulators.simulation import Simulation, SimulationContext, find_simulation, find_simulations, simulate
from orderflow._simulators.switches import Switch, Switchboard
from orderflow._simulators.views import Magic, OrderView, draw_flow

if TYPE_CHECKING:
    from orderflow._simulators.background import BackgroundTasks
    from orderflow._simulators.deliveries import Deliveries, Delivery
    from orderflow._simulators.simulator import Simulator

_LAZY = {"BackgroundTasks": "background", "Deliveries": "deliveries", "Delivery": "deliveries", "Simulator": "simulator"}

__all__ = [
    "HEADER",
    "Answer",
    "BackgroundTasks",
    "Deliveries",
    "Delivery",
    "EventLog",
    "Fault",
    "FaultKind",
    "Faults",
    "Magic",
    "Operation",
    "OrderView",
    "RecordedRequest",
    "RequestJournal",
    "SimClock",
    "Simulation",
    "SimulationContext",
    "Simulator",
    "SimulatorEvent",
    "Switch",
    "Switchboard",
    "UnknownScenario",
    "draw_flow",
    "find_simulation",
    "find_simulations",
    "mark_executed",
    "matches",
    "serve",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"orderflow._simulators.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
