"""The parts of the plugin, used by hand: assertions about paths, the clock of several loops, coverage, the simulated world."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import Any

import pytest
from tests.kit.world import ccv_request, eventually

import orderflow.testing
from orderflow._lifecycle.table import Table
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._testing.asserts import assert_converges, assert_path
from orderflow._testing.clock import SharedClock
from orderflow._testing.coverage import Coverage, edges_taken, parse_requirements
from orderflow._testing.mealy import decide_input, inputs_of
from orderflow.model import Applied, Event, JournalRow, Observation, Origin, Snapshot


def journal_of(*path: str) -> list[JournalRow]:
    return [
        JournalRow("ccv-1", n, "seen", Origin.OBSERVATION, source, target, "step", 0.0)
        for n, (source, target) in enumerate(itertools.pairwise(path), 1)
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
def test_paths_that_match(expected: list[Any]) -> None:
    assert_path(journal_of("a", "b", "c", "b"), expected)


@pytest.mark.parametrize("expected", [[], ["a"], ["a", "b", "c"], ["b", ...], [..., "c"], ["a", ..., "d", ...], ["a", "b", "c", "b", "b"]])
def test_paths_that_do_not_match(expected: list[Any]) -> None:
    with pytest.raises(AssertionError, match="the path was a -> b -> c -> b"):
        assert_path(journal_of("a", "b", "c", "b"), expected)


def test_an_order_that_never_moved_has_the_empty_path() -> None:
    assert_path([], [])
    assert_path([], [...])
    with pytest.raises(AssertionError, match="never moved"):
        assert_path([], ["drafted"])


def test_a_missing_step_is_found_whatever_was_expected() -> None:
    first, _, third = journal_of("a", "b", "b", "b")
    with pytest.raises(AssertionError, match="version 3 does not follow version 1"):
        assert_path([first, third], [...])
    with pytest.raises(AssertionError, match="does not follow"):
        assert_path([journal_of("a", "b")[0], journal_of("x", "c", "d")[1]], [...])


@pytest.mark.orderflow("ccv", scenario="regress")
@pytest.mark.anyio
async def test_an_order_that_is_flagged_has_not_converged(orderflow_flow: Any) -> None:
    async with orderflow_flow() as flow:
        order = await flow.create("ccv", key="k", **ccv_request())
        await flow.send(order.id, "submit")
        async with asyncio.timeout(60):
            while not (await flow.order(order.id)).flagged:
                await asyncio.sleep(0.01)
        with pytest.raises(
            AssertionError, match=r"flagged: the provider reported a contradiction(.|\n)*rejected in New: status_read, anomaly"
        ):
            await assert_converges(flow, order, "New")


@pytest.mark.anyio
async def test_one_clock_wakes_tasks_of_several_loops() -> None:
    clock = SharedClock(start=100.0, manual=True)
    woken: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(f"{name} at {clock.now():g}")

    thread = threading.Thread(target=lambda: asyncio.run(sleeper("other", 10)))
    thread.start()
    own = asyncio.create_task(sleeper("own", 20))
    await eventually(lambda: clock.sleeping_anywhere == 2)
    assert clock.sleeping == 1, "in this loop"

    clock.advance(10)
    await asyncio.to_thread(thread.join, 5)
    assert woken == ["other at 110"]
    clock.advance(10)
    await asyncio.wait_for(own, 5)
    assert woken == ["other at 110", "own at 120"]
    assert clock.sleeping_anywhere == 0
    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(-1)

    running_on = asyncio.create_task(sleeper("on", 0.01))
    await eventually(lambda: clock.sleeping)
    clock.set_manual(False)
    await asyncio.wait_for(running_on, 5)


def test_a_cell_an_edge_and_two_states_are_counted_once(table: Table) -> None:
    coverage = Coverage()
    start = Snapshot(table.initial, table.defaults(), {}, 0)
    edge = table.out[table.initial][0]
    decision = decide_input(table, start, edge.event)
    assert isinstance(decision, Applied)
    for _ in range(2):
        coverage.record(table, start, Event(edge.event, edge.origin), decision)
    lifecycle = coverage.of(table)
    assert edges_taken(table, start, decision) == [edge]
    assert {kind: len(names) for kind, names in lifecycle.recorded.items()} == {"states": 2, "edges": 1, "cells": 1}
    assert len(lifecycle.all["cells"]) == len(table.states) * len(inputs_of(table))

    coverage.record(table, start, Observation("unheard-of", 0), decide_input(table, start, "poll unheard-of"))
    assert len(lifecycle.recorded["cells"]) == 2

    other = Coverage()
    other.merge(coverage.as_json())
    other.merge(coverage.as_json())
    assert list(other.report()) == list(coverage.report())
    assert other.shortfalls({"edges": 50}) == [f"{table.name}: edges {lifecycle.percent('edges'):.1f} %, 50 % required"]
    assert other.shortfalls({"edges": 0}) == []


def test_the_states_that_a_jump_passed_are_not_covered() -> None:
    table = CcvLifecycle.table
    start = Snapshot("Processing", table.defaults(), {}, 0)
    decision = decide_input(table, start, "poll Completed")
    assert isinstance(decision, Applied)
    coverage = Coverage()
    coverage.record(table, start, Observation("Completed", 0), decision)
    assert coverage.of(table).recorded["edges"] == set()
    assert coverage.of(table).recorded["states"] == {"Processing", "Completed"}


@pytest.mark.parametrize("text", ["edge=1", "edges", "edges=101", "edges=-1", "edges=nan"])
def test_a_requirement_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="want states=PERCENT"):
        parse_requirements(text)


def test_requirements_may_have_fractions_and_commas() -> None:
    assert parse_requirements("states=100,edges=99.5 cells=0") == {"states": 100.0, "edges": 99.5, "cells": 0.0}


def test_every_exported_name_exists() -> None:
    assert sorted(orderflow.testing.__all__) == orderflow.testing.__all__
    for name in orderflow.testing.__all__:
        assert getattr(orderflow.testing, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = orderflow._testing.nonsense
