"""Reading and upgrading the schema of a database, for the command line. Orders are not read."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

from attrs import frozen

from orderflow._store.migrations import migrations
from orderflow._store.sqlite.schema import connect_to_look, read_version
from orderflow._store.urls import make_store, parse_database_url


@frozen
class Schema:
    """``known``: the newest version that this code has. ``found``: the version of the database; 0: it has no table of orderflow."""

    known: int
    found: int

    @property
    def current(self) -> bool:
        """Whether the database needs no upgrade."""
        return self.known == self.found


async def read_schema(url: str) -> Schema:
    """The schema of a database. Nothing is changed.

    Raises:
        ConfigurationError: the URL names no database; SchemaError, OperationalError: it cannot be opened, or is damaged.
    """
    scheme, location = parse_database_url(url)
    if scheme == "sqlite":
        return await asyncio.to_thread(_read_sqlite, Path(location))
    from orderflow._store.postgres.pool import PostgresPool  # noqa: PLC0415 - needs the extra
    from orderflow._store.postgres.schema import read_version as read_postgres_version  # noqa: PLC0415

    pool = PostgresPool(url, connections=1, patience=3.0, boundary=None)
    await pool.open()
    try:
        version = await pool.run(lambda session: read_postgres_version(session, pool.name))
    finally:
        await pool.close()
    return Schema(migrations("postgres")[-1][0], version)


def _read_sqlite(path: Path) -> Schema:
    known = migrations("sqlite")[-1][0]
    if not path.exists():
        return Schema(known, 0)
    with closing(connect_to_look(path)) as connection:
        return Schema(known, read_version(connection, path.name))


async def upgrade(url: str) -> Schema:
    """Bring a database up to date, or make the tables where there are none. Returns the schema that it had.

    Raises:
        As ``read_schema``; SchemaError: the schema is newer than this code knows.
    """
    before = await read_schema(url)
    store = make_store(url)
    await store.open()
    await store.close()
    return before
