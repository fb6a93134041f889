"""What failed before its worker stopped: nothing about it was written, and its lease still runs. Stopping gives it back."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve
from tests.kit.draining import (
    SLOW,
    SOON,
    Gate,
    RefusingStore,
    end_lease,
    in_flight_of,
    leased_in,
    run_worker,
    send_order,
    wait_for_refusals,
    wait_until_failed,
)
from tests.kit.toy import FAST, Toy, open_bench

from orderflow._app import Orderflow
from orderflow._engine import outbox as outbox_module
from orderflow._engine import worker as worker_module
from orderflow._provider.outcomes import NotExecuted, Outcome, Rejected, Signal, Succeeded
from orderflow.errors import OperationalError
from orderflow.model import Order, StateEntered

pytestmark = pytest.mark.anyio


@pytest.fixture
def toy() -> Toy:
    return Toy(timing=SLOW)


@pytest.fixture
async def caller(tmp_path: Path, toy: Toy) -> AsyncIterator[Orderflow]:
    """A flow without a worker, to create orders with and to look at them."""
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [toy]) as flow:
        yield flow


@pytest.fixture
def short_give_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopping worker soon cancels what does not end."""
    monkeypatch.setattr(worker_module, "_GIVE_BACK_SECONDS", 0.1)


def store_in(folder: Path, *refused: str, error: Exception | None = None) -> RefusingStore:
    """A store that refuses (method, state)."""
    store = RefusingStore(folder / "orders.db")
    store.error = error or store.error
    store.refused = (refused[0], refused[1]) if refused else None
    return store


async def restore_while_stopping(store: RefusingStore) -> None:
    """End the refusals when the stopping worker has tried to give back once, before it gives up."""
    await wait_for_refusals(store, 2)
    store.refused = None


async def owed_to(flow: Orderflow, order: Order) -> list[tuple[str, bool, str]]:
    """The order's owed effects: name, whether in flight, why the last attempt ended."""
    return [(effect.name, effect.in_flight, effect.why) for effect in (await flow.pending(order.id)).effects]


# ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("state", "effect"), [("preparing", "make_ready"), ("sending", "place")])
async def test_a_call_that_failed_before_it_began_is_owed_again_and_made_once(
    tmp_path: Path, toy: Toy, caller: Orderflow, state: str, effect: str
) -> None:
    order = await send_order(caller)
    store = store_in(tmp_path, "load", state)
    async with run_worker(store, toy) as flow:
        await wait_until_failed(flow)
        assert leased_in(tmp_path) == [(effect,)]
        store.refused = None
    assert (leased_in(tmp_path), in_flight_of(flow), toy.count_calls(effect)) == ([], 0, 0)
    async with run_worker(store_in(tmp_path), toy):
        await caller.wait(order.id, "placed", SOON)
    assert toy.calls == [("make_ready", order.id), ("place", order.id)]


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an adapter returns is not checked: stands for a fault that the check does not know."""
    monkeypatch.setattr(outbox_module, "check_outcome", lambda _effect, outcome, *_: outcome)


@pytest.mark.usefixtures("unchecked")
async def test_a_once_call_whose_answer_cannot_be_written_is_reported_in_doubt(tmp_path: Path, toy: Toy, caller: Orderflow) -> None:
    """The adapter names an event that does not exist. Owed again, the call would be made twice."""
    toy.answer("place", Succeeded("nonsense"))
    toy.answer("look_up", NotExecuted("later"))
    order = await send_order(caller)
    async with run_worker(store_in(tmp_path), toy) as flow:
        await wait_until_failed(flow)
        assert leased_in(tmp_path) == [("place",)]
    row = (await caller.journal(order.id))[-1]
    assert (row.event, row.note) == ("placement_answer_lost", "the worker stopped before the answer was written")
    assert leased_in(tmp_path) == []
    async with run_worker(store_in(tmp_path), toy):
        await asyncio.sleep(0.3)
    assert toy.count_calls("place") == 1


@pytest.mark.usefixtures("short_give_back")
@pytest.mark.parametrize(
    ("answer", "refused", "state", "why"),
    [
        (Succeeded("order_placed", provider_id="T-77"), "commit", "placed", None),
        (Rejected("400"), "commit", "refused", None),
        (NotExecuted("connect failure"), "retry_effect", "sending", "connect failure"),
    ],
    ids=["succeeded", "rejected", "not executed"],
)
async def test_an_answer_that_could_not_be_written_in_time_is_written_when_the_store_is_back(
    tmp_path: Path, toy: Toy, caller: Orderflow, answer: Outcome, refused: str, state: str, why: str | None
) -> None:
    """The answer is known. To report it lost would lose the provider's id of the order."""
    toy.answer("place", answer)
    order = await send_order(caller)
    store = store_in(tmp_path, refused, "sending")
    async with run_worker(store, toy) as flow:
        await wait_for_refusals(store, 1)
        restoring = asyncio.create_task(restore_while_stopping(store))
    await restoring
    order = await caller.order(order.id)
    assert (order.state, order.provider_id) == (state, getattr(answer, "provider_id", None))
    assert await owed_to(caller, order) == ([("place", False, why)] if why else [])
    assert (in_flight_of(flow), toy.count_calls("place")) == (0, 1)


