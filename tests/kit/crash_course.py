"""Courses: the order in which things happen in a service's process, so that nothing happens by itself. No test lives here.

Time stands still. What a worker does is done one thing after another, when the story has nothing else to do. So a life repeats exactly.
The races of polls with everything else need no luck: each order of them is forced on a course of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.kit.engines import scope_of

from orderflow._app import Orderflow
from orderflow._provider.outcomes import ReadFailed, StatusRead
from orderflow._provider.protocol import Provider
from orderflow._store.ports import Store
from orderflow._store.records import Decider, DueDeadline, InboxKey, LeasedPoll, PollPlan, Receipt, ReportedCall
from orderflow.model import Message, Order, Origin
from orderflow.simulators import SimClock

STRAIGHT, POLLS_FIRST, OVERTAKEN, LATE = COURSES = "straight", "polls first", "overtaken", "late"
"""How polls meet what else happens.

Straight: they are made when nothing else is due. Polls first: also before the customer does anything, and when a claim has come but nothing
was written yet. Overtaken: their answers come when something else has moved the order, or nothing else is due. Late: they are leased as
always, and begin only then.
"""


class ClaimStore:
    """A store that awaits ``before_claim`` before it takes what a claim brings."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.before_claim: Callable[[str], Awaitable[object]] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(
        self, order_id: str, key: InboxKey | None, decider: Decider, deadline: DueDeadline | None = None, call: ReportedCall | None = None
    ) -> Receipt:
        if self.before_claim and key is not None and key.origin == Origin.CLAIM.value:
            await self.before_claim(order_id)
        return await self._store.commit(order_id, key, decider, deadline, call)

    async def plan_poll(self, order_id: str, now: float, plan: PollPlan, message: Message | None = None) -> None:
        if self.before_claim:
            await self.before_claim(order_id)
        await self._store.plan_poll(order_id, now, plan, message)


class HeldProvider:
    """A provider. If ``hold_next`` is set, the answer to the next poll is held back until ``release`` is set."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.hold_next = False
        self.answered, self.release = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        held, self.hold_next = self.hold_next, False
        outcome = await self._provider.fetch_status(order)
        if held:
            self.answered.set()
            await self.release.wait()
            self.answered.clear()
            self.release.clear()
        return outcome


class ManualWorker:
    """Does a worker's work, one thing after another, by a clock that stands still. Each method returns by how much it moved the clock."""

    def __init__(self, flow: Orderflow, store: ClaimStore, clock: SimClock, course: str) -> None:
        self._engine = flow._engine
        self._clock = clock
        self._course = course
        self._held: tuple[LeasedPoll, int] | None = None  # a leased poll, and the order's version when it was leased
        self._polling: asyncio.Task[bool] | None = None  # of the held poll, once it has begun
        self._lock = asyncio.Lock()
        if course == POLLS_FIRST:
            store.before_claim = self.poll

    async def step(self) -> float:
        """Do what is due first. If nothing is due, move the clock to what is due next."""
        engine, scope = self._engine, scope_of(self._engine)
        if self._held and (await engine.store.load(self._held[0].order_id)).version != self._held[1]:
            await self._finish_held(self._held[0])
        elif deadlines := await engine.deadlines.fetch(scope, 1):
            await engine.deadlines.run(deadlines[0])
        elif attempts := await engine.outbox.fetch(scope, 32):
            for attempt in attempts:
                await engine.outbox.run(attempt)
        elif polls := await engine.poller.fetch(scope, 1):
            await self._run(polls[0])
        else:
            now = self._clock.now()
            times = await engine.store.next_due(scope), engine.admission.next_resume_at(now)
            soonest = min((at for at in times if at is not None and at > now), default=now + 0.1)
            if self._held and soonest >= self._held[0].until:
                await self._finish_held(self._held[0])
            else:
                self._clock.advance(soonest - now)
                return soonest - now
        return 0.0

    async def poll(self, order_id: str) -> float:
        """Poll the order now if a poll is planned. On the courses that hold polls it begins now, and ends with a later step."""
        async with self._lock:
            now = self._clock.now()
            planned = (await self._engine.store.pending(order_id)).next_poll_at
            if self._course == STRAIGHT or self._held or planned is None:
                return 0.0
            self._clock.advance(max(0.0, planned - now) + 0.001)  # a sum of floats may fall short
            for poll in await self._engine.poller.fetch(scope_of(self._engine), 1):
                await self._run(poll)
            return self._clock.now() - now

    async def _run(self, poll: LeasedPoll) -> None:
        if self._held or self._course in (STRAIGHT, POLLS_FIRST):
            await self._engine.poller.run(poll)
            return
        self._held = poll, (await self._engine.store.load(poll.order_id)).version
        if self._course == OVERTAKEN:
            provider: Any = self._engine.providers[poll.provider]
            provider.hold_next = True
            self._polling = asyncio.create_task(self._engine.poller.run(poll))
            await provider.answered.wait()

    async def _finish_held(self, poll: LeasedPoll) -> None:
        if self._polling is None:
            await self._engine.poller.run(poll)
        else:
            provider: Any = self._engine.providers[poll.provider]
            provider.release.set()
            await self._polling
        self._held = self._polling = None
