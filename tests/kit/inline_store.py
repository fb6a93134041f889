"""The SQLite store without threads, in memory: the same statements, run inside the event loop, so that a simulation repeats exactly."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from orderflow._store.sqlite.schema import prepare
from orderflow._store.sqlite.store import SqliteStore

T = TypeVar("T")


def memory_connection() -> sqlite3.Connection:
    """A new in-memory database, as ``InlineStore`` needs it."""
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


class _InlineWriter:
    """Runs a unit of work at once, in a transaction of its own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def submit(self, work: Callable[[sqlite3.Connection], T], order_id: str = "") -> T:
        """See ``writer.Writer.submit``."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(self._connection)
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        return result


class InlineStore(SqliteStore):
    """A ``Store`` on one in-memory connection. Several flows may share the connection, one after another or side by side."""

    def __init__(self, connection: sqlite3.Connection | None = None) -> None:
        super().__init__(Path("memory"))
        self.connection = connection or memory_connection()
        self._writer: Any = _InlineWriter(self.connection)

    async def open(self) -> None:
        """See ``Store.open``."""
        prepare(self.connection, "memory")

    async def close(self) -> None:
        """See ``Store.close``; the connection stays open, so that a restarted flow finds what was committed."""

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        return query(self.connection)
