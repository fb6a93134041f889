"""How the demo is printed: a table per journal, a summary, or one JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from orderflow.cli import show
from orderflow.cli.demo.world import StateEntered
from orderflow.model import JournalRow

_HEAD = ("version", "at", "event", "origin", "source", "target", "kind", "note")


def journal_rows(journal: Sequence[JournalRow]) -> list[tuple[str, ...]]:
    """A journal as cells; times in UTC."""
    return [(str(row.version), clock(row.at), row.event, row.origin.value, row.source, row.target, row.kind, row.note) for row in journal]


def journal_json(journal: Sequence[JournalRow]) -> list[dict[str, object]]:
    """A journal as JSON; ``at`` in epoch seconds."""
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
        }
        for row in journal
    ]


def clock(at: float) -> str:
    """The time of day with milliseconds, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]


def tables(ended: Sequence[StateEntered]) -> None:
    """Every scenario's journal."""
    for one in ended:
        mark = "ok" if one.ok else f"FAILED: expected {one.scenario.expected}. {one.why}"
        show.table(_HEAD, journal_rows(one.journal), f"{one.scenario.provider}: {one.scenario.name} → {one.reached}  ({mark})")
        for row in one.refusals:
            detail = f": {row.detail}" if row.detail else ""
            show.line(f"  {row.reason.value} ({row.count}x) {row.event} in {row.state}{detail}")
        show.line("")


def summary(ended: Sequence[StateEntered], seconds: float) -> None:
    """One line: how many, how long."""
    good = sum(one.ok for one in ended)
    show.line(f"{good} of {len(ended)} scenarios ended where they must, in {seconds:.1f} s")
    for one in ended:
        if not one.ok:
            where = f"{one.scenario.provider}: {one.scenario.name}"
            show.line(f"  not {where}: expected {one.scenario.expected}, reached {one.reached}. {one.why}")


def document(ended: Sequence[StateEntered]) -> None:
    """One JSON list."""
    show.document(
        [
            {
                "scenario": one.scenario.name,
                "provider": one.scenario.provider,
                "expected": one.scenario.expected,
                "reached": one.reached,
                "ok": one.ok,
                "why": one.why,
                "journal": journal_json(one.journal),
            }
            for one in ended
        ]
    )
