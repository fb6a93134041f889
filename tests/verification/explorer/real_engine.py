"""The real engine, asked once for everything that it can do with an order: the explorer applies the answers to every world.

Inbox and outbox run on a store that records what they ask for. What they hand to ``Store.commit`` is a decider: a pure function from an
order to a commit. So one recorded decider answers for every order.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

from attrs import frozen
from structlog.testing import capture_logs
from tests.kit.toy import NoUrls
from tests.verification.explorer.environment import CallModel, Environment
from tests.verification.explorer.worlds import CallEnd, Doubt

from orderflow._dispatch.local import LocalDispatcher
from orderflow._engine.attempt import Attempt
from orderflow._engine.engine import Engine
from orderflow._lifecycle.facts import Value
from orderflow._provider.call import Call
from orderflow._provider.outcomes import InDoubt, NoResult, NotExecuted, Outcome, Rejected, Succeeded
from orderflow._provider.protocol import Draft
from orderflow._provider.timing import Timing
from orderflow._store.ports import Store
from orderflow._store.records import Decider, DueDeadline, InboxKey, KeptCommits, LeasedEffect, Receipt, ReportedCall
from orderflow.model import PROVIDER_ID, EffectKey, Event, Observation, Order, Origin, Snapshot
from orderflow.simulators import SimClock

VERSION = 1
"""The version of every order. All that matters is whether a poll began at the order's present version."""

PROVIDER = "x"
ORDER_ID = f"{PROVIDER}-0"
_LAST_ATTEMPT = 2


@frozen
class Retry:
    """The effect is owed again. ``may_be_executed``: this attempt, or an earlier one."""

    may_be_executed: bool = False


@frozen
class Finish:
    """The effect is done, without an event for the order."""


@frozen
class Mark:
    """The request of a call is about to be sent."""


@frozen
class PollFirst:
    """A deadline waits for a poll that begins behind it."""


Request = Decider | Retry | Finish | Mark | PollFirst
"""What the engine asks the store for about a call or a deadline."""


