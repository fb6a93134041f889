"""How much of a lifecycle a test run went through: states, edges, cells. Knows tables and decisions; not pytest.

A *cell* is a state and an input to an order in it: an event that may be sent by name, or a polled status. Every cell has an answer (an edge
or a default), so each may be worth a test. Only engines of this process are recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from attrs import define, field

from orderflow._lifecycle.table import Edge, Table
from orderflow._telemetry.decisions import watch_decisions
from orderflow._testing.mealy import POLL, UNKNOWN_STATUS, inputs_of
from orderflow.model import Applied, Decision, Event, Observation, Snapshot

KINDS = ("states", "edges", "cells")
_MAX_LISTED = 12


@define
class LifecycleCoverage:
    """What a lifecycle has, and what of it was recorded; by name, so that it can be sent as JSON."""

    all: Mapping[str, frozenset[str]]
    recorded: dict[str, set[str]] = field(factory=lambda: {kind: set() for kind in KINDS})

    def percent(self, kind: str) -> float:
        """0 to 100."""
        return 100.0 * len(self.recorded[kind]) / len(self.all[kind])

    def missing(self, kind: str) -> list[str]:
        """What was not recorded, sorted."""
        return sorted(self.all[kind] - self.recorded[kind])


class Coverage:
    """The coverage of every lifecycle, by its name."""

    def __init__(self) -> None:
        self.lifecycles: dict[str, LifecycleCoverage] = {}

    def of(self, table: Table) -> LifecycleCoverage:
        """The coverage of one lifecycle."""
        if table.name not in self.lifecycles:
            cells = frozenset(_cell(state, input_name) for state in table.states for input_name in inputs_of(table))
            everything = {"states": frozenset(table.states), "edges": frozenset(map(edge_name, table.edges)), "cells": cells}
            self.lifecycles[table.name] = LifecycleCoverage(everything)
        return self.lifecycles[table.name]

    def record(self, table: Table, snapshot: Snapshot, subject: Event | Observation, decision: Decision) -> None:
        """Record a decision about an event or a polled status, for an order at ``snapshot``."""
        coverage = self.of(table)
        recorded = coverage.recorded
        recorded["states"].add(snapshot.state)
        cell = _cell(snapshot.state, _input_name(table, subject))
        if cell in coverage.all["cells"]:
            recorded["cells"].add(cell)
        if not isinstance(decision, Applied):
            return
        recorded["states"].add(decision.snapshot.state)
        for edge in edges_taken(table, snapshot, decision):
            recorded["edges"].add(edge_name(edge))
            recorded["states"].add(edge.target)

    def as_json(self) -> dict[str, Any]:
        """For ``merge`` in another process."""
        return {
            name: {
                "all": {kind: sorted(names) for kind, names in coverage.all.items()},
                "recorded": {kind: sorted(names) for kind, names in coverage.recorded.items()},
            }
            for name, coverage in self.lifecycles.items()
        }

    def merge(self, document: Mapping[str, Any]) -> None:
        """Add what another process recorded."""
        for name, lifecycle in document.items():
            everything = {kind: frozenset(lifecycle["all"][kind]) for kind in KINDS}
            coverage = self.lifecycles.setdefault(name, LifecycleCoverage(everything))
            for kind in KINDS:
                coverage.recorded[kind].update(lifecycle["recorded"][kind])

    def report(self) -> Iterator[str]:
        """A line for each lifecycle, and the states and edges that no order went through, at most twelve of each."""
        for name, coverage in sorted(self.lifecycles.items()):
            counts = (f"{kind} {len(coverage.recorded[kind])}/{len(coverage.all[kind])} ({coverage.percent(kind):.0f} %)" for kind in KINDS)
            yield f"{name}: {', '.join(counts)}"
            for kind in ("states", "edges"):
                missing = coverage.missing(kind)
                yield from (f"  {kind[:-1]} not covered: {missed}" for missed in missing[:_MAX_LISTED])
                if len(missing) > _MAX_LISTED:
                    yield f"  and {len(missing) - _MAX_LISTED} more {kind}"

    def shortfalls(self, requirements: Mapping[str, float]) -> list[str]:
        """Where coverage is below the required percentages, as text. A run that recorded no lifecycle is below any."""
        if requirements and not self.lifecycles:
            return ["no order of any lifecycle was recorded"]
        return [
            f"{name}: {kind} {coverage.percent(kind):.1f} %, {required:g} % required"
            for name, coverage in sorted(self.lifecycles.items())
            for kind, required in requirements.items()
            if coverage.percent(kind) < required
        ]


def parse_requirements(text: str) -> dict[str, float]:
    """``states=100,edges=90`` as percentages by kind.

    Raises:
        ValueError: another kind, or not a percentage.
    """
    requirements: dict[str, float] = {}
    for part in filter(None, text.replace(",", " ").split()):
        kind, _, percent = part.partition("=")
        if kind not in KINDS or not percent.replace(".", "", 1).isdigit() or float(percent) > 100:  # noqa: PLR2004 - percent
            raise ValueError(f"{part!r}: want {', '.join(f'{kind}=PERCENT' for kind in KINDS)}")
        requirements[kind] = float(percent)
    return requirements


def edge_name(edge: Edge) -> str:
    """An edge's name. Two edges that differ in their guard have two names."""
    guard = f" [{edge.guard}]" if edge.guard else ""
    return f"{edge.source} --{edge.event}--> {edge.target}{guard}"


def edges_taken(table: Table, snapshot: Snapshot, decision: Applied) -> list[Edge]:
    """The edges of a decision's steps. A jump has none (its way is not known), nor has an override."""
    facts, edges = dict(snapshot.facts), list[Edge]()
    for step in decision.steps:
        taken = (
            edge for edge in table.out[step.source] if (edge.event, edge.target) == (step.event, step.target) and edge.holds.pick(facts)
        )
        edge = next(taken, None)
        if edge is None:
            break
        edges.append(edge)
        facts.update(edge.sets)
    return edges


def _input_name(table: Table, subject: Event | Observation) -> str:
    if isinstance(subject, Event):
        return subject.name
    return POLL + (subject.status if subject.status in table.readings else UNKNOWN_STATUS)


def _cell(state: str, input_name: str) -> str:
    return f"{state}: {input_name}"


@contextmanager
def record(coverage: Coverage) -> Iterator[None]:
    """Record every decision that an engine of this process makes within the block."""
    with watch_decisions(coverage.record):
        yield


__all__ = ["KINDS", "Coverage", "LifecycleCoverage", "edge_name", "edges_taken", "parse_requirements", "record"]
