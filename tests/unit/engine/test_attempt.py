"""One attempt to carry out an effect: how it starts, what its outcome means, which moves it may make. Every case, as tables."""

from __future__ import annotations

from typing import get_args

import pytest
from attrs import evolve
from tests.kit.toy import TIMING

from orderflow._engine.attempt import (
    LATE,
    LATE_BEFORE_SENDING,
    NO_ANSWER,
    PREVIOUS_UNKNOWN,
    STOPPED,
    STOPPED_BEFORE_SENDING,
    SUPERSEDED,
    UNWRITTEN,
    Attempt,
    Finish,
    LeaveLeased,
    MakeCall,
    Phase,
    Reply,
    ReportOutcome,
    Retry,
    conclude,
    correct_outcome,
    plan_start,
    retry_backoff,
)
from orderflow._engine.outcome_check import AdapterFailed, InvalidOutcome
from orderflow._provider.outcomes import InDoubt, NoResult, NotExecuted, Outcome, ProviderAnswer, Rejected, Signal, Succeeded
from orderflow._store.records import LeasedEffect
from orderflow.model import Effect, EffectKey, Event, Origin

LEASE = 60.0
ONCE = Effect("place", "placement", once=True)
REPEATABLE = Effect("make_ready", "preparation", once=False)
SAFE = Effect("make_ready", "preparation", once=False, safe=True)
WITHOUT_REPLIES = Effect("look_up", "", once=False)

Pair = tuple[object, object]


def leased(attempt: int = 1, *, uncounted: int = 0, previous_sent: bool = False, unended: bool = False) -> LeasedEffect:
    key = EffectKey("toy-k", 1, 0)
    return LeasedEffect(key, "place", "toy", attempt, previous_sent, uncounted_attempts=uncounted, previous_attempt_unended=unended)


# ── how it starts ────────────────────────────────────────────────────────────────────────────────────────────────────────

CALL = MakeCall(48.0)
LEFT = LeaveLeased()
REPORT = ReportOutcome(PREVIOUS_UNKNOWN)
ANOTHER_VERSION = Retry(LEASE, "not declared in this version", uncounted=True)
CANCELLED = Retry(0.0, "the worker stopped before the answer came", uncounted=True)
TOO_LATE = Retry(0.0, "the lease ran out before the call was begun", uncounted=True)
CANCELLED_IN_DOUBT, TOO_LATE_IN_DOUBT = evolve(CANCELLED, may_be_executed=True), evolve(TOO_LATE, may_be_executed=True)

FIRST_MOVES = [
    # declared, whether a previous attempt was sent: in time, too late, stopping in time, stopping too late
    (ONCE, False, CALL, TOO_LATE, CANCELLED, CANCELLED),
    (ONCE, True, REPORT, REPORT, REPORT, REPORT),
    (REPEATABLE, False, CALL, TOO_LATE, CANCELLED, CANCELLED),
    (REPEATABLE, True, CALL, TOO_LATE_IN_DOUBT, CANCELLED_IN_DOUBT, CANCELLED_IN_DOUBT),
    (SAFE, True, CALL, TOO_LATE, CANCELLED, CANCELLED),
    (WITHOUT_REPLIES, False, CALL, TOO_LATE, CANCELLED, CANCELLED),
    (WITHOUT_REPLIES, True, CALL, TOO_LATE_IN_DOUBT, CANCELLED_IN_DOUBT, CANCELLED_IN_DOUBT),
    (None, False, ANOTHER_VERSION, ANOTHER_VERSION, ANOTHER_VERSION, ANOTHER_VERSION),
    (None, True, LEFT, LEFT, LEFT, LEFT),
]


@pytest.mark.parametrize("too_late", [0.0, -1.0])
@pytest.mark.parametrize(("declared", "previous_sent", "in_time", "late", "stopping", "stopping_late"), FIRST_MOVES)
def test_how_a_leased_effect_starts(
    declared: Effect | None, previous_sent: bool, in_time: object, late: object, stopping: object, stopping_late: object, too_late: float
) -> None:
    effect = leased(2, previous_sent=previous_sent)
    assert plan_start(effect, declared, 48.0, LEASE, stopping=False) == in_time
    assert plan_start(effect, declared, too_late, LEASE, stopping=False) == late
    assert plan_start(effect, declared, 48.0, LEASE, stopping=True) == stopping
    assert plan_start(effect, declared, too_late, LEASE, stopping=True) == stopping_late


