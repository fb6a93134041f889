"""What a worker makes of a store in trouble: an answer in its hands is kept, and what can never be brought stands in nobody's way."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve
from tests.kit.toy import FAST, Toy

from orderflow.app import Orderflow
from orderflow.errors import OperationalError
from orderflow.model import Order
from orderflow.provider.outcomes import NotExecuted, Outcome, Succeeded
from orderflow.store.records import Decider, DueDeadline, InboxKey, LeasedEffect, Receipt
from orderflow.store.sqlite.store import SqliteStore

pytestmark = pytest.mark.anyio


class Full(SqliteStore):
    """Reads, and writes nothing as long as its disk is full."""

    full = False
    refused: asyncio.Event

    async def commit(self, order_id: str, key: InboxKey | None, judge: Decider, deadline: DueDeadline | None = None) -> Receipt:
        self._look()
        return await super().commit(order_id, key, judge, deadline)

    async def retry_effect(self, effect: LeasedEffect, at: float, why: str, uncounted: bool = False) -> None:
        self._look()
        await super().retry_effect(effect, at, why, uncounted)

    def _look(self) -> None:
        if self.full:
            self.refused.set()
            raise OperationalError("orders.db: disk full")


@pytest.mark.parametrize("answer", [Succeeded("order_placed", provider_id="T-1"), NotExecuted("connect failure")], ids=["done", "not sent"])
async def test_the_answer_to_a_once_effect_outlives_a_store_in_trouble(tmp_path: Path, answer: Outcome) -> None:
    store, toy = Full(tmp_path / "orders.db"), Toy(timing=evolve(FAST, lease=60.0))
    store.refused = asyncio.Event()

    async def disk_fills_meanwhile(order: Order) -> Outcome:
        store.full = True
        return answer

    toy.will("place", disk_fills_meanwhile)
    async with Orderflow(store, [toy], worker=True, fetch_interval=0.05) as flow:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
        await store.refused.wait()
        store.full = False
        await flow.wait(order.id, "placed", timeout=10)
        assert "placement_answer_lost" not in [row.event for row in await flow.journal(order.id)]


async def test_an_answer_is_kept_no_longer_than_its_lease(tmp_path: Path) -> None:
    store, toy = Full(tmp_path / "orders.db"), Toy(timing=evolve(FAST, lease=1.5))
    store.refused = asyncio.Event()

    async def disk_fills_meanwhile(order: Order) -> Outcome:
        store.full = True
        return Succeeded("order_placed", provider_id="T-1")

    toy.will("place", disk_fills_meanwhile)
    async with Orderflow(store, [toy], worker=True, fetch_interval=0.05) as flow:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
        await store.refused.wait()
        async with asyncio.timeout(10):
            while flow._engine.worker._in_flight:
                await asyncio.sleep(0.02)
        store.full = False
        await flow.wait(order.id, "in_doubt", timeout=10)
        assert toy.called("place") == 1


async def test_deadlines_behind_many_that_cannot_be_brought_come_all_the_same(tmp_path: Path) -> None:
    """A later lifecycle dropped their event; they are due for longer than any other."""
    toy = Toy(timing=evolve(FAST, durations=dict.fromkeys(FAST.durations, 0.2), poll_first=60.0, poll_cap=60.0))
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [toy], worker=True, fetch_interval=0.05) as flow:
        ghost = await flow.create("toy", key="ghost")
        with closing(sqlite3.connect(tmp_path / "orders.db", timeout=15)) as connection, connection:
            dropped = [(ghost.id, f"dropped_{n}") for n in range(100)]
            connection.executemany("INSERT INTO of_deadlines VALUES (?, ?, 'toy', 1, 0)", dropped)
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
        await flow.wait(order.id, "lapsed", timeout=10)


async def test_who_is_cancelled_while_a_worker_drains_lets_go_of_the_store(tmp_path: Path) -> None:
    toy, draining = Toy(timing=FAST), asyncio.Event()

    async def hangs(order: Order) -> Outcome:
        draining.set()
        await asyncio.Event().wait()
        raise AssertionError

    toy.will("make_ready", hangs)

    async def serve() -> None:
        async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [toy], worker=True, grace=60.0) as flow:
            order = await flow.create("toy", key="k")
            await flow.send(order.id, "order_it")
            await draining.wait()

    task = asyncio.create_task(serve())
    await draining.wait()
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert toy.closed
