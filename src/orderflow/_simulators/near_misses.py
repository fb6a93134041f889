"""The recorded requests that almost match the one a test expected, and what differs. Pure: rows in, near misses out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from math import prod
from typing import Final

from attrs import frozen

from orderflow._simulators.faults import matches
from orderflow._simulators.journal import RecordedRequest

_MIN_LIKENESS: Final = 0.6
"""Paths less alike than this have nothing in common."""
_ONLY_BEGINS: Final = 0.99
_OTHER_METHOD: Final = 0.7


@frozen
class NearMiss:
    """A request close to the expected one: its score (1 for an exact match), and each difference in words."""

    row: RecordedRequest
    score: float
    differs: tuple[str, ...]


def find_near_misses(rows: Iterable[RecordedRequest], match: str, body: object = None, limit: int = 3) -> tuple[NearMiss, ...]:
    """The requests closest to an expected one, best first, then newest first.

    ``match`` is ``METHOD /path`` (``*`` allowed). ``body`` is JSON that the request's body must contain. Requests with nothing in
    common are left out.
    """
    scored = (_score(row, match, body) for row in rows)
    near = [miss for miss in scored if miss.score > 0]
    return tuple(sorted(near, key=lambda miss: (-miss.score, -miss.row.n))[:limit])


def _score(row: RecordedRequest, match: str, body: object) -> NearMiss:
    method, _, path = match.rpartition(" ")
    differs: list[str] = []
    scores: list[float] = []
    if not matches(path, row.method, row.path):
        likeness = SequenceMatcher(None, path, row.path).ratio()
        scores.append(likeness if likeness >= _MIN_LIKENESS else 0.0)
        differs.append(f"path: expected {path}, got {row.path}")
    elif path != row.path:
        scores.append(_ONLY_BEGINS)
    if method and method != row.method:
        scores.append(_OTHER_METHOD)
        differs.append(f"method: expected {method}, got {row.method}")
    if body is not None:
        missing = _find_missing(body, _parse(row.body), "body")
        scores.append(1 / (1 + len(missing)))
        differs += missing
    return NearMiss(row, round(prod(scores), 3), tuple(differs))


def _parse(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _find_missing(expected: object, received: object, path: str) -> list[str]:
    """Which parts of ``expected`` are not in ``received``, by path. Received values are not quoted: they may be personal."""
    if not isinstance(expected, Mapping):
        return [] if expected == received else [f"{path}: expected {expected!r}, got another value"]
    if not isinstance(received, Mapping):
        return [f"{path}.{name}: missing" for name in expected] or [f"{path}: expected an object"]
    missing: list[str] = []
    for name, part in expected.items():
        part_path = f"{path}.{name}"
        missing += _find_missing(part, received[name], part_path) if name in received else [f"{part_path}: missing"]
    return missing
