"""Opening a PostgreSQL database: fresh, again, by several processes at once. Every one that is refused is left as it was."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests.kit import version_0_1
from tests.kit.commits import move, new_order
from tests.kit.postgres import database_url, drop_schema, make_schema, within
from tests.kit.toy import TIMING, Toy

from orderflow import Orderflow
from orderflow._cli.main import main
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


NAMES = ["Orders", "order-book", "the orders", 'say "orders"', "o'neil", "ordrer_på_norsk", "select", "100%", "a.b,c"]


@pytest.mark.parametrize("prefix", NAMES)
async def test_the_name_of_a_schema_may_need_quotes(prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Orders live in it with both dispatchers, tables of version 0.1 in it are migrated, and the commands for databases work on it."""
    name, url = await make_schema(prefix)
    try:
        await version_0_1.make(url)
        for command, code in (("status", 1), ("upgrade", 0), ("status", 0)):
            assert await asyncio.to_thread(main, ["db", command, "--db", url]) == code, capsys.readouterr()
        for dispatch in ("pgqueuer", "local", "pgqueuer"):  # the second time, its tables are there
            async with Orderflow(url, [Toy(timing=TIMING)], worker=True, fetch_interval=0.1, dispatch=dispatch) as flow:
                order = await flow.create("toy", key=secrets.token_hex(4))
                await flow.send(order.id, "order_it")
                await flow.wait(order.id, "placed", 60)
        assert await asyncio.to_thread(main, ["db", "prune", "--older-than", "1d", "--yes", "--db", url]) == 0, capsys.readouterr()
        connection = await asyncpg.connect(url)
        schemas = (
            "SELECT DISTINCT relnamespace::regnamespace::text FROM pg_class WHERE relname IN ('of_orders', 'of_pgqueuer') AND oid = ANY($1)"
        )
        tables = [await connection.fetchval("SELECT to_regclass($1)::oid", table) for table in ("of_orders", "of_pgqueuer")]
        placed = [row[0] for row in await connection.fetch(schemas, tables)]
        await connection.close()
        assert placed in ([name], [name.strip('"')])  # PostgreSQL leaves out quotes that are not needed
    finally:
        await drop_schema(name)


async def test_a_search_path_that_names_no_schema_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigurationError, match=r"CREATE SCHEMA.*%22Order%20Book%22") as refused:
        await make_store(within(database_url(), "no_such_schema")).open()
    assert refused.value.setting == "db"


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_that_cannot_hold_every_letter_is_refused_at_open(encoding: str) -> None:
    name = f"of_test_{secrets.token_hex(8)}"
    connection = await asyncpg.connect(database_url())
    await connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    url = database_url().replace("/postgres?", f"/{name}?", 1)
    try:
        opens = (make_store(url).open(), upgrade(url), Orderflow(url, [Toy()], dispatch="pgqueuer").__aenter__())
        for opening in opens:
            with pytest.raises(ConfigurationError, match=f"encoding is {encoding}.*ENCODING 'UTF8' TEMPLATE template0") as refused:
                await opening
            assert refused.value.setting == "db"
        fresh = await asyncpg.connect(url)
        assert await fresh.fetchval("SELECT count(*) FROM pg_class WHERE relname LIKE 'of\\_%'") == 0
        await fresh.close()
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()
