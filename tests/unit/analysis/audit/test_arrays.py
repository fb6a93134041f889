"""Arrays of ints: the same judgement by table look-up, with and without numpy."""

from __future__ import annotations

import sys
from itertools import groupby

import pytest
from tests.kit.logs import log_of

from orderflow.analysis.audit import Class, Judge, codes, tally
from orderflow.errors import InvalidInput
from orderflow.lifecycle.table import Table


def arrays(table: Table, cases: int, wrong: float) -> tuple[list[int], list[int], list[Class]]:
    """Case numbers, status codes (some unknown), and the class that the judge gives to each."""
    judge = Judge(table)
    code = codes(judge)
    log = sorted(log_of(table, cases, wrong=wrong), key=lambda row: row[1])
    numbers, statuses, expected = [], [], []
    for number, (_, rows) in enumerate(groupby(log, key=lambda row: row[1])):
        words = [status if number % 7 or n != 1 else "Nwe" for n, (_, _, status, _) in enumerate(rows)]
        numbers += [number] * len(words)
        statuses += [code.get(word, len(judge.words)) for word in words]
        expected += [judged.kind for judged in judge.judge(words)]
    return numbers, statuses, expected


@pytest.mark.parametrize("wrong", [0.0, 0.05])
def test_agrees_with_the_judge(table: Table, wrong: float) -> None:
    numbers, statuses, expected = arrays(table, 300, wrong)
    found = tally(Judge(table), numbers, statuses)
    assert found.classes == {kind: expected.count(kind) for kind in Class}
    assert list(found.wrong) == [n for n, kind in enumerate(expected) if kind in (Class.ILLEGAL, Class.RESURRECTED, Class.UNKNOWN)]


@pytest.mark.parametrize("wrong", [0.0, 0.05])
def test_agrees_without_numpy(table: Table, wrong: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    test_agrees_with_the_judge(table, wrong)


def test_is_right_across_the_pieces_it_works_in(ccv: Table) -> None:
    np = pytest.importorskip("numpy")
    numbers, statuses, expected = arrays(ccv, 40, 0.05)
    times = 200_000 // len(numbers)
    cases = np.concatenate([np.array(numbers) + 40 * n for n in range(times)])
    found = tally(Judge(ccv), cases, np.tile(np.array(statuses, dtype=np.uint8), times))
    assert found.classes == {kind: expected.count(kind) * times for kind in Class}
    wrong = [n for n, kind in enumerate(expected) if kind in (Class.ILLEGAL, Class.RESURRECTED, Class.UNKNOWN)]
    assert list(found.wrong) == [n + len(numbers) * time for time in range(times) for n in wrong]


def test_an_empty_log_is_no_news(table: Table) -> None:
    assert sum(tally(Judge(table), [], []).classes.values()) == 0


@pytest.mark.parametrize("numpy", [True, False])
@pytest.mark.parametrize(("cases", "statuses"), [([1, 1], [0]), ([1], [99]), ([1], [-1])])
def test_refuses_arrays_that_make_no_sense(
    ccv: Table, cases: list[int], statuses: list[int], numpy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not numpy:
        monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(InvalidInput, match="statuses"):
        tally(Judge(ccv), cases, statuses)
