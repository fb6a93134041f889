"""How much of a lifecycle a test run went through: states, edges, cells. Knows tables and decisions; no pytest.

A *cell* is a state and something said to an order in it: an event that may come in by name, or a status read. Every cell has an answer
(an edge or a default), so each may be worth a test. Only this process is seen: a service in a process of its own is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from attrs import define, field

from orderflow.lifecycle.table import Edge, Table
from orderflow.model import Applied, Decision, Event, Observation, Snapshot
from orderflow.testing.machine import READ, STRANGE, words_of

KINDS = ("states", "edges", "cells")


@define
class Covered:
    """What there is in a lifecycle, and what of it was seen; by name, so that it travels as JSON."""

    all: Mapping[str, frozenset[str]]
    seen: dict[str, set[str]] = field(factory=lambda: {kind: set() for kind in KINDS})

    def percent(self, kind: str) -> float:
        """0 to 100."""
        return 100.0 * len(self.seen[kind]) / len(self.all[kind])

    def missing(self, kind: str) -> list[str]:
        """What was not seen, sorted."""
        return sorted(self.all[kind] - self.seen[kind])


class Coverage:
    """What was seen of every lifecycle, by its name."""

    def __init__(self) -> None:
        self.lifecycles: dict[str, Covered] = {}

    def of(self, table: Table) -> Covered:
        """What was seen of one lifecycle."""
        if table.name not in self.lifecycles:
            cells = frozenset(_cell(state, word) for state in table.states for word in words_of(table))
            every = {"states": frozenset(table.states), "edges": frozenset(map(named, table.edges)), "cells": cells}
            self.lifecycles[table.name] = Covered(every)
        return self.lifecycles[table.name]

    def note(self, table: Table, snapshot: Snapshot, said: Event | Observation, decision: Decision) -> None:
        """A decision was made about something said to an order that stood at ``snapshot``."""
        covered = self.of(table)
        seen = covered.seen
        seen["states"].add(snapshot.state)
        word = READ + (said.status if said.status in table.readings else STRANGE) if isinstance(said, Observation) else said.name
        cell = _cell(snapshot.state, word)
        if cell in covered.all["cells"]:
            seen["cells"].add(cell)
        if not isinstance(decision, Applied):
            return
        seen["states"].add(decision.snapshot.state)
        for edge in walked(table, snapshot, decision):
            seen["edges"].add(named(edge))
            seen["states"].add(edge.target)

    def as_json(self) -> dict[str, Any]:
        """For another process's ``merge``."""
        return {
            name: {"all": {k: sorted(v) for k, v in covered.all.items()}, "seen": {k: sorted(v) for k, v in covered.seen.items()}}
            for name, covered in self.lifecycles.items()
        }

    def merge(self, told: Mapping[str, Any]) -> None:
        """Add what another process saw."""
        for name, one in told.items():
            mine = self.lifecycles.setdefault(name, Covered({kind: frozenset(one["all"][kind]) for kind in KINDS}))
            for kind in KINDS:
                mine.seen[kind].update(one["seen"][kind])

    def lines(self, most: int = 12) -> Iterator[str]:
        """The report: a line per lifecycle, and the states and edges that nobody went through, at most so many of each."""
        for name, covered in sorted(self.lifecycles.items()):
            shares = (f"{kind} {len(covered.seen[kind])}/{len(covered.all[kind])} ({covered.percent(kind):.0f} %)" for kind in KINDS)
            yield f"{name}: {', '.join(shares)}"
            for kind in ("states", "edges"):
                missing = covered.missing(kind)
                yield from (f"  {kind[:-1]} never seen: {one}" for one in missing[:most])
                if len(missing) > most:
                    yield f"  and {len(missing) - most} more {kind}"

    def below(self, required: Mapping[str, float]) -> list[str]:
        """What falls short of ``required`` percentages, as prose; a run that saw no lifecycle falls short of any."""
        if required and not self.lifecycles:
            return ["no order of any lifecycle was seen"]
        return [
            f"{name}: {kind} {covered.percent(kind):.1f} %, {wanted:g} % required"
            for name, covered in sorted(self.lifecycles.items())
            for kind, wanted in required.items()
            if covered.percent(kind) < wanted
        ]


def required(text: str) -> dict[str, float]:
    """``states=100,edges=90`` as percentages by kind.

    Raises ValueError for another kind, or what is no percentage.
    """
    wanted: dict[str, float] = {}
    for part in filter(None, text.replace(",", " ").split()):
        kind, _, percent = part.partition("=")
        if kind not in KINDS or not percent.replace(".", "", 1).isdigit() or float(percent) > 100:  # noqa: PLR2004 - percent
            raise ValueError(f"{part!r}: want {', '.join(f'{kind}=PERCENT' for kind in KINDS)}")
        wanted[kind] = float(percent)
    return wanted


def named(edge: Edge) -> str:
    """An edge by name; two that differ in their guard have two names."""
    guard = f" [{edge.guard}]" if edge.guard else ""
    return f"{edge.source} --{edge.event}--> {edge.target}{guard}"


def walked(table: Table, snapshot: Snapshot, decision: Applied) -> list[Edge]:
    """The edges behind a decision's steps; a jump has none (nobody knows which way it was), nor has an override."""
    facts, found = dict(snapshot.facts), list[Edge]()
    for step in decision.steps:
        edge = next(
            (edge for edge in table.out[step.source] if (edge.event, edge.target) == (step.event, step.target) and edge.holds.pick(facts)),
            None,
        )
        if edge is None:
            break
        found.append(edge)
        facts.update(edge.sets)
    return found


def _cell(state: str, word: str) -> str:
    return f"{state}: {word}"


@contextmanager
def recording(coverage: Coverage) -> Iterator[None]:
    """See every decision that an engine of this process makes."""
    accept: Any = import_module("orderflow.engine.inbox")  # only a run that measures pays for it
    # the engine knows of no listener: it is the two pure functions it calls that are watched, and put back
    decide: Callable[..., Decision] = accept.decide
    observe: Callable[..., Decision] = accept.observe

    def deciding(table: Table, snapshot: Snapshot, event: Event) -> Decision:
        decision = decide(table, snapshot, event)
        coverage.note(table, snapshot, event, decision)
        return decision

    def observing(table: Table, snapshot: Snapshot, observation: Observation) -> Decision:
        decision = observe(table, snapshot, observation)
        coverage.note(table, snapshot, observation, decision)
        return decision

    accept.decide, accept.observe = deciding, observing
    try:
        yield
    finally:
        accept.decide, accept.observe = decide, observe


__all__ = ["KINDS", "Coverage", "Covered", "named", "recording", "required", "walked"]
