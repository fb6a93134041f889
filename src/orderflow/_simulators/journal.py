"""The requests that a simulator received. Contains only: the journal, its rows, and how an endpoint marks one as executed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from attrs import evolve, field, frozen

from orderflow._simulators.faults import matches

JOURNAL: Final = "orderflow.journal"
"""ASGI scope: the journal."""
ROW: Final = "orderflow.row"
"""ASGI scope: the number of the request's row."""
KEPT: Final = 20_000
"""How many requests are kept, the newest; a simulator may run for days."""


@frozen
class RecordedRequest:
    """One request.

    Attributes:
        at: simulator time.
        path: percent-decoded, below the simulator's root.
        query: raw, without the ``?``.
        executed: the provider acted on it (created, changed or served something), whatever the client received.
        answered: the status code that was sent; None while under way, and for good if the connection was cut.
        n: the row's number.
        played: the scenario that was applied, such as ``header status=429`` or ``armed reset-after-commit``; else empty.
    """

    at: float
    method: str
    path: str
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    executed: bool = False
    answered: int | None = None
    n: int = -1
    played: str = ""


class RequestJournal:
    """Every request in order of arrival. Queries, headers and bodies are kept, and never shown by ``repr``."""

    def __init__(self) -> None:
        self._rows: deque[RecordedRequest] = deque(maxlen=KEPT)
        self._count = 0

    @property
    def rows(self) -> tuple[RecordedRequest, ...]:
        """All kept requests, oldest first."""
        return tuple(self._rows)

    def count_received(self, match: str = "") -> int:
        """How many matching requests arrived (for the pattern see ``matches``)."""
        return sum(matches(match, row.method, row.path) for row in self._rows)

    def count_executed(self, match: str = "") -> int:
        """How many matching requests the provider acted on."""
        return sum(row.executed and matches(match, row.method, row.path) for row in self._rows)

    def clear(self) -> None:
        """Delete all rows; numbers go on."""
        self._rows.clear()

    def add(self, request: RecordedRequest) -> RecordedRequest:
        """Add a request that has just arrived; returns its row, with the number ``n``."""
        row = evolve(request, n=self._count)
        self._count += 1
        self._rows.append(row)
        return row

    def update(self, n: int, **changes: Any) -> None:
        """Set fields of row ``n``. A row that has been deleted meanwhile stays deleted."""
        index = len(self._rows) - (self._count - n)
        if 0 <= index < len(self._rows):
            self._rows[index] = evolve(self._rows[index], **changes)


def mark_executed(scope: Mapping[str, Any]) -> None:
    """Record that the provider acted on the request of this ASGI scope. Without a journal in the scope, do nothing."""
    journal = scope.get(JOURNAL)
    if isinstance(journal, RequestJournal):
        journal.update(scope[ROW], executed=True)
