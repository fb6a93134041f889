"""The contract of every store, first part: creating, deciding, the inbox, refusals, listing."""

from __future__ import annotations

import asyncio

import pytest
from attrs import evolve
from tests.kit.commits import NOW, Another, move, new_order, stay

from orderflow._store.ports import Store
from orderflow._store.records import Commit, InboxKey, Receipt
from orderflow.errors import KeyReused, UnknownName
from orderflow.model import Applied, Ignored, Order, Origin, Reason, RefusalRow

pytestmark = pytest.mark.anyio


# ── creating ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_same_key_makes_one_order(store: Store) -> None:
    first = await store.create(new_order("a", key="cart"), "content")
    await store.commit(first.id, None, move("sent"))
    again = await store.create(new_order("b", key="cart"), "content")
    assert (again.id, again.state) == (first.id, "sent")
    assert [order.id for order in await store.orders()] == [first.id]


async def test_a_key_with_other_content_is_refused(store: Store) -> None:
    await store.create(new_order("a", key="cart"), "content")
    with pytest.raises(KeyReused):
        await store.create(new_order("b", key="cart"), "other content")
    assert [order.id for order in await store.orders()] == ["toy-a"]


async def test_keys_of_two_providers_are_different_keys(store: Store) -> None:
    await store.create(new_order("a", key="cart"), "content")
    await store.create(new_order("b", provider="other", key="cart"), "other content")
    assert {order.id for order in await store.orders()} == {"toy-a", "other-b"}


async def test_creating_at_once_in_two_processes_makes_one_order(another: Another) -> None:
    stores = [await another() for _ in range(2)]
    orders = await asyncio.gather(*(stores[n % 2].create(new_order(str(n), key="cart"), "content") for n in range(20)))
    assert len({order.id for order in orders}) == 1


async def test_facts_and_data_come_back_as_they_were(store: Store) -> None:
    data: dict[str, object] = {"name": "Bjørk \u2603", "broken": "\ud800", "deep": {"n": [1, 2.5, None, True]}}
    order = await store.create(new_order(data=data), "content")
    stored = await store.load(order.id)
    assert (stored.snapshot.facts, stored.snapshot.data) == ({"paid": False}, data)


# ── deciding ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_decision_is_written_whole(store: Store) -> None:
    order = await store.create(new_order(), "content")
    receipt = await store.commit(order.id, None, move("sent", "taken", at=NOW + 5, facts={"paid": True}, data={"id": "x"}))
    assert isinstance(receipt.decision, Applied)
    stored = await store.load(order.id)
    assert (receipt.state, receipt.version) == (stored.state, stored.version) == ("taken", 2)
    assert stored.entered_at == NOW + 5
    assert (stored.snapshot.facts["paid"], stored.snapshot.data["id"]) == (True, "x")
    assert [(row.version, row.source, row.target) for row in await store.journal(order.id)] == [
        (1, "drafted", "sent"),
        (2, "sent", "taken"),
    ]


async def test_staying_in_a_state_does_not_enter_it(store: Store) -> None:
    order = await store.create(new_order(), "content")
    await store.commit(order.id, None, move("drafted", at=NOW + 5))
    stored = await store.load(order.id)
    assert (stored.version, stored.entered_at) == (1, NOW)


async def test_what_is_written_is_read_at_once_everywhere(another: Another) -> None:
    here, there = await another(), await another()
    order = await here.create(new_order(), "content")
    for n in range(1, 20):
        await here.commit(order.id, None, move(f"s{n}"))
        assert (await here.load(order.id)).version == (await there.load(order.id)).version == n


