"""The contract of every store, second part: what is owed and due: effects, polls, notices, deadlines, listeners."""

from __future__ import annotations

import asyncio

import pytest
from attrs import evolve
from tests.kit.commits import LEASE, NOW, SCOPE, Another, move, new_order, scope, stay

from orderflow._store.ports import Store
from orderflow._store.records import (
    DueDeadline,
    InboxKey,
    LeasedEffect,
    OwedEffect,
    PollAt,
    PollPlan,
    PollSooner,
    ReportedCall,
    StopPolling,
)
from orderflow.model import NOTIFY_LISTENER, Applied, Decision, EffectKey, Ignored, Reason

pytestmark = pytest.mark.anyio


async def _owe(store: Store, *effects: str, name: str = "a", provider: str = "toy", entered_state: str = "") -> str:
    order = await store.create(new_order(name, provider=provider), "content")
    await store.commit(order.id, None, move("sent", effects=effects, entered_state=entered_state))
    return order.id


async def _lease(store: Store, at: float = NOW, limit: int = 10) -> list[LeasedEffect]:
    return await store.lease_effects(at, SCOPE, limit)


# ── effects ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_owed_effect_is_leased_to_one_worker(another: Another) -> None:
    here, there = await another(), await another()
    order_id = await _owe(here, "call", "search")
    leases = await asyncio.gather(*(_lease(store) for store in (here, there) * 3))
    leased = sorted((effect for lease in leases for effect in lease), key=lambda effect: effect.key.n)
    assert [(effect.name, effect.attempt, effect.previous_attempt_sent, str(effect.key)) for effect in leased] == [
        ("call", 1, False, f"{order_id}:1:0"),
        ("search", 1, False, f"{order_id}:1:1"),
    ]


async def test_an_attempt_that_ended_with_its_process_before_it_was_sent_is_simply_owed_again(another: Another) -> None:
    here, there = await another(), await another()
    await _owe(here, "call")
    assert [effect.previous_attempt_sent for effect in await _lease(here)] == [False]
    assert await _lease(there, NOW + LEASE - 1) == []
    (taken_over,) = await _lease(there, NOW + LEASE)
    assert (taken_over.attempt, taken_over.previous_attempt_sent) == (2, False)


async def test_an_attempt_that_was_about_to_be_sent_stays_so_in_every_later_lease(another: Another) -> None:
    here, there = await another(), await another()
    await _owe(here, "call", "search")
    call, _ = sorted(await _lease(here), key=lambda effect: effect.key.n)
    assert await here.mark_sending(call, NOW + 1)
    assert await here.mark_sending(call, NOW + 2)  # twice is the same as once
    for n in (1, 2, 3):  # a second crash must not forget it
        leased = await _lease(there if n % 2 else here, NOW + n * LEASE)
        assert {effect.name: effect.previous_attempt_sent for effect in leased} == {"call": True, "search": False}


async def test_a_retry_says_whether_an_attempt_may_have_been_executed(store: Store) -> None:
    await _owe(store, "call")
    for n, may_be_executed in enumerate((True, True, False)):
        (effect,) = await _lease(store, NOW + n)
        await store.retry_effect(effect, NOW + n + 1, "reset", may_be_executed=may_be_executed)
        assert effect.previous_attempt_sent == bool(n)
    (last,) = await _lease(store, NOW + 3)
    assert not last.previous_attempt_sent


async def test_a_lease_says_whether_the_attempt_before_ended(another: Another) -> None:
    here, there = await another(), await another()
    await _owe(here, "call")
    (first,) = await _lease(here)
    (second,) = await _lease(there, NOW + LEASE)
    await there.retry_effect(second, NOW + LEASE + 1, "429")
    (third,) = await _lease(here, NOW + LEASE + 1)
    assert [effect.previous_attempt_unended for effect in (first, second, third)] == [False, True, False]


