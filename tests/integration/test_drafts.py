"""Drafts of both providers: their deadline, the command that discards them, and how they are deleted."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.kit.world import ccv_request, connect_request

from orderflow import Ccv, Connect, Orderflow
from orderflow.model import Applied, Refused
from orderflow.simulators import SimClock

pytestmark = pytest.mark.anyio

DAY = 86400.0
REQUESTS: dict[str, tuple[dict[str, Any], str]] = {"connect": (connect_request(), "register"), "ccv": (ccv_request(), "submit")}


def open_flow(folder: Path, clock: SimClock) -> Orderflow:
    """Both providers over a database file."""
    return Orderflow(f"sqlite:///{folder / 'orders.db'}", [Connect.offline(), Ccv.offline()], clock=clock)


@pytest.mark.parametrize("provider", REQUESTS)
async def test_a_draft_has_thirty_days_and_can_be_discarded_and_then_deleted(provider: str, tmp_path: Path) -> None:
    request, sends = REQUESTS[provider]
    clock = SimClock(start=1000.0, manual=True)
    async with open_flow(tmp_path, clock) as flow:
        order = await flow.create(provider, key="cart", **request)
        view = await flow.view(order.id)
        assert (view.pending.deadlines, view.commands) == ((("draft_expired", 1000 + 30 * DAY),), (sends, "discard"))
        assert [order_id async for page in flow.prune(older_than=0, dry_run=True) for order_id in page] == []

        assert isinstance(await flow.send(order.id, "discard"), Applied)
        view = await flow.view(order.id)
        assert (view.order.state, view.settled, view.pending.deadlines, view.commands) == ("discarded", True, (), ())
        for command in (sends, "discard"):
            assert isinstance(await flow.send(order.id, command), Refused)
        assert (await flow.replay(order.id, 1)).state == "discarded"
        clock.advance(1.0)
        assert [order_id async for page in flow.prune(older_than=0) for order_id in page] == [order.id]
        assert (await flow.create(provider, key="cart", **request)).id != order.id


@pytest.mark.parametrize("provider", REQUESTS)
async def test_a_draft_that_an_older_version_created_has_no_deadline_and_can_be_discarded(provider: str, tmp_path: Path) -> None:
    async with open_flow(tmp_path, SimClock(start=1000.0, manual=True)) as flow:
        order = await flow.create(provider, key="cart", **REQUESTS[provider][0])
        with closing(sqlite3.connect(tmp_path / "orders.db")) as connection, connection:
            connection.execute("DELETE FROM of_deadlines")  # as an older version left it
    async with open_flow(tmp_path, SimClock(start=1000.0, manual=True)) as flow:
        assert (await flow.view(order.id)).pending.deadlines == ()
        assert isinstance(await flow.send(order.id, "discard"), Applied)