async def test_a_decider_that_raises_writes_nothing_and_does_not_harm_the_others(store: Store) -> None:
    orders = [await store.create(new_order(str(n)), "content") for n in range(20)]

    def broken(order: Order) -> Commit:
        raise ZeroDivisionError(order.id)

    deciders = [broken if n == 7 else move("sent") for n in range(20)]
    commits = (store.commit(order.id, None, decider) for order, decider in zip(orders, deciders, strict=True))
    results = await asyncio.gather(*commits, return_exceptions=True)
    assert [type(result).__name__ for result in results if isinstance(result, Exception)] == ["ZeroDivisionError"]
    states = [(await store.load(order.id)).state for order in orders]
    assert states == ["drafted" if n == 7 else "sent" for n in range(20)]
    assert await store.journal(orders[7].id) == []


async def test_a_decision_that_cannot_be_written_leaves_no_trace(store: Store) -> None:
    order = await store.create(new_order(), "content")
    key = InboxKey("reply", "once")
    with pytest.raises(TypeError):  # a set is no JSON: the write fails between the order's row and its inbox key
        await store.commit(order.id, key, move("sent", data={"bad": {1, 2}}, effects=["call"], deadlines=(("late", NOW),)))
    assert (await store.load(order.id)).version == 0
    assert await store.journal(order.id) == []
    assert isinstance((await store.commit(order.id, key, move("sent"))).decision, Applied)


async def test_an_unknown_order_in_a_burst_is_named_and_does_not_harm_the_others(store: Store) -> None:
    order = await store.create(new_order(), "content")
    unknown = [store.commit(f"toy-unknown-{n}", None, move("sent")) for n in range(5)]
    results = await asyncio.gather(*unknown, store.commit(order.id, None, move("sent")), return_exceptions=True)
    assert all(isinstance(result, UnknownName) for result in results[:5])
    assert (await store.load(order.id)).state == "sent"
    with pytest.raises(UnknownName):
        await store.load("toy-unknown-0")


async def test_a_burst_on_one_order_is_decided_in_order_and_leaves_no_gap(another: Another) -> None:
    here, there = await another(), await another()
    order = await here.create(new_order(), "content")
    burst = [(here if n % 3 else there).commit(order.id, None, move(f"s{n}")) for n in range(90)]
    await asyncio.gather(*burst)
    path = await here.journal(order.id)
    assert [row.version for row in path] == list(range(1, 91))
    assert [row.source for row in path] == ["drafted", *(row.target for row in path[:-1])]
    for is_of_one_store in (lambda n: n % 3, lambda n: not n % 3):
        arrived = [int(row.target[1:]) for row in path if is_of_one_store(int(row.target[1:]))]
        assert arrived == sorted(arrived)


async def test_a_caller_that_gives_up_does_not_undo_its_commit(store: Store) -> None:
    order = await store.create(new_order(), "content")
    cancelled = asyncio.create_task(store.commit(order.id, None, move("sent")))
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    receipt = await store.commit(order.id, None, move("taken"))  # behind it in the queue of the order
    assert [row.target for row in await store.journal(order.id)] == ["sent", "taken"]
    assert receipt.version == 2


# ── the inbox ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_duplicate_is_ignored_and_writes_nothing(store: Store) -> None:
    order = await store.create(new_order(), "content")
    key = InboxKey("reply", "r1")
    await store.commit(order.id, key, move("sent"))
    decided: list[Order] = []

    def decide(order: Order) -> Commit:
        decided.append(order)
        return move("taken", effects=["call"])(order)

    receipt = await store.commit(order.id, key, decide)
    assert receipt.decision == Ignored(Reason.DUPLICATE, "sent")
    assert (decided, receipt.version) == ([], 1)
    assert (await store.load(order.id)).version == 1
    assert await store.refusals(order.id) == []


async def test_of_duplicates_at_once_one_is_applied(another: Another) -> None:
    stores = [await another() for _ in range(2)]
    order = await stores[0].create(new_order(), "content")
    key = InboxKey("reply", "r1")
    receipts = await asyncio.gather(*(stores[n % 2].commit(order.id, key, move("sent")) for n in range(30)))
    assert sum(isinstance(receipt.decision, Applied) for receipt in receipts) == 1
    assert (await stores[1].load(order.id)).version == 1


