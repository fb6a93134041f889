"""How long calls to the outside may take: each its share of the lease, none longer than its worker. Only that lives here.

Cutting ends the call and nothing else: what became of it is still written, so that nothing stays leased.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CALL_SHARE = 0.8
"""A call may take this share of its lease, so that two workers never call at once."""

CUT = "the worker stopped before the answer came"
"""Why there is no answer, in notes and logs."""


class CallCut(Exception):
    """The worker stopped before the answer came, or before the call was begun."""


class Calls:
    """The calls of one worker. ``over``: they were cut, and none is to be begun any more."""

    def __init__(self) -> None:
        self.over = False
        self._under_way: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def within(self, lease: float) -> AsyncIterator[None]:
        """Around one call; ``lease`` in seconds.

        Raises:
            TimeoutError: it took longer than its share of the lease; CallCut: it was cut, or would have begun after that.
        """
        if self.over:
            raise CallCut(CUT)
        try:
            async with asyncio.timeout(lease * CALL_SHARE) as limit:
                self._under_way.add(limit)
                try:
                    yield
                finally:
                    self._under_way.discard(limit)
        except TimeoutError:
            if self.over:
                raise CallCut(CUT) from None
            raise

    def cut(self) -> None:
        """End what is under way, begin nothing more."""
        self.over = True
        now = asyncio.get_running_loop().time()
        for limit in self._under_way:
            if not limit.expired():
                limit.reschedule(now)
