"""The engine as its users have it: an ``Orderflow`` with its worker, in virtual time, and what such an engine must answer. No test here.

Nothing is said to it but by public means: commands and operators by ``tell`` and ``resolve``, claims by ``hear``, statuses and answers by
the provider it was given, deadlines by waiting. Its answers are read from the journal, the refusals and what its dispatcher is given.

Answers to calls come as jobs of a dispatcher, whatever the order's state: what a job delivered late, or a second time, looks like.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from attrs import evolve, field, frozen
from tests.kit.world import LINK_KEYS, SHOP, ccv_at, ccv_request, connect_at, connect_request

from orderflow.analysis.reachability import Pair
from orderflow.app import Orderflow
from orderflow.lifecycle.decide import legal, pollable
from orderflow.lifecycle.table import Table
from orderflow.model import Applied, Decision, EffectKey, Order, Origin, Reason, Refused, Snapshot, StepKind
from orderflow.provider.outcomes import InDoubt, NotExecuted, Outcome, ReadFailed, Rejected, StatusRead, Succeeded
from orderflow.provider.protocol import Provider, PublicUrls
from orderflow.provider.timing import Timing
from orderflow.store.ports import Store
from orderflow.store.records import LeasedEffect, WorkerScope
from tests.kit.inline_store import InlineStore
from orderflow.testing.machine import READ, Machine, folded, judge, words_of
from tests.kit.virtual_time import VirtualClock, VirtualLoop

TIME = "a deadline's time passes"
NOTHING = "nothing to be seen"
TICK = 1000.0
_SHY = TICK / 20  # deadlines come a little before their tick ends
_EVER = 1e9
_MOMENT = 0.01
_ID = "7"

ARGUMENTS: Mapping[str, Mapping[str, object]] = {
    "submission_resolved": {"order_id": _ID},
    "registration_resolved": {"order_id": _ID},
    "complete_by_url": {"return_url": f"{SHOP}/thanks"},
    "assign_user": {"credential": "kari@example.org"},
}
NAMES_THE_ORDER = {"order_submitted", "order_registered", "registration_found", "submission_resolved", "registration_resolved"}
CLAIMS: Mapping[str, tuple[str, bytes]] = {  # the inlet, and what is asked of it
    "returned_success": ("return", b"fulfillmentStatus=success"),
    "returned_cancel": ("return", b"fulfillmentStatus=cancel"),
    "returned_error": ("error", b""),
    "returned_unclear": ("return", b"fulfillmentStatus=unknown"),
    "returned_bare": ("return", b""),
    "called_back_success": ("callback", b"fulfillmentStatus=success"),
    "called_back_failed": ("callback", b"fulfillmentStatus=failed"),
}


# ── what an engine must answer ───────────────────────────────────────────────────────────────────────────────────────────


@frozen
class _Order:
    """An order and what the engine keeps for it: whether the provider's id is known, the claims that moved it once, the deadlines
    that are armed, each with the ticks until it comes."""

    pair: Pair
    known: bool = False
    heard: frozenset[str] = frozenset()
    armed: tuple[tuple[str, int], ...] = ()

    def moved(self, table: Table, snapshot: Snapshot) -> _Order:
        pair = Pair(snapshot.state, tuple(snapshot.facts[name] for name in table.facts))
        if pair.state == self.pair.state:
            return evolve(self, pair=pair)
        deadlines = table.states[pair.state].deadlines
        return evolve(self, pair=pair, armed=tuple((event, ticks(table)[key]) for event, key in deadlines))


def ticks(table: Table) -> dict[str, int]:
    """How long each duration is: no two deadlines of a state come at once."""
    found: dict[str, int] = {}
    for info in table.states.values():
        for place, (_, key) in enumerate(info.deadlines, 1):
            found[key] = max(place, found.get(key, 0))
    return found


def outside_words(table: Table) -> tuple[str, ...]:
    """Everything that can be said to an order from outside its engine."""
    clock = any(origin is Origin.CLOCK for origin in table.events.values())
    said = tuple(word for word in words_of(table) if table.events.get(word) is not Origin.CLOCK)
    return (*said, TIME) if clock else said


def from_outside(table: Table, pair: Pair, without: Collection[str] = ()) -> Machine:
    """The machine that an engine on this table must be, for an order created as ``pair``: the declaration, and what DESIGN says of ids,
    reads, claims that come twice, and deadlines."""
    words = tuple(word for word in outside_words(table) if word not in without)
    orders, raw = [_Order(pair)], list[dict[str, tuple[str, int]]]()
    index = {orders[0]: 0}
    for order in orders:  # grows as it is walked
        row: dict[str, tuple[str, int]] = {}
        for word in words:
            decision, onward = _said(table, order, word)
            if onward not in index:
                index[onward] = len(orders)
                orders.append(onward)
            row[word] = _answer(table, onward, decision), index[onward]
        raw.append(row)
    return folded(words, raw, tuple(order.pair.state for order in orders))


def _said(table: Table, order: _Order, word: str) -> tuple[Decision | None, _Order]:
    if word == TIME:
        come = next((event for event, left in order.armed if left == 1), None)
        order = evolve(order, armed=tuple((event, left - 1) for event, left in order.armed if left > 1))
        return (None, order) if come is None else _judged(table, order, come)
    snapshot = order.pair.snapshot(table)
    if word.startswith(READ) and not (order.known and pollable(table, snapshot)):
        return None, order
    if word in order.heard:
        return None, order
    decision, onward = _judged(table, order, word)
    if word in NAMES_THE_ORDER:
        if isinstance(decision, Applied):
            onward = evolve(onward, known=True)
        elif not order.known and table.events[word] is Origin.REPLY:
            decision = Refused(Reason.ANOMALY, order.pair.state)
    if isinstance(decision, Applied) and table.events.get(word) is Origin.CLAIM:
        onward = evolve(onward, heard=onward.heard | {word})
    return decision, onward


def _judged(table: Table, order: _Order, word: str) -> tuple[Decision, _Order]:
    decision = judge(table, order.pair.snapshot(table), word)
    return decision, order.moved(table, decision.snapshot) if isinstance(decision, Applied) else order


def _answer(table: Table, order: _Order, decision: Decision | None) -> str:
    commands = " ".join(legal(table, order.pair.snapshot(table)))
    return f"{told(decision)} | {order.pair.state}; legal: {commands}"


def told(decision: Decision | None) -> str:
    """What can be seen of a decision."""
    if isinstance(decision, Applied):
        return ", ".join(_step(s.event, s.target, s.kind, [effect.name for effect in s.effects]) for s in decision.steps)
    return NOTHING if decision is None or decision.reason is Reason.NO_NEWS else str(decision.reason)


def _step(event: str, target: str, kind: str, effects: Collection[str]) -> str:
    marked = "" if kind == StepKind.STEP else f" ({kind})"
    return f"{event} -> {target}{marked}" + (f" [{' '.join(effects)}]" if effects else "")


# ── the engine ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Scripted:
    """A provider that checks requests as the real one does, and says what it is told to."""

    def __init__(self, real: Provider) -> None:
        self.name, self.table, self.endpoints = real.name, real.table, real.endpoints
        self.draft, self.command, self.close = real.draft, real.command, real.close
        durations = dict.fromkeys(real.timing.durations, _EVER) | {key: n * TICK - _SHY for key, n in ticks(real.table).items()}
        self.timing = Timing(
            durations,
            poll_first=_EVER,
            poll_cap=_EVER,
            poll_jitter=0.0,
            poll_interval=0.0,
            retry_attempts=1,
            lease=_EVER,
            circuit_threshold=sys.maxsize,  # the engine's pause hangs on the orders before this one
        )
        self.outcome: Outcome = NotExecuted("nothing was asked")
        self.status: str | None = None
        self.links: PublicUrls | None = None

    async def perform(self, _effect: str, _order: Order, _links: PublicUrls) -> Outcome:
        return self.outcome

    async def fetch_status(self, _order: Order) -> StatusRead | ReadFailed:
        status, self.status = self.status, None
        return ReadFailed("silent") if status is None else StatusRead(status)

    def customer_url(self, _order: Order, links: PublicUrls) -> str | None:
        self.links = links
        return SHOP


class Jobs:
    """A dispatcher that notes what is owed, and brings what it is told to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._brought: list[LeasedEffect] = []
        self._stir: Callable[[], None] = lambda: None
        self.owed: list[LeasedEffect] = []

    async def open(self, wake: Callable[[], None]) -> None:
        self._stir = wake

    async def close(self) -> None:
        """Nothing to let go of."""

    async def take(self, now: float, scope: WorkerScope, limit: int) -> list[LeasedEffect]:
        self.owed += await self._store.lease_effects(now, scope, limit)
        brought, self._brought = self._brought, []
        return brought

    async def ended(self, effect: LeasedEffect, again_at: float | None = None) -> None:
        """It is not counted."""

    def bring(self, job: LeasedEffect) -> None:
        self._brought.append(job)
        self._stir()


