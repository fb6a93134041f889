"""Admission control: which providers may be called now, and how often. The time is a parameter, and nothing waits here.

What may not be called is not leased: an effect or poll that waited in this process would use up its lease. Three things pause a provider:

- its quota is used up (rate_limiter.py);
- it does not answer (circuit_breaker.py);
- it is *throttled*: it answered 429. The store tells all processes until when.

After a pause of the last two kinds one call is in progress at a time, until one is answered.

A provider has a *problem* when the ends of calls show the same thing as often in a row as the timing says (standing.py). Processes share
their problems in the store. So a process that starts during an outage makes one call at a time from the beginning, and an answer to one
process ends the pauses of all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

from orderflow._engine.circuit_breaker import CircuitBreaker
from orderflow._engine.rate_limiter import RateLimiter
from orderflow._engine.standing import HOLDING, EndProblem, Reporter, ReportProblem, Sign, read_sign
from orderflow._provider.outcomes import NotExecuted, Outcome, ReadFailed, StatusRead
from orderflow._provider.timing import Timing
from orderflow._store.records import StoredStanding
from orderflow.model import ProviderProblem

_MAX_THROTTLE = 3600.0


def throttle_seconds(timing: Timing, retry_after: float | None) -> float:
    """How long to pause after a 429: as the provider says, an hour at most, because all processes obey and none takes it back."""
    return timing.throttle if retry_after is None else min(max(retry_after, timing.retry_first), _MAX_THROTTLE)


class Throttle:
    """Until when one provider is throttled, as far as this process knows."""

    def __init__(self) -> None:
        self.until = -inf
        self._learned = -inf  # what the store said last: a time that was obeyed once is not obeyed again

    def extend(self, until: float) -> None:
        """A call of this process was answered with 429."""
        self.until = max(self.until, until)

    def learn(self, until: float, now: float) -> bool:
        """The store says until when the provider is throttled. Returns whether that is news."""
        news = until != self._learned and until > max(now, self.until)
        if news:
            self.until = until
        self._learned = until
        return news

    def correct_clock(self, now: float) -> None:
        """Shorten a throttle that became too long because the clock was set back."""
        self.until = min(self.until, now + _MAX_THROTTLE)


class ProviderAdmission:
    """Whether one provider may be called."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._limiter = RateLimiter.of(timing)
        self._breaker = CircuitBreaker(timing.circuit_threshold, timing.circuit_pause)
        self.throttle = Throttle()
        self.reporter = Reporter(timing.circuit_pause)
        self._in_progress = 0
        self._failure = ProviderProblem.DOES_NOT_ANSWER  # what the last failure was that the breaker counted
        self._unauthorized = 0  # answers in a row that refused our credentials
        self._unusable = 0  # answers to polls in a row that could not be used

    def next_call_at(self, now: float) -> float:
        """When the next call may begin: ``now`` if at once, infinity if only the end of a call in progress can tell."""
        if self._breaker.one_at_a_time and self._in_progress:
            return inf
        self._breaker.correct_clock(now)
        self.throttle.correct_clock(now)
        return max(now, self._breaker.open_until, self.throttle.until, self._limiter.next_call_at(now))

    def quota(self, now: float) -> int | None:
        """How many calls may begin now; None: any number."""
        return 1 if self._breaker.one_at_a_time else self._limiter.available(now)

    @property
    def own_problem(self) -> ProviderProblem | None:
        """What the calls of this process show to be wrong with the provider."""
        if self._unauthorized >= self._timing.circuit_threshold:
            return ProviderProblem.REFUSES_CREDENTIALS
        if self._breaker.tripped:
            return self._failure
        return ProviderProblem.UNUSABLE_ANSWERS if self._unusable >= self._timing.unusable_polls else None

    @property
    def problem(self) -> ProviderProblem | None:
        """What is wrong with the provider, as this process or another sees it."""
        shared = self.reporter.shared
        return self.own_problem or (shared.problem if shared is not None and not self.reporter.has_ended else None)

    def begin_call(self, now: float) -> None:
        """A call begins."""
        self._in_progress += 1
        self._limiter.record(now)

    def end_call(self) -> None:
        """A call that began has ended, however."""
        self._in_progress -= 1

    def learn(self, stored: StoredStanding, now: float) -> bool:
        """The store says this about the provider. Returns whether an operator has lifted its standing since the last time."""
        before, self.reporter.shared = self.reporter.shared, stored
        lifted = before is not None and before.lifted_at != stored.lifted_at
        if lifted:
            self.throttle = Throttle()
        if self.throttle.learn(stored.throttled_until, now):
            self._breaker.probe()
        if lifted or (before is not None and before.problem is not None and stored.problem is None):
            self._unauthorized = self._unusable = 0
            self._breaker.retry()
            self.reporter.forget()
        if lifted and self._breaker.one_at_a_time:
            self._breaker.take_over(-inf)
        elif stored.problem in HOLDING and not self._breaker.one_at_a_time:
            self._breaker.take_over(min(stored.held_until, now + self._timing.circuit_pause))
        return lifted

    def record(self, outcome: Outcome | StatusRead | ReadFailed, now: float, *, may_be_unknown: bool = False) -> None:
        """Learn from the outcome of a call. ``may_be_unknown``: as in ``read_sign``."""
        sign = read_sign(outcome, may_be_unknown=may_be_unknown)
        if sign.problem in HOLDING:
            self._failure = sign.problem
            self._breaker.record_failure(now)
        elif sign.problem is ProviderProblem.THROTTLED:
            assert isinstance(outcome, NotExecuted | ReadFailed)
            self.throttle.extend(now + throttle_seconds(self._timing, outcome.retry_after))
            self._breaker.forget_failures()
            self._breaker.probe()
        elif sign.ends:
            # an answer to a call that began before the 429 does not end the throttle
            self._breaker.record_answer(close=self.throttle.until <= now)
        self._unauthorized = _count(self._unauthorized, sign, ProviderProblem.REFUSES_CREDENTIALS)
        self._unusable = _count(self._unusable, sign, ProviderProblem.UNUSABLE_ANSWERS)
        self.reporter.record(sign, now)

    def plan_write(self, now: float) -> ReportProblem | EndProblem | None:
        """What is to be stored about the provider now."""
        return self.reporter.plan_write(self.own_problem, max(self._breaker.open_until, 0.0), now)


