"""What a provider answered is kept with the order, whatever it meant, and is shown only where it was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import structlog
from attrs import evolve
from structlog.testing import capture_logs
from tests.kit.draining import RefusingStore
from tests.kit.toy import START, Bench, open_bench

from orderflow._engine.messages import MAX_BODY_BYTES, MAX_CONTENT_TYPE, make_message
from orderflow._provider.outcomes import (
    InDoubt,
    NoResult,
    NotExecuted,
    Outcome,
    ProviderAnswer,
    ReadFailed,
    Rejected,
    Signal,
    StatusRead,
    Succeeded,
)
from orderflow._store.records import InboxKey
from orderflow.model import Event, Message, Order, Origin

pytestmark = pytest.mark.anyio
ANSWER = ProviderAnswer(201, "application/json", b'{"orderReference":"A1"}')
BODY = '{"orderReference":"A1"}'


async def messages_of(bench: Bench, order: Order) -> list[tuple[str, int, str, int]]:
    """Source, status, body and count of each message of an order."""
    return [(row.source, row.status, row.body, row.count) for row in await bench.store.messages(order.id)]


# ── the record ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def make(body: bytes = b"", content_type: str = "", *, whole: bool = True) -> Message:
    message = make_message("toy-k", "place", ProviderAnswer(200, content_type, body, whole), 7.0)
    assert message is not None
    return message


def test_no_answer_is_no_message() -> None:
    assert make_message("toy-k", "place", None, 7.0) is None


def test_an_answer_becomes_a_message() -> None:
    assert make_message("toy-k", "place", ANSWER, 7.0) == Message("toy-k", "place", 201, "application/json", BODY, False, 7.0, 7.0, 1)


def test_neither_a_message_nor_an_outcome_shows_the_body_in_its_repr() -> None:
    secret = "kari.canary@example.org"
    answer = ProviderAnswer(400, f"text/{secret}", secret.encode())
    message = make_message("toy-k", "place", evolve(answer, content_type="text/plain"), 7.0)
    outcomes = [kind("why", answer=answer) for kind in (Succeeded, NotExecuted, Rejected, InDoubt, NoResult, StatusRead, ReadFailed)]
    assert secret not in repr([answer, message, *outcomes, *map(str, outcomes)])


def test_an_answer_is_no_part_of_what_an_outcome_means() -> None:
    assert InDoubt("reset", answer=ANSWER) == InDoubt("reset")
    assert StatusRead("new", answer=ANSWER) == StatusRead("new")


@pytest.mark.parametrize("bad", [{"status": "200"}, {"body": "text"}, {"content_type": None}])
def test_a_malformed_answer_of_a_providers_author_is_refused_where_it_is_made(bad: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        ProviderAnswer(**{"status": 200, **bad})  # type: ignore[arg-type]


def test_a_body_that_is_not_text_is_shown_as_far_as_it_is() -> None:
    assert make(b"Bj\xf8rk \0 \xf0\x9f").body == "Bj\ufffdrk \ufffd \ufffd"
    assert not make(b"\xff").truncated


def test_a_long_body_is_cut_between_two_characters() -> None:
    exact, longer = "ø" * (MAX_BODY_BYTES // 2), "x" + "ø" * (MAX_BODY_BYTES // 2)
    assert (make(exact.encode()).body, make(exact.encode()).truncated) == (exact, False)
    assert (make(longer.encode()).body, make(longer.encode()).truncated) == (longer[:-1], True)


def test_a_body_that_replacement_makes_longer_is_measured_after_it() -> None:
    message = make(b"\xff" * MAX_BODY_BYTES)
    assert (message.truncated, len(message.body.encode()) <= MAX_BODY_BYTES, set(message.body)) == (True, True, {"\ufffd"})


def test_a_body_that_broke_off_is_truncated() -> None:
    assert make(b'{"orderId": "A', whole=False).truncated


def test_a_content_type_is_bounded_and_printable() -> None:
    assert make(content_type="text/\x1b[31mhtml\n" + "x" * 500).content_type == ("text/[31mhtml" + "x" * 500)[:MAX_CONTENT_TYPE]


# ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Succeeded("order_placed", provider_id="T-k"), "placed"),
        (Rejected("400 from the provider"), "refused"),
        (InDoubt("201 with an unusable body"), "in_doubt"),
        (NotExecuted("the user is gone", permanent=True), "refused"),
        (NotExecuted("401 from the provider", signal=Signal.UNAUTHORIZED), "sending"),
        (Succeeded("no_such_event"), "in_doubt"),
    ],
    ids=["succeeded", "rejected", "in doubt", "undelivered", "owed again", "unwritable"],
)
async def test_the_answer_to_a_call_is_kept_whatever_it_means(bench: Bench, outcome: Outcome, state: str) -> None:
    bench.toy.answer("place", evolve(outcome, answer=ANSWER))
    order = await bench.create(state="preparing")
    (preparing,) = await bench.lease_all()
    await bench.engine.outbox.run(preparing)
    attempt = await bench.lease()
    try:
        await bench.engine.outbox.run(attempt)
    except Exception:  # noqa: BLE001  as the worker does
        await bench.engine.outbox.give_back(attempt)
    assert await bench.state_of(order.id) == state
    assert await messages_of(bench, order) == [("place", 201, BODY, 1)]
    assert BODY not in repr((await bench.store.journal(order.id), await bench.store.refusals(order.id)))


async def test_answers_that_are_equal_are_counted(bench: Bench) -> None:
    bench.toy.answer("place", *[NotExecuted("401", answer=evolve(ANSWER, status=401, body=b"who?"))] * 2, InDoubt("201", answer=ANSWER))
    order = await bench.create()
    await bench.work_after(10)
    await bench.work_after(10)
    assert await messages_of(bench, order) == [("place", 401, "who?", 2), ("place", 201, BODY, 1)]
    assert [row.at for row in await bench.store.messages(order.id)] == [START, START + 20]


async def test_the_end_of_an_effect_without_replies_keeps_its_answer(bench: Bench) -> None:
    bench.toy.answer("look_up", *[NoResult("no hit", answer=ProviderAnswer(200, "application/json", b"[]"))] * 3)
    order = await bench.create(state="in_doubt")
    for _ in range(4):
        await bench.work_after(60)
    assert (await bench.store.pending(order.id)).effects == ()
    assert await messages_of(bench, order) == [("look_up", 200, "[]", 3)]


async def test_the_answer_of_a_worker_that_lost_its_lease_is_kept(bench: Bench) -> None:
    """Another worker has reported the call in doubt. The late answer may name the id that a person looks for."""
    order = await bench.create(state="sending")
    late = await bench.lease()

    async def answer_late(order: Order) -> Outcome:
        bench.clock.advance(bench.toy.timing.lease)
        await bench.engine.outbox.run(await bench.lease())  # takes over, does not call
        assert await bench.state_of(order.id) == "in_doubt"
        return InDoubt("201 with an unusable body", answer=ANSWER)

    bench.toy.answer("place", answer_late)
    await bench.engine.outbox.run(late)
    assert await messages_of(bench, order) == [("place", 201, BODY, 1)]


async def test_a_write_that_is_repeated_counts_the_answer_once(tmp_path: Path) -> None:
    store = RefusingStore(tmp_path / "orders.db")
    async with open_bench(tmp_path, store=store) as bench:
        bench.toy.answer("place", NotExecuted("429", signal=Signal.THROTTLED, answer=evolve(ANSWER, status=429)))
        order = await bench.create(state="sending")
        attempt = await bench.lease()
        store.refused = ("throttle", "")
        writing = asyncio.create_task(bench.engine.outbox.run(attempt))
        async with asyncio.timeout(60):
            while not writing.done():
                await asyncio.sleep(0.001)
                if store.refusals == 2:
                    store.refused = None
                if bench.clock.sleeping:
                    bench.clock.advance(1)
        assert await writing
        assert store.refusals == 2
        assert await messages_of(bench, order) == [("place", 429, BODY, 1)]


async def test_an_order_without_answers_has_no_messages(bench: Bench) -> None:
    order = await bench.create()
    await bench.work_after(3600)
    assert bench.toy.polls
    assert await bench.store.messages(order.id) == []


# ── polls ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_answers_to_polls_are_kept_and_counted_with_news_and_without(bench: Bench) -> None:
    order = await bench.create()
    page = ProviderAnswer(503, "text/html", b"<h1>busy</h1>")
    new, packed = (ProviderAnswer(200, "application/json", f'{{"status":"{status}"}}'.encode()) for status in ("new", "packed"))
    bench.toy.show(
        ReadFailed("503", answer=page), ReadFailed("503", answer=page), StatusRead("new", answer=new), StatusRead("new", answer=new)
    )
    bench.toy.show(StatusRead("packed", answer=packed), StatusRead("packed"))
    for _ in range(8):
        await bench.work_after(bench.toy.timing.poll_cap)
    assert await bench.state_of(order.id) == "packed"
    assert await messages_of(bench, order) == [
        ("poll", 503, "<h1>busy</h1>", 2),
        ("poll", 200, '{"status":"new"}', 2),
        ("poll", 200, '{"status":"packed"}', 1),
    ]


@pytest.mark.parametrize("moved_to", ["packed", "shipped"])
async def test_the_answer_to_a_poll_that_a_step_overtook_is_kept(bench: Bench, moved_to: str) -> None:
    order = await bench.create()

    async def overtake(order: Order) -> ReadFailed:
        await bench.override(order.id, moved_to)
        return ReadFailed("404", answer=ProviderAnswer(404, "", b"not here"))

    bench.toy.show(overtake)
    await bench.work_after(bench.toy.timing.poll_cap)
    assert await messages_of(bench, order) == [("poll", 404, "not here", 1)]


# ── not logged, not for redacted orders ──────────────────────────────────────────────────────────────────────────────────


async def test_no_body_is_logged(bench: Bench) -> None:
    structlog.reset_defaults()
    bench.toy.answer("place", NotExecuted("401", answer=ANSWER), InDoubt("201", answer=ANSWER))
    bench.toy.show(ReadFailed("503", answer=ANSWER))
    with capture_logs() as logs:
        order = await bench.create()
        for _ in range(3):
            await bench.work_after(60)
        await bench.accept(order.id, "placement_resolved", Origin.OPERATOR, provider_id="T-k")
        await bench.work_after(60)
    assert {"effect.attempted", "poll.failed"} <= {log["event"] for log in logs}
    assert len(await bench.store.messages(order.id)) == 2
    assert "A1" not in repr(logs)


Late = Callable[[Bench, Order], Awaitable[object]]


async def _call(bench: Bench, order: Order) -> None:
    bench.toy.answer("place", NotExecuted("401", answer=ANSWER), InDoubt("201", answer=ANSWER))
    await bench.override(order.id, "drafted")
    await bench.accept(order.id, "order_it")
    await bench.work()
    await bench.work_after(60)


async def _poll(bench: Bench, order: Order) -> None:
    bench.toy.show(ReadFailed("503", answer=ANSWER), StatusRead("new", answer=ANSWER), StatusRead("packed", answer=ANSWER))
    await bench.override(order.id, "placed")
    for _ in range(4):
        await bench.work_after(bench.toy.timing.poll_cap)


async def _reply(bench: Bench, order: Order) -> None:
    message = make_message(order.id, "place", ANSWER, bench.clock.now())
    for _ in range(2):
        await bench.engine.inbox.accept(order.id, Event("placement_refused", Origin.REPLY), InboxKey("reply", "late"), message=message)


@pytest.mark.parametrize("late", [_call, _poll, _reply], ids=["call", "poll", "reply"])
async def test_a_redaction_removes_the_messages_and_none_is_kept_later(bench: Bench, late: Late) -> None:
    bench.toy.answer("place", Succeeded("order_placed", provider_id="T-k", answer=ANSWER))
    order = await bench.create()
    await bench.override(order.id, "shipped")
    assert len(await bench.store.messages(order.id)) == 1
    await bench.engine.retention.redact(order.id, actor="kim", reason="ticket 7")
    assert await bench.store.messages(order.id) == []
    calls = len(bench.toy.calls) + len(bench.toy.polls)
    await late(bench, await bench.store.load(order.id))
    assert len(bench.toy.calls) + len(bench.toy.polls) > calls or late is _reply
    assert await bench.store.messages(order.id) == []
