"""One clock for engine and simulators although they run in different threads: running, or standing still until advanced.
What may live here: ``SharedClock`` only."""

from __future__ import annotations

import asyncio
import threading

from attrs import frozen

from orderflow.simulators import SimClock


@frozen(eq=False)
class _Sleeper:
    at: float
    loop: asyncio.AbstractEventLoop
    waiter: asyncio.Future[None]

    def wake(self) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(_release, self.waiter)


class SharedClock(SimClock):
    """A ``SimClock`` whose sleepers may live in any loop, and that any thread may advance."""

    def __init__(self, start: float | None = None, manual: bool = False) -> None:
        super().__init__(start, manual)
        self._lock = threading.Lock()
        self._asleep: list[_Sleeper] = []

    def advance(self, seconds: float) -> None:
        """Push time forward; whoever slept until then wakes.

        Raises ValueError for negative seconds: the clock never goes back.
        """
        if seconds < 0:
            raise ValueError("seconds: the clock never goes back")
        with self._lock:
            self._base += seconds
            now = self.now()
            due = sorted((one for one in self._asleep if one.at <= now), key=lambda one: one.at)
        for one in due:
            one.wake()

    @property
    def sleeping(self) -> int:
        """How many sleep on this clock in the running loop: a simulator is to count its own sleepers only."""
        here = asyncio.get_running_loop()
        with self._lock:
            return sum(one.loop is here for one in self._asleep)

    def set_manual(self, manual: bool) -> None:
        """Stop the clock at its present time, or let it run on from there. Sleeping tasks go on sleeping."""
        super().set_manual(manual)
        with self._lock:
            asleep = tuple(self._asleep)
        # each looks at the clock anew, and sets itself a timer or none
        for one in asleep:
            one.wake()

    async def sleep_until(self, at: float) -> None:
        """Sleep until this clock shows ``at``; returns at once when that is past."""
        loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                left = at - self.now()
                if left <= 0:
                    return
                mine = _Sleeper(at, loop, loop.create_future())
                self._asleep.append(mine)
            timer = None if self.manual else loop.call_later(left, _release, mine.waiter)
            try:
                await mine.waiter
            finally:
                if timer is not None:
                    timer.cancel()
                with self._lock:
                    self._asleep.remove(mine)


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
