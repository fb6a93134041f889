"""Opening a SQLite file: fresh, again, by several processes at once. Every file that is refused is left as it was."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from tests.kit import version_0_1
from tests.kit.commits import move, new_order

from orderflow._app import Orderflow
from orderflow._store.migrations import migrations
from orderflow._store.sqlite.schema import connect, read_version
from orderflow._store.upgrade import upgrade
from orderflow._store.urls import make_store
from orderflow.errors import ConfigurationError, OperationalError, SchemaError

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.db"


async def _make(path: Path) -> None:
    store = make_store(f"sqlite:///{path}")
    await store.open()
    await store.create(new_order(), "content")
    await store.close()


def _run(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _fill(path: Path, text: str) -> None:
    path.write_text(text)


async def _refused(path: Path, *, create: bool = True) -> str:
    """Why the file is not opened; fails where it is, or where trying has changed it."""
    before = _content(path)
    store = make_store(f"sqlite:///{path}", create=create)
    with pytest.raises(SchemaError) as refused:
        await store.open()
    await store.close()
    assert _content(path) == before
    assert str(path.parent) not in str(refused.value)
    return str(refused.value)


async def test_a_fresh_file_is_made_ready_and_survives(path: Path) -> None:
    await _make(path)
    store = make_store(f"sqlite:///{path}", create=False)
    await store.open()
    try:
        assert (await store.load("toy-a")).state == "drafted"
        await store.commit("toy-a", None, move("sent"))
    finally:
        await store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT state FROM of_orders").fetchall() == [("sent",)]


async def test_the_applications_own_database_may_be_shared(path: Path) -> None:
    _run(path, "CREATE TABLE carts (n INTEGER)", "INSERT INTO carts VALUES (1)")
    await _make(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT n FROM carts").fetchall() == [(1,)]


async def test_a_newer_schema_is_refused(path: Path) -> None:
    await _make(path)
    _run(path, "INSERT INTO of_schema (version) VALUES (99)", "PRAGMA wal_checkpoint(TRUNCATE)")
    assert "version 99 is newer than this orderflow knows" in await _refused(path)


async def test_a_damaged_schema_is_refused(path: Path) -> None:
    await _make(path)
    _run(path, "ALTER TABLE of_effects DROP COLUMN why", "PRAGMA wal_checkpoint(TRUNCATE)")
    assert "of_effects lacks why; the database is damaged" in await _refused(path)


async def test_a_schema_without_its_version_is_refused(path: Path) -> None:
    await _make(path)
    _run(path, "DELETE FROM of_schema", "PRAGMA wal_checkpoint(TRUNCATE)")
    assert "schema version is missing" in await _refused(path)
    _run(path, "DROP TABLE of_schema", "PRAGMA wal_checkpoint(TRUNCATE)")
    assert "no schema version" in await _refused(path)


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    _fill(path, "customer,amount\n" * 100)
    assert "not a database" in await _refused(path)


async def test_without_create_a_missing_file_stays_missing(path: Path) -> None:
    assert "there is no such file" in await _refused(path, create=False)


async def test_without_create_a_foreign_database_stays_foreign(path: Path) -> None:
    _run(path, "CREATE TABLE carts (n INTEGER)")
    assert "holds no orders" in await _refused(path, create=False)
    _fill(path, "")
    assert "holds no orders" in await _refused(path, create=False)


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "orders.db: its folder does not exist" in await _refused(tmp_path / "nowhere" / "orders.db")


@pytest.mark.parametrize("url", ["orders.db", "sqlite://orders.db", "sqlite:///", "mysql://host/orders", "postgresql://", ""])
def test_a_url_that_names_no_database_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="db: want"):
        make_store(url)


async def test_a_refused_database_refuses_the_whole_flow(path: Path) -> None:
    _fill(path, "customer,amount\n" * 100)
    with pytest.raises(SchemaError):
        async with Orderflow(f"sqlite:///{path}", []):
            pass


async def test_a_closed_store_says_so(path: Path) -> None:
    store = make_store(f"sqlite:///{path}")
    with pytest.raises(OperationalError, match="not open"):
        await store.load("toy-a")
    await store.open()
    await store.close()
    for use in (store.load("toy-a"), store.commit("toy-a", None, move("sent"))):
        with pytest.raises(OperationalError, match="not open"):
            await use


async def test_a_table_that_vanishes_is_an_operational_error(path: Path) -> None:
    store = make_store(f"sqlite:///{path}")
    await store.open()
    _run(path, "DROP TABLE of_journal")
    try:
        with pytest.raises(OperationalError, match=r"orders\.db: no such table"):
            await store.journal("toy-a")
    finally:
        await store.close()


OPEN_AND_WRITE = """
import asyncio, sys
from orderflow._store.urls import make_store
from tests.kit.commits import move, new_order

async def main(url, name):
    store = make_store(url)
    await store.open()
    order = await store.create(new_order(key="shared"), "content")
    for n in range(25):
        await store.commit(order.id, None, move(f"{name}-{n}"))
    await store.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_that_open_one_fresh_file_at_once_all_write_to_it(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}

    async def process(name: str) -> tuple[int | None, str]:
        command = (sys.executable, "-c", OPEN_AND_WRITE, f"sqlite:///{path}", name)
        running = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
        _, errors = await running.communicate()
        return running.returncode, errors.decode()

    assert await asyncio.gather(*(process(f"p{n}") for n in range(4))) == [(0, "")] * 4
    store = make_store(f"sqlite:///{path}", create=False)
    await store.open()
    try:
        path_taken = await store.journal((await store.orders())[0].id)
    finally:
        await store.close()
    assert [row.version for row in path_taken] == list(range(1, 101))
    for n in range(4):
        assert [row.target for row in path_taken if row.target.startswith(f"p{n}")] == [f"p{n}-{m}" for m in range(25)]


async def test_a_file_that_another_process_upgrades_while_it_is_opened_is_not_called_damaged(path: Path) -> None:
    """The other process upgrades between the read of the version and the read of the columns."""
    url = f"sqlite:///{path}"
    await version_0_1.make(url)
    upgraded = 0

    def upgrade_before_the_columns_are_read(statement: str) -> None:
        nonlocal upgraded
        if "pragma_table_info" in statement and not upgraded:
            upgraded += 1
            with ThreadPoolExecutor(1) as other:
                other.submit(asyncio.run, upgrade(url)).result()

    with closing(connect(path)) as connection:
        connection.set_trace_callback(upgrade_before_the_columns_are_read)
        assert read_version(connection, path.name) == 2
        assert not connection.in_transaction
        assert read_version(connection, path.name) == migrations("sqlite")[-1][0]
    assert upgraded == 1
