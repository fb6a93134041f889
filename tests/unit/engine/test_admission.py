"""Admission: whether a provider may be called now. Rate limits, the circuit breaker and 429 together.

First the rules alone, then with an engine, under a clock that the test advances.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from pathlib import Path

import pytest
import structlog
from attrs import evolve
from structlog.testing import capture_logs
from tests.kit.inline_store import InlineStore
from tests.kit.toy import TIMING, Bench, open_bench

from orderflow._engine.admission import Admission, throttle_seconds
from orderflow._engine.shared_standings import SharedStandings
from orderflow._provider.outcomes import InDoubt, NoResult, NotExecuted, Outcome, ReadFailed, Rejected, Signal, StatusRead, Succeeded
from orderflow._provider.timing import Timing
from orderflow._store.records import StoredStanding
from orderflow.simulators import SimClock

CallOutcome = Outcome | StatusRead | ReadFailed
ANSWERS: Mapping[str, CallOutcome] = {
    "succeeded": Succeeded("x"),
    "rejected": Rejected("400"),
    "no result": NoResult("none"),
    "status": StatusRead("new"),
    "not ready": ReadFailed("404"),
    "401": NotExecuted("401"),
}
NOT_CALLED: Mapping[str, Outcome] = {
    "the user is gone": NotExecuted("no token", signal=Signal.NOT_CALLED, permanent=True),
    "no token now": NotExecuted("the token source raised", signal=Signal.NOT_CALLED),
}
FAILURES: Mapping[str, Outcome | ReadFailed] = {
    "in doubt": InDoubt("reset"),
    "not sent": NotExecuted("refused", signal=Signal.UNREACHABLE),
    "poll failed": ReadFailed("502", signal=Signal.UNREACHABLE),
    "not ours": NotExecuted("403", signal=Signal.FOREIGN),
    "a page": ReadFailed("a page", signal=Signal.FOREIGN),
}
THROTTLED = NotExecuted("429", 50.0, signal=Signal.THROTTLED)
POLL_THROTTLED = ReadFailed("429", 50.0, signal=Signal.THROTTLED)
UNLIMITED = 32  # as many calls as a worker begins at once


def new_admission(**timing: float | int) -> Admission:
    return Admission({"toy": evolve(TIMING, **timing)}, lambda: None)


def quota_of(admission: Admission, now: float) -> int:
    """How many of a worker's 32 calls may begin to a provider that is not paused."""
    return min(UNLIMITED, admission.quotas(now).get("toy", UNLIMITED))


def call(admission: Admission, outcome: CallOutcome, now: float) -> None:
    """One call, from beginning to end."""
    admission.begin_call("toy", now)
    admission.record("toy", outcome, now)
    admission.end_call("toy")


# ── rate limits ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(20))
def test_a_provider_is_paused_exactly_while_its_quota_is_used_up(seed: int) -> None:
    """Compared with a count over all calls, at times drawn so that windows open and close between and exactly at them."""
    rng = random.Random(seed)
    per_second, per_minute = rng.randint(1, 5), rng.randint(3, 40)
    admission, now, begun = new_admission(calls_per_second=per_second, calls_per_minute=per_minute), 1e9, list[float]()
    for _ in range(600):
        free = min(most - sum(at + seconds > now for at in begun) for most, seconds in ((per_second, 1), (per_minute, 60)))
        assert ("toy" in admission.find_paused(now)) == (free <= 0)
        assert quota_of(admission, now) == (min(free, UNLIMITED) if free > 0 else UNLIMITED)
        if free > 0 and rng.random() < 0.8:
            begun.append(now)
            call(admission, Succeeded("x"), now)
        elif free <= 0:
            opening = admission.next_resume_at(now)
            assert opening is not None
            assert "toy" in admission.find_paused((now + opening) / 2)
            assert "toy" not in admission.find_paused(opening)
            now = opening
        now += rng.choice([0.0, 0.0, 0.125, 0.25, 1.0])


@pytest.mark.parametrize("calls_per_minute", [0.2, 0.999, 1e-9])
def test_the_smallest_quota_is_one_call(calls_per_minute: float) -> None:
    admission = new_admission(calls_per_minute=calls_per_minute)
    assert quota_of(admission, 0.0) == 1
    call(admission, Succeeded("x"), 0.0)
    assert (admission.find_paused(59.9), admission.find_paused(60.0)) == ({"toy"}, frozenset())


def test_without_limits_calls_are_not_counted() -> None:
    admission = new_admission()
    for _ in range(10_000):
        call(admission, Succeeded("x"), 0.0)
    assert (admission.find_paused(0.0), quota_of(admission, 0.0), admission.next_resume_at(0.0)) == (frozenset(), UNLIMITED, None)