async def test_an_attempt_that_was_not_executed_after_all_is_marked_no_more(store: Store) -> None:
    await _owe(store, "call")
    (effect,) = await _lease(store)
    assert await store.mark_sending(effect, NOW)
    await store.retry_effect(effect, NOW + 5, "401")
    assert not await store.mark_sending(effect, NOW)  # it arrives late: the attempt has ended
    assert [again.previous_attempt_sent for again in await _lease(store, NOW + 5)] == [False]


async def test_only_the_latest_attempt_may_have_arrived(another: Another) -> None:
    here, there = await another(), await another()
    await _owe(here, "call")
    (first,) = await _lease(here)
    (second,) = await _lease(there, NOW + LEASE)
    assert not await here.mark_sending(first, NOW)  # by a clock that is behind
    assert await there.mark_sending(second, NOW + LEASE)
    assert not await here.mark_sending(first, NOW)


async def test_nothing_is_sent_once_the_lease_is_over(store: Store) -> None:
    await _owe(store, "call")
    (effect,) = await _lease(store)
    assert not await store.mark_sending(effect, NOW + LEASE)
    assert await store.mark_sending(effect, NOW + LEASE - 1)


async def test_nothing_is_sent_that_is_not_owed_any_more(store: Store) -> None:
    order_id = await _owe(store, "call", "search", "cancelled")
    call, search, cancelled = sorted(await _lease(store), key=lambda effect: effect.key.n)
    await store.commit(order_id, InboxKey("reply", "1"), move("taken", finished_effect=call.key))
    await store.finish_effect(search)
    assert await store.mark_sending(cancelled, NOW)
    await store.commit(order_id, None, move("elsewhere", cancel_effects=True))
    assert [await store.mark_sending(effect, NOW) for effect in (call, search, cancelled)] == [False] * 3


async def test_calls_that_are_sent_at_the_same_time_are_marked_each_for_itself(another: Another) -> None:
    here, there = await another(), await another()
    for n in range(20):
        await _owe(here, "call", name=str(n))
    lost = await _lease(here, limit=5)
    leased = [*await _lease(here, NOW, 20), *await _lease(there, NOW + LEASE, 5)]
    assert len(leased) == len({effect.key for effect in leased}) == 20
    attempts = [*lost, *leased]
    marked = await asyncio.gather(
        *(here.mark_sending(effect, NOW) for effect in attempts), *(there.mark_sending(lost[0], NOW) for _ in "ab")
    )
    assert marked == [False] * 5 + [True] * 20 + [False] * 2


async def test_an_effect_that_was_not_executed_is_due_again_only_when_its_time_has_come(store: Store) -> None:
    await _owe(store, "call")
    (effect,) = await _lease(store)
    await store.retry_effect(effect, NOW + 5, "429")
    assert await _lease(store, NOW + 4) == []
    (again,) = await _lease(store, NOW + 5)
    assert (again.attempt, again.previous_attempt_sent) == (2, False)


async def test_an_effect_keeps_the_arguments_that_it_was_decided_with(store: Store) -> None:
    order_id = await _owe(store, "call")
    owed = OwedEffect(2, 0, "call", "", "", '{"amount":"9.90","to":["a",null]}')
    decide = move("sent")
    await store.commit(order_id, None, lambda order: evolve(decide(order), effects=(owed,)))
    assert [effect.arguments for effect in await _lease(store)] == [None, {"amount": "9.90", "to": ["a", None]}]
    assert [effect.arguments for effect in await _lease(store, NOW + LEASE)] == [None, {"amount": "9.90", "to": ["a", None]}]


async def test_an_uncounted_attempt_is_counted_apart(store: Store) -> None:
    await _owe(store, "call")
    for attempt, uncounted, uncounted_attempts in ((1, True, 0), (2, False, 1), (3, True, 1), (4, True, 2)):
        (effect,) = await _lease(store)
        assert (effect.attempt, effect.uncounted_attempts) == (attempt, uncounted_attempts)
        await store.retry_effect(effect, NOW, "429", uncounted)