def test_a_call_may_take_the_seconds_that_are_left() -> None:
    assert plan_start(leased(), ONCE, 0.5, LEASE, stopping=False) == MakeCall(0.5)


UNENDED = [
    # an attempt that was leased and never ended: in time, too late
    (ONCE, CALL, TOO_LATE),
    (REPEATABLE, CALL, TOO_LATE_IN_DOUBT),
    (SAFE, CALL, TOO_LATE),
    (None, LEFT, LEFT),
]


@pytest.mark.parametrize(("declared", "in_time", "late"), UNENDED)
def test_an_attempt_that_never_ended_may_have_been_executed_unless_it_is_marked_or_safe(
    declared: Effect | None, in_time: object, late: object
) -> None:
    effect = leased(2, unended=True)
    assert plan_start(effect, declared, 48.0, LEASE, stopping=False) == in_time
    assert plan_start(effect, declared, 0.0, LEASE, stopping=False) == late


@pytest.mark.parametrize(
    ("declared", "previous_sent", "unended", "budget_spent", "expected"),
    [
        (REPEATABLE, True, True, True, REPORT),
        (REPEATABLE, True, True, False, CALL),
        (REPEATABLE, True, False, True, CALL),  # it was written that it is owed again
        (REPEATABLE, False, True, True, CALL),
        (SAFE, True, True, True, CALL),
        (WITHOUT_REPLIES, True, True, True, CALL),
    ],
)
def test_a_repeatable_effect_is_not_sent_where_another_worker_may_be_about_to_report_it_undelivered(
    declared: Effect, previous_sent: bool, unended: bool, budget_spent: bool, expected: object
) -> None:
    effect = leased(2, previous_sent=previous_sent, unended=unended)
    assert plan_start(effect, declared, 48.0, LEASE, stopping=False, budget_spent=budget_spent) == expected


# ── what the moment of sending decides ───────────────────────────────────────────────────────────────────────────────────────

ANSWER = ProviderAnswer(500)
UNSENT = {
    STOPPED: STOPPED_BEFORE_SENDING,
    UNWRITTEN: STOPPED_BEFORE_SENDING,
    LATE: LATE_BEFORE_SENDING,
    InDoubt("why", answer=ANSWER): NotExecuted("why", signal=Signal.UNREACHABLE, answer=ANSWER),
    InvalidOutcome("why", answer=ANSWER): AdapterFailed("why", signal=Signal.NOT_CALLED, answer=ANSWER),
}


@pytest.mark.parametrize(("in_doubt", "unsent"), UNSENT.items())
def test_what_was_never_sent_is_not_in_doubt(in_doubt: InDoubt, unsent: NotExecuted) -> None:
    assert correct_outcome(in_doubt, sent=True) is in_doubt
    assert correct_outcome(in_doubt, sent=False) == unsent
    assert correct_outcome(in_doubt, sent=False).answer is in_doubt.answer


@pytest.mark.parametrize(
    "outcome", [Succeeded("x"), Rejected("x"), NotExecuted("x"), NoResult("x")], ids=lambda outcome: type(outcome).__name__
)
@pytest.mark.parametrize("sent", [True, False])
def test_the_moment_of_sending_changes_no_other_outcome(outcome: Outcome, sent: bool) -> None:
    assert correct_outcome(outcome, sent=sent) is outcome


@pytest.mark.parametrize("previous_sent", [True, False])
@pytest.mark.parametrize("sent", [True, False])
def test_an_attempt_may_have_arrived_if_it_or_an_earlier_one_was_marked(sent: bool, previous_sent: bool) -> None:
    assert Attempt(leased(previous_sent=previous_sent), sent=sent).may_have_arrived == (sent or previous_sent)


# ── what an outcome means ────────────────────────────────────────────────────────────────────────────────────────────────

# Three attempts, and two do not count: the fourth is the second that counts, the fifth is the last. For what was not executed the time
# budget of the state is spent with the fifth.
BUDGET = evolve(TIMING, retry_attempts=3, retry_first=1.0, retry_cap=60.0, throttle=30.0)
LEFT_ATTEMPT, LAST_ATTEMPT = 4, 5


def reply(event: str, answer: object, why: str = "why") -> Reply:
    return Reply(Event(event, Origin.REPLY, note=why), str(answer))


