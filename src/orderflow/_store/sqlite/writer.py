"""The one thread that writes to SQLite, and group commit: what arrives while a transaction is under way shares the next one.

A transaction holds at most one request of an order. Where one request fails, all are rolled back and each is tried alone, so that no
other is harmed. Where another program holds the lock, a request waits for its patience in all, however many wait before it.
Nothing here knows what is written.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Generic, TypeVar

from attrs import define

from orderflow._store.order_queues import OrderQueues
from orderflow.errors import NotOpen, OperationalError

T = TypeVar("T")
_MAX_PER_COMMIT = 512
_TOLERANCE = 0.03  # of the patience
_PRIMARY_CODE = 0xFF  # the part of SQLite's extended error code that names the kind


@define(eq=False)
class WriteRequest(Generic[T]):
    """Work for the writer's thread, run inside a transaction.

    ``order_id``: the order that it is about ("": none). ``give_up_at``: until when it waits for the lock, on the clock ``monotonic``.
    """

    work: Callable[[sqlite3.Connection], T]
    order_id: str
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[T]
    give_up_at: float


class Writer:
    """Runs requests in the order of their arrival, grouped into durable transactions.

    Args:
        connect: makes the connection; it waits for a lock for ``patience``.
        check: called before each commit, in the thread; what it raises undoes the transaction.
        patience: for how many seconds a request waits for a lock that another program holds.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], check: Callable[[], None] = lambda: None, patience: float = 30.0) -> None:
        self._connect = connect
        self._check = check
        self._patience = self._busy_seconds = patience
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
        self._submitted.put(WriteRequest(work, order_id, loop, answer, monotonic() + self._patience))
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
                results = self._run_batch(connection, batch)
                for request in batch:
                    self._queues.release(request)
                _answer(results)
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

    def _run_batch(self, connection: sqlite3.Connection, batch: Sequence[WriteRequest[Any]]) -> dict[WriteRequest[Any], Any]:
        """Run requests in one transaction, or each alone where one fails; the result or exception of each."""
        results = self._begin(connection, batch)
        begun = [request for request in batch if request not in results]
        try:
            if begun:
                results.update(zip(begun, _run_transaction(connection, begun, self._check), strict=True))
        except BaseException as error:  # noqa: BLE001  raised where the request was submitted
            if len(begun) == 1:
                return {**results, begun[0]: error}
            for request in begun:
                results.update(self._run_batch(connection, [request]))
        return results

    def _begin(self, connection: sqlite3.Connection, batch: Sequence[WriteRequest[Any]]) -> dict[WriteRequest[Any], Any]:
        """Begin a transaction. Returns the error of each request whose patience is over; if that is all of them, nothing has begun."""
        failed: dict[WriteRequest[Any], Any] = {}
        while len(failed) < len(batch):
            waiting = [request for request in batch if request not in failed]
            self._limit_wait(connection, min(request.give_up_at for request in waiting) - monotonic())
            try:
                connection.execute("BEGIN IMMEDIATE")
                break
            except sqlite3.Error as error:
                is_locked = error.sqlite_errorcode & _PRIMARY_CODE == sqlite3.SQLITE_BUSY
                raised = OperationalError(f"the database cannot be written: {error}")
                # no request is at fault where the transaction cannot begin: to try each would wait for the lock as often
                failed.update({request: raised for request in waiting if not is_locked or request.give_up_at <= monotonic()})
        return failed

    def _limit_wait(self, connection: sqlite3.Connection, seconds: float) -> None:
        """Wait for a lock for about so long from now on. Where nothing is locked, requests are new, and there is nothing to do."""
        seconds = min(max(seconds, 0.0), self._patience)
        if abs(seconds - self._busy_seconds) > self._patience * _TOLERANCE:
            connection.execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")
            self._busy_seconds = seconds


def _run_transaction(connection: sqlite3.Connection, batch: Sequence[WriteRequest[Any]], check: Callable[[], None]) -> list[Any]:
    """The results of requests in the transaction that has begun; it is committed, or rolled back."""
    try:
        results = [request.work(connection) for request in batch]
        check()
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise OperationalError(f"the database refused a write: {error}") from error
        raise
    return results


def _answer(results: Mapping[WriteRequest[Any], Any]) -> None:
    """Hand the results to the loops of their callers, one call a loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for request, result in results.items():
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
