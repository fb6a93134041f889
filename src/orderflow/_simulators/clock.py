"""The simulator's time. Contains only: ``SimClock`` only."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time


class SimClock:
    """A clock in epoch seconds that a test or a demo may advance.

    A running clock (the default) shows the wall clock plus all seconds added by ``advance``. A manual clock stands still
    until ``advance``. ``start`` is its first time (default: now). It belongs to one event loop at a time.
    """

    def __init__(self, start: float | None = None, manual: bool = False) -> None:
        self.manual: bool = manual
        self._base = time.time() if start is None else start
        self._zero = time.monotonic()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._tie = itertools.count()

    def now(self) -> float:
        """The present, in epoch seconds."""
        return self._base if self.manual else self._base + time.monotonic() - self._zero

    def advance(self, seconds: float) -> None:
        """Move time forward and wake each task whose time has come, the earliest first.

        Raises:
            ValueError: negative seconds.
        """
        if seconds < 0:
            raise ValueError("seconds: the clock never goes back")
        self._base += seconds
        now = self.now()
        while self._sleepers and self._sleepers[0][0] <= now:
            _wake(heapq.heappop(self._sleepers)[2])

    @property
    def sleeping(self) -> int:
        """The number of tasks that sleep on this clock."""
        return len(self._sleepers)

    def set_manual(self, manual: bool) -> None:
        """Stop the clock at its present time, or let it run on from there. Sleeping tasks go on sleeping."""
        if manual == self.manual:
            return
        self._base, self._zero, self.manual = self.now(), time.monotonic(), manual
        sleepers, self._sleepers = self._sleepers, []
        # each task wakes, reads the clock again and sets a new timer, or none
        for _, _, waiter in sleepers:
            _wake(waiter)

    async def sleep(self, seconds: float) -> None:
        """Sleep for ``seconds`` of this clock."""
        await self.sleep_until(self.now() + seconds)

    async def sleep_until(self, at: float) -> None:
        """Sleep until this clock shows ``at``; return at once when that is past.

        A chain of steps should wait for absolute times: then one long ``advance`` runs all of them.
        """
        loop = asyncio.get_running_loop()
        while (left := at - self.now()) > 0:
            waiter: asyncio.Future[None] = loop.create_future()
            entry = (at, next(self._tie), waiter)
            heapq.heappush(self._sleepers, entry)
            timer = None if self.manual else loop.call_later(left, _wake, waiter)
            try:
                await waiter
            finally:
                if timer is not None:
                    timer.cancel()
                if entry in self._sleepers:
                    self._sleepers.remove(entry)
                    heapq.heapify(self._sleepers)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
