"""Opening a SQLite file: connect, refuse one that is newer, damaged or not ours, bring the schema up to date. Nothing about orders."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from orderflow._store.migrations import migrations
from orderflow._store.sqlite.queries import SQL
from orderflow.errors import SchemaError

_PRIMARY_CODE = 0xFF  # the part of SQLite's extended error code that names the kind


def connect(path: Path, *, create: bool = True, frozen: bool = False, patience: float = 30.0) -> sqlite3.Connection:
    """A connection in autocommit mode: transactions are begun explicitly. A file that is made here is readable to its owner only.

    ``patience``: for how many seconds a lock that another program holds is waited for.
    ``frozen``: no program writes the file. It is read as it stands, without the files that SQLite otherwise makes beside it.

    Raises:
        SchemaError: the file cannot be opened.
    """
    mode = "rwc" if create else "ro&immutable=1" if frozen else "rw"
    if create:
        with suppress(OSError):  # it is there already, or SQLite will say what is wrong
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))  # SQLite gives -wal and -shm the same mode
    try:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=patience,
            check_same_thread=False,
            cached_statements=256,
        )
    except sqlite3.OperationalError as error:
        if not path.absolute().parent.is_dir():
            raise SchemaError(f"{path.name}: its folder does not exist") from None
        if not (create or path.exists()):
            raise SchemaError(f"{path.name}: there is no such file; to make one: orderflow db upgrade") from None
        raise SchemaError(f"{path.name}: {error}") from None


def connect_to_look(path: Path) -> sqlite3.Connection:
    """A connection to a file that is there. Nothing is changed by it, and the right to write is not needed.

    Raises:
        SchemaError: the file cannot be read.
    """
    connection = connect(path, create=False)
    try:
        connection.execute(SQL["our_tables"]).fetchall()
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode & _PRIMARY_CODE not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise SchemaError(f"{path.name}: {error}") from None
    except sqlite3.DatabaseError:  # it is no database: reading its version will say so
        return connection
    else:
        return connection
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise SchemaError(f"{path.name}: cannot be read here without {log.name}; copy both to a folder that can be written")
    return connect(path, create=False, frozen=True)


def connect_to_write(path: Path, *, patience: float, may_fail: bool) -> sqlite3.Connection:
    """A connection for durable commits to a file that is there. ``may_fail``: it may be a copy that can
    only be read; a write will say so."""
    connection = connect(path, create=False, patience=patience)
    try:
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.OperationalError:
        if not may_fail:
            connection.close()
            raise
    return connection


def prepare(connection: sqlite3.Connection, name: str, *, create: bool = True) -> None:
    """Bring the schema up to date, and make commits durable. Without ``create`` the tables must be there already.

    Nothing is written where the schema is up to date and the file is in WAL mode: another program may hold the lock for writing.

    Raises:
        SchemaError: the schema is newer than this code or damaged, or the file is no database. Nothing was changed.
    """
    known = migrations("sqlite")
    version = read_version(connection, name)
    if version > known[-1][0]:
        raise SchemaError(f"{name}: schema version {version} is newer than this orderflow knows ({known[-1][0]}); upgrade orderflow")
    if not version and not create:
        raise SchemaError(f"{name}: holds no orders of orderflow")
    if not create and version == known[-1][0]:
        return
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if version != known[-1][0]:
            _migrate(connection, known)
    except sqlite3.DatabaseError as error:
        raise SchemaError(f"{name}: {error}") from None


def read_version(connection: sqlite3.Connection, name: str) -> int:
    """The version of the schema that is there; 0: none of our tables is.

    Raises:
        SchemaError: there are tables without a version, columns are missing, or the file is no database.
    """
    known = migrations("sqlite")
    connection.execute("BEGIN")  # one snapshot for version and columns: another process may be migrating
    try:
        tables = {table for (table,) in connection.execute(SQL["our_tables"])}
        if "of_schema" not in tables:
            if any(table.startswith("of_") for table in tables):
                raise SchemaError(f"{name}: has orderflow tables but no schema version; it is damaged or not ours")
            return 0
        (version,) = connection.execute(SQL["schema_version"]).fetchone()
        if version is None:
            raise SchemaError(f"{name}: the schema version is missing; the database is damaged")
        if version <= known[-1][0]:
            _check_columns(connection, name, [script for number, script in known if number <= version])
    except sqlite3.DatabaseError as error:
        raise SchemaError(f"{name}: {error}") from None
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")  # it only read
    return int(version)


def _check_columns(connection: sqlite3.Connection, name: str, scripts: list[str]) -> None:
    """Every column that these migrations leave behind must be there."""
    model = sqlite3.connect(":memory:")
    for script in scripts:
        model.executescript(script)
    expected, actual = _columns(model), _columns(connection)
    model.close()
    for table, columns in expected.items():
        if missing := columns - actual.get(table, set()):
            raise SchemaError(f"{name}: {table} lacks {', '.join(sorted(missing))}; the database is damaged")


def _columns(connection: sqlite3.Connection) -> dict[str, set[str]]:
    columns: dict[str, set[str]] = {}
    for table, column in connection.execute(SQL["our_columns"]):
        columns.setdefault(table, set()).add(column)
    return columns


def _migrate(connection: sqlite3.Connection, known: list[tuple[int, str]]) -> None:
    connection.execute("BEGIN IMMEDIATE")  # another process may be migrating: look again behind the lock
    try:
        has_version = "of_schema" in {table for (table,) in connection.execute(SQL["our_tables"])}
        version = connection.execute(SQL["schema_version"]).fetchone()[0] if has_version else 0
        for number, script in known:
            if number > version:
                for statement in _split_script(script):
                    connection.execute(statement)
                connection.execute(SQL["add_schema_version"], (number,))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _split_script(script: str) -> list[str]:
    """The statements of a script, without comments. executescript() would commit the transaction first."""
    lines = [line.split("--", 1)[0] for line in script.splitlines()]
    return [statement for statement in "\n".join(lines).split(";") if statement.strip()]
