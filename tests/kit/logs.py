"""Logs of many orders, and files of them. No test here."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import quoteattr

from tests.kit.lives import Lives

from orderflow.analysis.audit import Seen
from orderflow.lifecycle.table import Table

BEGIN = datetime(2026, 11, 21, 10, tzinfo=UTC)


def log_of(table: Table, cases: int, seed: int = 1, wrong: float = 0.0) -> list[Seen]:
    """The observations of many orders, in the order of time; a share of them replaced by another status."""
    rng = random.Random(seed)
    lives = Lives(table, rng)
    words = list(table.readings or table.states)
    seen = []
    for case in range(cases):
        begin = rng.random() * cases
        for n, (status, _) in enumerate(lives.life(10)):
            shown = rng.choice(words) if rng.random() < wrong else status
            seen.append((0, f"order-{case}", shown, BEGIN + timedelta(seconds=begin + n)))
    return sorted(seen, key=lambda row: row[3])


def write_csv(path: Path, rows: Iterable[Seen]) -> Path:
    lines = [f"{at.isoformat()},{case},{status}\n" for _, case, status, at in rows]
    path.write_text("time,case,status\n" + "".join(lines))
    return path


def write_xes(path: Path, rows: Iterable[Seen]) -> Path:
    """XES as process-mining tools write it: with attributes of attributes, and keys that the audit has no use for."""
    cases: dict[str, list[Seen]] = {}
    for row in rows:
        cases.setdefault(row[1], []).append(row)
    with path.open("w") as file:
        file.writelines(_xes(cases))
    return path


def _xes(cases: dict[str, list[Seen]]) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<log xes.version="1.0" xmlns="http://www.xes-standard.org/">\n'
    yield '<extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>\n'
    yield '<global scope="event"><string key="concept:name" value="__INVALID__"/></global>\n'
    for case, rows in cases.items():
        yield f'<trace>\n<string key="concept:name" value={quoteattr(case)}><string key="concept:name" value="nested"/></string>\n'
        for _, _, status, at in rows:
            yield f'<event><string key="org:resource" value="R"/><string key="concept:name" value={quoteattr(status)}/>'
            yield f'<date key="time:timestamp" value="{at.isoformat()}"/></event>\n'
        yield "</trace>\n"
    yield "</log>\n"
