"""The loops of a worker: effects, reads, deadlines; woken by commits in this process, by what is due, and by a poll beneath.

Stopping drains: nothing new is taken, what is in flight may finish within the grace. What is not finished then is cut and given back:
owed or planned again now, or reported lost where nobody can know whether a once-effect's call arrived. Nothing stays leased.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import structlog
from attrs import frozen

from orderflow.engine.accept import Door
from orderflow.engine.calls import Calls
from orderflow.engine.effects import Effects
from orderflow.engine.read import Deadlines, Reader
from orderflow.engine.trouble import trouble
from orderflow.ports import Dispatcher, Links

T = TypeVar("T")
_log = structlog.get_logger()
_SHORTEST_WAIT = 0.005
_MOST_ASIDE = 1000  # deadlines looked past in one look
_GIVING_BACK = 5.0  # seconds beyond the grace for writing what became of what was cut: a database that is away must not hold us longer


@frozen
class Health:
    """How a worker is.

    ``age``: seconds since it last looked at the database (or began); ``reached``: whether that look was answered (None: there was
    none yet); ``poll``: the longest silence between two looks, in seconds, when all is well; ``in_hand``: effects and reads that it
    holds leased, after its end those that it could not give back; ``draining``: it takes nothing new.
    """

    age: float
    reached: bool | None
    poll: float
    in_hand: int
    draining: bool


class Worker:
    """Runs what is owed until stopped. ``poll`` is the longest silence between two looks, in seconds."""

    def __init__(
        self, door: Door, links: Links, dispatcher: Dispatcher, dice: random.Random, *, poll: float = 1.0, width: int = 32
    ) -> None:
        self._door = door
        self._poll = poll
        self._width = width
        self._dispatcher = dispatcher
        self._calls = Calls()
        self._effects = Effects(door, links, dispatcher, self._calls)
        self._reader = Reader(door, dice, self._calls)
        self._deadlines = Deadlines(door)
        self._in_flight: set[asyncio.Task[bool]] = set()
        self._hurry = True
        self._aside = 0  # deadlines that could not be brought the last time: those behind them must have their turn
        self._vain = 0  # looks in a row that took nothing although something was due
        self._stopping = False
        self._loop: asyncio.Task[None] | None = None
        self._looked = 0.0  # when, by the event loop's clock
        self._reached: bool | None = None
        self._left = 0  # given back by nobody

    @property
    def health(self) -> Health:
        """How it is now; may be asked from any thread."""
        age = self._loop.get_loop().time() - self._looked if self._loop is not None else 0.0
        return Health(age, self._reached, self._poll, len(self._in_flight) + self._left, self._stopping)

    async def start(self) -> None:
        """Begin to work in the background."""
        await self._dispatcher.open(self._door.stirred.set)
        self._looked = asyncio.get_running_loop().time()
        self._loop = asyncio.create_task(self._run(), name="orderflow-worker")

    async def stop(self, grace: float = 20.0) -> None:
        """Take nothing new; let what is in flight finish within ``grace`` seconds; cut the rest and give it back."""
        self._stopping = True
        self._door.stirred.set()
        await self._settled(grace)
        self._calls.cut()
        late = await self._settled(_GIVING_BACK)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        self._left += self._loop in late  # nobody knows what it was about to take
        if self._left:  # the database did not take it: another worker takes over when the leases have run out
            _log.error("worker.leases_left", count=self._left)
        await self._dispatcher.close()

    async def _settled(self, within: float) -> set[asyncio.Task[Any]]:
        """Wait so many seconds for the loop to end and for all that it took; what has not ended by then."""
        now = asyncio.get_running_loop().time
        end = now() + within
        if self._loop is not None:
            await asyncio.wait({self._loop}, timeout=within)
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=max(0.0, end - now()))
        return {task for task in (self._loop, *self._in_flight) if task is not None and not task.done()}

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
                await self._door.heed(self._poll)
                taken = await self._look()
                self._reached = True
            except Exception as error:  # noqa: BLE001  a database away for a moment must not end the worker
                _log.error("worker.look_failed", **trouble(error))
                taken, self._hurry, self._reached = 0, False, False
            self._looked = asyncio.get_running_loop().time()
            if taken:
                self._vain = 0
            elif not self._stopping:
                await self._wait()

    async def _look(self) -> int:
        deadlines = await self._deadlines.due(self._width + self._aside)
        brought = sum(await asyncio.gather(*(self._guarded(self._deadlines.bring, deadline) for deadline in deadlines)))
        self._aside = min(len(deadlines) - brought, _MOST_ASIDE)
        free = self._width - len(self._in_flight)
        # what cannot be taken, or not be brought, is due all the same: looking again at once would spin
        self._hurry = free > 0 and brought == len(deadlines)
        if free <= 0 or self._stopping:
            return brought
        begun = self._begin(await self._effects.due(free), self._effects.carry_out)
        free -= begun
        return brought + begun + (self._begin(await self._reader.due(free), self._reader.read) if free and not self._stopping else 0)

    def _begin(self, found: Sequence[T], run: Callable[[T], Awaitable[None]]) -> int:
        for item in found:
            task = asyncio.create_task(self._guarded(run, item))
            self._in_flight.add(task)
            task.add_done_callback(self._ended)
        return len(found)

    def _ended(self, task: asyncio.Task[bool]) -> None:
        self._in_flight.discard(task)
        if self._stopping and (task.cancelled() or not task.result()):
            self._left += 1
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
        now = self._door.clock.now()
        spoken_again = self._door.manners.until(now)
        try:
            due = await self._door.store.next_due(self._door.scope_at(now))
        except Exception as error:  # noqa: BLE001  as above
            _log.error("worker.look_failed", **trouble(error))
            due = None
        wait = self._poll
        if self._hurry and (soon := [at for at in (due, spoken_again) if at is not None]):
            left = min(soon) - self._door.clock.now()
            self._vain = self._vain + 1 if left <= 0 else 0  # another worker holds it, or it has to wait: look ever more seldom
            wait = min(wait, max(left, _SHORTEST_WAIT * 2 ** min(self._vain, 20)))
        waiting = {asyncio.ensure_future(self._door.stirred.wait()), asyncio.ensure_future(self._door.clock.sleep(wait))}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
