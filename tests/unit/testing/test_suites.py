"""Suites from a declaration: what they contain, that they pass on the declaration, and which fault each finds."""

from __future__ import annotations

import pytest

from orderflow._analysis.reachability import reachable
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._testing.conformance import w_method, wp_method
from orderflow._testing.mealy import POLL, UNKNOWN_STATUS, MachineSubject, TableSubject, first_pair, inputs_of, machine_of, machines_of
from orderflow._testing.mutants import add_hidden_states
from orderflow._testing.suites import all_cells
from orderflow.errors import UnknownName

CCV = CcvLifecycle.table
START = first_pair(CCV)


def test_an_answer_is_the_decision_and_the_state_after_it():
    order = TableSubject(CCV, START)
    assert order.send("submit") == "applied, submit -> configuring [configure_order]"
    assert order.send("submit") == "refused, not legal here | configuring"
    assert order.send("order_configured") == "applied, order_configured -> submitting [submit_order]"
    assert order.send("order_submitted") == "applied, order_submitted -> Processing"
    assert order.send("poll AwaitingPayment") == (
        "applied, seen_incomplete -> Incomplete (inferred), seen_awaiting_payment -> AwaitingPayment"
    )
    assert order.send("poll AwaitingPayment") == "ignored, no news | AwaitingPayment"
    assert order.send(POLL + UNKNOWN_STATUS) == "refused, unknown status | AwaitingPayment"
    order.reset()
    assert order.send("order_configured") == "ignored, late | drafted"
    with pytest.raises(UnknownName):
        order.send("teleport")


def test_an_observation_event_is_an_input_only_where_a_table_is_tested():
    assert "seen_new" not in inputs_of(CCV)
    assert {"seen_new", "poll New"} <= set(inputs_of(CCV, observations=True))


def test_the_machine_is_the_smallest_that_answers_the_same(table):
    """It answers as the table does on every sequence of two inputs after each state, and no two of its states are alike."""
    for pair, machine in list(machines_of(table))[:3]:
        order = TableSubject(table, pair)
        for access in machine.access:
            for input_name in machine.inputs:
                inputs = (*access, input_name, machine.inputs[len(input_name) % len(machine.inputs)])
                order.reset()
                assert machine.answers(inputs) == tuple(map(order.send, inputs))
        assert len({tuple(answer for answer, _ in row.values()) for row in machine.rows}) <= len(machine)
        assert set(machine.labels) <= set(table.states)
    assert len(machine_of(CCV)) == len(CCV.states) + 1  # Failed with its window open, and closed


def test_all_cells_sends_every_input_in_every_state_and_takes_every_edge(table):
    suite = all_cells(table)
    cells: set[tuple[str, str]] = set()
    taken: set[tuple[str, str, str]] = set()
    for case in suite.cases:
        order = TableSubject(table, case.pair)
        for input_name in case.inputs:
            cells.add((order.state, input_name))
            before = order.state
            order.send(input_name)
            taken.add((before, input_name, order.state))
    assert cells == {(state, input_name) for state in table.states for input_name in inputs_of(table, observations=True)}
    edges = {(edge.source, edge.event, edge.target) for moves in reachable(table).values() for edge, _ in moves}
    assert edges <= taken
    assert suite.difference(lambda pair: TableSubject(table, pair)) is None


def test_a_difference_shows_the_inputs_the_expected_and_the_given_answer(table):
    class AnswersWrongly(TableSubject):
        def send(self, input_name: str) -> str:
            return super().send(input_name).replace("no news", "news")

    difference = all_cells(table).difference(lambda pair: AnswersWrongly(table, pair))
    assert difference is not None
    assert difference.expected.startswith("ignored, no news")
    assert str(difference).endswith(f"answered {difference.expected.replace('no news', 'news')!r}")


def test_conformance_suites_pass_on_the_declaration_and_state_what_they_kill():
    suite, larger = w_method(CCV), wp_method(CCV, extra_states=1)
    assert suite.kills == "every different implementation with at most 20 states (n = 20), hidden ones included"
    assert "at most 21 states" in larger.kills
    assert suite.difference(lambda pair: TableSubject(CCV, pair)) is None
    assert larger.difference(lambda pair: TableSubject(CCV, pair)) is None
    assert suite.steps < larger.steps


def test_wp_makes_the_promise_of_w_in_fewer_steps():
    assert wp_method(CCV).steps < w_method(CCV).steps


def test_a_hidden_state_is_missed_with_n_states_and_found_with_one_more():
    """Canceled orders that a second late reply opens again: nothing shows after any single input."""
    machine = machine_of(CCV)
    canceled, reply = machine.labels.index("Canceled"), "order_configured"
    hidden = next(hidden for hidden in add_hidden_states(machine) if (hidden.entered_by, hidden.input_name) == ((canceled, reply), reply))

    def make(_pair):
        return MachineSubject(hidden.rows)

    assert all_cells(CCV, observations=False).difference(make) is None
    assert wp_method(CCV).difference(make) is None
    difference = wp_method(CCV, extra_states=1).difference(make)
    assert difference is not None
    assert difference.inputs == (*machine.access[canceled], reply, reply)
