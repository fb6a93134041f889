"""Printing: one JSON document, or a table. A table is rich's on a terminal, and plain aligned text everywhere else."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence


def document(value: object) -> None:
    """Print one JSON document, and nothing else."""
    print(json.dumps(value, indent=2))


def line(text: str) -> None:
    """Print a line of text."""
    print(text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print rows under their heads. NO_COLOR and a dumb terminal are respected."""
    if sys.stdout.isatty():
        _rich(head, rows, title)
    else:
        _plain(head, rows, title)


def _rich(head: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    from rich import box  # noqa: PLC0415 - only on a terminal
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    drawn = Table(title=Text(title) if title else None, title_justify="left", box=box.SIMPLE_HEAD, header_style="bold")
    for name in head:
        drawn.add_column(name, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    bare = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    Console(color_system=None if bare else "auto").print(drawn)


def _plain(head: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    lines = [head, *rows]
    widths = [max(len(cells[n]) for cells in lines) for n in range(len(head))]
    if title:
        print(title)
    for cells in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
