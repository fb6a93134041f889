"""Opening logs: a file or standard input, plain or gzip, in one of the formats. How a format reads: rows.py, xes.py. Judges nothing."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Literal

from orderflow.analysis.audit.cases import Seen
from orderflow.analysis.audit.rows import Columns, csv_rows, jsonl_rows
from orderflow.analysis.audit.xes import xes_rows
from orderflow.errors import InvalidInput, UnknownName

Format = Literal["csv", "jsonl", "xes"]
SUFFIXES: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".xes": "xes"}
_GZIP = b"\x1f\x8b"
_PIECE = 1 << 16


DEFAULTS: dict[Format, Columns] = {
    "csv": Columns("case", "status", "time"),
    "jsonl": Columns("case", "status", "time"),
    "xes": Columns("concept:name", "concept:name", "time:timestamp"),
}


class Source:
    """A log to read. Use as a context manager.

    ``path``: a file, or ``-`` for standard input, which needs ``format``; a file's format is told by its suffix (``.gz`` aside).

    Raises:
        UnknownName: no such file.
        InvalidInput: the format is not known.
        OSError: it cannot be opened.
    """

    def __init__(self, path: str, format: Format | None = None) -> None:  # noqa: A002 - the option's name
        self.name = "standard input" if path == "-" else path
        self.format: Format = format or _format(path)
        self._stack = ExitStack()
        self._raw = self._opened(path)
        self._size = os.fstat(self._raw.fileno()).st_size if path != "-" else 0
        buffered = io.BufferedReader(self._raw, _PIECE)
        zipped = buffered.peek(2)[:2] == _GZIP
        self._bytes: IO[bytes] = io.BufferedReader(gzip.GzipFile(fileobj=buffered), _PIECE) if zipped else buffered

    def _opened(self, path: str) -> io.RawIOBase:
        if path == "-":
            return io.FileIO(sys.stdin.fileno(), closefd=False)
        if not Path(path).exists():
            raise UnknownName("file", path)
        if Path(path).is_dir():
            raise InvalidInput(path, "is a directory")
        return self._stack.enter_context(io.FileIO(path))

    def __enter__(self) -> Source:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    @property
    def fraction(self) -> float | None:
        """How much of the file was read, from 0 to 1; None where nobody knows its size."""
        return min(1.0, self._raw.tell() / self._size) if self._size else None

    def rows(self, columns: Columns | None = None) -> Iterator[Seen]:
        """The observations, in the order of the file.

        Raises:
            InvalidInput: a column is missing, a row is malformed; names the line.
        """
        read = {"csv": csv_rows, "jsonl": jsonl_rows, "xes": xes_rows}[self.format]
        try:
            yield from read(self._bytes, columns or DEFAULTS[self.format], self.name)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InvalidInput(self.name, f"is not a whole gzip file: {error}") from error


def _format(path: str) -> Format:
    suffixes = [suffix.lower() for suffix in Path(path).suffixes if suffix.lower() != ".gz"]
    known = SUFFIXES.get(suffixes[-1]) if suffixes else None
    if known is None:
        raise InvalidInput("--format", f"say csv, jsonl or xes: {'standard input' if path == '-' else path} does not tell")
    return known
