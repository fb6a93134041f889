"""``orderflow._testing.stateful``: it takes every edge, runs its user's code, and finds what is wrong."""

from __future__ import annotations

from typing import ClassVar

import pytest
from attrs import evolve
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from orderflow._lifecycle.facts import Choice
from orderflow._lifecycle.table import Table
from orderflow._testing.state_machine import MachineOrder, stateful
from orderflow.errors import InvalidInput
from orderflow.model import Applied, Decision, Origin

# a hundred examples, as by default; the seed is fixed so that this suite does the same every time
HUNDRED = settings(
    max_examples=100, stateful_step_count=20, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
FEW = settings(HUNDRED, max_examples=20, phases=[Phase.generate])


def test_every_edge_and_state_is_covered(table: Table, say) -> None:
    machine = stateful(table)
    run_state_machine_as_test(machine, settings=HUNDRED)
    coverage = machine.coverage.of(table)
    say(f"{table.name}: " + ", ".join(f"{kind} {coverage.percent(kind):.1f} %" for kind in coverage.all))
    assert coverage.missing("edges") == []
    assert coverage.missing("states") == []


def test_it_runs_its_users_code_beside_the_lifecycle(table: Table) -> None:
    class Bookkeeping(stateful(table)):  # type: ignore[misc]
        most: ClassVar[int] = 0
        decisions: ClassVar[set[type]] = set()

        def __init__(self) -> None:
            super().__init__()
            self.states: dict[int, str] = {}

        def on_created(self, order: MachineOrder) -> None:
            self.states[order.number] = order.state
            type(self).most = max(self.most, len(self.states))

        def on_decided(self, order: MachineOrder, input_name: str, decision: Decision) -> None:
            self.decisions.add(type(decision))
            if isinstance(decision, Applied):
                assert self.states[order.number] == decision.steps[0].source
                self.states[order.number] = decision.snapshot.state
            assert self.states[order.number] == order.state

    run_state_machine_as_test(Bookkeeping, settings=FEW)
    assert Bookkeeping.most > 5, "several orders at a time"
    assert len(Bookkeeping.decisions) == 3, "applied, ignored and refused"


def test_a_users_code_that_is_wrong_somewhere_is_found(table: Table) -> None:
    final = next(state for state, info in table.states.items() if info.final)

    class NeverEnds(stateful(table)):  # type: ignore[misc]
        def on_decided(self, order: MachineOrder, input_name: str, decision: Decision) -> None:
            assert not (isinstance(decision, Applied) and order.state == final), "ended"

    with pytest.raises(AssertionError, match="ended"):
        run_state_machine_as_test(NeverEnds, settings=FEW)


def test_a_table_in_which_a_clock_proves_a_state_is_found(table: Table) -> None:
    proven = next(edge for edge in table.edges if table.states[edge.target].proven and edge.source != edge.target)
    broken = evolve(table, states={**table.states, proven.source: evolve(table.states[proven.source], final=True)})
    with pytest.raises(AssertionError, match="left the final state"):
        run_state_machine_as_test(stateful(broken), settings=FEW)

    by_clock = evolve(proven.step, origin=Origin.CLOCK)
    edges = tuple(evolve(edge, step=by_clock) if edge == proven else edge for edge in table.edges)
    out = {state: tuple(edge for edge in edges if edge.source == state) for state in table.states}
    with pytest.raises(AssertionError, match="clock proved"):
        run_state_machine_as_test(stateful(evolve(table, edges=edges, out=out)), settings=settings(HUNDRED, phases=[Phase.generate]))


def test_a_table_whose_refusals_call_legal_what_is_not_is_found(table: Table) -> None:
    command = next(name for name, origin in table.events.items() if origin is Origin.COMMAND)
    wrong = evolve(table, legal={state: Choice((), lambda _facts: (command,)) for state in table.states})
    with pytest.raises(AssertionError, match=f"{command} was called legal in"):
        run_state_machine_as_test(stateful(wrong), settings=FEW)


def test_a_class_without_a_table_is_refused() -> None:
    with pytest.raises(InvalidInput, match="is not a lifecycle and has none"):
        stateful(int)
