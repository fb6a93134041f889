"""The generated files: their names, freshness. The only place of this room that writes to a disk.

A lifecycle ``x`` has ``x.diagram.md``, ``x.table.md`` and ``x.svg``, and on request its other formats. The Mermaid picture is
Markdown, not ``.mmd``: GitHub, GitLab and editors draw a Mermaid fence inside Markdown, while a bare Mermaid file is drawn
by some only, and has no place for a legend, for what the picture leaves out, or for a link to the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from orderflow.diagrams.describe import digest
from orderflow.diagrams.formats import EDITION, FORMATS, KEPT, render, stamped
from orderflow.errors import InvalidInput
from orderflow.lifecycle.table import Table

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_OURS = tuple(f".{each.suffix}" for each in FORMATS.values() if each.suffix.endswith(".md"))
_CHANGED = "the lifecycle has changed since it was drawn"
_EDITED = "edited by hand, or drawn by another version"


def write(tables: Iterable[Table], out_dir: Path, formats: Sequence[str] = ()) -> list[Path]:
    """Write the files of these tables (those that are kept unless some formats are named), making the directory; answers
    with their paths. Nothing is written unless all can be drawn.

    Raises:
        InvalidInput: no such format, a lifecycle's name that cannot be a file's, or ``out_dir`` is a file.
        ConfigurationError: a format needs the extra ``diagrams``.
        OSError: the disk says no.
    """
    files = {_file_name(table, kind): render(table, kind) for table in tables for kind in formats or KEPT}
    if out_dir.exists() and not out_dir.is_dir():
        raise InvalidInput("out", f"{out_dir} is not a directory")
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, contents in files.items():
        (out_dir / name).write_bytes(contents)
    return [out_dir / name for name in files]


def stale(tables: Iterable[Table], directory: Path, formats: Sequence[str] = (), *, complete: bool = True) -> list[str]:
    """What is not as ``write`` would leave it, one ``name: reason`` each, sorted; empty: all fresh. Needs no extra: svg
    and png are judged by the table and the edition that they say they were drawn from. Without ``formats``: those that
    are kept, and whatever others are there.

    ``complete``: these are all lifecycles there are, so a generated file of any other is named too.

    Raises:
        InvalidInput: as ``write``.
    """
    tables = tuple(tables)
    found = []
    for table in tables:
        for kind in formats or FORMATS:
            path = directory / _file_name(table, kind)
            reason = _staleness(table, kind, path)
            if reason and (formats or kind in KEPT or path.is_file()):
                found.append(f"{path.name}: {reason}")
    if complete:
        known = {_file_name(table, kind) for table in tables for kind in FORMATS}
        found += [f"{name}: unknown, no lifecycle draws it" for name in _unknown(directory, known)]
    return sorted(found)


def _staleness(table: Table, kind: str, path: Path) -> str:
    if not path.is_file():
        return "missing"
    there = path.read_bytes()
    if not FORMATS[kind].laid_out:
        there = there.replace(b"\r\n", b"\n")
    drawn_from = stamped(there)
    if drawn_from is None or drawn_from.digest != digest(table):
        return _CHANGED if drawn_from else _EDITED
    if FORMATS[kind].laid_out:
        return "" if drawn_from.edition == str(EDITION) else "drawn by another version"
    return "" if there == render(table, kind) else _EDITED


def _unknown(directory: Path, known: set[str]) -> list[str]:
    """Files that bear our stamp or our suffixes and are nobody's."""
    return [
        path.name
        for path in (directory.iterdir() if directory.is_dir() else ())
        if path.is_file() and path.name not in known and (path.name.endswith(_OURS) or stamped(path.read_bytes()))
    ]


def _file_name(table: Table, kind: str) -> str:
    if not _FILE_NAME.match(table.name):
        raise InvalidInput("lifecycle", f"the name {table.name!r} cannot be a file's")
    if kind not in FORMATS:
        raise InvalidInput("format", f"{kind!r} is none of {', '.join(FORMATS)}")
    return f"{table.name}.{FORMATS[kind].suffix}"