# ── a provider that does not answer ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_so_many_failures_in_a_row_pause_a_provider_and_one_answer_ends_it(failure: Outcome | ReadFailed, answer: CallOutcome) -> None:
    admission = new_admission(circuit_threshold=3, circuit_pause=10.0)
    for outcome in (failure, failure, answer, failure, failure):  # never three in a row
        call(admission, outcome, 0.0)
    assert (admission.find_paused(0.0), quota_of(admission, 0.0)) == (frozenset(), UNLIMITED)
    call(admission, failure, 0.0)
    assert (admission.find_paused(9.9), admission.next_resume_at(0.0)) == ({"toy"}, 10.0)
    assert (admission.find_paused(10.0), quota_of(admission, 10.0)) == (frozenset(), 1)
    admission.begin_call("toy", 10.0)
    assert (admission.find_paused(99.0), admission.next_resume_at(99.0)) == ({"toy"}, None)  # one at a time, however long it takes
    admission.record("toy", failure, 99.0)
    admission.end_call("toy")
    assert (admission.find_paused(108.9), admission.find_paused(109.0), quota_of(admission, 109.0)) == ({"toy"}, frozenset(), 1)
    call(admission, answer, 109.0)
    assert (admission.find_paused(109.0), quota_of(admission, 109.0)) == (frozenset(), UNLIMITED)


def test_after_a_pause_one_call_at_a_time_is_in_progress_until_an_answer() -> None:
    """Every sequence of seven outcomes, each call made as soon as it may begin."""
    outcomes = {"answered": Succeeded("x"), "failed": InDoubt("cut"), "throttled": THROTTLED, "not called": NOT_CALLED["the user is gone"]}
    for story in itertools.product(outcomes, repeat=7):
        admission, now, in_a_row, one_at_a_time = new_admission(circuit_threshold=3, circuit_pause=10.0), 0.0, 0, False
        for name in story:
            now = admission.next_resume_at(now) or now
            assert quota_of(admission, now) == (1 if one_at_a_time else UNLIMITED), story
            admission.begin_call("toy", now)
            assert ("toy" in admission.find_paused(now)) == one_at_a_time, story
            admission.record("toy", outcomes[name], now)
            admission.end_call("toy")
            in_a_row = {"failed": in_a_row + 1, "not called": in_a_row}.get(name, 0)
            one_at_a_time = name == "throttled" or in_a_row >= 3 or (one_at_a_time and name != "answered")
            pause = {"throttled": 50.0, "failed": 10.0 if in_a_row >= 3 else 0.0}.get(name, 0.0)
            assert admission.next_resume_at(now) == (now + pause if pause else None), story


@pytest.mark.anyio
@pytest.mark.parametrize("not_called", NOT_CALLED.values(), ids=NOT_CALLED)
async def test_an_effect_that_was_not_called_does_not_count_as_an_answer(tmp_path: Path, not_called: Outcome) -> None:
    """The provider is still away. Of ten once-effects one at a time may end in doubt, not all the others at once."""
    async with open_bench(tmp_path, circuit_threshold=1, circuit_pause=50.0, poll_first=1e6) as bench:
        outbox, admission = bench.engine.outbox, bench.engine.admission
        bench.toy.answer("place", InDoubt("cut"), not_called, not_called)
        for n in range(10):
            await bench.create(str(n), state="preparing")
        for attempt in await bench.lease_all():
            await outbox.run(attempt)
        bench.clock.advance(1.0)  # so that what the first one owes then comes after the others
        (first,) = await bench.lease_all(1)
        await outbox.run(first)
        bench.clock.advance(50.0)
        for _ in range(2):  # the next call may begin at once
            await outbox.run(await bench.lease())
            assert admission.problems == {"toy": "does not answer"}
        await outbox.run(await bench.lease())
        assert admission.problems == {}
        assert len(await bench.lease_all()) > 1


@pytest.mark.anyio
async def test_a_pause_stops_no_notification_and_no_deadline_for_ever(tmp_path: Path) -> None:
    async with open_bench(tmp_path, circuit_threshold=1, circuit_pause=1e6, deadline_patience=500.0) as bench:
        bench.listen("lapsed", "placed")
        order = await bench.create()
        bench.toy.show(ReadFailed("502", signal=Signal.UNREACHABLE))
        await bench.work_after(10)
        await bench.work_after(1000)
        assert [entered.state for entered in bench.notified] == ["placed"]
        await bench.work_after(500)
        assert [entered.state for entered in bench.notified] == ["placed", "lapsed"]
        assert (await bench.state_of(order.id), len(bench.toy.polls)) == ("lapsed", 1)


