"""What the plugin is made of, used by hand: assertions over paths, the clock of several loops, coverage as it is counted."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

import pytest
from orderflow.testing.machine import judge, words_of
from orderflow.testing.sharedclock import SharedClock
from tests.kit.world import ccv_request, eventually

from orderflow.lifecycle.table import Table
from orderflow.model import Applied, Event, JournalRow, Observation, Origin, Snapshot
from orderflow.providers.ccv.lifecycle import CcvLifecycle
from orderflow.testing.asserts import assert_converges, assert_path
from orderflow.testing.coverage import Coverage, required, walked


def rows(*path: str) -> list[JournalRow]:
    return [
        JournalRow("ccv-1", n, "moved", Origin.OBSERVATION, here, there, "step", 0.0)
        for n, (here, there) in enumerate(itertools.pairwise(path), 1)
    ]


@pytest.mark.parametrize(
    "expected",
    [
        ["a", "b", "c", "b"],
        [...],
        ["a", ...],
        [..., "b"],
        ["a", ..., "c", ..., "b"],
        [..., "a", "b", ..., "b", ...],
        ["a", ..., "b", "c", "b"],
    ],
)
def test_paths_that_fit(expected: list[Any]) -> None:
    assert_path(rows("a", "b", "c", "b"), expected)


@pytest.mark.parametrize("expected", [[], ["a"], ["a", "b", "c"], ["b", ...], [..., "c"], ["a", ..., "d", ...], ["a", "b", "c", "b", "b"]])
def test_paths_that_do_not(expected: list[Any]) -> None:
    with pytest.raises(AssertionError, match="the path was a -> b -> c -> b"):
        assert_path(rows("a", "b", "c", "b"), expected)


def test_an_order_that_never_moved_has_the_empty_path() -> None:
    assert_path([], [])
    assert_path([], [...])
    with pytest.raises(AssertionError, match="never moved"):
        assert_path([], ["drafted"])


def test_a_step_that_is_missing_is_noticed_whatever_was_expected() -> None:
    first, _, third = rows("a", "b", "b", "b")
    with pytest.raises(AssertionError, match="version 3 does not follow version 1"):
        assert_path([first, third], [...])
    with pytest.raises(AssertionError, match="does not follow"):
        assert_path([rows("a", "b")[0], rows("x", "c", "d")[1]], [...])


@pytest.mark.orderflow("ccv", scenario="regress")
@pytest.mark.anyio
async def test_converging_is_more_than_arriving_a_contradiction_is_left_to_see(orderflow_flow: Any) -> None:
    async with orderflow_flow() as flow:
        order = await flow.create("ccv", key="k", **ccv_request())
        await flow.send(order.id, "submit")
        async with asyncio.timeout(10):
            while not (await flow.order(order.id)).flagged:
                await asyncio.sleep(0.01)
        with pytest.raises(AssertionError, match=r"the provider said what contradicts that(.|\n)*not taken in New: status_read, anomaly"):
            await assert_converges(flow, order, "New")


@pytest.mark.anyio
async def test_one_clock_wakes_sleepers_of_several_loops() -> None:
    clock = SharedClock(start=100.0, manual=True)
    woken: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(f"{name} at {clock.now():g}")

    thread = threading.Thread(target=lambda: asyncio.run(sleeper("theirs", 10)))
    thread.start()
    mine = asyncio.create_task(sleeper("mine", 20))
    await eventually(lambda: len(clock._asleep) == 2)
    assert clock.sleeping == 1, "of this loop"

    clock.advance(10)
    await asyncio.to_thread(thread.join, 5)
    assert woken == ["theirs at 110"]
    clock.advance(10)
    await asyncio.wait_for(mine, 5)
    assert woken == ["theirs at 110", "mine at 120"]
    assert clock._asleep == []
    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(-1)

    running_on = asyncio.create_task(sleeper("on", 0.01))
    await eventually(lambda: clock.sleeping)
    clock.set_manual(manual=False)
    await asyncio.wait_for(running_on, 5)


def test_a_cell_an_edge_and_two_states_are_counted_once(table: Table) -> None:
    coverage = Coverage()
    start = Snapshot(table.initial, table.defaults(), {}, 0)
    edge = table.out[table.initial][0]
    decision = judge(table, start, edge.event)
    assert isinstance(decision, Applied)
    for _ in range(2):
        coverage.note(table, start, Event(edge.event, edge.origin), decision)
    covered = coverage.of(table)
    assert walked(table, start, decision) == [edge]
    assert {kind: len(seen) for kind, seen in covered.seen.items()} == {"states": 2, "edges": 1, "cells": 1}
    assert len(covered.all["cells"]) == len(table.states) * len(words_of(table))

    strange = Observation("never heard", 0)
    coverage.note(table, start, strange, judge(table, start, "read never heard"))
    assert len(covered.seen["cells"]) == 2

    other = Coverage()
    other.merge(coverage.as_json())
    other.merge(coverage.as_json())
    assert list(other.lines()) == list(coverage.lines())
    assert other.below({"edges": 50}) == [f"{table.name}: edges {covered.percent('edges'):.1f} %, 50 % required"]
    assert other.below({"edges": 0}) == []


def test_what_a_jump_passed_is_not_called_covered() -> None:
    table = CcvLifecycle.table
    start = Snapshot("Processing", table.defaults(), {}, 0)
    decision = judge(table, start, "read Completed")
    assert isinstance(decision, Applied)
    coverage = Coverage()
    coverage.note(table, start, Observation("Completed", 0), decision)
    assert coverage.of(table).seen["edges"] == set()
    assert coverage.of(table).seen["states"] == {"Processing", "Completed"}


@pytest.mark.parametrize("text", ["edge=1", "edges", "edges=101", "edges=-1", "edges=nan"])
def test_a_requirement_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="want states=PERCENT"):
        required(text)


def test_requirements_may_have_fractions_and_commas() -> None:
    assert required("states=100,edges=99.5 cells=0") == {"states": 100.0, "edges": 99.5, "cells": 0.0}
