"""Virtual time: an event loop that jumps to its next timer instead of waiting, and a clock that shows the loop's time.

Everything must run inside the loop: no threads, no sockets. Then the same seed gives the same run, and fourteen days take a second.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from orderflow.simulators import SimClock

T = TypeVar("T")

START = 1_700_000_000.0
"""When virtual time begins, in epoch seconds."""

_TICK = 1e-6  # a float of this magnitude cannot hold less; without it the time of the last timer might never be reached


class Deadlock(Exception):
    """Every task waits, and no timer will ever wake one."""


class _JumpingSelector(selectors.SelectSelector):
    """Polls its files without waiting. The time that it should have waited is added to ``now``."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise Deadlock("no timer is set")
        self.now += timeout + _TICK
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose time is virtual."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # asyncio's own resolution of 1e-9 is lost in a float of this magnitude: a timer that is due now would never fire
        self._clock_resolution = _TICK

    def time(self) -> float:
        """Virtual epoch seconds."""
        return self._jumping.now


class VirtualClock(SimClock):
    """The time of the running loop, for engine and simulators alike."""

    def __init__(self) -> None:
        super().__init__(START)

    def now(self) -> float:
        """Epoch seconds of the running virtual loop."""
        return asyncio.get_running_loop().time()

    def advance(self, seconds: float) -> None:
        """Not possible: virtual time runs by itself.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("virtual time runs by itself; sleep instead")


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time, from ``START`` on. Tasks that it leaves behind are cancelled."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
