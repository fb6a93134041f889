"""A provider for tests of the engine: a small lifecycle with every feature, and an adapter that does what the test says.

``Toy`` is a provider like any other: the engine under test is the real one, on a real database. ``Bench`` is that engine without its
loop, under a clock that the test advances, so that nothing has to be waited for. No test lives here.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from orderflow.dispatch.local import LocalDispatcher
from orderflow.engine.deadlines import Deadlines
from orderflow.engine.inbox import Inbox
from orderflow.engine.listeners import Listeners
from orderflow.engine.outbox import Outbox
from orderflow.engine.polling import Poller
from orderflow.errors import InvalidInput
from orderflow.lifecycle.declare import Fact, Flag, Lifecycle, State, assumed, once, reading, repeatable
from orderflow.lifecycle.declare import edge as declared_edge
from orderflow.lifecycle.table import Table
from orderflow.model import PROVIDER_ID, Cause, Decision, Event, Order, Origin, Snapshot, StateEntered
from orderflow.provider.endpoints import Claim, Endpoint
from orderflow.provider.outcomes import InDoubt, NoResult, Outcome, ReadFailed, StatusRead, Succeeded
from orderflow.provider.protocol import BaseProvider, Draft, PublicUrls
from orderflow.provider.timing import Timing
from orderflow.simulators import SimClock
from orderflow.store.ports import Store
from orderflow.store.records import DueDeadline, InboxKey, LeasedEffect, LeasedPoll
from orderflow.store.urls import make_store

command, reply, observation, claim, clock, operator = Origin


def edge(origin: Origin, transitions: Any, **more: Any) -> Any:
    """An edge whose cause, evidence and label do not matter here."""
    return declared_edge(origin, transitions, cause=Cause.US, evidence=assumed("a test"), label="moves", **more)


class ToyLifecycle(Lifecycle, name="toy"):
    # fmt: off
    drafted   = State(initial=True)
    preparing = State()
    sending   = State()
    in_doubt  = State(budget="doubt")
    placed    = State(deadlines={"nobody_came": "patience"}, budget="patience")
    waiting   = State(deadlines={"nobody_came": "patience", "reminded": "reminder"})
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
    make_ready = repeatable(kind="preparation")
    place      = once(kind="placement")
    look_up    = repeatable()

    order_it                = edge(command, drafted.to(preparing), effects=[make_ready])
    prepared                = edge(reply, preparing.to(sending), effects=[place])
    preparation_refused     = edge(reply, preparing.to(refused))
    preparation_undelivered = edge(reply, preparing.to(refused))
    order_placed            = edge(reply, placed.from_(sending, in_doubt))
    placement_refused       = edge(reply, refused.from_(sending, in_doubt))
    placement_undelivered   = edge(reply, sending.to(refused))
    placement_answer_lost   = edge(reply, sending.to(in_doubt), effects=[look_up])
    placement_found         = edge(reply, in_doubt.to(placed))
    placement_resolved      = edge(operator, in_doubt.to(placed))
    placement_given_up      = edge(operator, in_doubt.to(abandoned))
    came                    = edge(claim, placed.to(waiting))
    nobody_came             = edge(clock, lapsed.from_(placed, waiting))
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

Answer = Outcome | BaseException | Callable[[Order], Awaitable[Outcome]]
Word = str | StatusRead | ReadFailed | BaseException | Callable[[Order], Awaitable[StatusRead | ReadFailed]]


def _query(pairs: Sequence[tuple[str, str]]) -> Claim:
    return Claim("came", dict(pairs).get("who", ""))


@define(eq=False)
class Toy(BaseProvider):
    """The provider ``toy``. What it answers is queued with ``will`` and ``shows``; ``calls`` and ``reads`` say what it was asked."""

    name: str = "toy"
    timing: Timing = TIMING
    calls: list[tuple[str, str]] = field(factory=list)  # effect and order id
    reads: list[tuple[str, float]] = field(factory=list)  # order id and when
    closed: bool = False
    now: Callable[[], float] = lambda: 0.0
    table: Table = ToyLifecycle.table
    endpoints: tuple[Endpoint, ...] = (
        Endpoint("came", ("GET",), _query),
        Endpoint("news", ("POST",), lambda _: Claim(None)),
        Endpoint("all", ("POST",), lambda _: Claim(None), shared=True),
    )
    _answers: dict[str, deque[Answer]] = field(factory=lambda: defaultdict(deque))
    _words: deque[Word] = field(factory=deque)
    word: Word = "new"

    def will(self, effect: str, *answers: Answer) -> None:
        """What the next calls of an effect end in; then it goes well again."""
        self._answers[effect].extend(answers)

    def shows(self, *words: Word) -> None:
        """What the next reads say; the last one stands for all later ones."""
        self._words.extend(words)

    def called(self, effect: str) -> int:
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

    async def perform(self, effect: str, order: Order, links: PublicUrls) -> Outcome:
        self.calls.append((effect, order.id))
        if not self._answers[effect]:
            return _well(effect, order)
        answer = self._answers[effect].popleft()
        if isinstance(answer, BaseException):
            raise answer
        return await answer(order) if callable(answer) else answer

    def customer_url(self, order: Order, links: PublicUrls) -> str | None:
        return None

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        self.reads.append((order.id, self.now()))
        if self._words:
            self.word = self._words.popleft()
        if isinstance(self.word, BaseException):
            raise self.word
        word = await self.word(order) if callable(self.word) else self.word
        return StatusRead(word) if isinstance(word, str) else word

    async def close(self) -> None:
        self.closed = True


def number(order: Order) -> str:
    """The toy's id of an order."""
    return f"T-{order.key}"


