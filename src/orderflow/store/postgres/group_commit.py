"""Group commit on PostgreSQL: decisions that arrive while a commit is in flight share the next, as one statement.

At most one an order shares a statement, and no order is in two at once, so that each process judges an order's events in order of
arrival. Who lost a race against another process is judged again, first of its order. A statement that fails is taken apart: each of
its events is tried alone. Nothing here knows SQL.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextvars import Context
from typing import Any, Protocol

import asyncpg
from attrs import define, evolve, field

from orderflow.errors import NotOpen, OperationalError, UnknownName
from orderflow.model import Applied, Ignored, Reason
from orderflow.store import rows
from orderflow.store.postgres.commit import Write, carried, look, together, write_of
from orderflow.store.postgres.pool import (
    Backoff,
    BorrowedConnection,
    ConnectionLost,
    PostgresPool,
    Session,
    is_collision,
    is_lost,
    translate_error,
)
from orderflow.store.records import Decider, DueDeadline, InboxKey, Receipt

_MOST_PER_COMMIT = 256
_WORTH_SPLITTING = 16
_MOST_ON_END = 32  # rounds on one borrowed connection
_NOT_FOUND = (None,) * (len(rows.ORDER.split(", ")) + 2)
_STEP_AT = f"SELECT {rows.JOURNAL} FROM of_journal WHERE order_id = $1 AND version = $2"


@define(eq=False)
class Unit:
    """An event on its way. ``ghosts``: writes of it whose outcome is unknown, for their connection broke."""

    order_id: str
    key: InboxKey | None
    judge: Decider
    deadline: DueDeadline | None
    done: asyncio.Future[Receipt]
    settled: bool = False
    ghosts: list[Write] = field(factory=list)

    def settle(self, end: Receipt | BaseException) -> None:
        """Answer the caller, if it still waits: one that gave up does not undo its commit."""
        self.settled = True
        if self.done.done():
            return
        if isinstance(end, BaseException):
            self.done.set_exception(end)
        else:
            self.done.set_result(end)


class CommitHook(Protocol):
    """Who writes something of its own along with each commit that owes effects."""

    async def prepare(self, session: Session) -> None:
        """The store is being opened: make the tables that it needs."""

    async def enlist(self, session: Session, writes: Sequence[Write]) -> None:
        """Inside the transaction of these commits, which have won their races."""

    async def enlisted(self, session: Session) -> None:
        """Once they are durable and their callers answered."""


class GroupCommit:
    """Takes units and commits them in rounds, at most ``width`` at a time."""

    def __init__(self, link: PostgresPool, *, width: int) -> None:
        self.enlister: CommitHook | None = None
        self._link = link
        self._width = width
        self._lanes: dict[str, deque[Unit]] = {}  # order -> what waits, and is being committed
        self._ready: deque[str] = deque()  # orders of which nothing is being committed
        self._rounds: set[asyncio.Task[None]] = set()
        self._pausing = 0  # rounds that look again in a moment
        self._closed = True

    def open(self) -> None:
        """Take units from now on."""
        self._closed = False

    async def submit(self, order_id: str, key: InboxKey | None, judge: Decider, deadline: DueDeadline | None) -> Receipt:
        """Judge and commit; returns once it is durable.

        Raises:
            UnknownName: no such order; OperationalError: not reachable within the patience, or refused.
        """
        if self._closed:
            raise NotOpen
        unit = Unit(order_id, key, judge, deadline, asyncio.get_running_loop().create_future())
        lane = self._lanes.get(order_id)
        if lane is None:
            self._lanes[order_id] = deque((unit,))
            self._ready.append(order_id)
            self._begin()
        else:
            lane.append(unit)
        return await unit.done

    async def close(self) -> None:
        """Finish what was submitted, take nothing new."""
        self._closed = True
        while self._rounds:
            await asyncio.wait(self._rounds)

    def _begin(self) -> None:
        if self._ready and not self._pausing and len(self._rounds) < self._width:
            task = asyncio.create_task(self._round(), context=Context())  # it works for many: no caller's trace is its own
            self._rounds.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._rounds.discard(task)
        self._begin()

    async def _round(self) -> None:
        """Rounds until nothing waits; the units of one are settled, or first of their order again, when it ends."""
        kept = self._link.kept()
        try:
            rounds = 0
            while self._ready:
                await self._one(kept)
                rounds += 1
                if rounds % _MOST_ON_END == 0:
                    await kept.give_back()  # others wait for a connection too
                self._pausing += 1
                try:
                    await asyncio.sleep(0)  # who was answered may ask again at once, and share the next
                finally:
                    self._pausing -= 1
        finally:
            await kept.give_back()

    async def _one(self, kept: BorrowedConnection) -> None:
        names = self._share()
        self._begin()
        units = [self._lanes[name][0] for name in names]
        try:
            await self._settle(units, kept)
        except BaseException as error:  # a bug of ours, or the loop's end: nobody may wait for ever
            for unit in units:
                unit.settle(error if isinstance(error, Exception) else NotOpen())
            raise
        finally:
            self._release(names)

    def _share(self) -> list[str]:
        """What this round takes: everything, or its share, so that one round is decided here while another is written there. Shares
        are of all that wait or are under way: of what waits alone, callers that ask again as soon as they are answered would end up in
        one round."""
        count = len(self._ready)
        if len(self._lanes) >= _WORTH_SPLITTING:
            count = min(count, -(-len(self._lanes) // self._width))
        return [self._ready.popleft() for _ in range(min(count, _MOST_PER_COMMIT))]

    def _release(self, names: Sequence[str]) -> None:
        for name in names:
            lane = self._lanes[name]
            if lane[0].settled:
                lane.popleft()
            if lane:
                self._ready.append(name)
            else:
                del self._lanes[name]

    # ── one round ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _settle(self, units: Sequence[Unit], kept: BorrowedConnection) -> None:
        backoff: Backoff | None = None
        while True:
            try:
                await kept.once(lambda session: _commit(session, units, self.enlister))
            except (ConnectionLost, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                if isinstance(error, ConnectionLost) or is_collision(error):
                    backoff = backoff or Backoff(self._link.patience)
                    if await backoff.wait():
                        continue
                    _give_up(units, error)
                elif len(units) == 1:
                    units[0].settle(translate_error(self._link.name, error))
                else:
                    for unit in units:
                        if not unit.settled:
                            await self._settle([unit], kept)
            return


def _give_up(units: Sequence[Unit], error: Exception) -> None:
    for unit in (unit for unit in units if not unit.settled):
        unknown = "; whether it was committed is unknown: ask again, with the same key" if unit.ghosts else ""
        unit.settle(OperationalError(f"{error}{unknown}"))


async def _commit(session: Session, units: Sequence[Unit], enlister: CommitHook | None) -> None:
    """Load, judge, write; who is not settled then has lost a race."""
    for unit in units:
        if unit.ghosts:
            await _recognise(session, unit)
    writes = await _judged(session, [unit for unit in units if not unit.settled])
    if not writes:
        return
    owing = enlister is not None and any(write.commit.effects for _, write in writes)
    try:
        won = await _written(session, [write for _, write in writes], enlister if owing else None)
    except Exception as error:
        if is_lost(error):
            for unit, write in writes:
                unit.ghosts.append(write)
        raise
    for unit, write in writes:
        if unit.order_id in won:
            unit.settle(write.receipt)
    if enlister is not None and owing:
        await enlister.enlisted(session)


async def _written(session: Session, writes: Sequence[Write], enlister: CommitHook | None) -> set[str]:
    """Write these; the ids of those that won. One statement, a transaction of its own, unless somebody writes along."""
    statement, values = together(writes)
    if enlister is None:
        return {row[0] for row in await session.fetch(statement, *values)}
    async with session.connection.transaction():
        won = {row[0] for row in await session.fetch(statement, *values)}
        await enlister.enlist(session, [write for write in writes if write.order.id in won])
    return won


async def _judged(session: Session, units: Sequence[Unit]) -> list[tuple[Unit, Write]]:
    """What each unit wants to write; those that want nothing, or cannot, are settled."""
    found = await _looked(session, units) if units else []
    writes: list[tuple[Unit, Write]] = []
    for unit, row in zip(units, found, strict=True):
        try:
            judged = _judge(unit, row)
        except BaseException as error:  # noqa: BLE001  handed to whoever awaits the unit
            unit.settle(error)
            continue
        if isinstance(judged, Write):
            writes.append((unit, judged))
        else:
            unit.settle(judged)
    return writes


async def _looked(session: Session, units: Sequence[Unit]) -> list[Any]:
    armed = any(unit.deadline for unit in units)
    asked: list[tuple[Any, ...]] = []
    for unit in units:
        key = (unit.key.origin, carried(unit.key.key)) if unit.key else (None, None)
        deadline = (unit.deadline.name, unit.deadline.version) if unit.deadline else (None, None)
        asked.append((unit.order_id, *key, *deadline) if armed else (unit.order_id, *key))
    if len(asked) == 1:
        return await session.fetch(look(alone=True, armed=armed), *asked[0]) or [_NOT_FOUND]
    return await session.fetch(look(alone=False, armed=armed), *map(list, zip(*asked, strict=True)))


def _judge(unit: Unit, row: Sequence[Any]) -> Write | Receipt:
    *columns, heard, armed = row
    if columns[0] is None:
        raise UnknownName("order", unit.order_id)
    order = rows.order(columns)
    if heard:
        return Receipt(Ignored(Reason.DUPLICATE, order.state), order.state, order.version)
    if unit.deadline is not None and not armed:
        ignored = Ignored(Reason.STALE, order.state, f"{unit.deadline.name} was disarmed meanwhile")
        return Receipt(ignored, order.state, order.version)
    write = write_of(order, unit.key, unit.judge(order), unit.deadline)
    return write if len(write.values) > 1 else write.receipt


async def _recognise(session: Session, unit: Unit) -> None:
    """Settle a unit one of whose lost writes was committed after all: its step stands in the journal, word for word."""
    for ghost in unit.ghosts:
        if isinstance(ghost.commit.decision, Applied):
            step = ghost.commit.journal[0]
            found = await session.fetch(_STEP_AT, step.order_id, step.version)
            if found and rows.journal(found[0]) == evolve(step, note=carried(step.note)):
                unit.settle(ghost.receipt)
                return
