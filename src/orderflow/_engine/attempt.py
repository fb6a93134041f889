"""One attempt to carry out an effect, as a small state machine. Pure: nothing is called, stored or awaited here.

    leased ──begin──► calling ──answer──► answered
       └──────────────skip──────────────────►┘

While it is calling, the adapter marks the moment of sending. A call that ended without that mark was not executed, however it ended.

``plan_start`` says how a leased effect starts: it is called, reported in doubt, given back, or left to its lease. ``conclude`` says what an
outcome means: a reply event, a retry, or the end of an effect without replies. An attempt ends as ``Done``, ``RetryAt`` or ``LeaveLeased``;
outbox.py carries that out.
"""

from __future__ import annotations

from enum import StrEnum
from math import inf

from attrs import define, frozen

from orderflow._engine.admission import throttle_seconds
from orderflow._engine.calls import CANCELLED, TOO_LATE
from orderflow._engine.outcome_check import AdapterFailed, InvalidOutcome
from orderflow._provider.outcomes import InDoubt, NotExecuted, Outcome, Rejected, Signal, Succeeded
from orderflow._provider.timing import Timing
from orderflow._store.records import LeasedEffect
from orderflow.model import Effect, Event, Message, Origin

# ── how it ends ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class Done:
    """The effect is finished."""


@frozen
class RetryAt:
    """It is owed again, from ``at`` on (epoch seconds)."""

    at: float


@frozen
class LeaveLeased:
    """Nothing was called or written: its lease runs out, and another process takes it."""


End = Done | RetryAt | LeaveLeased

# ── where it stands ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Phase(StrEnum):
    """Where an attempt stands."""

    LEASED = "leased"
    CALLING = "calling"
    ANSWERED = "answered"


_TRANSITIONS = {
    (Phase.LEASED, "begin"): Phase.CALLING,
    (Phase.CALLING, "answer"): Phase.ANSWERED,
    (Phase.LEASED, "skip"): Phase.ANSWERED,
}


@define(eq=False)
class Attempt:
    """A leased effect and what is known of its call.

    Attributes:
        sent: the moment of sending is marked: whatever fails from now on may have been executed.
        outcome: set once it is answered.
        budget_ends_at: until when an effect that was not executed is sent again, in epoch seconds; set before the call.
        message: what the provider answered, as it is kept.
    """

    effect: LeasedEffect
    phase: Phase = Phase.LEASED
    sent: bool = False
    outcome: Outcome | None = None
    budget_ends_at: float = inf
    message: Message | None = None

    @property
    def order_id(self) -> str:
        """The order that it is about."""
        return self.effect.key.order_id

    @property
    def may_have_arrived(self) -> bool:
        """Whether the request of this attempt, or of an earlier one, may have arrived."""
        return self.sent or self.effect.previous_attempt_sent

    def begin(self) -> None:
        """The call begins."""
        self._move("begin")

    def answer(self, outcome: Outcome) -> None:
        """The call ended with this outcome."""
        self._move("answer")
        self.outcome = outcome

    def skip(self, outcome: Outcome) -> None:
        """There is no call, and this is what is reported."""
        self._move("skip")
        self.outcome = outcome

    def _move(self, event: str) -> None:
        self.phase = _TRANSITIONS[self.phase, event]


# ── how it starts ────────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class MakeCall:
    """Call the provider; the call may take ``seconds``."""

    seconds: float


@frozen
class ReportOutcome:
    """Do not call; report this outcome."""

    outcome: Outcome


@frozen
class Retry:
    """Owed again after ``wait`` seconds. ``uncounted``: the attempt does not count against the budget. ``throttle``: no process calls the
    provider before that. ``may_be_executed``: by this attempt, or an earlier one."""

    wait: float
    why: str
    uncounted: bool = False
    throttle: bool = False
    may_be_executed: bool = False


