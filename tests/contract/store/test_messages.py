"""The contract of every store, fourth part: what a provider answered is kept with the order, bounded, and goes with it."""

from __future__ import annotations

import asyncio

import pytest
from attrs import evolve
from tests.kit.commits import LEASE, NOW, SCOPE, Another, move, new_order, stay

from orderflow._store.ports import Store
from orderflow._store.records import MAX_MESSAGES, InboxKey, PollAt, PollSooner, StopPolling
from orderflow.errors import UnknownName
from orderflow.model import JournalRow, Message, Order, Origin, Reason, StepKind

pytestmark = pytest.mark.anyio
ORDER_ID = "toy-a"
LATER = NOW + 1000


def answer(body: str = "busy", *, source: str = "call", at: float = NOW, status: int = 503, **more: object) -> Message:
    """A message of the order ``toy-a``."""
    return evolve(Message(ORDER_ID, source, status, "text/plain", body, False, at, at), **more)


async def _owe(store: Store) -> Order:
    order = await store.create(new_order(), "content")
    await store.commit(order.id, None, move("sent", effects=["call"]))
    return await store.load(order.id)


def _redaction(order: Order) -> tuple[Order, JournalRow]:
    after = evolve(order, snapshot=evolve(order.snapshot, data={"redacted": True}, version=order.version + 1))
    return after, JournalRow(order.id, after.version, "redacted", Origin.OPERATOR, order.state, order.state, StepKind.REDACTION, LATER)


# ── kept with what it led to ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("moves", [True, False], ids=["moved", "stayed"])
async def test_a_message_is_kept_with_the_decision_that_it_led_to(store: Store, moves: bool) -> None:
    order = await _owe(store)
    sent = answer('{"orderReference":"A1"}', status=201, truncated=True)
    decider = move("in_doubt", message=sent) if moves else stay(Reason.LATE, message=sent)
    await store.commit(order.id, InboxKey("reply", "1"), decider)
    assert await store.messages(order.id) == [sent]
    assert await store.messages("toy-b") == []


async def test_a_batch_of_decisions_keeps_the_message_of_each(another: Another) -> None:
    here, there = await another(), await another()
    orders = [await here.create(new_order(str(n)), "content") for n in range(20)]
    kept = {order.id: evolve(answer(f"answer {n}"), order_id=order.id) for n, order in enumerate(orders) if n % 3}
    await asyncio.gather(
        *((here, there)[n % 2].commit(order.id, None, move("sent", message=kept.get(order.id))) for n, order in enumerate(orders))
    )
    for order in orders:
        assert await there.messages(order.id) == ([kept[order.id]] if order.id in kept else [])


async def test_a_duplicate_keeps_nothing_and_its_answer_can_be_added(store: Store) -> None:
    order = await _owe(store)
    key = InboxKey("reply", "1")
    await store.commit(order.id, key, move("in_doubt"))
    await store.commit(order.id, key, move("in_doubt", message=answer()))
    assert await store.messages(order.id) == []
    await store.add_message(answer())
    assert await store.messages(order.id) == [answer()]


async def test_a_decider_that_raises_keeps_no_message(store: Store) -> None:
    order = await _owe(store)
    with pytest.raises(TypeError):
        await store.commit(order.id, None, move("sent", data={"bad": {1}}, message=answer()))
    assert await store.messages(order.id) == []


async def test_the_message_of_an_attempt_is_kept_with_its_end(store: Store) -> None:
    order = await _owe(store)
    (first,) = await store.lease_effects(NOW, SCOPE, 10)
    await store.retry_effect(first, NOW, "429", True, answer("slow down", status=429))
    (second,) = await store.lease_effects(NOW, SCOPE, 10)
    assert (second.attempt, second.uncounted_attempts) == (2, 1)
    await store.finish_effect(second, "no hit", answer("[]", status=200, at=NOW + 1))
    assert [(message.status, message.body) for message in await store.messages(order.id)] == [(429, "slow down"), (200, "[]")]
    assert (await store.pending(order.id)).effects == ()


async def test_the_message_of_an_attempt_that_was_superseded_is_kept_too(store: Store) -> None:
    order = await _owe(store)
    (late,) = await store.lease_effects(NOW, SCOPE, 10)
    await store.lease_effects(NOW + LEASE, SCOPE, 10)
    await store.retry_effect(late, NOW, "late", message=answer("the answer that the other worker did not see"))
    assert (await store.pending(order.id)).effects[0].in_flight  # the second attempt stands
    assert len(await store.messages(order.id)) == 1


@pytest.mark.parametrize("plan", [PollAt(NOW, 1, 1.0), PollSooner(1.0), StopPolling()], ids=["at", "sooner", "stop"])
async def test_the_message_of_a_poll_is_kept_with_the_plan_of_the_next(store: Store, plan: PollAt | PollSooner | StopPolling) -> None:
    order = await _owe(store)
    await store.plan_poll(order.id, NOW, PollAt(NOW + 5, 0, 1.0))
    await store.plan_poll(order.id, NOW, plan, answer(source="poll"))
    assert await store.messages(order.id) == [answer(source="poll")]
    assert ((await store.pending(order.id)).next_poll_at is None) == isinstance(plan, StopPolling)


async def test_a_poll_of_an_order_that_is_gone_keeps_no_message(store: Store) -> None:
    with pytest.raises(UnknownName):
        await store.plan_poll(ORDER_ID, NOW, PollSooner(1.0), answer())
    await store.add_message(answer())
    assert await store.messages(ORDER_ID) == []


