"""The worker's loop on the real clock: what wakes it, what it survives, how it stops."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from attrs import evolve
from tests.kit.toy import FAST, NoUrls, Toy

from orderflow.app import Orderflow
from orderflow.clock import SystemClock
from orderflow.dispatch.local import LocalDispatcher
from orderflow.engine.inbox import Inbox
from orderflow.engine.listeners import Listeners
from orderflow.engine.worker import Worker
from orderflow.errors import OperationalError
from orderflow.model import Order
from orderflow.provider.outcomes import NotExecuted, Outcome, Succeeded
from orderflow.store.records import DueDeadline, WorkerScope
from orderflow.store.sqlite.store import SqliteStore

pytestmark = pytest.mark.anyio


class Held:
    """A call that is under way until it is let go."""

    def __init__(self, outcome: Outcome | None = None) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self._outcome = outcome or NotExecuted("let go")

    async def __call__(self, order: Order) -> Outcome:
        self.begun.set()
        await self.go_on.wait()
        return self._outcome


class CountingStore(SqliteStore):
    """Says how often the worker looked."""

    looks = 0

    async def due_deadlines(self, now: float, scope: WorkerScope, limit: int) -> list[DueDeadline]:
        self.looks += 1
        return await super().due_deadlines(now, scope, limit)


def flow_over(folder: Path, toy: Toy, *, fetch_interval: float = 60.0, worker: bool = True) -> Orderflow:
    return Orderflow(CountingStore(folder / "orders.db"), [toy], worker=worker, fetch_interval=fetch_interval)


def _run(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / "orders.db", timeout=15)) as connection, connection:
        connection.execute(statement, values)


async def test_commits_and_what_falls_due_wake_the_worker(tmp_path: Path) -> None:
    """With a poll of a minute, nothing but being woken can end this in time."""
    toy = Toy(timing=FAST)
    toy.will("place", NotExecuted("429"))
    toy.shows("new", "new", "packed", "loaded", "delivered")
    async with flow_over(tmp_path, toy) as flow:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
        await flow.wait(order.id, "delivered", timeout=15)
    assert toy.called("place") == 2
    assert toy.closed


async def test_a_deadline_wakes_the_worker(tmp_path: Path) -> None:
    toy = Toy(timing=evolve(FAST, durations={**FAST.durations, "patience": 0.1}))
    async with flow_over(tmp_path, toy) as flow:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
        await flow.wait(order.id, "lapsed", timeout=15)


async def test_two_workers_call_once_per_order(tmp_path: Path) -> None:
    toy = Toy(timing=FAST, word="packed")
    async with flow_over(tmp_path, toy, fetch_interval=0.01) as here, flow_over(tmp_path, toy, fetch_interval=0.01) as there:
        orders = [await here.create("toy", key=str(n)) for n in range(40)]
        await asyncio.gather(*(flow.send(order.id, "order_it") for flow, order in zip((here, there) * 20, orders, strict=True)))
        await asyncio.gather(*(there.wait(order.id, "packed", timeout=10) for order in orders))
    assert sorted(toy.calls) == sorted((name, order.id) for name in ("make_ready", "place") for order in orders)


async def test_stopping_lets_calls_under_way_finish_and_takes_nothing_new(tmp_path: Path) -> None:
    toy = Toy(timing=FAST)
    held = Held()
    toy.will("make_ready", held)
    flow = flow_over(tmp_path, toy)
    async with flow:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
        await held.begun.wait()
        stopping = asyncio.create_task(flow._engine.worker.stop())  # type: ignore[union-attr]
        await asyncio.sleep(0.05)
        assert not stopping.done()
        held.go_on.set()
        await stopping
    assert toy.calls == [("make_ready", order.id)]
    async with flow_over(tmp_path, toy) as flow:  # the answer was kept: nothing waits for a lease
        await flow.wait(order.id, "placed", timeout=2)
    assert toy.called("make_ready") == 2


@asynccontextmanager
async def _worker(folder: Path, toy: Toy, **more: int) -> AsyncIterator[tuple[Worker, Inbox]]:
    store, rng = SqliteStore(folder / "orders.db"), random.Random(1)
    inbox = Inbox(store, {"toy": toy}, Listeners(), SystemClock(), rng)
    await store.open()
    worker = Worker(inbox, NoUrls(), LocalDispatcher(store), rng, fetch_interval=0.05, **more)
    await worker.start()
    try:
        yield worker, inbox
    finally:
        await worker.stop(grace=1)
        await store.close()


async def test_a_call_that_outlasts_the_grace_is_cut_and_never_made_again(tmp_path: Path) -> None:
    toy = Toy(timing=evolve(FAST, lease=0.3))
    held = Held()
    toy.will("place", held)
    async with flow_over(tmp_path, toy, worker=False) as flow:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
        async with _worker(tmp_path, toy) as (worker, _):
            await held.begun.wait()
            await worker.stop(grace=0.01)
        async with _worker(tmp_path, toy):
            await flow.wait(order.id, "in_doubt", timeout=15)
    assert toy.called("place") == 1


async def test_a_worker_with_all_hands_full_still_brings_deadlines_and_stops_in_time(tmp_path: Path) -> None:
    toy = Toy(timing=evolve(FAST, durations={**FAST.durations, "patience": 1.5}, poll_first=60.0))
    held = Held()
    async with flow_over(tmp_path, toy, worker=False) as flow, _worker(tmp_path, toy, width=1) as (worker, _):
        waiting = await flow.create("toy", key="waiting")
        await flow.send(waiting.id, "order_it")
        await flow.wait(waiting.id, ("placed", "lapsed"), timeout=15)
        toy.will("make_ready", held)
        stuck = await flow.create("toy", key="stuck")
        await flow.send(stuck.id, "order_it")
        await held.begun.wait()
        await flow.wait(waiting.id, "lapsed", timeout=15)
        async with asyncio.timeout(5):
            await worker.stop(grace=0.01)


async def test_the_worker_survives_a_database_in_trouble(tmp_path: Path) -> None:
    toy = Toy(timing=FAST)
    async with flow_over(tmp_path, toy, fetch_interval=0.02) as flow:
        order = await flow.create("toy", key="k")
        _run(tmp_path, "ALTER TABLE of_effects RENAME TO of_elsewhere")
        with pytest.raises(OperationalError):
            await flow.send(order.id, "order_it")
        looks = flow._store.looks  # type: ignore[attr-defined]
        async with asyncio.timeout(15):
            while flow._store.looks < looks + 5:  # type: ignore[attr-defined]
                await asyncio.sleep(0.01)
        _run(tmp_path, "ALTER TABLE of_elsewhere RENAME TO of_effects")
        await flow.send(order.id, "order_it")
        await flow.wait(order.id, "placed", timeout=15)


async def test_a_deadline_that_cannot_be_brought_neither_spins_nor_stands_in_the_way(tmp_path: Path) -> None:
    """A later lifecycle may have dropped its event."""
    toy = Toy(timing=FAST, word="delivered")
    async with flow_over(tmp_path, toy, fetch_interval=0.5) as flow:
        ghost = await flow.create("toy", key="ghost")
        _run(tmp_path, "INSERT INTO of_deadlines VALUES (?, 'ghost', 'toy', 1, 0)", ghost.id)
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
        await flow.wait(order.id, "delivered", timeout=15)  # nothing else is due from here on
        looks = flow._store.looks  # type: ignore[attr-defined]
        await asyncio.sleep(1.2)
        assert flow._store.looks - looks < 8  # type: ignore[attr-defined]  # a look each poll, not one after the other


async def test_one_orders_trouble_stays_with_it(tmp_path: Path) -> None:
    """An answer naming an event that is not there is the adapter's bug; all other orders go on."""
    toy = Toy(timing=FAST)
    toy.will("place", Succeeded("nonsense"))
    async with flow_over(tmp_path, toy) as flow:
        orders = [await flow.create("toy", key=str(n)) for n in range(3)]
        await flow.send(orders[0].id, "order_it")
        await flow.wait(orders[0].id, "sending", timeout=15)
        for order in orders[1:]:
            await flow.send(order.id, "order_it")
            await flow.wait(order.id, "placed", timeout=15)
        assert (await flow.order(orders[0].id)).state == "sending"
