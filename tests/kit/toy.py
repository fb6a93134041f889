"""A provider for tests of the engine: a small lifecycle that uses every feature, and an adapter that answers as the test tells it.

``Toy`` is a provider like any other. The engine under test is the real one, on a real database. ``Bench`` is that engine without a
running worker, under a clock that the test advances, so that nothing has to be waited for. No test lives here.
"""

from __future__ import annotations

import random
import secrets
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import define, evolve, field
from tests.kit.engines import scope_of

from orderflow._clock import Clock
from orderflow._dispatch.local import LocalDispatcher
from orderflow._dispatch.ports import Dispatcher
from orderflow._engine.attempt import Attempt
from orderflow._engine.engine import Engine
from orderflow._lifecycle.declare import Fact, Flag, Lifecycle, State, assumed, once, reading, repeatable
from orderflow._lifecycle.declare import edge as declared_edge
from orderflow._lifecycle.table import Table
from orderflow._provider.call import Call
from orderflow._provider.endpoints import Claim, Endpoint
from orderflow._provider.outcomes import InDoubt, NoResult, Outcome, ReadFailed, StatusRead, Succeeded
from orderflow._provider.protocol import BaseProvider, Draft, PublicUrls
from orderflow._provider.timing import Timing
from orderflow._store.ports import Store
from orderflow._store.records import DueDeadline, InboxKey, LeasedPoll, WorkerScope
from orderflow._store.urls import make_store
from orderflow.errors import InvalidInput
from orderflow.model import PROVIDER_ID, Cause, Decision, Event, Order, Origin, Snapshot, StateEntered
from orderflow.simulators import SimClock

command, reply, observation, claim, clock, operator = Origin


def edge(origin: Origin, transitions: Any, **more: Any) -> Any:
    """An edge; its cause, evidence and label do not matter here."""
    return declared_edge(origin, transitions, cause=Cause.US, evidence=assumed("a test"), label="moves", **more)


class ToyLifecycle(Lifecycle, name="toy"):
    # fmt: off
    drafted   = State(initial=True)
    preparing = State()
    sending   = State()
    in_doubt  = State(budget="doubt")
    placed    = State(deadlines={"timed_out": "patience"}, budget="patience")
    waiting   = State(deadlines={"timed_out": "patience", "reminded": "reminder"})
    packed    = State()
    boxed     = State()
    loaded    = State()
    shipped   = State(proven=True, final=True)
    delivered = State(proven=True, final=True)
    lapsed    = State(provisional=True, deadlines={"window_closed": "window"})
    refused   = State(final=True)
    abandoned = State(final=True)

    paid    = Flag()
    window  = Fact("open", "closed")
    make_ready = repeatable(kind="preparation", successes=["prepared"])
    place      = once(kind="placement", successes=["order_placed"])
    look_up    = repeatable(successes=["placement_found"])

    order_it                = edge(command, drafted.to(preparing), effects=[make_ready])
    prepared                = edge(reply, preparing.to(sending), effects=[place])
    preparation_refused     = edge(reply, preparing.to(refused))
    preparation_undelivered = edge(reply, preparing.to(refused))
    preparation_answer_lost = edge(reply, preparing.to(in_doubt))
    order_placed            = edge(reply, placed.from_(sending, in_doubt))
    placement_refused       = edge(reply, refused.from_(sending, in_doubt))
    placement_undelivered   = edge(reply, sending.to(refused))
    placement_answer_lost   = edge(reply, sending.to(in_doubt), effects=[look_up])
    placement_found         = edge(reply, in_doubt.to(placed))
    placement_resolved      = edge(operator, in_doubt.to(placed))
    placement_given_up      = edge(operator, in_doubt.to(abandoned))
    came                    = edge(claim, placed.to(waiting))
    timed_out               = edge(clock, lapsed.from_(placed, waiting))
    reminded                = edge(clock, waiting.to(waiting))
    seen_packed             = edge(observation, packed.from_(placed, waiting))
    seen_boxed              = edge(observation, placed.to(boxed))
    seen_loaded             = edge(observation, packed.to(loaded)) | edge(observation, boxed.to(loaded))
    seen_shipped            = (edge(observation, loaded.to(shipped), expects=paid)
                             | edge(observation, lapsed.to(shipped), cond=window.is_("open"), recovery=True))
    seen_delivered          = edge(observation, loaded.to(delivered))
    window_closed           = edge(clock, lapsed.to(lapsed), cond=window.is_("open"), sets={"window": "closed"})

    readings = {
        "new":       reading(consistent=[placed, waiting, lapsed]),
        "packed":    reading(consistent=[packed], proves=packed),
        "boxed":     reading(consistent=[boxed], proves=boxed),
        "loaded":    reading(consistent=[loaded], proves=loaded),
        "shipped":   reading(consistent=[shipped], proves=shipped),
        "delivered": reading(consistent=[delivered], proves=delivered),
    }
    # fmt: on


