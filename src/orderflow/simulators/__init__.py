"""What simulators share: time, faults, a request journal, real deliveries, real sockets. Re-exports only.

A provider's simulator subclasses ``Simulator``, builds a Starlette app of its own and sets
``self.asgi = self.guard(app)``; its endpoints call ``mark_executed(request.scope)`` where the provider has acted.
Everything here knows HTTP and no provider. README.md is the guide.
"""

from __future__ import annotations

from orderflow.serving import serve
from orderflow.simulators.clock import SimClock
from orderflow.simulators.deliveries import Deliveries, Delivery
from orderflow.simulators.faults import Fault, Faults, matches
from orderflow.simulators.journal import Near, Received, RequestJournal, mark_executed
from orderflow.simulators.operations import Answer, Operation
from orderflow.simulators.simulator import Simulator
from orderflow.simulators.switches import Switch
from orderflow.simulators.views import Magic, OrderView

__all__ = [
    "Answer",
    "Deliveries",
    "Delivery",
    "Fault",
    "Faults",
    "Magic",
    "Near",
    "Operation",
    "OrderView",
    "Received",
    "RequestJournal",
    "SimClock",
    "Simulator",
    "Switch",
    "mark_executed",
    "matches",
    "serve",
]
