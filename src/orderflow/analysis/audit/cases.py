"""The cases of a log: one history each, kept while the case is open. Judging is judge.py's; files are read elsewhere.

A case costs memory while it is open. Once its order is in a final state, and enough others are, it is written to a
temporary database on disk (deleted with the process) and forgotten; should it speak again, it is fetched back, so that
a return from a final state is seen however late it comes. So memory grows with open cases only (a byte an observation,
and what a case costs), and nothing is guessed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from types import TracebackType

from attrs import frozen

from orderflow.analysis.audit.judge import LEGAL, WRONG, Class, Judge, Judged
from orderflow.errors import InvalidInput, OperationalError

Seen = tuple[int, str, str, datetime]
"""An observation: its line in the log (0: none), its case, the status, when (aware of its offset)."""

_LONG = 1024


@frozen
class Where:
    """Where a wrong observation stands in the log, and the status as it was written there."""

    line: int
    at: datetime
    status: str


@frozen
class Case:
    """One order's observations, judged. ``wrong``: where each wrong observation stands, by its place in the case."""

    name: str
    history: str
    verdict: str
    wrong: Mapping[int, Where]

    def steps(self, judge: Judge) -> list[Judged]:
        """Every observation, judged and explained."""
        return judge.explain(self.history, {n: where.status for n, where in self.wrong.items()})

    @property
    def severity(self) -> tuple[int, int]:
        """Larger is worse: the verdict, then how many observations are wrong."""
        return -1 if self.verdict == LEGAL else len(WRONG) - WRONG.index(Class(self.verdict)), len(self.wrong)


@frozen
class _Kept:
    """A case on disk: its history, its latest time, its wrong observations."""

    history: str
    latest: datetime
    wrong: Mapping[int, Where]


class Cases:
    """The cases of one log. Use as a context manager: the temporary database goes with it.

    ``keep``: how many cases may be in memory before the ended ones are looked for. ``source``: what errors call the log.
    """

    def __init__(self, judge: Judge, *, keep: int = 100_000, source: str = "log") -> None:
        self.judge = judge
        self._source = source
        self._histories: dict[str, str] = {}  # two dicts of plain values: an object a case would cost a third of the speed
        self._latest: dict[str, datetime] = {}
        self._wrong: dict[str, dict[int, Where]] = {}
        self._past: dict[str, list[str]] = {}  # the beginnings of long histories: adding to a long string copies it
        self._keep = self._limit = keep
        self._shelf: _Shelf | None = None

    def __enter__(self) -> Cases:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._shelf:
            self._shelf.close()

    @property
    def in_memory(self) -> int:
        """How many cases are in memory now."""
        return len(self._histories)

    def take(self, observations: Iterable[Seen]) -> None:
        """Judge observations, each case's in the order of time.

        Raises:
            InvalidInput: a case goes back in time; names the line. What came before it is taken.
            OperationalError: the disk for ended cases failed.
        """
        histories, latest = self._histories, self._latest
        after, wrong, move = self.judge.after, self.judge.wrong, self.judge.move
        for line, case, status, at in observations:
            history = histories.get(case)
            if history is None:
                history = self._returned(case, at)
            if at < latest[case]:
                raise InvalidInput(f"{self._source}, line {line}", f"case {case!r} goes back in time: sort the log (--sort)")
            if len(history) > _LONG:
                self._past.setdefault(case, []).append(history[:-1])
                history = history[-1]
            last = history[-1:]
            made = after[last].get(status) or move(last, status)
            if made in wrong:
                self._wrong.setdefault(case, {})[sum(map(len, self._past.get(case, ()))) + len(history)] = Where(line, at, status)
            histories[case] = history + made
            latest[case] = at

    def all(self) -> Iterator[Case]:
        """Every case: those on disk by name, then those in memory by first appearance."""
        if self._shelf:
            for case, kept in self._shelf.all():
                yield Case(case, kept.history, self.judge.verdict(kept.history), kept.wrong)
        for case, latest in self._histories.items():
            history = "".join((*self._past.get(case, ()), latest))
            yield Case(case, history, self.judge.verdict(history), self._wrong.get(case, {}))

    def _returned(self, case: str, at: datetime) -> str:
        """The history of a case that is not in memory: fetched from disk, or none yet."""
        if len(self._histories) >= self._limit:
            self._forget()
        kept = self._shelf.take(case) if self._shelf else None
        self._latest[case] = kept.latest if kept else at
        if kept and kept.wrong:
            self._wrong[case] = dict(kept.wrong)
        return kept.history if kept else ""

    def _forget(self) -> None:
        """Move the cases that have ended to disk; look again when those in memory are twice as many."""
        ending = self.judge.ending
        ended = [case for case, history in self._histories.items() if history[-1] in ending]
        if ended:
            self._shelf = self._shelf or _Shelf()
            self._shelf.put((case, self._popped(case)) for case in ended)
        self._limit = max(self._keep, 2 * len(self._histories))

    def _popped(self, case: str) -> _Kept:
        history = "".join((*self._past.pop(case, ()), self._histories.pop(case)))
        return _Kept(history, self._latest.pop(case), self._wrong.pop(case, {}))


