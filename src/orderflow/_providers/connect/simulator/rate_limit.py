"""Connect's rate limit (A12). Contains only: ``RateLimit`` only."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define

from orderflow.simulators import SimClock


@define
class RateLimit:
    """``calls`` in each window of ``seconds``; unlimited until ``set``."""

    clock: SimClock
    calls: int | None = None
    seconds: float = 1.0
    _window_end: float = 0.0
    _left: int = 0

    def set(self, calls: int | None, seconds: float) -> None:
        """Begin a new window with a new limit; None removes the limit."""
        self.calls, self.seconds = calls, seconds
        self._window_end, self._left = 0.0, 0

    def count(self) -> bool:
        """Count one call; False if it is above the limit."""
        if self.calls is None:
            return True
        self._begin_window_if_due(self.calls)
        self._left -= 1
        return self._left >= 0

    def headers(self) -> Mapping[str, str]:
        """The headers of every answer under a limit: calls left, and seconds until the window ends."""
        if self.calls is None:
            return {}
        self._begin_window_if_due(self.calls)
        seconds = max(0.0, self._window_end - self.clock.now())
        return {"X-RateLimit-Remaining": str(max(0, self._left)), "X-RateLimit-Reset": str(int(-(-seconds // 1)))}

    def _begin_window_if_due(self, calls: int) -> None:
        if self.clock.now() >= self._window_end:
            self._window_end, self._left = self.clock.now() + self.seconds, calls
