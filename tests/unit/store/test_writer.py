"""The writer thread: group commit, one request of an order at a time, a bad request alone, errors of the database."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from attrs import define, field
from tests.kit.commits import move, new_order

from orderflow._store.sqlite.store import SqliteStore
from orderflow._store.sqlite.writer import Writer
from orderflow.errors import OperationalError

pytestmark = pytest.mark.anyio

Work = Callable[[sqlite3.Connection], object]


@define
class TracedDatabase:
    """A database, and every statement that its writer has run."""

    path: Path
    statements: list[str] = field(factory=list)

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=0.1)
        connection.execute("CREATE TABLE IF NOT EXISTS numbers (n INTEGER)")
        connection.set_trace_callback(self.statements.append)
        return connection

    def ran(self, statement: str) -> int:
        return self.statements.count(statement)

    def numbers(self) -> list[int]:
        connection = sqlite3.connect(self.path)
        try:
            return [row[0] for row in connection.execute("SELECT n FROM numbers ORDER BY rowid")]
        finally:
            connection.close()


def put(n: int) -> Work:
    return lambda connection: connection.execute("INSERT INTO numbers VALUES (?)", (n,)).rowcount


def fail(connection: sqlite3.Connection) -> object:
    put(-1)(connection)
    raise ZeroDivisionError


@pytest.fixture
def database(tmp_path: Path) -> TracedDatabase:
    return TracedDatabase(tmp_path / "numbers.db")


@pytest.fixture
async def writer(database: TracedDatabase) -> AsyncIterator[Writer]:
    writer = Writer(database.connect, patience=0.1)
    writer.start()
    yield writer
    await writer.close()


@pytest.fixture
async def may_go_on(writer: Writer) -> AsyncIterator[threading.Event]:
    """The writer is inside a transaction until the event is set: what is submitted meanwhile piles up."""
    inside, may_go_on = threading.Event(), threading.Event()

    def wait(connection: sqlite3.Connection) -> None:
        inside.set()
        may_go_on.wait(5)

    waiting = asyncio.create_task(writer.submit(wait))
    await asyncio.to_thread(inside.wait, 5)
    yield may_go_on
    may_go_on.set()
    await waiting


async def _submit_all(*works: tuple[Writer, Work, str]) -> list[asyncio.Task[object]]:
    tasks = [asyncio.create_task(writer.submit(work, order_id)) for writer, work, order_id in works]
    await asyncio.sleep(0)  # let them be submitted
    return tasks


async def test_what_arrives_during_a_commit_shares_the_next(writer: Writer, may_go_on: threading.Event, database: TracedDatabase) -> None:
    tasks = await _submit_all(*((writer, put(n), f"order-{n}") for n in range(200)))
    may_go_on.set()
    assert await asyncio.gather(*tasks) == [1] * 200
    assert database.ran("COMMIT") == 2
    assert database.numbers() == list(range(200))


async def test_a_transaction_holds_one_request_of_an_order_in_the_order_of_arrival(
    writer: Writer, may_go_on: threading.Event, database: TracedDatabase
) -> None:
    tasks = await _submit_all(*((writer, put(n), f"order-{n % 2}") for n in range(10)))
    may_go_on.set()
    await asyncio.gather(*tasks)
    assert database.ran("COMMIT") == 1 + 5
    assert [n for n in database.numbers() if n % 2] == [1, 3, 5, 7, 9]
    assert [n for n in database.numbers() if not n % 2] == [0, 2, 4, 6, 8]


async def test_a_request_that_fails_is_rolled_back_alone(writer: Writer, may_go_on: threading.Event, database: TracedDatabase) -> None:
    tasks = await _submit_all(*((writer, fail if n == 3 else put(n), f"order-{n}") for n in range(6)))
    may_go_on.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["int", "int", "int", "ZeroDivisionError", "int", "int"]
    assert database.numbers() == [0, 1, 2, 4, 5]


async def test_a_database_that_is_locked_refuses_all_at_once(writer: Writer, database: TracedDatabase) -> None:
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        tasks = await _submit_all(*((writer, put(n), f"order-{n}") for n in range(50)))
        results = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert {str(result) for result in results if isinstance(result, OperationalError)} == {
        "the database cannot be written: database is locked"
    }
    assert len(results) == 50
    assert database.ran("BEGIN IMMEDIATE") <= 5  # not one wait for the lock after the other
    assert await writer.submit(put(1)) == 1


async def test_callers_of_one_order_wait_for_a_lock_as_long_as_one_caller(database: TracedDatabase) -> None:
    patience = 1.0
    writer = Writer(
        lambda: sqlite3.connect(database.path, isolation_level=None, check_same_thread=False, timeout=patience), patience=patience
    )
    database.connect().close()
    writer.start()
    waits: list[float] = []

    async def submit(n: int) -> None:
        await asyncio.sleep(n * 0.1)
        begun = time.monotonic()
        with pytest.raises(OperationalError, match="the database cannot be written: database is locked"):
            await writer.submit(put(n), "one order")
        waits.append(time.monotonic() - begun)

    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await asyncio.gather(*(submit(n) for n in range(5)))
    assert all(patience * 0.8 < wait < patience * 1.8 for wait in waits), waits
    late = asyncio.create_task(writer.submit(put(7), "one order"))  # it has a patience of its own
    await asyncio.sleep(patience / 2)
    other.execute("ROLLBACK")
    other.close()
    assert await late == 1
    await writer.close()
    assert database.numbers() == [7]


async def test_a_check_before_the_commit_undoes_it(database: TracedDatabase) -> None:
    checks = iter([None, OperationalError("the file is gone"), None])

    def check() -> None:
        if error := next(checks):
            raise error

    writer = Writer(database.connect, check)
    writer.start()
    assert await writer.submit(put(1)) == 1
    with pytest.raises(OperationalError, match="the file is gone"):
        await writer.submit(put(2))
    assert await writer.submit(put(3)) == 1
    await writer.close()
    assert database.numbers() == [1, 3]


async def test_a_sqlite_error_becomes_an_operational_error(writer: Writer) -> None:
    with pytest.raises(OperationalError, match="refused a write: no such table"):
        await writer.submit(lambda connection: connection.execute("INSERT INTO nowhere VALUES (1)"))


async def test_closing_finishes_what_was_submitted_and_takes_nothing_new(database: TracedDatabase) -> None:
    writer = Writer(database.connect)
    with pytest.raises(OperationalError, match="not open"):
        await writer.submit(put(0))
    writer.start()
    tasks = await _submit_all(*((writer, put(n), "one order") for n in range(20)))
    await writer.close()
    assert await asyncio.gather(*tasks) == [1] * 20
    with pytest.raises(OperationalError, match="not open"):
        await writer.submit(put(99))
    assert database.numbers() == list(range(20))


async def test_a_loop_that_is_closed_stops_no_other(writer: Writer, may_go_on: threading.Event, database: TracedDatabase) -> None:
    """The synchronous facade's loop may end while the thread still writes."""

    def leave() -> None:
        loop = asyncio.new_event_loop()
        orphan = loop.create_task(writer.submit(put(1)))
        loop.run_until_complete(asyncio.sleep(0))
        orphan.cancel()
        loop.run_until_complete(asyncio.gather(orphan, return_exceptions=True))
        loop.close()

    await asyncio.to_thread(leave)
    (task,) = await _submit_all((writer, put(2), ""))
    may_go_on.set()
    assert await task == 1
    assert database.numbers() == [1, 2]


async def test_a_thousand_commits_at_once_share_few_transactions(tmp_path: Path) -> None:
    statements: list[str] = []

    store = SqliteStore(tmp_path / "orders.db", boundary=statements.append)
    await store.open()
    try:
        orders = await asyncio.gather(*(store.create(new_order(str(n)), "content") for n in range(1000)))
        await asyncio.gather(*(store.commit(order.id, None, move("sent")) for order in orders))
        assert {order.state for order in await store.orders(limit=1000)} == {"sent"}
    finally:
        await store.close()
    assert statements.count("COMMIT") < 100