async def test_a_superseded_attempt_changes_nothing(store: Store) -> None:
    await _owe(store, "call")
    (first,) = await _lease(store)
    (second,) = await _lease(store, NOW + LEASE)
    await store.retry_effect(first, NOW, "late")
    await store.finish_effect(first)
    assert await _lease(store, NOW + LEASE) == []  # the second attempt's lease stands
    await store.finish_effect(second)
    assert await _lease(store, NOW + 10 * LEASE) == []


async def test_a_reply_that_moves_the_order_ends_its_effect_in_one_commit(store: Store) -> None:
    order_id = await _owe(store, "call", "search")
    call, search = await _lease(store)
    await store.commit(order_id, InboxKey("reply", "1"), move("taken", finished_effect=call.key))
    await store.commit(order_id, InboxKey("reply", "2"), stay(finished_effect=search.key))  # refused, and ended all the same
    assert await _lease(store, NOW + 10 * LEASE) == []


async def test_cancelled_effects_are_owed_no_more_but_notifications_are(store: Store) -> None:
    order_id = await _owe(store, "call", NOTIFY_LISTENER, entered_state="sent")
    await store.commit(order_id, None, move("elsewhere", effects=["new"], cancel_effects=True))
    leased = await store.lease_effects(NOW, scope(notifiable=[("toy", "sent")]), 10)
    assert sorted(effect.name for effect in leased) == ["new", NOTIFY_LISTENER]


async def test_effects_are_leased_oldest_first_and_no_more_than_asked(store: Store) -> None:
    for n in (2, 0, 1):
        order = await store.create(new_order(str(n)), "content")
        await store.commit(order.id, None, move("sent", effects=["call"], at=NOW + n))
    assert [effect.key.order_id for effect in await _lease(store, NOW + 9, limit=2)] == ["toy-0", "toy-1"]
    assert [effect.key.order_id for effect in await _lease(store, NOW + 9)] == ["toy-2"]


async def test_nothing_outside_a_workers_scope_is_leased(store: Store) -> None:
    deadlines = (("late", NOW),)
    order = await store.create(new_order("b", provider="other"), "content")
    await store.commit(order.id, None, move("sent", effects=["call"], deadlines=deadlines, poll=PollAt(NOW, 0, 1.0)))
    assert await _lease(store) == []
    assert await store.lease_polls(NOW, SCOPE, 10) == []
    assert await store.due_deadlines(NOW, SCOPE, 10) == []
    assert await store.next_due(SCOPE) is None
    both = scope("toy", "other")
    (effect,) = await store.lease_effects(NOW, both, 10)
    assert (effect.provider, effect.attempt, effect.previous_attempt_sent) == ("other", 1, False)
    assert len(await store.lease_polls(NOW, both, 10)) == len(await store.due_deadlines(NOW, both, 10)) == 1


async def test_a_notification_is_leased_only_by_a_worker_that_has_its_listener(store: Store) -> None:
    await _owe(store, NOTIFY_LISTENER, entered_state="sent")
    assert await store.lease_effects(NOW, scope(notifiable=[("toy", "taken"), ("other", "sent")]), 10) == []
    (effect,) = await store.lease_effects(NOW, scope(notifiable=[("toy", "sent")]), 10)
    assert (effect.name, effect.entered_state) == (NOTIFY_LISTENER, "sent")


async def test_listeners_are_known_to_every_process(another: Another) -> None:
    here, there = await another(), await another()
    assert await there.listeners() == frozenset()
    await here.add_listeners({("toy", "sent"), ("toy", "taken")})
    await here.add_listeners({("toy", "sent")})
    assert await there.listeners() == {("toy", "sent"), ("toy", "taken")}


