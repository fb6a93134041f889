"""The standing of a provider: what is wrong with it, as far as the ends of calls show. Pure; nothing is stored or called here.

Each end of a call is spoken by somebody, and proves something about the provider:

| signal or outcome | who spoke | what it proves |
|---|---|---|
| no signal, usable | the provider | it answers, and takes our credentials |
| no signal, a poll without a status | the provider | it answers, and the answer cannot be used |
| throttled | the provider or its login server | it answers, and asks all processes to wait |
| unauthorized | the provider or its login server | it answers, and refuses our credentials |
| unreachable, or a call in doubt | no one, or the provider with a 5xx | it does not answer |
| login server | its login server, or no one | there is no access token |
| foreign | a proxy or a firewall | our calls do not arrive |
| not called, or an adapter that raised with nothing sent or in a poll | no one | nothing |

A problem begins after so many signs in a row as the timing says, and ends with one answer that proves otherwise. The budget that a call
spends does not depend on who spoke. A call that was certainly not executed spends only the time budget of its order's state. One that
may have been executed, or that found nothing, spends an attempt as well (attempt.py). While calls are held back, no attempt is
spent, and the time budget runs on.
"""

from __future__ import annotations

from math import inf

from attrs import define, evolve, frozen

from orderflow._provider.outcomes import InDoubt, NotExecuted, Outcome, ReadFailed, Signal, StatusRead
from orderflow._store.records import StoredStanding
from orderflow.model import ProviderProblem, ProviderStanding

HOLDING = frozenset({ProviderProblem.DOES_NOT_ANSWER, ProviderProblem.LOGIN_FAILS, ProviderProblem.ANOTHER_SERVER})
"""The problems that the circuit breaker counts: while one lasts, calls are held back."""

_ANSWERED = HOLDING | {ProviderProblem.REFUSES_CREDENTIALS}


@frozen
class Sign:
    """What the end of one call shows. ``problem``: what it is one more sign of; ``ends``: the problems that it disproves."""

    problem: ProviderProblem | None = None
    ends: frozenset[ProviderProblem] = frozenset()
    status: int | None = None  # the HTTP status code, if there was one


_BY_SIGNAL = {
    Signal.NOT_CALLED: Sign(),
    Signal.THROTTLED: Sign(ProviderProblem.THROTTLED, HOLDING),
    Signal.UNAUTHORIZED: Sign(ProviderProblem.REFUSES_CREDENTIALS, HOLDING),
    Signal.UNREACHABLE: Sign(ProviderProblem.DOES_NOT_ANSWER),
    Signal.LOGIN_SERVER: Sign(ProviderProblem.LOGIN_FAILS),
    Signal.FOREIGN: Sign(ProviderProblem.ANOTHER_SERVER),
}


def read_sign(outcome: Outcome | StatusRead | ReadFailed, *, may_be_unknown: bool = False) -> Sign:
    """What the end of a call shows about the provider.

    ``may_be_unknown``: the provider may not show the order yet, so that an unusable answer to its poll is no sign of a problem.
    """
    sign = _sign_of(outcome, may_be_unknown)
    return Sign(sign.problem, sign.ends, status_of(outcome))


def _sign_of(outcome: Outcome | StatusRead | ReadFailed, may_be_unknown: bool) -> Sign:
    match outcome:
        case InDoubt():
            return Sign(ProviderProblem.DOES_NOT_ANSWER)
        case NotExecuted(signal=Signal.NONE):  # such as a user's 401: it says nothing about our credentials
            return Sign(ends=HOLDING)
        case ReadFailed(signal=Signal.NONE):
            return Sign(None if may_be_unknown else ProviderProblem.UNUSABLE_ANSWERS, _ANSWERED)
        case NotExecuted() | ReadFailed():
            return _BY_SIGNAL[outcome.signal]
        case StatusRead():
            return Sign(ends=_ANSWERED | {ProviderProblem.UNUSABLE_ANSWERS})
    return Sign(ends=_ANSWERED)


