"""Suites from a declaration: what they contain, that they pass on the declaration, and which fault each finds."""

from __future__ import annotations

import pytest
from orderflow.testing.machine import READ, STRANGE, MachineSubject, TableSubject, machine, machines, words_of
from orderflow.testing.wmethod import w_method, wp_method

from orderflow.analysis.reachability import Pair, reachable
from orderflow.errors import UnknownName
from orderflow.providers.ccv.lifecycle import CcvLifecycle
from orderflow.testing.mutants import hidden_state
from orderflow.testing.suites import all_cells

CCV = CcvLifecycle.table
START = Pair(CCV.initial, tuple(CCV.defaults().values()))


def test_a_word_is_answered_with_the_decision_and_the_state_after_it():
    order = TableSubject(CCV, START)
    assert order.say("submit") == "applied, submit -> configuring [configure_order]"
    assert order.say("submit") == "refused, not legal here | configuring"
    assert order.say("order_configured") == "applied, order_configured -> submitting [submit_order]"
    assert order.say("order_submitted") == "applied, order_submitted -> Processing"
    assert order.say("read AwaitingPayment") == (
        "applied, seen_incomplete -> Incomplete (inferred), seen_awaiting_payment -> AwaitingPayment"
    )
    assert order.say("read AwaitingPayment") == "ignored, no news | AwaitingPayment"
    assert order.say(READ + STRANGE) == "refused, unknown status | AwaitingPayment"
    order.start()
    assert order.say("order_configured") == "refused, not legal here; legal: submit | drafted"
    with pytest.raises(UnknownName):
        order.say("teleport")


def test_an_observation_is_no_word_by_its_name_unless_a_table_is_asked():
    assert "seen_new" not in words_of(CCV)
    assert {"seen_new", "read New"} <= set(words_of(CCV, by_name=True))


def test_the_machine_is_the_smallest_that_answers_the_same(table):
    """It answers as the table does on every sequence of three words, and no two of its states are alike."""
    for pair, found in list(machines(table))[:3]:
        order = TableSubject(table, pair)
        for access in found.access:
            for word in found.words:
                words = (*access, word, found.words[len(word) % len(found.words)])
                order.start()
                assert found.answers(words) == tuple(order.say(said) for said in words)
        assert len({tuple(a for a, _ in row.values()) for row in found.moves}) <= len(found)
        assert set(found.stands) <= set(table.states)
    assert len(machine(CCV)) == len(CCV.states) + 1  # Failed with its window open, and closed


def test_all_cells_says_every_word_in_every_state_and_every_reachable_order_passes(table):
    suite = all_cells(table)
    said: set[tuple[str, str]] = set()
    edges: set[tuple[str, str, str]] = set()
    for case in suite.cases:
        order = TableSubject(table, case.pair)
        for word in case.words:
            said.add((order.state, word))
            before = order.state
            order.say(word)
            edges.add((before, word, order.state))
    assert said == {(state, word) for state in table.states for word in words_of(table, by_name=True)}
    by_name = {(edge.source, edge.event, edge.target) for out in reachable(table).values() for edge, _ in out}
    assert by_name <= edges
    assert suite.difference(lambda pair: TableSubject(table, pair)) is None


def test_a_case_that_fails_says_what_was_said_expected_and_answered(table):
    class Liar(TableSubject):
        def say(self, word: str) -> str:
            return super().say(word).replace("no news", "news")

    found = all_cells(table).difference(lambda pair: Liar(table, pair))
    assert found is not None
    assert found.expected.startswith("ignored, no news")
    assert str(found).endswith(f"answered {found.expected.replace('no news', 'news')!r}")


def test_conformance_suites_pass_on_the_declaration_and_say_what_they_kill():
    n, more = w_method(CCV), wp_method(CCV, extra_states=1)
    assert n.kills == "every different implementation with at most 19 states (n = 19), hidden ones included"
    assert "at most 20 states" in more.kills
    assert n.difference(lambda pair: TableSubject(CCV, pair)) is None
    assert more.difference(lambda pair: TableSubject(CCV, pair)) is None
    assert n.steps < more.steps


def test_wp_makes_the_promise_of_w_in_fewer_steps():
    assert wp_method(CCV).steps < w_method(CCV).steps


def test_a_hidden_state_is_missed_with_n_states_and_found_with_one_more():
    """Cancelled orders that a second late reply reopens: nothing shows after any one word."""
    found = machine(CCV)
    cancelled = found.stands.index("Canceled")
    hidden = next(h for h in hidden_state(found) if h.enters == (cancelled, "order_configured") and h.word == "order_configured")

    def make(_pair):
        return MachineSubject(hidden.moves)

    assert all_cells(CCV, by_name=False).difference(make) is None
    assert wp_method(CCV).difference(make) is None
    caught = wp_method(CCV, extra_states=1).difference(make)
    assert caught is not None
    assert caught.words == (*found.access[cancelled], "order_configured", "order_configured")
