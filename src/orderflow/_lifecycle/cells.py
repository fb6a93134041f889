"""Cells: what each event means in each state, and the default answer where no edge is enabled. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import assert_never

from orderflow._lifecycle.edges import Edge
from orderflow._lifecycle.facts import Choice, Facts, Reads, Value, valuations
from orderflow._lifecycle.table import Cell
from orderflow.model import Decision, Ignored, Origin, Reason, Refused


def build_cells(
    out: Mapping[str, tuple[Edge, ...]], events: Mapping[str, Origin], facts: Mapping[str, tuple[Value, ...]]
) -> Mapping[str, Mapping[str, Cell]]:
    """The cell of every state and event. ``out``: the edges that leave each state."""
    late = _states_behind(out, events)
    cells = {
        state: MappingProxyType(
            {event: _build_cell(state, event, origin, edges, facts, late=state in late[event]) for event, origin in events.items()}
        )
        for state, edges in out.items()
    }
    return MappingProxyType(cells)


def _build_cell(
    state: str, event: str, origin: Origin, out: tuple[Edge, ...], facts: Mapping[str, tuple[Value, ...]], *, late: bool
) -> Cell:
    edges = tuple(edge for edge in out if edge.event == event)
    reads = union_of_reads(facts, edges)
    return Cell(
        origin=origin,
        edges=edges,
        only=edges[0] if len(edges) == 1 and not reads and not edges[0].unchecked else None,
        choice=Choice(reads, lambda given: next((edge for edge in edges if edge.holds.pick(given)), None)),
        default=_default_answer(origin, state, edges, late=late),
    )


def _states_behind(out: Mapping[str, tuple[Edge, ...]], events: Mapping[str, Origin]) -> dict[str, set[str]]:
    """For each event the states in which it comes late: those that an order can be in after a state that it leaves, these included."""
    reached = {state: _reach(state, out) for state in out}
    sources: dict[str, set[str]] = {event: set() for event in events}
    for edges in out.values():
        for edge in edges:
            sources[edge.event].add(edge.source)
    return {event: set().union(*(reached[source] for source in states)) for event, states in sources.items()}


def _reach(start: str, out: Mapping[str, tuple[Edge, ...]]) -> set[str]:
    """The states that edges of any guard lead to from here, this one included."""
    reached, waiting = {start}, [start]
    while waiting:
        new = {edge.target for edge in out[waiting.pop()]} - reached
        reached |= new
        waiting += new
    return reached


def _default_answer(origin: Origin, state: str, edges: tuple[Edge, ...], *, late: bool) -> Decision:
    """The answer where no edge is enabled: every cell has one."""
    match origin:
        case Origin.COMMAND | Origin.OPERATOR:
            if edges:
                return Refused(Reason.GUARD_FAILED, state, "; ".join(sorted({f"needs {edge.guard}" for edge in edges})))
            return Refused(Reason.NOT_LEGAL_HERE, state)
        case Origin.OBSERVATION:
            return Ignored(Reason.NO_NEWS, state)
        case Origin.CLAIM:
            return Ignored(Reason.LATE if late else Reason.EARLY, state)
        case Origin.REPLY | Origin.CLOCK:
            return Ignored(Reason.LATE, state) if late else Refused(Reason.NOT_LEGAL_HERE, state)
        case _:
            assert_never(origin)


def find_overlap(facts: Mapping[str, tuple[Value, ...]], edges: Sequence[Edge]) -> tuple[Facts, tuple[Edge, ...]]:
    """The first combination of facts under which several of a cell's edges are enabled, and these edges; none: empty."""
    for given in valuations(union_of_reads(facts, edges)):
        enabled = tuple(edge for edge in edges if edge.holds.pick(given) and not edge.unchecked)
        if len(enabled) > 1:
            return given, enabled
    return {}, ()


def union_of_reads(facts: Mapping[str, tuple[Value, ...]], edges: Sequence[Edge]) -> Reads:
    """The facts that any of the edges reads, in declared order."""
    read = {name for edge in edges for name, _ in edge.reads}
    return tuple((name, values) for name, values in facts.items() if name in read)