class RealEngine:
    """What inbox and outbox do for the lifecycle of an environment.

    Attributes:
        events: by event (and whether it names the provider's order), the decider that the inbox commits.
        statuses: by status and whether the poll is fresh, the decider that the inbox commits.
        marks: the effects whose moment of sending the outbox marks in the store.
        deadlines: by clock event and whether a poll of the order is planned, what is asked for when the deadline has come.
        deadlines_at_create: those that a new order has.
        ends: by effect, end of its call and whether an earlier one is in doubt, what the outbox asks for, with attempts left and without.
        unsent: by effect and whether an earlier call is in doubt, what it asks for first if nothing was sent, likewise.
        same_kind: by effect, the effects that have its replies: a late reply must not end a later one of these.
        may_call: by effect and doubt of its row, whether the outbox calls the provider.
    """

    def __init__(self, environment: Environment) -> None:
        self.events: dict[tuple[str, bool], Decider] = {}
        self.statuses: dict[tuple[str, bool], Decider] = {}
        self.deadlines: dict[tuple[str, bool], Request] = {}
        self.deadlines_at_create: tuple[str, ...] = ()
        self.marks: set[str] = set()
        self.ends: dict[tuple[str, CallEnd, bool], tuple[Request, ...]] = {}
        self.unsent: dict[tuple[str, bool], tuple[Request, ...]] = {}
        self.same_kind: dict[str, tuple[str, ...]] = {}
        self.may_call: dict[tuple[str, Doubt], bool] = {}
        with capture_logs():
            asyncio.run(self._record(environment))

    async def _record(self, environment: Environment) -> None:
        table, store, provider = environment.table, _RecordingStore(environment), _ScriptedProvider(environment)
        engine = Engine(
            store=cast(Store, store),
            providers={PROVIDER: cast(Any, provider)},
            urls=NoUrls(),
            dispatcher=LocalDispatcher(cast(Store, store)),
            clock=SimClock(0.0, manual=True),
            rng=random.Random(0),
            new_id=lambda: "0",
        )
        inbox = engine.inbox
        await engine.commands.create(cast(Any, provider), "key", {})
        self.deadlines_at_create = store.deadlines_at_create
        for name, origin in table.events.items():
            if origin is not Origin.OBSERVATION:
                for named in (False, True):
                    await inbox.accept(ORDER_ID, Event(name, origin, provider_id="1" if named else None))
                    self.events[name, named] = store.take_decider()
        for status in table.readings:
            for fresh in (True, False):
                await inbox.accept_observation(ORDER_ID, Observation(status, VERSION if fresh else VERSION - 1), 0, 0.0)
                self.statuses[status, fresh] = store.take_decider()
        await self._record_deadlines(engine, store)
        for effect, call in environment.calls.items():
            for in_doubt in (False, True):
                await self._record_call(engine, store, provider, effect, call, in_doubt=in_doubt)

    async def _record_deadlines(self, engine: Engine, store: _RecordingStore) -> None:
        table = store.table
        for state, info in table.states.items():
            for name, _ in info.deadlines:
                for is_poll_planned in (False, True):
                    due = DueDeadline(ORDER_ID, name, PROVIDER, VERSION, state, needs_poll=is_poll_planned)
                    await engine.deadlines.run(due)
                    (self.deadlines[name, is_poll_planned],) = store.take_requests()

    async def _record_call(
        self, engine: Engine, store: _RecordingStore, provider: _ScriptedProvider, effect: str, call: CallModel, *, in_doubt: bool
    ) -> None:
        """What becomes of a call. ``in_doubt``: an earlier attempt may have been executed."""
        attempts = (1, _LAST_ATTEMPT)
        for end, outcome in _outcomes(call).items():
            provider.outcome, provider.marks = outcome, True
            requests = [await _run(engine, store, effect, attempt, in_doubt=in_doubt) for attempt in attempts]
            if all(asked[0] == Mark() for asked in requests):
                self.marks.add(effect)
            self.ends[effect, end, in_doubt] = tuple(request for asked in requests for request in asked if request != Mark())
        provider.outcome, provider.marks, provider.calls = NotExecuted("no token"), False, 0
        asked = [await _run(engine, store, effect, attempt, in_doubt=in_doubt) for attempt in attempts]
        self.may_call[effect, Doubt.POSSIBLE if in_doubt else Doubt.NONE] = provider.calls == len(attempts)
        self.unsent[effect, in_doubt] = tuple(requests[0] for requests in asked)
        self.same_kind[effect] = store.same_kind
        if in_doubt:
            provider.calls = 0
            asked = [await _run(engine, store, effect, _LAST_ATTEMPT, in_doubt=True, unended=True)]
            self.may_call[effect, Doubt.MARKED] = provider.calls == 1
            self.ends[effect, CallEnd.NOT_CALLED, False] = asked[0]


async def _run(
    engine: Engine, store: _RecordingStore, effect: str, attempt: int, *, in_doubt: bool, unended: bool = False
) -> tuple[Request, ...]:
    """What the outbox asks for when it runs this attempt, as ``Outbox.fetch`` hands it to the worker."""
    engine.admission.begin_call(PROVIDER, 0.0)
    leased = LeasedEffect(EffectKey(ORDER_ID, VERSION, 0), effect, PROVIDER, attempt, in_doubt, previous_attempt_unended=unended)
    await engine.outbox.run(Attempt(leased))
    return store.take_requests()


@cache
def real_engine(environment: Environment) -> RealEngine:
    """The engine for an environment; recorded once."""
    return RealEngine(environment)


def order_at(snapshot: Snapshot) -> Order:
    """An order as deciders take it."""
    return Order(ORDER_ID, PROVIDER, "key", snapshot, 0.0, 0.0)


def snapshot_at(environment: Environment, state: str, facts: tuple[Value, ...], *, has_provider_id: bool) -> Snapshot:
    """A snapshot at ``VERSION``."""
    return Snapshot(state, dict(zip(environment.table.facts, facts, strict=True)), {PROVIDER_ID: "1"} if has_provider_id else {}, VERSION)