async def test_a_refused_event_is_remembered_unless_it_may_come_again(store: Store) -> None:
    order = await store.create(new_order(), "content")
    await store.commit(order.id, InboxKey("command", "c"), stay(Reason.NOT_LEGAL_HERE))
    await store.commit(order.id, InboxKey("claim", "c"), stay(Reason.EARLY, keep_key=False))
    assert (await store.commit(order.id, InboxKey("command", "c"), move("sent"))).decision == Ignored(Reason.DUPLICATE, "drafted")
    assert isinstance((await store.commit(order.id, InboxKey("claim", "c"), move("sent"))).decision, Applied)


def key_of(order: Order, content: str) -> InboxKey:
    """The key ``k`` of a command with this content."""
    return InboxKey("command", f"{order.id} k", content)


async def test_a_used_key_with_other_content_is_refused_and_writes_nothing(store: Store) -> None:
    order = await store.create(new_order(), "content")
    await store.commit(order.id, key_of(order, "pay 7"), move("sent"))
    burst = [store.commit(order.id, key_of(order, content), move("taken")) for content in ("pay 8", "pay 7", "pay 9")]
    other, same, another = await asyncio.gather(*burst, return_exceptions=True)
    assert isinstance(other, KeyReused)
    assert isinstance(another, KeyReused)
    assert isinstance(same, Receipt)
    assert same.decision == Ignored(Reason.DUPLICATE, "sent")
    assert (await store.load(order.id)).version == 1
    assert await store.refusals(order.id) == []


@pytest.mark.parametrize(("stored", "given"), [("", "pay 7"), ("pay 7", ""), ("", "")])
async def test_without_a_fingerprint_a_used_key_matches_any_content(store: Store, stored: str, given: str) -> None:
    order = await store.create(new_order(), "content")
    await store.commit(order.id, key_of(order, stored), move("sent"))
    assert (await store.commit(order.id, key_of(order, given), move("taken"))).decision == Ignored(Reason.DUPLICATE, "sent")


async def test_of_two_contents_that_race_for_a_key_one_is_applied_and_the_other_is_refused(another: Another) -> None:
    stores = [await another() for _ in range(2)]
    order = await stores[0].create(new_order(), "content")
    burst = [stores[n % 2].commit(order.id, key_of(order, f"pay {n % 4 // 2}"), move(f"s{n % 4 // 2}")) for n in range(40)]
    results = await asyncio.gather(*burst, return_exceptions=True)
    winner = (await stores[1].load(order.id)).state
    by_content = [[type(r.decision if isinstance(r, Receipt) else r) for r in results[n::4] + results[n + 1 :: 4]] for n in (0, 2)]
    won, lost = by_content if winner == "s0" else reversed(by_content)
    assert sorted(kind.__name__ for kind in won) == ["Applied", *["Ignored"] * 19]
    assert set(lost) == {KeyReused}
    assert (await stores[1].load(order.id)).version == 1


# ── refusals and the flag ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_step_that_brings_an_anomaly_flags_the_order_that_it_leads_to(store: Store) -> None:
    order = await store.create(new_order(), "content")

    def decide(before: Order) -> Commit:
        row = RefusalRow(before.id, "answer_lost", Origin.REPLY, "in_doubt", Reason.ANOMALY, "it names T-1", 1, 1, NOW, NOW)
        return evolve(move("in_doubt")(before), refusal=row)

    await store.commit(order.id, None, decide)
    assert [(row.state, row.version, row.detail) for row in await store.refusals(order.id)] == [("in_doubt", 1, "it names T-1")]
    assert (await store.load(order.id)).flagged
    await store.commit(order.id, None, move("found"))
    assert not (await store.load(order.id)).flagged