TIMING = Timing(
    durations={"patience": 1000.0, "reminder": 500.0, "window": 10_000.0, "doubt": 100.0},
    poll_first=10.0,
    poll_cap=80.0,
    poll_jitter=0.0,
    poll_interval=2.0,
    retry_attempts=3,
    undelivered_after=0.0,  # three attempts are enough
    retry_first=1.0,
    retry_cap=60.0,
    lease=60.0,
    notice_fanout=2,
)
FAST = evolve(
    TIMING,
    durations=dict.fromkeys(TIMING.durations, 60.0),
    poll_first=0.02,
    poll_cap=0.1,
    poll_interval=0.005,
    retry_first=0.01,
    lease=5.0,
)
"""For tests on the real clock."""

START = 1_000_000.0
"""When a bench begins, in epoch seconds."""

Answer = Outcome | BaseException | Callable[[Order], Awaitable[Outcome]]
"""How a call ends: an outcome, an exception that the adapter raises, or a coroutine function that returns the outcome."""

Status = str | StatusRead | ReadFailed | BaseException | Callable[[Order], Awaitable[StatusRead | ReadFailed]]
"""How a poll ends: a status of the provider, or as ``Answer``."""


def _understand_visit(pairs: Sequence[tuple[str, str]]) -> Claim:
    return Claim("came", dict(pairs).get("who", ""))


