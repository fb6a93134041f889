"""What a worker leaves behind when it stops: nothing leased, nothing sent twice, nothing lost. Whatever it had in hand at the time."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from engine.toy import TIMING, Toy, number
from orderflow.app import Orderflow
from orderflow.engine import work
from orderflow.records import DueDeadline, Happened, InboxKey, Judge, NotExecuted, Order, Outcome, Receipt, Seen, Told
from orderflow.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio

PATIENT = evolve(TIMING, durations=dict.fromkeys(TIMING.durations, 600.0), read_first=600.0, read_cap=600.0, read_interval=0.01)
"""A lease of a minute, reads in ten: what another worker does within seconds was given back to it."""
SOON = 10.0


class Gate:
    """A place to stand at until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    async def pass_through(self) -> None:
        self.reached.set()
        await self.opened.wait()

    async def call(self, order: Order) -> Outcome:
        await self.pass_through()
        return Happened("order_placed", provider_id=number(order))

    async def read(self, order: Order) -> Seen:
        await self.pass_through()
        return Seen("new")


class SlowStore(SqliteStore):
    """Keeps whoever loads an order that is being sent, or commits, waiting where a gate stands in the way."""

    loading: Gate | None = None
    committing: Gate | None = None

    async def load(self, order_id: str) -> Order:
        order = await super().load(order_id)
        if self.loading is not None and order.state == "sending":
            await self.loading.pass_through()
        return order

    async def commit(self, order_id: str, key: InboxKey | None, judge: Judge, deadline: DueDeadline | None = None) -> Receipt:
        if self.committing is not None:
            await self.committing.pass_through()
        return await super().commit(order_id, key, judge, deadline)


@pytest.fixture
def toy() -> Toy:
    return Toy(timing=PATIENT)


@pytest.fixture
async def desk(tmp_path: Path, toy: Toy) -> AsyncIterator[Orderflow]:
    """A flow that does not work, to create orders with and to look at them."""
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [toy]) as flow:
        yield flow


@asynccontextmanager
async def worker(
    folder: Path, toy: Toy, *told: str, run: Any = None, grace: float = 0.0, loading: Gate | None = None
) -> AsyncIterator[Orderflow]:
    store = SlowStore(folder / "orders.db")
    store.loading = loading
    flow = Orderflow(store, [toy], poll=0.05, grace=grace)
    for state in told:
        flow.on("toy", entered=state, run=run)
    async with flow.working():
        yield flow


async def stopped_at(gate: Gate, flow: Orderflow) -> None:
    """Stop the worker without grace while it stands at the gate; then open that."""
    await gate.reached.wait()
    stopping = asyncio.create_task(flow._worker.stop(0.0))
    while not flow._worker._calls.over:
        await asyncio.sleep(0)
    gate.opened.set()
    await stopping


def leased(folder: Path, at: float) -> list[tuple[str, ...]]:
    """What nobody may take now although it is owed."""
    with closing(sqlite3.connect(folder / "orders.db", timeout=15)) as connection:
        effects = connection.execute("SELECT name FROM of_effects WHERE owed = 1 AND (in_flight = 1 OR run_at > ?)", (at,)).fetchall()
        reads = connection.execute("SELECT 'read' FROM of_reads WHERE next_at BETWEEN ? AND ?", (at, at + 120.0)).fetchall()
    return effects + reads


async def ordered(desk: Orderflow, key: str = "k") -> Order:
    order = await desk.create("toy", key=key)
    await desk.tell(order.id, "order_it")
    return order


