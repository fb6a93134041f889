"""Suites from a declaration: sequences of inputs with the answers that the lifecycle gives, and which faults each suite kills.

A suite runs against any ``Subject``: the table itself, a mutant of it, an engine, a provider's sandbox. ``all_cells`` needs nothing more.
The suites that also find hidden states are in conformance.py and need the extra ``testing``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import field, frozen

from orderflow._analysis.reachability import Pair
from orderflow._lifecycle.table import Table
from orderflow._testing.mealy import Inputs, Subject, inputs_of, machines_of

MakeSubject = Callable[[Pair], Subject]
"""Makes the subject whose orders are created as a pair."""


@frozen
class Case:
    """Create an order as ``pair``, send the ``inputs`` in turn, expect the ``answers``."""

    pair: Pair
    inputs: Inputs
    answers: tuple[str, ...]


@frozen
class Difference:
    """Where a subject answered differently: the inputs up to there, and the last answers."""

    pair: Pair
    inputs: Inputs
    expected: str
    answered: str

    def __str__(self) -> str:
        return f"{', '.join(self.inputs)}: expected {self.expected!r}, answered {self.answered!r}"


@frozen
class Suite:
    """Cases, and in words which faults they kill."""

    name: str
    kills: str
    cases: tuple[Case, ...] = field(repr=False)

    @property
    def steps(self) -> int:
        """How many inputs the cases have in all."""
        return sum(len(case.inputs) for case in self.cases)

    def difference(self, make: MakeSubject) -> Difference | None:
        """Run every case until one fails; None if none does."""
        return first_difference(self.cases, make)


def first_difference(cases: Iterable[Case], make: MakeSubject) -> Difference | None:
    """The first difference; None where every case is answered as expected."""
    subjects: dict[Pair, Subject] = {}
    for case in cases:
        if case.pair not in subjects:
            subjects[case.pair] = make(case.pair)
        subject = subjects[case.pair]
        subject.reset()
        for n, (input_name, expected) in enumerate(zip(case.inputs, case.answers, strict=True), 1):
            answered = subject.send(input_name)
            if answered != expected:
                return Difference(case.pair, case.inputs[:n], expected, answered)
    return None


def all_cells(table: Table, *, observations: bool = True) -> Suite:
    """Every input in every state of every machine, each state reached on a shortest way; cells that answer alike are tried once.

    ``observations`` sends observation events by name too, which only a table accepts; leave it out for an engine.
    """
    cases: dict[tuple[object, ...], Case] = {}
    covered: set[object] = set()
    for pair, machine in machines_of(table, inputs_of(table, observations=observations)):
        for state, row in enumerate(machine.rows):
            answers = tuple(answer for answer, _ in row.values())
            for input_name in machine.inputs:
                cell = (machine.labels[state], answers, input_name)
                if cell not in covered:
                    covered.add(cell)
                    inputs = (*machine.access[state], input_name)
                    cases[(str(pair.values), *inputs)] = Case(pair, inputs, machine.answers(inputs))
    kills = "every fault that shows in the answer, or the state after it, to one input in one state"
    return Suite(f"all cells of {table.name}", kills, tuple(cases.values()))