def _outcomes(call: CallModel) -> dict[CallEnd, Outcome]:
    return {
        CallEnd.ANSWERED: Succeeded(call.reply, provider_id="1" if call.names_order else None),
        CallEnd.REJECTED: Rejected("no"),
        CallEnd.NOT_FOUND: NoResult("no such order"),
        CallEnd.ANSWER_LOST: InDoubt("no answer"),
        CallEnd.NOT_SENT: NotExecuted("not reachable"),
    }


class _ScriptedProvider:
    """A provider whose every call ends as ``outcome``. ``marks``: it marks the moment of sending before."""

    marks_sending = True
    order_id_max = 255

    def __init__(self, environment: Environment) -> None:
        table = environment.table
        deadlines = dict.fromkeys({key for info in table.states.values() for _, key in info.deadlines}, 1.0)
        budgets = dict.fromkeys({info.budget for info in table.states.values() if info.budget}, 0.0)  # spent with the last attempt
        self.name = PROVIDER
        self.table = table
        self.timing = Timing(durations=budgets | deadlines, retry_attempts=_LAST_ATTEMPT, undelivered_after=0.0)
        self.outcome: Outcome = NotExecuted("not reachable")
        self.marks = True
        self.calls = 0

    def draft(self, request: object) -> Draft:
        """Any request is a draft without data."""
        return Draft(self.table.defaults(), {})

    def check_provider_id(self, value: object) -> str:
        """Any id is one."""
        return str(value)

    async def perform(self, call: Call, urls: object) -> Outcome:
        """Count the call."""
        if self.marks:
            await call.mark_sending()
        self.calls += 1
        return self.outcome


class _RecordingStore:
    """A store with one order that never moves; it records what it is asked for."""

    def __init__(self, environment: Environment) -> None:
        self.table = environment.table
        self._order = order_at(Snapshot(self.table.initial, self.table.defaults(), {}, VERSION))
        self._requests: list[Request] = []
        self.same_kind: tuple[str, ...] = ()
        self.deadlines_at_create: tuple[str, ...] = ()

    def take_requests(self) -> tuple[Request, ...]:
        """What was asked for since the last time."""
        requests, self._requests = self._requests, []
        return tuple(requests)

    def take_decider(self) -> Decider:
        """The decider of the one commit since the last time."""
        (decider,) = self.take_requests()
        assert not isinstance(decider, Retry | Finish | Mark | PollFirst)
        return decider

    async def load(self, order_id: str) -> Order:
        """See ``Store.load``."""
        return self._order

    async def find_kept(self, order_ids: Sequence[str]) -> KeptCommits:
        """See ``Store.find_kept``: nothing was lost."""
        return KeptCommits(dict.fromkeys(order_ids, VERSION), {})

    async def commit(
        self, order_id: str, key: InboxKey | None, decider: Decider, deadline: DueDeadline | None = None, call: ReportedCall | None = None
    ) -> Receipt:
        """See ``Store.commit``."""
        self._requests.append(decider)
        self.same_kind = call.names if call is not None else ()
        return Receipt(decider(self._order).decision, self._order.state, VERSION)

    async def mark_sending(self, *_: object) -> bool:
        """See ``Store.mark_sending``."""
        self._requests.append(Mark())
        return True

    async def listeners(self) -> frozenset[tuple[str, str]]:
        """See ``Store.listeners``."""
        return frozenset()

    async def create(self, order: Order, fingerprint: str, deadlines: Sequence[tuple[str, float]]) -> Order:
        """See ``Store.create``."""
        self.deadlines_at_create = tuple(sorted(name for name, _ in deadlines))
        return order

    async def poll_before_deadline(self, *_: object) -> None:
        """See ``Store.poll_before_deadline``."""
        self._requests.append(PollFirst())

    async def retry_effect(self, *_: object, may_be_executed: bool) -> None:
        """See ``Store.retry_effect``."""
        self._requests.append(Retry(may_be_executed))

    async def finish_effect(self, *_: object) -> None:
        """See ``Store.finish_effect``."""
        self._requests.append(Finish())

    async def pending(self, order_id: str) -> Any:
        """See ``Store.pending``."""
        return SimpleNamespace(effects=())