async def test_a_repeatable_call_is_owed_again_now_and_costs_no_attempt(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    for _ in range(toy.timing.effect_attempts + 1):
        gate = Gate()
        toy.will("make_ready", gate.call)
    toy.will("make_ready", NotExecuted("connect failure"))  # which is tried again only while there are attempts left
    order = await ordered(desk)
    for n in range(toy.timing.effect_attempts + 1):
        async with worker(tmp_path, toy):
            async with asyncio.timeout(SOON):
                while toy.called("make_ready") == n:
                    await asyncio.sleep(0.005)
        assert leased(tmp_path, time.time()) == []
    async with worker(tmp_path, toy):
        await desk.wait(order.id, "placed", SOON)
    assert toy.called("place") == 1


async def test_a_once_call_that_was_begun_is_reported_lost_and_never_sent_again(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    gate = Gate()
    toy.will("place", gate.call)
    toy.will("look_up", NotExecuted("later"))
    order = await ordered(desk)
    async with worker(tmp_path, toy):
        await gate.reached.wait()
    assert (await desk.order(order.id)).state == "in_doubt"
    last = (await desk.journal(order.id))[-1]
    assert (last.event, last.note) == ("placement_answer_lost", "the worker stopped before the answer came")
    assert leased(tmp_path, time.time()) == []
    async with worker(tmp_path, toy):
        await asyncio.sleep(0.3)
    assert toy.called("place") == 1


async def test_a_once_call_that_was_not_begun_is_owed_again_and_sent_once(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    order = await ordered(desk)
    gate = Gate()
    async with worker(tmp_path, toy, loading=gate) as flow:
        await stopped_at(gate, flow)
        assert toy.called("place") == 0
    assert (await desk.order(order.id)).state == "sending"
    assert leased(tmp_path, time.time()) == []
    async with worker(tmp_path, toy):
        await desk.wait(order.id, "placed", SOON)
    assert toy.called("place") == 1


@pytest.mark.parametrize("blocking", [False, True], ids=["awaiting", "in a thread"])
async def test_a_host_that_is_being_told_is_told_again_by_the_same_key(tmp_path: Path, toy: Toy, desk: Orderflow, blocking: bool) -> None:
    keys: list[str] = []
    begun, over = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def awaits(told: Told) -> None:
        keys.append(told.key)
        begun.set()
        if len(keys) == 1:
            await asyncio.Event().wait()

    def blocks(told: Told) -> None:
        keys.append(told.key)
        loop.call_soon_threadsafe(begun.set)
        if len(keys) == 1:
            over.wait(SOON)

    run = blocks if blocking else awaits
    async with worker(tmp_path, toy, "placed", run=run):
        order = await ordered(desk)
        await begun.wait()
    over.set()
    assert leased(tmp_path, time.time()) == []
    begun.clear()
    async with worker(tmp_path, toy, "placed", run=run):
        await asyncio.wait_for(begun.wait(), SOON)
    assert keys == [f"{order.id}:3:0"] * 2


async def test_a_read_is_planned_again_now(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    gate = Gate()
    order = await ordered(desk)
    async with worker(tmp_path, toy):
        await desk.wait(order.id, "placed", SOON)
        toy.word = gate.read
        await desk.refresh(order.id)
        await gate.reached.wait()
    assert leased(tmp_path, time.time() + 1.0) == []
    toy.word = "packed"
    async with worker(tmp_path, toy):
        await desk.wait(order.id, "packed", SOON)


async def test_an_answer_that_is_being_written_at_the_end_of_the_grace_is_kept(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    call, commit = Gate(), Gate()
    toy.will("place", call.call)
    order = await ordered(desk)
    async with worker(tmp_path, toy) as flow:
        await call.reached.wait()
        flow._store.committing = commit  # type: ignore[attr-defined]
        call.opened.set()
        await stopped_at(commit, flow)
    assert (await desk.order(order.id)).state == "placed"


async def test_an_unanswered_attempt_of_another_worker_is_reported_lost_though_we_stop(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    """Giving it back as it is would make it look as if it had never been called."""
    gate = Gate()
    toy.will("place", gate.call)
    order = await ordered(desk)
    async with worker(tmp_path, toy) as flow:
        await gate.reached.wait()
        await flow.abandon()
    with closing(sqlite3.connect(tmp_path / "orders.db", timeout=15)) as connection, connection:
        connection.execute("UPDATE of_effects SET run_at = 0 WHERE name = 'place'")  # the lease has run out
    loading = Gate()
    async with worker(tmp_path, toy, loading=loading) as flow:
        await stopped_at(loading, flow)
    assert (await desk.order(order.id)).state == "in_doubt"
    assert toy.called("place") == 1


async def test_what_ends_within_the_grace_just_ends(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    gate = Gate()
    toy.will("place", gate.call)
    order = await ordered(desk)
    async with worker(tmp_path, toy, grace=SOON) as flow:
        await gate.reached.wait()
        asyncio.get_running_loop().call_later(0.1, gate.opened.set)
    assert (await desk.order(order.id)).state == "placed"
    assert flow.health is not None
    assert (flow.health.reached, flow.health.in_hand, flow.health.draining) == (True, 0, True)


async def test_a_database_that_is_silent_does_not_hold_us_and_what_is_left_is_said(
    tmp_path: Path, toy: Toy, desk: Orderflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_GIVING_BACK", 0.2)
    commit = Gate()
    await ordered(desk)
    before = asyncio.all_tasks()
    async with worker(tmp_path, toy) as flow:
        flow._store.committing = commit  # type: ignore[attr-defined]
        flow._door.stirred.set()
        await commit.reached.wait()
        assert flow.health is not None
        assert (flow.health.in_hand, flow.health.draining) == (1, False)
    assert (flow.health.in_hand, flow.health.draining) == (1, True)
    assert leased(tmp_path, time.time()) == [("make_ready",)]
    assert asyncio.all_tasks() == before


async def test_a_worker_that_is_full_gives_everything_back(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    gate = Gate()
    toy.will("make_ready", *[gate.call] * 32)
    orders = [await ordered(desk, str(n)) for n in range(40)]
    async with worker(tmp_path, toy), asyncio.timeout(SOON):
        while len(toy.calls) < 32:
            await asyncio.sleep(0.005)
    assert leased(tmp_path, time.time()) == []
    async with worker(tmp_path, toy):
        await asyncio.gather(*(desk.wait(order.id, "placed", SOON) for order in orders))
    assert _twice(toy.calls, "place") == []


def _twice(calls: Collection[tuple[str, str]], effect: str) -> list[str]:
    asked = [order for name, order in calls if name == effect]
    return sorted({order for order in asked if asked.count(order) > 1})