@pytest.mark.usefixtures("short_give_back")
@pytest.mark.parametrize("error", [OperationalError("orders.db: away"), RuntimeError("a bug")], ids=["away", "bug"])
async def test_a_throttled_call_is_not_reported_in_doubt_if_only_the_throttle_was_not_written(
    tmp_path: Path, toy: Toy, caller: Orderflow, error: Exception
) -> None:
    """A 429 is written in two parts: the retry, and the throttle for all processes. The second one fails."""
    toy.answer("place", NotExecuted("429", 50.0, signal=Signal.THROTTLED))
    order = await send_order(caller)
    store = store_in(tmp_path, "throttle", "", error=error)
    restoring = None
    async with run_worker(store, toy) as flow:
        if isinstance(error, OperationalError):
            await wait_for_refusals(store, 1)
            restoring = asyncio.create_task(restore_while_stopping(store))
        else:
            await wait_until_failed(flow)
    assert [row.event for row in await caller.journal(order.id)] == ["order_it", "prepared"]
    assert await owed_to(caller, order) == [("place", False, "429")]
    assert in_flight_of(flow) == 0
    if restoring is not None:
        await restoring
        async with open_bench(tmp_path) as bench:
            assert (await bench.store.read_standings())["toy"].throttled_until > time.time()


# ── calls that another worker began ──────────────────────────────────────────────────────────────────────────────────────


async def crash_while_placing(folder: Path, toy: Toy) -> None:
    """A worker crashes while it calls ``place``, and its lease runs out."""
    gate = Gate()
    toy.answer("place", gate.call)
    async with run_worker(store_in(folder), toy) as flow:
        await gate.reached.wait()
        await flow.crash()
    end_lease(folder, "place")


async def test_a_once_call_of_another_worker_is_reported_in_doubt_though_taking_it_over_failed(
    tmp_path: Path, toy: Toy, caller: Orderflow
) -> None:
    toy.answer("look_up", NotExecuted("later"))
    order = await send_order(caller)
    await crash_while_placing(tmp_path, toy)
    store = store_in(tmp_path, "load", "sending")
    async with run_worker(store, toy) as flow:
        await wait_until_failed(flow)
        store.refused = None
    assert ((await caller.order(order.id)).state, toy.count_calls("place")) == ("in_doubt", 1)


async def test_a_call_of_another_worker_whose_effect_this_version_lacks_is_left_to_its_lease_and_counted(
    tmp_path: Path, toy: Toy, caller: Orderflow
) -> None:
    """A process that has the effect must learn that its call was begun."""
    await send_order(caller)
    await crash_while_placing(tmp_path, toy)
    effects = {name: effect for name, effect in toy.table.effects.items() if name != "place"}
    async with run_worker(store_in(tmp_path), Toy(timing=SLOW, table=evolve(toy.table, effects=effects))) as flow:
        await wait_until_failed(flow)
    assert (in_flight_of(flow), leased_in(tmp_path)) == (1, [("place",)])


