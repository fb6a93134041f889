"""The base class of every provider's simulator. Contains only: ``Simulator``, which puts the parts together; no endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import httpx
from starlette.routing import Route

from orderflow._simulators.background import BackgroundTasks
from orderflow._simulators.clock import SimClock
from orderflow._simulators.control import (
    DeliveryCalls,
    DescriptionCalls,
    EventCalls,
    FaultCalls,
    OrderCalls,
    RequestCalls,
    SwitchCalls,
    TimeCalls,
    control_app,
)
from orderflow._simulators.deliveries import Deliveries
from orderflow._simulators.events import EventLog
from orderflow._simulators.faults import Faults
from orderflow._simulators.journal import RequestJournal
from orderflow._simulators.middleware import SimulatorMiddleware
from orderflow._simulators.operations import Operation
from orderflow._simulators.pages import ClockPanel, FaultPanel, IndexPage, JournalPage, MagicPage, OrderPage, style_route
from orderflow._simulators.playback import Asgi
from orderflow._simulators.scenario import HeaderScenarios
from orderflow._simulators.switches import Switchboard
from orderflow._simulators.views import Magic, OrderView


class Simulator(Switchboard):
    """Base class: clock, faults, journal, deliveries, events, background tasks, control calls and pages.

    A subclass builds an ASGI app of its own and sets ``self.asgi = self.wrap(app)``. Its endpoints call ``mark_executed(request.scope)``
    where the provider has acted. Use a simulator as ``async with``, or call ``close``. ``seed`` decides everything that is random.
    Below ``/_sim`` the simulator answers control calls and shows its pages. A visit of ``/`` is redirected there, unless the app has a
    route for ``/``.
    """

    NAME = "simulator"
    MAGIC: tuple[Magic, ...] = ()
    asgi: Asgi

    def __init__(self, *, clock: SimClock | None = None, seed: int = 0, client: httpx.AsyncClient | None = None) -> None:
        self.clock: SimClock = SimClock() if clock is None else clock
        self.seed = seed
        self.faults: Faults = Faults(seed)
        self.journal: RequestJournal = RequestJournal()
        self.deliveries: Deliveries = Deliveries(self.clock, client, seed)
        self.events: EventLog = EventLog(self.clock)
        self.background: BackgroundTasks = BackgroundTasks(self.clock, self.deliveries)
        self.header: HeaderScenarios = HeaderScenarios(self.error_response, self.is_tag)

    # ---------------------------------------------------------------- what a subclass overrides

    def is_tag(self, tag: str) -> bool:
        """Whether ``tag`` is one of this provider's magic values, without its sign (``cancel``, ``stuck@New``)."""
        return False

    def error_response(self, status: int) -> tuple[Mapping[str, str], bytes]:
        """Headers and body of this provider's error responses."""
        return {}, b""

    def operations(self) -> tuple[Operation, ...]:
        """Every call that this simulator answers, for its OpenAPI document."""
        return ()

    def schemes(self) -> Mapping[str, dict[str, Any]]:
        """The OpenAPI security schemes that the operations name."""
        return {}

    def order_views(self) -> tuple[OrderView, ...]:
        """Every order, oldest first."""
        return ()

    def transition(self, order_id: str, to: str, *, force: bool = False) -> None:
        """Move one order by hand, as the provider could; with ``force``, as it could not.

        Raises:
            KeyError: no such order.
            ValueError: a move the provider would not make.
        """
        raise KeyError(order_id)

    def clear_orders(self) -> None:
        """Delete every order. Scripts and switches stay."""

    # ---------------------------------------------------------------- for every provider

    def wrap(self, app: Asgi) -> Asgi:
        """``app`` in the middleware of control calls, journal, scenario header and faults."""
        return SimulatorMiddleware(app, control_app(self.control_routes()), self.clock, self.faults, self.journal, self.header, self.events)

    def control_routes(self) -> list[Route]:
        """The routes of control calls and pages, below ``/_sim``."""
        panels = (
            ClockPanel(self.clock, self.advance, self.reset),
            FaultPanel(self.faults, self.operations, self.error_response),
        )
        groups = (
            TimeCalls(self.clock, self.advance, self.reset),
            OrderCalls(self, self.wait_until_idle),
            RequestCalls(self.journal),
            FaultCalls(self.faults, self.error_response),
            DeliveryCalls(self.deliveries),
            SwitchCalls(self, self.MAGIC),
            DescriptionCalls(self.NAME, self.operations, self.schemes),
            EventCalls(self.events),
            IndexPage(self.NAME, self, panels),
            OrderPage(self, self.wait_until_idle),
            JournalPage(self.journal, self.deliveries),
            MagicPage(self.MAGIC, self),
        )
        return [style_route(), *(route for group in groups for route in group.routes())]

    def reset(self) -> None:
        """Delete orders, requests, faults and deliveries; ids start again. Time and switches stay."""
        self.background.cancel()
        self.faults.reset(self.seed)
        self.deliveries.reset()
        self.journal.clear()
        self.header.clear()
        self.clear_orders()
        self.events.record("reset")

    async def advance(self, seconds: float) -> None:
        """Move time forward; return when all that fell due has happened and its deliveries are answered."""
        self.clock.advance(seconds)
        await self.wait_until_idle()
        self.events.record("clock", now=self.clock.now())

    async def wait_until_idle(self) -> None:
        """Wait until all background work has ended or sleeps on the clock; for 5 s at most."""
        await self.background.wait_until_idle()

    async def close(self) -> None:
        """Stop background work and deliveries. Raises the exception of a background task that failed."""
        try:
            await self.background.close()
        finally:
            await self.deliveries.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
