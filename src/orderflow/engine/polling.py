"""Status reads and deadlines: what must happen although nobody tells us. Reads suffice alone; notices only bring them forward."""

from __future__ import annotations

import random
from contextlib import suppress

import structlog
from attrs import evolve

from orderflow.engine.admission import throttle_seconds
from orderflow.engine.calls import CANCELLED, TOO_LATE, CallCancelled, RunningCalls, allowed_seconds
from orderflow.engine.commit import poll_wait
from orderflow.engine.inbox import Inbox
from orderflow.errors import UnknownName
from orderflow.lifecycle.decide import pollable
from orderflow.model import Observation, Order
from orderflow.provider.outcomes import ReadFailed, Signal, StatusRead
from orderflow.provider.protocol import Provider
from orderflow.store.quota import lease_within_quota
from orderflow.store.records import LeasedPoll, PollAt, PollSooner, StopPolling
from orderflow.telemetry.exceptions import exception_fields

_log = structlog.get_logger()
_UNKNOWN = -1  # the version that a read started at which failed: it may have moved the order


class Poller:
    """Reads the status of orders that are due."""

    def __init__(self, inbox: Inbox, rng: random.Random, calls: RunningCalls | None = None) -> None:
        self._calls = calls or RunningCalls()
        self._inbox = inbox
        self._dice = rng

    async def due(self, limit: int) -> list[LeasedPoll]:
        """Take what is due and may be called."""
        now, admission, store = self._inbox.clock.now(), self._inbox.admission, self._inbox.store
        scope = evolve(self._inbox.scope_at(now), notifiable=frozenset())  # reads tell nobody
        found = await lease_within_quota(scope, limit, lambda share, most: store.lease_polls(now, share, most))
        for leased in found:
            admission.begun(leased.provider, self._inbox.clock.now())  # taking it may have lasted
        return found

    async def read(self, leased: LeasedPoll) -> bool:
        """Read one order and let the inbox judge what was seen; False: it is left to its lease."""
        about = {"order_id": leased.order_id, "provider": leased.provider}
        try:
            with self._inbox.telemetry.span("read", about, "") as span:
                outcome = await self._read(leased)
                span.note(outcome=outcome)
        finally:
            self._inbox.admission.ended(leased.provider)
        return outcome != TOO_LATE

    async def give_back(self, leased: LeasedPoll) -> bool:
        """End a lease under which ``read`` failed: the read is planned again now."""
        with suppress(UnknownName):  # deleted meanwhile: nothing is leased
            await self._put_off(self._inbox.providers[leased.provider], leased, _UNKNOWN, ReadFailed(CANCELLED))
        return True

    async def _read(self, leased: LeasedPoll) -> str:
        """Read, and say how it ended."""
        provider = self._inbox.providers[leased.provider]
        started = self._inbox.clock.now()
        order = await self._inbox.store.load(leased.order_id)
        seconds = allowed_seconds(leased.until, provider.timing.lease, self._inbox.clock.now())
        if seconds <= 0:  # whoever takes it over reads; what we planned would be news of ours about nothing
            return TOO_LATE
        seen = await self._seen(provider, order, seconds)
        self._inbox.admission.answered(provider.name, seen, self._inbox.clock.now())
        if isinstance(seen, StatusRead):
            observation = Observation(seen.status, order.version, seen.data, seen.mismatch, seen.note)
            await self._inbox.accept_observation(order.id, observation, leased.without_news, f"{order.id}:{started!r}")
        else:
            await self._put_off(provider, leased, order.version, seen)
            if seen.signal is Signal.THROTTLED:
                until = self._inbox.clock.now() + throttle_seconds(provider.timing, seen.retry_after)
                await self._inbox.store.throttle(provider.name, until)
        return type(seen).__name__

    async def _seen(self, provider: Provider, order: Order, seconds: float) -> StatusRead | ReadFailed:
        try:
            async with self._calls.within(seconds):
                return await provider.fetch_status(order)
        except CallCancelled:
            return ReadFailed(CANCELLED)
        except TimeoutError:
            return ReadFailed("no answer within the lease", signal=Signal.UNREACHABLE)
        except Exception as error:  # noqa: BLE001  an adapter's bug must not stop the reads of other orders
            _log.error("read.adapter_raised", order_id=order.id, **exception_fields(error))
            return ReadFailed(f"the adapter raised {type(error).__name__}")

    async def _put_off(self, provider: Provider, leased: LeasedPoll, version: int, unread: ReadFailed) -> None:
        _log.info("read.failed", order_id=leased.order_id, why=unread.why)
        order = await self._inbox.store.load(leased.order_id)
        now = self._inbox.clock.now()
        if not pollable(provider.table, order.snapshot):  # it moved while we failed to read
            await self._inbox.store.plan_poll(order.id, now, StopPolling())
            return
        # as a stale read: the move planned a read, which this failure must not put off. Nor must our own stopping put one off
        if order.version != version or self._calls.over:
            await self._inbox.store.plan_poll(order.id, now, PollSooner(provider.timing.poll_interval))
        else:
            wait = poll_wait(provider.timing, leased.without_news + 1, self._dice.uniform(-1, 1))
            plan = PollAt(now + max(wait, unread.retry_after or 0.0), leased.without_news + 1, provider.timing.poll_interval)
            await self._inbox.store.plan_poll(order.id, now, plan)
        self._inbox.wake.set()  # the worker sleeps until the lease's end; the next read is due before