_FILTER = 1 << 25  # bits


class _Shelf:
    """Ended cases on disk, in a database without a name: SQLite deletes it when it is closed. Its own memory is bounded.

    Most cases that are asked for are new: a Bloom filter of fixed size spares them the look-up.
    """

    def __init__(self) -> None:
        self._filter = bytearray(_FILTER // 8)
        self._database = sqlite3.connect("", isolation_level=None)
        self._run("PRAGMA journal_mode=OFF")
        self._run("PRAGMA synchronous=OFF")
        self._run("PRAGMA cache_size=-8000")
        self._run("CREATE TABLE ended (name TEXT PRIMARY KEY, history BLOB, latest TEXT, wrong TEXT) WITHOUT ROWID")

    def _run(self, sql: str, *values: object) -> list[tuple[str, bytes, str, str]]:
        try:
            with closing(self._database.execute(sql, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            raise OperationalError(f"the temporary database of ended cases: {error}") from error

    def put(self, cases: Iterable[tuple[str, _Kept]]) -> None:
        """Keep ended cases."""
        rows = []
        for case, one in cases:
            wrong = [(place, where.line, where.at.isoformat(), where.status) for place, where in one.wrong.items()]
            rows.append((case, one.history.encode(), one.latest.isoformat(), json.dumps(wrong) if wrong else ""))
            for bit in _bits(case):
                self._filter[bit >> 3] |= 1 << (bit & 7)
        self._run("BEGIN")
        try:
            self._database.executemany("INSERT INTO ended VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise OperationalError(f"the temporary database of ended cases: {error}") from error
        self._run("COMMIT")

    def take(self, case: str) -> _Kept | None:
        """Give a case back, if it is here."""
        if not all(self._filter[bit >> 3] & 1 << (bit & 7) for bit in _bits(case)):
            return None
        rows = self._run("SELECT * FROM ended WHERE name = ?", case)
        if not rows:
            return None
        self._run("DELETE FROM ended WHERE name = ?", case)
        return _read(rows[0])[1]

    def all(self) -> Iterator[tuple[str, _Kept]]:
        """Every case, by name."""
        with closing(self._database.execute("SELECT * FROM ended ORDER BY name")) as cursor:
            yield from map(_read, cursor)

    def close(self) -> None:
        """Delete it."""
        self._database.close()


def _bits(case: str) -> tuple[int, int]:
    """Two places of the filter, from one hash."""
    mixed = hash(case)
    return mixed % _FILTER, (mixed >> 30) % _FILTER


def _read(row: tuple[str, bytes, str, str]) -> tuple[str, _Kept]:
    name, history, latest, wrong = row
    places = {place: Where(line, datetime.fromisoformat(at), status) for place, line, at, status in json.loads(wrong or "[]")}
    return name, _Kept(history.decode(), datetime.fromisoformat(latest), places)
