"""A table as Markdown: transitions, states, guards, facts, effects, readings. Pure text; nothing of the table is left
out.

Edges that differ in nothing but their source are one row with a list of sources. A column that no row fills is not
printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import product

from orderflow.diagrams.describe import describe
from orderflow.lifecycle.table import Edge, Table

_PLAIN = re.compile(r"[A-Za-z0-9 _.,:()+/'=-]+\Z")
_MARKUP = re.compile(r"[\\`*_{}\[\]<>|~&$]")
_SPECIAL = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def markdown(table: Table) -> str:
    """The body of a table file, ending with a newline; the first heading is of level 1."""
    parts = [
        f"# {prose(table.name)}: every transition",
        f"{len(table.states)} states, {len(table.events)} events, {len(table.edges)} edges. "
        "An event without an edge gets the default answer of its origin, and moves nothing.",
        _transitions(table),
        "## States",
        _states(table),
        *_guards(table),
        *_facts(table),
        *_effects(table),
        *_readings(table),
    ]
    return "\n\n".join(parts) + "\n"


def code(text: str) -> str:
    """A name as a code span, or escaped where a code span could not hold it."""
    return f"`{text}`" if _PLAIN.match(text) and text == text.strip() else prose(text)


def prose(text: str) -> str:
    """Text that neither Markdown nor HTML can read as markup, on one line."""
    plain = " ".join(text.split())
    return _MARKUP.sub(lambda found: _SPECIAL.get(found[0], "\\" + found[0]), plain)


def _transitions(table: Table) -> str:
    rows: dict[tuple[str, ...], list[str]] = {}
    for edge in table.edges:
        rows.setdefault(_row(edge), []).append(edge.source)
    head = (
        "From",
        "Event",
        "Origin",
        "Guard",
        "To",
        "Label",
        "Sets",
        "Effects",
        "Cause",
        "Evidence",
        "Expects",
        "Mark",
    )
    return _grid(head, [(_codes(sources), *row) for row, sources in rows.items()])


def _row(edge: Edge) -> tuple[str, ...]:
    return (
        code(edge.event),
        str(edge.origin),
        _maybe(edge.guard),
        code(edge.target),
        prose(edge.label),
        ", ".join(code(f"{fact} = {value}") for fact, value in edge.sets.items()),
        _codes(effect.name for effect in edge.effects),
        str(edge.cause),
        f"{edge.evidence.strength}: {prose(edge.evidence.page)}",
        _maybe(edge.expects),
        "recovery" if edge.recovery else "",
    )


def _states(table: Table) -> str:
    flags = ("initial", "final", "provisional", "proven", "assumed")
    rows = [
        (
            code(info.value),
            ", ".join(flag for flag in flags if getattr(info, flag)) or "open",
            ", ".join(f"{code(event)} after {code(duration)}" for event, duration in info.deadlines),
            _maybe(info.budget),
        )
        for info in table.states.values()
    ]
    return _grid(("State", "Kind", "Deadlines", "Stuck after"), rows)


def _guards(table: Table) -> list[str]:
    rows = [(code(guard["guard"]), _holds(guard["reads"], guard["holds"])) for guard in describe(table)["guards"]]
    return ["## Guards and expectations", _grid(("Guard", "Says yes when"), rows)] if rows else []


def _holds(reads: list[str], holds: list[list[bool | str]]) -> str:
    """The valuations, as ``a = x or y, b = z`` where they are exactly those combinations, else one by one."""
    values = [list(dict.fromkeys(column)) for column in zip(*holds, strict=True)]
    boxes = [values] if len(list(product(*values))) == len(holds) else [[[value] for value in row] for row in holds]
    return "; ".join(
        ", ".join(code(f"{fact} = {' or '.join(map(str, some))}") for fact, some in zip(reads, box, strict=True)) for box in boxes if box
    ) or ("always" if holds else "never")


def _facts(table: Table) -> list[str]:
    rows = [(code(name), _codes(str(value) for value in values)) for name, values in table.facts.items()]
    return ["## Facts", _grid(("Fact", "Values, the default first"), rows)] if rows else []


def _effects(table: Table) -> list[str]:
    rows = [(code(effect.name), "once" if effect.once else "repeatable", _maybe(effect.kind)) for effect in table.effects.values()]
    return ["## Effects", _grid(("Effect", "May be sent", "Replies named"), rows)] if rows else []


def _readings(table: Table) -> list[str]:
    rows = [
        (code(status), _codes(s for s in table.states if s in reading.consistent), _maybe(reading.proves or ""))
        for status, reading in table.readings.items()
    ]
    return ["## Readings", _grid(("Provider's status", "Consistent with", "Proves elsewhere"), rows)] if rows else []


def _maybe(text: str) -> str:
    return code(text) if text else ""


def _codes(texts: Iterable[str]) -> str:
    return ", ".join(code(text) for text in texts)


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    filled = [n for n in range(len(head)) if any(row[n] for row in rows)]
    lines = [[head[n] for n in filled], ["---"] * len(filled), *([row[n] for n in filled] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