def _count(in_a_row: int, sign: Sign, problem: ProviderProblem) -> int:
    """How many signs of a problem there are in a row, after one more sign."""
    if sign.problem is problem:
        return in_a_row + 1
    return 0 if problem in sign.ends else in_a_row


class Admission:
    """Admission control of one process for all its providers. ``wake`` is called when a pause may have ended early."""

    def __init__(self, timings: Mapping[str, Timing], wake: Callable[[], None]) -> None:
        self._providers = {name: ProviderAdmission(timing) for name, timing in timings.items()}
        self._wake = wake

    def find_paused(self, now: float) -> frozenset[str]:
        """The providers that may not be called now."""
        return frozenset(name for name, provider in self._providers.items() if provider.next_call_at(now) > now)

    def quotas(self, now: float) -> Mapping[str, int]:
        """How many calls may begin now, at least one, for each provider that is not paused and has a limit."""
        callable_now = [(name, provider) for name, provider in self._providers.items() if provider.next_call_at(now) <= now]
        return {name: quota for name, provider in callable_now if (quota := provider.quota(now)) is not None}

    def next_resume_at(self, now: float) -> float | None:
        """When the next pause ends by itself; None if none does."""
        ends = [end for provider in self._providers.values() if now < (end := provider.next_call_at(now)) < inf]
        return min(ends, default=None)

    @property
    def problems(self) -> Mapping[str, str]:
        """What is wrong with which provider."""
        return {name: problem.value for name, provider in self._providers.items() if (problem := provider.problem) is not None}

    def begin_call(self, provider: str, now: float) -> None:
        """An effect or poll was leased, and its call begins at once."""
        self._providers[provider].begin_call(now)

    def end_call(self, provider: str) -> None:
        """What was leased has ended, called or not. That may end a pause."""
        self._providers[provider].end_call()
        self._wake()

    def record(self, provider: str, outcome: Outcome | StatusRead | ReadFailed, now: float, *, may_be_unknown: bool = False) -> None:
        """Learn from the outcome of a call. ``may_be_unknown``: as in ``read_sign``."""
        self._providers[provider].record(outcome, now, may_be_unknown=may_be_unknown)

    def learn(self, stored: Mapping[str, StoredStanding], now: float) -> list[str]:
        """What the store says for all processes. Returns the providers whose standing was lifted since the last time."""
        return [name for name, provider in self._providers.items() if provider.learn(stored.get(name, StoredStanding(name)), now)]

    def plan_writes(self, now: float) -> dict[str, ReportProblem | EndProblem]:
        """What is to be stored now, by provider."""
        planned = {name: provider.plan_write(now) for name, provider in self._providers.items()}
        return {name: write for name, write in planned.items() if write is not None}

    def accept_write(self, provider: str, write: ReportProblem | EndProblem, now: float) -> None:
        """A write that was planned was stored."""
        self._providers[provider].reporter.accept_write(write, provider, now)
