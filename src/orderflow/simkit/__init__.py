"""What simulators share: time, faults, a request journal, real deliveries, real sockets. Re-exports only.

A provider's simulator subclasses ``Simulator``, builds a Starlette app of its own and sets
``self.asgi = self.guard(app)``; its endpoints call ``mark_executed(request.scope)`` where the provider has acted.
Everything here knows HTTP and no provider.
"""

from __future__ import annotations

from orderflow.simkit.clock import SimClock
from orderflow.simkit.deliveries import Deliveries, Delivery
from orderflow.simkit.faults import Fault, Faults, matches
from orderflow.simkit.journal import Received, RequestJournal, mark_executed
from orderflow.simkit.serving import serve
from orderflow.simkit.simulator import Simulator

__all__ = [
    "Deliveries",
    "Delivery",
    "Fault",
    "Faults",
    "Received",
    "RequestJournal",
    "SimClock",
    "Simulator",
    "mark_executed",
    "matches",
    "serve",
]
