"""What every provider's simulator is built on. What may live here: the base class; no endpoint, no status."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Self

import httpx

from orderflow.simulators.clock import SimClock
from orderflow.simulators.control import Control
from orderflow.simulators.deliveries import Deliveries
from orderflow.simulators.events import EventLog
from orderflow.simulators.faults import Faults
from orderflow.simulators.guard import Asgi, Guard
from orderflow.simulators.journal import RequestJournal
from orderflow.simulators.operations import Operation
from orderflow.simulators.scenario import HeaderScenarios
from orderflow.simulators.switches import Switchboard
from orderflow.simulators.views import Magic, OrderView

QUIET_SECONDS = 5.0
POLL_SECONDS = 0.001


class Simulator(Switchboard):
    """Base of the provider simulators: clock, faults, journal, deliveries, events, background tasks, control calls, pages.

    A subclass builds its app and sets ``self.asgi = self.guard(app)``. Use as ``async with``, or call ``close``.
    ``seed`` feeds everything that is drawn by chance. Below ``/_sim`` the same simulator answers the control calls and shows
    its pages; what is a method here is a call there.
    """

    NAME = "simulator"
    MAGIC: tuple[Magic, ...] = ()
    asgi: Asgi

    def __init__(self, *, clock: SimClock | None = None, seed: int = 0, client: httpx.AsyncClient | None = None) -> None:
        self.clock = SimClock() if clock is None else clock
        self.seed = seed
        self.faults = Faults(seed)
        self.journal = RequestJournal()
        self.deliveries = Deliveries(self.clock, client, seed)
        self.events = EventLog()
        self.header = HeaderScenarios(self.refusal, self.knows)
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []

    # ---------------------------------------------------------------- what a provider says of itself

    def knows(self, tag: str) -> bool:
        """Whether ``tag`` is one of this provider's magic values, without its sign (``cancel``, ``stuck@New``)."""
        return False

    def refusal(self, status: int) -> tuple[Mapping[str, str], bytes]:
        """Headers and body with which this provider refuses."""
        return {}, b""

    def operations(self) -> tuple[Operation, ...]:
        """Every call this simulator answers, for its OpenAPI description."""
        return ()

    def schemes(self) -> Mapping[str, dict[str, Any]]:
        """The OpenAPI security schemes that the operations name."""
        return {}

    def views(self) -> tuple[OrderView, ...]:
        """Every order, oldest first."""
        return ()

    def transition(self, order_id: str, to: str, *, force: bool = False) -> None:
        """Move one order by hand, as the provider could; with ``force``, as it could not.

        Raises KeyError for an unknown order, ValueError for a move the provider would not make.
        """
        raise KeyError(order_id)

    def forget(self) -> None:
        """Forget every order and everything told about orders."""

    # ---------------------------------------------------------------- for every provider

    def guard(self, app: Asgi) -> Asgi:
        """``app`` behind the control calls, the journal, the scenario header and the faults."""
        return Guard(app, Control(self).asgi, self.clock, self.faults, self.journal, self.header, self.tell)

    def tell(self, kind: str, **data: object) -> None:
        """Say in the event feed that something happened."""
        self.events.add(self.clock.now(), kind, **data)

    def reset(self) -> None:
        """As new: no orders, requests, faults or deliveries, and ids from the first; time and switches stay."""
        for task in tuple(self._tasks):
            task.cancel()
        self.faults.reset(self.seed)
        self.deliveries.forget()
        self.journal.clear()
        self.header.clear()
        self.forget()
        self.tell("reset")

    async def advance(self, seconds: float) -> None:
        """Push time forward, and return when what fell due has happened and its deliveries are answered."""
        self.clock.advance(seconds)
        await self.quiet()
        self.tell("clock", now=self.clock.now())

    async def quiet(self) -> None:
        """Wait until all background work sleeps on the clock or is done; after ``QUIET_SECONDS``, wait no longer."""
        try:
            async with asyncio.timeout(QUIET_SECONDS):
                await asyncio.sleep(0)
                while len(self._tasks) + self.deliveries.under_way > self.clock.sleeping:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            pass

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` in the background until it ends or the simulator is closed."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Stop background work and deliveries. Raises what a background task died of: no mishap stays hidden."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.deliveries.close()
        if self._failures:
            raise self._failures.pop(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failures.append(failure)
