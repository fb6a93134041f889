"""The contract of every store: a provider's id belongs to one order of the provider."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from attrs import evolve
from tests.kit.commits import NOW, Another, learn, move, new_order, stay

from orderflow._store.ports import Store
from orderflow._store.records import Commit, IdChange, InboxKey
from orderflow.errors import InvalidInput, UnknownName
from orderflow.model import PROVIDER_ID, Applied, JournalRow, Order, Origin, Reason, Refused

pytestmark = pytest.mark.anyio


async def create(store: Store, *names: str, provider: str = "toy") -> list[Order]:
    return [await store.create(new_order(name, provider=provider), "content") for name in names]


async def holders(store: Store, orders: Sequence[Order]) -> list[str]:
    """The orders that have a provider's id. The one that is found by an id must be the one that has it."""
    having = [order for order in [await store.load(order.id) for order in orders] if order.provider_id]
    for order in having:
        assert await store.find_by_provider_id(order.provider, order.provider_id or "") == order
    return [order.id for order in having]


async def test_an_order_is_found_by_the_id_that_it_learned(store: Store) -> None:
    a, b = await create(store, "a", "b")
    await store.commit(a.id, None, learn("N-1"))
    await store.commit(b.id, None, learn("N-2"))
    assert await holders(store, [a, b]) == [a.id, b.id]
    for provider, provider_id in (("toy", "N-3"), ("other", "N-1"), ("toy", "")):
        with pytest.raises(UnknownName):
            await store.find_by_provider_id(provider, provider_id)


async def test_an_id_of_another_order_is_not_taken_and_the_refusal_names_that_order(store: Store) -> None:
    a, b = await create(store, "a", "b")
    await store.commit(a.id, None, learn("N-1"))
    key = InboxKey("reply", "k")
    receipt = await store.commit(b.id, key, learn("N-1", effects=["call"]))
    assert isinstance(receipt.decision, Refused)
    assert (receipt.state, receipt.version) == ("drafted", 0)
    stored = await store.load(b.id)
    assert (stored.version, stored.provider_id, stored.flagged) == (0, None, True)
    assert [row.detail for row in await store.refusals(b.id)] == ["N-1 belongs to toy-a"]
    assert (await store.pending(b.id)).effects == ()
    assert (await store.commit(b.id, key, move("sent"))).decision.reason is Reason.DUPLICATE  # type: ignore[union-attr]
    assert await holders(store, [a, b]) == [a.id]


async def test_what_is_written_instead_may_move_the_order_and_flag_it_where_it_then_stands(store: Store) -> None:
    a, b = await create(store, "a", "b")
    await store.commit(a.id, None, learn("N-1"))

    def doubt(order: Order) -> Commit:
        refusal = stay(Reason.NOT_OURS)(order).refusal
        assert refusal is not None
        instead = evolve(move("in_doubt")(order), refusal=evolve(refusal, version=1))
        return evolve(learn("N-1")(order), id_change=IdChange("N-1", "", lambda holder: instead))

    receipt = await store.commit(b.id, None, doubt)
    assert isinstance(receipt.decision, Applied)
    stored = await store.load(b.id)
    assert (stored.state, stored.version, stored.provider_id, stored.flagged) == ("in_doubt", 1, None, True)


async def test_two_providers_may_give_the_same_id(store: Store) -> None:
    (a,), (b,) = await create(store, "a"), await create(store, "b", provider="other")
    for order in (a, b):
        assert isinstance((await store.commit(order.id, None, learn("N-1"))).decision, Applied)
    assert await holders(store, [a, b]) == [a.id, b.id]


