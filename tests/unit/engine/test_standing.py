"""The theory of who spoke: what each end of a call proves about the provider; and what a process writes and takes over of others."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from math import inf

import pytest
from attrs import evolve
from tests.kit.inline_store import InlineStore
from tests.kit.toy import TIMING

from orderflow._engine.admission import Admission
from orderflow._engine.attempt import Reply, Retry, conclude
from orderflow._engine.shared_standings import SharedStandings
from orderflow._engine.standing import (
    HOLDING,
    EndProblem,
    Reporter,
    ReportProblem,
    Sign,
    describe_standing,
    is_unusable,
    read_sign,
)
from orderflow._provider.outcomes import (
    InDoubt,
    NoResult,
    NotExecuted,
    Outcome,
    ProviderAnswer,
    ReadFailed,
    Rejected,
    Signal,
    StatusRead,
    Succeeded,
)
from orderflow._store.records import LeasedEffect, StoredStanding
from orderflow.model import Effect, EffectKey, ProviderProblem, ProviderStanding
from orderflow.simulators import SimClock

AWAY, LOGIN, FOREIGN, CREDENTIALS, UNUSABLE, THROTTLED = ProviderProblem
NOW = 1_000_000.0
AN_ERROR = ProviderAnswer(503)
UNREACHABLE = NotExecuted("refused", signal=Signal.UNREACHABLE)
NO_TOKEN = NotExecuted("no token", signal=Signal.LOGIN_SERVER, status=503)

SIGNS: Mapping[str, tuple[Outcome | StatusRead | ReadFailed, ProviderProblem | None, bool, bool, int | None]] = {
    # the outcome; the problem that it is a sign of; whether it proves that the provider answers, and takes our credentials; the status
    "succeeded": (Succeeded("x"), None, True, True, None),
    "rejected": (Rejected("400", answer=ProviderAnswer(400)), None, True, True, 400),
    "no result": (NoResult("none"), None, True, True, None),
    "a status": (StatusRead("new"), None, True, True, None),
    "in doubt": (InDoubt("503", answer=AN_ERROR), AWAY, False, False, 503),
    "a user's 401": (NotExecuted("401"), None, True, False, None),
    "no connection": (UNREACHABLE, AWAY, False, False, None),
    "a poll without a connection": (ReadFailed("x", signal=Signal.UNREACHABLE), AWAY, False, False, None),
    "no token": (NO_TOKEN, LOGIN, False, False, 503),
    "no token for a poll": (ReadFailed("x", signal=Signal.LOGIN_SERVER, status=500), LOGIN, False, False, 500),
    "a firewall": (NotExecuted("403", signal=Signal.FOREIGN, answer=ProviderAnswer(403)), FOREIGN, False, False, 403),
    "401": (NotExecuted("401", signal=Signal.UNAUTHORIZED), CREDENTIALS, True, False, None),
    "429": (NotExecuted("429", 5.0, Signal.THROTTLED), THROTTLED, True, False, None),
    "unusable": (ReadFailed("404", answer=ProviderAnswer(404)), UNUSABLE, True, True, 404),
    "not called": (NotExecuted("no user", signal=Signal.NOT_CALLED), None, False, False, None),
}


@pytest.mark.parametrize("name", SIGNS)
def test_what_the_end_of_a_call_shows(name: str) -> None:
    outcome, problem, answers, takes_credentials, status = SIGNS[name]
    sign = read_sign(outcome)
    assert (sign.problem, sign.status) == (problem, status)
    assert HOLDING.isdisjoint(sign.ends) is not answers
    assert not answers or sign.ends >= HOLDING
    assert (CREDENTIALS in sign.ends) is takes_credentials
    assert (UNUSABLE in sign.ends) is isinstance(outcome, StatusRead)
    assert problem not in sign.ends


def test_every_signal_is_read() -> None:
    for signal in Signal:
        assert isinstance(read_sign(NotExecuted("x", signal=signal)), Sign)
        assert isinstance(read_sign(ReadFailed("x", signal=signal)), Sign)


def test_a_poll_of_an_order_that_may_be_unknown_yet_is_no_sign_of_a_problem() -> None:
    sign = read_sign(ReadFailed("404"), may_be_unknown=True)
    assert (sign.problem, UNUSABLE in sign.ends, sign.ends >= HOLDING) == (None, False, True)


@pytest.mark.parametrize("signal", Signal)
def test_a_poll_is_unusable_where_somebody_answered_and_there_is_no_status(signal: Signal) -> None:
    assert is_unusable(ReadFailed("x", signal=signal)) == (signal in (Signal.NONE, Signal.FOREIGN))
    assert not is_unusable(StatusRead("new"))


@pytest.mark.parametrize("name", [name for name, (outcome, *_) in SIGNS.items() if not isinstance(outcome, StatusRead | ReadFailed)])
def test_whose_budget_a_call_spends_depends_on_whether_it_may_have_been_executed(name: str) -> None:
    outcome = SIGNS[name][0]
    assert not isinstance(outcome, StatusRead | ReadFailed)
    end = conclude(
        LeasedEffect(EffectKey("toy-1", 1, 0), "call", "toy", 1, False), Effect("call", "call", False), outcome, TIMING, budget_spent=False
    )
    if isinstance(outcome, InDoubt | NoResult):
        assert isinstance(end, Retry)
        assert not end.uncounted
    elif isinstance(outcome, NotExecuted):
        assert isinstance(end, Retry)
        assert end.uncounted
    else:
        assert isinstance(end, Reply)


# ── what a process writes ────────────────────────────────────────────────────────────────────────────────────────────────


def new_reporter(**shared: object) -> Reporter:
    return Reporter(10.0, StoredStanding("toy", **shared))  # type: ignore[arg-type]


def write(reporter: Reporter, own: ProviderProblem | None, now: float) -> ReportProblem | EndProblem | None:
    planned = reporter.plan_write(own, now + 10, now)
    if planned is not None:
        reporter.accept_write(planned, "toy", now)
    return planned


def test_a_problem_that_goes_on_is_written_once_a_pause() -> None:
    reporter, written = new_reporter(), []
    for second in range(60):
        reporter.record(read_sign(UNREACHABLE), NOW + second)
        written += [second] if write(reporter, AWAY, NOW + second) is not None else []
    assert written == [0, 10, 20, 30, 40, 50]
    assert write(reporter, AWAY, NOW + 200) is not None  # signs since the last write
    assert write(reporter, AWAY, NOW + 300) is None  # none since


def test_an_answer_ends_what_the_store_says_and_nothing_else() -> None:
    for stored, outcome in itertools.product(
        (AWAY, LOGIN, FOREIGN, CREDENTIALS, UNUSABLE, None), (outcome for outcome, *_ in SIGNS.values())
    ):
        reporter = new_reporter(problem=stored)
        reporter.record(read_sign(outcome), NOW)
        ends = stored in read_sign(outcome).ends
        assert reporter.has_ended == ends
        assert write(reporter, None, NOW) == (EndProblem(stored, NOW) if ends and stored is not None else None)
        assert write(reporter, None, NOW) is None


def test_two_processes_with_different_problems_do_not_overwrite_each_other_for_ever() -> None:
    reporter = new_reporter()
    reporter.record(read_sign(UNREACHABLE), NOW)
    assert isinstance(write(reporter, AWAY, NOW), ReportProblem)
    reporter.shared = StoredStanding("toy", problem=LOGIN)  # another process came later
    for second in range(1, 100):
        reporter.record(read_sign(UNREACHABLE), NOW + second)
        assert write(reporter, AWAY, NOW + second) is None


def test_a_clock_that_was_set_back_does_not_stop_the_writes() -> None:
    reporter = new_reporter()
    reporter.record(read_sign(UNREACHABLE), NOW + 9000)
    write(reporter, AWAY, NOW + 9000)
    reporter.record(read_sign(UNREACHABLE), NOW + 9001)
    assert write(reporter, AWAY, NOW) is not None


# ── what a process takes over ────────────────────────────────────────────────────────────────────────────────────────────


def new_admission() -> Admission:
    return Admission({"toy": evolve(TIMING, circuit_threshold=3, circuit_pause=10.0)}, lambda: None)


def call(admission: Admission, outcome: Outcome, now: float) -> None:
    admission.begin_call("toy", now)
    admission.record("toy", outcome, now)
    admission.end_call("toy")


@pytest.mark.parametrize("problem", sorted(HOLDING))
def test_a_process_that_starts_during_an_outage_makes_one_call_a_pause(problem: ProviderProblem) -> None:
    admission = new_admission()
    admission.learn({"toy": StoredStanding("toy", problem=problem, held_until=NOW + 4)}, NOW)
    assert (admission.problems, admission.next_resume_at(NOW)) == ({"toy": problem.value}, NOW + 4)
    assert admission.quotas(NOW + 4) == {"toy": 1}
    call(admission, InDoubt("500"), NOW + 4)
    assert admission.next_resume_at(NOW + 4) == NOW + 14  # its own threshold is not waited for
    call(admission, Succeeded("x"), NOW + 14)
    assert (admission.problems, admission.quotas(NOW + 14), admission.find_paused(NOW + 14)) == ({}, {}, frozenset())
    assert admission.plan_writes(NOW + 14) == {"toy": EndProblem(problem, NOW + 14)}


def test_what_another_process_writes_holds_back_no_longer_than_a_pause() -> None:
    admission = new_admission()
    admission.learn({"toy": StoredStanding("toy", problem=AWAY, held_until=NOW + 1e6)}, NOW)
    assert admission.next_resume_at(NOW) == NOW + 10


@pytest.mark.parametrize("problem", [CREDENTIALS, UNUSABLE])
def test_a_problem_of_an_answering_provider_holds_no_call_back(problem: ProviderProblem) -> None:
    admission = new_admission()
    admission.learn({"toy": StoredStanding("toy", problem=problem)}, NOW)
    assert (admission.problems, admission.find_paused(NOW), admission.quotas(NOW)) == ({"toy": problem.value}, frozenset(), {})


def test_an_answer_to_another_process_ends_the_pause_of_this_one() -> None:
    admission = new_admission()
    for _ in range(3):
        call(admission, InDoubt("500"), NOW)
    admission.learn({"toy": StoredStanding("toy", problem=AWAY, held_until=NOW + 10)}, NOW)
    assert admission.find_paused(NOW + 1)
    admission.learn({}, NOW + 1)
    assert (admission.problems, admission.find_paused(NOW + 1), admission.quotas(NOW + 1)) == ({}, frozenset(), {"toy": 1})


def test_lifting_ends_pause_and_throttle_and_one_failure_brings_the_pause_back() -> None:
    admission = new_admission()
    admission.learn({}, NOW)
    call(admission, NotExecuted("429", 500.0, Signal.THROTTLED), NOW)
    assert admission.next_resume_at(NOW) == NOW + 500
    assert admission.learn({"toy": StoredStanding("toy", lifted_at=NOW + 1, lifted_by="kim: x")}, NOW + 2) == ["toy"]
    assert (admission.find_paused(NOW + 2), admission.quotas(NOW + 2)) == (frozenset(), {"toy": 1})
    call(admission, InDoubt("500"), NOW + 2)
    assert (admission.next_resume_at(NOW + 2), admission.problems) == (NOW + 12, {"toy": "does not answer"})
    assert admission.learn({"toy": StoredStanding("toy", lifted_at=NOW + 1)}, NOW + 3) == []


def test_a_lift_from_before_the_start_of_a_process_is_no_news() -> None:
    assert new_admission().learn({"toy": StoredStanding("toy", lifted_at=NOW)}, NOW) == []


def test_answers_to_polls_that_cannot_be_used_become_a_problem_that_a_status_ends() -> None:
    admission, unusable = new_admission(), ReadFailed("404", answer=ProviderAnswer(404))
    for n in range(TIMING.unusable_polls):
        assert admission.problems == {}, n
        admission.record("toy", unusable, NOW)
    assert (admission.problems, admission.find_paused(NOW)) == ({"toy": "its answers cannot be used"}, frozenset())
    assert admission.plan_writes(NOW) == {"toy": ReportProblem(UNUSABLE, 404, NOW, 0.0)}
    admission.record("toy", Succeeded("x"), NOW)  # a call, which shows nothing about polls
    assert admission.problems
    admission.record("toy", StatusRead("new"), NOW)
    assert admission.problems == {}


@pytest.mark.anyio
async def test_one_outage_seen_by_five_processes_is_one_row_and_begins_once() -> None:
    store, clock = InlineStore(), SimClock(start=NOW, manual=True)
    await store.open()
    admissions = [new_admission() for _ in range(5)]
    processes = [SharedStandings(store=store, admission=admission, names=["toy"], clock=clock) for admission in admissions]
    began: list[bool] = []
    report = store.report_problem

    async def count(*values: object) -> bool:
        began.append(await report(*values))  # type: ignore[arg-type]
        return began[-1]

    store.report_problem = count  # type: ignore[method-assign]
    for _ in range(100):
        clock.advance(1)
        for admission, process in zip(admissions, processes, strict=True):
            call(admission, UNREACHABLE, clock.now())
            await process.exchange()
    (standing,) = await processes[0].list()
    assert (standing.problem, standing.since, standing.seen_at) == (AWAY, NOW + 3, pytest.approx(NOW + 100, abs=10))
    assert (began.count(True), len(began) <= 5 * 11) == (1, True)
    call(admissions[4], Succeeded("x"), clock.now())
    await processes[4].exchange()
    assert await processes[0].list() == [ProviderStanding("toy")]
    store.connection.close()


# ── how it is shown ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_standing_is_shown_without_what_is_over() -> None:
    stored = StoredStanding(
        "toy", problem=LOGIN, status=503, since=NOW, seen_at=NOW + 5, held_until=NOW + 9, lifted_at=NOW - 9, lifted_by="kim: x"
    )
    shown = ProviderStanding("toy", LOGIN, 503, NOW, NOW + 5, NOW + 9, NOW - 9, "kim: x")
    assert describe_standing("toy", stored, NOW + 8) == shown
    assert describe_standing("toy", stored, NOW + 9) == evolve(shown, held_until=None)
    throttled = StoredStanding("toy", throttled_until=NOW + 60)
    assert describe_standing("toy", throttled, NOW) == ProviderStanding("toy", THROTTLED, held_until=NOW + 60)
    assert describe_standing("toy", throttled, NOW + 60) == describe_standing("toy", None, NOW) == ProviderStanding("toy")
    assert describe_standing("toy", StoredStanding("toy", problem=AWAY, held_until=inf), NOW).problem is AWAY
