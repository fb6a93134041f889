"""Opening a SQLite file: connect, refuse what is not ours or newer, bring the schema up to date. Nothing about orders."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from orderflow.errors import SchemaError
from orderflow.store.migrations import migrations

_BUSY_SECONDS = 30.0


def connect(path: Path, *, create: bool = True) -> sqlite3.Connection:
    """An autocommit connection; transactions are begun by hand.

    Raises:
        SchemaError: the file cannot be opened.
    """
    mode = "rwc" if create else "rw"
    try:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=_BUSY_SECONDS,
            check_same_thread=False,
            cached_statements=256,
        )
    except sqlite3.OperationalError as error:
        if not path.absolute().parent.is_dir():
            raise SchemaError(f"{path.name}: its folder does not exist") from None
        if not (create or path.exists()):
            raise SchemaError(f"{path.name}: there is no such file; to make one: orderflow db upgrade") from None
        raise SchemaError(f"{path.name}: {error}") from None


def prepare(connection: sqlite3.Connection, name: str, *, create: bool = True) -> None:
    """Refuse or upgrade, then set the durability that money needs. Without ``create`` the tables must be there already.

    Raises:
        SchemaError: the schema is newer than this code, incomplete, or the file is no database. Nothing was touched.
    """
    known = migrations("sqlite")
    try:
        version = _version(connection, name)
        if version > known[-1][0]:
            raise SchemaError(f"{name}: schema version {version} is newer than this orderflow knows ({known[-1][0]}); upgrade orderflow")
        if not version and not create:
            raise SchemaError(f"{name}: holds no orders of orderflow")
        if version:
            _compare(connection, name, version, known)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        _upgrade(connection, known)
    except sqlite3.DatabaseError as error:
        raise SchemaError(f"{name}: {error}") from None


def found_version(connection: sqlite3.Connection, name: str) -> int:
    """The version of the schema that is there; 0: no table of ours.

    Raises:
        SchemaError: tables without a version, columns missing, or the file is no database.
    """
    known = migrations("sqlite")
    try:
        version = _version(connection, name)
        if 0 < version <= known[-1][0]:
            _compare(connection, name, version, known)
    except sqlite3.DatabaseError as error:
        raise SchemaError(f"{name}: {error}") from None
    return version


def _version(connection: sqlite3.Connection, name: str) -> int:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "of_schema" not in tables:
        if any(table.startswith("of_") for table in tables):
            raise SchemaError(f"{name}: has orderflow tables but no schema version; it is damaged or not ours")
        return 0
    row = connection.execute("SELECT max(version) FROM of_schema").fetchone()
    if row[0] is None:
        raise SchemaError(f"{name}: the schema version is missing; the database is damaged")
    return int(row[0])


def _compare(connection: sqlite3.Connection, name: str, version: int, known: list[tuple[int, str]]) -> None:
    """Every column that this version's migrations make must be there."""
    pattern = sqlite3.connect(":memory:")
    for number, statements in known:
        if number <= version:
            pattern.executescript(statements)
    expected, actual = _columns(pattern), _columns(connection)
    pattern.close()
    for table, columns in expected.items():
        if missing := columns - actual.get(table, set()):
            raise SchemaError(f"{name}: {table} lacks {', '.join(sorted(missing))}; the database is damaged")


def _columns(connection: sqlite3.Connection) -> dict[str, set[str]]:
    query = (
        "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c"
        " WHERE m.type = 'table' AND m.name LIKE 'of\\_%' ESCAPE '\\'"
    )
    columns: dict[str, set[str]] = {}
    for table, column in connection.execute(query):
        columns.setdefault(table, set()).add(column)
    return columns


def _upgrade(connection: sqlite3.Connection, known: list[tuple[int, str]]) -> None:
    connection.execute("BEGIN IMMEDIATE")  # another process may be upgrading: look again behind the lock
    try:
        has = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'of_schema'").fetchone()
        version = connection.execute("SELECT max(version) FROM of_schema").fetchone()[0] if has else 0
        for number, statements in known:
            if number > version:
                for statement in _statements(statements):
                    connection.execute(statement)
                connection.execute("INSERT INTO of_schema (version) VALUES (?)", (number,))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> list[str]:
    """The statements of a script, comments dropped; executescript() would commit behind our back."""
    lines = [line.split("--", 1)[0] for line in script.splitlines()]
    return [statement for statement in "\n".join(lines).split(";") if statement.strip()]
