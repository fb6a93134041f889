"""Cases whose order has ended, in a temporary database on disk. SQLite deletes the file when it is closed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime

from attrs import frozen

from orderflow._analysis.audit.rows import WrongRow
from orderflow.errors import OperationalError

_FILTER_BITS = 1 << 25


@frozen
class StoredCase:
    """A case on disk: its history as bytes, its latest time, its wrong rows by their place in the case."""

    history: bytes
    latest: datetime
    wrong_rows: Mapping[int, WrongRow]


class EndedCases:
    """Stored cases by name. Takes a bounded amount of memory.

    Most names that are asked for are new. A Bloom filter of fixed size answers for these without a query.
    """

    def __init__(self) -> None:
        self._filter = bytearray(_FILTER_BITS // 8)
        self._database = sqlite3.connect("", isolation_level=None)
        self._run("PRAGMA journal_mode=OFF")
        self._run("PRAGMA synchronous=OFF")
        self._run("PRAGMA cache_size=-8000")
        self._run("CREATE TABLE ended (name TEXT PRIMARY KEY, history BLOB, latest TEXT, wrong TEXT) WITHOUT ROWID")

    def store(self, cases: Iterable[tuple[str, StoredCase]]) -> None:
        """Store cases that are not stored yet.

        Raises:
            OperationalError: the database failed.
        """
        rows = []
        for name, case in cases:
            wrong = [(place, row.line, row.at.isoformat(), row.status) for place, row in case.wrong_rows.items()]
            rows.append((name, case.history, case.latest.isoformat(), json.dumps(wrong) if wrong else ""))
            for bit in _filter_bits(name):
                self._filter[bit >> 3] |= 1 << (bit & 7)
        self._run("BEGIN")
        try:
            self._database.executemany("INSERT INTO ended VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise _failure(error) from error
        self._run("COMMIT")

    def take(self, name: str) -> StoredCase | None:
        """Remove a case and return it; None if it is not stored.

        Raises:
            OperationalError: the database failed.
        """
        if not all(self._filter[bit >> 3] & 1 << (bit & 7) for bit in _filter_bits(name)):
            return None
        rows = self._run("SELECT * FROM ended WHERE name = ?", name)
        if not rows:
            return None
        self._run("DELETE FROM ended WHERE name = ?", name)
        return _parse_row(rows[0])[1]

    def iter_all(self) -> Iterator[tuple[str, StoredCase]]:
        """Yield every case, by name."""
        with closing(self._database.execute("SELECT * FROM ended ORDER BY name")) as cursor:
            yield from map(_parse_row, cursor)

    def close(self) -> None:
        """Delete the database."""
        self._database.close()

    def _run(self, sql: str, *values: object) -> list[tuple[str, bytes, str, str]]:
        try:
            with closing(self._database.execute(sql, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            raise _failure(error) from error


def _failure(error: sqlite3.Error) -> OperationalError:
    return OperationalError(f"the temporary database of ended cases: {error}")


def _filter_bits(name: str) -> tuple[int, int]:
    """Two places of the filter, from one hash."""
    mixed = hash(name)
    return mixed % _FILTER_BITS, (mixed >> 30) % _FILTER_BITS


def _parse_row(row: tuple[str, bytes, str, str]) -> tuple[str, StoredCase]:
    name, history, latest, wrong = row
    rows = {place: WrongRow(line, datetime.fromisoformat(at), status) for place, line, at, status in json.loads(wrong or "[]")}
    return name, StoredCase(history, datetime.fromisoformat(latest), rows)
