"""The drawing files: their names, and whether they are fresh. The only module here that writes to a disk.

A lifecycle ``x`` has ``x.diagram.md``, ``x.table.md`` and ``x.svg``, and on request its other formats. The Mermaid picture is a
Markdown file, not a ``.mmd`` file. GitHub, GitLab and editors draw a Mermaid block in Markdown. Few programs draw a bare Mermaid file,
and it has no place for a legend, for notes, or for a link to the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from orderflow._diagrams.describe import compute_digest
from orderflow._diagrams.formats import DEFAULT_FORMATS, EDITION, FORMATS, find_stamp, render
from orderflow._lifecycle.table import Table
from orderflow.errors import InvalidInput

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_OUR_SUFFIXES = tuple(f".{format_.suffix}" for format_ in FORMATS.values() if format_.suffix.endswith(".md"))
_CHANGED = "the lifecycle has changed since it was drawn"
_EDITED = "edited by hand, or drawn by another version"


def write_files(tables: Iterable[Table], out_dir: Path, formats: Sequence[str] = ()) -> list[Path]:
    """Write the files of some tables into a directory, and return their paths. Creates the directory.

    Without ``formats``, the default formats are written. If one file cannot be drawn, none is written.

    Raises:
        InvalidInput: the format is unknown, a lifecycle's name cannot be a file name, or ``out_dir`` is a file.
        ConfigurationError: a format needs the extra ``diagrams``.
        OSError: a file cannot be written.
    """
    files = {_make_file_name(table, kind): render(table, kind) for table in tables for kind in formats or DEFAULT_FORMATS}
    if out_dir.exists() and not out_dir.is_dir():
        raise InvalidInput("out", f"{out_dir} is not a directory")
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, contents in files.items():
        (out_dir / name).write_bytes(contents)
    return [out_dir / name for name in files]


def find_stale(tables: Iterable[Table], directory: Path, formats: Sequence[str] = (), *, complete: bool = True) -> list[str]:
    """Return the files that differ from what ``write_files`` would write, as sorted lines ``name: reason``. Empty: all are fresh.

    Needs no extra: svg and png are compared by the table and the edition in their stamp. Without ``formats``, the default formats are
    checked, and those other formats whose files exist. ``complete``: ``tables`` are all lifecycles, so files of other lifecycles are
    stale too.

    Raises:
        InvalidInput: as for ``write_files``.
    """
    tables = tuple(tables)
    stale = []
    for table in tables:
        for kind in formats or FORMATS:
            path = directory / _make_file_name(table, kind)
            reason = _explain_staleness(table, kind, path)
            if reason and (formats or kind in DEFAULT_FORMATS or path.is_file()):
                stale.append(f"{path.name}: {reason}")
    if complete:
        known = {_make_file_name(table, kind) for table in tables for kind in FORMATS}
        stale += [f"{name}: unknown, no lifecycle draws it" for name in _find_unknown(directory, known)]
    return sorted(stale)


def _explain_staleness(table: Table, kind: str, path: Path) -> str:
    """Why a file is stale; "" if it is fresh."""
    if not path.is_file():
        return "missing"
    contents = path.read_bytes()
    if not FORMATS[kind].laid_out:
        contents = contents.replace(b"\r\n", b"\n")
    stamp = find_stamp(contents)
    if stamp is None or stamp.digest != compute_digest(table):
        return _CHANGED if stamp else _EDITED
    if FORMATS[kind].laid_out:
        return "" if stamp.edition == str(EDITION) else "drawn by another version"
    return "" if contents == render(table, kind) else _EDITED


def _find_unknown(directory: Path, known: set[str]) -> list[str]:
    """Files with our stamp or our suffixes that belong to no lifecycle."""
    return [
        path.name
        for path in (directory.iterdir() if directory.is_dir() else ())
        if path.is_file() and path.name not in known and (path.name.endswith(_OUR_SUFFIXES) or find_stamp(path.read_bytes()))
    ]


def _make_file_name(table: Table, kind: str) -> str:
    if not _FILE_NAME.match(table.name):
        raise InvalidInput("lifecycle", f"the name {table.name!r} cannot be a file name")
    if kind not in FORMATS:
        raise InvalidInput("format", f"{kind!r} is none of {', '.join(FORMATS)}")
    return f"{table.name}.{FORMATS[kind].suffix}"