async def test_two_thousand_refusals_are_one_row(store: Store) -> None:
    order = await store.create(new_order(), "content")
    for burst in range(10):
        await asyncio.gather(*(store.commit(order.id, None, stay(at=NOW + burst)) for _ in range(200)))
    (row,) = await store.refusals(order.id)
    assert (row.count, row.first_at, row.last_at, row.reason) == (2_000, NOW, NOW + 9, Reason.LATE)
    assert (await store.load(order.id)).version == 0


@pytest.mark.parametrize("count", [1, 5])
async def test_facts_and_data_that_a_move_leaves_alone_stay(store: Store, count: int) -> None:
    """Alone, and in company of moves that change the one or the other."""
    orders = [await store.create(new_order(str(n), data={"was": n}), "content") for n in range(count)]
    deciders = [move("sent"), move("sent", facts={"paid": True}), move("sent", data={"is": "new"}), move("sent"), move("taken")]
    await asyncio.gather(*(store.commit(order.id, None, decider) for order, decider in zip(orders, deciders[:count], strict=True)))
    snapshots = [(await store.load(order.id)).snapshot for order in orders]
    assert [snapshot.facts["paid"] for snapshot in snapshots] == [n == 1 for n in range(count)]
    assert [snapshot.data for snapshot in snapshots] == [{"was": n, "is": "new"} if n == 2 else {"was": n} for n in range(count)]


async def test_refusals_are_counted_by_event_state_and_reason(store: Store) -> None:
    order = await store.create(new_order(), "content")
    for decider in (stay(), stay(event="rang"), stay(Reason.EARLY), move("sent"), stay(), stay()):
        await store.commit(order.id, None, decider)
    counted = {(row.event, row.state, row.reason): (row.count, row.version) for row in await store.refusals(order.id)}
    assert counted == {
        ("knocked", "drafted", Reason.LATE): (1, 0),
        ("rang", "drafted", Reason.LATE): (1, 0),
        ("knocked", "drafted", Reason.EARLY): (1, 0),
        ("knocked", "sent", Reason.LATE): (2, 1),
    }


@pytest.mark.parametrize("reason", list(Reason))
async def test_an_anomaly_flags_the_order_until_it_moves(store: Store, reason: Reason) -> None:
    order = await store.create(new_order(), "content")
    expected = reason in (Reason.ANOMALY, Reason.UNKNOWN_STATUS, Reason.NOT_OURS, Reason.NO_USABLE_ANSWER)
    await store.commit(order.id, None, stay(reason))
    assert (await store.load(order.id)).flagged is expected
    assert [order.flagged for order in await store.orders()] == [expected]
    await store.commit(order.id, None, stay(Reason.LATE))
    assert (await store.load(order.id)).flagged is expected
    await store.commit(order.id, None, move("sent"))
    assert (await store.load(order.id)).flagged is False


async def test_the_same_anomaly_flags_again_after_a_step_that_stays(store: Store) -> None:
    order = await store.create(new_order(), "content")
    for flagged, decider in ((True, stay(Reason.ANOMALY)), (False, move("drafted")), (True, stay(Reason.ANOMALY))):
        await store.commit(order.id, None, decider)
        assert (await store.load(order.id)).flagged is flagged
    assert [(row.count, row.version) for row in await store.refusals(order.id)] == [(2, 1)]


# ── listing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_orders_are_listed_by_provider_state_and_age(store: Store) -> None:
    for n, (provider, state) in enumerate([("toy", "sent"), ("toy", "taken"), ("other", "sent"), ("toy", "sent")]):
        order = evolve(new_order(str(n), provider=provider), created_at=NOW + n)
        await store.create(order, "content")
        await store.commit(order.id, None, move(state, at=NOW + 10 * n))
    assert [order.id for order in await store.orders()] == ["toy-3", "other-2", "toy-1", "toy-0"]
    assert [order.id for order in await store.orders(provider="toy", state="sent")] == ["toy-3", "toy-0"]
    assert [order.id for order in await store.orders(state="sent", entered_before=NOW + 21)] == ["toy-0", "other-2"]
    assert [order.id for order in await store.orders(limit=2)] == ["toy-3", "other-2"]
