"""Notifications: listeners run for each state that an order enters, at least once, with a stable key."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.kit.toy import Bench, open_bench

from orderflow.model import Origin, StateEntered

pytestmark = pytest.mark.anyio


async def test_a_listener_is_notified_of_each_entered_state_once(bench: Bench) -> None:
    bench.listen("preparing", "sending", "placed", "waiting")
    order = await bench.create()
    await bench.accept(order.id, "came", Origin.CLAIM)
    await bench.work_after(500)  # reminded: waiting to waiting enters nothing
    await bench.work_after(100)
    assert [(entered.state, entered.version, entered.key) for entered in bench.notified] == [
        ("preparing", 1, f"{order.id}:1:1"),  # after the effect of its step
        ("sending", 2, f"{order.id}:2:1"),
        ("placed", 3, f"{order.id}:3:0"),
        ("waiting", 4, f"{order.id}:4:0"),
    ]
    assert {(entered.provisional, entered.inferred) for entered in bench.notified} == {(False, False)}


async def test_a_listener_that_raises_runs_again_with_the_same_key(bench: Bench) -> None:
    keys: list[str] = []

    def fail_four_times(entered: StateEntered) -> None:
        keys.append(entered.key)
        if len(keys) < 5:  # more often than the budget of a call to a provider
            raise ConnectionError("the application's database is away")

    bench.engine.listeners.add("toy", "placed", fail_four_times)
    order = await bench.create()
    assert await bench.state_of(order.id) == "placed"  # a failing listener holds back no order
    for _ in range(20):
        await bench.work_after(60)
    assert keys == [f"{order.id}:3:0"] * 5


async def test_a_notification_whose_worker_died_is_made_by_another(bench: Bench) -> None:
    bench.listen("placed")
    order = await bench.create(state="sending")
    await bench.engine.outbox.run(await bench.lease())
    await bench.lease()  # the worker ends before it has run the listener
    assert bench.notified == []
    await bench.work_after(bench.toy.timing.lease)
    assert [entered.key for entered in bench.notified] == [f"{order.id}:3:0"]


async def test_a_notification_waits_for_the_process_that_has_the_listener(tmp_path: Path) -> None:
    async with open_bench(tmp_path) as listening, open_bench(tmp_path) as other:
        listening.listen("abandoned")
        await listening.engine.directory.refresh()
        await other.engine.directory.refresh()
        order = await other.create(state="in_doubt")
        await other.accept(order.id, "placement_given_up", Origin.OPERATOR)
        for _ in range(5):
            await other.work_after(60)
        assert other.notified == listening.notified == []
        await listening.work_after(0)
        assert [entered.state for entered in listening.notified] == ["abandoned"]


async def test_a_state_entered_before_its_listener_was_added_is_not_notified(bench: Bench) -> None:
    await bench.create()
    bench.listen("placed")
    await bench.work_after(100)
    assert bench.notified == []
