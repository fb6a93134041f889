"""Background work of a simulator: what it does by itself while time goes on. Contains only: the tasks, and waiting for them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from orderflow._simulators.clock import SimClock
from orderflow._simulators.deliveries import Deliveries

IDLE_TIMEOUT_SECONDS = 5.0
POLL_SECONDS = 0.001


class BackgroundTasks:
    """The tasks of one simulator. A task that fails makes ``close`` raise its exception."""

    def __init__(self, clock: SimClock, deliveries: Deliveries) -> None:
        self._clock = clock
        self._deliveries = deliveries
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` in the background until it ends, or until ``cancel`` or ``close``."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    async def wait_until_idle(self) -> None:
        """Wait until all tasks and deliveries have ended or sleep on the clock; for ``IDLE_TIMEOUT_SECONDS`` at most."""
        try:
            async with asyncio.timeout(IDLE_TIMEOUT_SECONDS):
                await asyncio.sleep(0)
                while len(self._tasks) + self._deliveries.pending > self._clock.sleeping:  # noqa: ASYNC110 - there is no event for it
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            pass

    async def drain(self) -> None:
        """Wait until all tasks have ended. With a manual clock, advance it first."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def cancel(self) -> None:
        """Cancel all tasks."""
        for task in tuple(self._tasks):
            task.cancel()

    async def close(self) -> None:
        """Cancel all tasks and wait for their end. Raises the exception of the first task that failed."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._failures:
            raise self._failures.pop(0)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failures.append(failure)