@define(eq=False)
class Toy(BaseProvider):
    """The provider ``toy``.

    Tests queue its answers with ``answer`` and ``show``. ``calls`` and ``polls`` record what it was asked; ``call`` is the latest call. With
    ``marks_sending``, an answer marks it or not.
    """

    name: str = "toy"
    timing: Timing = TIMING
    calls: list[tuple[str, str]] = field(factory=list)  # effect and order id
    polls: list[tuple[str, float]] = field(factory=list)  # order id and time
    call: Call | None = None
    marks_sending: bool = False
    closed: bool = False
    now: Callable[[], float] = lambda: 0.0
    table: Table = ToyLifecycle.table
    endpoints: tuple[Endpoint, ...] = (
        Endpoint("came", ("GET",), _understand_visit),
        Endpoint("news", ("POST",), lambda _: Claim(None)),
        Endpoint("all", ("POST",), lambda _: Claim(None), shared=True),
    )
    status: Status = "new"
    _answers: dict[str, deque[Answer]] = field(factory=lambda: defaultdict(deque))
    _statuses: deque[Status] = field(factory=deque)

    def answer(self, effect: str, *answers: Answer) -> None:
        """Queue how the next calls of an effect end. Later calls succeed again."""
        self._answers[effect].extend(answers)

    def show(self, *statuses: Status) -> None:
        """Queue the results of the next polls. Later polls repeat the last one."""
        self._statuses.extend(statuses)

    def count_calls(self, effect: str) -> int:
        """How often an effect was carried out."""
        return sum(name == effect for name, _ in self.calls)

    def draft(self, request: Mapping[str, object]) -> Draft:
        return Draft({**self.table.defaults(), **request.get("facts", {})}, {})  # type: ignore[dict-item]

    def command(self, name: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        if name == "placement_resolved":
            if not arguments.get("number"):
                raise InvalidInput("number", "required")
            return {PROVIDER_ID: arguments["number"]}
        return dict(arguments)

    async def perform(self, call: Call, urls: PublicUrls) -> Outcome:
        self.call, effect, order = call, call.effect, call.order
        self.calls.append((effect, order.id))
        if not self._answers[effect]:
            return _default_outcome(effect, order)
        answer = self._answers[effect].popleft()
        if isinstance(answer, BaseException):
            raise answer
        return await answer(order) if callable(answer) else answer

    def customer_url(self, order: Order, urls: PublicUrls) -> str | None:
        return None

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        self.polls.append((order.id, self.now()))
        if self._statuses:
            self.status = self._statuses.popleft()
        if isinstance(self.status, BaseException):
            raise self.status
        status = await self.status(order) if callable(self.status) else self.status
        return StatusRead(status) if isinstance(status, str) else status

    async def close(self) -> None:
        self.closed = True


def toy_id(order: Order) -> str:
    """The toy's id of an order."""
    return f"T-{order.key}"


def _default_outcome(effect: str, order: Order) -> Outcome:
    if effect == "make_ready":
        return Succeeded("prepared")
    return Succeeded("order_placed", provider_id=toy_id(order)) if effect == "place" else NoResult("no hit")


class NoUrls:
    """No public URL."""

    def url(self, provider: str, purpose: str, order_id: str = "") -> str | None:
        return None


@define
class Bench:
    """An engine whose worker does not run. ``work`` does everything that is due now; ``clock.advance`` makes more due.

    ``notified`` collects what the listeners of ``listen`` were given.
    """

    engine: Engine
    toy: Toy
    clock: SimClock
    notified: list[StateEntered] = field(factory=list)

    @property
    def store(self) -> Store:
        """The store of the engine."""
        return self.engine.store

    def scope(self) -> WorkerScope:
        """What a worker could run now."""
        return scope_of(self.engine)

    # ── what a worker does ───────────────────────────────────────────────────────────────────────────────────────────────

    async def work(self, *, effects: bool = True, polls: bool = True) -> None:
        """Do what is due at this time, and what that makes due."""
        engine, busy = self.engine, True
        while busy:
            busy = False
            for deadline in await engine.deadlines.fetch(self.scope(), 10):
                await engine.deadlines.run(deadline)
                busy = True
            for attempt in await self.lease_all() if effects else ():
                await engine.outbox.run(attempt)
                busy = True
            for poll in await engine.poller.fetch(self.scope(), 10) if polls else ():
                await engine.poller.run(poll)
                busy = True

    async def work_after(self, seconds: float) -> None:
        """Let time pass, then do what is due."""
        self.clock.advance(seconds)
        await self.work()

    async def lease_all(self, limit: int = 10) -> list[Attempt]:
        """Lease the effects that are due, as a worker would."""
        return await self.engine.outbox.fetch(self.scope(), limit)

    async def lease(self) -> Attempt:
        """Lease the one effect that is due."""
        (attempt,) = await self.lease_all()
        return attempt

    async def lease_poll(self) -> LeasedPoll:
        """Lease the one poll that is due."""
        (poll,) = await self.engine.poller.fetch(self.scope(), 10)
        return poll

    async def fetch_deadline(self) -> DueDeadline:
        """The one deadline that is due."""
        (deadline,) = await self.engine.deadlines.fetch(self.scope(), 10)
        return deadline

    # ── what an application does ─────────────────────────────────────────────────────────────────────────────────────────

    async def create(self, key: str = "k", state: str = "placed", **facts: bool | str) -> Order:
        """A new order in ``state``: drafted, preparing, sending, in_doubt or placed."""
        draft = self.toy.draft({"facts": facts})
        now = self.clock.now()
        order = Order(f"toy-{key}", "toy", key, Snapshot("drafted", draft.facts, draft.data, 0), now, now)
        await self.store.create(order, "content")
        if state == "drafted":
            return order
        await self.accept(order.id, "order_it")
        if state == "sending":
            await self.engine.outbox.run(await self.lease())
        elif state != "preparing":
            if state == "in_doubt":
                self.toy.answer("place", InDoubt("reset"))
            await self.work()
        return await self.store.load(order.id)

    async def accept(self, order_id: str, name: str, origin: Origin = command, key: InboxKey | None = None, **more: Any) -> Decision:
        """Bring an event to the inbox; ``more`` are other fields of the event."""
        return (await self.engine.inbox.accept(order_id, Event(name, origin, **more), key)).decision

    async def override(self, order_id: str, target: str, version: int | None = None, provider_id: str | None = None) -> Decision:
        """Move an order as an operator, from its present version unless another one is given."""
        if version is None:
            version = (await self.store.load(order_id)).version
        inbox, more = self.engine.inbox, {"version": version, "provider_id": provider_id}
        return (await inbox.override(order_id, target, actor="kim", reason="ticket 7", **more)).decision  # type: ignore[arg-type]

    def listen(self, *states: str) -> None:
        """Collect the notifications of these states in ``notified``."""
        for state in states:
            self.engine.listeners.add("toy", state, self.notified.append)

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def state_of(self, order_id: str) -> str:
        """The order's state."""
        return (await self.store.load(order_id)).state

    async def events_of(self, order_id: str) -> list[str]:
        """The events in the order's journal, oldest first."""
        return [row.event for row in await self.store.journal(order_id)]

    async def refusals_of(self, order_id: str) -> dict[tuple[str, str], int]:
        """How often each (event, reason) was refused or ignored."""
        return {(row.event, row.reason.value): row.count for row in await self.store.refusals(order_id)}


def build_toy_engine(store: Store, toy: Toy, clock: Clock, dispatcher: Dispatcher | None = None) -> Engine:
    """An engine over a store that has the toy and nothing else."""
    return Engine(
        store=store,
        providers={toy.name: toy},
        urls=NoUrls(),
        dispatcher=dispatcher or LocalDispatcher(store),
        clock=clock,
        rng=random.Random(1),
        new_id=lambda: secrets.token_hex(10),
    )


@asynccontextmanager
async def open_bench(folder: Path, toy: Toy | None = None, *, store: Store | None = None, **timing: Any) -> AsyncIterator[Bench]:
    """A bench over ``store``, or over ``folder / "orders.db"``; opening that again is a restart. ``timing`` changes the toy's."""
    toy = toy or Toy()
    toy.timing = evolve(toy.timing, **timing)
    clock = SimClock(start=START, manual=True)
    toy.now = clock.now
    store = store or make_store(f"sqlite:///{folder / 'orders.db'}")
    await store.open()
    try:
        yield Bench(build_toy_engine(store, toy, clock), toy, clock)
    finally:
        await store.close()
