"""The journal as it is stored: a row of the creation, and in each row what its step set. With these an order is replayed."""

from __future__ import annotations

import pytest
from attrs import evolve
from tests.kit import version_0_1
from tests.kit.commits import NOW, Another, move, new_order
from tests.kit.damage import run_sql
from tests.kit.retention import open_flow, prune_all, put_order
from tests.kit.toy import Toy

from orderflow._app import Orderflow
from orderflow._engine.replay import replay
from orderflow._store.ports import Store
from orderflow.errors import InvalidInput, NotReplayable, UnknownName
from orderflow.model import PROVIDER_ID, REDACTED, JournalRow, OrderHistory, Origin, StepKind

pytestmark = pytest.mark.anyio
SECRET = "kari.canary@example.org"
ODD = {"text": 'a "b" \\ \0 \ud800 Bjørk', "nested": {"list": [1, True, None, 1.5]}, "": ""}


# ── what is stored ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_has_a_row_of_its_creation_which_is_no_step(store: Store) -> None:
    order = await store.create(new_order(data=ODD), "content")
    creation = JournalRow(order.id, 0, "create", Origin.COMMAND, "", "drafted", StepKind.CREATED, NOW, "", {"paid": False}, ODD)
    assert await store.journal(order.id, creation=True) == [creation]
    assert await store.journal(order.id) == []
    await store.create(new_order(data={"another": "request"}), "content")
    assert await store.journal(order.id, creation=True) == [creation]


async def test_each_row_holds_what_its_step_set(store: Store) -> None:
    order = await store.create(new_order(), "content")
    await store.commit(order.id, None, move("sent", facts={"paid": True}, data=ODD))
    await store.commit(order.id, None, move("done"))
    rows = await store.journal(order.id)
    assert [(row.facts, row.data) for row in rows] == [({"paid": True}, ODD), ({}, {})]
    assert replay(order.id, await store.journal(order.id, creation=True)) == (await store.load(order.id)).snapshot


async def test_a_step_that_does_not_say_what_it_set_stays_unknown(store: Store) -> None:
    order = await store.create(new_order(), "content")
    commit = move("sent")(order)
    silent = evolve(commit, journal=(evolve(commit.journal[0], facts=None, data=None),))
    await store.commit(order.id, None, lambda _: silent)
    (row,) = await store.journal(order.id)
    assert (row.facts, row.data) == (None, None)


# ── through the API ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_is_replayed_at_each_version(url: str) -> None:
    async with open_flow(url) as (flow, _):
        order = await flow.create("toy", key="k", email=SECRET)
        stored = [order.snapshot]
        await flow.send(order.id, "order_it", note="in a hurry")
        stored.append((await flow.order(order.id)).snapshot)
        await flow.override(order.id, "shipped", actor="kim", reason="seen", version=1)
        stored.append((await flow.order(order.id)).snapshot)
        assert [await flow.replay(order.id, version) for version in range(3)] == stored
        assert await flow.replay(order.id) == stored[-1]
        with pytest.raises(InvalidInput, match="version: must be a whole number between 0 and 2"):
            await flow.replay(order.id, 3)
        with pytest.raises(UnknownName):
            await flow.replay("toy-unknown")


async def test_a_redaction_removes_the_data_of_every_version(url: str) -> None:
    async with open_flow(url) as (flow, _):
        order = await flow.create("toy", key="k", email=SECRET)
        await flow.send(order.id, "order_it", email=SECRET)
        await flow.override(order.id, "shipped", actor="kim", reason="seen", version=1)
        facts = [(await flow.replay(order.id, version)).facts for version in range(3)]
        for _ in range(2):  # redacted again, it stays what it is
            await flow.redact(order.id, actor="kim", reason="ticket 7")
            redacted = await flow.order(order.id)
            assert await flow.replay(order.id) == redacted.snapshot
            assert redacted.snapshot.data == {REDACTED: True}
            earlier = [await flow.replay(order.id, version) for version in range(3)]
            assert [snapshot.data for snapshot in earlier] == [{}, {}, {}]
            assert [snapshot.facts for snapshot in earlier] == facts


async def test_a_redacted_order_that_moves_on_is_replayed_as_it_is_stored(url: str) -> None:
    async with open_flow(url) as (flow, _):
        order = await put_order(flow, "in_doubt")
        await flow.resolve(order.id, "placement_resolved", actor="kim", reason="found", number="T-7")
        await flow.override(order.id, "shipped", actor="kim", reason="seen", version=2)
        await flow.redact(order.id, actor="kim", reason="ticket 7")
        await flow.override(order.id, "drafted", actor="kim", reason="again", version=4)
        await flow.send(order.id, "order_it", email=SECRET)
        stored = await flow.order(order.id)
        assert (stored.version, stored.snapshot.data) == (6, {PROVIDER_ID: "T-7", REDACTED: True})
        assert await flow.replay(order.id) == stored.snapshot
        assert SECRET not in str([row.data for row in await flow.journal(order.id)])


async def test_an_export_holds_the_creation_and_can_be_replayed(url: str) -> None:
    exported: list[OrderHistory] = []
    async with open_flow(url) as (flow, clock):
        order = await put_order(flow, "shipped", email=SECRET)
        clock.advance(1e10)
        assert await prune_all(flow, export=exported.extend) == [order.id]
        assert await flow._store.journal(order.id, creation=True) == []
    (history,) = exported
    assert [row.version for row in history.journal] == [0, 1]
    assert replay(order.id, history.journal) == history.order.snapshot


# ── what older versions wrote ────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_from_an_older_version_is_not_replayed(url: str, another: Another) -> None:
    await version_0_1.make(url)
    store = await another()
    async with Orderflow(url, [Toy()]) as flow:
        for version in (None, 0, 2):
            with pytest.raises(
                NotReplayable, match="toy-notify: its journal does not hold what version 0 set: an older orderflow wrote it"
            ):
                await flow.replay("toy-notify", version)
        await flow.override("toy-notify", "shipped", actor="kim", reason="seen", version=3)
        with pytest.raises(NotReplayable):
            await flow.replay("toy-notify")
        new = await flow.create("toy", key="new")
        assert await flow.replay(new.id) == new.snapshot
    assert [(row.version, row.facts) for row in await store.journal("toy-notify", creation=True)] == [
        (1, None),
        (2, None),
        (3, None),
        (4, {}),
    ]


async def test_a_step_that_an_older_process_wrote_meanwhile_is_not_passed_over(url: str) -> None:
    async with open_flow(url) as (flow, _):
        order = await put_order(flow, "shipped")
        await flow.override(order.id, "refused", actor="kim", reason="late", version=1)
        await run_sql(url, f"UPDATE of_journal SET facts = NULL, data = NULL WHERE order_id = '{order.id}' AND version = 2")
        assert (await flow.replay(order.id, 1)).state == "shipped"
        with pytest.raises(NotReplayable, match="version 2"):
            await flow.replay(order.id)