@pytest.mark.anyio
async def test_a_problem_is_logged_once_when_it_begins_and_once_when_it_ends() -> None:
    """Every sequence of four outcomes, in a store in memory."""
    outcomes: Mapping[str, CallOutcome] = {
        "answered": Succeeded("x"),
        "unauthorized": NotExecuted("401", signal=Signal.UNAUTHORIZED),
        "user unauthorized": NotExecuted("401"),
        "failed": InDoubt("cut"),
        "throttled": THROTTLED,
        "not called": NOT_CALLED["no token now"],
    }
    structlog.reset_defaults()
    store = InlineStore()
    await store.open()
    for story in itertools.product(outcomes, repeat=4):
        clock = SimClock(start=0.0, manual=True)
        admission, failures, unauthorized, problems = new_admission(circuit_threshold=2, circuit_pause=10.0), 0, 0, [""]
        standings = SharedStandings(store=store, admission=admission, names=["toy"], clock=clock)
        with capture_logs() as logs:
            for name in story:
                clock.advance((admission.next_resume_at(clock.now()) or clock.now()) - clock.now())
                call(admission, outcomes[name], clock.now())
                await standings.exchange()
                failures = {"failed": failures + 1, "not called": failures}.get(name, 0)
                unauthorized = {"answered": 0, "unauthorized": unauthorized + 1}.get(name, unauthorized)
                problem = "refuses our credentials" if unauthorized >= 2 else "does not answer" if failures >= 2 else ""
                assert admission.problems == ({"toy": problem} if problem else {}), story
                problems += [problem] if problem != problems[-1] else []
        began = [line["why"] for line in logs if line["event"] == "provider.problem_began"]
        assert began == list(filter(None, problems)), story
        assert len(logs) == len(began) + sum(not problem for problem in problems[1:]), story
        assert {line["log_level"] for line in logs if line["event"] == "provider.problem_began"} <= {"warning"}
        assert {line["event"] for line in logs} <= {"provider.problem_began", "provider.problem_ended"}
        await store.lift_standing("toy", 0.0, "")
    store.connection.close()


# ── a provider that answers 429 ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("retry_after", "seconds"), [(None, 30.0), (0.0, 1.0), (50.0, 50.0), (1e9, 3600.0)])
def test_a_throttle_is_as_long_as_the_provider_says_and_an_hour_at_most(retry_after: float | None, seconds: float) -> None:
    assert throttle_seconds(Timing(durations={}), retry_after) == seconds


def test_an_answer_to_a_call_from_before_a_429_does_not_end_the_throttle() -> None:
    admission = new_admission()
    for _ in range(2):
        admission.begin_call("toy", 0.0)
    for outcome in (POLL_THROTTLED, Succeeded("x")):
        admission.record("toy", outcome, 1.0)
        admission.end_call("toy")
    assert (admission.find_paused(50.9), admission.find_paused(51.0), quota_of(admission, 51.0)) == ({"toy"}, frozenset(), 1)


async def exchange_standings(bench: Bench) -> None:
    """What a worker does once an interval."""
    await bench.engine.standings.exchange()


@pytest.mark.anyio
@pytest.mark.parametrize("by", ["effect", "poll"])
@pytest.mark.parametrize(
    ("retry_after", "seconds"), [(50.0, 50.0), (0.0, 1.0), (None, 30.0)], ids=["in a while", "at once", "provider does not say"]
)
async def test_a_429_pauses_the_calls_of_every_process(tmp_path: Path, by: str, retry_after: float | None, seconds: float) -> None:
    async with open_bench(tmp_path, throttle=30.0, poll_cap=10.0) as here, open_bench(tmp_path) as there:
        order = await here.create("first")
        if by == "effect":
            here.toy.answer("place", NotExecuted("429", retry_after, signal=Signal.THROTTLED))
            order = await here.create("second")
        else:
            here.clock.advance(10)
            here.toy.show(ReadFailed("429", retry_after, signal=Signal.THROTTLED), "new")
            await here.work()
        until = here.clock.now() + seconds
        there.clock.advance(here.clock.now() - there.clock.now() + seconds - 0.5)
        await exchange_standings(there)
        other = await there.create("third")
        assert (there.toy.calls, there.toy.polls, there.engine.admission.next_resume_at(there.clock.now())) == ([], [], until)
        before = len(here.toy.calls) + len(here.toy.polls)
        await here.work_after(seconds - 0.5)
        assert len(here.toy.calls) + len(here.toy.polls) == before
        for bench in (there, here):
            await bench.work_after(0.5)
            await bench.work_after(10)
        assert [await there.state_of(order_id) for order_id in (order.id, other.id)] == ["placed", "placed"]


