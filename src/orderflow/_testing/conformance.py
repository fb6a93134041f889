"""Conformance suites by the W-method and Wp, which also find hidden states. AALpy finds the sequences (extra ``testing``)."""

from __future__ import annotations

from aalpy import MealyMachine
from aalpy.oracles.WMethodEqOracle import WMethodEqOracle
from aalpy.oracles.WpMethodEqOracle import WpMethodEqOracle
from aalpy.utils import generate_test_cases

from orderflow._analysis.reachability import Pair
from orderflow._lifecycle.table import Table
from orderflow._testing.mealy import Inputs, Machine, first_pair, machine_of
from orderflow._testing.suites import Case, Suite

ORACLES = {"W": WMethodEqOracle, "Wp": WpMethodEqOracle}


def w_method(table: Table, extra_states: int = 0, pair: Pair | None = None, inputs: Inputs = ()) -> Suite:
    """Chow's W-method on the machine of orders created as ``pair``.

    It kills every implementation that differs and has at most n + ``extra_states`` states. Each extra state multiplies the suite by the
    number of inputs.
    """
    return _conformance_suite("W", table, extra_states, pair, inputs)


def wp_method(table: Table, extra_states: int = 0, pair: Pair | None = None, inputs: Inputs = ()) -> Suite:
    """As ``w_method``, by the partial W-method: the same promise in fewer steps."""
    return _conformance_suite("Wp", table, extra_states, pair, inputs)


def _conformance_suite(method: str, table: Table, extra_states: int, pair: Pair | None, inputs: Inputs) -> Suite:
    pair = pair or first_pair(table)
    machine = machine_of(table, pair, inputs)
    cases = tuple(Case(pair, sequence, machine.answers(sequence)) for sequence in sequences(machine, extra_states, method))
    states = len(machine) + extra_states
    return Suite(
        f"{method} of {table.name}, n + {extra_states}",
        f"every different implementation with at most {states} states (n = {len(machine)}), hidden ones included",
        cases,
    )


def sequences(machine: Machine, extra_states: int, method: str = "Wp") -> list[Inputs]:
    """The sequences of W or Wp on a machine, without those with which another one begins."""
    oracle = ORACLES[method](list(machine.inputs), None, len(machine) + extra_states)
    every = {tuple(sequence) for sequence, _ in generate_test_cases(to_aalpy(machine), oracle)}
    prefixes = {sequence[:n] for sequence in every for n in range(len(sequence))}
    return sorted(every - prefixes, key=lambda sequence: (len(sequence), sequence))


def to_aalpy(machine: Machine) -> MealyMachine:
    """A machine in AALpy's form."""
    return MealyMachine.from_state_setup({n: dict(row) for n, row in enumerate(machine.rows)})
