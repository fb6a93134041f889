"""The one thread that writes to SQLite, and group commit: what arrives while a commit is in flight shares the next.

Several units share a transaction, at most one per order; when one of them fails, all are rolled back and each is tried alone, so a
bad unit hurts nobody else. Nothing here knows what is written.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from attrs import define

from orderflow.errors import NotOpen, OperationalError

T = TypeVar("T")
_MOST_PER_COMMIT = 512


class _NotBegun(OperationalError):
    """No transaction could be begun."""


@define
class Unit(Generic[T]):
    """One piece of writing, run inside a transaction in the writer thread; ``lane`` is the order it is about ("": none)."""

    work: Callable[[sqlite3.Connection], T]
    lane: str
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[T]


class Writer:
    """Runs units in order of arrival, grouped into durable commits."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._queue: queue.SimpleQueue[Unit[Any] | None] = queue.SimpleQueue()
        self._held: deque[Unit[Any]] = deque()
        self._connection: sqlite3.Connection | None = None
        self._closed = False  # nothing new is taken
        self._closing = False  # and the thread has been told so
        self._thread = threading.Thread(target=self._run, name="orderflow-writer", daemon=True)

    def start(self) -> None:
        """Connect and start the thread. Blocks for as long as connecting takes."""
        self._connection = self._connect()
        self._thread.start()

    async def submit(self, work: Callable[[sqlite3.Connection], T], lane: str = "") -> T:
        """Run ``work`` inside a transaction; returns once it is durably committed, or raises what it raised.

        Raises:
            OperationalError: not open (any more), or the database refused.
        """
        if self._closed or not self._thread.is_alive():
            raise NotOpen
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._queue.put(Unit(work, lane, loop, done))
        return await done

    async def close(self) -> None:
        """Finish what was submitted, then stop."""
        self._closed = True
        if self._thread.is_alive():
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        connection = self._connection
        assert connection is not None
        try:
            while batch := self._gather():
                self._settle(batch, self._together(connection, batch))
        finally:
            connection.close()

    def _gather(self) -> list[Unit[Any]]:
        """The next units, at most one per order; blocks until there is one, empty when closed."""
        batch: list[Unit[Any]] = []
        lanes: set[str] = set()
        held, self._held = self._held, deque()
        for unit in held:
            self._take(unit, batch, lanes)
        while len(batch) < _MOST_PER_COMMIT:
            if (batch or self._closing) and self._queue.empty():
                break
            unit_or_end = self._queue.get()
            if unit_or_end is None:
                self._closing = True
                continue
            self._take(unit_or_end, batch, lanes)
        return batch

    def _take(self, unit: Unit[Any], batch: list[Unit[Any]], lanes: set[str]) -> None:
        if unit.lane and unit.lane in lanes:
            self._held.append(unit)
            return
        lanes.add(unit.lane)
        batch.append(unit)

    def _together(self, connection: sqlite3.Connection, batch: list[Unit[Any]]) -> list[Any]:
        try:
            return _in_transaction(connection, [unit.work for unit in batch])
        except BaseException as error:  # noqa: BLE001  handed to whoever awaits the unit
            # what cannot even begin is no unit's fault: trying each would wait for the lock as often
            if len(batch) == 1 or isinstance(error, _NotBegun):
                return [error] * len(batch)
        return [self._alone(connection, unit) for unit in batch]

    def _alone(self, connection: sqlite3.Connection, unit: Unit[Any]) -> Any:
        try:
            return _in_transaction(connection, [unit.work])[0]
        except BaseException as error:  # noqa: BLE001  handed to whoever awaits the unit
            return error

    def _settle(self, batch: list[Unit[Any]], results: list[Any]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
        for unit, result in zip(batch, results, strict=True):
            by_loop.setdefault(unit.loop, []).append((unit.done, result))
        for loop, settled in by_loop.items():
            with suppress(RuntimeError):  # a loop that has closed takes no calls, and nobody waits there
                loop.call_soon_threadsafe(_tell, settled)


def _in_transaction(connection: sqlite3.Connection, works: list[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        raise _NotBegun(f"the database cannot be written: {error}") from error
    try:
        results = [work(connection) for work in works]
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise OperationalError(f"the database refused a write: {error}") from error
        raise
    return results


def _tell(settled: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for done, result in settled:
        if done.done():  # its caller was cancelled
            continue
        if isinstance(result, BaseException):
            done.set_exception(result)
        else:
            done.set_result(result)