async def test_text_of_every_kind_comes_back(store: Store) -> None:
    await _owe(store)
    texts = ("", "Bjørk \u2603 \U0001f600", "a\nb\r\n\tc", "'; --", "\x1b[31m\x7f", "\\u0000", "x" * 65536)
    for n, text in enumerate(texts):
        await store.add_message(answer(text, at=NOW + n, content_type="text/html; charset=ø"))
    assert [message.body for message in await store.messages(ORDER_ID)] == list(texts)


# ── equal ones are counted ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_equal_messages_are_counted(store: Store) -> None:
    await _owe(store)
    for n in range(3):
        await store.add_message(answer(at=NOW + n))
    for other in (answer("other", at=NOW + 3), answer(status=500, at=NOW + 4), answer(source="poll", at=NOW + 5)):
        await store.add_message(other)
    first, *others = await store.messages(ORDER_ID)
    assert first == answer(at=NOW, last_at=NOW + 2, count=3)
    assert [message.count for message in others] == [1, 1, 1]


async def test_an_answer_that_is_written_again_counts_once(store: Store) -> None:
    """A write whose outcome is unknown is repeated, perhaps by another way."""
    order = await _owe(store)
    (effect,) = await store.lease_effects(NOW, SCOPE, 10)
    for _ in range(2):
        await store.retry_effect(effect, NOW, "503", message=answer(at=NOW + 1))
        await store.add_message(answer(at=NOW + 1))
        await store.plan_poll(order.id, NOW, PollSooner(1.0), answer(at=NOW + 1))
        await store.commit(order.id, None, stay(Reason.LATE, message=answer(at=NOW + 1)))
    assert await store.messages(ORDER_ID) == [answer(at=NOW + 1)]
    await store.add_message(answer(at=NOW))  # by a clock that is behind: never counted twice comes first
    assert await store.messages(ORDER_ID) == [answer(at=NOW, last_at=NOW + 1)]


async def test_equal_messages_written_at_once_are_all_counted(another: Another) -> None:
    """But for those that come after a later one; here all have the time of their turn."""
    stores = [await another(), await another()]
    await _owe(stores[0])
    await asyncio.gather(*(stores[n % 2].add_message(answer(f"{n % 5}", at=NOW + n, source="poll")) for n in range(40)))
    assert sorted(message.body for message in await stores[0].messages(ORDER_ID)) == ["0", "1", "2", "3", "4"]


# ── bounds ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["alone", "with a decision"])
async def test_the_oldest_of_the_source_with_the_most_goes_first(store: Store, how: str) -> None:
    order = await _owe(store)
    messages = [answer("the doubt", status=201), *(answer(f"page {n}", source="poll", at=NOW + 1 + n) for n in range(MAX_MESSAGES + 20))]
    messages.insert(50, answer("another call", source="search", at=NOW + 0.5))
    for message in messages:
        if how == "alone":
            await store.add_message(message)
        else:
            await store.commit(order.id, None, stay(Reason.LATE, message=message))
    kept = await store.messages(ORDER_ID)
    assert [message.body for message in kept[:2]] == ["the doubt", "another call"]
    assert [message.body for message in kept[2:]] == [f"page {n}" for n in range(22, MAX_MESSAGES + 20)]
    assert len(kept) == MAX_MESSAGES


async def test_a_repeat_drops_nothing(store: Store) -> None:
    await _owe(store)
    for n in range(MAX_MESSAGES):
        await store.add_message(answer(str(n), at=NOW + n))
    await store.add_message(answer("0", at=LATER))
    kept = await store.messages(ORDER_ID)
    assert (len(kept), kept[-1].body, kept[-1].count) == (MAX_MESSAGES, "0", 2)


async def test_the_messages_of_other_orders_stay(store: Store) -> None:
    await _owe(store)
    other = await store.create(new_order("b"), "content")
    await store.add_message(evolve(answer("of b"), order_id=other.id))
    for n in range(MAX_MESSAGES + 5):
        await store.add_message(answer(str(n), at=LATER + n))
    assert [message.body for message in await store.messages(other.id)] == ["of b"]


# ── they go with the order ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_redacted_order_has_no_messages_and_gets_none(store: Store) -> None:
    order = await store.create(new_order(), "content")
    other = await store.create(new_order("b"), "content")
    await store.commit(order.id, None, move("done", message=answer("kari.canary@example.org")))
    await store.add_message(evolve(answer("of b"), order_id=other.id))
    assert await store.redact(*_redaction(await store.load(order.id))) is None
    assert await store.messages(order.id) == []
    await store.add_message(answer(at=LATER))
    await store.plan_poll(order.id, LATER, PollSooner(1.0), answer(at=LATER))
    assert await store.messages(order.id) == []
    assert len(await store.messages(other.id)) == 1


async def test_a_deleted_order_leaves_no_message(store: Store) -> None:
    order = await store.create(new_order(), "content")
    kept = await store.create(new_order("b"), "content")
    await store.commit(order.id, None, move("done", message=answer()))
    await store.commit(kept.id, None, move("done", message=evolve(answer(), order_id=kept.id)))
    assert await store.delete([await store.load(order.id)], LATER) == [order.id]
    assert await store.messages(order.id) == []
    await store.add_message(answer())
    assert await store.messages(order.id) == []
    assert len(await store.messages(kept.id)) == 1


async def test_messages_beside_a_redaction_leave_none(another: Another) -> None:
    here, there = await another(), await another()
    order = await here.create(new_order(), "content")
    await here.commit(order.id, None, move("done", message=answer()))
    redaction = _redaction(await here.load(order.id))
    writes = [there.add_message(answer(f"late {n}", at=LATER + n)) for n in range(30)]
    results = await asyncio.gather(*writes[:15], here.redact(*redaction), *writes[15:])
    assert results[15] is None
    assert await here.messages(order.id) == []
