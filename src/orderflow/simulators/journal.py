"""What a simulator was asked and what it acted on. What may live here: the request journal, an endpoint's mark, and the
search for requests that *nearly* were the one a test expected."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any

from attrs import evolve, field, frozen

from orderflow.simulators.faults import matches

JOURNAL = "orderflow.journal"
ROW = "orderflow.row"
KEPT = 20_000
"""So many requests are kept, the newest; a simulator may run for days."""


@frozen
class Received:
    """One request. ``at`` is simulator time; ``path`` is percent-decoded; ``query`` is raw, without the ``?``.

    ``executed``: the provider acted on it (created, changed or served something), whatever the caller got to see.
    ``answered``: the status code sent; None while under way, and for ever when the connection was cut.
    ``played``: what the simulator was told to do to this request (``header 429``, ``armed cut_after``), else empty.
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


@frozen
class Near:
    """A request that nearly was the expected one: how close (1 is equal), and what differs, in words."""

    row: Received
    score: float
    differs: tuple[str, ...]


class RequestJournal:
    """Every request in order of arrival. Queries, headers and bodies are kept and never printed by ``repr``."""

    def __init__(self) -> None:
        self._rows: deque[Received] = deque(maxlen=KEPT)
        self._entered = 0

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

    def near(self, match: str, body: object = None, limit: int = 3) -> tuple[Near, ...]:
        """The requests closest to an expected one, best first: ``match`` is ``METHOD /path`` (``*`` allowed), ``body`` JSON
        that must be *contained* in the request's. Those with nothing in common are left out; an exact one scores 1."""
        judged = [_judged(row, match, body) for row in self._rows]
        return tuple(sorted((near for near in judged if near.score > 0), key=lambda near: (-near.score, -near.row.n))[:limit])

    def clear(self) -> None:
        """Forget every request; numbers go on."""
        self._rows.clear()

    def enter(self, request: Received) -> int:
        """Write down an arriving request; answers with the row's number (its ``n`` is set here)."""
        n = self._entered
        self._entered += 1
        self._rows.append(evolve(request, n=n))
        return n

    def amend(self, n: int, **changes: Any) -> None:
        """Complete row ``n`` with what is known now (``executed``, ``answered``); a row forgotten meanwhile stays so."""
        at = len(self._rows) - (self._entered - n)
        if 0 <= at < len(self._rows):
            self._rows[at] = evolve(self._rows[at], **changes)


def mark_executed(scope: Mapping[str, Any]) -> None:
    """Say that the provider has acted on the request of this ASGI scope. Without a journal around it, does nothing."""
    journal = scope.get(JOURNAL)
    if isinstance(journal, RequestJournal):
        journal.amend(scope[ROW], executed=True)


# ---------------------------------------------------------------- near misses

_FAR = 0.6
_BEGINS = 0.99


def _judged(row: Received, match: str, body: object) -> Near:
    method, _, path = match.rpartition(" ")
    differs: list[str] = []
    scores = [1.0]
    if not matches(path, row.method, row.path):
        likeness = SequenceMatcher(None, path, row.path).ratio()
        scores.append(likeness if likeness >= _FAR else 0.0)
        differs.append(f"path: expected {path}, got {row.path}")
    elif path != row.path:
        scores.append(_BEGINS)
    if method and method != row.method:
        scores.append(0.7)
        differs.append(f"method: expected {method}, got {row.method}")
    if body is not None:
        missed = _missing(body, _parsed(row.body), "body")
        scores.append(1 / (1 + len(missed)))
        differs += missed
    score = 1.0
    for part in scores:
        score *= part
    return Near(row, round(score, 3), tuple(differs))


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _missing(expected: object, got: object, path: str) -> list[str]:
    """What of ``expected`` is not in ``got``, path by path. Values received are not quoted: they may be personal."""
    if isinstance(expected, Mapping):
        if not isinstance(got, Mapping):
            return [f"{path}.{name}: missing" for name in expected] or [f"{path}: expected an object"]
        found: list[str] = []
        for name, part in expected.items():
            here = f"{path}.{name}"
            found += _missing(part, got[name], here) if name in got else [f"{here}: missing"]
        return found
    return [] if expected == got else [f"{path}: expected {expected!r}, got another value"]
