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
    """Print a line of text as it is."""
    print(printable(text))


def paragraph(text: str, indent: str = "", hanging: str = "") -> None:
    """Print a text in lines that fit the terminal, each after ``indent``, all but the first also after ``hanging``."""
    print("\n".join(wrap(printable(text), width(), indent, hanging)))


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
    """``text`` with ``?`` for each character that could control a terminal; line ends stay."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def _printable_row(row: Row) -> Row:
    return Row(tuple(printable(cell).replace("\n", " ") for cell in row.cells), tuple(map(printable, row.notes)))


def fact_value(value: bool | str) -> str:
    """The value of a fact as lifecycles write it: ``true``, ``open``."""
    return str(value).lower() if isinstance(value, bool) else value
