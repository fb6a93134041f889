"""What a log cannot order accuses nobody: observations of the same second may be taken in any order that an order can show."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta

import pytest
from tests.kit.logs import BEGIN

from orderflow._analysis.audit import LEGAL, CaseChecker, CaseTracker, CheckedCase
from orderflow._lifecycle.declare import Lifecycle, State, assumed, edge, reading
from orderflow._lifecycle.table import Table
from orderflow.model import Cause, Origin

US = {"cause": Cause.US, "evidence": assumed("a test"), "label": "moves"}


class Branching(Lifecycle, name="branching"):
    """Two ways: waiting and moving, which is the end, or moving, waiting and delivered."""

    begun = State(initial=True)
    waiting_first = State()
    moving_last = State(final=True)
    moving_first = State()
    waiting_last = State()
    delivered = State(final=True)

    go_wrong = edge(Origin.COMMAND, begun.to(waiting_first), **US)
    go_right = edge(Origin.COMMAND, begun.to(moving_first), **US)
    end = edge(Origin.COMMAND, waiting_first.to(moving_last), **US)
    stop = edge(Origin.COMMAND, moving_first.to(waiting_last), **US)
    deliver = edge(Origin.COMMAND, waiting_last.to(delivered), **US)

    readings = {
        "waiting": reading(consistent=[waiting_first, waiting_last]),
        "moving": reading(consistent=[moving_first, moving_last]),
        "delivered": reading(consistent=[delivered]),
    }


LIFE = ("Processing", "Incomplete", "New", "FulfillmentInProgress", "FulfillmentDone", "Completed")


def check(table: Table, *moments: tuple[str, ...]) -> CheckedCase:
    """The case of an order that is observed at these moments, a second apart; the statuses of one moment in the order of the log."""
    return check_in_order(table, *moments)[0]


def check_in_order(table: Table, *moments: tuple[str, ...]) -> tuple[CheckedCase, list[str]]:
    """The same, and the statuses in the order in which they were taken."""
    with CaseTracker(CaseChecker(table)) as cases:
        cases.add(
            (line, "order", status, BEGIN + timedelta(seconds=second))
            for second, statuses in enumerate(moments)
            for line, status in enumerate(statuses)
        )
        (case,) = cases.iter_cases()
        return case, [step.status for step in case.explain(cases.checker)]


@pytest.mark.parametrize("tied", list(itertools.permutations(LIFE[2:5])))
def test_each_order_of_a_tie_of_a_sound_life_is_legal(ccv: Table, tied: tuple[str, ...]) -> None:
    case = check(ccv, LIFE[:1], LIFE[1:2], tied, LIFE[5:])
    assert (case.verdict, case.wrong_rows) == (LEGAL, {})
    assert len(case.history) == len(LIFE)


def test_a_log_of_the_newest_first_that_was_sorted_by_whole_seconds_is_legal(ccv: Table) -> None:
    assert check(ccv, *((status,) for status in LIFE[:4]), ("Completed", "FulfillmentDone")).verdict == LEGAL


def test_a_whole_life_in_one_second_is_legal_in_any_order(ccv: Table) -> None:
    tied = list(LIFE)
    for seed in range(20):
        random.Random(seed).shuffle(tied)
        assert check(ccv, tuple(tied)).verdict == LEGAL


def test_what_comes_after_a_tie_may_show_its_order() -> None:
    """Waiting and moving may come in either order. But only an order that moved first, and then waits, can be delivered."""
    assert check(Branching.table, ("waiting",), ("moving",), ("delivered",)).verdict != LEGAL
    case, taken = check_in_order(Branching.table, ("waiting", "moving"), ("Nonsense",), ("delivered",))
    assert [(place, row.status) for place, row in case.wrong_rows.items()] == [(2, "Nonsense")]
    assert taken == ["moving", "waiting", "Nonsense", "delivered"]


@pytest.mark.parametrize(
    "moments",
    [
        (("Completed",), ("Processing", "New")),  # no order of the tie is possible
        (("Completed", "Canceled"),),  # both are ends
        (("New", "FulfillmentDone"), ("Processing",)),
        (("Completed",), ("Processing",), ("New", "New")),  # the fault is before the tie
    ],
)
def test_what_no_order_of_a_tie_explains_stays_wrong(ccv: Table, moments: tuple[tuple[str, ...], ...]) -> None:
    assert check(ccv, *moments).verdict != LEGAL


def test_a_fault_before_a_tie_stays_when_the_tie_is_arranged(ccv: Table) -> None:
    case, taken = check_in_order(ccv, ("Completed",), ("New",), ("Completed", "FulfillmentDone"))
    assert [(place, row.status) for place, row in case.wrong_rows.items()] == [(1, "New")]
    assert taken == ["Completed", "New", "FulfillmentDone", "Completed"]


def test_an_unknown_word_in_a_tie_is_still_unknown(ccv: Table) -> None:
    case = check(ccv, ("New",), ("Completed", "Nonsense", "FulfillmentDone"))
    assert [row.status for row in case.wrong_rows.values()] == ["Nonsense", "FulfillmentDone"]


def test_a_large_tie_is_taken_as_it_stands(ccv: Table) -> None:
    assert check(ccv, ("FulfillmentDone", "New") * 5).verdict != LEGAL