async def test_a_removed_listener_is_owed_nothing_and_all_else_is(another: Another) -> None:
    here, there = await another(), await another()
    await here.add_listeners({("toy", "sent"), ("toy", "taken"), ("other", "sent")})
    for n in range(5):
        await _owe(here, NOTIFY_LISTENER, "call", name=f"n{n}", entered_state="sent")
    await _owe(here, NOTIFY_LISTENER, name="taken", entered_state="taken")
    await _owe(here, NOTIFY_LISTENER, name="b", provider="other", entered_state="sent")
    (leased,) = await here.lease_effects(NOW, scope(notifiable=[("toy", "sent")]), 1, among=[EffectKey("toy-n0", 1, 0)])
    assert await there.pending_notifications() == {("toy", "sent"): 5, ("toy", "taken"): 1, ("other", "sent"): 1}
    assert [await there.remove_listener("toy", "sent", "removed", 2) for _ in range(4)] == [2, 2, 1, 0]
    assert await here.listeners() == {("toy", "taken"), ("other", "sent")}
    assert await here.pending_notifications() == {("toy", "taken"): 1, ("other", "sent"): 1}
    await here.retry_effect(leased, NOW, "the listener raised")  # it was under way: it is not sent again
    both = scope("toy", "other", notifiable=[("toy", "sent"), ("toy", "taken"), ("other", "sent")])
    others = await here.lease_effects(NOW + LEASE, both, 20)
    assert sorted(effect.name for effect in others) == ["call"] * 5 + [NOTIFY_LISTENER] * 2


# ── polls ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _plan_polls(store: Store, *plans: object, name: str = "a", provider: str = "toy") -> str:
    order = await store.create(new_order(name, provider=provider), "content")
    for plan in plans:
        await store.plan_poll(order.id, NOW, plan)  # type: ignore[arg-type]
    return order.id


async def _lease_polls(store: Store, at: float, limit: int = 10) -> list[str]:
    return [poll.order_id for poll in await store.lease_polls(at, SCOPE, limit)]


async def test_a_planned_poll_is_leased_once_when_due(another: Another) -> None:
    here, there = await another(), await another()
    order_id = await _plan_polls(here, PollAt(NOW + 5, 3, 1.0))
    assert await _lease_polls(here, NOW + 4.9) == []
    leases = await asyncio.gather(*(store.lease_polls(NOW + 5, SCOPE, 10) for store in (here, there) * 3))
    assert [(poll.order_id, poll.without_news) for lease in leases for poll in lease] == [(order_id, 3)]


async def test_a_poll_whose_worker_died_is_leased_again(store: Store) -> None:
    order_id = await _plan_polls(store, PollAt(NOW, 0, 1.0))
    assert await _lease_polls(store, NOW) == [order_id]
    assert await _lease_polls(store, NOW + LEASE - 1) == []
    assert await _lease_polls(store, NOW + LEASE) == [order_id]


async def test_a_notice_brings_the_poll_forward_but_not_within_the_interval(store: Store) -> None:
    order_id = await _plan_polls(store, PollAt(NOW, 0, 10.0))
    await store.lease_polls(NOW, SCOPE, 10)
    await store.plan_poll(order_id, NOW + 1, PollAt(NOW + 3600, 1, 10.0))
    for n in range(5):
        await store.plan_poll(order_id, NOW + 1 + n, PollSooner(10.0))
    assert await _lease_polls(store, NOW + 9.9) == []
    assert await _lease_polls(store, NOW + 10) == [order_id]


async def test_a_notice_before_the_id_is_remembered(store: Store) -> None:
    order_id = await _plan_polls(store, PollSooner(10.0), PollSooner(10.0))
    assert await _lease_polls(store, NOW + 1e9) == []
    assert await store.next_due(SCOPE) is None
    await store.commit(order_id, None, move("sent", poll=PollAt(NOW + 3600, 0, 10.0)))  # the id has come
    assert await _lease_polls(store, NOW) == [order_id]


