"""Manners towards providers: shares of their limits, a pause where nobody answers, silence where one asks for it.

The rules alone first, then the engine that keeps them, under a clock that jumps: a minute of limits takes no minute.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import pytest
import structlog
from attrs import define, evolve, field
from structlog.testing import capture_logs
from tests.kit.toy import TIMING, Toy, bench

from orderflow.app import Orderflow
from orderflow.engine.admission import Admission, throttle_seconds
from orderflow.model import Order, StateEntered
from orderflow.provider.outcomes import InDoubt, NoResult, NotExecuted, Outcome, ReadFailed, Rejected, Signal, StatusRead, Succeeded
from orderflow.provider.protocol import PublicUrls
from orderflow.provider.timing import Timing
from orderflow.store.records import DueDeadline, WorkerScope
from tests.kit.inline_store import InlineStore
from tests.kit.virtual_time import VirtualClock, run_virtually

T = TypeVar("T")
ANSWERS: Mapping[str, Outcome | StatusRead | ReadFailed] = {
    "happened": Succeeded("x"),
    "declined": Rejected("400"),
    "no hit": NoResult("none"),
    "seen": StatusRead("new"),
    "not ready": ReadFailed("404"),
    "401": NotExecuted("401"),
}
UNCALLED: Mapping[str, Outcome] = {
    "user gone": Rejected("no token", signal=Signal.NOT_CALLED),
    "no token now": NotExecuted("the host raised", signal=Signal.NOT_CALLED),
}
SILENCES: Mapping[str, Outcome | ReadFailed] = {
    "in doubt": InDoubt("reset"),
    "not sent": NotExecuted("refused", signal=Signal.UNREACHABLE),
    "unread": ReadFailed("502", signal=Signal.UNREACHABLE),
}
BUSY = (NotExecuted("429", 50.0, signal=Signal.THROTTLED), ReadFailed("429", 50.0, signal=Signal.THROTTLED))


def admission(**timing: float | int) -> Admission:
    return Admission({"toy": evolve(TIMING, **timing)}, lambda: None)


def room(polite: Admission, now: float) -> int:
    """How many of 32 calls may be begun to a provider that is not paused."""
    return min(32, polite.quotas(now).get("toy", 32))


def called(polite: Admission, outcome: Outcome | StatusRead | ReadFailed, now: float) -> None:
    polite.begun("toy", now)
    polite.answered("toy", outcome, now)
    polite.ended("toy")


# ── shares ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(20))
def test_no_second_and_no_minute_holds_more_than_its_share_and_nothing_is_wasted(seed: int) -> None:
    """Held against all calls ever begun, at moments drawn so that windows open and shut between and upon them."""
    rng = random.Random(seed)
    per_second, per_minute = rng.randint(1, 5), rng.randint(3, 40)
    polite, now, begun = admission(calls_per_second=per_second, calls_per_minute=per_minute), 1e9, list[float]()
    for _ in range(600):
        free = min(most - sum(at + seconds > now for at in begun) for most, seconds in ((per_second, 1), (per_minute, 60)))
        assert ("toy" in polite.paused(now)) == (free <= 0)
        assert room(polite, now) == (min(free, 32) if free > 0 else 32)
        if free > 0 and rng.random() < 0.8:
            begun.append(now)
            called(polite, Succeeded("x"), now)
        elif free <= 0:
            opens = polite.until(now)
            assert opens is not None
            assert "toy" in polite.paused((now + opens) / 2)
            assert "toy" not in polite.paused(opens)
            now = opens
        now += rng.choice([0.0, 0.0, 0.125, 0.25, 1.0])


@pytest.mark.parametrize("share", [0.2, 0.999, 1e-9])
def test_the_smallest_share_is_one_call(share: float) -> None:
    polite = admission(calls_per_minute=share)
    assert room(polite, 0.0) == 1
    called(polite, Succeeded("x"), 0.0)
    assert (polite.paused(59.9), polite.paused(60.0)) == ({"toy"}, frozenset())


def test_without_limits_nothing_is_counted() -> None:
    polite = admission()
    for _ in range(10_000):
        called(polite, Succeeded("x"), 0.0)
    assert (polite.paused(0.0), room(polite, 0.0), polite.until(0.0)) == (frozenset(), 32, None)


# ── outages ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("silence", SILENCES.values(), ids=SILENCES)
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_so_many_calls_in_a_row_without_an_answer_make_a_pause_and_one_answer_ends_it(
    silence: Outcome | ReadFailed, answer: Outcome | StatusRead | ReadFailed
) -> None:
    polite = admission(circuit_threshold=3, circuit_pause=10.0)
    for outcome in (silence, silence, answer, silence, silence):  # never three in a row
        called(polite, outcome, 0.0)
    assert (polite.paused(0.0), room(polite, 0.0)) == (frozenset(), 32)
    called(polite, silence, 0.0)
    assert (polite.paused(9.9), polite.until(0.0)) == ({"toy"}, 10.0)
    assert (polite.paused(10.0), room(polite, 10.0)) == (frozenset(), 1)
    polite.begun("toy", 10.0)
    assert (polite.paused(99.0), polite.until(99.0)) == ({"toy"}, None)  # one at a time, however long it takes
    polite.answered("toy", silence, 99.0)
    polite.ended("toy")
    assert (polite.paused(108.9), polite.paused(109.0), room(polite, 109.0)) == ({"toy"}, frozenset(), 1)
    called(polite, answer, 109.0)
    assert (polite.paused(109.0), room(polite, 109.0)) == (frozenset(), 32)


def test_every_short_story_of_calls_keeps_one_call_at_a_time_until_an_answer() -> None:
    """Every sequence of seven ends, of calls made whenever they may be."""
    for story in itertools.product("ASBU", repeat=7):  # answered, silence, busy, never_called
        polite, now, in_a_row, careful = admission(circuit_threshold=3, circuit_pause=10.0), 0.0, 0, False
        for word in story:
            now = polite.until(now) or now
            assert room(polite, now) == (1 if careful else 32), story
            polite.begun("toy", now)
            assert ("toy" in polite.paused(now)) == careful, story
            polite.answered("toy", {"A": Succeeded("x"), "S": InDoubt("cut"), "B": BUSY[0], "U": UNCALLED["user gone"]}[word], now)
            polite.ended("toy")
            in_a_row = {"S": in_a_row + 1, "U": in_a_row}.get(word, 0)
            careful = word == "B" or in_a_row >= 3 or (careful and word != "A")
            pause = {"B": 50.0, "S": 10.0 if in_a_row >= 3 else 0.0}.get(word, 0.0)
            assert polite.until(now) == (now + pause if pause else None), story


@pytest.mark.anyio
@pytest.mark.parametrize("never_called", UNCALLED.values(), ids=UNCALLED)
async def test_who_was_not_called_is_not_taken_for_well_again(tmp_path: Path, never_called: Outcome) -> None:
    """The provider is away still: of ten once-effects one at a time may go into doubt, not all the rest at once."""
    async with bench(tmp_path, circuit_threshold=1, circuit_pause=50.0, poll_first=1e6) as made:
        made.toy.will("place", InDoubt("cut"), never_called, never_called)
        for n in range(10):
            await made.new(str(n), state="preparing")
        for effect in await made.effects.due(10):
            await made.effects.carry_out(effect)
        made.clock.advance(1.0)  # what the first one owes then comes after the others
        (first,) = await made.effects.due(1)
        await made.effects.carry_out(first)
        made.clock.advance(50.0)
        for _ in range(2):  # the next one may be tried at once
            (careful,) = await made.effects.due(10)
            await made.effects.carry_out(careful)
            assert made.inbox.admission.troubles == {"toy": "does not answer"}
        (careful,) = await made.effects.due(10)
        await made.effects.carry_out(careful)
        assert made.inbox.admission.troubles == {}
        assert len(await made.effects.due(10)) > 1


@pytest.mark.anyio
async def test_an_outage_neither_stops_deadlines_nor_deafens_the_host(tmp_path: Path) -> None:
    async with bench(tmp_path, circuit_threshold=1, circuit_pause=1e6) as made:
        made.add_listeners("lapsed", "placed")
        order = await made.new()
        made.toy.shows(ReadFailed("502", signal=Signal.UNREACHABLE))
        await made.after(10)
        await made.after(1000)
        assert [told.state for told in made.told] == ["placed", "lapsed"]
        assert (await made.state(order.id), len(made.toy.reads)) == ("lapsed", 1)


def test_trouble_is_said_once_an_outage_whatever_the_story() -> None:
    """Every sequence of five ends: answered, unauthorized (401), a user unauthorized (e), paused, busy (429), never_called."""
    ends = {
        "A": Succeeded("x"),
        "D": NotExecuted("401", signal=Signal.UNAUTHORIZED),
        "e": NotExecuted("401"),
        "S": InDoubt("cut"),
        "B": BUSY[0],
    }
    ends |= {"U": UNCALLED["no token now"]}
    structlog.reset_defaults()
    for story in itertools.product(ends, repeat=5):
        polite, now, in_a_row, unauthorized, said = admission(circuit_threshold=2, circuit_pause=10.0), 0.0, 0, 0, list[str]()
        with capture_logs() as logs:
            for word in story:
                now = polite.until(now) or now
                called(polite, ends[word], now)
                in_a_row = {"S": in_a_row + 1, "U": in_a_row}.get(word, 0)
                unauthorized = {"A": 0, "D": unauthorized + 1}.get(word, unauthorized)
                trouble = "refuses our credentials" if unauthorized >= 2 else "does not answer" if in_a_row >= 2 else ""
                assert polite.troubles == ({"toy": trouble} if trouble else {}), story
                said += [trouble] if trouble != (said or [""])[-1] else []
        assert [line.get("why", "") for line in logs] == said, story
        assert {line["log_level"] for line in logs if "why" in line} <= {"warning"}
        assert {line["event"] for line in logs} <= {"provider.in_trouble", "provider.well_again"}


# ── 429 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.anyio
@pytest.mark.parametrize("by", ["effect", "read"])
@pytest.mark.parametrize(("said", "silence"), [(50.0, 50.0), (0.0, 1.0), (None, 30.0)], ids=["said", "at once", "not said"])
async def test_a_429_silences_every_process_until_the_moment(tmp_path: Path, by: str, said: float | None, silence: float) -> None:
    async with bench(tmp_path, throttle=30.0, poll_cap=10.0) as here, bench(tmp_path) as there:
        order = await here.new("first")
        if by == "effect":
            here.toy.will("place", NotExecuted("429", said, signal=Signal.THROTTLED))
            order = await here.new("second")
        else:
            here.clock.advance(10)
            here.toy.shows(ReadFailed("429", said, signal=Signal.THROTTLED), "new")
            await here.work()
        until = here.clock.now() + silence
        there.clock.advance(here.clock.now() - there.clock.now() + silence - 0.5)
        await there.inbox.heed(1.0)
        other = await there.new("third")
        assert (there.toy.calls, there.toy.reads, there.inbox.admission.until(there.clock.now())) == ([], [], until)
        before = len(here.toy.calls) + len(here.toy.reads)
        await here.after(silence - 0.5)
        assert len(here.toy.calls) + len(here.toy.reads) == before
        for made in (there, here):
            await made.after(0.5)
            await made.after(10)
        assert [await there.state(one) for one in (order.id, other.id)] == ["placed", "placed"]


def test_an_answer_from_before_a_429_does_not_end_the_wait() -> None:
    polite = admission()
    for _ in range(2):
        polite.begun("toy", 0.0)
    for outcome in (BUSY[1], Succeeded("x")):
        polite.answered("toy", outcome, 1.0)
        polite.ended("toy")
    assert (polite.paused(50.9), polite.paused(51.0), room(polite, 51.0)) == ({"toy"}, frozenset(), 1)


@pytest.mark.anyio
async def test_another_process_is_asked_about_once_a_poll_and_no_more(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.inbox.heed(5.0)
        await made.store.throttle("toy", made.clock.now() + 100)
        made.clock.advance(4.9)
        await made.inbox.heed(5.0)
        assert made.inbox.scope.paused == frozenset()
        made.clock.advance(0.1)
        await made.inbox.heed(5.0)
        assert made.inbox.scope.paused == {"toy"}


@pytest.mark.anyio
async def test_an_hour_of_429_costs_no_attempt_of_the_budget(tmp_path: Path) -> None:
    """Three attempts are the budget. Sixty throttled ones later all three are still there."""
    busy, gone = NotExecuted("429", 60.0, signal=Signal.THROTTLED), NotExecuted("refused")
    async with bench(tmp_path) as made:
        made.toy.will("place", *[busy] * 30, gone, *[busy] * 30, gone)
        order = await made.new()
        for _ in range(62):
            assert await made.state(order.id) == "sending"
            await made.after(60)
        assert (await made.state(order.id), made.toy.called("place")) == ("placed", 63)
        made.toy.will("place", *[busy] * 9, *[gone] * 3)
        order = await made.new("spent")
        for _ in range(20):
            await made.after(60)
        assert (await made.state(order.id), made.toy.called("place")) == ("refused", 63 + 12)


@pytest.mark.anyio
async def test_after_a_429_one_call_asks_whether_it_is_over(tmp_path: Path) -> None:
    async with bench(tmp_path, poll_first=1e6, retry_cap=1.0) as made:
        made.toy.will("place", *[NotExecuted("429", 60.0, signal=Signal.THROTTLED)] * 3)
        for n in range(20):
            await made.new(str(n), state="preparing")
        await made.work()
        first = made.toy.called("place")
        for again in range(1, 3):
            await made.after(60)
            if first + again < 3:
                assert made.toy.called("place") == first + again
        await made.after(60)
        assert {order.state for order in await made.store.orders()} == {"placed"}


# ── the worker ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class CountingStore(InlineStore):
    """Says how often the worker looked."""

    looks = 0

    async def due_deadlines(self, now: float, scope: WorkerScope, limit: int) -> list[DueDeadline]:
        self.looks += 1
        return await super().due_deadlines(now, scope, limit)

    async def throttle(self, provider: str, until: float) -> None:
        await asyncio.sleep(0.01)  # others go on meanwhile, as with a real database
        await super().block(provider, until)


@define(eq=False)
class Timed(Toy):
    """Keeps when each call began, and takes its time. Virtual time knows no threads: who listens is async."""

    clock: VirtualClock = field(factory=VirtualClock)
    begun: list[float] = field(factory=list)
    longest: int = 0
    _under_way: int = 0

    async def perform(self, effect: str, order: Order, links: PublicUrls) -> Outcome:
        return await self._take_time(super().perform(effect, order, links))

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        return await self._take_time(super().fetch_status(order))

    async def _take_time(self, answer: Awaitable[T]) -> T:
        self.begun.append(self.clock.now())
        self._under_way += 1
        self.longest = max(self.longest, self._under_way)
        await self.clock.sleep(0.05)
        self._under_way -= 1
        return await answer


def at_work(timing: Timing, story: Callable[[Orderflow, Timed, CountingStore], Awaitable[None]]) -> None:
    """A story with a worker whose poll is a day: only what wakes it moves anything."""

    async def main() -> None:
        store, toy = CountingStore(), Timed(timing=timing)
        toy.now = toy.clock.now
        rng = random.Random(1)
        async with Orderflow(store, [toy], worker=True, fetch_interval=86400.0, clock=toy.clock, rng=rng) as flow:
            await story(flow, toy, store)
        store.connection.close()

    run_virtually(main())


async def order_all(flow: Orderflow, count: int, provider: str = "toy") -> list[Order]:
    orders = [await flow.create(provider, key=str(n)) for n in range(count)]
    for order in orders:
        await flow.send(order.id, "order_it")
    return orders


def test_a_worker_begins_no_more_than_its_share_in_any_second_or_minute_and_does_not_spin() -> None:
    timing = evolve(TIMING, calls_per_second=10, calls_per_minute=150, poll_first=1e6)

    async def story(flow: Orderflow, toy: Timed, store: CountingStore) -> None:
        began = toy.clock.now()
        for order in await order_all(flow, 200):
            await flow.wait(order.id, "placed", 1000)
        assert len(toy.begun) == 400
        assert 120 <= toy.clock.now() - began < 136  # 150 in each of two minutes, the rest at ten a second
        for order in await flow.orders(limit=200):
            await flow.refresh(order.id)  # so that two hundred reads are due at once
        while len(toy.begun) < 600:
            await toy.clock.sleep(1.0)
        at = toy.begun
        for most, seconds in ((10, 1.0), (150, 60.0)):
            assert max(sum(one <= other < one + seconds for other in at) for one in at) == most
        assert store.looks < 3 * len(at)

    at_work(timing, story)


@pytest.mark.parametrize("first", ["toy", "slow"])
@pytest.mark.parametrize("kind", ["effects", "reads"])
def test_a_careful_provider_neither_narrows_the_others_nor_waits_for_them(first: str, kind: str) -> None:
    """Hundreds of orders of each are due, those of one for longer; one of the two may be called once a second."""
    unlimited = evolve(TIMING, poll_first=1e6)
    toy, slow, store = Timed(timing=unlimited), Timed(name="slow", timing=unlimited), CountingStore()
    clock = slow.clock = toy.clock
    toy.now = slow.now = clock.now

    def flow(*, worker: bool) -> Orderflow:
        return Orderflow(store, [toy, slow], worker=worker, fetch_interval=86400.0, clock=clock, rng=random.Random(1))

    async def all_due(desk: Orderflow) -> None:
        count = {"toy": 800, "slow": 200}
        due = []
        for name in sorted(count, key=lambda name: name != first):
            due.append(await order_all(desk, count[name], name))
            await clock.sleep(1.0)
        if kind == "reads":
            async with flow(worker=True) as worker:
                await asyncio.gather(*(worker.wait(order.id, "placed", 1000) for order in itertools.chain(*due)))
            for orders in due:
                await clock.sleep(10.0)
                for order in orders:
                    await desk.refresh(order.id)

    async def main() -> None:
        async with flow(worker=False) as desk:
            await all_due(desk)
        slow.timing = evolve(unlimited, calls_per_second=1)
        began, looks, calls = clock.now(), store.looks, 1600 if kind == "effects" else 800
        toy.begun, slow.begun, toy.longest = [], [], 0
        async with flow(worker=True):
            while len(toy.begun) < calls:
                await clock.sleep(0.05)
            lasted = clock.now() - began
            assert (toy.longest, len(slow.begun)) == (32, math.ceil(lasted)), lasted  # one each second all the while
            assert lasted < calls * 0.05 / 32 + 0.5
            assert store.looks - looks < calls / 8
            await clock.sleep(10.0)
        assert max(sum(one <= other < one + 1.0 for other in slow.begun) for one in slow.begun) == 1
        store.connection.close()

    run_virtually(main())


def test_the_host_is_told_while_the_share_is_used_up() -> None:
    timing = evolve(TIMING, calls_per_minute=20, poll_first=1e6)

    async def story(flow: Orderflow, toy: Timed, store: CountingStore) -> None:
        told: list[StateEntered] = []

        async def hear(one: StateEntered) -> None:
            told.append(one)

        flow.on_entered("toy", "preparing", hear)
        began = toy.clock.now()
        await order_all(flow, 50)
        while len(told) < 50:
            await toy.clock.sleep(0.1)
        assert (len(toy.begun), toy.clock.now() - began < 2) == (20, True)  # telling is no call

    at_work(timing, story)


@pytest.mark.parametrize("trouble", [NotExecuted("429", 50.0, signal=Signal.THROTTLED), InDoubt("cut")], ids=["busy", "outage"])
def test_a_worker_neither_sleeps_past_the_end_of_a_silence_nor_looks_while_it_lasts(trouble: Outcome) -> None:
    timing = evolve(TIMING, circuit_threshold=1, circuit_pause=50.0, poll_first=1e6)

    async def story(flow: Orderflow, toy: Timed, store: CountingStore) -> None:
        toy.will("make_ready", trouble)
        (order,) = await order_all(flow, 1)
        await toy.clock.sleep(1)
        looks, began = store.looks, toy.clock.now()
        await toy.clock.sleep(48)
        assert store.looks - looks <= 2  # a repeatable effect's own retry falls due meanwhile
        await flow.wait(order.id, "placed", 1000)
        assert 49 <= toy.clock.now() - began < 52

    at_work(timing, story)


def test_after_an_outage_one_call_at_a_time_is_under_way_until_one_is_answered() -> None:
    timing = evolve(TIMING, circuit_threshold=1, circuit_pause=50.0, poll_first=1e6, retry_attempts=99)

    async def story(flow: Orderflow, toy: Timed, store: CountingStore) -> None:
        toy.will("make_ready", *[InDoubt("cut")] * 35)
        orders = await order_all(flow, 100)
        await toy.clock.sleep(49)
        first, toy.longest = len(toy.begun), 0
        assert first <= 32
        await toy.clock.sleep(50 * (35 - first))
        assert (len(toy.begun), toy.longest) == (35, 1)
        await asyncio.gather(*(flow.wait(order.id, "placed", 5000) for order in orders))
        assert toy.longest > 10

    at_work(timing, story)


@pytest.mark.parametrize(("said", "waited"), [(None, 30.0), (0.0, 1.0), (50.0, 50.0), (1e9, 3600.0)])
def test_nobody_is_silenced_for_longer_than_an_hour(said: float | None, waited: float) -> None:
    assert throttle_seconds(Timing(durations={}), said) == waited
