"""Reading the rows of CSV and JSON Lines, one by one, in the order of the file. A malformed row is an error that names its line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator

from orderflow._analysis.audit.rows import Columns, LogRow, parse_time, refuse_row

_DELIMITERS = ",;\t"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_csv(log: Iterable[bytes], columns: Columns, name: str) -> Iterator[LogRow]:
    """Yield the rows of a CSV file in UTF-8. The first line is the header.

    Cells are separated by comma, semicolon or tab: by the one that gives the header the most columns. Empty lines are skipped.
    """
    lines = iter(log)
    header = next(lines, b"").removeprefix(_BYTE_ORDER_MARK)
    if not header.strip():
        refuse_row(name, 1, "no header that names the columns")
    delimiter, places, width = _parse_header(header, columns, name)
    reader = csv.reader(map(bytes.decode, lines), delimiter=delimiter, strict=True)
    case_at, status_at, time_at = places
    row: list[str] = []
    try:
        for row in reader:
            if len(row) != width:
                if not row:
                    continue
                refuse_row(name, reader.line_num + 1, f"{len(row)} cells, the header has {width}")
            case, status = row[case_at], row[status_at]
            if not case or not status:
                refuse_row(name, reader.line_num + 1, f"no {columns.status if case else columns.case}")
            yield reader.line_num + 1, case, status, parse_time(row[time_at])
    except UnicodeDecodeError:
        refuse_row(name, reader.line_num + 2, "is not UTF-8")  # the line that could not be decoded was not counted
    except csv.Error as error:
        refuse_row(name, reader.line_num + 1, f"is not CSV: {error}")
    except ValueError:
        refuse_row(name, reader.line_num + 1, _describe_bad_time(columns.time, row[time_at]))


def _parse_header(header: bytes, columns: Columns, name: str) -> tuple[str, tuple[int, int, int], int]:
    """The delimiter, the places of case, status and time, and the number of columns."""
    try:
        rows = {delimiter: next(csv.reader([header.decode()], delimiter=delimiter, strict=True)) for delimiter in _DELIMITERS}
    except (UnicodeDecodeError, csv.Error) as error:
        refuse_row(name, 1, f"the header is not CSV in UTF-8: {error}")
    delimiter = max(_DELIMITERS, key=lambda delimiter: len(rows[delimiter]))
    cells = rows[delimiter]
    for column in (columns.case, columns.status, columns.time):
        if cells.count(column) != 1:
            problem = "two columns" if column in cells else "no column"
            refuse_row(name, 1, f"{problem} {column!r} in the header ({', '.join(cells)[:200]})")
    return delimiter, (cells.index(columns.case), cells.index(columns.status), cells.index(columns.time)), len(cells)


def read_jsonl(log: Iterable[bytes], columns: Columns, name: str) -> Iterator[LogRow]:
    """Yield the rows of a JSON Lines file: one object per line. Empty lines are skipped."""
    for line, text in enumerate(log, 1):
        if text.isspace():
            continue
        try:
            row = json.loads(text.removeprefix(_BYTE_ORDER_MARK) if line == 1 else text)
        except (ValueError, RecursionError) as error:
            refuse_row(name, line, f"is not JSON: {error}")
        if not isinstance(row, dict):
            refuse_row(name, line, "is not a JSON object")
        case, status, time = (_get_text(row, key, name, line) for key in (columns.case, columns.status, columns.time))
        try:
            yield line, case, status, parse_time(time)
        except ValueError:
            refuse_row(name, line, _describe_bad_time(columns.time, time))


def _get_text(row: dict[str, object], key: str, name: str, line: int) -> str:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        refuse_row(name, line, f"no {key}" if value in (None, "") else f"{key} is neither text nor a number")
    text = str(value)
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        refuse_row(name, line, f"{key} holds half a surrogate pair")
    return text


def _describe_bad_time(column: str, text: str) -> str:
    return f"{column} is neither ISO 8601 nor epoch seconds: {text[:40]!a}"
