"""Opening a PostgreSQL database: fresh, again, by several processes at once. Every one that is refused is left as it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests.kit import version_0_1
from tests.kit.commits import move, new_order

from orderflow._store.migrations import migrations
from orderflow._store.postgres.schema import list_columns
from orderflow._store.postgres.store import PostgresStore
from orderflow._store.upgrade import upgrade
from orderflow._store.urls import make_store
from orderflow.errors import ConfigurationError, OperationalError, SchemaError

pytestmark = pytest.mark.anyio
COLUMNS = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, 2"


@pytest.fixture
async def connection(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


async def _make(url: str) -> None:
    store = make_store(url)
    await store.open()
    await store.create(new_order(), "content")
    await store.close()


async def _refused(url: str, connection: asyncpg.Connection, *, create: bool = True) -> str:
    """Why it is not opened; fails where it is, or where trying has changed it."""
    before = await connection.fetch(COLUMNS)
    with pytest.raises(SchemaError) as refused:
        await make_store(url, create=create).open()
    assert await connection.fetch(COLUMNS) == before
    return str(refused.value)


async def test_a_fresh_database_is_made_ready_and_survives(postgres_url: str) -> None:
    await _make(postgres_url)
    store = make_store(postgres_url, create=False)
    await store.open()
    assert (await store.commit("toy-a", None, move("sent"))).version == 1
    await store.close()


async def test_the_columns_expected_of_the_migrations_are_those_that_they_make(postgres_url: str, connection: asyncpg.Connection) -> None:
    await _make(postgres_url)
    expected = list_columns([script for _, script in migrations("postgres")])
    made: dict[str, set[str]] = {}
    for table, column in await connection.fetch(COLUMNS):
        made.setdefault(table, set()).add(column)
    assert made == expected


async def test_processes_that_open_one_empty_database_at_once_make_it_once(postgres_url: str, connection: asyncpg.Connection) -> None:
    stores = [make_store(postgres_url) for _ in range(8)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(store.close() for store in stores))
    assert [row[0] for row in await connection.fetch("SELECT version FROM of_schema")] == [number for number, _ in migrations("postgres")]


async def test_a_newer_schema_is_refused(postgres_url: str, connection: asyncpg.Connection) -> None:
    await _make(postgres_url)
    await connection.execute("INSERT INTO of_schema VALUES (99)")
    assert "version 99 is newer than this orderflow knows" in await _refused(postgres_url, connection)


async def test_a_damaged_schema_is_refused(postgres_url: str, connection: asyncpg.Connection) -> None:
    await _make(postgres_url)
    await connection.execute("ALTER TABLE of_effects DROP COLUMN why")
    assert "of_effects lacks why; the database is damaged" in await _refused(postgres_url, connection)
    await connection.execute("DELETE FROM of_schema")
    assert "schema version is missing" in await _refused(postgres_url, connection)
    await connection.execute("DROP TABLE of_schema")
    assert "no schema version" in await _refused(postgres_url, connection)


async def test_without_create_an_empty_database_stays_empty(postgres_url: str, connection: asyncpg.Connection) -> None:
    assert "holds no orders" in await _refused(postgres_url, connection, create=False)


async def test_a_database_or_a_password_that_is_wrong_is_reported_at_once(postgres_url: str) -> None:
    wrong = postgres_url.replace("/postgres?", "/nowhere?", 1)
    async with asyncio.timeout(5):
        with pytest.raises(OperationalError, match='database "nowhere" does not exist'):
            await make_store(wrong).open()


async def test_a_malformed_url_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="db: the URL is malformed") as refused:
        await make_store("postgresql://host:port/orders").open()
    assert refused.value.setting == "db"
    assert refused.value.reason.startswith("the URL is malformed; in user name and password, percent-encode")


async def test_a_table_that_vanishes_is_an_operational_error(postgres_url: str, connection: asyncpg.Connection) -> None:
    store = make_store(postgres_url)
    await store.open()
    order = await store.create(new_order(), "content")
    await connection.execute("DROP TABLE of_journal")
    try:
        with pytest.raises(OperationalError, match='relation "of_journal" does not exist'):
            await store.journal("toy-a")
        with pytest.raises(OperationalError, match='relation "of_journal" does not exist'):
            await store.commit(order.id, None, move("sent"))
    finally:
        await store.close()


async def test_a_database_that_another_process_upgrades_while_it_is_opened_is_not_called_damaged(postgres_url: str) -> None:
    """The other process upgrades between the read of the columns and the read of the version."""
    await version_0_1.make(postgres_url)
    upgraded = 0

    async def upgrade_before_the_version_is_read(statement: str) -> None:
        nonlocal upgraded
        if "FROM of_schema" in statement and not upgraded:
            upgraded += 1
            await upgrade(postgres_url)

    store = PostgresStore(postgres_url, boundary=upgrade_before_the_version_is_read)
    await store.open()
    await store.close()
    assert upgraded == 1
