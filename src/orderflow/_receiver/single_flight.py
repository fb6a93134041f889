"""Single flight: equal requests that arrive at the same time share one execution, so that a flood of notices is no flood of statements.

A caller gets the result of an execution that begins after it asked. Executions of one key begin at least a window apart; callers that
arrive meanwhile share the next one. So do executions of different keys that have the same *pace*: the holder of one URL cannot make us
work faster by changing what stands behind it. The window is measured by the event loop's clock, because it moves no order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
_LONGEST_WAIT = 5.0  # seconds until an execution begins; what would wait longer is refused, so that no queue grows


class TooManyRequests(Exception):
    """So many executions of one pace wait that another one is refused."""


class SingleFlight(Generic[T]):
    """Executions that are waited for, by key. A key is remembered for one window."""

    def __init__(self) -> None:
        self._pending: dict[Hashable, asyncio.Task[T]] = {}
        self._callers: dict[Hashable, int] = {}  # of the pending execution
        self._next_start: dict[Hashable, float] = {}  # when an execution of this pace may begin again; the oldest first

    async def do(self, key: Hashable, window: float, execute: Callable[[int], Awaitable[T]], *, pace: Hashable = None) -> T:
        """The result of the next execution for this key. ``window``: seconds; ``execute`` gets the number of callers that share it.

        ``pace``: executions that have the same begin a window apart; without it, those of one key.

        Raises:
            TooManyRequests: too many executions of this pace wait already.
        """
        task = self._pending.get(key)
        if task is None:
            delay = self._reserve(key if pace is None else pace, window)
            task = self._pending[key] = asyncio.create_task(self._execute(key, delay, execute))
            task.add_done_callback(_take_exception)
        self._callers[key] = self._callers.get(key, 0) + 1
        return await asyncio.shield(task)  # a caller that is cancelled must not cancel it for the others

    def _reserve(self, pace: Hashable, window: float) -> float:
        """In how many seconds an execution of this pace may begin. The next one may begin a window later."""
        now = asyncio.get_running_loop().time()
        while self._next_start and (oldest := next(iter(self._next_start.items())))[1] <= now:
            del self._next_start[oldest[0]]
        start = max(now, self._next_start.get(pace, now))
        if start - now > _LONGEST_WAIT:
            raise TooManyRequests
        self._next_start.pop(pace, None)
        self._next_start[pace] = start + window
        return start - now

    async def _execute(self, key: Hashable, delay: float, execute: Callable[[int], Awaitable[T]]) -> T:
        if delay:
            await asyncio.sleep(delay)
        del self._pending[key]
        return await execute(self._callers.pop(key))


def _take_exception(task: asyncio.Task[T]) -> None:
    """Its callers may all have given up: no "never retrieved" in the log."""
    if not task.cancelled():
        task.exception()
