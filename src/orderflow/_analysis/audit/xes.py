"""Reading XES: event logs as XML (IEEE 1849). A trace is a case, and its events are the observations.

The document is fed to expat in pieces, so that one trace is in memory at a time. A document type is refused: a log needs none, and
its entities could blow a small file up to any size.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import IO
from xml.parsers import expat

from attrs import Factory, define

from orderflow._analysis.audit.rows import Columns, LogRow, parse_time, refuse_row

_CHUNK = 1 << 16  # bytes
_TRACE_DEPTH = 2  # <log><trace>


def read_xes(log: IO[bytes], columns: Columns, name: str) -> Iterator[LogRow]:
    """Yield the events of every trace, in the order of the document. ``columns.case`` is a key of traces, the others of events."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    handler = _Handler(columns, name, parser)
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.StartDoctypeDeclHandler = lambda *_: refuse_row(name, parser.CurrentLineNumber, "a document type is not read")
    try:
        while chunk := log.read(_CHUNK):
            parser.Parse(chunk, False)
            yield from handler.take_rows()
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        refuse_row(name, error.lineno, f"is not XML: {expat.ErrorString(error.code)}")
    yield from handler.take_rows()


@define(slots=False)
class _Handler:
    """Where the parser is. Attributes of a trace or an event may have attributes of their own; only the direct ones count."""

    columns: Columns
    name: str
    parser: expat.XMLParserType
    depth: int = 0
    inside: str = ""  # "trace" or "event" while directly in one
    level: int = 0  # the depth of that element's children
    case: str = ""
    status: str = ""
    time: str = ""
    line: int = 0
    events: list[tuple[int, str, datetime]] = Factory(list)
    rows: list[LogRow] = Factory(list)

    def take_rows(self) -> list[LogRow]:
        """Remove and return the rows of the traces that ended since the last call."""
        rows, self.rows = self.rows, []
        return rows

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        self.depth += 1
        tag = tag.rpartition(":")[2]  # without the prefix of its namespace
        if tag == "event" and self.inside == "trace":
            self.inside, self.level = "event", self.depth + 1
            self.status = self.time = ""
            self.line = self.parser.CurrentLineNumber
        elif tag == "trace" and self.depth == _TRACE_DEPTH:
            self.inside, self.level, self.case = "trace", self.depth + 1, ""
            self.line = self.parser.CurrentLineNumber
        elif self.depth == self.level and self.inside:
            self._handle_attribute(attributes.get("key"), attributes.get("value", ""))
        elif tag == "event" and self.depth == _TRACE_DEPTH:
            refuse_row(
                self.name, self.parser.CurrentLineNumber, "an event outside a trace has no case; put the events of each case into a <trace>"
            )
        elif self.depth == 1 and tag != "log":
            refuse_row(self.name, self.parser.CurrentLineNumber, f"is not XES: it starts with <{tag[:40]}>")

    def end(self, tag: str) -> None:
        """Handle the end of an element."""
        tag = tag.rpartition(":")[2]
        self.depth -= 1
        if self.depth != self.level - 2:
            return
        if tag == "event" and self.inside == "event":
            self._end_event()
            self.inside, self.level = "trace", self.depth + 1
        elif tag == "trace" and self.inside == "trace":
            self._end_trace()
            self.inside, self.level = "", 0

    def _handle_attribute(self, key: str | None, value: str) -> None:
        if self.inside == "trace":
            if key == self.columns.case:
                self.case = value
            return
        if key == self.columns.status:
            self.status = value
        if key == self.columns.time:
            self.time = value

    def _end_event(self) -> None:
        if not self.status or not self.time:
            refuse_row(self.name, self.line, f"an event without {self.columns.time if self.status else self.columns.status}")
        try:
            self.events.append((self.line, self.status, parse_time(self.time)))
        except ValueError:
            refuse_row(self.name, self.line, f"{self.columns.time} is no ISO 8601 time: {self.time[:40]!a}")

    def _end_trace(self) -> None:
        if not self.case and self.events:
            refuse_row(self.name, self.parser.CurrentLineNumber, f"a trace without {self.columns.case}")
        self.rows += [(line, self.case, status, at) for line, status, at in self.events]
        self.events = []
