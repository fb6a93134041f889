"""One clock for engine and simulators, although they run in different threads. Only ``SharedClock`` lives here."""

from __future__ import annotations

import asyncio
import threading

from attrs import frozen

from orderflow.simulators import SimClock


@frozen(eq=False)
class _Sleeper:
    """A task that sleeps on the clock, in its own loop."""

    at: float
    loop: asyncio.AbstractEventLoop
    waiter: asyncio.Future[None]

    def wake(self) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(_wake, self.waiter)


class SharedClock(SimClock):
    """A ``SimClock`` on which tasks of any event loop may sleep, and which any thread may advance."""

    def __init__(self, start: float | None = None, manual: bool = False) -> None:
        super().__init__(start, manual)
        self._lock = threading.Lock()
        self._sleeping: list[_Sleeper] = []

    def advance(self, seconds: float) -> None:
        """Move time forward and wake each task whose time has come, the earliest first.

        Raises:
            ValueError: negative seconds.
        """
        if seconds < 0:
            raise ValueError("seconds: the clock never goes back")
        with self._lock:
            self._base += seconds
            now = self.now()
            due = sorted((sleeper for sleeper in self._sleeping if sleeper.at <= now), key=lambda sleeper: sleeper.at)
        for sleeper in due:
            sleeper.wake()

    @property
    def sleeping(self) -> int:
        """How many tasks of the running loop sleep on this clock. A simulator counts its own sleepers by it."""
        loop = asyncio.get_running_loop()
        with self._lock:
            return sum(sleeper.loop is loop for sleeper in self._sleeping)

    @property
    def sleeping_anywhere(self) -> int:
        """How many tasks of all loops sleep on this clock."""
        with self._lock:
            return len(self._sleeping)

    def set_manual(self, manual: bool) -> None:
        """Stop the clock at its present time, or let it run on from there. Sleeping tasks go on sleeping."""
        super().set_manual(manual)
        with self._lock:
            sleepers = tuple(self._sleeping)
        # each task wakes, reads the clock again and sets a new timer, or none
        for sleeper in sleepers:
            sleeper.wake()

    async def sleep_until(self, at: float) -> None:
        """Sleep until this clock shows ``at``; return at once when that is past."""
        loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                left = at - self.now()
                if left <= 0:
                    return
                sleeper = _Sleeper(at, loop, loop.create_future())
                self._sleeping.append(sleeper)
            timer = None if self.manual else loop.call_later(left, _wake, sleeper.waiter)
            try:
                await sleeper.waiter
            finally:
                if timer is not None:
                    timer.cancel()
                with self._lock:
                    self._sleeping.remove(sleeper)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
