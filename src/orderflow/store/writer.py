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
from typing import Any, Generic, TypeVar

from attrs import define

T = TypeVar("T")
_MOST_PER_COMMIT = 512


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
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="orderflow-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def submit(self, work: Callable[[sqlite3.Connection], T], lane: str = "") -> T:
        """Run ``work`` inside a transaction; returns once it is durably committed, or raises what it raised."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._queue.put(Unit(work, lane, loop, done))
        return await done

    async def close(self) -> None:
        """Finish what was submitted, then stop."""
        if self._thread.is_alive():
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        connection = self._connect()
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
            try:
                unit_or_end = self._queue.get(block=not batch and not self._closing)
            except queue.Empty:
                break
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
        except BaseException as error:
            if len(batch) == 1:
                return [error]
        return [self._alone(connection, unit) for unit in batch]

    def _alone(self, connection: sqlite3.Connection, unit: Unit[Any]) -> Any:
        try:
            return _in_transaction(connection, [unit.work])[0]
        except BaseException as error:  # handed to whoever awaits the unit
            return error

    def _settle(self, batch: list[Unit[Any]], results: list[Any]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
        for unit, result in zip(batch, results, strict=True):
            by_loop.setdefault(unit.loop, []).append((unit.done, result))
        for loop, settled in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_tell, settled)


def _in_transaction(connection: sqlite3.Connection, works: list[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        results = [work(connection) for work in works]
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
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
