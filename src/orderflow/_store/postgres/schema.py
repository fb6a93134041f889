"""Opening a PostgreSQL database: refuse one that is newer, damaged or not ours, and bring the schema up to date. Nothing about orders.

The tables live in the connection's current schema. ``?search_path=...`` in the URL chooses another one than public. No name of a schema
is ever put into a statement, so it may hold any character.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from orderflow._store.migrations import migrations
from orderflow._store.postgres.pool import Session
from orderflow._store.postgres.queries import SQL
from orderflow.errors import ConfigurationError, SchemaError

_MIGRATION_SECONDS = 3600.0  # a migration may rewrite large tables
_CREATED = re.compile(r"CREATE TABLE (\w+) \((.*)\)(?: WITH \([^)]*\))?", re.DOTALL)
_ADDED = re.compile(r"ALTER TABLE (\w+) ADD COLUMN (\w+)")
_RENAMED_TABLE = re.compile(r"ALTER TABLE (\w+) RENAME TO (\w+)")
_RENAMED_COLUMN = re.compile(r"ALTER TABLE (\w+) RENAME COLUMN (\w+) TO (\w+)")


def list_columns(scripts: Sequence[str]) -> dict[str, set[str]]:
    """The columns of each table after these migrations have run, in this order."""
    tables: dict[str, set[str]] = {}
    for script in scripts:
        text = "\n".join(line.split("--", 1)[0].rstrip() for line in script.splitlines())
        for statement in map(str.strip, text.split(";")):
            if match := _CREATED.match(statement):
                lines = [line.strip() for line in match[2].split(",\n")]
                tables[match[1]] = {line.split()[0] for line in lines if not line.startswith("PRIMARY KEY")}
            elif match := _ADDED.match(statement):
                tables[match[1]].add(match[2])
            elif match := _RENAMED_TABLE.match(statement):
                tables[match[2]] = tables.pop(match[1])
            elif match := _RENAMED_COLUMN.match(statement):
                tables[match[1]] = (tables[match[1]] - {match[2]}) | {match[3]}
    return tables


async def read_version(session: Session, name: str) -> int:
    """The version of the schema that is there; 0: none of our tables is.

    Raises:
        SchemaError: there are tables without a version, or columns are missing.
    """
    actual: dict[str, set[str]] = {}
    for table, column in await session.fetch(SQL["our_columns"]):
        actual.setdefault(table, set()).add(column)
    if "of_schema" not in actual:
        if actual:
            raise SchemaError(f"{name}: has orderflow tables but no schema version; it is damaged or not ours")
        return 0
    version = (await session.fetch(SQL["schema_version"]))[0][0]
    if version is None:
        raise SchemaError(f"{name}: the schema version is missing; the database is damaged")
    known = migrations("postgres")
    if version <= known[-1][0]:
        for table, columns in list_columns([script for number, script in known if number <= version]).items():
            if missing := columns - actual.get(table, set()):
                raise SchemaError(f"{name}: {table} lacks {', '.join(sorted(missing))}; the database is damaged")
    return int(version)


async def prepare(session: Session, name: str, *, create: bool) -> None:
    """Bring the schema up to date. Without ``create`` the tables must be there already.

    Raises:
        SchemaError: newer than this code, damaged, or (without ``create``) not there; ConfigurationError: the search_path names no schema
        that exists. Nothing was changed.
    """
    known = migrations("postgres")
    connection: Any = session.connection
    # one snapshot for columns and version: another process may be migrating
    async with connection.transaction(isolation="repeatable_read"):
        if await _read_usable_version(session, name, known, create=create) == known[-1][0]:
            return
    async with connection.transaction():
        await connection.execute(SQL["lock_schema"])
        version = await _read_usable_version(session, name, known, create=create)  # another process may have migrated it meanwhile
        for number, script in known:
            if number > version:
                await connection.execute(script, timeout=_MIGRATION_SECONDS)
                await connection.execute(SQL["add_schema_version"], number)


async def _read_usable_version(session: Session, name: str, known: list[tuple[int, str]], *, create: bool) -> int:
    version, newest = await read_version(session, name), known[-1][0]
    if version > newest:
        raise SchemaError(f"{name}: schema version {version} is newer than this orderflow knows ({newest}); upgrade orderflow")
    if not version and not create:
        raise SchemaError(f"{name}: holds no orders of orderflow")
    if not version and (await session.fetch(SQL["current_schema"]))[0][0] is None:
        raise ConfigurationError(
            f"{name}: the search_path names no schema that exists: make it with CREATE SCHEMA. A name with capital letters or spaces needs"
            ' double quotes; "Order Book" is search_path=%22Order%20Book%22 in the URL',
            "db",
        )
    return version
