"""Polls that are answered and bring no status: recorded and counted, and after so many in a row the order is flagged."""

from __future__ import annotations

import pytest
import structlog
from attrs import evolve
from structlog.testing import capture_logs
from tests.kit.toy import Bench

from orderflow._provider.outcomes import ProviderAnswer, ReadFailed, Signal, StatusRead
from orderflow.model import PROVIDER_ID, Order, Origin, Reason

pytestmark = pytest.mark.anyio

FORBIDDEN = ReadFailed("403 from the provider", answer=ProviderAnswer(403, "application/json", b"{}"))
UNKNOWN = ReadFailed("404 from the provider", answer=ProviderAnswer(404, "application/json", b"{}"))
A_PAGE = ReadFailed("a page", signal=Signal.FOREIGN, answer=ProviderAnswer(403, "text/html", b"<html>canary</html>"))
MALFORMED = ReadFailed("canary: not JSON", answer=ProviderAnswer(200, "application/json", b"canary"))
AWAY = ReadFailed("500", signal=Signal.UNREACHABLE)
LATER = 80.0  # the longest wait between two polls of the toy
UNUSABLE, FLAGGED = ("status_read", Reason.UNUSABLE.value), ("status_read", Reason.NO_USABLE_ANSWER.value)


async def poll_with(bench: Bench, *answers: ReadFailed | StatusRead | Exception) -> None:
    for answer in answers:
        bench.toy.show(answer)
        await bench.work_after(LATER)


async def test_unusable_answers_are_one_counted_row_and_then_flag_the_order(bench: Bench) -> None:
    order = await bench.create()
    await poll_with(bench, FORBIDDEN, MALFORMED, FORBIDDEN, FORBIDDEN)
    assert (await bench.refusals_of(order.id), (await bench.store.load(order.id)).flagged) == ({UNUSABLE: 4}, False)
    await poll_with(bench, FORBIDDEN)
    assert (await bench.refusals_of(order.id), (await bench.store.load(order.id)).flagged) == ({UNUSABLE: 4, FLAGGED: 1}, True)
    rows = await bench.store.refusals(order.id)
    assert {row.detail for row in rows} == {"answered 403", "answered 403; 5 polls in a row brought no status"}
    assert {row.origin for row in rows} == {Origin.OBSERVATION}
    await poll_with(bench, StatusRead("packed"))
    order = await bench.store.load(order.id)
    assert (order.state, order.flagged) == ("packed", False)


async def test_what_an_adapter_returns_wrong_is_recorded_flags_the_order_and_is_no_word_about_its_id(bench: Bench) -> None:
    order = await bench.create()
    wrong = StatusRead("packed", {PROVIDER_ID: {"canary": 1}}, answer=ProviderAnswer(200, "application/json", b"{}"))
    structlog.reset_defaults()
    with capture_logs() as logs:
        await poll_with(bench, wrong, KeyError("canary"), *[wrong] * 3)
    after = await bench.store.load(order.id)
    assert (after.state, after.provider_id, after.flagged) == ("placed", order.provider_id, True)
    details = {row.detail for row in await bench.store.refusals(order.id)}
    problem = "the adapter's data names another provider_id than the order's"
    assert details == {problem, f"{problem}; 5 polls in a row brought no status"}
    assert [line["problem"] for line in logs if line["event"] == "poll.outcome_invalid"] == [problem] * 4
    assert [(message.source, message.count) for message in await bench.store.messages(order.id) if message.source == "poll"] == [
        ("poll", 4)
    ]
    await poll_with(bench, StatusRead("packed"))
    assert await bench.state_of(order.id) == "packed"


async def test_an_adapter_that_raises_in_polls_flags_the_order_and_shows_nothing_about_the_provider(bench: Bench) -> None:
    order = await bench.create()
    await poll_with(bench, *[AWAY] * bench.toy.timing.circuit_threshold)
    assert bench.engine.admission.problems == {"toy": "does not answer"}
    await poll_with(bench, *[KeyError("a bug")] * 5)
    assert bench.engine.admission.problems == {"toy": "does not answer"}
    assert (await bench.store.load(order.id)).flagged
    await poll_with(bench, StatusRead("new"))
    assert bench.engine.admission.problems == {}
    await poll_with(bench, *[KeyError("a bug")] * 9)
    assert (bench.engine.admission.problems, bench.engine.admission.find_paused(bench.clock.now())) == ({}, frozenset())


