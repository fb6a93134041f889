"""The loops of a worker: effects, reads, deadlines; woken by commits in this process, by what is due, and by a poll async_flow.

Stopping drains: nothing new is taken, what is in flight may finish within the grace. What is not finished then is cut and given back:
owed or planned again now, or reported lost where nobody can know whether a once-effect's call arrived. So is what failed earlier, of
which nothing could be written: its lease may run still. Nothing stays leased.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import structlog
from attrs import field, frozen

from orderflow.dispatch.ports import Dispatcher
from orderflow.engine.calls import RunningCalls
from orderflow.engine.deadlines import Deadlines
from orderflow.engine.inbox import Inbox
from orderflow.engine.outbox import Outbox
from orderflow.engine.polling import Poller
from orderflow.errors import OperationalError
from orderflow.provider.protocol import PublicUrls
from orderflow.store.records import LeasedEffect, LeasedPoll
from orderflow.telemetry.exceptions import exception_fields

T = TypeVar("T")
L = TypeVar("L", LeasedEffect, LeasedPoll)
_log = structlog.get_logger()
_SHORTEST_WAIT = 0.005
_MOST_ASIDE = 1000  # deadlines looked past in one look
_GIVING_BACK = 5.0  # seconds beyond the grace for writing what became of what was cut: a database that is away must not hold us longer
_LAST_TRY = 1.0  # and so many at the very end, for what was not written even then
_TRY_AGAIN = 0.2  # seconds between two tries to give back


@frozen
class Health:
    """The health of a worker.

    Attributes:
        seconds_since_fetch: seconds since it last asked the database for work, or since it started.
        database_ok: whether that fetch was answered; None if there was none yet.
        fetch_interval: seconds between two fetches at most, when all is well.
        in_flight: effects and polls that it holds leased, running or failed; after its end those that it could not give back.
        draining: it fetches nothing new.
        problems: providers that do not answer or refuse our credentials, and which of the two.
    """

    seconds_since_fetch: float
    database_ok: bool | None
    fetch_interval: float
    in_flight: int
    draining: bool
    problems: Mapping[str, str] = field(factory=dict)


@frozen(eq=False)
class _Held:
    """What this worker took: until when it is leased, and what gives it back (False: that must not be)."""

    until: float
    give_back: Callable[[], Awaitable[bool]]


class Worker:
    """Runs what is owed until stopped. ``poll`` is the longest silence between two looks, in seconds."""

    def __init__(
        self, inbox: Inbox, links: PublicUrls, dispatcher: Dispatcher, rng: random.Random, *, fetch_interval: float = 1.0, width: int = 32
    ) -> None:
        self._inbox = inbox
        self._poll = fetch_interval
        self._width = width
        self._dispatcher = dispatcher
        self._calls = RunningCalls()
        self._effects = Outbox(inbox, links, dispatcher, self._calls)
        self._reader = Poller(inbox, rng, self._calls)
        self._deadlines = Deadlines(inbox)
        self._in_flight: dict[asyncio.Task[bool], _Held] = {}
        self._unwritten: list[_Held] = []  # failed: of what became of these nothing is written
        self._hurry = True
        self._aside = 0  # deadlines that could not be brought the last time: those behind them must have their turn
        self._vain = 0  # looks in a row that took nothing although something was due
        self._stopping = False
        self._loop: asyncio.Task[None] | None = None
        self._looked = 0.0  # when, by the event loop's clock
        self._reached: bool | None = None
        self._blind = False  # the loop was cut while it took something, nobody knows what

    @property
    def health(self) -> Health:
        """How it is now; may be asked from any thread."""
        age = self._loop.get_loop().time() - self._looked if self._loop is not None else 0.0
        in_hand = len(self._in_flight) + len(self._still_leased()) + self._blind
        return Health(age, self._reached, self._poll, in_hand, self._stopping, self._inbox.admission.troubles)

    async def start(self) -> None:
        """Begin to work in the background."""
        await self._dispatcher.open(self._inbox.wake.set)
        self._looked = asyncio.get_running_loop().time()
        self._loop = asyncio.create_task(self._run(), name="orderflow-worker")

    async def stop(self, grace: float = 20.0) -> None:
        """Take nothing new; let what is in flight finish within ``grace`` seconds; cut the rest and give it back."""
        self._stopping = True
        self._inbox.wake.set()
        await self._settled(grace)
        self._calls.cut()
        now = asyncio.get_running_loop().time
        end = now() + _GIVING_BACK
        late = await self._settled(_GIVING_BACK)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        self._blind = self._loop in late
        with suppress(TimeoutError):
            async with asyncio.timeout(max(_LAST_TRY, end - now())):
                await asyncio.gather(*map(self._give_back, self._still_leased()))
        if left := self.health.in_flight:  # the database did not take it: another worker takes over when the leases have run out
            _log.error("worker.leases_left", count=left)
        await self._dispatcher.close()

    def _still_leased(self) -> list[_Held]:
        now = self._inbox.clock.now()
        return [held for held in self._unwritten if held.until > now]

    async def _give_back(self, held: _Held) -> None:
        given = None
        while given is None:
            try:
                given = await held.give_back()
            except OperationalError:  # away for a moment, perhaps
                await asyncio.sleep(_TRY_AGAIN)
            except Exception as error:  # noqa: BLE001  one order's trouble stays with it, and is counted
                _log.error("worker.item_failed", **exception_fields(error))
                given = False
        if given:
            self._unwritten.remove(held)

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
        self._unwritten.clear()
        await self._dispatcher.close()

    async def _run(self) -> None:
        while not self._stopping:
            self._inbox.wake.clear()
            try:
                await self._inbox.refresh_listeners(self._poll)
                await self._inbox.heed(self._poll)
                taken = await self._look()
                self._reached = True
            except Exception as error:  # noqa: BLE001  a database away for a moment must not end the worker
                _log.error("worker.look_failed", **exception_fields(error))
                taken, self._hurry, self._reached = 0, False, False
            self._looked = asyncio.get_running_loop().time()
            self._unwritten = self._still_leased()
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
        begun = self._begin(await self._effects.due(free), self._effects.carry_out, self._effects.give_back)
        free -= begun
        if not free or self._stopping:
            return brought + begun
        return brought + begun + self._begin(await self._reader.due(free), self._reader.read, self._reader.give_back)

    def _begin(self, found: Sequence[L], run: Callable[[L], Awaitable[bool]], give_back: Callable[[L], Awaitable[bool]]) -> int:
        for item in found:
            task = asyncio.create_task(self._guarded(run, item))
            self._in_flight[task] = _Held(item.until, partial(give_back, item))
            task.add_done_callback(self._ended)
        return len(found)

    def _ended(self, task: asyncio.Task[bool]) -> None:
        held = self._in_flight.pop(task)
        if task.cancelled() or not task.result():
            self._unwritten.append(held)
        if not self._hurry:
            self._inbox.wake.set()

    async def _guarded(self, run: Callable[[T], Awaitable[bool]], item: T) -> bool:
        """Whether it ran, and what became of it is written."""
        try:
            return await run(item)
        except Exception as error:  # noqa: BLE001  one order's trouble stays with it: its lease ends and it is taken again
            _log.error("worker.item_failed", **exception_fields(error))
            return False

    async def _wait(self) -> None:
        now = self._inbox.clock.now()
        spoken_again = self._inbox.admission.until(now)
        try:
            due = await self._inbox.store.next_due(self._inbox.scope_at(now))
        except Exception as error:  # noqa: BLE001  as above
            _log.error("worker.look_failed", **exception_fields(error))
            due = None
        wait = self._poll
        if self._hurry and (soon := [at for at in (due, spoken_again) if at is not None]):
            left = min(soon) - self._inbox.clock.now()
            self._vain = self._vain + 1 if left <= 0 else 0  # another worker holds it, or it has to wait: look ever more seldom
            wait = min(wait, max(left, _SHORTEST_WAIT * 2 ** min(self._vain, 20)))
        waiting = {asyncio.ensure_future(self._inbox.wake.wait()), asyncio.ensure_future(self._inbox.clock.sleep(wait))}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