async def test_a_notice_during_a_poll_requests_one_more(store: Store) -> None:
    order_id = await _plan_polls(store, PollAt(NOW, 0, 10.0))
    await store.lease_polls(NOW, SCOPE, 10)
    await store.plan_poll(order_id, NOW + 1, PollSooner(10.0))
    await store.plan_poll(order_id, NOW + 2, PollAt(NOW + 3600, 1, 10.0))  # the poll ends without news
    assert await _lease_polls(store, NOW + 9) == []
    assert await _lease_polls(store, NOW + 10) == [order_id]
    await store.plan_poll(order_id, NOW + 11, PollAt(NOW + 3600, 2, 10.0))  # leasing the poll has cleared the request
    assert await _lease_polls(store, NOW + 3599) == []


async def test_a_notice_never_delays_a_due_poll(store: Store) -> None:
    order_id = await _plan_polls(store, PollAt(NOW, 0, 10.0), PollSooner(10.0))
    assert await _lease_polls(store, NOW) == [order_id]


async def test_a_stopped_poll_is_gone(store: Store) -> None:
    order_id = await _plan_polls(store, PollAt(NOW, 0, 1.0), StopPolling())
    assert await _lease_polls(store, NOW + 1e9) == []
    await store.plan_poll(order_id, NOW, StopPolling())  # twice is harmless


async def test_a_poll_is_planned_with_the_decision_or_not_at_all(store: Store) -> None:
    order_id = await _plan_polls(store)
    with pytest.raises(TypeError):
        await store.commit(order_id, None, move("sent", data={"bad": {1}}, poll=PollAt(NOW, 0, 1.0)))
    assert await _lease_polls(store, NOW) == []
    await store.commit(order_id, None, stay(poll=PollAt(NOW, 7, 1.0)))
    assert [poll.without_news for poll in await store.lease_polls(NOW, SCOPE, 10)] == [7]


async def test_a_shared_notice_brings_forward_the_orders_polled_longest_ago(store: Store) -> None:
    for n in range(5):
        order_id = await _plan_polls(store, PollAt(NOW + n, 0, 10.0), name=str(n))
        assert await _lease_polls(store, NOW + n) == [order_id]
        await store.plan_poll(order_id, NOW + n, PollAt(NOW + 3600, 1, 10.0))
    await _plan_polls(store, PollAt(NOW + 3600, 1, 10.0), name="other", provider="other")
    await _plan_polls(store, PollSooner(10.0), name="no-id-yet")
    assert await store.bring_polls_forward("toy", NOW + 100, 10.0, 2) == 2
    assert await _lease_polls(store, NOW + 100) == ["toy-0", "toy-1"]
    assert await store.bring_polls_forward("toy", NOW + 100, 10.0, 10) == 5
    assert sorted(await _lease_polls(store, NOW + 100)) == ["toy-2", "toy-3", "toy-4"]
    assert sorted(await _lease_polls(store, NOW + 110)) == ["toy-0", "toy-1"]  # requested while the poll was under way


# ── deadlines ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_is_created_with_its_deadlines_once(store: Store) -> None:
    await store.create(new_order(), "content", [("late", NOW + 1), ("later", NOW + 2)])
    await store.create(new_order("b", key="key-a"), "content", [("late", NOW)])  # the same key: nothing is written
    due = await store.due_deadlines(NOW + 2, SCOPE, 10)
    assert [(each.order_id, each.name, each.version, each.needs_poll) for each in due] == [
        ("toy-a", "late", 0, False),
        ("toy-a", "later", 0, False),
    ]
    assert (await store.pending("toy-a")).deadlines == (("late", NOW + 1), ("later", NOW + 2))
    await store.commit("toy-a", InboxKey("clock", "1"), move("gone", deadlines=()), due[0])
    assert await store.due_deadlines(NOW + 2, SCOPE, 10) == []


