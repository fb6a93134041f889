"""The worker's loop on the real clock: what wakes it, what it survives, how it stops."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from attrs import evolve
from tests.kit.toy import FAST, Toy, build_toy_engine

from orderflow._app import Orderflow
from orderflow._clock import SystemClock
from orderflow._engine import outbox as outbox_module
from orderflow._engine.lanes import Lanes, WorkerLimits
from orderflow._engine.worker import Worker
from orderflow._provider.outcomes import NotExecuted, Outcome, Succeeded
from orderflow._store.records import DueDeadline, WorkerScope
from orderflow._store.sqlite.store import SqliteStore
from orderflow.errors import OperationalError
from orderflow.model import Order

pytestmark = pytest.mark.anyio


class HeldCall:
    """A call that does not end before ``released`` is set."""

    def __init__(self) -> None:
        self.begun, self.released = asyncio.Event(), asyncio.Event()

    async def __call__(self, order: Order) -> Outcome:
        self.begun.set()
        await self.released.wait()
        return NotExecuted("released")


class CountingStore(SqliteStore):
    """Counts how often the worker fetched."""

    fetches = 0

    async def due_deadlines(self, now: float, scope: WorkerScope, limit: int) -> list[DueDeadline]:
        self.fetches += 1
        return await super().due_deadlines(now, scope, limit)


def open_flow(folder: Path, toy: Toy, *, store: SqliteStore | None = None, fetch_interval: float = 60.0, worker: bool = True) -> Orderflow:
    store = store or SqliteStore(folder / "orders.db")
    return Orderflow(store, [toy], worker=worker, fetch_interval=fetch_interval)


@asynccontextmanager
async def run_worker(folder: Path, toy: Toy, width: int = 32) -> AsyncIterator[Worker]:
    """A worker alone: no application around it, and another width than the default."""
    store = SqliteStore(folder / "orders.db")
    engine = build_toy_engine(store, toy, SystemClock())
    lanes = Lanes(WorkerLimits(calls=width, polls=width), lambda lane: 0)
    worker = evolve(engine.worker, fetch_interval=0.05, lanes=lanes)
    await store.open()
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop(grace=1)
        await store.close()


def execute(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / "orders.db", timeout=15)) as connection, connection:
        connection.execute(statement, values)


async def send_order(flow: Orderflow, key: str = "k") -> Order:
    """A new order, with the command that starts it."""
    order = await flow.create("toy", key=key)
    await flow.send(order.id, "order_it")
    return order


# ── what wakes it ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_commits_and_what_becomes_due_wake_the_worker(tmp_path: Path) -> None:
    """It fetches once a minute. Only a wake can end this in time."""
    toy = Toy(timing=FAST)
    toy.answer("place", NotExecuted("429"))
    toy.show("new", "new", "packed", "loaded", "delivered")
    async with open_flow(tmp_path, toy) as flow:
        order = await send_order(flow)
        await flow.wait(order.id, "delivered", timeout=60)
    assert toy.count_calls("place") == 2
    assert toy.closed


async def test_a_deadline_wakes_the_worker(tmp_path: Path) -> None:
    toy = Toy(timing=evolve(FAST, durations={**FAST.durations, "patience": 0.1}))
    async with open_flow(tmp_path, toy) as flow:
        order = await send_order(flow)
        await flow.wait(order.id, "lapsed", timeout=60)


async def test_two_workers_make_each_call_once(tmp_path: Path) -> None:
    toy = Toy(timing=FAST, status="packed")
    async with open_flow(tmp_path, toy, fetch_interval=0.01) as here, open_flow(tmp_path, toy, fetch_interval=0.01) as there:
        orders = [await here.create("toy", key=str(n)) for n in range(40)]
        await asyncio.gather(*(flow.send(order.id, "order_it") for flow, order in zip((here, there) * 20, orders, strict=True)))
        await asyncio.gather(*(there.wait(order.id, "packed", timeout=60) for order in orders))
    assert sorted(toy.calls) == sorted((name, order.id) for name in ("make_ready", "place") for order in orders)


# ── how it stops ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_stopping_lets_calls_in_progress_finish_and_fetches_nothing_new(tmp_path: Path) -> None:
    toy, call = Toy(timing=FAST), HeldCall()
    toy.answer("make_ready", call)
    async with open_flow(tmp_path, toy, worker=False) as caller:
        order = await send_order(caller)
        async with run_worker(tmp_path, toy) as worker:
            await call.begun.wait()
            stopping = asyncio.create_task(worker.stop())
            await asyncio.sleep(0.05)
            assert not stopping.done()
            call.released.set()
            await stopping
        assert toy.calls == [("make_ready", order.id)]
        async with run_worker(tmp_path, toy):  # the answer was written: nothing waits for a lease to end
            await caller.wait(order.id, "placed", timeout=2)
    assert toy.count_calls("make_ready") == 2


async def test_a_call_that_outlasts_the_grace_is_cancelled_and_never_made_again(tmp_path: Path) -> None:
    toy, call = Toy(timing=evolve(FAST, lease=0.3)), HeldCall()
    toy.answer("place", call)
    async with open_flow(tmp_path, toy, worker=False) as caller:
        order = await send_order(caller)
        async with run_worker(tmp_path, toy) as worker:
            await call.begun.wait()
            await worker.stop(grace=0.01)
        async with run_worker(tmp_path, toy):
            await caller.wait(order.id, "in_doubt", timeout=60)
    assert toy.count_calls("place") == 1


async def test_a_worker_that_is_full_still_decides_deadlines_and_stops_in_time(tmp_path: Path) -> None:
    toy, call = Toy(timing=evolve(FAST, durations={**FAST.durations, "patience": 1.5}, poll_first=60.0)), HeldCall()
    async with open_flow(tmp_path, toy, worker=False) as caller, run_worker(tmp_path, toy, width=1) as worker:
        waiting = await send_order(caller, "waiting")
        await caller.wait(waiting.id, ("placed", "lapsed"), timeout=15)
        toy.answer("make_ready", call)
        await send_order(caller, "stuck")
        await call.begun.wait()
        await caller.wait(waiting.id, "lapsed", timeout=60)
        async with asyncio.timeout(5):
            await worker.stop(grace=0.01)


async def test_a_caller_that_is_cancelled_while_the_worker_drains_closes_store_and_provider(tmp_path: Path) -> None:
    toy, begun = Toy(timing=FAST), asyncio.Event()

    async def hang(order: Order) -> Outcome:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    toy.answer("make_ready", hang)

    async def serve() -> None:
        async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [toy], worker=True, grace=60.0) as flow:
            await send_order(flow)
            await begun.wait()

    task = asyncio.create_task(serve())
    await begun.wait()
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert toy.closed


# ── what it survives ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_worker_survives_a_database_that_fails(tmp_path: Path) -> None:
    toy, store = Toy(timing=FAST), CountingStore(tmp_path / "orders.db")
    async with open_flow(tmp_path, toy, store=store, fetch_interval=0.02) as flow:
        order = await flow.create("toy", key="k")
        execute(tmp_path, "ALTER TABLE of_effects RENAME TO of_elsewhere")
        with pytest.raises(OperationalError):
            await flow.send(order.id, "order_it")
        fetches = store.fetches
        async with asyncio.timeout(60):
            while store.fetches < fetches + 5:
                await asyncio.sleep(0.01)
        execute(tmp_path, "ALTER TABLE of_elsewhere RENAME TO of_effects")
        await flow.send(order.id, "order_it")
        await flow.wait(order.id, "placed", timeout=60)


async def test_a_deadline_that_cannot_be_decided_neither_spins_nor_holds_others_back(tmp_path: Path) -> None:
    """Its order lacks a fact, which stands for any bug."""
    toy, store = Toy(timing=FAST, status="delivered"), CountingStore(tmp_path / "orders.db")
    async with open_flow(tmp_path, toy, store=store, fetch_interval=0.5) as flow:
        other = await flow.create("toy", key="other")
        execute(tmp_path, "UPDATE of_orders SET state = 'lapsed', facts = '{}' WHERE id = ?", other.id)
        execute(
            tmp_path,
            "INSERT INTO of_deadlines (order_id, name, provider, version, due_at) VALUES (?, 'window_closed', 'toy', 1, 0)",
            other.id,
        )
        order = await send_order(flow)
        await flow.wait(order.id, "delivered", timeout=60)  # nothing else is due from here on
        fetches = store.fetches
        await asyncio.sleep(1.2)
        assert store.fetches - fetches < 8  # one each interval, not one after the other


async def test_a_deadline_behind_many_that_cannot_be_decided_comes_all_the_same(tmp_path: Path) -> None:
    """Their orders lack a fact. They have been due for longer than any other."""
    toy = Toy(timing=evolve(FAST, durations=dict.fromkeys(FAST.durations, 0.2), poll_first=60.0, poll_cap=60.0))
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [toy], worker=True, fetch_interval=0.05) as flow:
        others = [((await flow.create("toy", key=f"other {n}")).id,) for n in range(100)]
        with closing(sqlite3.connect(tmp_path / "orders.db", timeout=15)) as connection, connection:
            connection.execute("UPDATE of_orders SET state = 'lapsed', facts = '{}'")
            insert = "INSERT INTO of_deadlines (order_id, name, provider, version, due_at) VALUES (?, 'window_closed', 'toy', 1, 0)"
            connection.executemany(insert, others)
        order = await send_order(flow)
        await flow.wait(order.id, "lapsed", timeout=60)


async def test_an_order_that_fails_holds_back_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reply cannot be written, which stands for any bug. All other orders go on."""
    monkeypatch.setattr(outbox_module, "check_outcome", lambda _effect, outcome, *_: outcome)
    toy = Toy(timing=FAST)
    toy.answer("place", Succeeded("nonsense"))
    async with open_flow(tmp_path, toy) as flow:
        first, *others = [await flow.create("toy", key=str(n)) for n in range(3)]
        await flow.send(first.id, "order_it")
        await flow.wait(first.id, "sending", timeout=60)
        for order in others:
            await flow.send(order.id, "order_it")
            await flow.wait(order.id, "placed", timeout=60)
        assert (await flow.order(first.id)).state == "sending"
