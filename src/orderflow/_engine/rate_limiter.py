"""Rate limits: how many calls to one provider this process may begin. Pure: the time is a parameter."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import isfinite

from orderflow._provider.timing import Timing


class SlidingWindow:
    """At most ``limit`` calls in any ``seconds``. Calls are counted, not smoothed, so no such interval has more."""

    def __init__(self, limit: float, seconds: float) -> None:
        self._limit = max(1, int(limit))
        self._seconds = seconds
        self._calls: deque[float] = deque()  # when each began

    def available(self, now: float) -> int:
        """How many calls may begin now."""
        self._forget_old(now)
        return self._limit - len(self._calls)

    def next_call_at(self, now: float) -> float:
        """When the next call may begin; ``now`` if at once."""
        return now if self.available(now) > 0 else self._calls[-self._limit] + self._seconds

    def record(self, now: float) -> None:
        """A call begins."""
        self._calls.append(now)

    def _forget_old(self, now: float) -> None:
        # a call in the future was recorded before the clock was set back
        while self._calls and not self._calls[0] <= now < self._calls[0] + self._seconds:
            self._calls.popleft()


class RateLimiter:
    """The quota of one provider in this process: all its windows together."""

    def __init__(self, windows: Sequence[SlidingWindow]) -> None:
        self._windows = tuple(windows)

    @classmethod
    def of(cls, timing: Timing) -> RateLimiter:
        """The limiter for ``calls_per_second`` and ``calls_per_minute``; infinite ones are left out."""
        limits = ((timing.calls_per_second, 1.0), (timing.calls_per_minute, 60.0))
        return cls([SlidingWindow(limit, seconds) for limit, seconds in limits if isfinite(limit)])

    def available(self, now: float) -> int | None:
        """How many calls may begin now; None: any number."""
        return min((window.available(now) for window in self._windows), default=None)

    def next_call_at(self, now: float) -> float:
        """When the next call may begin; ``now`` if at once."""
        return max((window.next_call_at(now) for window in self._windows), default=now)

    def record(self, now: float) -> None:
        """A call begins."""
        for window in self._windows:
            window.record(now)
