"""What a simulator was asked and what it acted on. What may live here: the request journal, and an endpoint's mark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen

from orderflow.simkit.faults import matches

JOURNAL = "orderflow.journal"
ROW = "orderflow.row"


@frozen
class Received:
    """One request. ``at`` is simulator time; ``path`` is percent-decoded; ``query`` is raw, without the ``?``.

    ``executed``: the provider acted on it (created, changed or served something), whatever the caller got to see.
    ``answered``: the status code sent; None while under way, and for ever when the connection was cut.
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


class RequestJournal:
    """Every request in order of arrival. Queries, headers and bodies are kept and never printed by ``repr``."""

    def __init__(self) -> None:
        self._rows: list[Received] = []

    @property
    def rows(self) -> tuple[Received, ...]:
        """All requests so far, oldest first."""
        return tuple(self._rows)

    def received(self, match: str = "") -> int:
        """How many matching requests arrived (pattern: see ``matches``)."""
        return sum(matches(match, row.method, row.path) for row in self._rows)

    def executed(self, match: str = "") -> int:
        """How many matching requests the provider acted on."""
        return sum(row.executed and matches(match, row.method, row.path) for row in self._rows)

    def enter(self, request: Received) -> int:
        """Write down an arriving request; answers with the row's number (its ``n`` is set here)."""
        n = len(self._rows)
        self._rows.append(evolve(request, n=n))
        return n

    def amend(self, n: int, **changes: Any) -> None:
        """Complete row ``n`` with what is known now (``executed``, ``answered``)."""
        self._rows[n] = evolve(self._rows[n], **changes)


def mark_executed(scope: Mapping[str, Any]) -> None:
    """Say that the provider has acted on the request of this ASGI scope. Without a journal around it, does nothing."""
    journal = scope.get(JOURNAL)
    if isinstance(journal, RequestJournal):
        journal.amend(scope[ROW], executed=True)
