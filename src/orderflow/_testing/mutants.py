"""Mutants: a lifecycle with one fault each, to prove that a suite can fail. Pure; knows no provider.

``mutate_cells`` changes one cell of a table and nothing else. ``add_hidden_states`` adds a state to a machine, which looks like another
state until one input. ``Trial`` runs a suite against many mutants.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import TypeVar

from attrs import evolve, field, frozen

from orderflow._lifecycle.cells import union_of_reads
from orderflow._lifecycle.facts import Choice
from orderflow._lifecycle.table import Cell, Edge, Table
from orderflow._testing.mealy import Inputs, Machine, MachineSubject, Row, TableSubject
from orderflow._testing.suites import Case, Difference, Suite, first_difference
from orderflow.model import Cause, Evidence, Origin, Step, StepKind, Strength

T = TypeVar("T")


@frozen
class Mutant:
    """A table with one fault.

    Attributes:
        fault: the kind of fault, such as ``retargeted``.
        change: the edge that is changed, and how.
        state, event: the cell of the change.
        table: the changed table.
    """

    fault: str
    change: str
    state: str
    event: str
    table: Table = field(repr=False)

    def __str__(self) -> str:
        return f"{self.fault}, {self.change}"


@frozen
class HiddenState:
    """A machine with one state too many, which looks like another state until one input.

    Attributes:
        entered_by: the state and the input that lead to it instead of to the state that it looks like.
        input_name: the input that it answers differently.
        rows: the machine's rows.
    """

    entered_by: tuple[int, str]
    input_name: str
    rows: tuple[Row, ...] = field(repr=False)


# ── single cells ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def mutate_cells(table: Table) -> Iterator[Mutant]:
    """Every single-cell mutant: each edge retargeted to every other state, dropped, and added where there is none; each guard forgotten
    and negated; each fact not set; each effect not owed."""
    for state in table.states:
        for event in table.events:
            edges = table.cells[state][event].edges
            if not edges:
                for target in table.states:
                    added = _new_edge(table, state, event, target)
                    yield Mutant("added", f"{event}: {state} -> {target}", state, event, _with_cell(table, state, event, (added,)))
            for n, edge in enumerate(edges):
                for fault, suffix, changed in _edge_faults(table, edge):
                    guard = f" [{edge.guard}]" if edge.guard else ""
                    change = f"{event}: {state} -> {edge.target}{guard}{suffix}"
                    cell = (*edges[:n], *changed, *edges[n + 1 :])
                    yield Mutant(fault, change, state, event, _with_cell(table, state, event, cell))


def _edge_faults(table: Table, edge: Edge) -> Iterator[tuple[str, str, tuple[Edge, ...]]]:
    """The faults of one edge: kind, what to add to the description, and the edges instead."""
    yield "dropped", "", ()
    for target in table.states:
        if target != edge.target:
            yield "retargeted", f", to {target}", (evolve(edge, target=target, step=evolve(edge.step, target=target)),)
    if edge.reads:
        yield "guard forgotten", "", (evolve(edge, reads=(), guard="", holds=_ALWAYS),)
        yield "guard negated", "", (evolve(edge, holds=Choice(edge.reads, lambda given: not edge.holds.pick(given))),)
    if edge.sets:
        yield "fact not set", "", (evolve(edge, sets={}, step=evolve(edge.step, facts={})),)
    if edge.effects:
        yield "effect not owed", "", (evolve(edge, effects=(), step=evolve(edge.step, effects=())),)


_ALWAYS = Choice((), lambda _given: True)


def _new_edge(table: Table, state: str, event: str, target: str) -> Edge:
    origin = table.events[event]
    return Edge(
        event=event,
        origin=origin,
        source=state,
        target=target,
        guard="",
        reads=(),
        holds=_ALWAYS,
        sets={},
        effects=(),
        cause=Cause.US,
        evidence=Evidence(Strength.ASSUMED, "a mutant"),
        label="added",
        recovery=False,
        expects="",
        expected=_ALWAYS,
        step=Step(event, origin, state, target, StepKind.STEP),
    )


def _with_cell(table: Table, state: str, event: str, edges: tuple[Edge, ...]) -> Table:
    """The table with other edges in one cell. What is derived from the edges of the state follows; the answers of other states do not."""
    reads = union_of_reads(table.facts, list(edges))
    old = table.cells[state][event]
    cell = Cell(
        origin=old.origin,
        edges=edges,
        only=edges[0] if len(edges) == 1 and not reads else None,
        choice=Choice(reads, lambda given: next((edge for edge in edges if edge.holds.pick(given)), None)),
        default=old.default,
    )
    out = (*(edge for edge in table.out[state] if edge.event != event), *edges)
    requests = [edge for edge in out if edge.origin in (Origin.COMMAND, Origin.OPERATOR)]
    order = list(table.events)
    legal = Choice(
        union_of_reads(table.facts, requests),
        lambda given: tuple(sorted({edge.event for edge in requests if edge.holds.pick(given)}, key=order.index)),
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


def add_hidden_states(machine: Machine) -> Iterator[HiddenState]:
    """Every mutant with one state more: entered by each (state, input), and different in one input each.

    Where that input moves the order, the hidden state forgets to move. Where it does not, the hidden state opens a way back to the start.
    """
    hidden = len(machine.rows)
    for state, row in enumerate(machine.rows):
        for input_name, (answer, target) in row.items():
            entering_row = {**row, input_name: (answer, hidden)}
            original = machine.rows[target]
            for changed, cell in original.items():
                hidden_row = {**original, changed: _different_cell(machine, target, changed, cell)}
                rows = (*machine.rows[:state], entering_row, *machine.rows[state + 1 :], hidden_row)
                yield HiddenState((state, input_name), changed, rows)


def _different_cell(machine: Machine, state: int, changed: str, cell: tuple[str, int]) -> tuple[str, int]:
    """Another answer to ``changed``, and the state after it, for the copy of a state."""
    answer, onward = cell
    hidden = len(machine.rows)
    if onward == state:
        different, after = f"applied, {changed} -> {machine.labels[0]}", 0
    else:
        row = machine.rows[state]
        different = next((text for name, (text, to) in row.items() if to == state and name != changed), "nothing")
        after = hidden
    return (f"{answer}, but differently" if different == answer else different), after


# ── killing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Trial:
    """A suite against many mutants. Cases whose last input meets the fault are tried first, then all others: most mutants die at once."""

    def __init__(self, table: Table, suite: Suite) -> None:
        self._cases = suite.cases
        self._by_state: dict[str, list[Case]] = defaultdict(list)  # the state in which the last input is sent
        self._by_prefix: dict[Inputs, list[Case]] = defaultdict(list)
        for case in suite.cases:
            subject = TableSubject(table, case.pair)
            for input_name in case.inputs[:-1]:
                subject.send(input_name)
            self._by_state[subject.state].append(case)

    def kill(self, mutant: Mutant) -> Difference | None:
        """What a case of the suite shows of a mutant; None where it survives all cases."""
        near = sorted(self._by_state[mutant.state], key=lambda case: case.inputs[-1] != mutant.event)
        return first_difference(chain(near, self._cases), lambda pair: TableSubject(mutant.table, pair))

    def kill_hidden(self, machine: Machine, hidden: HiddenState) -> Difference | None:
        """The same for a hidden state. The suite must be one of ``machine``."""
        if not self._by_prefix:
            for case in self._cases:
                for n in range(1, len(case.inputs) + 1):
                    self._by_prefix[case.inputs[:n]].append(case)
        state, input_name = hidden.entered_by
        near = self._by_prefix.get((*machine.access[state], input_name, hidden.input_name), [])
        return first_difference(chain(near, self._cases), lambda _pair: MachineSubject(hidden.rows))
