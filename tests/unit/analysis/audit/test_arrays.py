"""Arrays of ints give the same results as the checker, with and without numpy."""

from __future__ import annotations

import sys
from itertools import groupby

import pytest
from tests.kit.logs import make_log

from orderflow._analysis.audit import WRONG, CaseChecker, Classification, check_arrays
from orderflow._analysis.audit.arrays import build_pair_table
from orderflow._lifecycle.table import Table
from orderflow.errors import InvalidInput


def make_arrays(table: Table, cases: int, wrong: float) -> tuple[list[int], list[int], list[Classification]]:
    """Case numbers, status codes (some unknown), and the classification that the checker gives to each."""
    checker = CaseChecker(table)
    log = sorted(make_log(table, cases, wrong=wrong), key=lambda row: row[1])
    numbers, codes, expected = [], [], []
    for number, (_, rows) in enumerate(groupby(log, key=lambda row: row[1])):
        statuses = [status if number % 7 or n != 1 else "Nwe" for n, (_, _, status, _) in enumerate(rows)]
        numbers += [number] * len(statuses)
        codes += [checker.codes.get(status, len(checker.statuses)) for status in statuses]
        expected += [checked.classification for checked in checker.check(statuses)]
    return numbers, codes, expected


@pytest.mark.parametrize("wrong", [0.0, 0.05])
def test_agrees_with_the_checker(table: Table, wrong: float) -> None:
    numbers, codes, expected = make_arrays(table, 300, wrong)
    result = check_arrays(CaseChecker(table), numbers, codes)
    assert result.counts == {classification: expected.count(classification) for classification in Classification}
    assert list(result.wrong) == [place for place, classification in enumerate(expected) if classification in WRONG]


@pytest.mark.parametrize("wrong", [0.0, 0.05])
def test_agrees_without_numpy(table: Table, wrong: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    test_agrees_with_the_checker(table, wrong)


def test_is_right_across_its_chunks(ccv: Table) -> None:
    np = pytest.importorskip("numpy")
    numbers, codes, expected = make_arrays(ccv, 40, 0.05)
    times = 200_000 // len(numbers)
    cases = np.concatenate([np.array(numbers) + 40 * n for n in range(times)])
    result = check_arrays(CaseChecker(ccv), cases, np.tile(np.array(codes, dtype=np.uint8), times))
    assert result.counts == {classification: expected.count(classification) * times for classification in Classification}
    wrong = [place for place, classification in enumerate(expected) if classification in WRONG]
    assert list(result.wrong) == [place + len(numbers) * time for time in range(times) for place in wrong]


def test_an_empty_log_has_no_observations(table: Table) -> None:
    assert sum(check_arrays(CaseChecker(table), [], []).counts.values()) == 0


def test_pairs_are_enough_only_where_each_status_leads_to_the_same_states(ccv: Table, warehouse: Table) -> None:
    pairs = build_pair_table(CaseChecker(ccv))
    assert pairs is not None
    assert (len(pairs), {len(row) for row in pairs}) == (13, {12}), "a row for each status, and one for the first observation"
    assert build_pair_table(CaseChecker(warehouse)) is None


@pytest.mark.parametrize("numpy", [True, False])
@pytest.mark.parametrize(("cases", "statuses"), [([1, 1], [0]), ([1], [99]), ([1], [-1])])
def test_refuses_arrays_of_other_lengths_and_codes_out_of_range(
    ccv: Table, cases: list[int], statuses: list[int], numpy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not numpy:
        monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(InvalidInput, match="statuses"):
        check_arrays(CaseChecker(ccv), cases, statuses)
