"""Following the orders of a log: nothing is forgotten that matters, whatever is moved to disk, and memory stays flat."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.kit.logs import BEGIN, log_of

from orderflow.analysis.audit import Cases, Judge, Seen, Summary, case_json
from orderflow.errors import InvalidInput
from orderflow.lifecycle.table import Table

LIFE = ("Processing", "Incomplete", "New", "FulfillmentDone", "Completed")


def found(table: Table, log: list[Seen], keep: int) -> dict[str, dict]:
    with Cases(Judge(table), keep=keep) as cases:
        cases.take(log)
        return {case.name: case_json(case, cases.judge) for case in cases.all()}


def one_after_another(count: int) -> Iterator[Seen]:
    """Orders that live and end, some hundred open at a time."""
    for turn in range(count // 100):
        for n, status in enumerate(LIFE):
            for case in range(100):
                yield 0, f"order-{turn}-{case}", status, BEGIN + timedelta(seconds=turn * 10 + n)


def test_what_is_on_disk_is_judged_as_if_it_were_not(table: Table) -> None:
    log = log_of(table, 400, wrong=0.1)
    alone = {case: [row for row in log if row[1] == case] for case in {row[1] for row in log}}
    everything = found(table, log, keep=10_000)
    assert found(table, log, keep=1) == everything
    assert len(everything) == len(alone)
    judge = Judge(table)
    for case, rows in alone.items():
        expected = [judged.kind.value for judged in judge.judge(row[2] for row in rows)]
        assert [step["class"] for step in everything[case]["steps"]] == expected
    assert len({case["verdict"] for case in everything.values()}) > 1


def test_a_return_is_seen_however_late_it_comes(ccv: Table) -> None:
    with Cases(Judge(ccv), keep=200) as cases:
        cases.take(one_after_another(5_000))
        assert cases.in_memory < 500
        later = BEGIN + timedelta(days=30)
        cases.take([(7, "order-0-0", "Completed", later), (8, "order-0-1", "New", later)])
        judged = {case.name: case_json(case, cases.judge) for case in cases.all()}
    assert len(judged) == 5_000
    assert judged["order-0-0"]["verdict"] == "legal"
    assert [step["class"] for step in judged["order-0-0"]["steps"]][-1] == "repeat"
    back = judged["order-0-1"]
    assert back["verdict"] == "resurrected"
    assert [step["status"] for step in back["steps"]] == [*LIFE, "New"]
    assert back["steps"][-1] == {"status": "New", "class": "resurrected", "line": 8, "time": later.isoformat()}


def test_what_was_wrong_is_still_known_when_a_case_returns(ccv: Table) -> None:
    log = [(1, "a", "Nwe", BEGIN), (2, "a", "Completed", BEGIN), (3, "b", "New", BEGIN), (4, "c", "New", BEGIN), (5, "a", "Gone", BEGIN)]
    with Cases(Judge(ccv), keep=1) as cases:
        cases.take(log[:4])
        assert cases.in_memory == 2
        cases.take(log[4:])
        (a,) = [case for case in cases.all() if case.name == "a"]
    assert [(where.line, where.status) for where in a.wrong.values()] == [(1, "Nwe"), (5, "Gone")]


def test_memory_grows_with_open_cases_only(ccv: Table) -> None:
    def peak(count: int, keep: int) -> float:
        tracemalloc.start()
        with Cases(Judge(ccv), keep=keep) as cases:
            cases.take(one_after_another(count))
            summary = Summary(cases.judge)
            for case in cases.all():
                summary.count(case)
            assert summary.cases == count
            most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most / 1e6

    few, many = peak(2_000, 500), peak(10_000, 500)
    assert many - few < 0.2, f"{few:.1f} MB for 2,000 ended cases, {many:.1f} MB for 10,000"
    assert peak(10_000, 1_000_000) - peak(2_000, 1_000_000) > 1  # what it would be, kept in memory


def test_a_case_may_be_observed_a_million_times(ccv: Table) -> None:
    log = ((n, "watched", "Completed" if n == 150_000 else "New", BEGIN) for n in range(200_000))
    with Cases(Judge(ccv)) as cases:
        cases.take(log)
        (case,) = cases.all()
    assert len(case.history) == 200_000
    assert {place: where.line for place, where in case.wrong.items()} == {150_001: 150_001}
    assert case.verdict == "resurrected"


def test_a_case_that_goes_back_in_time_is_refused(ccv: Table) -> None:
    with Cases(Judge(ccv), source="x.csv", keep=1) as cases:
        cases.take([(2, "a", "Completed", BEGIN), (3, "b", "New", BEGIN - timedelta(days=1)), (4, "c", "New", BEGIN)])
        with pytest.raises(InvalidInput, match=r"x\.csv, line 5: case 'a' goes back in time"):
            cases.take([(5, "a", "Completed", BEGIN - timedelta(seconds=1))])


def test_the_summary_counts(ccv: Table) -> None:
    with Cases(Judge(ccv)) as cases:
        cases.take([(0, "a", status, BEGIN) for status in (*LIFE, "Nwe", "New")])
        cases.take([(0, "b", status, BEGIN) for status in ("Processing", "Processing", "New")])
        summary = Summary(cases.judge)
        for case in cases.all():
            summary.count(case)
    assert not summary.sound
    assert summary.as_json() == {
        "lifecycle": "ccv",
        "cases": 2,
        "observations": 10,
        "classes": {"step": 6, "repeat": 1, "jump": 1, "illegal": 0, "resurrected": 1, "unknown": 1},
        "verdicts": {"legal": 1, "unknown": 0, "illegal": 0, "resurrected": 1},
        "power": {"pairs": 132, "refusable": 61, "share": 0.4621},
    }
