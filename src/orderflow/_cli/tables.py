"""How a table and a paragraph are laid out in lines of a given width. Pure: text in, lines out.

No word is cut. A table that is too wide wraps its last column, or moves columns from its right end below each row. A word that is wider
than the line breaks after an underscore.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest

from attrs import frozen

_GAP = "  "
_INDENT = "    "
_NARROWEST = 24  # the least width in which to wrap prose


@frozen
class Row:
    """The cells of one row. Each of ``notes`` is a paragraph below it."""

    cells: tuple[str, ...]
    notes: tuple[str, ...] = ()


def lay_out_table(head: Sequence[str], rows: Sequence[Row], width: int) -> list[str]:
    """The lines of a table under its heads. A column that is empty in every row is left out."""
    used = [n for n in range(len(head)) if any(row.cells[n] for row in rows)] or list(range(len(head)))
    columns, widths = _choose_columns([head, *(row.cells for row in rows)], used, width)
    lines = _lay_out_cells([head[n].upper() for n in columns], widths)
    for row in rows:
        lines += _lay_out_cells([row.cells[n] for n in columns], widths)
        below = [f"{head[n]}: {row.cells[n]}" for n in used[len(columns) :] if row.cells[n]]
        for text in (*below, *row.notes):
            lines += wrap(text, width, _INDENT)
    return lines


def _choose_columns(lines: Sequence[Sequence[str]], used: list[int], width: int) -> tuple[list[int], list[int]]:
    """As many columns as fit beside each other, and their widths; at least one."""
    for count in range(len(used), 0, -1):
        columns = used[:count]
        if widths := _fit([[cells[n] for n in columns] for cells in lines], width):
            return columns, widths
    return used[:1], [width]


def _lay_out_cells(cells: Sequence[str], widths: list[int]) -> list[str]:
    """The lines of one row; the last cell may take several."""
    columns = [*([cell] for cell in cells[:-1]), wrap(cells[-1], widths[-1])]
    return [
        _GAP.join(part.ljust(column) for part, column in zip(parts, widths, strict=True)).rstrip()
        for parts in zip_longest(*columns, fillvalue="")
    ]


def _fit(lines: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """The width of each column, so that a row is not wider than ``width``; the last one may wrap. None if they do not fit."""
    natural = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = width - sum(natural[:-1]) - len(_GAP) * (len(natural) - 1)
    if natural[-1] <= left:
        return natural
    longest_part = max(len(part) for line in lines for part in line[-1].split() or [""])
    return [*natural[:-1], left] if left >= max(_NARROWEST, longest_part) else None


def wrap(text: str, width: int, indent: str = "", hanging: str = "") -> list[str]:
    """The lines of a paragraph, each after ``indent``, all but the first also after ``hanging``.

    Lines break at spaces. A word that is wider than a line breaks after ``_``.
    """
    line_width = width - len(indent) - len(hanging)
    lines = [""]
    for part in text.split():
        pieces = [part] if len(part) <= line_width else re.findall(r"[^_]*_+|[^_]+", part)
        for n, piece in enumerate(pieces):
            joined = f"{lines[-1]} {piece}" if n == 0 and lines[-1] else lines[-1] + piece
            if len(joined) <= line_width or not lines[-1]:
                lines[-1] = joined
            else:
                lines.append(piece)
    return [f"{indent}{hanging if n else ''}{line}".rstrip() for n, line in enumerate(lines)]