# ── polls and notifications ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_notification_whose_end_was_not_written_is_made_again(tmp_path: Path, toy: Toy, caller: Orderflow) -> None:
    keys: list[str] = []
    twice = asyncio.Event()

    async def collect(entered: StateEntered) -> None:
        keys.append(entered.key)
        if len(keys) == 2:
            twice.set()

    store = store_in(tmp_path, "finish_effect", "placed")
    async with run_worker(store, toy, on_placed=collect) as flow:
        order = await send_order(caller)
        await wait_until_failed(flow)
        store.refused = None
    assert leased_in(tmp_path) == []
    async with run_worker(store_in(tmp_path), toy, on_placed=collect):
        await asyncio.wait_for(twice.wait(), SOON)
    assert keys == [f"{order.id}:3:0"] * 2


@pytest.mark.parametrize("method", ["load", "commit"])
async def test_a_poll_that_failed_is_planned_again_at_once(tmp_path: Path, toy: Toy, caller: Orderflow, method: str) -> None:
    order = await send_order(caller)
    store = store_in(tmp_path)
    async with run_worker(store, toy) as flow:
        await caller.wait(order.id, "placed", SOON)
        toy.status, store.refused = "packed", (method, "placed")
        await flow.refresh(order.id) if method == "commit" else await caller.refresh(order.id)
        await wait_until_failed(flow)
        assert leased_in(tmp_path, time.time() + 1.0) == [("poll",)]
        store.refused = None
    assert leased_in(tmp_path, time.time() + 1.0) == []
    async with run_worker(store_in(tmp_path), toy):
        await caller.wait(order.id, "packed", SOON)


# ── a store that stays away ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("short_give_back", "unchecked")
async def test_what_cannot_be_given_back_is_counted_until_its_lease_ends(
    tmp_path: Path, caller: Orderflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_LAST_GIVE_BACK_SECONDS", 0.1)
    toy = Toy(timing=evolve(SLOW, lease=2.0))
    toy.answer("place", Succeeded("nonsense"))
    await send_order(caller)
    store = store_in(tmp_path)
    async with run_worker(store, toy) as flow:
        await wait_until_failed(flow)
        store.refused = ("commit", "sending")
        assert in_flight_of(flow) == 1
    assert (in_flight_of(flow), leased_in(tmp_path)) == (1, [("place",)])
    async with asyncio.timeout(SOON):
        while in_flight_of(flow):
            await asyncio.sleep(0.02)
    with closing(sqlite3.connect(tmp_path / "orders.db", timeout=15)) as connection:
        assert connection.execute("SELECT run_at <= ? FROM of_effects WHERE name = 'place'", (time.time(),)).fetchone() == (1,)


# ── while the worker runs ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "method"),
    [(Succeeded("order_placed", provider_id="T-1"), "commit"), (NotExecuted("connect failure"), "retry_effect")],
    ids=["succeeded", "not executed"],
)
async def test_the_answer_to_a_once_effect_is_written_when_the_store_is_back(tmp_path: Path, answer: Outcome, method: str) -> None:
    store, toy = store_in(tmp_path, method, "sending"), Toy(timing=evolve(FAST, lease=60.0))
    toy.answer("place", answer)
    async with Orderflow(store, [toy], worker=True, fetch_interval=0.05) as flow:
        order = await send_order(flow)
        await wait_for_refusals(store, 1)
        store.refused = None
        await flow.wait(order.id, "placed", timeout=60)
        assert "placement_answer_lost" not in [row.event for row in await flow.journal(order.id)]


async def test_an_answer_is_kept_no_longer_than_its_lease(tmp_path: Path) -> None:
    store, toy = store_in(tmp_path, "commit", "sending"), Toy(timing=evolve(FAST, lease=1.5))
    toy.answer("place", Succeeded("order_placed", provider_id="T-1"))
    async with Orderflow(store, [toy], worker=True, fetch_interval=0.05) as flow:
        order = await send_order(flow)
        await wait_for_refusals(store, 1)
        await wait_until_failed(flow)
        store.refused = None
        await flow.wait(order.id, "in_doubt", timeout=60)
        assert toy.count_calls("place") == 1
