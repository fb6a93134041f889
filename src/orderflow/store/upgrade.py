"""Which schema a database has and which this code knows, for the command line. Orders are not looked at."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

from attrs import frozen

from orderflow.store.migrations import migrations
from orderflow.store.sqlite.schema import connect, found_version
from orderflow.store.urls import make_store, parse_database_url


@frozen
class Schema:
    """``known``: the newest version that this code has; ``found``: the database's, 0 where it has no table of ours."""

    known: int
    found: int

    @property
    def current(self) -> bool:
        """Whether nothing is to be done."""
        return self.known == self.found


async def read_schema(url: str) -> Schema:
    """The schema of a database; nothing is changed.

    Raises:
        ConfigurationError: the URL names no database; SchemaError, OperationalError: it cannot be opened, or is damaged.
    """
    scheme, where = parse_database_url(url)
    if scheme == "sqlite":
        return await asyncio.to_thread(_sqlite, Path(where))
    from orderflow.store.postgres.pool import PostgresPool  # noqa: PLC0415 - needs the extra
    from orderflow.store.postgres.schema import found_version as found_in  # noqa: PLC0415

    link = PostgresPool(url, connections=1, patience=3.0, boundary=None)
    await link.open()
    try:
        found = await link.run(lambda session: found_in(session, link.name))
    finally:
        await link.close()
    return Schema(migrations("postgres")[-1][0], found)


def _sqlite(path: Path) -> Schema:
    known = migrations("sqlite")[-1][0]
    if not path.exists():
        return Schema(known, 0)
    with closing(connect(path, create=False)) as connection:
        return Schema(known, found_version(connection, path.name))


async def upgrade(url: str) -> Schema:
    """Bring a database up to date, one that has no table of ours included; answers with the schema it had.

    Raises:
        As ``schema_at``; SchemaError: the schema is newer than this code knows.
    """
    before = await read_schema(url)
    store = make_store(url)
    await store.open()
    await store.close()
    return before
