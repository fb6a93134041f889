"""How long a call to a provider or listener may take, and how a stopping worker cancels the calls in progress.

Cancelling ends the call and nothing else: what became of it is still written, so that nothing stays leased.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orderflow._provider.timing import CALL_SHARE

CANCELLED = "the worker stopped before the answer came"
TOO_LATE = "the lease ran out before the call was begun"
"""Why there is no answer, in notes and logs."""


class SendingRefused(Exception):
    """The request of a call may not be sent; the message says why. ``superseded``: the call does not belong to this attempt any more."""

    def __init__(self, why: str, *, superseded: bool) -> None:
        super().__init__(why)
        self.superseded = superseded


class CallCancelled(Exception):
    """The call was cancelled, or was not begun because the worker stops or the lease is nearly over; the message says which."""


def seconds_for_call(lease_end: float, lease: float, now: float) -> float:
    """How long a call may take that begins now under a lease of ``lease`` seconds that ends at ``lease_end``; 0 or less: do not begin.

    Part of the lease may be gone already: the database was slow, or the machine slept. At the end of the lease another worker takes over.
    """
    return min(lease * CALL_SHARE, lease_end - lease * (1 - CALL_SHARE) - now)


class RunningCalls:
    """The calls of one worker. ``closed``: they were cancelled, and no new one may begin."""

    def __init__(self) -> None:
        self.closed = False
        self._timeouts: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncIterator[None]:
        """Around one call that may take ``seconds``; see ``seconds_for_call``.

        Raises:
            TimeoutError: it took longer.
            CallCancelled: it was cancelled, or may not begin any more.
        """
        if self.closed or seconds <= 0:
            raise CallCancelled(CANCELLED if self.closed else TOO_LATE)
        try:
            async with asyncio.timeout(seconds) as timeout:
                self._timeouts.add(timeout)
                try:
                    yield
                finally:
                    self._timeouts.discard(timeout)
        except TimeoutError:
            if self.closed:
                raise CallCancelled(CANCELLED) from None
            raise

    def cancel_all(self) -> None:
        """Cancel the calls in progress and let no new one begin."""
        self.closed = True
        now = asyncio.get_running_loop().time()
        for timeout in self._timeouts:
            if not timeout.expired():
                timeout.reschedule(now)
