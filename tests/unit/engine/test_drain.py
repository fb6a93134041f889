"""A worker that stops: nothing stays leased, nothing is called twice, nothing is lost, whatever was in flight."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from attrs import evolve
from tests.kit.draining import (
    SLOW,
    SOON,
    Gate,
    GatedStore,
    end_lease,
    in_flight_of,
    leased_in,
    run_worker,
    send_order,
    wait_until_cancelled,
)
from tests.kit.toy import Toy

from orderflow._app import Orderflow
from orderflow._engine import worker as worker_module
from orderflow._provider.outcomes import NotExecuted, Outcome
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


def store_in(folder: Path, loading: Gate | None = None) -> GatedStore:
    store = GatedStore(folder / "orders.db")
    store.loading = loading
    return store


# ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_repeatable_call_is_owed_again_at_once_and_costs_no_attempt(tmp_path: Path, toy: Toy, caller: Orderflow) -> None:
    toy.timing = evolve(toy.timing, undelivered_after=60.0, retry_cap=0.1)
    for _ in range(toy.timing.retry_attempts + 1):
        toy.answer("make_ready", Gate().call)
    toy.answer("make_ready", NotExecuted("connect failure"))  # retried only if attempts are left
    order = await send_order(caller)
    for n in range(toy.timing.retry_attempts + 1):
        async with run_worker(store_in(tmp_path), toy):
            async with asyncio.timeout(SOON):
                while toy.count_calls("make_ready") == n:
                    await asyncio.sleep(0.005)
        assert leased_in(tmp_path) == []
    async with run_worker(store_in(tmp_path), toy):
        await caller.wait(order.id, "placed", SOON)
    assert toy.count_calls("place") == 1


async def test_a_once_call_in_progress_is_reported_in_doubt_and_never_made_again(tmp_path: Path, toy: Toy, caller: Orderflow) -> None:
    gate = Gate()
    toy.answer("place", gate.call)
    toy.answer("look_up", NotExecuted("later"))
    order = await send_order(caller)
    async with run_worker(store_in(tmp_path), toy):
        await gate.reached.wait()
    assert (await caller.order(order.id)).state == "in_doubt"
    row = (await caller.journal(order.id))[-1]
    assert (row.event, row.note) == ("placement_answer_lost", "the worker stopped before the answer came")
    assert leased_in(tmp_path) == []
    async with run_worker(store_in(tmp_path), toy):
        await asyncio.sleep(0.3)
    assert toy.count_calls("place") == 1


async def test_a_once_call_that_does_not_end_when_it_is_cancelled_is_reported_in_doubt(
    tmp_path: Path, toy: Toy, caller: Orderflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_GIVE_BACK_SECONDS", 0.1)
    begun = asyncio.Event()

    async def ignore_cancellation(_: Order) -> Outcome:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()
        raise AssertionError

    toy.answer("place", ignore_cancellation)
    order = await send_order(caller)
    async with run_worker(store_in(tmp_path), toy):
        await begun.wait()
    row = (await caller.journal(order.id))[-1]
    assert (row.event, row.note) == ("placement_answer_lost", "the worker stopped before the answer was written")
    assert (leased_in(tmp_path), toy.count_calls("place")) == ([], 1)


async def test_a_once_call_that_had_not_begun_is_owed_again_and_made_once(tmp_path: Path, toy: Toy, caller: Orderflow) -> None:
    order = await send_order(caller)
    gate = Gate()
    async with run_worker(store_in(tmp_path, loading=gate), toy) as flow:
        await gate.reached.wait()
        opening = asyncio.create_task(open_when_cancelled(gate, flow))
    await opening
    assert toy.count_calls("place") == 0
    assert (await caller.order(order.id)).state == "sending"
    assert leased_in(tmp_path) == []
    async with run_worker(store_in(tmp_path), toy):
        await caller.wait(order.id, "placed", SOON)
    assert toy.count_calls("place") == 1


async def test_an_unanswered_attempt_of_another_worker_is_reported_in_doubt_by_a_worker_that_stops(
    tmp_path: Path, toy: Toy, caller: Orderflow
) -> None:
    """To give it back as it is would make it look as if it had never been called."""
    gate = Gate()
    toy.answer("place", gate.call)
    order = await send_order(caller)
    async with run_worker(store_in(tmp_path), toy) as flow:
        await gate.reached.wait()
        await flow.crash()
    end_lease(tmp_path, "place")
    loading = Gate()
    async with run_worker(store_in(tmp_path, loading=loading), toy) as flow:
        await loading.reached.wait()
        opening = asyncio.create_task(open_when_cancelled(loading, flow))
    await opening
    assert (await caller.order(order.id)).state == "in_doubt"
    assert toy.count_calls("place") == 1


async def open_when_cancelled(gate: Gate, flow: Orderflow) -> None:
    """Open a gate once a worker that stops has cancelled its calls."""
    await wait_until_cancelled(flow)
    gate.opened.set()


async def test_an_answer_that_is_being_written_at_the_end_of_the_grace_is_kept(tmp_path: Path, toy: Toy, caller: Orderflow) -> None:
    calling, writing = Gate(), Gate()
    toy.answer("place", calling.call)
    order = await send_order(caller)
    store = store_in(tmp_path)
    async with run_worker(store, toy) as flow:
        await calling.reached.wait()
        store.writing = writing
        calling.opened.set()
        await writing.reached.wait()
        opening = asyncio.create_task(open_when_cancelled(writing, flow))
    await opening
    assert (await caller.order(order.id)).state == "placed"


async def test_a_call_that_ends_within_the_grace_is_answered(tmp_path: Path, toy: Toy, caller: Orderflow) -> None:
    gate = Gate()
    toy.answer("place", gate.call)
    order = await send_order(caller)
    async with run_worker(store_in(tmp_path), toy, grace=SOON) as flow:
        await gate.reached.wait()
        asyncio.get_running_loop().call_later(0.1, gate.opened.set)
    assert (await caller.order(order.id)).state == "placed"
    assert flow.health is not None
    assert (flow.health.database_ok, flow.health.in_flight, flow.health.draining) == (True, 0, True)


async def test_a_worker_that_is_full_gives_everything_back(tmp_path: Path, toy: Toy, caller: Orderflow) -> None:
    gate = Gate()
    toy.answer("make_ready", *[gate.call] * 32)
    orders = [await send_order(caller, str(n)) for n in range(40)]
    async with run_worker(store_in(tmp_path), toy), asyncio.timeout(SOON):
        while len(toy.calls) < 32:
            await asyncio.sleep(0.005)
    assert leased_in(tmp_path) == []
    async with run_worker(store_in(tmp_path), toy):
        await asyncio.gather(*(caller.wait(order.id, "placed", SOON) for order in orders))
    placed = [order_id for name, order_id in toy.calls if name == "place"]
    assert sorted(placed) == sorted({order.id for order in orders})


# ── polls and notifications ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_poll_in_progress_is_planned_again_at_once(tmp_path: Path, toy: Toy, caller: Orderflow) -> None:
    gate = Gate()
    order = await send_order(caller)
    async with run_worker(store_in(tmp_path), toy):
        await caller.wait(order.id, "placed", SOON)
        toy.status = gate.fetch_status
        await caller.refresh(order.id)
        await gate.reached.wait()
    assert leased_in(tmp_path, time.time() + 1.0) == []
    toy.status = "packed"
    async with run_worker(store_in(tmp_path), toy):
        await caller.wait(order.id, "packed", SOON)


@pytest.mark.parametrize("blocking", [False, True], ids=["awaiting", "in a thread"])
async def test_a_listener_that_is_running_runs_again_with_the_same_key(tmp_path: Path, toy: Toy, caller: Orderflow, blocking: bool) -> None:
    keys: list[str] = []
    begun, over = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def await_for_ever(entered: StateEntered) -> None:
        keys.append(entered.key)
        begun.set()
        if len(keys) == 1:
            await asyncio.Event().wait()

    def block(entered: StateEntered) -> None:
        keys.append(entered.key)
        loop.call_soon_threadsafe(begun.set)
        if len(keys) == 1:
            over.wait(SOON)

    listener = block if blocking else await_for_ever
    async with run_worker(store_in(tmp_path), toy, on_placed=listener):
        order = await send_order(caller)
        await begun.wait()
    over.set()
    assert leased_in(tmp_path) == []
    begun.clear()
    async with run_worker(store_in(tmp_path), toy, on_placed=listener):
        await asyncio.wait_for(begun.wait(), SOON)
    assert keys == [f"{order.id}:3:0"] * 2


# ── a database that does not answer ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_database_that_does_not_answer_does_not_hold_the_process_and_what_is_left_is_counted(
    tmp_path: Path, toy: Toy, caller: Orderflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_GIVE_BACK_SECONDS", 0.2)
    writing = Gate()
    await send_order(caller)
    before = asyncio.all_tasks()
    store = store_in(tmp_path)
    store.writing = writing
    async with run_worker(store, toy) as flow:
        await writing.reached.wait()
        assert flow.health is not None
        assert (flow.health.in_flight, flow.health.draining) == (1, False)
    assert (in_flight_of(flow), flow.health.draining) == (1, True)
    assert leased_in(tmp_path) == [("make_ready",)]
    assert asyncio.all_tasks() == before