@pytest.mark.parametrize("processes", [1, 2])
async def test_of_orders_that_learn_one_id_at_once_one_gets_it_and_the_others_name_it(another: Another, processes: int) -> None:
    stores = [await another() for _ in range(processes)]
    orders = await create(stores[0], *map(str, range(12)))
    bystanders = await create(stores[0], *map("other{}".format, range(6)))
    learning = [stores[n % processes].commit(order.id, InboxKey("reply", order.id), learn("N-1")) for n, order in enumerate(orders)]
    moving = [stores[n % processes].commit(order.id, None, learn(f"N-{order.id}")) for n, order in enumerate(bystanders)]
    receipts = await asyncio.gather(*learning, *moving)
    (winner,) = await holders(stores[0], orders)
    assert [isinstance(receipt.decision, Applied) for receipt in receipts[12:]] == [True] * 6
    for order, receipt in zip(orders, receipts, strict=False):
        assert isinstance(receipt.decision, Applied) == (order.id == winner)
        details = [(row.count, row.detail) for row in await stores[0].refusals(order.id)]
        assert details == ([] if order.id == winner else [(1, f"N-1 belongs to {winner}")])
        assert len(await stores[0].journal(order.id)) == (order.id == winner)


async def test_an_id_that_is_given_up_can_be_taken_by_another_order(store: Store) -> None:
    a, b = await create(store, "a", "b")
    await store.commit(a.id, None, learn("N-1"))
    await store.commit(a.id, None, learn("N-2"))
    await store.commit(b.id, None, learn("N-1"))
    assert [(await store.load(order.id)).provider_id for order in (a, b)] == ["N-2", "N-1"]
    assert await holders(store, [a, b]) == [a.id, b.id]

    def forget(order: Order) -> Commit:
        moved = move("drafted", data={PROVIDER_ID: None})(order)
        return evolve(moved, id_change=IdChange("", "N-2", lambda holder: moved))

    assert isinstance((await store.commit(a.id, None, forget)).decision, Applied)
    with pytest.raises(UnknownName):
        await store.find_by_provider_id("toy", "N-2")
    await store.commit(b.id, None, learn("N-2"))
    assert await holders(store, [a, b]) == [b.id]


async def test_a_commit_that_is_not_written_takes_no_id(store: Store) -> None:
    a, b = await create(store, "a", "b")
    with pytest.raises(TypeError):
        await store.commit(a.id, None, learn("N-1", facts={"bad": {1}}))
    await store.commit(b.id, None, learn("N-1"))
    assert await holders(store, [a, b]) == [b.id]


async def test_an_order_may_be_created_with_an_id_that_no_other_has(store: Store) -> None:
    a = await store.create(new_order("a", data={PROVIDER_ID: "N-1"}), "content")
    with pytest.raises(InvalidInput, match="belongs to the order toy-a"):
        await store.create(new_order("b", data={PROVIDER_ID: "N-1"}), "content")
    assert await store.create(new_order("c", key=a.key, data={PROVIDER_ID: "N-1"}), "content") == a
    assert [order.id for order in await store.orders()] == [a.id]
    b = await store.create(new_order("b"), "content")  # its key was not taken
    assert await holders(store, [a, b]) == [a.id]


async def test_an_id_goes_with_its_order_and_stays_when_the_order_is_redacted(store: Store) -> None:
    a, b = await create(store, "a", "b")
    await store.commit(a.id, None, learn("N-1"))
    await store.commit(b.id, None, learn("N-2"))
    now = await store.load(a.id)
    redacted = evolve(now, snapshot=evolve(now.snapshot, version=2, data={PROVIDER_ID: "N-1"}))
    assert await store.redact(redacted, JournalRow(a.id, 2, "redacted", Origin.OPERATOR, "placed", "placed", "redaction", NOW)) is None
    assert await holders(store, [a, b]) == [a.id, b.id]
    assert await store.delete([await store.load(a.id)], NOW + 10) == [a.id]
    with pytest.raises(UnknownName):
        await store.find_by_provider_id("toy", "N-1")
    await store.commit(b.id, None, learn("N-1"))
    assert await holders(store, [b]) == [b.id]
