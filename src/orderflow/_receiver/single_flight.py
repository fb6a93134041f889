"""Single flight: equal requests that arrive at the same time share one execution, so that a flood of notices is no flood of statements.

A caller gets the result of an execution that begins after it asked. Executions of one key begin at least a window apart; callers that
arrive meanwhile share the next one. The window is measured by the event loop's clock, because it moves no order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Executions that are waited for, by key. A key is remembered for one window."""

    def __init__(self) -> None:
        self._pending: dict[Hashable, asyncio.Task[T]] = {}
        self._callers: dict[Hashable, int] = {}  # of the pending execution
        self._next_start: dict[Hashable, float] = {}  # when an execution of this key may begin again; the oldest first

    async def do(self, key: Hashable, window: float, execute: Callable[[int], Awaitable[T]]) -> T:
        """The result of the next execution for this key. ``window``: seconds; ``execute`` gets the number of callers that share it."""
        self._callers[key] = self._callers.get(key, 0) + 1
        task = self._pending.get(key)
        if task is None:
            task = self._pending[key] = asyncio.create_task(self._execute(key, window, execute))
            task.add_done_callback(_take_exception)
        return await asyncio.shield(task)  # a caller that is cancelled must not cancel it for the others

    async def _execute(self, key: Hashable, window: float, execute: Callable[[int], Awaitable[T]]) -> T:
        now = asyncio.get_running_loop().time
        if key in self._next_start:
            await asyncio.sleep(max(0.0, self._next_start[key] - now()))
        del self._pending[key]
        while self._next_start and (oldest := next(iter(self._next_start.items())))[1] <= now():
            del self._next_start[oldest[0]]
        self._next_start.pop(key, None)
        self._next_start[key] = now() + window
        return await execute(self._callers.pop(key))


def _take_exception(task: asyncio.Task[T]) -> None:
    """Its callers may all have given up: no "never retrieved" in the log."""
    if not task.cancelled():
        task.exception()
