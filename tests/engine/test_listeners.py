"""Who is told of what, across processes: a listener that could not be saved, and one that came later, is heard of all the same."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from engine.toy import Toy, bench
from orderflow.app import Orderflow
from orderflow.errors import OperationalError
from orderflow.records import Told
from orderflow.simkit import SimClock
from orderflow.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


class Away(SqliteStore):
    """Cannot be reached while it is asked to remember listeners."""

    away = False

    async def listen(self, pairs: Collection[tuple[str, str]]) -> None:
        if self.away:
            raise OperationalError("orders.db: away")
        await super().listen(pairs)


async def test_a_listener_that_the_database_did_not_take_is_saved_later(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.door.store = away = Away(tmp_path / "orders.db")
        await away.open()
        made.listen("placed")
        away.away = True
        with pytest.raises(OperationalError):
            await made.door.meet_listeners()
        away.away = False
        await made.door.meet_listeners()
        assert await away.listeners() == {("toy", "placed")}
        await away.close()


@pytest.mark.parametrize("by", ["command", "claim"])
async def test_a_process_that_creates_nothing_learns_whom_others_tell(tmp_path: Path, by: str) -> None:
    """It began before anybody listened; all that it does is passing on commands, and hearing claims."""
    url, clock, told = f"sqlite:///{tmp_path / 'orders.db'}", SimClock(start=1e6, manual=True), list[Told]()
    settings = {"clock": clock, "public_url": "https://shop.example/orders", "link_keys": {"k": "a key of sixteen bytes"}}
    async with Orderflow(url, [Toy()], **settings) as desk, Orderflow(url, [Toy()], **settings) as listener:
        order = await desk.create("toy", key="k")
        state = "preparing" if by == "command" else "waiting"
        listener.on("toy", entered=state, run=told.append)
        await listener._door.meet_listeners()
        if by == "claim":
            await listener.override(order.id, "placed", by="a test", reason="to be claimed", version=0)
        clock.advance(10.0)
        if by == "command":
            await desk.tell(order.id, "order_it")
        else:
            url_of_order = desk._links.url("toy", "came", order.id)
            assert url_of_order is not None
            await desk.hear("GET", url_of_order.removeprefix("https://shop.example/orders"))
        assert (await desk.order(order.id)).state == state
        assert [row.about for row in (await listener.pending(order.id)).effects if row.about] == [state]