SUCCESS = Succeeded("order_placed", {"number": 1}, "T-1", "fine")
PLACED_4 = Reply(Event("order_placed", Origin.REPLY, {"number": 1}, "T-1", "fine"), "4")
PLACED_5 = evolve(PLACED_4, answer="5")
PLACE_REFUSED_4, PLACE_REFUSED_5 = reply("placement_refused", 4), reply("placement_refused", 5)
PREPARE_REFUSED_4, PREPARE_REFUSED_5 = reply("preparation_refused", 4), reply("preparation_refused", 5)
LOST = reply("placement_answer_lost", NO_ANSWER)
LOST_STOPPED = reply("placement_answer_lost", NO_ANSWER, STOPPED.why)
LOST_UNWRITTEN = reply("placement_answer_lost", NO_ANSWER, UNWRITTEN.why)
PLACE_UNDELIVERED = reply("placement_undelivered", NO_ANSWER)
PREPARE_UNDELIVERED = reply("preparation_undelivered", NO_ANSWER)
PREPARE_LOST = reply("preparation_answer_lost", NO_ANSWER)
OVER = Finish("why")
AGAIN = Retry(2.0, "why")
AGAIN_IN_DOUBT = evolve(AGAIN, may_be_executed=True)
STILL_OWED = Retry(8.0, "why", uncounted=True)
LATER = Retry(50.0, "why", uncounted=True)
STOPPED_AGAIN = Retry(0.0, STOPPED.why, uncounted=True)
SUPERSEDED_AGAIN = Retry(0.0, SUPERSEDED.why, uncounted=True)
STOPPED_IN_DOUBT = evolve(STOPPED_AGAIN, may_be_executed=True)
UNWRITTEN_AGAIN = Retry(0.0, UNWRITTEN.why, uncounted=True, may_be_executed=True)
WAIT_30 = Retry(30.0, "why", uncounted=True, throttle=True)
WAIT_50 = Retry(50.0, "why", uncounted=True, throttle=True)


def or_over(retry: Retry) -> tuple[Pair, Pair, Pair]:
    """For the three effects: sent again, and undelivered once the time budget is spent."""
    return (retry, PLACE_UNDELIVERED), (retry, PREPARE_UNDELIVERED), (retry, OVER)


STILL_OWED_OR_OVER = or_over(STILL_OWED)

# for a once-effect, a repeatable effect, and a repeatable effect without replies: with budget left, and with the last attempt
CONCLUSIONS: dict[str, tuple[Outcome, Pair, Pair, Pair]] = {
    "succeeded": (SUCCESS, (PLACED_4, PLACED_5), (PLACED_4, PLACED_5), (PLACED_4, PLACED_5)),
    "rejected": (Rejected("why"), (PLACE_REFUSED_4, PLACE_REFUSED_5), (PREPARE_REFUSED_4, PREPARE_REFUSED_5), (OVER, OVER)),
    "in doubt": (InDoubt("why"), (LOST, LOST), (AGAIN_IN_DOUBT, PREPARE_LOST), (AGAIN_IN_DOUBT, OVER)),
    "in doubt because the worker stopped": (STOPPED, (LOST_STOPPED, LOST_STOPPED), *[(STOPPED_IN_DOUBT, STOPPED_IN_DOUBT)] * 2),
    "in doubt because nothing was written": (UNWRITTEN, (LOST_UNWRITTEN, LOST_UNWRITTEN), *[(UNWRITTEN_AGAIN, UNWRITTEN_AGAIN)] * 2),
    "not executed because the worker stopped": (STOPPED_BEFORE_SENDING, *[(STOPPED_AGAIN, STOPPED_AGAIN)] * 3),
    "not executed because another attempt holds it": (SUPERSEDED, *[(SUPERSEDED_AGAIN, SUPERSEDED_AGAIN)] * 3),
    "not executed": (NotExecuted("why"), *STILL_OWED_OR_OVER),
    "unreachable": (NotExecuted("why", signal=Signal.UNREACHABLE), *STILL_OWED_OR_OVER),
    "login server": (NotExecuted("why", signal=Signal.LOGIN_SERVER), *STILL_OWED_OR_OVER),
    "foreign": (NotExecuted("why", signal=Signal.FOREIGN), *STILL_OWED_OR_OVER),
    "unauthorized": (NotExecuted("why", signal=Signal.UNAUTHORIZED), *STILL_OWED_OR_OVER),
    "not called": (NotExecuted("why", signal=Signal.NOT_CALLED), *STILL_OWED_OR_OVER),
    "not executed, try in 50 s": (NotExecuted("why", retry_after=50.0), *or_over(LATER)),
    "not executed, try in 0.5 s": (NotExecuted("why", retry_after=0.5), *STILL_OWED_OR_OVER),
    "not executed, and never will be": (
        NotExecuted("why", permanent=True),
        (PLACE_UNDELIVERED, PLACE_UNDELIVERED),
        (PREPARE_UNDELIVERED, PREPARE_UNDELIVERED),
        (OVER, OVER),
    ),
    "throttled": (NotExecuted("why", signal=Signal.THROTTLED), *or_over(WAIT_30)),
    "throttled for 50 s": (NotExecuted("why", 50.0, Signal.THROTTLED), *or_over(WAIT_50)),
    "no result": (NoResult("why"), (AGAIN, PLACE_UNDELIVERED), (AGAIN, PREPARE_UNDELIVERED), (AGAIN, OVER)),
}


