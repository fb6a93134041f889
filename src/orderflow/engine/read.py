"""Status reads and deadlines: what must happen although nobody tells us. Reads suffice alone; notices only bring them forward."""

from __future__ import annotations

import asyncio
import random

import structlog

from orderflow.engine.accept import Door
from orderflow.engine.commits import read_wait
from orderflow.engine.effects import CALL_SHARE
from orderflow.engine.trouble import trouble
from orderflow.lifecycle.decide import pollable
from orderflow.ports import Provider
from orderflow.records import DueDeadline, InboxKey, LeasedRead, ReadAt, ReadForward, ReadStop, Seen, Unread
from orderflow.vocabulary import Event, Observation, Origin

_log = structlog.get_logger()


class Reader:
    """Reads the status of orders that are due."""

    def __init__(self, door: Door, dice: random.Random) -> None:
        self._door = door
        self._dice = dice

    async def due(self, limit: int) -> list[LeasedRead]:
        """Take what is due."""
        return await self._door.store.lease_reads(self._door.clock.now(), self._door.scope, limit)

    async def read(self, leased: LeasedRead) -> None:
        """Read one order and let the door judge what was seen."""
        provider = self._door.providers[leased.provider]
        started = self._door.clock.now()
        order = await self._door.store.load(leased.order_id)
        try:
            async with asyncio.timeout(provider.timing.lease * CALL_SHARE):
                seen = await provider.read(order)
        except TimeoutError:
            seen = Unread("no answer within the lease")
        except Exception as error:  # noqa: BLE001  an adapter's bug must not stop the reads of other orders
            _log.error("read.adapter_raised", order_id=order.id, **trouble(error))
            seen = Unread(f"the adapter raised {type(error).__name__}")
        if isinstance(seen, Seen):
            observation = Observation(seen.status, order.version, seen.data, seen.mismatch, seen.note)
            await self._door.observe(order.id, observation, leased.tries, f"{order.id}:{started!r}")
        else:
            await self._put_off(provider, leased, order.version, seen)

    async def _put_off(self, provider: Provider, leased: LeasedRead, version: int, unread: Unread) -> None:
        _log.info("read.failed", order_id=leased.order_id, why=unread.why)
        order = await self._door.store.load(leased.order_id)
        now = self._door.clock.now()
        if not pollable(provider.table, order.snapshot):  # it moved while we failed to read
            await self._door.store.plan_read(order.id, now, ReadStop())
            return
        if order.version != version:  # as a stale read: the move planned a read, which this failure must not put off
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

    async def bring(self, deadline: DueDeadline) -> None:
        """Let the door judge one clock event; whatever it decides, the deadline is gone with it."""
        key = InboxKey(Origin.CLOCK.value, f"{deadline.order_id}:{deadline.name}:{deadline.version}")
        event = Event(deadline.name, Origin.CLOCK)
        await self._door.tell(deadline.order_id, event, key, deadline=deadline)
