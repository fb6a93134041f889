"""The contract of every store: a row that cannot be read is named, and the others are served."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from structlog.testing import capture_logs
from tests.kit.commits import NOW, Another, move, new_order, scope, stay
from tests.kit.damage import run_sql

from orderflow._store.ports import Store
from orderflow._store.records import PollAt
from orderflow.errors import UnreadableRow
from orderflow.model import Order

pytestmark = pytest.mark.anyio

DAMAGE = {
    "cut off": "data = substr(data, 1, 5)",
    "empty": "facts = ''",
    "not JSON": "data = 'To whom it may concern'",
    "no object": "facts = '[]'",
    "a number": "data = '7'",
    "nested without end": f"data = '{'[' * 100_000}'",
}

IS_JSON = ("no object", "a number")


async def create_three(store: Store) -> list[Order]:
    return [await store.create(new_order(name, data={"request": {"name": "x"}}), "content") for name in ("a", "b", "c")]


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_damaged_order_is_named_and_the_others_are_served(store: Store, url: str, damage: str) -> None:
    first, damaged, last = await create_three(store)
    statement = f"UPDATE of_orders SET {DAMAGE[damage]} WHERE id = '{damaged.id}'"
    if url.startswith("postgresql") and damage not in IS_JSON:
        with pytest.raises(asyncpg.PostgresError):  # a column of type json takes nothing else
            await run_sql(url, statement)
        assert await store.load(damaged.id) == damaged
        return
    await run_sql(url, statement)
    with capture_logs() as logs:
        assert {order.id for order in await store.orders()} == {first.id, last.id}
        assert {order.id for order in (await store.list_inactive(NOW + 1, "", 10))[0]} == {first.id, last.id}
    assert [(entry["event"], entry["order_id"], entry["table"]) for entry in logs] == [("order.unreadable", damaged.id, "of_orders")] * 2
    for ask in (
        store.load(damaged.id),
        store.load_records(damaged.id),
        store.commit(damaged.id, None, stay()),
        store.create(new_order("b"), "content"),
    ):
        with pytest.raises(UnreadableRow, match=f"^order '{damaged.id}': its row in of_orders cannot be read") as raised:
            await ask
        assert (raised.value.order_id, raised.value.table) == (damaged.id, "of_orders")
    assert await store.load(first.id) == first


async def test_commits_of_others_share_no_fate_with_a_damaged_order(store: Store, url: str) -> None:
    orders = await create_three(store)
    await run_sql(url, f"UPDATE of_orders SET data = '[]' WHERE id = '{orders[1].id}'")
    results = await asyncio.gather(*(store.commit(order.id, None, move("sent")) for order in orders), return_exceptions=True)
    assert [isinstance(result, UnreadableRow) for result in results] == [False, True, False]
    assert [(await store.load(order.id)).version for order in (orders[0], orders[2])] == [1, 1]


async def test_a_damaged_effect_stays_leased_and_holds_back_no_other(store: Store, url: str) -> None:
    orders = await create_three(store)
    for order in orders:
        await store.commit(order.id, None, move("sent", effects=("place",)))
    await run_sql(url, f"UPDATE of_effects SET arguments = '{{\"cut' WHERE order_id = '{orders[1].id}'")
    with capture_logs() as logs:
        leased = await store.lease_effects(NOW + 1, scope("toy"), 10)
        again = await store.lease_effects(NOW + 1, scope("toy"), 10)
    assert {effect.key.order_id for effect in leased} == {orders[0].id, orders[2].id}
    assert again == []
    assert [(entry["event"], entry["order_id"], entry["table"]) for entry in logs] == [("order.unreadable", orders[1].id, "of_effects")]


@pytest.mark.parametrize(
    ("table", "change"), [("of_journal", "origin = 'oracle'"), ("of_journal", "facts = '{'"), ("of_refusals", "reason = 'x'")]
)
async def test_a_word_of_a_newer_version_is_named(store: Store, url: str, table: str, change: str) -> None:
    order, other, _ = await create_three(store)
    for one in (order, other):
        await store.commit(one.id, None, move("sent"))
        await store.commit(one.id, None, stay())
    await run_sql(url, f"UPDATE {table} SET {change} WHERE order_id = '{order.id}'")
    rows = store.journal if table == "of_journal" else store.refusals
    with pytest.raises(UnreadableRow, match=f"^order '{order.id}': its row in {table} cannot be read"):
        await rows(order.id)
    assert len(await rows(other.id)) == 1
    assert (await store.load(order.id)).version == 1


async def test_a_damaged_order_does_not_keep_a_second_process_from_opening(store: Store, url: str, another: Another) -> None:
    order, _, _ = await create_three(store)
    await store.commit(order.id, None, move("sent", poll=PollAt(NOW, 0, 1.0)))
    await run_sql(url, "UPDATE of_orders SET data = '[]'")
    reopened = await another()
    assert [poll.order_id for poll in await reopened.lease_polls(NOW + 1, scope("toy"), 10)] == [order.id]
    assert await reopened.orders() == []
