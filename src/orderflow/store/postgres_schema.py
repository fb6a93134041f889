"""Opening a PostgreSQL database: refuse what is newer, damaged or not ours, bring the schema up to date. Nothing about orders.

The tables live in the connection's current schema (``?search_path=...`` in the URL chooses another than public).
"""

from __future__ import annotations

import re
from typing import Any

from orderflow.errors import SchemaError
from orderflow.store.postgres_link import Session
from orderflow.store.schema import migrations

_TABLES = (
    "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
    " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND c.relname LIKE 'of\\_%'"
    " AND a.attnum > 0 AND NOT a.attisdropped"
)
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('orderflow ' || current_schema()))"
_MADE = re.compile(r"^CREATE TABLE (\w+) \((.*?)\)(?: WITH \([^)]*\))?;", re.MULTILINE | re.DOTALL)
_ADDED = re.compile(r"^ALTER TABLE (\w+) ADD COLUMN (\w+)", re.MULTILINE)


def columns_of(script: str) -> dict[str, set[str]]:
    """The columns that a migration makes, by table."""
    made: dict[str, set[str]] = {}
    text = "\n".join(line.split("--", 1)[0].rstrip() for line in script.splitlines())
    for table, body in _MADE.findall(text):
        lines = [line.strip() for line in body.split(",\n")]
        made[table] = {line.split()[0] for line in lines if not line.startswith("PRIMARY KEY")}
    for table, column in _ADDED.findall(text):
        made.setdefault(table, set()).add(column)
    return made


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
    for number, script in known if version <= known[-1][0] else ():
        for table, columns in columns_of(script).items() if number <= version else ():
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
