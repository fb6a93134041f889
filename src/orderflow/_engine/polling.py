"""Polls: scheduled status reads. They suffice alone; claims and notices only bring them forward."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress

from attrs import define

from orderflow._clock import Clock
from orderflow._engine.admission import Admission, throttle_seconds
from orderflow._engine.calls import CANCELLED, TOO_LATE, CallCancelled, RunningCalls, seconds_for_call
from orderflow._engine.commit import may_be_polled_late, plan_no_poll, plan_requested_poll, poll_backoff
from orderflow._engine.decider import UnusableAnswer
from orderflow._engine.inbox import Inbox, provider_of
from orderflow._engine.messages import POLL, make_message
from orderflow._engine.outcome_check import InvalidRead, check_status
from orderflow._engine.standing import is_unusable, status_of
from orderflow._lifecycle.decide import is_pollable
from orderflow._provider.outcomes import ReadFailed, Signal, StatusRead
from orderflow._provider.protocol import Provider
from orderflow._store.ports import Store
from orderflow._store.records import LeasedPoll, PollAt, PollSooner, WorkerScope
from orderflow._telemetry.exceptions import exception_fields
from orderflow._telemetry.log import get_logger
from orderflow._telemetry.ports import Telemetry
from orderflow.errors import UnknownName
from orderflow.model import REDACTED, Message, Observation, Order, ProviderProblem

_log = get_logger(__name__)
_UNKNOWN_STATE = "unknown state"
_REDACTED = "redacted"
_NOT_FOUND = 404
_UNKNOWN_VERSION = -1  # of a poll that failed before the order was loaded: it may have moved the order


@define(eq=False, kw_only=True)
class PollRequests:
    """Brings polls forward because something may be new. Nothing that was claimed is believed."""

    _store: Store
    _providers: Mapping[str, Provider]
    _clock: Clock
    _wake: asyncio.Event

    async def request(self, order_id: str) -> None:
        """Bring the next poll of an order forward.

        Raises:
            UnknownName: no such order.
        """
        provider = provider_of(self._providers, order_id)
        order = await self._store.load(order_id)
        now = self._clock.now()
        plan = plan_requested_poll(provider.table, provider.timing, order.snapshot, now)
        if plan is not None:
            await self._store.plan_poll(order_id, now, plan)
            self._wake.set()

    async def request_oldest(self, provider: Provider, limit: int) -> None:
        """Bring the polls of those ``limit`` orders of a provider forward that were polled longest ago."""
        await self._store.bring_polls_forward(provider.name, self._clock.now(), provider.timing.poll_interval, limit)
        self._wake.set()


@define(eq=False, kw_only=True)
class Poller:
    """Polls the status of orders that are due."""

    _inbox: Inbox
    _store: Store
    _providers: Mapping[str, Provider]
    _admission: Admission
    _calls: RunningCalls
    _clock: Clock
    _rng: random.Random
    _wake: asyncio.Event
    _telemetry: Telemetry

    async def fetch(self, scope: WorkerScope, limit: int) -> list[LeasedPoll]:
        """Lease polls that are due within the scope, at most ``limit``."""
        polls = await self._store.lease_polls(self._clock.now(), scope, limit)
        for poll in polls:
            self._admission.begin_call(poll.provider, self._clock.now())  # leasing may have taken a while
        return polls

    async def run(self, poll: LeasedPoll) -> bool:
        """Poll one order and let the inbox decide what it means. Returns False if it is left to its lease."""
        attributes = {"order_id": poll.order_id, "provider": poll.provider}
        try:
            with self._telemetry.span("poll", attributes, "") as span:
                outcome = await self._poll(poll)
                span.set(outcome=outcome)
        finally:
            self._admission.end_call(poll.provider)
        return outcome != TOO_LATE

    async def give_back(self, poll: LeasedPoll) -> bool:
        """End the lease of a poll whose ``run`` failed or was cancelled: it is planned again now."""
        with suppress(UnknownName):  # the order was deleted meanwhile
            await self._postpone(self._providers[poll.provider], poll, _UNKNOWN_VERSION, ReadFailed(CANCELLED))
        return True

    async def _poll(self, poll: LeasedPoll) -> str:
        """Poll; returns how it ended, as text."""
        provider = self._providers[poll.provider]
        started = self._clock.now()
        order = await self._store.load(poll.order_id)
        if order.state not in provider.table.states:
            await self._postpone(provider, poll, order.version, ReadFailed("this version of the lifecycle lacks the order's state"))
            return _UNKNOWN_STATE
        if REDACTED in order.snapshot.data and not is_pollable(
            provider.table, order.snapshot
        ):  # it was redacted after a late poll was planned
            await self._store.plan_poll(order.id, started, plan_no_poll(provider.table, order.snapshot))
            return _REDACTED
        seconds = seconds_for_call(poll.until, provider.timing.lease, self._clock.now())
        if seconds <= 0:  # another worker takes it over
            return TOO_LATE
        outcome = await self._fetch_status(provider, order, seconds)
        may_be_unknown = _may_be_unknown(provider, order, outcome, self._clock.now())
        self._admission.record(provider.name, outcome, self._clock.now(), may_be_unknown=may_be_unknown)
        message = make_message(order.id, POLL, outcome.answer, self._clock.now())
        if isinstance(outcome, StatusRead):
            observation = Observation(outcome.status, order.version, outcome.data, outcome.mismatch, outcome.note)
            await self._inbox.accept_observation(order.id, observation, poll.without_news, started, message)
        elif (is_unusable(outcome) or isinstance(outcome, InvalidRead)) and is_pollable(provider.table, order.snapshot):
            _log.info("poll.failed", order_id=poll.order_id, why=outcome.why)
            unusable = self._describe_unusable(provider, order, poll, outcome, may_be_unknown=may_be_unknown)
            await self._inbox.accept_unusable(order.id, unusable, poll.without_news, started, message)
        else:
            await self._postpone(provider, poll, order.version, outcome, message)
            if outcome.signal is Signal.THROTTLED:
                until = self._clock.now() + throttle_seconds(provider.timing, outcome.retry_after)
                await self._store.throttle(provider.name, until)
        return type(outcome).__name__

    def _describe_unusable(
        self, provider: Provider, order: Order, poll: LeasedPoll, outcome: ReadFailed, *, may_be_unknown: bool
    ) -> UnusableAnswer:
        """What an unusable answer means for the order. An outage that the provider's standing explains flags no order."""
        foreign, status = outcome.signal is Signal.FOREIGN, status_of(outcome)
        is_explained = foreign and self._admission.problems.get(provider.name) == ProviderProblem.ANOTHER_SERVER
        who = "another server answered" if foreign else "answered"
        detail = f"{who} {status}" if status is not None else who
        is_invalid = isinstance(outcome, InvalidRead)
        in_a_row = poll.unusable + 1
        flags = in_a_row >= provider.timing.unusable_polls and not may_be_unknown and not is_explained
        by_provider = not foreign and not is_invalid
        return UnusableAnswer(
            order.version, outcome.why if is_invalid else detail, in_a_row, outcome.retry_after or 0.0, flags, by_provider
        )

    async def _fetch_status(self, provider: Provider, order: Order, seconds: float) -> StatusRead | ReadFailed:
        try:
            async with self._calls.limit(seconds):
                outcome = check_status(await provider.fetch_status(order), order.provider_id)
        except CallCancelled:
            return ReadFailed(CANCELLED, signal=Signal.NOT_CALLED)
        except TimeoutError:
            return ReadFailed("no answer within the lease", signal=Signal.UNREACHABLE)
        except Exception as error:  # noqa: BLE001  a bug in an adapter must not stop the polls of other orders
            _log.error("poll.adapter_raised", order_id=order.id, **exception_fields(error))
            return InvalidRead(f"the adapter raised {type(error).__name__}", signal=Signal.NOT_CALLED)
        if isinstance(outcome, InvalidRead):
            _log.error("poll.outcome_invalid", order_id=order.id, problem=outcome.why)
        return outcome

    async def _postpone(
        self, provider: Provider, poll: LeasedPoll, version: int, failure: ReadFailed, message: Message | None = None
    ) -> None:
        _log.info("poll.failed", order_id=poll.order_id, why=failure.why)
        order = await self._store.load(poll.order_id)
        now = self._clock.now()
        if not is_pollable(provider.table, order.snapshot) and not _is_still_requested(provider, order, version, failure):
            await self._store.plan_poll(order.id, now, plan_no_poll(provider.table, order.snapshot), message)
            return
        if order.version != version or self._calls.closed:
            # a move planned a poll of its own, which this failure must not postpone; nor must a stopping worker postpone one
            await self._store.plan_poll(order.id, now, PollSooner(provider.timing.poll_interval), message)
        else:
            without_news = poll.without_news + 1
            wait = max(poll_backoff(provider.timing, without_news, self._rng.uniform(-1, 1)), failure.retry_after or 0.0)
            plan = PollAt(now + wait, without_news, provider.timing.poll_interval, poll.unusable)
            await self._store.plan_poll(order.id, now, plan, message)
        self._wake.set()  # the worker sleeps until the end of the lease, and the next poll is due before


def _may_be_unknown(provider: Provider, order: Order, outcome: StatusRead | ReadFailed, now: float) -> bool:
    """Whether an answer means that the provider does not show the order yet: a 404 soon after the order moved."""
    return status_of(outcome) == _NOT_FOUND and now - order.entered_at < provider.timing.visible_after


def _is_still_requested(provider: Provider, order: Order, version: int, failure: ReadFailed) -> bool:
    """Whether the poll of an order that is over without proof is made again: something asked for it, and no answer came."""
    unanswered = failure.signal is not Signal.NONE or failure.why == CANCELLED or order.version != version
    return unanswered and may_be_polled_late(provider.table, order.snapshot)
