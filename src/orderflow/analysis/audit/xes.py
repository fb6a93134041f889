"""Reading XES: event logs as XML (IEEE 1849). A trace is a case, its events are the observations. Judges nothing.

The document is fed to expat piece by piece, so that one trace is in memory at a time. A document type is refused:
a log needs none, and entities are a way to make a small file huge.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import IO
from xml.parsers import expat

from attrs import Factory, define

from orderflow.analysis.audit.cases import Seen
from orderflow.analysis.audit.rows import Columns, bad, moment

_PIECE = 1 << 16


def xes_rows(log: IO[bytes], columns: Columns, name: str) -> Iterator[Seen]:
    """The events of every trace, in the order of the document. ``columns.case`` is a key of traces, the others of events."""
    reading = _Reading(columns, name)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    reading.parser = parser
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.StartDoctypeDeclHandler = lambda *_: bad(name, parser.CurrentLineNumber, "a document type is not read")
    try:
        while piece := log.read(_PIECE):
            parser.Parse(piece, False)
            yield from reading.taken()
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        bad(name, error.lineno, f"is not XML: {expat.ErrorString(error.code)}")
    yield from reading.taken()


@define(slots=False)
class _Reading:
    """Where the parser is. Attributes may hold attributes of their own: only an element's direct ones are its keys."""

    columns: Columns
    name: str
    parser: expat.XMLParserType | None = None
    depth: int = 0
    inside: str = ""  # "trace" or "event" while directly in one
    level: int = 0  # the depth of that element's children
    case: str = ""
    status: str = ""
    time: str = ""
    line: int = 0
    events: list[tuple[int, str, datetime]] = Factory(list)
    ready: list[Seen] = Factory(list)

    def taken(self) -> list[Seen]:
        """The observations of the traces read since the last time."""
        ready, self.ready = self.ready, []
        return ready

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self.depth += 1
        if tag == "event" and self.inside == "trace":
            self.inside, self.level = "event", self.depth + 1
            self.status = self.time = ""
            self.line = self._here()
        elif tag == "trace" and self.depth == 2:  # noqa: PLR2004 - log, trace
            self.inside, self.level, self.case = "trace", self.depth + 1, ""
            self.line = self._here()
        elif self.depth == self.level and self.inside:
            self._key(attributes.get("key"), attributes.get("value", ""))
        elif self.depth == 1 and tag != "log":
            bad(self.name, self._here(), f"is not XES: it starts with <{tag[:40]}>")

    def _key(self, key: str | None, value: str) -> None:
        if self.inside == "trace":
            if key == self.columns.case:
                self.case = value
            return
        if key == self.columns.status:
            self.status = value
        if key == self.columns.time:
            self.time = value

    def end(self, tag: str) -> None:
        """An element ends."""
        self.depth -= 1
        if self.depth != self.level - 2:
            return
        if tag == "event" and self.inside == "event":
            self._event()
            self.inside, self.level = "trace", self.depth + 1
        elif tag == "trace" and self.inside == "trace":
            self._trace()
            self.inside, self.level = "", 0

    def _event(self) -> None:
        if not self.status or not self.time:
            bad(self.name, self.line, f"an event without {self.columns.time if self.status else self.columns.status}")
        try:
            self.events.append((self.line, self.status, moment(self.time)))
        except ValueError:
            bad(self.name, self.line, f"{self.columns.time} is no ISO 8601 time: {self.time[:40]!a}")

    def _trace(self) -> None:
        if not self.case and self.events:
            bad(self.name, self._here(), f"a trace without {self.columns.case}")
        self.ready += [(line, self.case, status, at) for line, status, at in self.events]
        self.events = []

    def _here(self) -> int:
        return self.parser.CurrentLineNumber if self.parser else 0
