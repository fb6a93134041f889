"""How a journal is shown: rows of a table with the date once, and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby

from orderflow._cli import show
from orderflow._cli.tables import Row
from orderflow.model import JournalRow, StepKind

HEAD = ("step", "time", "event", "origin", "state")
_KINDS: dict[str, str] = {
    StepKind.INFERRED: "inferred: it must have passed this state; it was not seen there",
    StepKind.JUMP: "jump: several steps were not seen, and more than one way leads here",
    StepKind.OVERRIDE: "override: an operator moved it outside the lifecycle",
    StepKind.REDACTION: "redaction: an operator had the personal data removed",
}


def print_journal(journal: Sequence[JournalRow]) -> None:
    """Print a journal, a table for each day. A row shows the state that it leads to; it leaves the state of the row before."""
    for day, rows in groupby(journal, lambda row: date_of(row.at)):
        show.table(HEAD, [journal_row(row) for row in rows], f"{day} (UTC)")


def journal_row(row: JournalRow) -> Row:
    """One step as a row under ``HEAD``; below it what is not a usual step, and the note."""
    cells = (str(row.version), time_of(row.at), row.event, row.origin.value, row.target)
    return Row(cells, tuple(filter(None, (_KINDS.get(row.kind), row.note and f"note: {row.note}"))))


def journal_json(journal: Sequence[JournalRow]) -> list[dict[str, object]]:
    """A journal as JSON, without the data of its steps; ``at`` in epoch seconds."""
    return [
        {
            "version": row.version,
            "at": row.at,
            "event": row.event,
            "origin": row.origin.value,
            "source": row.source,
            "target": row.target,
            "kind": row.kind,
            "note": row.note,
            "facts": None if row.facts is None else dict(row.facts),
        }
        for row in journal
    ]


def date_of(at: float) -> str:
    """The day, in UTC, of a moment in epoch seconds."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def time_of(at: float) -> str:
    """The time of day, in UTC, of a moment in epoch seconds."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"


def moment_of(at: float) -> str:
    """Date and time, in UTC, of a moment in epoch seconds."""
    return f"{date_of(at)} {time_of(at)}"
