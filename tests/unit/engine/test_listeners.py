"""Who is told of what, across processes: a listener that could not be saved, and one that came later, is heard of all the same.

One that is in the code no more is forgotten by an operator.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import pytest
from tests.kit.toy import Toy, bench

from orderflow.app import Orderflow
from orderflow.blocking import SyncOrderflow
from orderflow.engine import listeners
from orderflow.errors import InvalidInput, OperationalError, UnknownName
from orderflow.model import Applied, Listener, Order, StateEntered
from orderflow.simulators import SimClock
from orderflow.store.sqlite.store import SqliteStore

pytestmark = pytest.mark.anyio


class Away(SqliteStore):
    """Cannot be reached while it is asked to remember listeners."""

    away = False

    async def add_listeners(self, pairs: Collection[tuple[str, str]]) -> None:
        if self.away:
            raise OperationalError("orders.db: away")
        await super().add_listeners(pairs)


async def test_a_listener_that_the_database_did_not_take_is_saved_later(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.inbox.store = away = Away(tmp_path / "orders.db")
        await away.open()
        made.add_listeners("placed")
        away.away = True
        with pytest.raises(OperationalError):
            await made.inbox.refresh_listeners()
        away.away = False
        await made.inbox.refresh_listeners()
        assert await away.listeners() == {("toy", "placed")}
        await away.close()


@pytest.mark.parametrize("by", ["command", "claim"])
async def test_a_process_that_creates_nothing_learns_whom_others_tell(tmp_path: Path, by: str) -> None:
    """It began before anybody listened; all that it does is passing on commands, and hearing claims."""
    url, clock, told = f"sqlite:///{tmp_path / 'orders.db'}", SimClock(start=1e6, manual=True), list[StateEntered]()
    settings = {"clock": clock, "public_url": "https://shop.example/orders", "signing_keys": {"k": "a key of sixteen bytes"}}
    async with Orderflow(url, [Toy()], **settings) as desk, Orderflow(url, [Toy()], **settings) as listener:
        order = await desk.create("toy", key="k")
        state = "preparing" if by == "command" else "waiting"
        listener.on_entered("toy", state, told.append)
        await listener._inbox.refresh_listeners()
        if by == "claim":
            await listener.override(order.id, "placed", by="a test", reason="to be claimed", version=0)
        clock.advance(10.0)
        if by == "command":
            await desk.send(order.id, "order_it")
        else:
            url_of_order = desk._links.url("toy", "came", order.id)
            assert url_of_order is not None
            await desk.handle_request("GET", url_of_order.removeprefix("https://shop.example/orders"))
        assert (await desk.order(order.id)).state == state
        assert [row.entered_state for row in (await listener.pending(order.id)).effects if row.entered_state] == [state]


# ── who is gone ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'orders.db'}"


async def left_behind(url: str, count: int = 1) -> list[Order]:
    """Settled orders of which a listener was never told that is in the code no more."""
    async with Orderflow(url, [Toy()]) as shop:
        shop.on_entered("toy", "abandoned", lambda told: None)
        await shop._inbox.refresh_listeners()
        orders = [await shop.create("toy", key=str(n)) for n in range(count)]
        for order in orders:
            await shop.override(order.id, "abandoned", by="a test", reason="to stand there", version=0)
    return orders


async def test_a_listener_that_is_gone_is_forgotten_and_its_orders_may_go(url: str) -> None:
    kept, gone = await left_behind(url, 2)
    async with Orderflow(url, [Toy()], clock=SimClock(start=4e9, manual=True)) as flow:
        assert await flow.listeners() == [Listener("toy", "abandoned", 2)]
        assert not isinstance(await flow.redact(kept.id, by="dpo", reason="asked"), Applied)
        assert [batch async for batch in flow.prune(older_than=0.0)] == []
        assert await flow.remove_listener("toy", "abandoned", by="olga", reason="the shop does not ship any more") == 2
        assert await flow.listeners() == []
        assert isinstance(await flow.redact(kept.id, by="dpo", reason="asked"), Applied)
        assert [batch async for batch in flow.prune(older_than=0.0)] == [[gone.id]]
        with pytest.raises(UnknownName, match="unknown listener: 'toy abandoned'"):
            await flow.remove_listener("toy", "abandoned", by="olga", reason="again")


async def test_who_forgot_and_why_stands_with_each_telling(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "_BATCH", 2)
    await left_behind(url, 5)
    async with Orderflow(url, [Toy()]) as flow:
        assert await flow.remove_listener("toy", "abandoned", by=" olga ", reason="gone") == 5
    with closing(sqlite3.connect(tmp_path / "orders.db")) as connection:
        assert connection.execute("SELECT why, count(*) FROM of_effects WHERE owed = 0 GROUP BY 1").fetchall() == [
            ("forgotten by olga: gone", 5)
        ]


@pytest.mark.parametrize(("by", "reason", "field"), [("", "gone", "by"), ("olga", "  ", "reason")])
async def test_nobody_is_forgotten_without_a_name_and_a_reason(url: str, by: str, reason: str, field: str) -> None:
    await left_behind(url)
    async with Orderflow(url, [Toy()]) as flow:
        with pytest.raises(InvalidInput) as error:
            await flow.remove_listener("toy", "abandoned", by=by, reason=reason)
        assert error.value.field == field
        assert await flow.listeners() == [Listener("toy", "abandoned", 1)]


async def test_what_is_owed_behind_the_back_of_the_forgetting_is_seen_and_ended_by_doing_it_again(url: str) -> None:
    """Another process learns only seconds later that nobody listens any more."""
    await left_behind(url)
    clock = SimClock(start=1e9, manual=True)
    async with Orderflow(url, [Toy()], clock=clock) as desk, Orderflow(url, [Toy()]) as flow:
        order = await desk.create("toy", key="late")
        await flow.remove_listener("toy", "abandoned", by="olga", reason="gone")
        await desk._inbox.override(order.id, "abandoned", by="a test", reason="knows of no forgetting", version=0)
        assert await flow.listeners() == [Listener("toy", "abandoned", 1)]
        assert await flow.remove_listener("toy", "abandoned", by="olga", reason="gone") == 1
        clock.advance(10.0)
        await desk.send((await desk.create("toy", key="later")).id, "order_it")
        await desk._inbox.override(order.id, "placed", by="a test", reason="as before", version=1)
        await desk._inbox.override(order.id, "abandoned", by="a test", reason="as before", version=2)
        assert await flow.listeners() == []


async def test_who_forgets_owes_nothing_more_from_then_on(url: str) -> None:
    async with Orderflow(url, [Toy()]) as shop:
        shop.on_entered("toy", "preparing", lambda told: None)
        await shop._inbox.refresh_listeners()
    async with Orderflow(url, [Toy()]) as flow:
        order = await flow.create("toy", key="k")
        await flow.remove_listener("toy", "preparing", by="olga", reason="gone")
        await flow.send(order.id, "order_it")
        assert await flow.listeners() == []


async def test_a_process_that_still_listens_is_remembered_when_it_starts(url: str) -> None:
    await left_behind(url)
    async with Orderflow(url, [Toy()]) as flow:
        await flow.remove_listener("toy", "abandoned", by="olga", reason="gone")
        await left_behind(url, 2)
        assert await flow.listeners() == [Listener("toy", "abandoned", 1)]  # of the one that entered the state since


def test_the_same_without_await(tmp_path: Path) -> None:
    with SyncOrderflow(f"sqlite:///{tmp_path / 'orders.db'}", [Toy()]) as flow:
        assert flow.listeners() == []
        with pytest.raises(UnknownName):
            flow.remove_listener("toy", "placed", by="olga", reason="gone")
