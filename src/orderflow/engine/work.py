"""The loops of a worker: effects, reads, deadlines; woken by commits in this process, by what is due, and by a poll beneath.

Stopping drains: nothing new is taken, what is in flight may finish within the grace.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from orderflow.engine.accept import Door
from orderflow.engine.effects import Effects
from orderflow.engine.read import Deadlines, Reader
from orderflow.engine.trouble import trouble
from orderflow.ports import Dispatcher, Links

T = TypeVar("T")
_log = structlog.get_logger()
_SHORTEST_WAIT = 0.005


class Worker:
    """Runs what is owed until stopped. ``poll`` is the longest silence between two looks, in seconds."""

    def __init__(
        self, door: Door, links: Links, dispatcher: Dispatcher, dice: random.Random, *, poll: float = 1.0, width: int = 32
    ) -> None:
        self._door = door
        self._poll = poll
        self._width = width
        self._dispatcher = dispatcher
        self._effects = Effects(door, links, dispatcher)
        self._reader = Reader(door, dice)
        self._deadlines = Deadlines(door)
        self._in_flight: set[asyncio.Task[bool]] = set()
        self._hurry = True
        self._vain = 0  # looks in a row that took nothing although something was due
        self._stopping = False
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to work in the background."""
        await self._dispatcher.open(self._door.stirred.set)
        self._loop = asyncio.create_task(self._run(), name="orderflow-worker")

    async def stop(self, grace: float = 10.0) -> None:
        """Take nothing new, let what is in flight finish within the grace."""
        self._stopping = True
        self._door.stirred.set()
        if self._loop is not None:
            await self._loop
        if self._in_flight:
            _, late = await asyncio.wait(self._in_flight, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._dispatcher.close()

    async def abandon(self) -> None:
        """As a kill would end it: at once, answering nothing, its leases left to run out. For rehearsals."""
        self._stopping = True
        tasks = [task for task in (self._loop, *self._in_flight) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._dispatcher.close()

    async def _run(self) -> None:
        while not self._stopping:
            self._door.stirred.clear()
            try:
                await self._door.meet_listeners(self._poll)
                taken = await self._look()
            except Exception as error:  # noqa: BLE001  a database away for a moment must not end the worker
                _log.error("worker.look_failed", **trouble(error))
                taken, self._hurry = 0, False
            if taken:
                self._vain = 0
            elif not self._stopping:
                await self._wait()

    async def _look(self) -> int:
        deadlines = await self._deadlines.due(self._width)
        brought = sum(await asyncio.gather(*(self._guarded(self._deadlines.bring, deadline) for deadline in deadlines)))
        free = self._width - len(self._in_flight)
        # what cannot be taken, or not be brought, is due all the same: looking again at once would spin
        self._hurry = free > 0 and brought == len(deadlines)
        if free <= 0:
            return brought
        begun = self._begin(await self._effects.due(free), self._effects.carry_out)
        free -= begun
        return brought + begun + (self._begin(await self._reader.due(free), self._reader.read) if free else 0)

    def _begin(self, found: Sequence[T], run: Callable[[T], Awaitable[None]]) -> int:
        for item in found:
            task = asyncio.create_task(self._guarded(run, item))
            self._in_flight.add(task)
            task.add_done_callback(self._ended)
        return len(found)

    def _ended(self, task: asyncio.Task[bool]) -> None:
        self._in_flight.discard(task)
        if not self._hurry:
            self._door.stirred.set()

    async def _guarded(self, run: Callable[[T], Awaitable[None]], item: T) -> bool:
        try:
            await run(item)
        except Exception as error:  # noqa: BLE001  one order's trouble stays with it: its lease ends and it is taken again
            _log.error("worker.item_failed", **trouble(error))
            return False
        return True

    async def _wait(self) -> None:
        try:
            due = await self._door.store.next_due(self._door.scope)
        except Exception as error:  # noqa: BLE001  as above
            _log.error("worker.look_failed", **trouble(error))
            due = None
        wait = self._poll
        if due is not None and self._hurry:
            left = due - self._door.clock.now()
            self._vain = self._vain + 1 if left <= 0 else 0  # another worker holds it, or it has to wait: look ever more seldom
            wait = min(wait, max(left, _SHORTEST_WAIT * 2 ** min(self._vain, 20)))
        waiting = {asyncio.ensure_future(self._door.stirred.wait()), asyncio.ensure_future(self._door.clock.sleep(wait))}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
