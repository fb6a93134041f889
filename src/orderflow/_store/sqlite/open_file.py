"""Whether the file that was opened is still the one at its path.

SQLite goes on writing into a file that was deleted, moved away or replaced. What is committed there is lost when the process ends.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from orderflow.errors import OperationalError

T = TypeVar("T")


class OpenFile:
    """The database file and its write-ahead log, as they were when they were first seen. May be asked from any thread."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._path = str(path.absolute())  # the working directory may change
        self._log = f"{self._path}-wal"
        self._identity = _identify(self._path)
        self._log_identity: tuple[int, int] | None = None

    def check(self) -> None:
        """Compare with what is at the path now.

        Raises:
            OperationalError: the file was deleted, moved away or replaced.
        """
        log = _identify(self._log)
        self._log_identity = self._log_identity or log  # SQLite makes it for the first write, and keeps it as long as we are connected
        if _identify(self._path) != self._identity or log != self._log_identity:
            raise OperationalError(f"{self._name}: the file was deleted, moved or replaced while it was open; restart with the right file")

    def run(self, query: Callable[[sqlite3.Connection], T], connection: sqlite3.Connection) -> T:
        """Run a query, if the file is still the right one."""
        self.check()
        return query(connection)


def _identify(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