def _well(effect: str, order: Order) -> Outcome:
    if effect == "make_ready":
        return Succeeded("prepared")
    return Succeeded("order_placed", provider_id=number(order)) if effect == "place" else NoResult("no hit")


class NoLinks:
    """No public URL."""

    def url(self, provider: str, purpose: str, order_id: str = "") -> str | None:
        return None


@define
class Bench:
    """An engine without its loop. ``work`` does everything that is due now; ``clock.advance`` makes more due."""

    store: Store
    toy: Toy
    clock: SimClock
    listeners: Listeners
    inbox: Inbox
    effects: Outbox
    reader: Poller
    deadlines: Deadlines
    told: list[StateEntered]

    async def work(self, *, effects: bool = True, reads: bool = True) -> None:
        """Do what is due at this moment, and what that makes due."""
        busy = True
        while busy:
            busy = False
            for due in await self.deadlines.due(10):
                await self.deadlines.bring(due)
                busy = True
            for effect in await self.effects.due(10) if effects else ():
                await self.effects.carry_out(effect)
                busy = True
            for read in await self.reader.due(10) if reads else ():
                await self.reader.read(read)
                busy = True

    async def after(self, seconds: float) -> None:
        """Let so much time pass, then do what is due."""
        self.clock.advance(seconds)
        await self.work()

    async def lease(self) -> LeasedEffect:
        """Take the one effect that is due, as a worker would."""
        (effect,) = await self.effects.due(10)
        return effect

    async def lease_read(self) -> LeasedPoll:
        """Take the one read that is due."""
        (read,) = await self.reader.due(10)
        return read

    async def due_deadline(self) -> DueDeadline:
        """The one deadline that is due."""
        (deadline,) = await self.deadlines.due(10)
        return deadline

    async def new(self, key: str = "k", state: str = "placed", **facts: bool | str) -> Order:
        """An order that has come as far as ``state``: drafted, preparing, sending, in_doubt, placed, or by override elsewhere."""
        draft = self.toy.draft({"facts": facts})
        now = self.clock.now()
        order = Order(f"toy-{key}", "toy", key, Snapshot("drafted", draft.facts, draft.data, 0), now, now)
        await self.store.create(order, "content")
        if state == "drafted":
            return order
        await self.tell(order.id, "order_it")
        if state == "preparing":
            return await self.store.load(order.id)
        if state == "sending":
            await self.effects.carry_out(await self.lease())
            return await self.store.load(order.id)
        if state == "in_doubt":
            self.toy.will("place", InDoubt("reset"))
        await self.work()
        return await self.store.load(order.id)

    async def tell(self, order_id: str, name: str, origin: Origin = command, key: InboxKey | None = None, **more: Any) -> Decision:
        """An event through the inbox."""
        return (await self.inbox.accept(order_id, Event(name, origin, **more), key)).decision

    async def state(self, order_id: str) -> str:
        """Where the order stands."""
        return (await self.store.load(order_id)).state

    async def path(self, order_id: str) -> list[str]:
        """The events of its journal."""
        return [row.event for row in await self.store.journal(order_id)]

    async def reasons(self, order_id: str) -> dict[tuple[str, str], int]:
        """(event, reason) of its refusals, counted."""
        return {(row.event, row.reason.value): row.count for row in await self.store.refusals(order_id)}

    def add_listeners(self, *states: str) -> None:
        """Keep what the host is told of these states in ``told``."""
        for state in states:
            self.listeners.add("toy", state, self.told.append)


@asynccontextmanager
async def bench(folder: Path, toy: Toy | None = None, **timing: Any) -> AsyncIterator[Bench]:
    """An engine over ``folder / "orders.db"`` at a quiet moment; entering it again is a restart."""
    toy = toy or Toy()
    toy.timing = evolve(toy.timing, **timing)
    clock = SimClock(start=1_000_000.0, manual=True)
    toy.now = clock.now
    store, listeners = make_store(f"sqlite:///{folder / 'orders.db'}"), Listeners()
    rng = random.Random(1)
    inbox = Inbox(store, {toy.name: toy}, listeners, clock, rng)
    await store.open()
    try:
        yield Bench(
            store, toy, clock, listeners, inbox, Outbox(inbox, NoLinks(), LocalDispatcher(store)), Poller(inbox, rng), Deadlines(inbox), []
        )
    finally:
        await store.close()
