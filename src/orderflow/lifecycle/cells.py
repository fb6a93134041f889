"""Cells: what each event means in each state, and the default answer where no edge is enabled. Pure.

compile.py alone uses it; nothing here knows the declaration, only its edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from orderflow.lifecycle.facts import Choice, Value, valuations
from orderflow.lifecycle.table import Cell, Edge, Reads, StateInfo
from orderflow.model import Decision, Ignored, Origin, Reason, Refused


class Ambiguous(Exception):
    """Two edges of one cell can both be enabled; compile.py gives it the lifecycle's name."""


def cells_of(
    edges: tuple[Edge, ...],
    events: Mapping[str, Origin],
    states: Mapping[str, StateInfo],
    facts: Mapping[str, tuple[Value, ...]],
) -> Mapping[str, Mapping[str, Cell]]:
    """The cell of every state and event.

    Raises:
        Ambiguous: two edges of one cell are enabled under one valuation of the facts.
    """
    reaches = _reaches(edges, states)
    cells: dict[str, Mapping[str, Cell]] = {}
    for state in states:
        row: dict[str, Cell] = {}
        for event, origin in events.items():
            mine = [edge for edge in edges if edge.source == state and edge.event == event]
            reads = union_of_reads(facts, mine)
            for given in valuations(reads):
                enabled = [edge for edge in mine if edge.holds.pick(given) and not edge.unchecked]
                if len(enabled) > 1:
                    targets = " and ".join(edge.target for edge in enabled)
                    raise Ambiguous(f"{event} in {state}: edges to {targets} are enabled at once for {given or 'any facts'}")
            sources = {edge.source for edge in edges if edge.event == event}
            late = any(state in reaches[source] for source in sources)
            row[event] = Cell(
                origin=origin,
                edges=tuple(mine),
                only=mine[0] if len(mine) == 1 and not reads and not mine[0].unchecked else None,
                choice=Choice(reads, lambda given, mine=mine: next((e for e in mine if e.holds.pick(given)), None)),  # type: ignore[misc]
                default=DEFAULTS[origin](state, mine, late),
            )
        cells[state] = MappingProxyType(row)
    return MappingProxyType(cells)


def _reaches(edges: tuple[Edge, ...], states: Mapping[str, StateInfo]) -> dict[str, set[str]]:
    """Every state's reach along edges of any guard, itself included."""
    reaches: dict[str, set[str]] = {}
    for state in states:
        seen, todo = {state}, [state]
        while todo:
            here = todo.pop()
            new = {edge.target for edge in edges if edge.source == here} - seen
            seen |= new
            todo += new
        reaches[state] = seen
    return reaches


def _refuse_by_guard(state: str, mine: list[Edge], _late: bool) -> Decision:
    if mine:
        return Refused(Reason.GUARD_FAILED, state, "; ".join(sorted({f"needs {edge.guard}" for edge in mine})))
    return Refused(Reason.NOT_LEGAL_HERE, state)


def _no_news(state: str, _mine: list[Edge], _late: bool) -> Decision:
    return Ignored(Reason.NO_NEWS, state)


def _late_or_early(state: str, _mine: list[Edge], late: bool) -> Decision:
    return Ignored(Reason.LATE if late else Reason.EARLY, state)


def _late_or_refuse(state: str, _mine: list[Edge], late: bool) -> Decision:
    return Ignored(Reason.LATE, state) if late else Refused(Reason.NOT_LEGAL_HERE, state)


DEFAULTS = {
    Origin.COMMAND: _refuse_by_guard,
    Origin.OPERATOR: _refuse_by_guard,
    Origin.OBSERVATION: _no_news,
    Origin.CLAIM: _late_or_early,
    Origin.REPLY: _late_or_refuse,
    Origin.CLOCK: _late_or_refuse,
}
"""The answer where no edge is enabled, by origin: every cell has one."""


def union_of_reads(facts: Mapping[str, tuple[Value, ...]], edges: list[Edge]) -> Reads:
    """The facts that any of the edges reads, in declared order."""
    read = {name for edge in edges for name, _ in edge.reads}
    return tuple((name, values) for name, values in facts.items() if name in read)
