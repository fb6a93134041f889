"""Printing: one JSON document, a line, a paragraph, a table. Text of others is made harmless for a terminal here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence

from orderflow._cli.tables import Row, lay_out_table, wrap


def document(value: object) -> None:
    """Print one JSON document, and nothing else."""
    print(json.dumps(value, indent=2))


def line(text: str = "") -> None:
    """Print a text on one line."""
    print(printable(text))


def paragraph(text: str, indent: str = "", hanging: str = "") -> None:
    """Print a text in lines that fit the terminal, each after ``indent``, all but the first also after ``hanging``."""
    print("\n".join(wrap(printable(" ".join(text.split())), width(), indent, hanging)))


def block(text: str, indent: str = "") -> None:
    """Print a text of others as it came, each line after ``indent``. A line that is wider than the terminal is cut into several."""
    room = max(width() - len(indent), 1)
    for text_line in text.splitlines():
        shown = printable(text_line.expandtabs(4))
        print("\n".join(f"{indent}{shown[at : at + room]}" for at in range(0, len(shown) or 1, room)).rstrip())


def table(head: Sequence[str], rows: Sequence[Sequence[str] | Row], title: str = "") -> None:
    """Print rows under their heads, so that no line is wider than the terminal."""
    if title:
        paragraph(title)
    shown = [_printable_row(row if isinstance(row, Row) else Row(tuple(row))) for row in rows]
    print("\n".join(lay_out_table(head, shown, width())))


def width() -> int:
    """The columns of the terminal; COLUMNS if that is set; 80 if neither is known."""
    return shutil.get_terminal_size().columns


def printable(text: str) -> str:
    """``text`` with an escape, such as ``\\x1b``, for each character that could control a terminal or end the line."""
    return text if text.isprintable() else "".join(map(_escape, text))


def _escape(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


def _printable_row(row: Row) -> Row:
    return Row(tuple(map(printable, row.cells)), tuple(printable(" ".join(note.split())) for note in row.notes))


def fact_value(value: bool | str) -> str:
    """The value of a fact as lifecycles write it: ``true``, ``open``."""
    return str(value).lower() if isinstance(value, bool) else value
