"""The engine as its users have it, as a ``Subject``: an ``Orderflow`` with its worker in virtual time. No test lives here.

Only public means are used: commands and operator events by ``send`` and ``resolve``, claims by ``handle_request``, statuses and answers by
the provider that the flow was given, deadlines by waiting. Answers are read from the journal, the refusals and what the dispatcher gets.

Answers to calls come as jobs of a dispatcher, whatever the order's state. That is what a job looks like that is late, or comes twice.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from attrs import evolve, field, frozen
from tests.kit.inline_store import InlineStore
from tests.kit.virtual_time import VirtualClock, VirtualLoop
from tests.kit.world import LINK_KEYS, SHOP, ccv_at, ccv_request, connect_at, connect_request

from orderflow._analysis.reachability import Pair
from orderflow._app import Orderflow
from orderflow._lifecycle.decide import is_over_without_proof, is_pollable, legal
from orderflow._lifecycle.table import Table
from orderflow._provider.call import Call
from orderflow._provider.outcomes import InDoubt, NotExecuted, Outcome, ReadFailed, Rejected, StatusRead, Succeeded
from orderflow._provider.protocol import BaseProvider, Provider, PublicUrls
from orderflow._provider.timing import Timing
from orderflow._store.ports import Store
from orderflow._store.records import LeasedEffect, WorkerScope
from orderflow._testing.mealy import POLL, Inputs, Machine, Row, decide_input, inputs_of, minimise
from orderflow.model import Applied, Decision, EffectKey, Order, Origin, Reason, Refused, Snapshot, StepKind

TIME = "a deadline's time passes"
NOTHING = "no change"
TICK = 1000.0
_BEFORE_TICK = TICK / 20  # deadlines come a little before their tick ends
_NEVER = 1e9
_MOMENT = 0.01
_OF_UNSCRIPTED_POLLS = (Reason.UNUSABLE, Reason.NO_USABLE_ANSWER)  # a due deadline brings a poll, which is no input of its own

ARGUMENTS: Mapping[str, Mapping[str, object]] = {
    "complete_by_url": {"return_url": f"{SHOP}/thanks"},
    "assign_user": {"credential": "kari@example.org"},
}
NAMES_THE_ORDER = {"order_submitted", "order_registered", "registration_found", "submission_resolved", "registration_resolved"}
CLAIMS: Mapping[str, tuple[str, bytes]] = {  # the endpoint, and the query of the request
    "returned_success": ("return", b"fulfillmentStatus=success"),
    "returned_cancel": ("return", b"fulfillmentStatus=cancel"),
    "returned_error": ("error", b""),
    "returned_unclear": ("return", b"fulfillmentStatus=unknown"),
    "returned_bare": ("return", b""),
    "called_back_success": ("callback", b"fulfillmentStatus=success"),
    "called_back_failed": ("callback", b"fulfillmentStatus=failed"),
}


# ── how an engine must answer ────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class _ExpectedOrder:
    """An order, and what the engine must keep for it.

    Attributes:
        has_provider_id: whether the provider's id of the order is known.
        claims: the claims that have moved it.
        armed: the armed deadlines, each with the ticks until it comes.
    """

    pair: Pair
    has_provider_id: bool = False
    claims: frozenset[str] = frozenset()
    armed: tuple[tuple[str, int], ...] = ()

    def move(self, table: Table, snapshot: Snapshot) -> _ExpectedOrder:
        """The order at a snapshot. A new state arms its deadlines."""
        pair = Pair(snapshot.state, tuple(snapshot.facts[name] for name in table.facts))
        if pair.state == self.pair.state:
            return evolve(self, pair=pair)
        return evolve(self, pair=pair, armed=_arm(table, pair.state))


def _arm(table: Table, state: str) -> tuple[tuple[str, int], ...]:
    """The deadlines of an order that enters the state, each with the ticks until it comes."""
    return tuple((event, ticks(table)[key]) for event, key in table.states[state].deadlines)


def ticks(table: Table) -> dict[str, int]:
    """How long each duration is: no two deadlines of a state come at once."""
    durations: dict[str, int] = {}
    for state in table.states.values():
        for place, (_, key) in enumerate(state.deadlines, 1):
            durations[key] = max(place, durations.get(key, 0))
    return durations


def outside_inputs(table: Table) -> Inputs:
    """Every input that an order can get from outside its engine."""
    has_clock = any(origin is Origin.CLOCK for origin in table.events.values())
    inputs = tuple(name for name in inputs_of(table) if table.events.get(name) is not Origin.CLOCK)
    return (*inputs, TIME) if has_clock else inputs


def expect_machine(table: Table, pair: Pair, without: Collection[str] = ()) -> Machine:
    """The machine that an engine on this table must be, for an order created as ``pair``: the declaration, and the rules of the engine
    about ids, polls, claims that come twice, and deadlines."""
    inputs = tuple(name for name in outside_inputs(table) if name not in without)
    orders, rows = [_ExpectedOrder(pair, armed=_arm(table, pair.state))], list[Row]()
    number = {orders[0]: 0}
    for order in orders:  # grows while it is walked
        row: dict[str, tuple[str, int]] = {}
        for input_name in inputs:
            decision, onward = _expect(table, order, input_name)
            if onward not in number:
                number[onward] = len(orders)
                orders.append(onward)
            row[input_name] = _format_expected(table, onward, decision), number[onward]
        rows.append(row)
    return minimise(inputs, rows, tuple(order.pair.state for order in orders))


def _expect(table: Table, order: _ExpectedOrder, input_name: str) -> tuple[Decision | None, _ExpectedOrder]:
    if input_name == TIME:
        reached = next((event for event, left in order.armed if left == 1), None)
        order = evolve(order, armed=tuple((event, left - 1) for event, left in order.armed if left > 1))
        return (None, order) if reached is None else _decide(table, order, reached)
    if input_name.startswith(POLL) and not (order.has_provider_id and is_pollable(table, order.pair.snapshot(table))):
        return None, order
    if input_name in order.claims:
        return None, order
    decision, onward = _decide(table, order, input_name)
    if input_name in NAMES_THE_ORDER:
        if isinstance(decision, Applied):
            onward = evolve(onward, has_provider_id=True)
        elif not order.has_provider_id and table.events[input_name] is Origin.REPLY:
            decision = Refused(Reason.ANOMALY, order.pair.state)
    if isinstance(decision, Applied) and table.events.get(input_name) is Origin.CLAIM:
        onward = evolve(onward, claims=onward.claims | {input_name})
    return decision, onward


def _decide(table: Table, order: _ExpectedOrder, input_name: str) -> tuple[Decision, _ExpectedOrder]:
    decision = decide_input(table, order.pair.snapshot(table), input_name)
    return decision, order.move(table, decision.snapshot) if isinstance(decision, Applied) else order


def _format_expected(table: Table, order: _ExpectedOrder, decision: Decision | None) -> str:
    commands = " ".join(legal(table, order.pair.snapshot(table)))
    return f"{format_decision(decision)} | {order.pair.state}; legal: {commands}"


def format_decision(decision: Decision | None) -> str:
    """What can be seen of a decision."""
    if isinstance(decision, Applied):
        return ", ".join(_format_step(s.event, s.target, s.kind, [effect.name for effect in s.effects]) for s in decision.steps)
    return NOTHING if decision is None or decision.reason is Reason.NO_NEWS else str(decision.reason)


def _format_step(event: str, target: str, kind: str, effects: Collection[str]) -> str:
    suffix = "" if kind == StepKind.STEP else f" ({kind})"
    return f"{event} -> {target}{suffix}" + (f" [{' '.join(effects)}]" if effects else "")


# ── the engine ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class ForgivingStore(InlineStore):
    """Lets each call be sent: the calls of this kit are not owed in the database."""

    async def mark_sending(self, effect: LeasedEffect, now: float) -> bool:
        """See ``Store.mark_sending``."""
        return True


class ScriptedProvider(BaseProvider):
    """A provider that checks requests as the real one does. Its calls end as ``outcome``; its next poll reports ``status``."""

    def __init__(self, real: Provider) -> None:
        self.name, self.table, self.endpoints = real.name, real.table, real.endpoints
        self.draft, self.command, self.close = real.draft, real.command, real.close
        budgets = {state.budget for state in real.table.states.values() if state.budget}
        durations = dict.fromkeys(real.timing.durations, _NEVER) | dict.fromkeys(budgets, 0.0)  # an attempt decides, not the time
        self.timing = Timing(
            durations | {key: n * TICK - _BEFORE_TICK for key, n in ticks(real.table).items()},
            poll_first=_NEVER,
            poll_cap=_NEVER,
            poll_jitter=0.0,
            poll_interval=0.0,
            retry_attempts=1,
            undelivered_after=0.0,
            lease=_NEVER,
            circuit_threshold=sys.maxsize,  # an open circuit would depend on the orders before this one
        )
        self.outcome: Outcome = NotExecuted("not scripted")
        self.status: str | None = None
        self.urls: PublicUrls | None = None

    async def perform(self, _call: Call, _urls: PublicUrls) -> Outcome:
        return self.outcome

    async def fetch_status(self, _order: Order) -> StatusRead | ReadFailed:
        status, self.status = self.status, None
        return ReadFailed("not scripted") if status is None else StatusRead(status)

    def customer_url(self, _order: Order, urls: PublicUrls) -> str | None:
        self.urls = urls
        return SHOP


class ScriptedDispatcher:
    """A dispatcher that keeps what is owed, and gives the worker only the jobs that a test adds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._jobs: list[LeasedEffect] = []
        self._wake: Callable[[], None] = lambda: None
        self.owed: list[LeasedEffect] = []

    async def open(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    async def close(self) -> None:
        """Nothing to close."""

    async def take(self, now: float, scope: WorkerScope, limit: int) -> list[LeasedEffect]:
        self.owed += await self._store.lease_effects(now, scope, limit)
        jobs, self._jobs = self._jobs, []
        return jobs

    async def finish(self, effect: LeasedEffect, due_again_at: float | None = None) -> None:
        """Nothing to count."""

    def add(self, job: LeasedEffect) -> None:
        self._jobs.append(job)
        self._wake()

    def wake(self) -> None:
        """Let the worker look what is due: creating an order wakes none."""
        self._wake()


@frozen
class _Visible:
    """What could be seen of an order before an input: its version, and its refusals, counted."""

    version: int
    refusals: Mapping[tuple[str, str, str], int] = field(repr=False)


class EngineFromOutside:
    """Orders of one ``Orderflow``, as a ``Subject``."""

    def __init__(
        self,
        runner: asyncio.Runner,
        flow: Orderflow,
        provider: ScriptedProvider,
        dispatcher: ScriptedDispatcher,
        request: Mapping[str, Any],
    ) -> None:
        self._run, self._flow, self.provider, self._dispatcher, self._request = runner.run, flow, provider, dispatcher, request
        self._table = provider.table  # decides the inputs; a test may let the engine run on another table
        self._count = 0
        self._id = ""
        self._provider_id = ""  # of its own for each order: two orders never share one

    def reset(self) -> None:
        self._count += 1
        self._provider_id = str(self._count)
        self._dispatcher.owed.clear()
        self._id = self._run(self._flow.create(self.provider.name, key=str(self._count), **self._request)).id
        self._dispatcher.wake()

    def send(self, input_name: str) -> str:
        return self._run(self._send(input_name))

    async def _send(self, input_name: str) -> str:
        before = await self._visible()
        decision = await self._act(input_name)
        await asyncio.sleep(_MOMENT)
        change = await self._change_since(before)
        order = await self._flow.order(self._id)
        answer = f"{change} | {order.state}; legal: {' '.join(await self._flow.legal(self._id))}"
        returned = format_decision(decision)
        return answer if decision is None or returned == change else f"{answer}, but returned {returned}"

    async def _act(self, input_name: str) -> Decision | None:
        flow, arguments = self._flow, ARGUMENTS.get(input_name, {})
        origin = self._table.events.get(input_name)
        if origin is Origin.OPERATOR and input_name in NAMES_THE_ORDER:
            arguments = {"order_id": self._provider_id}
        if input_name == TIME:
            await asyncio.sleep(TICK)
        elif origin is Origin.COMMAND:
            return await flow.send(self._id, input_name, **arguments)
        elif origin is Origin.OPERATOR:
            return await flow.resolve(self._id, input_name, actor="kari", reason="learning", **arguments)
        elif origin is Origin.CLAIM:
            await self._claim(*CLAIMS[input_name])
        elif origin is Origin.REPLY:
            self._reply(input_name)
        elif not is_over_without_proof(self._table, (await flow.order(self._id)).snapshot):  # such an order is polled once, and then rarely
            self.provider.status = input_name.removeprefix(POLL)
            await flow.refresh(self._id)
            await asyncio.sleep(_MOMENT)
            self.provider.status = None
        return None

    async def _claim(self, purpose: str, query: bytes) -> None:
        await self._flow.customer_url(self._id)
        assert self.provider.urls is not None
        url = self.provider.urls.url(self.provider.name, purpose, self._id)
        assert url is not None
        reply = await self._flow.handle_request("GET", url.removeprefix(SHOP), query)
        assert reply.status < 400, reply

    def _reply(self, event: str) -> None:
        """Let a call end in such a way that this reply event is reported."""
        outcomes: Mapping[str, Outcome] = {
            "refused": Rejected("no"),
            "answer_lost": InDoubt("no answer"),
            "undelivered": NotExecuted("not reachable"),
        }
        effect = next(effect for effect in self._table.effects.values() if event in effect.replies)
        success = Succeeded(event, provider_id=self._provider_id if event in NAMES_THE_ORDER else None)
        failed = event in effect.failures
        self.provider.outcome = outcomes[event.removeprefix(f"{effect.kind}_")] if failed else success
        self._count += 1
        self._dispatcher.add(
            LeasedEffect(EffectKey(self._id, self._count, 99), effect.name, self.provider.name, 1, previous_attempt_sent=False)
        )

    async def _visible(self) -> _Visible:
        refusals = await self._flow.refusals(self._id)
        order = await self._flow.order(self._id)
        seen = [row for row in refusals if row.reason not in _OF_UNSCRIPTED_POLLS]
        return _Visible(order.version, {(row.event, row.state, row.reason): row.count for row in seen})

    async def _change_since(self, before: _Visible) -> str:
        rows = [row for row in await self._flow.journal(self._id) if row.version > before.version]
        owed: dict[int, list[str]] = {}
        for effect in self._dispatcher.owed:
            if effect.key.order_id == self._id:
                owed.setdefault(effect.key.version, []).append(effect.name)
        steps = [_format_step(row.event, row.target, row.kind, owed.get(row.version, ())) for row in rows]
        after = (await self._visible()).refusals
        reasons = [str(reason) for (event, state, reason), n in after.items() if n != before.refusals.get((event, state, reason), 0)]
        return ", ".join(steps + reasons) or NOTHING


@contextmanager
def engine(provider: str, **request: Any) -> Iterator[tuple[EngineFromOutside, Pair]]:
    """An engine in this process, on a store in memory, and the pair that its orders are created as."""
    real = {"ccv": ccv_at, "connect": connect_at}[provider]("http://provider.invalid")
    create_request = {"ccv": ccv_request, "connect": connect_request}[provider](**request)
    scripted, store = ScriptedProvider(real), ForgivingStore()
    dispatcher = ScriptedDispatcher(store)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        flow = Orderflow(
            store,
            [scripted],
            public_url=SHOP,
            signing_keys=LINK_KEYS,
            worker=True,
            dispatch=dispatcher,
            fetch_interval=_NEVER,
            clock=VirtualClock(),
        )
        runner.run(flow.__aenter__())
        try:
            facts = runner.run(flow.create(provider, key="facts", **create_request)).snapshot.facts
            table = scripted.table
            pair = Pair(table.initial, tuple(facts[name] for name in table.facts))
            yield EngineFromOutside(runner, flow, scripted, dispatcher, create_request), pair
        finally:
            runner.run(flow.__aexit__(None, None, None))
            store.connection.close()
