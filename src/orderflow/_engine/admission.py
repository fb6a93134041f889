"""Admission control: which providers may be called now, and how often. The time is a parameter, and nothing waits here.

What may not be called is not leased: an effect or poll that waited in this process would use up its lease. Three things pause a provider:

- its quota is used up (rate_limiter.py);
- it does not answer (circuit_breaker.py);
- it is *throttled*: it answered 429. The store tells all processes until when.

After a pause of the last two kinds one call is in progress at a time, until one is answered.

A provider has a *problem* when it does not answer, another server answers in its place, or it refuses our credentials, as often in a row as
the breaker's threshold. A problem is logged once, not once an order, and is part of the worker's health until it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

import structlog

from orderflow._engine.circuit_breaker import CircuitBreaker
from orderflow._engine.rate_limiter import RateLimiter
from orderflow._provider.outcomes import InDoubt, NotExecuted, Outcome, ReadFailed, Signal, StatusRead
from orderflow._provider.timing import Timing

_log = structlog.get_logger()
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
        self._in_progress = 0
        self._unauthorized = 0  # answers in a row that refused our credentials
        self._foreign = False  # whether the last failure was a page of another server

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
    def problem(self) -> str:
        """What is wrong with the provider; ``""`` if nothing."""
        if self._unauthorized >= self._timing.circuit_threshold:
            return "refuses our credentials"
        if not self._breaker.tripped:
            return ""
        return "another server answers in its place" if self._foreign else "does not answer"

    def begin_call(self, now: float) -> None:
        """A call begins."""
        self._in_progress += 1
        self._limiter.record(now)

    def end_call(self) -> None:
        """A call that began has ended, however."""
        self._in_progress -= 1

    def learn_throttle(self, until: float, now: float) -> None:
        """The store says until when the provider is throttled."""
        if self.throttle.learn(until, now):
            self._breaker.probe()

    def record(self, outcome: Outcome | StatusRead | ReadFailed, now: float) -> None:
        """Learn from the outcome of a call."""
        match outcome:
            case NotExecuted(signal=Signal.NOT_CALLED):
                return
            case (NotExecuted() | ReadFailed()) as failed if failed.signal is Signal.THROTTLED:
                self.throttle.extend(now + throttle_seconds(self._timing, failed.retry_after))
                self._breaker.forget_failures()
                self._breaker.probe()
            case InDoubt() | NotExecuted(signal=Signal.UNREACHABLE) | ReadFailed(signal=Signal.UNREACHABLE):
                self._foreign = False
                self._breaker.record_failure(now)
            case NotExecuted(signal=Signal.FOREIGN) | ReadFailed(signal=Signal.FOREIGN):
                self._foreign = True
                self._breaker.record_failure(now)
            case _:
                # an answer to a call that began before the 429 does not end the throttle
                self._breaker.record_answer(close=self.throttle.until <= now)
                self._count_unauthorized(outcome)

    def _count_unauthorized(self, outcome: Outcome | StatusRead | ReadFailed) -> None:
        if isinstance(outcome, NotExecuted | ReadFailed) and outcome.signal is Signal.UNAUTHORIZED:
            self._unauthorized += 1
        elif not isinstance(outcome, NotExecuted):  # one without a signal, such as a user's 401, says nothing about our credentials
            self._unauthorized = 0


class Admission:
    """Admission control of one process for all its providers. ``wake`` is called when a pause may have ended early."""

    def __init__(self, timings: Mapping[str, Timing], wake: Callable[[], None]) -> None:
        self._providers = {name: ProviderAdmission(timing) for name, timing in timings.items()}
        self._logged: dict[str, str] = dict.fromkeys(self._providers, "")
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
        return {name: provider.problem for name, provider in self._providers.items() if provider.problem}

    def begin_call(self, provider: str, now: float) -> None:
        """An effect or poll was leased, and its call begins at once."""
        self._providers[provider].begin_call(now)

    def end_call(self, provider: str) -> None:
        """What was leased has ended, called or not. That may end a pause."""
        self._providers[provider].end_call()
        self._wake()

    def record(self, provider: str, outcome: Outcome | StatusRead | ReadFailed, now: float) -> None:
        """Learn from the outcome of a call, and log a problem that begins or ends."""
        admission = self._providers[provider]
        admission.record(outcome, now)
        problem = admission.problem
        if problem != self._logged[provider]:
            self._logged[provider] = problem
            if problem:
                _log.warning("provider.problem_began", provider=provider, why=problem)
            else:
                _log.info("provider.problem_ended", provider=provider)

    def learn_throttles(self, throttled_until: Mapping[str, float], now: float) -> None:
        """What the store says for all processes: until when each provider is throttled."""
        for name, provider in self._providers.items():
            provider.learn_throttle(throttled_until.get(name, -inf), now)
