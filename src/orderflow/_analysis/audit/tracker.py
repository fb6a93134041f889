"""Following the cases of a log: one history for each, kept while the case is open. Files are read elsewhere.

A case takes memory while it is open. When enough cases are in memory, those whose order is in a final state move to a temporary
database on disk (see ended.py). A moved case that is observed again is brought back. So memory grows with the open cases only, and
a return from a final state is found, however late it comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from types import TracebackType

from attrs import frozen

from orderflow._analysis.audit.automaton import WRONG, Classification, History
from orderflow._analysis.audit.checker import LEGAL, CaseChecker, CheckedStatus
from orderflow._analysis.audit.ended import EndedCases, StoredCase
from orderflow._analysis.audit.rows import LogRow, WrongRow
from orderflow._analysis.audit.ties import Tie, arrange
from orderflow.errors import InvalidInput


@frozen
class CheckedCase:
    """One order's observations and their verdict. ``wrong_rows``: the row of each wrong observation, by its place in the case."""

    name: str
    history: History
    verdict: str
    wrong_rows: Mapping[int, WrongRow]

    def explain(self, checker: CaseChecker) -> list[CheckedStatus]:
        """Return what each observation is."""
        return checker.explain(self.history, {place: row.status for place, row in self.wrong_rows.items()})

    @property
    def severity(self) -> tuple[int, int]:
        """How bad the case is: larger is worse. The verdict counts first, then the number of wrong observations."""
        rank = -1 if self.verdict == LEGAL else len(WRONG) - WRONG.index(Classification(self.verdict))
        return rank, len(self.wrong_rows)


class CaseTracker:
    """The cases of one log. Use as a context manager: leaving it deletes the temporary database.

    ``keep``: how many cases may be in memory before the ended ones move to disk. ``source``: the log's name in errors.
    """

    def __init__(self, checker: CaseChecker, *, keep: int = 100_000, source: str = "log") -> None:
        self.checker = checker
        self._source = source
        # The open cases. Three dicts instead of an object for each case, which is slower to make and to collect.
        self._histories: dict[str, History] = {}
        self._latest: dict[str, datetime] = {}
        self._wrong_rows: dict[str, dict[int, WrongRow]] = {}
        self._ties: dict[str, Tie] = {}  # the last one of each case
        self._keep = self._limit = keep
        self._ended: EndedCases | None = None

    def __enter__(self) -> CaseTracker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._ended:
            self._ended.close()

    @property
    def in_memory(self) -> int:
        """How many cases are in memory now."""
        return len(self._histories)

    def add(self, rows: Iterable[LogRow]) -> None:
        """Check rows. The rows of each case must be in the order of time. Rows of the same time may stand in any order.

        Raises:
            InvalidInput: a case goes back in time; names the line. The rows before it are added.
            OperationalError: the temporary database failed.
        """
        histories, latest = self._histories, self._latest
        for line, name, status, at in rows:
            history = histories.get(name)
            if history is None:
                history = self._open_case(name, at)
            before = latest[name]
            if at > before:
                latest[name] = at
            elif at < before:
                raise InvalidInput(f"{self._source}, line {line}", f"case {name!r} goes back in time: sort the log (--sort)")
            elif history:
                self._ties[name] = Tie.extend(self._ties.get(name), len(history))
            if history.add(status).wrong:
                self._wrong_rows.setdefault(name, {})[len(history) - 1] = WrongRow(line, at, status)
            if name in self._wrong_rows and name in self._ties:
                self._arrange_tie(name, history)

    def _arrange_tie(self, name: str, history: History) -> None:
        """Where something is wrong since the last tie of a case, try its other orders."""
        tie, wrong = self._ties[name], self._wrong_rows[name]
        if not tie.is_small(len(history)) or not any(
            place >= tie.start and row.status in self.checker.codes for place, row in wrong.items()
        ):
            return
        numbers = arrange(self.checker.automaton, history, tie)
        if numbers is not None:
            history[tie.start :] = History("I", numbers)
            history.node = self.checker.automaton.transitions[numbers[-1]].target
            kept = {place: row for place, row in wrong.items() if place < tie.start or row.status not in self.checker.codes}
            if kept:
                self._wrong_rows[name] = kept
            else:
                del self._wrong_rows[name]

    def iter_cases(self) -> Iterator[CheckedCase]:
        """Yield every case: those on disk by name, then those in memory by first appearance."""
        for name, stored in self._ended.iter_all() if self._ended else ():
            yield self._check(name, self.checker.automaton.start_history(stored.history), stored.wrong_rows)
        for name, history in self._histories.items():
            yield self._check(name, history, self._wrong_rows.get(name, {}))

    def _check(self, name: str, history: History, wrong_rows: Mapping[int, WrongRow]) -> CheckedCase:
        return CheckedCase(name, history, self.checker.find_verdict(history), wrong_rows)

    def _open_case(self, name: str, at: datetime) -> History:
        """Bring a case back from disk, or start a new one."""
        if len(self._histories) >= self._limit:
            self._move_ended_to_disk()
        stored = self._ended.take(name) if self._ended else None
        history = self._histories[name] = self.checker.automaton.start_history(stored.history if stored else b"")
        self._latest[name] = stored.latest if stored else at
        if stored and stored.wrong_rows:
            self._wrong_rows[name] = dict(stored.wrong_rows)
        return history

    def _move_ended_to_disk(self) -> None:
        """Then wait until twice as many cases are in memory: a log may have more open cases than ``keep``."""
        transitions = self.checker.automaton.transitions
        ended = [name for name, history in self._histories.items() if transitions[history[-1]].ends]
        if ended:
            self._ended = self._ended or EndedCases()
            self._ended.store((name, self._close_case(name)) for name in ended)
        self._limit = max(self._keep, 2 * len(self._histories))

    def _close_case(self, name: str) -> StoredCase:
        self._ties.pop(name, None)
        return StoredCase(bytes(self._histories.pop(name)), self._latest.pop(name), self._wrong_rows.pop(name, {}))
