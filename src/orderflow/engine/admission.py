"""How this process behaves towards providers: its share of their limits, a pause where nobody answers, silence where one asks for it.

What may live here: when a provider may be called, and how many calls may be begun. Pure: every moment is passed in, nothing waits.
What is not to be called is not taken: an effect or read that waited in this process would use up its lease.

A provider is *paused* for one of three reasons. Its share is used up: the calls begun within the last second or minute are counted,
not smoothed, so that no second and no minute holds more. It does not answer: after ``Timing.circuit_threshold`` calls in a row without a
usable answer calls pause, or once-effects would be sent into doubt by the hundred. It asked all of us to wait (429): the store tells
every process until when. After either of the last two *one* call is under way at a time, until one is answered. What was taken and
not called, because its user's token is gone, says nothing.

A provider that does not answer, or that refuses our credentials as often in a row, is *in trouble*: which is logged once, not once an
order, and stands in the worker's health until it answers otherwise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from math import inf, isfinite

import structlog
from attrs import define

from orderflow.provider.outcomes import InDoubt, NotExecuted, Outcome, ReadFailed, Rejected, Signal, StatusRead
from orderflow.provider.timing import Timing

_log = structlog.get_logger()
_NEVER = -inf
_LONGEST_WAIT = 3600.0


def throttle_seconds(timing: Timing, retry_after: float | None) -> float:
    """Seconds of silence after a 429, an hour at most: every process heeds it, and nobody takes it back."""
    return timing.throttle if retry_after is None else min(max(retry_after, timing.retry_first), _LONGEST_WAIT)


class _Window:
    """At most ``most`` calls begun in any ``seconds``."""

    def __init__(self, most: float, seconds: float) -> None:
        self._most = max(1, int(most))
        self._seconds = seconds
        self._begun: deque[float] = deque()

    def room(self, now: float) -> int:
        while self._begun and not self._begun[0] <= now < self._begun[0] + self._seconds:  # older, or by a clock that was ahead
            self._begun.popleft()
        return self._most - len(self._begun)

    def opens_at(self, now: float) -> float:
        return now if self.room(now) > 0 else self._begun[-self._most] + self._seconds

    def begun(self, now: float) -> None:
        self._begun.append(now)


@define
class _Standing:
    """How we stand with one provider. ``careful``: one call at a time, until one is answered."""

    timing: Timing
    windows: tuple[_Window, ...]
    under_way: int = 0
    failures: int = 0  # in a row
    denials: int = 0  # in a row, but for calls that say nothing of our credentials
    said: str = ""  # its trouble, as logged
    paused_until: float = _NEVER  # by this process: nobody answered
    throttled_until: float = _NEVER  # by all: it asked us to wait
    heeded: float = _NEVER  # what the store said of that last
    careful: bool = False

    def silent_until(self, now: float) -> float:
        """``now`` where it may be called; infinity where only the end of a call that is under way can tell."""
        if self.careful and self.under_way:
            return inf
        # a clock that was ahead, and was set back since, must not make a silence longer than it was meant to be
        self.paused_until = min(self.paused_until, now + self.timing.circuit_pause)
        self.throttled_until = min(self.throttled_until, now + _LONGEST_WAIT)
        return max(now, self.paused_until, self.throttled_until, *(window.opens_at(now) for window in self.windows))

    def room(self, now: float) -> int | None:
        """How many calls may be begun now; None: any number."""
        return 1 if self.careful else min((window.room(now) for window in self.windows), default=None)

    @property
    def trouble(self) -> str:
        """Why it is in trouble; "" where it is not."""
        if self.denials >= self.timing.circuit_threshold:
            return "refuses our credentials"
        return "does not answer" if self.failures >= self.timing.circuit_threshold else ""


def _standing(timing: Timing) -> _Standing:
    shares = ((timing.calls_per_second, 1.0), (timing.calls_per_minute, 60.0))
    return _Standing(timing, tuple(_Window(most, seconds) for most, seconds in shares if isfinite(most)))


class Admission:
    """Those of one process, towards all its providers. ``wake`` is called where a silence may have ended for another reason than time."""

    def __init__(self, timings: Mapping[str, Timing], wake: Callable[[], None]) -> None:
        self._standings = {name: _standing(timing) for name, timing in timings.items()}
        self._stir = wake

    def paused(self, now: float) -> frozenset[str]:
        """The providers that are not to be called now."""
        return frozenset(name for name, standing in self._standings.items() if standing.silent_until(now) > now)

    def quotas(self, now: float) -> Mapping[str, int]:
        """How many calls may be begun now to each provider that is not paused, where their number is limited: at least one."""
        spoken = ((name, standing) for name, standing in self._standings.items() if standing.silent_until(now) <= now)
        return {name: room for name, standing in spoken if (room := standing.room(now)) is not None}

    @property
    def troubles(self) -> Mapping[str, str]:
        """Which providers are in trouble, and why."""
        return {name: standing.trouble for name, standing in self._standings.items() if standing.trouble}

    def until(self, now: float) -> float | None:
        """When the next silence ends by itself; None where none will."""
        ends = [end for standing in self._standings.values() if now < (end := standing.silent_until(now)) < inf]
        return min(ends, default=None)

    def begun(self, provider: str, now: float) -> None:
        """An effect or a read was taken, and its call begins at once."""
        standing = self._standings[provider]
        standing.under_way += 1
        for window in standing.windows:
            window.begun(now)

    def ended(self, provider: str) -> None:
        """What was taken is over, called or not, answered or not: that may end a silence."""
        self._standings[provider].under_way -= 1
        self._stir()

    def answered(self, provider: str, outcome: Outcome | StatusRead | ReadFailed, now: float) -> None:
        """What a call came to, or why there was none."""
        if isinstance(outcome, NotExecuted | Rejected) and outcome.signal is Signal.NOT_CALLED:
            return
        standing = self._standings[provider]
        if isinstance(outcome, NotExecuted | ReadFailed) and outcome.signal is Signal.THROTTLED:
            standing.throttled_until = max(standing.throttled_until, now + throttle_seconds(standing.timing, outcome.retry_after))
            standing.careful, standing.failures = True, 0
        elif isinstance(outcome, InDoubt) or (isinstance(outcome, NotExecuted | ReadFailed) and outcome.signal is Signal.UNREACHABLE):
            standing.failures += 1
            if standing.failures >= standing.timing.circuit_threshold:
                standing.paused_until = now + standing.timing.circuit_pause
                standing.careful = True
        else:
            standing.failures, standing.paused_until = 0, _NEVER
            if isinstance(outcome, NotExecuted | ReadFailed) and outcome.signal is Signal.UNAUTHORIZED:
                standing.denials += 1
            elif not isinstance(outcome, NotExecuted):  # such as a user's 401, which says nothing of our own credentials
                standing.denials = 0
            if standing.careful and standing.throttled_until <= now:  # an answer from before we were asked to wait does not end the wait
                standing.careful = False
        if standing.trouble != standing.said:
            standing.said = standing.trouble
            _say(provider, standing.said)

    def heed(self, blocked: Mapping[str, float], now: float) -> None:
        """What the store says of all processes: until when each provider is not to be called."""
        for name, standing in self._standings.items():
            until = blocked.get(name, _NEVER)
            if until != standing.heeded and until > max(now, standing.throttled_until):  # what was heeded once is over in time
                standing.throttled_until, standing.careful = until, True
            standing.heeded = until


def _say(provider: str, trouble: str) -> None:
    if trouble:
        _log.warning("provider.in_trouble", provider=provider, why=trouble)
    else:
        _log.info("provider.well_again", provider=provider)
