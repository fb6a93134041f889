"""Logs of many orders, and files of them. No test here."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import quoteattr

from tests.kit.order_lives import RandomLives, list_statuses

from orderflow._analysis.audit import LogRow
from orderflow._lifecycle.table import Table

BEGIN = datetime(2026, 11, 21, 10, tzinfo=UTC)


def make_log(table: Table, cases: int, seed: int = 1, wrong: float = 0.0) -> list[LogRow]:
    """The observations of many orders, sorted by time. A share of them (``wrong``) is replaced by a random status."""
    rng = random.Random(seed)
    lives = RandomLives(table, rng)
    statuses = list_statuses(table)
    rows = []
    for case in range(cases):
        begin = rng.random() * cases
        for n, (status, _) in enumerate(lives.make(10)):
            logged = rng.choice(statuses) if rng.random() < wrong else status
            rows.append((0, f"order-{case}", logged, BEGIN + timedelta(seconds=begin + n)))
    return sorted(rows, key=lambda row: row[3])


def write_csv(path: Path, rows: Iterable[LogRow]) -> Path:
    """Write a CSV file, and return its path."""
    lines = [f"{at.isoformat()},{case},{status}\n" for _, case, status, at in rows]
    path.write_text("time,case,status\n" + "".join(lines))
    return path


def write_xes(path: Path, rows: Iterable[LogRow]) -> Path:
    """XES as process-mining tools write it: with attributes of attributes, and keys that the audit does not use."""
    cases: dict[str, list[LogRow]] = {}
    for row in rows:
        cases.setdefault(row[1], []).append(row)
    with path.open("w") as file:
        file.writelines(_format_xes(cases))
    return path


def _format_xes(cases: dict[str, list[LogRow]]) -> Iterator[str]:
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
