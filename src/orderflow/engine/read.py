"""Status reads and deadlines: what must happen although nobody tells us. Reads suffice alone; notices only bring them forward."""

from __future__ import annotations

import random
from contextlib import suppress

import structlog
from attrs import evolve

from orderflow.engine.accept import Door
from orderflow.engine.calls import CUT, LATE, CallCut, Calls, seconds_left
from orderflow.engine.commits import read_wait
from orderflow.engine.manners import asked_to_wait
from orderflow.engine.shares import in_shares
from orderflow.engine.trouble import trouble
from orderflow.errors import UnknownName
from orderflow.lifecycle.decide import pollable
from orderflow.ports import Provider
from orderflow.records import DueDeadline, InboxKey, LeasedRead, Order, ReadAt, ReadForward, ReadStop, Seen, Unread
from orderflow.vocabulary import Event, Observation, Origin

_log = structlog.get_logger()
_UNKNOWN = -1  # the version that a read started at which failed: it may have moved the order


class Reader:
    """Reads the status of orders that are due."""

    def __init__(self, door: Door, dice: random.Random, calls: Calls | None = None) -> None:
        self._calls = calls or Calls()
        self._door = door
        self._dice = dice

    async def due(self, limit: int) -> list[LeasedRead]:
        """Take what is due and may be called."""
        now, manners, store = self._door.clock.now(), self._door.manners, self._door.store
        scope = evolve(self._door.scope_at(now), heard=frozenset())  # reads tell nobody
        found = await in_shares(scope, limit, lambda share, most: store.lease_reads(now, share, most))
        for leased in found:
            manners.begun(leased.provider, self._door.clock.now())  # taking it may have lasted
        return found

    async def read(self, leased: LeasedRead) -> bool:
        """Read one order and let the door judge what was seen; False: it is left to its lease."""
        about = {"order_id": leased.order_id, "provider": leased.provider}
        try:
            with self._door.telemetry.span("read", about, "") as span:
                outcome = await self._read(leased)
                span.note(outcome=outcome)
        finally:
            self._door.manners.ended(leased.provider)
        return outcome != LATE

    async def give_back(self, leased: LeasedRead) -> bool:
        """End a lease under which ``read`` failed: the read is planned again now."""
        with suppress(UnknownName):  # deleted meanwhile: nothing is leased
            await self._put_off(self._door.providers[leased.provider], leased, _UNKNOWN, Unread(CUT))
        return True

    async def _read(self, leased: LeasedRead) -> str:
        """Read, and say how it ended."""
        provider = self._door.providers[leased.provider]
        started = self._door.clock.now()
        order = await self._door.store.load(leased.order_id)
        seconds = seconds_left(leased.until, provider.timing.lease, self._door.clock.now())
        if seconds <= 0:  # whoever takes it over reads; what we planned would be news of ours about nothing
            return LATE
        seen = await self._seen(provider, order, seconds)
        self._door.manners.answered(provider.name, seen, self._door.clock.now())
        if isinstance(seen, Seen):
            observation = Observation(seen.status, order.version, seen.data, seen.mismatch, seen.note)
            await self._door.observe(order.id, observation, leased.tries, f"{order.id}:{started!r}")
        else:
            await self._put_off(provider, leased, order.version, seen)
            if seen.throttled:
                until = self._door.clock.now() + asked_to_wait(provider.timing, seen.retry_after)
                await self._door.store.block(provider.name, until)
        return type(seen).__name__

    async def _seen(self, provider: Provider, order: Order, seconds: float) -> Seen | Unread:
        try:
            async with self._calls.within(seconds):
                return await provider.read(order)
        except CallCut:
            return Unread(CUT)
        except TimeoutError:
            return Unread("no answer within the lease", unreachable=True)
        except Exception as error:  # noqa: BLE001  an adapter's bug must not stop the reads of other orders
            _log.error("read.adapter_raised", order_id=order.id, **trouble(error))
            return Unread(f"the adapter raised {type(error).__name__}")

    async def _put_off(self, provider: Provider, leased: LeasedRead, version: int, unread: Unread) -> None:
        _log.info("read.failed", order_id=leased.order_id, why=unread.why)
        order = await self._door.store.load(leased.order_id)
        now = self._door.clock.now()
        if not pollable(provider.table, order.snapshot):  # it moved while we failed to read
            await self._door.store.plan_read(order.id, now, ReadStop())
            return
        # as a stale read: the move planned a read, which this failure must not put off. Nor must our own stopping put one off
        if order.version != version or self._calls.over:
            await self._door.store.plan_read(order.id, now, ReadForward(provider.timing.read_interval))
        else:
            wait = read_wait(provider.timing, leased.tries + 1, self._dice.uniform(-1, 1))
            plan = ReadAt(now + max(wait, unread.retry_after or 0.0), leased.tries + 1, provider.timing.read_interval)
            await self._door.store.plan_read(order.id, now, plan)
        self._door.stirred.set()  # the worker sleeps until the lease's end; the next read is due before


class Deadlines:
    """Brings clock events."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def due(self, limit: int) -> list[DueDeadline]:
        """What has come."""
        return await self._door.store.due_deadlines(self._door.clock.now(), self._door.scope, limit)

    async def bring(self, deadline: DueDeadline) -> bool:
        """Let the door judge one clock event; whatever it decides, the deadline is gone with it: True."""
        key = InboxKey(Origin.CLOCK.value, f"{deadline.order_id}:{deadline.name}:{deadline.version}")
        event = Event(deadline.name, Origin.CLOCK)
        about = {"order_id": deadline.order_id, "provider": deadline.provider, "trigger": deadline.name}
        with self._door.telemetry.span("deadline", about, ""):
            await self._door.tell(deadline.order_id, event, key, deadline=deadline)
        return True
