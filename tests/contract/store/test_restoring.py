"""What a store does after a restore from a backup: what is owed counts as sent, and what this process committed can be looked for."""

from __future__ import annotations

import pytest
from tests.kit.commits import LEASE, NOW, SCOPE, move, new_order, scope

from orderflow._store.ports import Store
from orderflow._store.records import PRUNED, RESTORED, PollAt
from orderflow.model import NOTIFY_LISTENER, EffectKey

pytestmark = pytest.mark.anyio
UNTIL = NOW + 60
BY = "kim: backup of 03:00"
NOTIFIABLE = scope("toy", notifiable=[("toy", "sent")])


async def owe(store: Store, *effects: str, name: str = "a", entered_state: str = "") -> EffectKey:
    order = await store.create(new_order(name), "content")
    await store.commit(order.id, None, move("sent", effects=effects, entered_state=entered_state))
    return EffectKey(order.id, 1, 0)


async def test_an_attempt_from_before_the_restore_sends_nothing(store: Store) -> None:
    await owe(store, "place")
    (held,) = await store.lease_effects(NOW, SCOPE, 10)
    await store.doubt_owed_calls(NOW + 1, UNTIL, BY)
    assert not await store.mark_sending(held, NOW + 1)
    await store.retry_effect(held, NOW + 1, "not executed")  # too late as well: the doubt stays
    (taken_over,) = await store.lease_effects(NOW + LEASE, SCOPE, 10)
    assert taken_over.previous_attempt_sent
    assert taken_over.attempt - taken_over.uncounted_attempts == held.attempt + 1


async def test_what_is_owed_counts_as_sent_and_waits(store: Store) -> None:
    await owe(store, "place")
    await store.doubt_owed_calls(NOW, UNTIL, BY)
    assert await store.lease_effects(UNTIL - 1, SCOPE, 10) == []
    (effect,) = await store.lease_effects(UNTIL, SCOPE, 10)
    assert effect.previous_attempt_sent
    assert not effect.previous_attempt_unended


async def test_a_retry_that_is_due_later_stays_later(store: Store) -> None:
    await owe(store, "place")
    (effect,) = await store.lease_effects(NOW, SCOPE, 10)
    await store.retry_effect(effect, UNTIL + 100, "busy")
    await store.doubt_owed_calls(NOW, UNTIL, BY)
    assert await store.lease_effects(UNTIL + 99, SCOPE, 10) == []


async def test_notifications_and_what_has_ended_stay_as_they_were(store: Store) -> None:
    await owe(store, NOTIFY_LISTENER, entered_state="sent")
    await owe(store, "place", name="b")
    (done,) = await store.lease_effects(NOW, SCOPE, 10)
    await store.finish_effect(done)
    await store.doubt_owed_calls(NOW, UNTIL, BY)
    (notification,) = await store.lease_effects(NOW, NOTIFIABLE, 10)
    assert (notification.name, notification.attempt, notification.previous_attempt_sent) == (NOTIFY_LISTENER, 1, False)
    assert await store.lease_effects(UNTIL, SCOPE, 10) == []


async def test_every_planned_poll_is_due_and_no_other(store: Store) -> None:
    for name in "abc":
        await owe(store, name=name)
    await store.plan_poll("toy-a", NOW, PollAt(NOW + 500, 3, 1.0))
    await store.plan_poll("toy-b", NOW, PollAt(NOW - 1, 0, 1.0))
    await store.doubt_owed_calls(NOW, UNTIL, BY)
    assert [poll.order_id for poll in await store.lease_polls(NOW, SCOPE, 10)] == ["toy-b", "toy-a"]


async def test_a_deadline_that_was_released_waits_for_a_poll_again(store: Store) -> None:
    order = await store.create(new_order(), "content")
    await store.commit(order.id, None, move("sent", deadlines=(("late", NOW), ("later", NOW + 500)), poll=PollAt(NOW, 0, 1.0)))
    await store.plan_poll(order.id, NOW, PollAt(NOW + 5, 0, 1.0, answered=NOW))
    (released,) = await store.due_deadlines(NOW, SCOPE, 10)
    assert not released.needs_poll
    await store.doubt_owed_calls(NOW, UNTIL, BY)
    (waits,) = await store.due_deadlines(NOW, SCOPE, 10)
    assert waits.needs_poll
    assert dict((await store.pending(order.id)).deadlines) == {"late": NOW, "later": NOW + 500}


async def test_open_work_is_every_owed_call_and_every_planned_poll(store: Store) -> None:
    first, second = await owe(store, "place"), await owe(store, "look_up", name="b")
    await owe(store, NOTIFY_LISTENER, name="c", entered_state="sent")
    await store.plan_poll("toy-c", NOW, PollAt(NOW + 500, 0, 1.0))
    await store.doubt_owed_calls(NOW, UNTIL, BY)
    await store.doubt_owed_calls(NOW, UNTIL, BY)
    work = await store.list_open_work()
    assert [(call.key, call.name, call.provider, call.attempt) for call in work.calls] == [
        (first, "place", "toy", 2),
        (second, "look_up", "toy", 2),
    ]
    assert work.polled == ("toy-c",)
    await store.finish_effect(work.calls[0], "in doubt")
    assert [call.key for call in (await store.list_open_work()).calls] == [second]


async def test_what_is_kept_of_orders(store: Store) -> None:
    await owe(store, name="a")
    await store.create(new_order("b"), "content")
    assert await store.find_kept([]) == ({}, {})
    assert (await store.find_kept(["toy-a", "toy-b", "toy-gone"])).versions == {"toy-a": 1, "toy-b": 0}


async def test_the_latest_restore_and_prune_are_kept(store: Store) -> None:
    order = await store.create(new_order(), "content")
    for now in (NOW + 5, NOW + 3):
        await store.doubt_owed_calls(now, UNTIL, f"{BY} \0")
    assert await store.delete([order], NOW) == []  # it is not that old
    assert (await store.find_kept([])).maintenance == {RESTORED: NOW + 5}
    assert await store.delete([order], NOW + 9) == [order.id]
    assert (await store.find_kept([])).maintenance == {RESTORED: NOW + 5, PRUNED: NOW + 9}
