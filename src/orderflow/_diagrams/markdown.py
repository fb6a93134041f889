"""A table as Markdown: transitions, states, guards, facts, effects, readings. Pure text; nothing of the table is missing.

Edges that differ only in their source are one row with a list of sources. An empty column is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import product

from orderflow._diagrams.describe import describe
from orderflow._lifecycle.table import Edge, Table
from orderflow.model import Effect

_PLAIN = re.compile(r"[A-Za-z0-9 _.,:()+/'=-]+\Z")
_MARKUP = re.compile(r"[\\`*_{}\[\]<>|~&$]")
_SPECIAL = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def build_markdown(table: Table) -> str:
    """Return the body of a table file, with a newline at the end. Its first heading is of level 1."""
    parts = [
        f"# {escape_text(table.name)}: every transition",
        f"{len(table.states)} states, {len(table.events)} events, {len(table.edges)} edges. "
        "An event without an edge gets the default answer of its origin, and moves nothing.",
        _build_transitions(table),
        "## States",
        _build_states(table),
        *_build_guards(table),
        *_build_facts(table),
        *_build_effects(table),
        *_build_readings(table),
    ]
    return "\n\n".join(parts) + "\n"


def format_code(text: str) -> str:
    """Return a name as a code span, or as escaped text if a code span cannot hold it."""
    return f"`{text}`" if _PLAIN.match(text) and text == text.strip() else escape_text(text)


def escape_text(text: str) -> str:
    """Return a text on one line, without anything that Markdown or HTML reads as markup."""
    plain = " ".join(text.split())
    return _MARKUP.sub(lambda match: _SPECIAL.get(match[0], "\\" + match[0]), plain)


def _build_transitions(table: Table) -> str:
    rows: dict[tuple[str, ...], list[str]] = {}
    for edge in table.edges:
        rows.setdefault(_build_row(edge), []).append(edge.source)
    head = ("From", "Event", "Origin", "Guard", "To", "Label", "Sets", "Effects", "Cause", "Evidence", "Expects", "Mark")
    return _build_grid(head, [(_format_codes(sources), *row) for row, sources in rows.items()])


def _build_row(edge: Edge) -> tuple[str, ...]:
    return (
        format_code(edge.event),
        str(edge.origin),
        _format_optional(edge.guard),
        format_code(edge.target),
        escape_text(edge.label),
        ", ".join(format_code(f"{fact} = {value}") for fact, value in edge.sets.items()),
        _format_codes(effect.name for effect in edge.effects),
        str(edge.cause),
        f"{edge.evidence.strength}: {escape_text(edge.evidence.page)}",
        _format_optional(edge.expects),
        "recovery" if edge.recovery else "",
    )


def _build_states(table: Table) -> str:
    flags = ("initial", "final", "provisional", "proven", "assumed")
    rows = [
        (
            format_code(info.value),
            ", ".join(flag for flag in flags if getattr(info, flag)) or "open",
            ", ".join(f"{format_code(event)} after {format_code(duration)}" for event, duration in info.deadlines),
            _format_optional(info.budget),
        )
        for info in table.states.values()
    ]
    return _build_grid(("State", "Kind", "Deadlines", "Stuck after"), rows)


def _build_guards(table: Table) -> list[str]:
    rows = [(format_code(guard["guard"]), _describe_valuations(guard["reads"], guard["holds"])) for guard in describe(table)["guards"]]
    return ["## Guards and expectations", _build_grid(("Guard", "Holds when"), rows)] if rows else []


def _describe_valuations(reads: list[str], holds: list[list[bool | str]]) -> str:
    """The valuations as ``a = x or y, b = z``, if they are all combinations of these values; else one by one."""
    values = [list(dict.fromkeys(column)) for column in zip(*holds, strict=True)]
    combinations = [values] if len(list(product(*values))) == len(holds) else [[[value] for value in row] for row in holds]
    return "; ".join(
        ", ".join(format_code(f"{fact} = {' or '.join(map(str, options))}") for fact, options in zip(reads, combination, strict=True))
        for combination in combinations
        if combination
    ) or ("always" if holds else "never")


def _build_facts(table: Table) -> list[str]:
    rows = [(format_code(name), _format_codes(str(value) for value in values)) for name, values in table.facts.items()]
    return ["## Facts", _build_grid(("Fact", "Values, the default first"), rows)] if rows else []


def _build_effects(table: Table) -> list[str]:
    rows = [(format_code(effect.name), _describe_sending(effect), _format_optional(effect.kind)) for effect in table.effects.values()]
    return ["## Effects", _build_grid(("Effect", "May be sent", "Prefix of replies"), rows)] if rows else []


def _describe_sending(effect: Effect) -> str:
    if effect.once:
        return "once"
    return "repeatable, safe" if effect.safe else "repeatable"


def _build_readings(table: Table) -> list[str]:
    rows = [
        (format_code(status), _format_codes(s for s in table.states if s in reading.consistent), _format_optional(reading.proves or ""))
        for status, reading in table.readings.items()
    ]
    return ["## Readings", _build_grid(("Provider's status", "Consistent with", "Proves elsewhere"), rows)] if rows else []


def _format_optional(text: str) -> str:
    return format_code(text) if text else ""


def _format_codes(texts: Iterable[str]) -> str:
    return ", ".join(format_code(text) for text in texts)


def _build_grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    filled = [n for n in range(len(head)) if any(row[n] for row in rows)]
    lines = [[head[n] for n in filled], ["---"] * len(filled), *([row[n] for n in filled] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
