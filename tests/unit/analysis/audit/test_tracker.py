"""Following the cases of a log: a case on disk is checked like one in memory, and memory grows with open cases only."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.kit.logs import BEGIN, make_log

from orderflow._analysis.audit import CaseChecker, CaseTracker, LogRow, Summary, case_as_json
from orderflow._lifecycle.table import Table
from orderflow.errors import InvalidInput

LIFE = ("Processing", "Incomplete", "New", "FulfillmentDone", "Completed")


def list_cases(cases: CaseTracker) -> dict[str, dict]:
    return {case.name: case_as_json(case, cases.checker) for case in cases.iter_cases()}


def check_log(table: Table, log: list[LogRow], keep: int) -> dict[str, dict]:
    with CaseTracker(CaseChecker(table), keep=keep) as cases:
        cases.add(log)
        return list_cases(cases)


def iter_whole_lives(count: int) -> Iterator[LogRow]:
    """The rows of orders that begin and end, a hundred of them open at a time."""
    for turn in range(count // 100):
        for n, status in enumerate(LIFE):
            for case in range(100):
                yield 0, f"order-{turn}-{case}", status, BEGIN + timedelta(seconds=turn * 10 + n)


def test_a_case_on_disk_is_checked_like_one_in_memory(table: Table) -> None:
    log = make_log(table, 400, wrong=0.1)
    alone = {case: [row for row in log if row[1] == case] for case in {row[1] for row in log}}
    everything = check_log(table, log, keep=10_000)
    assert check_log(table, log, keep=1) == everything
    assert len(everything) == len(alone)
    checker = CaseChecker(table)
    for case, rows in alone.items():
        expected = [checked.classification.value for checked in checker.check(row[2] for row in rows)]
        assert [step["class"] for step in everything[case]["steps"]] == expected
    assert len({case["verdict"] for case in everything.values()}) > 1


def test_a_late_return_from_a_final_state_is_found(ccv: Table) -> None:
    with CaseTracker(CaseChecker(ccv), keep=200) as cases:
        cases.add(iter_whole_lives(5_000))
        assert cases.in_memory < 500
        later = BEGIN + timedelta(days=30)
        cases.add([(7, "order-0-0", "Completed", later), (8, "order-0-1", "New", later)])
        checked = list_cases(cases)
    assert len(checked) == 5_000
    assert checked["order-0-0"]["verdict"] == "legal"
    assert [step["class"] for step in checked["order-0-0"]["steps"]][-1] == "repeat"
    returned = checked["order-0-1"]
    assert returned["verdict"] == "resurrected"
    assert [step["status"] for step in returned["steps"]] == [*LIFE, "New"]
    assert returned["steps"][-1] == {"status": "New", "class": "resurrected", "line": 8, "time": later.isoformat()}


def test_the_wrong_rows_of_a_case_survive_its_way_to_disk_and_back(ccv: Table) -> None:
    log = [(1, "a", "Nwe", BEGIN), (2, "a", "Completed", BEGIN), (3, "b", "New", BEGIN), (4, "c", "New", BEGIN), (5, "a", "Gone", BEGIN)]
    with CaseTracker(CaseChecker(ccv), keep=1) as cases:
        cases.add(log[:4])
        assert cases.in_memory == 2
        cases.add(log[4:])
        (a,) = [case for case in cases.iter_cases() if case.name == "a"]
    assert [(row.line, row.status) for row in a.wrong_rows.values()] == [(1, "Nwe"), (5, "Gone")]


def test_memory_grows_with_open_cases_only(ccv: Table) -> None:
    def measure_peak(count: int, keep: int) -> float:
        tracemalloc.start()
        with CaseTracker(CaseChecker(ccv), keep=keep) as cases:
            cases.add(iter_whole_lives(count))
            summary = Summary(cases.checker)
            for case in cases.iter_cases():
                summary.count(case)
            assert summary.cases == count
            peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak_bytes / 1e6

    few, many = measure_peak(2_000, 500), measure_peak(10_000, 500)
    assert many - few < 0.2, f"{few:.1f} MB for 2,000 ended cases, {many:.1f} MB for 10,000"
    assert measure_peak(10_000, 1_000_000) - measure_peak(2_000, 1_000_000) > 1  # with all of them in memory


def test_a_case_may_have_very_many_observations(ccv: Table) -> None:
    log = ((n, "watched", "Completed" if n == 150_000 else "New", BEGIN) for n in range(200_000))
    with CaseTracker(CaseChecker(ccv)) as cases:
        cases.add(log)
        (case,) = cases.iter_cases()
    assert len(case.history) == 200_000
    assert {place: row.line for place, row in case.wrong_rows.items()} == {150_001: 150_001}
    assert case.verdict == "resurrected"


def test_a_case_that_goes_back_in_time_is_refused(ccv: Table) -> None:
    with CaseTracker(CaseChecker(ccv), source="x.csv", keep=1) as cases:
        cases.add([(2, "a", "Completed", BEGIN), (3, "b", "New", BEGIN - timedelta(days=1)), (4, "c", "New", BEGIN)])
        with pytest.raises(InvalidInput, match=r"x\.csv, line 5: case 'a' goes back in time"):
            cases.add([(5, "a", "Completed", BEGIN - timedelta(seconds=1))])


def test_the_summary_counts(ccv: Table) -> None:
    with CaseTracker(CaseChecker(ccv)) as cases:
        cases.add([(0, "a", status, BEGIN) for status in (*LIFE, "Nwe", "New")])
        cases.add([(0, "b", status, BEGIN) for status in ("Processing", "Processing", "New")])
        summary = Summary(cases.checker)
        for case in cases.iter_cases():
            summary.count(case)
    assert not summary.all_legal
    assert summary.as_json() == {
        "lifecycle": "ccv",
        "cases": 2,
        "observations": 10,
        "classes": {"step": 6, "repeat": 1, "jump": 1, "illegal": 0, "resurrected": 1, "unknown": 1},
        "verdicts": {"legal": 1, "unknown": 0, "illegal": 0, "resurrected": 1},
        "power": {"pairs": 132, "refusable": 61, "share": 0.4621},
    }
