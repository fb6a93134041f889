"""Conformance suites by the W-method and Wp, which also find hidden states. The sequences are AALpy's (extra ``testing``)."""

from __future__ import annotations

from aalpy import MealyMachine
from aalpy.oracles.WMethodEqOracle import WMethodEqOracle
from aalpy.oracles.WpMethodEqOracle import WpMethodEqOracle
from aalpy.utils import generate_test_cases

from orderflow.analysis.reachability import Pair
from orderflow.lifecycle.table import Table
from orderflow.testing.machine import Machine, Words, machine
from orderflow.testing.suites import Case, Suite

ORACLES = {"W": WMethodEqOracle, "Wp": WpMethodEqOracle}


def w_method(table: Table, extra_states: int = 0, pair: Pair | None = None, words: Words = ()) -> Suite:
    """Chow's W-method on the machine of orders created as ``pair``.

    Kills every implementation that differs and has at most n + ``extra_states`` states; grows by the number of words for each.
    """
    return _conformance("W", table, extra_states, pair, words)


def wp_method(table: Table, extra_states: int = 0, pair: Pair | None = None, words: Words = ()) -> Suite:
    """As ``w_method``, by the partial W-method: the same promise in fewer steps."""
    return _conformance("Wp", table, extra_states, pair, words)


def _conformance(method: str, table: Table, extra_states: int, pair: Pair | None, words: Words) -> Suite:
    pair = pair or Pair(table.initial, tuple(table.defaults().values()))
    found = machine(table, pair, words)
    cases = tuple(Case(pair, sequence, found.answers(sequence)) for sequence in sequences(found, extra_states, method))
    states = len(found) + extra_states
    return Suite(
        f"{method} of {table.name}, n + {extra_states}",
        f"every different implementation with at most {states} states (n = {len(found)}), hidden ones included",
        cases,
    )


def sequences(found: Machine, extra_states: int, method: str = "Wp") -> list[Words]:
    """The sequences of W or Wp on a machine, without those that another one begins with."""
    oracle = ORACLES[method](list(found.words), None, len(found) + extra_states)
    every = {tuple(words) for words, _ in generate_test_cases(to_aalpy(found), oracle)}
    begun = {words[:n] for words in every for n in range(len(words))}
    return sorted(every - begun, key=lambda words: (len(words), words))


def to_aalpy(machine: Machine) -> MealyMachine:
    """AALpy's own form of a machine."""
    return MealyMachine.from_state_setup({n: dict(row) for n, row in enumerate(machine.moves)})