def status_of(outcome: Outcome | StatusRead | ReadFailed) -> int | None:
    """The HTTP status code that a call was answered with; None: there was none."""
    if isinstance(outcome, NotExecuted | ReadFailed) and outcome.status is not None:
        return outcome.status
    return outcome.answer.status if outcome.answer is not None else None


def is_unusable(outcome: StatusRead | ReadFailed) -> bool:
    """Whether a poll was answered, and brought no status all the same."""
    return isinstance(outcome, ReadFailed) and outcome.signal in (Signal.NONE, Signal.FOREIGN)


@frozen
class ReportProblem:
    """To be stored: this process sees the problem. ``held_until``: until when it makes no calls."""

    problem: ProviderProblem
    status: int | None
    at: float
    held_until: float


@frozen
class EndProblem:
    """To be stored: an answer that came at ``at`` has ended the problem."""

    problem: ProviderProblem
    at: float


@define
class Reporter:
    """Decides what one process writes about one provider: when a problem begins, at most once a pause while it goes on, when it ends.

    ``shared``: what the store says, as far as this process knows; None: it has not read it yet.
    """

    _pause: float
    shared: StoredStanding | None = None
    _sign: Sign = Sign()  # the last of the problem that this process sees
    _seen_at: float = -inf
    _reported: ProviderProblem | None = None  # what this process wrote last, while it lasts
    _reported_at: float = -inf
    _ended: EndProblem | None = None  # what the store says, and an answer to this process disproved

    def record(self, sign: Sign, now: float) -> None:
        """A call ended."""
        if sign.problem is not None:
            self._sign, self._seen_at = sign, now
        if self.shared is not None and self.shared.problem in sign.ends:
            self._ended = EndProblem(self.shared.problem, now)

    @property
    def has_ended(self) -> bool:
        """Whether an answer to this process has disproved what the store says."""
        return self._ended is not None

    def forget(self) -> None:
        """The problem that this process wrote has been ended by another, or by an operator."""
        self._reported = self._ended = None

    def plan_write(self, own: ProviderProblem | None, held_until: float, now: float) -> ReportProblem | EndProblem | None:
        """What is to be stored now. ``own``: what this process finds wrong with the provider."""
        shared = self.shared.problem if self.shared is not None else None
        if own is None:
            self._reported = None
            return self._ended if self._ended is not None and shared is self._ended.problem else None
        is_due = self._seen_at > self._reported_at and not 0 <= now - self._reported_at < self._pause
        if own is not self._reported or (is_due and shared in (None, own)):
            status = self._sign.status if self._sign.problem is own else None
            return ReportProblem(own, status, max(self._seen_at, 0.0), held_until)
        return None

    def accept_write(self, write: ReportProblem | EndProblem, provider: str, now: float) -> None:
        """The write was stored."""
        self._ended = None
        before = self.shared or StoredStanding(provider)
        if isinstance(write, EndProblem):
            self.shared = evolve(before, problem=None, seen_at=write.at, held_until=0.0)
            return
        self._reported, self._reported_at = write.problem, now
        self.shared = evolve(before, problem=write.problem, held_until=write.held_until)


def describe_standing(provider: str, stored: StoredStanding | None, now: float) -> ProviderStanding:
    """The standing as it is shown. Pauses that are over are left out."""
    if stored is None:
        return ProviderStanding(provider)
    held_until = max(stored.held_until, stored.throttled_until)
    throttled = stored.throttled_until > now
    has_problem = stored.problem is not None
    return ProviderStanding(
        provider,
        stored.problem or (ProviderProblem.THROTTLED if throttled else None),
        stored.status,
        stored.since if has_problem else None,
        stored.seen_at if has_problem else None,
        held_until if held_until > now else None,
        stored.lifted_at or None,
        stored.lifted_by,
    )