async def test_entering_a_state_replaces_all_deadlines(store: Store) -> None:
    order = await store.create(new_order(), "content")
    await store.commit(order.id, None, move("sent", deadlines=(("late", NOW + 1), ("very_late", NOW + 2))))
    due = await store.due_deadlines(NOW + 2, SCOPE, 10)
    assert [(deadline.name, deadline.version, deadline.provider) for deadline in due] == [("late", 1, "toy"), ("very_late", 1, "toy")]
    assert await store.due_deadlines(NOW + 2, SCOPE, 1) == due[:1]
    await store.commit(order.id, None, move("taken", deadlines=(("late", NOW + 5),)))
    assert [(due.name, due.version) for due in await store.due_deadlines(NOW + 9, SCOPE, 10)] == [("late", 2)]
    await store.commit(order.id, None, move("taken"))  # None: they stay
    assert len(await store.due_deadlines(NOW + 9, SCOPE, 10)) == 1
    await store.commit(order.id, None, move("done", deadlines=()))
    assert await store.due_deadlines(NOW + 9, SCOPE, 10) == []


@pytest.mark.parametrize("decider", [move("sent"), stay(), stay(Reason.NO_NEWS, recorded=False)], ids=["applied", "ignored", "unrecorded"])
async def test_a_deadline_is_deleted_with_its_decision_whatever_that_is(store: Store, decider: object) -> None:
    order = await store.create(new_order(), "content")
    await store.commit(order.id, None, move("sent", deadlines=(("late", NOW), ("later", NOW + 1))))
    due = (await store.due_deadlines(NOW, SCOPE, 10))[0]
    await store.commit(order.id, InboxKey("clock", "1"), decider, due)  # type: ignore[arg-type]
    assert [left.name for left in await store.due_deadlines(NOW + 9, SCOPE, 10)] == ["later"]


async def test_a_deadline_that_two_processes_bring_is_decided_once(another: Another) -> None:
    here, there = await another(), await another()
    order = await here.create(new_order(), "content")
    await here.commit(order.id, None, move("sent", deadlines=(("late", NOW),)))
    (due,) = await here.due_deadlines(NOW, SCOPE, 10)
    assert await there.due_deadlines(NOW, SCOPE, 10) == [due]
    key = InboxKey("clock", "1")
    receipts = await asyncio.gather(*(store.commit(order.id, key, move("lapsed"), due) for store in (here, there)))
    assert sorted(type(receipt.decision).__name__ for receipt in receipts) == ["Applied", "Ignored"]
    assert (await here.load(order.id)).version == 2


async def test_a_deadline_that_was_armed_anew_meanwhile_does_not_come_early(store: Store) -> None:
    """Two states may wait for one event: the first one's deadline must neither move the order on nor disarm the second's."""
    order = await store.create(new_order(), "content")
    await store.commit(order.id, None, move("sent", deadlines=(("late", NOW),)))
    (due,) = await store.due_deadlines(NOW, SCOPE, 10)
    await store.commit(order.id, None, move("waiting", deadlines=(("late", NOW + 3600),)))  # while the deadline is on its way
    receipt = await store.commit(order.id, InboxKey("clock", "1"), move("lapsed"), due)
    assert isinstance(receipt.decision, Ignored)
    assert receipt.decision.reason is Reason.STALE
    assert (await store.load(order.id)).state == "waiting"
    (armed,) = await store.due_deadlines(NOW + 3600, SCOPE, 10)
    assert isinstance((await store.commit(order.id, InboxKey("clock", "2"), move("lapsed"), armed)).decision, Applied)


async def _let_deadline_wait(store: Store) -> DueDeadline:
    """An order that is polled at NOW + 100, and its deadline of NOW, which waits for a poll until NOW + 50."""
    order = await store.create(new_order(), "content")
    await store.commit(order.id, None, move("sent", deadlines=(("late", NOW), ("later", NOW + 20)), poll=PollAt(NOW + 100, 3, 1.0)))
    (due,) = await store.due_deadlines(NOW, SCOPE, 10)
    assert (due.state, due.needs_poll, due.unpolled) == ("sent", True, False)
    await store.poll_before_deadline(due, NOW, NOW + 50, 1.0)
    return due


