"""Rule 11: the host is told of every entered state that it asked for, at least once, with a stable key."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path

import pytest
from tests.kit.toy import Bench
from tests.kit.toy import bench as new_bench

from orderflow.engine.listeners import Listeners
from orderflow.model import Order, Origin, Snapshot, StateEntered

pytestmark = pytest.mark.anyio

ORDER = Order("toy-k", "toy", "k", Snapshot("placed", {}, {}, 3), 0.0, 0.0)
TOLD = StateEntered("toy-k:3:0", ORDER, "placed", 3, provisional=False, inferred=False)


# ── the list of listeners ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_listeners_are_functions_coroutines_and_callables_that_answer_with_one() -> None:
    listeners, heard = Listeners(), []

    async def waits(told: StateEntered) -> None:
        await asyncio.sleep(0)
        heard.append("coroutine")

    def blocks(told: StateEntered) -> None:
        assert threading.current_thread() is not threading.main_thread()
        heard.append("function")

    class Callable:
        async def __call__(self, told: StateEntered) -> None:
            heard.append("callable")

    for run in (waits, blocks, Callable(), partial(waits)):
        listeners.add("toy", "placed", run)
    await listeners.notify(TOLD)
    assert heard == ["coroutine", "function", "callable", "coroutine"]


async def test_a_listener_that_raises_does_not_deafen_the_others() -> None:
    listeners, heard = Listeners(), []

    def broken(told: StateEntered) -> None:
        raise ZeroDivisionError

    listeners.add("toy", "placed", broken)
    listeners.add("toy", "placed", heard.append)
    with pytest.raises(ZeroDivisionError):
        await listeners.notify(TOLD)
    assert heard == [TOLD]


async def test_only_listeners_of_the_state_are_told() -> None:
    listeners, heard = Listeners(), []
    listeners.add("toy", "packed", heard.append)
    listeners.add("other", "placed", heard.append)
    await listeners.notify(TOLD)
    assert heard == []
    assert (listeners.is_listening("toy", "packed"), listeners.is_listening("toy", "placed")) == (True, False)


# ── being told ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_host_is_told_of_every_entered_state_once(bench: Bench) -> None:
    bench.listen("preparing", "sending", "placed", "waiting")
    order = await bench.new()
    await bench.accept(order.id, "came", Origin.CLAIM)
    await bench.after(500)  # reminded: waiting to waiting enters nothing
    await bench.after(100)
    assert [(told.state, told.version, told.key) for told in bench.notified] == [
        ("preparing", 1, f"{order.id}:1:1"),  # behind the effect of its step
        ("sending", 2, f"{order.id}:2:1"),
        ("placed", 3, f"{order.id}:3:0"),
        ("waiting", 4, f"{order.id}:4:0"),
    ]
    assert {(told.provisional, told.inferred) for told in bench.notified} == {(False, False)}


async def test_a_host_that_raises_is_told_again_with_the_same_key(bench: Bench) -> None:
    keys: list[str] = []

    def grumbles(told: StateEntered) -> None:
        keys.append(told.key)
        if len(keys) < 5:  # more often than a provider would be asked
            raise ConnectionError("the shop's database is away")

    bench.engine.listeners.add("toy", "placed", grumbles)
    order = await bench.new()
    assert await bench.state(order.id) == "placed"  # its trouble holds no order up
    for _ in range(20):
        await bench.after(60)
    assert keys == [f"{order.id}:3:0"] * 5


async def test_a_host_that_was_interrupted_is_told_again(bench: Bench) -> None:
    bench.listen("placed")
    order = await bench.new(state="sending")
    await bench.engine.outbox.run(await bench.lease())
    await bench.lease()  # the worker ends before it has told
    assert bench.notified == []
    await bench.after(bench.toy.timing.lease)
    assert [told.key for told in bench.notified] == [f"{order.id}:3:0"]


async def test_what_another_process_asked_for_waits_for_that_process(tmp_path: Path) -> None:
    async with new_bench(tmp_path) as shop, new_bench(tmp_path) as tool:
        shop.add_listeners("abandoned")
        await shop.store.add_listeners(shop.listeners.unsaved)
        tool.listeners.set_elsewhere(await tool.store.listeners())
        order = await tool.new(state="in_doubt")
        await tool.tell(order.id, "placement_given_up", Origin.OPERATOR)
        for _ in range(5):
            await tool.after(60)
        assert tool.told == shop.told == []
        await shop.after(0)
        assert [told.state for told in shop.told] == ["abandoned"]


async def test_nobody_is_told_of_the_past(bench: Bench) -> None:
    await bench.new()
    bench.listen("placed")
    await bench.after(100)
    assert bench.notified == []
