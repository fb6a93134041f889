"""The circuit breaker of one provider in this process. Pure: the time is a parameter.

*Closed*: calls are made. After ``threshold`` calls in a row without a usable answer it *opens*: no calls for ``pause`` seconds, or
once-effects would end in doubt by the hundred. Then it is *half open*: one call at a time, until one is answered.
"""

from __future__ import annotations

from enum import StrEnum
from math import inf


class CircuitState(StrEnum):
    """The state of a circuit breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class CircuitBreaker:
    """Counts failures, opens, and closes again on an answer."""

    def __init__(self, threshold: int, pause: float) -> None:
        self._threshold = threshold
        self._pause = pause
        self._failures = 0  # in a row
        self._open_until = -inf
        self._probing = False  # one call at a time
        self._taken_over = False  # another process counted the failures

    def state(self, now: float) -> CircuitState:
        """Its state at this time."""
        if now < self._open_until:
            return CircuitState.OPEN
        return CircuitState.HALF_OPEN if self._probing else CircuitState.CLOSED

    @property
    def tripped(self) -> bool:
        """Whether the last ``threshold`` calls had no usable answer; where another process counted them, the last one here."""
        return self._failures >= (1 if self._taken_over else self._threshold)

    @property
    def one_at_a_time(self) -> bool:
        """Whether only one call may be in progress."""
        return self._probing

    @property
    def open_until(self) -> float:
        """When it is half open next; a time in the past if it is not open."""
        return self._open_until

    def record_failure(self, now: float) -> None:
        """A call had no usable answer."""
        self._failures += 1
        if self.tripped:
            self._open_until = now + self._pause
            self._probing = True

    def record_answer(self, *, close: bool = True) -> None:
        """A call was answered. With ``close`` the breaker closes; without, it only forgets the failures."""
        self.retry()
        if close:
            self._probing = False

    def probe(self) -> None:
        """One call at a time from now on, until one is answered: after the provider throttled us."""
        self._probing = True

    def take_over(self, until: float) -> None:
        """Another process sees an outage: no calls before ``until``, then one at a time. One failure opens it again."""
        self._failures = 0
        self._open_until = until
        self._probing = self._taken_over = True

    def retry(self) -> None:
        """Calls may be made at once; where it was open or half open, one at a time. The failures are forgotten."""
        self._failures = 0
        self._open_until = -inf
        self._taken_over = False

    def forget_failures(self) -> None:
        """The provider answered, though it asked for a pause."""
        self._failures = 0

    def correct_clock(self, now: float) -> None:
        """Shorten a pause that became too long because the clock was set back."""
        self._open_until = min(self._open_until, now + self._pause)