async def test_the_row_holds_no_text_of_the_provider(bench: Bench) -> None:
    order = await bench.create()
    await poll_with(bench, MALFORMED, A_PAGE, ReadFailed("canary"))
    assert "canary" not in repr(await bench.store.refusals(order.id))
    assert sum(message.count for message in await bench.store.messages(order.id)) == 2  # the answers themselves are kept


async def test_a_status_in_between_begins_the_count_anew_and_no_answer_does_not(bench: Bench) -> None:
    order = await bench.create()
    await poll_with(bench, *[FORBIDDEN] * 4, StatusRead("new"), *[FORBIDDEN] * 2, AWAY, *[FORBIDDEN] * 2)
    assert (await bench.refusals_of(order.id), (await bench.store.load(order.id)).flagged) == ({UNUSABLE: 8}, False)
    await poll_with(bench, FORBIDDEN)
    assert (await bench.store.load(order.id)).flagged


async def test_an_order_that_the_provider_may_not_show_yet_is_not_flagged(bench: Bench) -> None:
    bench.toy.timing = evolve(bench.toy.timing, unusable_polls=3, visible_after=600.0)
    order = await bench.create()
    while not (await bench.store.load(order.id)).flagged:
        assert bench.engine.admission.problems == {}
        await poll_with(bench, UNKNOWN)
    assert bench.clock.now() - order.entered_at == 640  # the first poll after 600 s; one each 80 s
    assert await bench.refusals_of(order.id) == {UNUSABLE: 7, FLAGGED: 1}


async def test_an_outage_that_the_standing_of_the_provider_explains_flags_no_order(bench: Bench) -> None:
    bench.toy.timing = evolve(bench.toy.timing, durations=dict.fromkeys(bench.toy.timing.durations, 1e6))
    order = await bench.create()
    await poll_with(bench, *[A_PAGE] * 10)
    assert bench.engine.admission.problems == {"toy": "another server answers in its place"}
    rows = await bench.refusals_of(order.id)
    assert (rows[UNUSABLE], rows.get(FLAGGED, 0)) == (10, 0)


async def test_a_page_for_one_order_while_others_are_answered_flags_it(bench: Bench) -> None:
    bench.toy.timing = evolve(bench.toy.timing, durations=dict.fromkeys(bench.toy.timing.durations, 1e6))
    broken, sound = await bench.create("broken"), await bench.create("sound")

    async def answer(order: Order) -> StatusRead | ReadFailed:
        return A_PAGE if order.id == broken.id else StatusRead("new")

    bench.toy.show(answer)
    for _ in range(8):
        await bench.work_after(LATER)
    assert [(await bench.store.load(order.id)).flagged for order in (broken, sound)] == [True, False]
    assert bench.engine.admission.problems == {}


async def test_the_next_poll_waits_as_long_as_an_unusable_answer_says(bench: Bench) -> None:
    await bench.create()
    bench.toy.show(evolve(FORBIDDEN, retry_after=500.0))
    for _ in range(60):
        await bench.work_after(10)
    assert [at - bench.toy.polls[0][1] for _, at in bench.toy.polls] == [0, 500]


async def test_an_unusable_answer_that_a_step_overtook_is_stale(bench: Bench) -> None:
    order = await bench.create()

    async def overtake(order: Order) -> ReadFailed:
        await bench.accept(order.id, "came", Origin.CLAIM)
        return FORBIDDEN

    bench.toy.show(overtake, StatusRead("packed"))
    await bench.work_after(10)
    assert await bench.refusals_of(order.id) == {("status_read", "stale"): 1}
    await bench.work_after(bench.toy.timing.poll_interval)
    assert await bench.state_of(order.id) == "packed"
