"""Reading rows: CSV and JSON Lines. Opening files is files.py's; XES is xes.py's. Judges nothing.

Rows come one by one, in the order of the file; whatever is wrong with one is an ``InvalidInput`` that names its line.
A time is ISO 8601 in the extended form (``2026-11-21T10:00:00Z``; without an offset it is UTC) or epoch seconds.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NoReturn

from attrs import frozen

from orderflow.analysis.audit.cases import Seen
from orderflow.errors import InvalidInput

_DELIMITERS = ",;\t"


@frozen
class Columns:
    """Where a row has its case, its status and its time: heads of a CSV file, keys of a JSON object or XES attribute."""

    case: str
    status: str
    time: str


def bad(name: str, line: int, reason: str) -> NoReturn:
    """Refuse a row."""
    raise InvalidInput(f"{name}, line {line}", reason)


def moment(text: str) -> datetime:
    """A time.

    Raises:
        ValueError: it is none, or no calendar holds it.
    """
    if text[4:5] != "-":
        try:
            return datetime.fromtimestamp(float(text), UTC)
        except (OverflowError, OSError) as error:
            raise ValueError(text) from error
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def csv_rows(log: Iterable[bytes], columns: Columns, name: str) -> Iterator[Seen]:
    """The rows of a CSV file: UTF-8, a head, then cells divided by comma, semicolon or tab, whichever divides the head."""
    lines = iter(log)
    head = next(lines, b"").removeprefix(b"\xef\xbb\xbf")
    if not head.strip():
        bad(name, 1, "no head that names the columns")
    delimiter, places, width = _head(head, columns, name)
    reader = csv.reader(map(bytes.decode, lines), delimiter=delimiter, strict=True)
    case_at, status_at, time_at = places
    row: list[str] = []
    try:
        for row in reader:
            if len(row) != width:
                if not row:
                    continue
                bad(name, reader.line_num + 1, f"{len(row)} cells, the head has {width}")
            case, status = row[case_at], row[status_at]
            if not case or not status:
                bad(name, reader.line_num + 1, f"no {columns.status if case else columns.case}")
            yield reader.line_num + 1, case, status, moment(row[time_at])
    except UnicodeDecodeError:
        bad(name, reader.line_num + 2, "is not UTF-8")
    except csv.Error as error:
        bad(name, reader.line_num + 1, f"is not CSV: {error}")
    except ValueError:
        bad(name, reader.line_num + 1, _no_time(columns.time, row[time_at]))


def _head(head: bytes, columns: Columns, name: str) -> tuple[str, tuple[int, int, int], int]:
    try:
        rows = {each: next(csv.reader([head.decode()], delimiter=each, strict=True)) for each in _DELIMITERS}
    except (UnicodeDecodeError, csv.Error) as error:
        bad(name, 1, f"the head is not CSV in UTF-8: {error}")
    delimiter = max(_DELIMITERS, key=lambda each: len(rows[each]))
    found = rows[delimiter]
    for column in (columns.case, columns.status, columns.time):
        if found.count(column) != 1:
            why = "two columns" if column in found else "no column"
            bad(name, 1, f"{why} {column!r} in the head ({', '.join(found)[:200]})")
    return delimiter, (found.index(columns.case), found.index(columns.status), found.index(columns.time)), len(found)


def _no_time(column: str, found: str) -> str:
    return f"{column} is neither ISO 8601 nor epoch seconds: {found[:40]!a}"


# ── JSON Lines ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def jsonl_rows(log: Iterable[bytes], columns: Columns, name: str) -> Iterator[Seen]:
    """The rows of a JSON Lines file: one object a line; empty lines are passed over."""
    for line, text in enumerate(log, 1):
        if text.isspace():
            continue
        try:
            row = json.loads(text.removeprefix(b"\xef\xbb\xbf") if line == 1 else text)
        except (ValueError, RecursionError) as error:
            bad(name, line, f"is not JSON: {error}")
        if not isinstance(row, dict):
            bad(name, line, "is not a JSON object")
        case, status, time = (_word(row, key, name, line) for key in (columns.case, columns.status, columns.time))
        try:
            yield line, case, status, moment(time)
        except ValueError:
            bad(name, line, _no_time(columns.time, time))


def _word(row: dict[str, object], key: str, name: str, line: int) -> str:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        bad(name, line, f"no {key}" if value in (None, "") else f"{key} is neither text nor a number")
    text = str(value)
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        bad(name, line, f"{key} holds half a surrogate pair")
    return text