def test_the_table_has_every_kind_of_outcome_and_every_signal() -> None:
    outcomes = [row[0] for row in CONCLUSIONS.values()]
    assert {type(outcome) for outcome in outcomes} == set(get_args(Outcome))
    assert {outcome.signal for outcome in outcomes if isinstance(outcome, NotExecuted)} == set(Signal)


@pytest.mark.parametrize(("outcome", "once", "repeatable", "without_replies"), CONCLUSIONS.values(), ids=CONCLUSIONS)
def test_what_an_outcome_means(outcome: Outcome, once: Pair, repeatable: Pair, without_replies: Pair) -> None:
    for declared, expected in ((ONCE, once), (REPEATABLE, repeatable), (WITHOUT_REPLIES, without_replies)):
        conclusions = [
            conclude(leased(attempt, uncounted=2), declared, outcome, BUDGET, budget_spent=attempt == LAST_ATTEMPT)
            for attempt in (LEFT_ATTEMPT, LAST_ATTEMPT)
        ]
        assert conclusions == list(expected), declared.name


@pytest.mark.parametrize("attempt", range(1, 6))
@pytest.mark.parametrize(
    ("outcome", "declared", "spent"),
    [
        (InDoubt("why"), REPEATABLE, PREPARE_LOST),
        (InDoubt("why"), SAFE, PREPARE_UNDELIVERED),
        (NoResult("why"), REPEATABLE, PREPARE_UNDELIVERED),
    ],
    ids=["in doubt", "safe", "no result"],
)
@pytest.mark.parametrize("budget_spent", [False, True])
def test_what_may_have_been_executed_is_sent_until_the_time_is_over_and_a_look_up_three_times(
    outcome: Outcome, declared: Effect, spent: Reply, attempt: int, budget_spent: bool
) -> None:
    again = Retry(2.0 ** (attempt - 1), "why", may_be_executed=spent is PREPARE_LOST)
    is_over = attempt >= 3 and (budget_spent or isinstance(outcome, NoResult))
    assert conclude(leased(attempt), declared, outcome, BUDGET, budget_spent=budget_spent) == (spent if is_over else again)


@pytest.mark.parametrize("budget_spent", [False, True])
def test_an_effect_without_replies_is_sent_three_times(budget_spent: bool) -> None:
    assert conclude(leased(3), WITHOUT_REPLIES, InDoubt("why"), BUDGET, budget_spent=budget_spent) == OVER


NOT_SENT = NotExecuted("why")


@pytest.mark.parametrize(
    ("earlier", "outcome", "declared", "expected"),
    [
        ("previous_sent", NOT_SENT, REPEATABLE, PREPARE_LOST),
        ("unended", NOT_SENT, REPEATABLE, PREPARE_LOST),
        ("previous_sent", NoResult("why"), REPEATABLE, PREPARE_LOST),
        ("previous_sent", evolve(NOT_SENT, permanent=True), REPEATABLE, PREPARE_LOST),
        ("previous_sent", NOT_SENT, SAFE, PREPARE_UNDELIVERED),
        ("unended", NOT_SENT, SAFE, PREPARE_UNDELIVERED),
        ("unended", NOT_SENT, ONCE, PLACE_UNDELIVERED),  # it is marked before its call, and was not
        ("previous_sent", Rejected("why"), REPEATABLE, PREPARE_REFUSED_5),
        ("previous_sent", NOT_SENT, WITHOUT_REPLIES, OVER),
    ],
)
def test_a_call_that_may_have_been_executed_before_is_in_doubt_when_its_budget_ends(
    earlier: str, outcome: Outcome, declared: Effect, expected: object
) -> None:
    effect = evolve(leased(5, previous_sent=earlier == "previous_sent"), previous_attempt_unended=earlier == "unended")
    assert conclude(effect, declared, outcome, BUDGET, budget_spent=True) == expected