@pytest.mark.anyio
async def test_an_hour_of_429_ends_no_order_whose_time_budget_is_longer(tmp_path: Path) -> None:
    throttled, not_sent = NotExecuted("429", 60.0, signal=Signal.THROTTLED), NotExecuted("refused")
    async with open_bench(tmp_path) as bench:
        bench.toy.timing = evolve(bench.toy.timing, undelivered_after=7200.0)
        bench.toy.answer("place", *[throttled] * 30, not_sent, *[throttled] * 30, not_sent)
        order = await bench.create()
        for _ in range(62):
            assert await bench.state_of(order.id) == "sending"
            await bench.work_after(60)
        assert (await bench.state_of(order.id), bench.toy.count_calls("place")) == ("placed", 63)
        bench.toy.answer("place", *[throttled] * 200)
        order = await bench.create("spent")
        for _ in range(119):
            await bench.work_after(60)
        assert await bench.state_of(order.id) == "sending"
        await bench.work_after(60)
        assert (await bench.state_of(order.id), (await bench.events_of(order.id))[-1]) == ("refused", "placement_undelivered")


@pytest.mark.anyio
async def test_after_a_throttle_one_call_finds_out_whether_it_is_over(tmp_path: Path) -> None:
    async with open_bench(tmp_path, poll_first=1e6, retry_cap=1.0) as bench:
        bench.toy.answer("place", *[NotExecuted("429", 60.0, signal=Signal.THROTTLED)] * 3)
        for n in range(20):
            await bench.create(str(n), state="preparing")
        await bench.work()
        first = bench.toy.count_calls("place")
        for again in range(1, 3):
            await bench.work_after(60)
            if first + again < 3:
                assert bench.toy.count_calls("place") == first + again
        await bench.work_after(60)
        assert {order.state for order in await bench.store.orders()} == {"placed"}


# ── a clock that was ahead, and was set back ─────────────────────────────────────────────────────────────────────────────

NOW = 1_000_000.0
HOURS = 6 * 3600.0
TWO_FAILURES: tuple[Outcome, ...] = (InDoubt("reset"), InDoubt("reset"))


def seconds_paused(admission: Admission, now: float) -> float:
    """How long the pause lasts, in whole seconds."""
    for second in range(10_000):
        if not admission.find_paused(now + second):
            return float(second)
    raise AssertionError("the pause does not end")


@pytest.mark.parametrize(
    ("outcomes", "longest"),
    [(TWO_FAILURES, 10.0), ((THROTTLED,), 3600.0), ((POLL_THROTTLED,), 3600.0)],
    ids=["no answer", "429", "429 to a poll"],
)
def test_a_pause_is_never_longer_than_its_length_from_now(outcomes: tuple[CallOutcome, ...], longest: float) -> None:
    admission = new_admission(circuit_threshold=2, circuit_pause=10.0, throttle=30.0)
    for outcome in outcomes:
        admission.record("toy", outcome, NOW + HOURS)
    assert admission.find_paused(NOW + HOURS + 5)
    assert seconds_paused(admission, NOW) <= longest


def test_a_throttle_in_the_store_is_obeyed_once() -> None:
    """The store names a time by the clock that was ahead, and names it again each time it is asked."""
    admission, stored = (
        new_admission(circuit_threshold=2, circuit_pause=10.0, throttle=30.0),
        {"toy": StoredStanding("toy", NOW + HOURS + 50)},
    )
    paused = 0
    for second in range(0, 8000, 10):
        admission.learn(stored, NOW + second)
        paused = second if admission.find_paused(NOW + second) else paused
    assert 0 < paused <= 3600
    admission.learn({"toy": StoredStanding("toy", NOW + 8030)}, NOW + 8000)  # a new time is obeyed
    assert admission.find_paused(NOW + 8010)
    assert not admission.find_paused(NOW + 8031)


def test_calls_from_before_the_clock_was_set_back_use_up_no_quota() -> None:
    admission = new_admission(calls_per_minute=2)
    for _ in range(2):
        call(admission, Succeeded("x"), NOW)
    assert admission.find_paused(NOW) == {"toy"}
    assert (admission.find_paused(NOW - 3600), admission.next_resume_at(NOW - 3600), admission.quotas(NOW - 3600)) == (
        frozenset(),
        None,
        {"toy": 2},
    )
