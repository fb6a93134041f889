"""What a log cannot order accuses nobody: observations of the same second may be taken in any order that an order can show."""

from __future__ import annotations

import itertools
import random
from datetime import timedelta

import pytest
from tests.kit.logs import BEGIN

from orderflow._analysis.audit import LEGAL, CaseChecker, CaseTracker, CheckedCase
from orderflow._lifecycle.table import Table

LIFE = ("Processing", "Incomplete", "New", "FulfillmentInProgress", "FulfillmentDone", "Completed")


def check(ccv: Table, *moments: tuple[str, ...]) -> CheckedCase:
    """The case of an order that is observed at these moments, a second apart; the statuses of one moment in the order of the log."""
    with CaseTracker(CaseChecker(ccv)) as cases:
        cases.add(
            (line, "order", status, BEGIN + timedelta(seconds=second))
            for second, statuses in enumerate(moments)
            for line, status in enumerate(statuses)
        )
        (case,) = cases.iter_cases()
        return case


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


def test_what_comes_after_a_tie_may_show_its_order(ccv: Table) -> None:
    """After New, Incomplete can only come first; taken the other way round, nothing would be wrong before the third."""
    assert check(ccv, ("Canceled", "New"), ("Canceled",)).verdict == LEGAL


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


def test_an_unknown_word_in_a_tie_is_still_unknown(ccv: Table) -> None:
    case = check(ccv, ("New",), ("Completed", "Nonsense", "FulfillmentDone"))
    assert [row.status for row in case.wrong_rows.values()] == ["Nonsense", "FulfillmentDone"]


def test_a_large_tie_is_taken_as_it_stands(ccv: Table) -> None:
    assert check(ccv, ("FulfillmentDone", "New") * 5).verdict != LEGAL