PREVIOUS_UNKNOWN = InDoubt("an earlier attempt was sent and never answered")
STOPPED = InDoubt(CANCELLED)
STOPPED_BEFORE_SENDING = NotExecuted(CANCELLED, signal=Signal.NOT_CALLED)
LATE = InDoubt("no answer within the lease")
LATE_BEFORE_SENDING = NotExecuted("no time was left to send the call", signal=Signal.UNREACHABLE)
SUPERSEDED = NotExecuted("the call does not belong to this attempt any more", signal=Signal.NOT_CALLED)
UNWRITTEN = InDoubt("the worker stopped before the answer was written")
_INTERRUPTED = (STOPPED, UNWRITTEN)
_OWED_AT_ONCE = (STOPPED_BEFORE_SENDING, SUPERSEDED)
_UNSENT = {STOPPED: STOPPED_BEFORE_SENDING, UNWRITTEN: STOPPED_BEFORE_SENDING, LATE: LATE_BEFORE_SENDING}


def plan_start(
    effect: LeasedEffect, declared: Effect | None, seconds: float, lease: float, *, stopping: bool, budget_spent: bool = False
) -> MakeCall | ReportOutcome | Retry | LeaveLeased:
    """How a leased effect starts.

    Args:
        effect: what was leased.
        declared: the effect in this version's lifecycle; None if it has none of this name.
        seconds: how long a call that begins now may take; 0 or less if it is too late for one.
        lease: seconds of the provider's lease.
        stopping: whether the worker stops.
        budget_spent: whether the time budget of the order's state is spent.
    """
    if declared is None:
        # Nothing was called here, and a process with another version may still carry it out. If another process may have sent a call
        # that was never answered, this must stay known.
        is_known = not effect.previous_attempt_sent and not effect.previous_attempt_unended
        return Retry(lease, "not declared in this version", uncounted=True) if is_known else LeaveLeased()
    if effect.previous_attempt_sent and (declared.once or (budget_spent and _may_be_reported(effect, declared))):
        return ReportOutcome(PREVIOUS_UNKNOWN)
    if stopping or seconds <= 0:  # the next worker that takes it may call
        why = CANCELLED if stopping else TOO_LATE
        return Retry(0.0, why, uncounted=True, may_be_executed=is_earlier_in_doubt(effect, declared))
    return MakeCall(seconds)


def _may_be_reported(effect: LeasedEffect, declared: Effect) -> bool:
    """Whether another worker may be about to report a repeatable effect undelivered. It has marked it, and it must not be sent any more."""
    return bool(declared.kind) and not declared.safe and effect.previous_attempt_unended


def is_earlier_in_doubt(effect: LeasedEffect, declared: Effect) -> bool:
    """Whether an earlier attempt may have been executed, and its end is unknown.

    A repeatable effect is not marked before its call. So an attempt of it that never ended counts.
    """
    if declared.safe:
        return False
    return effect.previous_attempt_sent or (effect.previous_attempt_unended and not declared.once)


# ── what the moment of sending decides ───────────────────────────────────────────────────────────────────────────────────────


def correct_outcome(outcome: Outcome, *, sent: bool) -> Outcome:
    """What a call ended as. ``sent``: its moment of sending is marked. What was never sent is not in doubt: it was not executed.

    A fault of the adapter before that moment shows nothing about the provider, and holds back no other order.
    """
    if sent or not isinstance(outcome, InDoubt):
        return outcome
    if isinstance(outcome, InvalidOutcome):
        return AdapterFailed(outcome.why, signal=Signal.NOT_CALLED, answer=outcome.answer)
    return _UNSENT.get(outcome) or NotExecuted(outcome.why, signal=Signal.UNREACHABLE, answer=outcome.answer)


FAILURES_TO_FLAG = 3
"""The attempt from which on a failure of the adapter flags the order: the worker goes on trying, and a person should look."""


def find_fault(effect: LeasedEffect, outcome: Outcome) -> str:
    """What flags the order though its effect stays owed: the adapter fails again and again with nothing sent. "": nothing."""
    if not isinstance(outcome, AdapterFailed) or effect.attempt < FAILURES_TO_FLAG:
        return ""
    return f"{outcome.why}, before anything was sent"


# ── what an outcome means ────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class Reply:
    """An event for the inbox. ``answer`` makes its key unique: the number of the attempt, or ``NO_ANSWER``. ``anomaly``: what is wrong with
    the outcome that it stands for."""

    event: Event
    answer: str
    anomaly: str = ""