async def test_a_deadline_of_an_order_that_is_not_polled_needs_no_poll(store: Store) -> None:
    order = await store.create(new_order(), "content")
    await store.commit(order.id, None, move("sent", deadlines=(("late", NOW),), poll=PollSooner(1.0)))  # remembered, and not planned
    (due,) = await store.due_deadlines(NOW, SCOPE, 10)
    assert (due.needs_poll, due.unpolled) == (False, False)
    await store.poll_before_deadline(due, NOW, NOW + 50, 1.0)
    assert await store.due_deadlines(NOW, SCOPE, 10) == [due]


async def test_a_deadline_that_waits_brings_the_poll_forward_and_does_not_come(store: Store) -> None:
    await _let_deadline_wait(store)
    assert await store.due_deadlines(NOW + 19, SCOPE, 10) == []
    assert await store.next_due(SCOPE) == NOW
    assert await _lease_polls(store, NOW) == ["toy-a"]
    assert await store.next_due(SCOPE) == NOW + 20  # the other deadline
    assert [due.name for due in await store.due_deadlines(NOW + 20, SCOPE, 10)] == ["later"]


@pytest.mark.parametrize("in_commit", [False, True], ids=["alone", "in a commit"])
async def test_a_poll_that_began_after_a_deadline_ends_its_wait(store: Store, in_commit: bool) -> None:
    due = await _let_deadline_wait(store)

    async def answer(began: float) -> None:
        plan = PollAt(NOW + 200, 4, 1.0, answered=began)
        if in_commit:
            await store.commit(due.order_id, None, stay(Reason.NO_NEWS, recorded=False, poll=plan))
        else:
            await store.plan_poll(due.order_id, NOW + 1, plan)

    await answer(NOW - 0.5)
    assert await store.due_deadlines(NOW + 19, SCOPE, 10) == []
    await answer(NOW)
    (polled,) = await store.due_deadlines(NOW + 1, SCOPE, 10)
    assert (polled.name, polled.needs_poll, polled.unpolled) == ("late", False, False)
    await store.poll_before_deadline(due, NOW + 1, NOW + 90, 1.0)  # another worker that fetched it before
    assert await store.due_deadlines(NOW + 1, SCOPE, 10) == [polled]
    assert [(one.name, one.needs_poll) for one in await store.due_deadlines(NOW + 20, SCOPE, 10)] == [("late", False), ("later", True)]


async def test_a_deadline_does_not_wait_for_ever(store: Store) -> None:
    due = await _let_deadline_wait(store)
    await store.commit(due.order_id, None, stay(Reason.STALE, poll=PollAt(NOW + 300, 0, 1.0)))  # a poll without an answer
    await store.poll_before_deadline(due, NOW + 30, NOW + 80, 1.0)  # a second worker: the wait is not longer for it
    assert [one.name for one in await store.due_deadlines(NOW + 49, SCOPE, 10)] == ["later"]
    (_, late) = await store.due_deadlines(NOW + 50, SCOPE, 10)
    assert (late.name, late.needs_poll, late.unpolled) == ("late", False, True)
    receipt = await store.commit(due.order_id, InboxKey("clock", "1"), move("lapsed", deadlines=()), late)
    assert isinstance(receipt.decision, Applied)


async def test_a_deadline_that_was_armed_anew_does_not_wait_for_the_former(store: Store) -> None:
    due = await _let_deadline_wait(store)
    await store.commit(due.order_id, None, move("waiting", deadlines=(("late", NOW + 30),)))
    await store.poll_before_deadline(due, NOW, NOW + 50, 1.0)
    (armed,) = await store.due_deadlines(NOW + 30, SCOPE, 10)
    assert (armed.version, armed.needs_poll) == (2, True)


