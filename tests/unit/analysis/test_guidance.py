"""Texts that do not fit their lifecycle are problems with the line of the text."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pytest
from tests.kit.toy import ToyLifecycle

from orderflow._analysis.guidance import check_guidance
from orderflow._lifecycle.guidance import Guidance, fill_in
from orderflow.model import Order, Snapshot

TABLE = ToyLifecycle.table
ENDS = "placement_resolved or placement_given_up"
VALUES = {"number": lambda order: 7}
SOUND: Mapping[str, Guidance] = {
    state: Guidance("We are busy.", f"Look for {{number}} or {{key}}: {ENDS}." if state == "in_doubt" else "Wait.")
    for state in TABLE.states
}


def find(changed: Mapping[str, Guidance]) -> list[tuple[str, str, str, str]]:
    problems = check_guidance(TABLE, {**SOUND, **changed}, VALUES)
    return [(problem.rule, problem.where, problem.explanation, problem.remedy) for problem in problems]


def test_no_texts_and_whole_texts_are_sound() -> None:
    assert check_guidance(TABLE, {}, {}) == ()
    assert find({}) == []


def test_a_state_without_texts_is_a_problem_at_the_first_text() -> None:
    some = {state: texts for state, texts in SOUND.items() if state not in ("placed", "lapsed")}
    problems = check_guidance(TABLE, some, VALUES)
    assert [(problem.rule, problem.where) for problem in problems] == [("guidance-missing", "placed"), ("guidance-missing", "lapsed")]
    assert {(problem.file, problem.line) for problem in problems} == {(__file__, SOUND["drafted"].line.line)}


def test_a_problem_names_the_line_of_its_text() -> None:
    texts, line = Guidance("", "Wait."), sys._getframe().f_lineno
    (problem,) = check_guidance(TABLE, {**SOUND, "placed": texts}, VALUES)
    assert str(problem) == f"{__file__}:{line}: guidance-text: placed: the customer's text must be one line"


@pytest.mark.parametrize(
    ("state", "customer", "operator", "problem"),
    [
        ("plced", "Hello.", "Wait.", ("guidance-state", "toy has no such state", "did you mean 'placed'?")),
        ("placed", "Hello.", "  ", ("guidance-text", "the operator's text must be one line", "")),
        ("placed", "One.\nTwo.", "Wait.", ("guidance-text", "the customer's text must be one line", "")),
        ("placed", "Hello {key}.", "Wait.", ("guidance-placeholder", "{key} stands for nothing in the customer's text", "use one of none")),
        (
            "placed",
            "Hello.",
            "See {nummer}.",
            ("guidance-placeholder", "{nummer} stands for nothing in the operator's text", "did you mean 'number'?"),
        ),
        ("placed", "Hello.", "See {order.id}.", ("guidance-placeholder", "a single brace in the operator's text", "write {name}")),
        ("placed", "Hello.", "Send placement_resolved.", ("guidance-event", "placement_resolved is not legal here", "legal are: none")),
        (
            "in_doubt",
            "Hello.",
            "End it with placement_resolved or placement_give_up.",
            ("guidance-event", "placement_given_up can end this doubt, and the operator's text does not name it", ""),
        ),
    ],
)
def test_texts_that_do_not_fit_are_named(state: str, customer: str, operator: str, problem: tuple[str, str, str]) -> None:
    rule, explanation, remedy = problem
    assert find({state: Guidance(customer, operator)}) == [(rule, state, explanation, remedy)]


def test_a_text_of_the_order_is_no_placeholder_itself() -> None:
    order = Order("toy-k", "toy", "{provider_id} {order_id}", Snapshot("placed", {}, {}, 0), 0.0, 0.0)
    assert fill_in("{key} {key.upper} {}", order, {}) == "{provider_id} {order_id} {key.upper} {}"
