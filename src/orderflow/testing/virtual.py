"""Virtual time: an event loop that jumps to its next timer instead of waiting, and a clock that reads it. Nothing about orders.

Everything must run inside the loop (no threads, no sockets): then the same seed gives the same run, and fourteen days take a second.
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


_TICK = 1e-6  # at epoch magnitude a float cannot hold less: without it the last timer might never quite come


class Deadlock(Exception):
    """Everything waits and no timer will ever wake anything."""


class _Jumping(selectors.SelectSelector):
    """Looks at the real world without waiting for it; what would have been waited is added to the loop's time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise Deadlock("nothing is planned any more")
        self.now += timeout + _TICK
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose time is virtual."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)
        self._clock_resolution = _TICK  # asyncio's: at 1e-9, lost in the float, a timer due this very moment would never be

    def time(self) -> float:
        """Virtual epoch seconds."""
        return self._jumping.now


class VirtualClock(SimClock):
    """The running loop's time, for engine and simulators alike (``ports.Clock`` and a simulator's clock)."""

    def __init__(self) -> None:
        super().__init__(START)

    def now(self) -> float:
        """Epoch seconds of the running virtual loop."""
        return asyncio.get_running_loop().time()

    def advance(self, seconds: float) -> None:
        """Not here: virtual time runs by itself.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("virtual time runs by itself; sleep instead")


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time from ``START`` on; all tasks it left are cancelled."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