async def test_a_postponed_deadline_comes_again_as_if_it_had_been_armed_for_then(store: Store) -> None:
    due = await _let_deadline_wait(store)
    await store.postpone_deadline(due, NOW + 10)
    assert await store.due_deadlines(NOW + 9, SCOPE, 10) == []
    assert await store.due_deadlines(NOW + 10, SCOPE, 10) == [due]
    assert ("late", NOW + 10) in (await store.pending(due.order_id)).deadlines


@pytest.mark.parametrize("in_commit", [False, True], ids=["alone", "in a commit"])
async def test_after_a_pause_the_next_poll_keeps_its_distance_from_the_last_and_after_a_stop_it_does_not(
    store: Store, in_commit: bool
) -> None:
    order = await store.create(new_order(), "content")

    async def plan(plan: PollPlan) -> None:
        if in_commit:
            await store.commit(order.id, None, stay(recorded=False, poll=plan))
        else:
            await store.plan_poll(order.id, NOW, plan)

    await plan(PollAt(NOW, 0, 100.0))
    assert len(await store.lease_polls(NOW, SCOPE, 10)) == 1
    await plan(StopPolling(remember=True))
    assert await store.next_due(SCOPE) is None
    await plan(PollAt(NOW + 1, 0, 100.0))
    assert await store.next_due(SCOPE) == NOW + 100
    await plan(StopPolling())
    assert await store.next_due(SCOPE) is None
    await plan(PollAt(NOW + 1, 0, 100.0))
    assert await store.next_due(SCOPE) == NOW + 1


# ── replies ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_late_reply_is_decided_apart_only_where_a_later_call_of_its_kind_was_requested(store: Store) -> None:
    order = await store.create(new_order(), "content")

    async def reply(key: str, call: LeasedEffect) -> Decision:
        reported = ReportedCall(call.key, ("call", "call_again"), stay(Reason.STALE))
        receipt = await store.commit(order.id, InboxKey("reply", key), move("taken", finished_effect=call.key), call=reported)
        return receipt.decision

    await store.commit(order.id, None, move("sent", effects=["call"]))
    (first,) = await _lease(store)
    await store.commit(order.id, None, move("sent", effects=["call_again"]))
    assert isinstance(await reply("two are owed, one of them is the caller's", first), Applied)
    assert isinstance(await reply("it has ended, and a later one is owed", first), Ignored)
    (second,) = await _lease(store)
    assert isinstance(await reply("the later one", second), Applied)
    assert isinstance(await reply("it has ended, and so has the later one", first), Ignored)
    assert isinstance(await reply("the later one again, none is later", second), Applied)
    await store.commit(order.id, None, move("sent", effects=["search"], entered_state="sent"))
    assert isinstance(await reply("the later one again, a search is later", second), Applied)


# ── what is due next ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_next_thing_due_is_an_effect_a_poll_or_a_deadline(store: Store) -> None:
    order = await store.create(new_order(), "content")
    assert await store.next_due(SCOPE) is None
    await store.commit(order.id, None, move("sent", deadlines=(("late", NOW + 30),)))
    assert await store.next_due(SCOPE) == NOW + 30
    await store.plan_poll(order.id, NOW, PollAt(NOW + 20, 0, 1.0))
    assert await store.next_due(SCOPE) == NOW + 20
    await store.commit(order.id, None, move("taken", at=NOW + 10, effects=["call"]))
    assert await store.next_due(SCOPE) == NOW + 10
    (effect,) = await _lease(store, NOW + 10)
    assert await store.next_due(SCOPE) == NOW + 20
    await store.finish_effect(effect)
    await store.plan_poll(order.id, NOW, StopPolling())
    assert await store.next_due(SCOPE) == NOW + 30
