"""Opening logs: a file or standard input, plain or gzip, in one of the formats. The formats are read in tabular.py and xes.py."""

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

from orderflow._analysis.audit.rows import Columns, LogRow
from orderflow._analysis.audit.tabular import read_csv, read_jsonl
from orderflow._analysis.audit.xes import read_xes
from orderflow.errors import InvalidInput, UnknownName

Format = Literal["csv", "jsonl", "xes"]
_FORMATS: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".xes": "xes"}
_GZIP_SIGNATURE = b"\x1f\x8b"
_BUFFER = 1 << 16

DEFAULT_COLUMNS: dict[Format, Columns] = {
    "csv": Columns("case", "status", "time"),
    "jsonl": Columns("case", "status", "time"),
    "xes": Columns("concept:name", "concept:name", "time:timestamp"),
}


class LogFile:
    """A log to read. Use as a context manager.

    ``path``: a file, or ``-`` for standard input. ``format``: needed for standard input, and where the file's suffix (before ``.gz``)
    does not name it.

    Raises:
        UnknownName: no such file.
        InvalidInput: the format is not known, or the path is a directory.
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str, format: Format | None = None) -> None:  # noqa: A002 - the option's name
        self.name: str = "standard input" if path == "-" else path
        self.format: Format = format or _find_format(path)
        self._stack = ExitStack()
        self._raw = self._open(path)
        self._size = os.fstat(self._raw.fileno()).st_size if path != "-" else 0
        buffered = io.BufferedReader(self._raw, _BUFFER)
        zipped = buffered.peek(2)[:2] == _GZIP_SIGNATURE
        self._bytes: IO[bytes] = io.BufferedReader(gzip.GzipFile(fileobj=buffered), _BUFFER) if zipped else buffered

    def _open(self, path: str) -> io.RawIOBase:
        if path == "-":
            return io.FileIO(sys.stdin.fileno(), closefd=False)
        if not Path(path).exists():
            raise UnknownName("file", path)
        if Path(path).is_dir():
            raise InvalidInput(path, "is a directory")
        return self._stack.enter_context(io.FileIO(path))

    def __enter__(self) -> LogFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    @property
    def progress(self) -> float | None:
        """How much of the file was read, from 0 to 1; None for standard input."""
        return min(1.0, self._raw.tell() / self._size) if self._size else None

    def read_rows(self, columns: Columns | None = None) -> Iterator[LogRow]:
        """Yield the rows, in the order of the file. ``columns``: ``DEFAULT_COLUMNS`` of the format if absent.

        Raises:
            InvalidInput: a column is missing, or a row is malformed; names the line.
        """
        read = {"csv": read_csv, "jsonl": read_jsonl, "xes": read_xes}[self.format]
        try:
            yield from read(self._bytes, columns or DEFAULT_COLUMNS[self.format], self.name)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InvalidInput(self.name, f"is not a whole gzip file: {error}") from error


def _find_format(path: str) -> Format:
    suffixes = [suffix.lower() for suffix in Path(path).suffixes if suffix.lower() != ".gz"]
    known = _FORMATS.get(suffixes[-1]) if suffixes else None
    if known is None:
        reason = "standard input has no suffix" if path == "-" else f"the suffix of {path} names no format"
        raise InvalidInput("--format", f"is needed (csv, jsonl or xes): {reason}")
    return known