@frozen
class _Looked:
    """What could be seen of an order: versions and refusals counted, effects owed."""

    version: int
    refused: Mapping[tuple[str, str, str], int] = field(repr=False)


class EngineFromOutside:
    """Orders of one ``Orderflow``, as a ``Subject``."""

    def __init__(self, runner: asyncio.Runner, flow: Orderflow, provider: Scripted, jobs: Jobs, request: Mapping[str, Any]) -> None:
        self._run, self._flow, self.provider, self._jobs, self._request = runner.run, flow, provider, jobs, request
        self._table = provider.table  # what may be said; a test may let the engine run on another
        self._count = 0
        self._id = ""

    def start(self) -> None:
        self._count += 1
        self._jobs.owed.clear()
        self._id = self._run(self._flow.create(self.provider.name, key=str(self._count), **self._request)).id

    def say(self, word: str) -> str:
        return self._run(self._say(word))

    async def _say(self, word: str) -> str:
        before = await self._look()
        decision = await self._act(word)
        await asyncio.sleep(_MOMENT)
        seen = await self._seen(before)
        order = await self._flow.order(self._id)
        answered = f"{seen} | {order.state}; legal: {' '.join(await self._flow.legal(self._id))}"
        return answered if decision is None or told(decision) == seen else f"{answered}, but answered {told(decision)}"

    async def _act(self, word: str) -> Decision | None:
        flow, arguments = self._flow, ARGUMENTS.get(word, {})
        origin = self._table.events.get(word)
        if word == TIME:
            await asyncio.sleep(TICK)
        elif origin is Origin.COMMAND:
            return await flow.send(self._id, word, **arguments)
        elif origin is Origin.OPERATOR:
            return await flow.resolve(self._id, word, by="kari", reason="learning", **arguments)
        elif origin is Origin.CLAIM:
            await self._claim(*CLAIMS[word])
        elif origin is Origin.REPLY:
            self._reply(word)
        else:
            self.provider.status = word.removeprefix(READ)
            await flow.refresh(self._id)
            await asyncio.sleep(_MOMENT)
            self.provider.status = None
        return None

    async def _claim(self, purpose: str, query: bytes) -> None:
        await self._flow.customer_url(self._id)
        assert self.provider.links is not None
        url = self.provider.links.url(self.provider.name, purpose, self._id)
        assert url is not None
        reply = await self._flow.handle_request("GET", url.removeprefix(SHOP), query)
        assert reply.status < 400, reply

    def _reply(self, word: str) -> None:
        kind, _, what = word.rpartition("_")
        kind, what = (word.removesuffix("_answer_lost"), "answer_lost") if word.endswith("_answer_lost") else (kind, what)
        ends: Mapping[str, Outcome] = {
            "refused": Rejected("no"),
            "answer_lost": InDoubt("who knows"),
            "undelivered": NotExecuted("not there"),
        }
        effects = self._table.effects.values()
        effect = next((one for one in effects if what in ends and one.kind == kind and (one.once or what != "answer_lost")), None)
        self.provider.outcome = ends[what] if effect else Succeeded(word, provider_id=_ID if word in NAMES_THE_ORDER else None)
        name = effect.name if effect else next(iter(self._table.effects))
        self._count += 1
        self._jobs.bring(LeasedEffect(EffectKey(self._id, self._count, 99), name, self.provider.name, 1, unanswered=False))

    async def _look(self) -> _Looked:
        rows = await self._flow.refusals(self._id)
        order = await self._flow.order(self._id)
        return _Looked(order.version, {(row.event, row.state, row.reason): row.count for row in rows})

    async def _seen(self, before: _Looked) -> str:
        rows = [row for row in await self._flow.journal(self._id) if row.version > before.version]
        owed: dict[int, list[str]] = {}
        for effect in self._jobs.owed:
            if effect.key.order_id == self._id:
                owed.setdefault(effect.key.version, []).append(effect.name)
        steps = [_step(row.event, row.target, row.kind, owed.get(row.version, ())) for row in rows]
        after = (await self._look()).refused
        reasons = [str(reason) for (event, state, reason), n in after.items() if n != before.refused.get((event, state, reason), 0)]
        return ", ".join(steps + reasons) or NOTHING


@contextmanager
def engine(provider: str, **request: Any) -> Iterator[tuple[EngineFromOutside, Pair]]:
    """An engine in this process, on a store in memory, and the pair that its orders are created as."""
    real = {"ccv": ccv_at, "connect": connect_at}[provider]("http://nobody.invalid")
    wanted = {"ccv": ccv_request, "connect": connect_request}[provider](**request)
    scripted, store = Scripted(real), InlineStore()
    jobs = Jobs(store)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        flow = Orderflow(
            store,
            [scripted],
            public_url=SHOP,
            signing_keys=LINK_KEYS,
            worker=True,
            dispatch=jobs,
            fetch_interval=_EVER,
            clock=VirtualClock(),
        )
        runner.run(flow.__aenter__())
        try:
            facts = runner.run(flow.create(provider, key="facts", **wanted)).snapshot.facts
            table = scripted.table
            yield EngineFromOutside(runner, flow, scripted, jobs, wanted), Pair(table.initial, tuple(facts[name] for name in table.facts))
        finally:
            runner.run(flow.__aexit__(None, None, None))
            store.connection.close()
