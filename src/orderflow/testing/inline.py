"""The SQLite store without threads, in memory: the same statements, run inside the event loop, so that a rehearsal repeats exactly.

``boundary`` is called before and after every transaction: a place to crash at.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from orderflow.store.sqlite.schema import prepare
from orderflow.store.sqlite.store import SqliteStore

T = TypeVar("T")
Boundary = Callable[[str], None]


def _nowhere(_where: str) -> None:
    return None


class _InlineWriter:
    """Runs a unit at once, in a transaction of its own."""

    def __init__(self, connection: sqlite3.Connection, boundary: Boundary) -> None:
        self._connection = connection
        self._boundary = boundary

    async def submit(self, work: Callable[[sqlite3.Connection], T], order_id: str = "") -> T:
        """See ``writer.Writer.submit``."""
        self._boundary("before commit")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(self._connection)
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._boundary("after commit")
        return result


class InlineStore(SqliteStore):
    """A ``Store`` on one in-memory connection; several flows may share the connection, one after another or side by side."""

    def __init__(self, connection: sqlite3.Connection | None = None, boundary: Boundary = _nowhere) -> None:
        super().__init__(Path("memory"))
        self.connection = connection or sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._writer: Any = _InlineWriter(self.connection, boundary)

    async def open(self) -> None:
        """See ``Store.open``."""
        prepare(self.connection, "memory")

    async def close(self) -> None:
        """See ``Store.close``; the connection stays, so that a restarted flow finds what was committed."""

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        return query(self.connection)
