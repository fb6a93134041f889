"""How long calls to the outside may take: each its share of the lease, none longer than its worker. Only that lives here.

Cutting ends the call and nothing else: what became of it is still written, so that nothing stays leased.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orderflow.provider.timing import CALL_SHARE

CANCELLED = "the worker stopped before the answer came"
TOO_LATE = "the lease ran out before the call was begun"
"""Why there is no answer, in notes and logs."""


class CallCancelled(Exception):
    """The worker stopped before the answer came, or it or the lease was over before the call was begun; its text says which."""


def allowed_seconds(until: float, lease: float, now: float) -> float:
    """How long a call may take that is begun now, under a lease of ``lease`` seconds that ends at ``until``; 0 or less: do not begin.

    The way here may have been long: a database that was away, a machine that slept. Another worker takes over when the lease ends.
    """
    return min(lease * CALL_SHARE, until - lease * (1 - CALL_SHARE) - now)


class RunningCalls:
    """The calls of one worker. ``over``: they were cut, and none is to be begun any more."""

    def __init__(self) -> None:
        self.over = False
        self._under_way: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[None]:
        """Around one call, which may take so long: see ``seconds_left``.

        Raises:
            TimeoutError: it took longer; CallCut: it was cut, or would have begun too late.
        """
        if self.over or seconds <= 0:
            raise CallCancelled(CANCELLED if self.over else TOO_LATE)
        try:
            async with asyncio.timeout(seconds) as limit:
                self._under_way.add(limit)
                try:
                    yield
                finally:
                    self._under_way.discard(limit)
        except TimeoutError:
            if self.over:
                raise CallCancelled(CANCELLED) from None
            raise

    def cut(self) -> None:
        """End what is under way, begin nothing more."""
        self.over = True
        now = asyncio.get_running_loop().time()
        for limit in self._under_way:
            if not limit.expired():
                limit.reschedule(now)
