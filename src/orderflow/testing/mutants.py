"""Mutants: a lifecycle with one fault each, to prove that a suite can fail. Pure; knows no provider.

``single_cell`` changes one cell of a table and nothing else; ``hidden_state`` adds a state that looks like another one, until one word.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import TypeVar

from attrs import evolve, field, frozen

from orderflow.lifecycle.cells import union_of_reads
from orderflow.lifecycle.facts import Choice
from orderflow.lifecycle.table import Cell, Edge, Table
from orderflow.model import Cause, Evidence, Origin, Step, StepKind, Strength
from orderflow.testing.machine import Machine, MachineSubject, Moves, TableSubject, Words
from orderflow.testing.suites import Case, Difference, Suite, difference

T = TypeVar("T")


@frozen
class Mutant:
    """A table with one fault: ``fault`` names its class, ``what`` the change in the cell of ``state`` and ``event``."""

    fault: str
    what: str
    state: str
    event: str
    table: Table = field(repr=False)


@frozen
class Hidden:
    """A machine with one state too many. ``enters`` (state, word) leads to it instead of to the state that it looks like, and it
    answers ``word`` otherwise."""

    enters: tuple[int, str]
    word: str
    moves: tuple[Moves, ...] = field(repr=False)


# ── single cells ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def single_cell(table: Table) -> Iterator[Mutant]:
    """Every cell's edges retargeted to every other state, dropped, and added where there are none; every guard forgotten and turned
    around; every fact not set; every effect not owed."""
    for state in table.states:
        for event in table.events:
            edges = table.cells[state][event].edges
            if not edges:
                for target in table.states:
                    added = _added(table, state, event, target)
                    yield Mutant("added", f"{event}: {state} -> {target}", state, event, _with_cell(table, state, event, (added,)))
            for n, edge in enumerate(edges):
                for fault, to, changed in _faults(table, edge):
                    what = f"{event}: {state} -> {edge.target}{f' [{edge.guard}]' if edge.guard else ''}{to}"
                    others = (*edges[:n], *changed, *edges[n + 1 :])
                    yield Mutant(fault, what, state, event, _with_cell(table, state, event, others))


def _faults(table: Table, edge: Edge) -> Iterator[tuple[str, str, tuple[Edge, ...]]]:
    yield "dropped", "", ()
    for target in table.states:
        if target != edge.target:
            yield "retargeted", f", to {target}", (evolve(edge, target=target, step=evolve(edge.step, target=target)),)
    if edge.reads:
        yield "guard forgotten", "", (evolve(edge, reads=(), guard="", holds=Choice((), lambda _given: True)),)
        yield "guard turned around", "", (evolve(edge, holds=_negated(edge)),)
    if edge.sets:
        yield "fact not set", "", (evolve(edge, sets={}),)
    if edge.effects:
        yield "effect not owed", "", (evolve(edge, effects=(), step=evolve(edge.step, effects=())),)


def _negated(edge: Edge) -> Choice[bool]:
    return Choice(edge.reads, lambda given: not edge.holds.pick(given))


def _added(table: Table, state: str, event: str, target: str) -> Edge:
    origin = table.events[event]
    return Edge(
        event=event,
        origin=origin,
        source=state,
        target=target,
        guard="",
        reads=(),
        holds=Choice((), lambda _given: True),
        sets={},
        effects=(),
        cause=Cause.US,
        evidence=Evidence(Strength.ASSUMED, "a mutant"),
        label="added",
        recovery=False,
        expects="",
        expected=Choice((), lambda _given: True),
        step=Step(event, origin, state, target, StepKind.STEP),
    )


def _with_cell(table: Table, state: str, event: str, edges: tuple[Edge, ...]) -> Table:
    """The table with other edges in one cell; what is derived from the edges of the state follows, other states' answers do not."""
    reads = union_of_reads(table.facts, list(edges))
    old = table.cells[state][event]
    cell = Cell(
        origin=old.origin,
        edges=edges,
        only=edges[0] if len(edges) == 1 and not reads else None,
        choice=Choice(reads, lambda given: next((edge for edge in edges if edge.holds.pick(given)), None)),
        default=old.default,
    )
    rest = [edge for edge in table.out[state] if edge.event != event]
    out = (*rest, *edges)
    asked = [edge for edge in out if edge.origin in (Origin.COMMAND, Origin.OPERATOR)]
    order = list(table.events)
    legal = Choice(
        union_of_reads(table.facts, asked),
        lambda given: tuple(sorted({edge.event for edge in asked if edge.holds.pick(given)}, key=order.index)),
    )
    return evolve(
        table,
        edges=(*(edge for edge in table.edges if (edge.source, edge.event) != (state, event)), *edges),
        cells=_with(table.cells, state, _with(table.cells[state], event, cell)),
        out=_with(table.out, state, out),
        legal=_with(table.legal, state, legal),
    )


def _with(mapping: Mapping[str, T], key: str, value: T) -> Mapping[str, T]:
    return MappingProxyType({**mapping, key: value})


# ── hidden states ────────────────────────────────────────────────────────────────────────────────────────────────────────


def hidden_state(machine: Machine) -> Iterator[Hidden]:
    """One state more, every way: entered by each (state, word) instead of what it looks like, and different in one word each.

    Where that word moves the order, the copy forgets it and stays; where it does not, the copy opens a way back to the start.
    """
    extra = len(machine.moves)
    for state, row in enumerate(machine.moves):
        for word, (said, target) in row.items():
            entry = {**row, word: (said, extra)}
            copied = machine.moves[target]
            for other, (answered, onward) in copied.items():
                silent = next((a for w, (a, to) in copied.items() if to == target and w != other), "nothing")
                wrong = (silent, extra) if onward != target else (f"applied, {other} -> {machine.stands[0]}", 0)
                if wrong[0] == answered:
                    wrong = (f"{answered}, but not so", wrong[1])
                copy = {**copied, other: wrong}
                yield Hidden((state, word), other, (*machine.moves[:state], entry, *machine.moves[state + 1 :], copy))


# ── killing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Trial:
    """A suite against many mutants. Cases that say a word where a mutant is wrong come first, then all others: most die at once."""

    def __init__(self, table: Table, suite: Suite) -> None:
        self._cases = suite.cases
        self._there: dict[str, list[Case]] = defaultdict(list)  # by the state in which the last word is said
        self._begun: dict[Words, list[Case]] = defaultdict(list)
        for case in suite.cases:
            subject = TableSubject(table, case.pair)
            for word in case.words[:-1]:
                subject.say(word)
            self._there[subject.state].append(case)

    def of(self, mutant: Mutant) -> Difference | None:
        """The case that kills a mutant, None where it survives them all."""
        near = sorted(self._there[mutant.state], key=lambda case: case.words[-1] != mutant.event)
        return difference(chain(near, self._cases), lambda pair: TableSubject(mutant.table, pair))

    def of_hidden(self, machine: Machine, hidden: Hidden) -> Difference | None:
        """The same for a hidden state; the suite must be one of ``machine``."""
        if not self._begun:
            for case in self._cases:
                for n in range(1, len(case.words) + 1):
                    self._begun[case.words[:n]].append(case)
        state, word = hidden.enters
        near = self._begun.get((*machine.access[state], word, hidden.word), [])
        return difference(chain(near, self._cases), lambda _pair: MachineSubject(hidden.moves))