@pytest.mark.parametrize(
    "outcome", [NOT_SENT, evolve(NOT_SENT, signal=Signal.THROTTLED), STOPPED_BEFORE_SENDING, SUPERSEDED, NoResult("why")]
)
def test_a_retry_forgets_no_earlier_doubt(outcome: Outcome) -> None:
    for effect, known in ((leased(), False), (leased(previous_sent=True), True), (leased(unended=True), True)):
        retry = conclude(effect, REPEATABLE, outcome, BUDGET, budget_spent=False)
        assert isinstance(retry, Retry)
        assert retry.may_be_executed == known


def test_an_effect_that_was_not_sent_because_an_earlier_attempt_is_unknown_is_in_doubt_at_once() -> None:
    lost = reply("preparation_answer_lost", NO_ANSWER, PREVIOUS_UNKNOWN.why)
    assert conclude(leased(1, previous_sent=True), REPEATABLE, PREVIOUS_UNKNOWN, BUDGET, budget_spent=True) == lost


@pytest.mark.parametrize("attempt", range(1, 6))
def test_what_was_not_executed_is_sent_until_the_time_is_over_and_at_least_three_times(attempt: int) -> None:
    outcome, owed = NotExecuted("why"), Retry(2.0 ** (attempt - 1), "why", uncounted=True)
    assert conclude(leased(attempt), REPEATABLE, outcome, BUDGET, budget_spent=False) == owed
    expected = owed if attempt < 3 else PREPARE_UNDELIVERED
    assert conclude(leased(attempt), REPEATABLE, outcome, BUDGET, budget_spent=True) == expected


def test_retry_waits_double_to_the_cap() -> None:
    assert [retry_backoff(TIMING, attempts) for attempts in (1, 2, 3, 6, 7, 10_000)] == [1, 2, 4, 32, 60, 60]


# ── which moves it may make ──────────────────────────────────────────────────────────────────────────────────────────────

MOVES = {
    "begin": lambda attempt: attempt.begin(),
    "answer": lambda attempt: attempt.answer(NoResult("why")),
    "skip": lambda attempt: attempt.skip(NoResult("why")),
}
ALLOWED = {
    (Phase.LEASED, "begin"): Phase.CALLING,
    (Phase.LEASED, "skip"): Phase.ANSWERED,
    (Phase.CALLING, "answer"): Phase.ANSWERED,
}


@pytest.mark.parametrize(("phase", "move"), [(phase, move) for phase in Phase for move in MOVES])
def test_an_attempt_moves_from_leased_to_answered_and_no_other_way(phase: Phase, move: str) -> None:
    attempt = Attempt(leased(), phase)
    if (phase, move) in ALLOWED:
        MOVES[move](attempt)
        assert attempt.phase is ALLOWED[phase, move]
        assert attempt.outcome == (None if move == "begin" else NoResult("why"))
    else:
        with pytest.raises(KeyError):
            MOVES[move](attempt)
        assert (attempt.phase, attempt.outcome) == (phase, None)


# ── an invalid outcome ───────────────────────────────────────────────────────────────────────────────────────────────────

INVALID = InvalidOutcome("the adapter reports 'plaeced'; it names the provider's order T-1", "T-1")


def test_the_doubt_of_an_invalid_outcome_is_an_answer_with_an_anomaly() -> None:
    lost = Event("placement_answer_lost", Origin.REPLY, note=INVALID.why)
    assert conclude(leased(3), ONCE, INVALID, TIMING, budget_spent=False) == Reply(lost, "3", INVALID.why)


def test_a_repeatable_call_is_sent_again_until_its_attempts_are_spent_and_then_reported_with_the_anomaly() -> None:
    again = conclude(leased(1), REPEATABLE, INVALID, TIMING, budget_spent=False)
    assert isinstance(again, Retry)
    assert again.why == INVALID.why
    ended = conclude(leased(TIMING.retry_attempts), REPEATABLE, INVALID, TIMING, budget_spent=True)
    lost = Event("preparation_answer_lost", Origin.REPLY, note=INVALID.why)
    assert ended == Reply(lost, str(TIMING.retry_attempts), INVALID.why)
