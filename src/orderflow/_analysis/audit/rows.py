"""The rows of a log, whatever its format, and how a malformed one is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NoReturn

from attrs import frozen

from orderflow.errors import InvalidInput

LogRow = tuple[int, str, str, datetime]
"""An observation: its line in the log (0: none), its case, its status, and its time (with an offset)."""


@frozen
class WrongRow:
    """The row of a wrong observation. ``status`` is the word in the log."""

    line: int
    at: datetime
    status: str


@frozen
class Columns:
    """Where a row has its case, its status and its time: columns of a CSV file, keys of a JSON object or of XES attributes."""

    case: str
    status: str
    time: str


def refuse_row(log: str, line: int, reason: str) -> NoReturn:
    """Raise an ``InvalidInput`` that names the line."""
    raise InvalidInput(f"{log}, line {line}", reason)


def parse_time(text: str) -> datetime:
    """Return a time: ISO 8601 in the extended form (``2026-11-21T10:00:00Z``; without an offset it is UTC), or epoch seconds.

    Raises:
        ValueError: it is neither, or out of range.
    """
    if text[4:5] != "-":
        try:
            return datetime.fromtimestamp(float(text), UTC)
        except (OverflowError, OSError) as error:
            raise ValueError(text) from error
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
