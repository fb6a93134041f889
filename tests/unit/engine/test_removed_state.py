"""Orders in a state that this version of the lifecycle lacks: an operator can still help, and nothing else moves them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.kit.toy import FAST, Toy

from orderflow import Orderflow
from orderflow.errors import UnknownName, WaitTimeout
from orderflow.model import REDACTED, Applied, Order

pytestmark = pytest.mark.anyio
REMOVED = "awaiting_capture"


def open_flow(folder: Path) -> Orderflow:
    return Orderflow(f"sqlite:///{folder / 'orders.db'}", [Toy(timing=FAST)], worker=True, fetch_interval=0.02)


async def order_in_removed_state(folder: Path, *, before: str = "placed") -> Order:
    """An order that an older version of the lifecycle left in a state of its own."""
    async with open_flow(folder) as flow:
        order = await flow.create("toy", key="k")
        if before != "drafted":
            await flow.send(order.id, "order_it")
            await flow.wait(order.id, before, timeout=60)
    with closing(sqlite3.connect(folder / "orders.db", timeout=15)) as connection:
        connection.execute("UPDATE of_orders SET state = ?", (REMOVED,))
        connection.commit()
    return order


async def test_an_override_leads_out_of_it(tmp_path: Path) -> None:
    order = await order_in_removed_state(tmp_path)
    async with open_flow(tmp_path) as flow:
        order = await flow.order(order.id)
        assert order.state == REMOVED
        decision = await flow.override(order.id, "waiting", actor="anna", reason="the state was renamed", version=order.version)
        assert isinstance(decision, Applied)
        assert (await flow.order(order.id)).state == "waiting"
        last = (await flow.journal(order.id))[-1]
        assert (last.source, last.target) == (REMOVED, "waiting")
        assert {name for name, _ in (await flow.pending(order.id)).deadlines} == {"timed_out", "reminded"}


async def test_it_can_be_waited_for(tmp_path: Path) -> None:
    """A process with a newer version may move it, so it is not called out of reach."""
    order = await order_in_removed_state(tmp_path)
    async with open_flow(tmp_path) as flow:
        with pytest.raises(WaitTimeout) as timeout:
            await flow.wait(order.id, "waiting", timeout=0.2)
        assert timeout.value.state == REMOVED
        waiting = asyncio.create_task(flow.wait(order.id, "waiting", timeout=60))
        version = (await flow.order(order.id)).version
        await flow.override(order.id, "waiting", actor="anna", reason="renamed", version=version)
        assert (await waiting).state == "waiting"


async def test_it_can_be_redacted_and_pruned(tmp_path: Path) -> None:
    order = await order_in_removed_state(tmp_path, before="drafted")
    async with open_flow(tmp_path) as flow:
        assert isinstance(await flow.redact(order.id, actor="anna", reason="asked for"), Applied)
        assert (await flow.order(order.id)).snapshot.data.get(REDACTED) is True
        assert [batch async for batch in flow.prune(older_than=0.0)] == [[order.id]]
        with pytest.raises(UnknownName):
            await flow.order(order.id)


async def test_it_is_not_polled_and_its_poll_stays_planned(tmp_path: Path) -> None:
    """A process with another version may know the state."""
    order = await order_in_removed_state(tmp_path)
    toy = Toy(timing=FAST)
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [toy], worker=True, fetch_interval=0.02) as flow:
        with capture_logs() as logs:
            await flow.refresh(order.id)
            await asyncio.sleep(0.5)
        assert (await flow.pending(order.id)).next_poll_at is not None
    assert toy.polls == []
    assert [log for log in logs if log["event"] == "worker.item_failed"] == []


async def test_its_deadlines_are_left_alone_and_hide_none_behind_them(tmp_path: Path) -> None:
    """A process with another version may decide them."""
    order = await order_in_removed_state(tmp_path)
    with closing(sqlite3.connect(tmp_path / "orders.db", timeout=15)) as connection:
        connection.execute("UPDATE of_deadlines SET due_at = 1")
        connection.commit()
    async with open_flow(tmp_path) as flow:
        with capture_logs() as logs:
            await asyncio.sleep(0.5)
        assert [name for name, _ in (await flow.pending(order.id)).deadlines] == ["timed_out"]
        assert (await flow.refusals(order.id), (await flow.order(order.id)).state) == ([], REMOVED)
    assert [log for log in logs if log["event"] == "worker.item_failed"] == []


async def test_a_command_names_the_state_that_is_missing(tmp_path: Path) -> None:
    order = await order_in_removed_state(tmp_path, before="drafted")
    async with open_flow(tmp_path) as flow:
        with pytest.raises(UnknownName, match=REMOVED):
            await flow.send(order.id, "order_it")
        await flow.refresh(order.id)
        assert (await flow.order(order.id)).state == REMOVED
