"""The course of a life: nothing in a shop's process happens by itself. No test here.

Time stands still, and what a worker does is done one thing after another, when the story has nothing else to do: so a life repeats, and
the races of reads with all else are no matter of luck but forced, each order of them on a course of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from orderflow.app import Orderflow
from orderflow.model import Order, Origin
from orderflow.provider.outcomes import ReadFailed, StatusRead
from orderflow.provider.protocol import Provider
from orderflow.simulators import SimClock
from orderflow.store.ports import Store
from orderflow.store.records import Decider, DueDeadline, InboxKey, LeasedPoll, PollPlan, Receipt

STRAIGHT, READS_FIRST, OVERTAKEN, LATE = COURSES = "straight", "reads first", "overtaken", "late"
"""How reads meet what else happens. Straight: they come when nothing else is due. Reads first: also before the customer does anything,
and when a claim has come but nothing was written yet. Overtaken: their answers come when something else has moved the order, or nothing
else is due. Late: they are taken as ever, but begin only then."""


class Claims:
    """A store; before it takes what a claim brings, ``first`` is awaited."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.first: Callable[[str], Awaitable[object]] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, order_id: str, key: InboxKey | None, judge: Decider, deadline: DueDeadline | None = None) -> Receipt:
        if self.first and key is not None and key.origin == Origin.CLAIM.value:
            await self.first(order_id)
        return await self._store.commit(order_id, key, judge, deadline)

    async def plan_poll(self, order_id: str, now: float, plan: PollPlan) -> None:
        if self.first:
            await self.first(order_id)
        await self._store.plan_poll(order_id, now, plan)


class Held:
    """A provider; the answer of a read that is to be held comes when ``go`` is set."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.hold = False
        self.seen, self.go = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        held, self.hold = self.hold, False
        seen = await self._provider.fetch_status(order)
        if held:
            self.seen.set()
            await self.go.wait()
            self.seen.clear()
            self.go.clear()
        return seen


class ByHand:
    """A worker's work, one thing after another, by a clock that stands still; each method says by how much it moved it."""

    def __init__(self, flow: Orderflow, clock: SimClock, course: str) -> None:
        worker = flow._engine.worker
        self._effects, self._reader, self._deadlines = worker._effects, worker._reader, worker._deadlines
        self._inbox = flow._engine.inbox
        self._clock = clock
        self._course = course
        self._held: tuple[LeasedPoll, int] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._one = asyncio.Lock()
        if course == READS_FIRST:
            flow._store.first = self.read  # type: ignore[attr-defined]

    async def step(self) -> float:
        """Do what is due first; time goes on to what is due next where nothing is."""
        if self._held and (await self._inbox.store.load(self._held[0].order_id)).version != self._held[1]:
            await self._release(self._held[0])
        elif deadlines := await self._deadlines.due(1):
            await self._deadlines.bring(deadlines[0])
        elif effects := await self._effects.due(32):
            for effect in effects:
                await self._effects.carry_out(effect)
        elif reads := await self._reader.due(1):
            await self._read(reads[0])
        else:
            now = self._clock.now()
            planned = await self._inbox.store.next_due(self._inbox.scope_at(now)), self._inbox.admission.until(now)
            soonest = min((at for at in planned if at is not None and at > now), default=now + 0.1)
            if self._held and soonest >= self._held[0].until:
                await self._release(self._held[0])
            else:
                self._clock.advance(soonest - now)
                return soonest - now
        return 0.0

    async def read(self, order_id: str) -> float:
        """Read the order now, if it is to be read at all; or begin to, and end with a later step."""
        async with self._one:
            now = self._clock.now()
            planned = (await self._inbox.store.pending(order_id)).read_at
            if self._course == STRAIGHT or self._held or planned is None:
                return 0.0
            self._clock.advance(max(0.0, planned - now) + 0.001)  # a sum of floats may fall short
            for leased in await self._reader.due(1):
                await self._read(leased)
            return self._clock.now() - now

    async def _read(self, leased: LeasedPoll) -> None:
        if self._held or self._course in (STRAIGHT, READS_FIRST):
            await self._reader.read(leased)
            return
        self._held = leased, (await self._inbox.store.load(leased.order_id)).version
        if self._course == OVERTAKEN:
            provider: Any = self._inbox.providers[leased.provider]
            provider.hold = True
            self._reading = asyncio.create_task(self._reader.read(leased))
            await provider.seen.wait()

    async def _release(self, held: LeasedPoll) -> None:
        if self._reading is None:
            await self._reader.read(held)
        else:
            self._inbox.providers[held.provider].go.set()  # type: ignore[attr-defined]
            await self._reading
        self._held = self._reading = None
