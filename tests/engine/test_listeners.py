"""Who is told of what, across processes: a listener that could not be saved, and one that came later, is heard of all the same."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from engine.toy import Toy, bench
from orderflow.app import Orderflow
from orderflow.errors import OperationalError
from orderflow.records import Told
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


async def test_a_process_that_only_hears_or_commands_learns_whom_others_tell(tmp_path: Path) -> None:
    """It began before anybody listened, and creates nothing."""
    url, told = f"sqlite:///{tmp_path / 'orders.db'}", list[Told]()
    async with Orderflow(url, [Toy()]) as desk:
        order = await desk.create("toy", key="k")
        desk._clock.now  # noqa: B018
        async with Orderflow(url, [Toy()]) as listener:
            listener.on("toy", entered="preparing", run=told.append)
            await listener._door.meet_listeners()
            desk._door._met_at -= 60  # a minute passes
            await desk.tell(order.id, "order_it")
            assert [row.about for row in (await listener.pending(order.id)).effects if row.about] == ["preparing"]
