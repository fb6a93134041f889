"""The one thread that writes to SQLite, and group commit: what arrives while a transaction is under way shares the next one.

A transaction holds at most one request of an order. Where one request fails, all are rolled back and each is tried alone, so that no
other is harmed. Nothing here knows what is written.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from attrs import define

from orderflow._store.order_queues import OrderQueues
from orderflow.errors import NotOpen, OperationalError

T = TypeVar("T")
_MAX_PER_COMMIT = 512


class _NotBegun(OperationalError):
    """No transaction could be begun."""


@define(eq=False)
class WriteRequest(Generic[T]):
    """Work for the writer's thread, run inside a transaction. ``order_id``: the order that it is about ("": none)."""

    work: Callable[[sqlite3.Connection], T]
    order_id: str
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[T]


class Writer:
    """Runs requests in the order of their arrival, grouped into durable transactions."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._submitted: queue.SimpleQueue[WriteRequest[Any] | None] = queue.SimpleQueue()  # None: nothing comes after this
        self._queues: OrderQueues[WriteRequest[Any]] = OrderQueues(batches=1, most=_MAX_PER_COMMIT)  # the thread's own
        self._connection: sqlite3.Connection | None = None
        self._closed = False  # nothing new is accepted
        self._ending = False  # the thread was asked to end
        self._thread = threading.Thread(target=self._run, name="orderflow-writer", daemon=True)

    def start(self) -> None:
        """Connect and start the thread. Blocks while connecting."""
        self._connection = self._connect()
        self._thread.start()

    async def submit(self, work: Callable[[sqlite3.Connection], T], order_id: str = "") -> T:
        """Run ``work`` inside a transaction. Returns its result once that is durable, or raises what it raised.

        Raises:
            NotOpen: not started, or closed; OperationalError: the database refused.
        """
        if self._closed or not self._thread.is_alive():
            raise NotOpen
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._submitted.put(WriteRequest(work, order_id, loop, answer))
        return await answer

    async def close(self) -> None:
        """Finish what was submitted, then stop."""
        self._closed = True
        if self._thread.is_alive():
            self._submitted.put(None)
            await asyncio.to_thread(self._thread.join)

    # ── in the thread ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        connection = self._connection
        assert connection is not None
        try:
            while batch := self._next_batch():
                results = _run_batch(connection, batch)
                for request in batch:
                    self._queues.release(request)
                _answer(batch, results)
        finally:
            connection.close()

    def _next_batch(self) -> list[WriteRequest[Any]]:
        """Queue what was submitted, and wait until there is something. Empty: the writer is closed and everything is done."""
        while not self._submitted.empty() or not (self._ending or self._queues.has_ready):
            request = self._submitted.get()
            if request is None:
                self._ending = True
            else:
                self._queues.submit(request)
        return self._queues.next_batch()


def _run_batch(connection: sqlite3.Connection, batch: Sequence[WriteRequest[Any]]) -> list[Any]:
    """Run requests in one transaction, or each alone where one fails; the result or exception of each."""
    try:
        return _run_transaction(connection, batch)
    except BaseException as error:  # noqa: BLE001  raised where the request was submitted
        # no request is at fault where the transaction cannot begin: to try each would wait for the lock as often
        if len(batch) == 1 or isinstance(error, _NotBegun):
            return [error] * len(batch)
    return [result for request in batch for result in _run_batch(connection, [request])]


def _run_transaction(connection: sqlite3.Connection, batch: Sequence[WriteRequest[Any]]) -> list[Any]:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        raise _NotBegun(f"the database cannot be written: {error}") from error
    try:
        results = [request.work(connection) for request in batch]
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise OperationalError(f"the database refused a write: {error}") from error
        raise
    return results


def _answer(batch: Sequence[WriteRequest[Any]], results: Sequence[Any]) -> None:
    """Hand the results to the loops of their callers, one call a loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for request, result in zip(batch, results, strict=True):
        by_loop.setdefault(request.loop, []).append((request.answer, result))
    for loop, answers in by_loop.items():
        with suppress(RuntimeError):  # a closed loop takes no calls, and nothing waits in it
            loop.call_soon_threadsafe(_settle, answers)


def _settle(answers: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for answer, result in answers:
        if answer.done():  # its caller was cancelled
            continue
        if isinstance(result, BaseException):
            answer.set_exception(result)
        else:
            answer.set_result(result)
