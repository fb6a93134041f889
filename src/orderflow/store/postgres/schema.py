"""Opening a PostgreSQL database: refuse what is newer, damaged or not ours, bring the schema up to date. Nothing about orders.

The tables live in the connection's current schema (``?search_path=...`` in the URL chooses another than public).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from orderflow.errors import SchemaError
from orderflow.store.migrations import migrations
from orderflow.store.postgres.pool import Session

_TABLES = (
    "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
    " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND c.relname LIKE 'of\\_%'"
    " AND a.attnum > 0 AND NOT a.attisdropped"
)
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('orderflow ' || current_schema()))"
_CREATED = re.compile(r"CREATE TABLE (\w+) \((.*)\)(?: WITH \([^)]*\))?", re.DOTALL)
_ADDED = re.compile(r"ALTER TABLE (\w+) ADD COLUMN (\w+)")
_RENAMED_TABLE = re.compile(r"ALTER TABLE (\w+) RENAME TO (\w+)")
_RENAMED_COLUMN = re.compile(r"ALTER TABLE (\w+) RENAME COLUMN (\w+) TO (\w+)")


def expected_columns(scripts: Sequence[str]) -> dict[str, set[str]]:
    """The columns that these migrations leave behind, by table, in the order in which they run."""
    tables: dict[str, set[str]] = {}
    for script in scripts:
        text = "\n".join(line.split("--", 1)[0].rstrip() for line in script.splitlines())
        for statement in map(str.strip, text.split(";")):
            if created := _CREATED.match(statement):
                lines = [line.strip() for line in created[2].split(",\n")]
                tables[created[1]] = {line.split()[0] for line in lines if not line.startswith("PRIMARY KEY")}
            elif added := _ADDED.match(statement):
                tables[added[1]].add(added[2])
            elif renamed := _RENAMED_TABLE.match(statement):
                tables[renamed[2]] = tables.pop(renamed[1])
            elif renamed := _RENAMED_COLUMN.match(statement):
                table, old, new = renamed.groups()
                tables[table] = (tables[table] - {old}) | {new}
    return tables


async def found_version(session: Session, name: str) -> int:
    """The version of the schema that is there; 0: no table of ours.

    Raises:
        SchemaError: tables without a version, or columns missing.
    """
    actual: dict[str, set[str]] = {}
    for table, column in await session.fetch(_TABLES):
        actual.setdefault(table, set()).add(column)
    if "of_schema" not in actual:
        if actual:
            raise SchemaError(f"{name}: has orderflow tables but no schema version; it is damaged or not ours")
        return 0
    version = (await session.fetch("SELECT max(version) FROM of_schema"))[0][0]
    if version is None:
        raise SchemaError(f"{name}: the schema version is missing; the database is damaged")
    known = migrations("postgres")
    if version <= known[-1][0]:
        for table, columns in expected_columns([script for number, script in known if number <= version]).items():
            if missing := columns - actual.get(table, set()):
                raise SchemaError(f"{name}: {table} lacks {', '.join(sorted(missing))}; the database is damaged")
    return int(version)


async def prepare(session: Session, name: str, *, create: bool) -> None:
    """Refuse or upgrade. Without ``create`` the tables must be there already.

    Raises:
        SchemaError: newer than this code, damaged, or (without ``create``) not there. Nothing was touched.
    """
    known = migrations("postgres")
    connection: Any = session.connection
    async with connection.transaction():
        if not await _is_current(session, name, known, create=create):
            await connection.execute(_LOCK)
            await _is_current(session, name, known, create=create)  # another process may have upgraded it meanwhile
            version = await found_version(session, name)
            for number, script in known:
                if number > version:
                    await connection.execute(script)
                    await connection.execute("INSERT INTO of_schema (version) VALUES ($1)", number)


async def _is_current(session: Session, name: str, known: list[tuple[int, str]], *, create: bool) -> bool:
    version, newest = await found_version(session, name), known[-1][0]
    if version > newest:
        raise SchemaError(f"{name}: schema version {version} is newer than this orderflow knows ({newest}); upgrade orderflow")
    if not version and not create:
        raise SchemaError(f"{name}: holds no orders of orderflow")
    return version == newest
