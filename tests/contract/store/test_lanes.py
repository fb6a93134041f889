"""The contract of every store: effects are leased lane by lane, and the notifications of one order in order."""

from __future__ import annotations

import pytest
from attrs import evolve
from tests.kit.commits import LEASE, NOW, move, new_order, scope

from orderflow._store.ports import Store
from orderflow._store.records import PollAt
from orderflow.model import NOTIFY_LISTENER

pytestmark = pytest.mark.anyio
BOTH = scope("toy", "other")
LISTENING = scope("toy", notifiable=[("toy", "sent"), ("toy", "done")])


async def _owe(store: Store, name: str, provider: str = "toy", at: float = NOW, *, poll: bool = False) -> None:
    order = await store.create(new_order(name, provider=provider), "content")
    await store.commit(order.id, None, move("sent", effects=["call"], at=at, poll=PollAt(at, 0, 1.0) if poll else None))


async def _enter(store: Store, order_id: str, *states: str) -> None:
    for state in states:
        await store.commit(order_id, None, move(state, effects=[NOTIFY_LISTENER], entered_state=state))


async def test_of_each_lane_no_more_is_leased_than_its_quota_and_the_others_do_not_wait(store: Store) -> None:
    for n in range(5):
        await _owe(store, f"t{n}", poll=True)
    await _owe(store, "o", "other", at=NOW + 5, poll=True)
    limited = evolve(BOTH, quotas={("toy", ""): 2}, poll_quotas={"toy": 1})
    assert [effect.provider for effect in await store.lease_effects(NOW + 9, limited, 10)] == ["toy", "toy", "other"]
    assert [poll.provider for poll in await store.lease_polls(NOW + 9, limited, 10)] == ["toy", "other"]


async def test_a_lane_without_room_is_not_leased_from_and_nothing_of_it_is_due(store: Store) -> None:
    await _owe(store, "t", poll=True)
    full = evolve(BOTH, quotas={("toy", ""): 0}, poll_quotas={"toy": 0})
    assert await store.lease_effects(NOW, full, 10) == []
    assert await store.lease_polls(NOW, full, 10) == []
    assert await store.next_due(full) is None
    assert await store.next_due(evolve(full, poll_quotas={})) == NOW


async def test_of_all_lanes_what_is_due_for_longest_is_leased_first(store: Store) -> None:
    for n, provider in ((3, "toy"), (1, "other"), (2, "toy"), (0, "other")):
        await _owe(store, str(n), provider, NOW + n, poll=True)
    assert [effect.key.order_id[-1] for effect in await store.lease_effects(NOW + 9, BOTH, 3)] == ["0", "1", "2"]
    assert [poll.order_id[-1] for poll in await store.lease_polls(NOW + 9, BOTH, 3)] == ["0", "1", "2"]


async def test_a_notification_waits_for_the_earlier_ones_of_its_order(store: Store) -> None:
    first, second = [await store.create(new_order(name), "content") for name in "ab"]
    await _enter(store, first.id, "sent", "done")
    await _enter(store, second.id, "done")
    leased = await store.lease_effects(NOW, LISTENING, 10)
    assert {(effect.key.order_id, effect.entered_state) for effect in leased} == {(first.id, "sent"), (second.id, "done")}
    (earlier,) = [effect for effect in leased if effect.key.order_id == first.id]
    assert await store.lease_effects(NOW + 1, LISTENING, 10) == []  # it runs
    await store.retry_effect(earlier, NOW + 100, "the listener raised")
    assert await store.lease_effects(NOW + 2, LISTENING, 10) == []
    assert await store.next_due(LISTENING) == NOW + LEASE  # of the other order: what has to wait is not due
    (earlier,) = [effect for effect in await store.lease_effects(NOW + 100, LISTENING, 10) if effect.key.order_id == first.id]
    await store.finish_effect(earlier)
    assert await store.next_due(LISTENING) == NOW
    (later,) = await store.lease_effects(NOW + 101, LISTENING, 10)
    assert (later.key.order_id, later.entered_state) == (first.id, "done")


async def test_a_notification_waits_for_none_that_this_worker_cannot_make(store: Store) -> None:
    """The listener may belong to another service, or to code that is gone."""
    order = await store.create(new_order(), "content")
    await _enter(store, order.id, "sent", "done")
    (later,) = await store.lease_effects(NOW, scope("toy", notifiable=[("toy", "done")]), 10)
    assert later.entered_state == "done"


async def test_calls_wait_for_no_notification(store: Store) -> None:
    order = await store.create(new_order(), "content")
    await _enter(store, order.id, "sent")
    await store.commit(order.id, None, move("done", effects=["call"]))
    assert {effect.name for effect in await store.lease_effects(NOW, LISTENING, 10)} == {NOTIFY_LISTENER, "call"}
