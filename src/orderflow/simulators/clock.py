"""The simulator's time. What may live here: ``SimClock`` only."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time


class SimClock:
    """Epoch seconds that a test or a demo may push forward.

    Running (the default) it is the wall clock plus whatever ``advance`` added; ``manual=True`` makes it stand still
    until ``advance``. ``start`` is the first reading (default: the present). Bound to one event loop at a time.
    """

    def __init__(self, start: float | None = None, manual: bool = False) -> None:
        self.manual = manual
        self._base = time.time() if start is None else start
        self._zero = time.monotonic()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._tie = itertools.count()

    def now(self) -> float:
        """The present, in epoch seconds."""
        return self._base if self.manual else self._base + time.monotonic() - self._zero

    def advance(self, seconds: float) -> None:
        """Push time forward; whoever slept until then wakes, the earliest first.

        Raises ValueError for negative seconds: the clock never goes back.
        """
        if seconds < 0:
            raise ValueError("seconds: the clock never goes back")
        self._base += seconds
        now = self.now()
        while self._sleepers and self._sleepers[0][0] <= now:
            _release(heapq.heappop(self._sleepers)[2])

    @property
    def sleeping(self) -> int:
        """How many sleep on this clock."""
        return len(self._sleepers)

    def stand(self, still: bool) -> None:
        """Let the clock stand still from its present reading, or run on from it. Whoever sleeps, sleeps on."""
        if still == self.manual:
            return
        self._base, self._zero, self.manual = self.now(), time.monotonic(), still
        sleepers, self._sleepers = self._sleepers, []
        # each sleeper looks at the clock anew, and sets itself a timer or none
        for _, _, waiter in sleepers:
            _release(waiter)

    async def sleep(self, seconds: float) -> None:
        """Sleep for so many seconds of this clock."""
        await self.sleep_until(self.now() + seconds)

    async def sleep_until(self, at: float) -> None:
        """Sleep until this clock shows ``at``; returns at once when that is past.

        A chain of steps should wait for absolute times, so that one big ``advance`` runs all of them.
        """
        loop = asyncio.get_running_loop()
        while (left := at - self.now()) > 0:
            waiter: asyncio.Future[None] = loop.create_future()
            entry = (at, next(self._tie), waiter)
            heapq.heappush(self._sleepers, entry)
            timer = None if self.manual else loop.call_later(left, _release, waiter)
            try:
                await waiter
            finally:
                if timer is not None:
                    timer.cancel()
                if entry in self._sleepers:
                    self._sleepers.remove(entry)
                    heapq.heapify(self._sleepers)


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