@frozen
class Finish:
    """An effect without replies is over."""

    why: str


# Answers are one of a kind by attempt. That there was none is reported once per effect: two workers that both held it, after a lost
# lease, must not report it twice; the second report would refer to the order's next attempt to complete.
NO_ANSWER = "no answer"


def conclude(effect: LeasedEffect, declared: Effect, outcome: Outcome, timing: Timing, *, budget_spent: bool) -> Reply | Retry | Finish:
    """What an outcome means for the effect.

    What was certainly not executed is sent again until ``budget_spent``, the state's time budget, and at least ``retry_attempts`` times:
    an outage of minutes must not end an order. So is a repeatable effect that may have been executed: the order is in doubt then, also
    where only an earlier attempt may have been executed. One without replies, or a look-up without a result, is sent ``retry_attempts``
    times.
    An invalid outcome is in doubt, and was answered all the same: its reply has the key of an answer, and an anomaly.
    """
    conclusion = _conclude_valid(effect, declared, outcome, timing, budget_spent=budget_spent)
    if isinstance(conclusion, Reply) and isinstance(outcome, InvalidOutcome):
        return Reply(conclusion.event, str(effect.attempt), anomaly=outcome.why)
    return conclusion


def _conclude_valid(
    effect: LeasedEffect, declared: Effect, outcome: Outcome, timing: Timing, *, budget_spent: bool
) -> Reply | Retry | Finish:
    in_doubt = is_earlier_in_doubt(effect, declared) or (isinstance(outcome, InDoubt) and not declared.safe)
    match outcome:
        case Succeeded():
            event = Event(outcome.event, Origin.REPLY, outcome.data, outcome.provider_id, outcome.note)
            return Reply(event, str(effect.attempt))
        case Rejected():
            return _reply(declared, f"{declared.kind}_refused", outcome.why, str(effect.attempt))
        case InDoubt() if declared.once or outcome is PREVIOUS_UNKNOWN:
            return _report_spent(declared, outcome.why, in_doubt=True)
        case InDoubt() | NotExecuted() if outcome in (*_INTERRUPTED, *_OWED_AT_ONCE):
            return Retry(0.0, outcome.why, uncounted=True, may_be_executed=in_doubt)
        case NotExecuted():
            if outcome.permanent or (budget_spent and effect.attempt >= timing.retry_attempts):
                return _report_spent(declared, outcome.why, in_doubt=in_doubt)
            return _retry_unexecuted(effect, outcome, timing, may_be_executed=in_doubt)
    counted = effect.attempt - effect.uncounted_attempts
    has_time = isinstance(outcome, InDoubt) and bool(declared.kind) and not budget_spent
    if counted >= timing.retry_attempts and not has_time:
        return _report_spent(declared, outcome.why, in_doubt=in_doubt)
    return Retry(retry_backoff(timing, counted), outcome.why, may_be_executed=in_doubt)


def _retry_unexecuted(effect: LeasedEffect, outcome: NotExecuted, timing: Timing, *, may_be_executed: bool) -> Retry:
    throttled = outcome.signal is Signal.THROTTLED
    if throttled:
        wait = throttle_seconds(timing, outcome.retry_after)
    else:
        wait = max(retry_backoff(timing, effect.attempt), outcome.retry_after or 0.0)
    return Retry(wait, outcome.why, uncounted=True, throttle=throttled, may_be_executed=may_be_executed)


def _report_spent(declared: Effect, why: str, *, in_doubt: bool) -> Reply | Finish:
    """It is not sent again."""
    return _reply(declared, declared.unknown_end if in_doubt else f"{declared.kind}_undelivered", why, NO_ANSWER)


def _reply(declared: Effect, event: str, why: str, answer: str) -> Reply | Finish:
    if not declared.kind:
        return Finish(why)
    return Reply(Event(event, Origin.REPLY, note=why), answer)


def retry_backoff(timing: Timing, attempts: int) -> float:
    """Seconds until the next attempt after this many: doubled each time, up to a cap."""
    return min(timing.retry_cap, timing.retry_first * 2.0 ** min(attempts - 1, 60))
