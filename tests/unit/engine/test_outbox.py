"""Once means once: what becomes of each way in which a call can end, and of calls whose worker died."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from attrs import evolve
from tests.kit.inline_store import InlineStore
from tests.kit.toy import Bench, open_bench, toy_id

from orderflow._engine.attempt import Attempt
from orderflow._provider.outcomes import InDoubt, NoResult, NotExecuted, Outcome, Rejected, Signal, Succeeded
from orderflow._store.records import LeasedEffect
from orderflow.errors import OperationalError
from orderflow.model import Order, Origin, Reason

pytestmark = pytest.mark.anyio


# ── outcomes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_is_prepared_and_placed_by_one_call_each(bench: Bench) -> None:
    order = await bench.create()
    assert (order.state, order.provider_id) == ("placed", toy_id(order))
    assert bench.toy.calls == [("make_ready", order.id), ("place", order.id)]
    await bench.work_after(3600)
    assert len(bench.toy.calls) == 2


async def test_a_once_effect_without_an_answer_ends_in_doubt_and_is_never_called_again(bench: Bench) -> None:
    order = await bench.create(state="in_doubt")
    assert order.state == "in_doubt"
    for _ in range(50):
        await bench.work_after(3600)
    assert bench.toy.count_calls("place") == 1
    assert await bench.state_of(order.id) == "in_doubt"
    assert (await bench.store.journal(order.id))[-1].note == "reset"


async def test_a_call_that_was_never_sent_is_retried_until_the_budget_is_spent(bench: Bench) -> None:
    bench.toy.answer("place", *[NotExecuted("connect failure")] * 9)
    order = await bench.create()
    assert (order.state, bench.toy.count_calls("place")) == ("sending", 1)
    await bench.work_after(0.9)
    assert bench.toy.count_calls("place") == 1
    await bench.work_after(0.1)  # retry_first, then twice that
    assert bench.toy.count_calls("place") == 2
    await bench.work_after(2)
    assert (bench.toy.count_calls("place"), await bench.state_of(order.id)) == (3, "refused")
    row = (await bench.store.journal(order.id))[-1]
    assert (row.event, row.note) == ("placement_undelivered", "connect failure")
    await bench.work_after(3600)
    assert bench.toy.count_calls("place") == 3


async def test_a_call_that_was_never_sent_is_owed_until_the_time_budget_is_spent(bench: Bench) -> None:
    bench.toy.timing = evolve(bench.toy.timing, undelivered_after=1000.0)
    bench.toy.answer("place", *[NotExecuted("connect failure")] * 99)
    order = await bench.create()
    for _ in range(16):
        await bench.work_after(bench.toy.timing.retry_cap)
    assert bench.toy.count_calls("place") > bench.toy.timing.retry_attempts
    assert await bench.state_of(order.id) == "sending"
    await bench.work_after(bench.toy.timing.retry_cap)  # 1,020 s
    assert await bench.state_of(order.id) == "refused"
    assert (await bench.events_of(order.id))[-1] == "placement_undelivered"


async def test_a_call_that_never_can_be_made_is_undelivered_at_once(bench: Bench) -> None:
    bench.toy.timing = evolve(bench.toy.timing, undelivered_after=1000.0)
    bench.toy.answer("place", NotExecuted("the user is gone", permanent=True))
    order = await bench.create()
    assert (await bench.state_of(order.id), (await bench.events_of(order.id))[-1]) == ("refused", "placement_undelivered")


async def test_attempts_that_were_not_executed_leave_the_attempts_of_a_repeatable_effect(bench: Bench) -> None:
    bench.toy.timing = evolve(bench.toy.timing, undelivered_after=1e6)
    bench.toy.answer("make_ready", *[NotExecuted("refused connection")] * 5, InDoubt("reset"), InDoubt("reset"))
    order = await bench.create()
    for _ in range(10):
        await bench.work_after(bench.toy.timing.retry_cap)
    assert (bench.toy.count_calls("make_ready"), await bench.state_of(order.id)) == (8, "placed")


async def test_a_retry_waits_as_long_as_the_provider_says(bench: Bench) -> None:
    bench.toy.answer("place", NotExecuted("503", retry_after=40.0))
    order = await bench.create()
    await bench.work_after(39)
    assert bench.toy.count_calls("place") == 1
    await bench.work_after(1)
    assert (bench.toy.count_calls("place"), await bench.state_of(order.id)) == (2, "placed")


@pytest.mark.parametrize("throttled", [True, False])
async def test_a_retry_that_is_due_when_the_lease_would_end_is_written(bench: Bench, throttled: bool) -> None:
    """It is not left to its lease: a worker that stops has nothing to give back, and must not report it in doubt."""
    order = await bench.create(state="sending")
    attempt = await bench.lease()
    signal = Signal.THROTTLED if throttled else Signal.NONE
    bench.toy.answer("place", NotExecuted("later", bench.toy.timing.lease, signal=signal))
    assert await bench.engine.outbox.run(attempt)
    (row,) = (await bench.store.pending(order.id)).effects
    assert (row.in_flight, row.run_at) == (False, attempt.effect.until)


async def test_a_rejection_is_an_answer(bench: Bench) -> None:
    bench.toy.answer("place", Rejected("400"))
    order = await bench.create()
    assert (order.state, (await bench.events_of(order.id))[-1]) == ("refused", "placement_refused")


async def test_a_repeatable_effect_in_doubt_is_called_again(bench: Bench) -> None:
    bench.toy.answer("make_ready", InDoubt("reset"), InDoubt("500"))
    order = await bench.create()
    assert order.state == "preparing"
    await bench.work_after(1)
    await bench.work_after(2)
    assert (bench.toy.count_calls("make_ready"), await bench.state_of(order.id)) == (3, "placed")


async def test_a_repeatable_effect_that_stays_in_doubt_is_reported_in_doubt(bench: Bench) -> None:
    bench.toy.answer("make_ready", *[InDoubt("reset")] * 9)
    order = await bench.create()
    await bench.work_after(1)
    await bench.work_after(2)
    assert (bench.toy.count_calls("make_ready"), await bench.state_of(order.id)) == (3, "in_doubt")
    assert (await bench.events_of(order.id))[-1] == "preparation_answer_lost"


async def test_a_repeatable_effect_that_was_in_doubt_once_stays_so_through_attempts_that_were_not_executed(bench: Bench) -> None:
    bench.toy.answer("make_ready", InDoubt("reset"), *[NotExecuted("refused connection")] * 2)
    order = await bench.create()
    await bench.work_after(1)
    await bench.work_after(2)
    assert (bench.toy.count_calls("make_ready"), await bench.state_of(order.id)) == (3, "in_doubt")


async def test_a_repeatable_effect_that_was_never_executed_is_undelivered(bench: Bench) -> None:
    bench.toy.answer("make_ready", *[NotExecuted("refused connection")] * 3)
    order = await bench.create()
    await bench.work_after(1)
    await bench.work_after(2)
    assert (await bench.events_of(order.id))[-1] == "preparation_undelivered"


async def test_an_attempt_of_a_repeatable_effect_whose_worker_died_may_have_been_executed(bench: Bench) -> None:
    """Nothing is written before its call, and nothing after it. The lease runs out, and the call is repeated in vain."""
    bench.toy.answer("make_ready", *[NotExecuted("refused connection")] * 2)
    order = await bench.create(state="preparing")
    await bench.lease()
    await bench.work_after(bench.toy.timing.lease)
    await bench.work_after(bench.toy.timing.retry_cap)
    assert (bench.toy.count_calls("make_ready"), await bench.state_of(order.id)) == (2, "in_doubt")


async def test_a_repeatable_call_that_another_worker_holds_by_now_is_not_reported_undelivered(bench: Bench) -> None:
    async def be_overtaken(order: Order) -> Outcome:
        bench.clock.advance(bench.toy.timing.lease)
        await bench.lease_all()
        return NotExecuted("never", permanent=True)

    bench.toy.answer("make_ready", be_overtaken)
    order = await bench.create(state="preparing")
    assert await bench.engine.outbox.run(await bench.lease())
    (row,) = (await bench.store.pending(order.id)).effects
    assert (row.name, row.attempt, row.in_flight) == ("make_ready", 2, True)
    assert await bench.events_of(order.id) == ["order_it"]


async def test_a_repeatable_call_that_is_about_to_be_reported_undelivered_is_not_sent_any_more(bench: Bench) -> None:
    """Its worker has marked it, and stalls."""
    order = await bench.create(state="preparing")
    attempt = await bench.lease()
    assert await bench.store.mark_sending(attempt.effect, bench.clock.now())
    await bench.work_after(bench.toy.timing.lease)
    assert (bench.toy.count_calls("make_ready"), await bench.state_of(order.id)) == (0, "in_doubt")


async def test_the_success_of_a_repeatable_effect_that_names_another_order_is_in_doubt(bench: Bench) -> None:
    bench.toy.answer("make_ready", Succeeded("prepared", provider_id="T-other"))
    order = await bench.create(state="drafted")
    await bench.accept(order.id, "order_it", provider_id="T-1")
    await bench.work()
    assert (await bench.state_of(order.id), await bench.events_of(order.id)) == ("in_doubt", ["order_it", "preparation_answer_lost"])


async def test_a_search_without_a_result_is_repeated_and_then_given_up(bench: Bench) -> None:
    order = await bench.create(state="in_doubt")
    for _ in range(5):
        await bench.work_after(60)
    assert (bench.toy.count_calls("look_up"), await bench.state_of(order.id)) == (3, "in_doubt")
    assert await bench.store.next_due(bench.scope()) is None


async def test_a_search_with_a_result_resolves_the_doubt(bench: Bench) -> None:
    bench.toy.answer("look_up", NoResult("no hit"), Succeeded("placement_found", provider_id="T-found"))
    order = await bench.create(state="in_doubt")
    await bench.work_after(1)
    order = await bench.store.load(order.id)
    assert (order.state, order.provider_id, bench.toy.count_calls("place")) == ("placed", "T-found", 1)


async def test_a_once_effect_without_a_result_is_in_doubt_and_not_sent_again(bench: Bench) -> None:
    bench.toy.answer("place", NoResult("none"), NoResult("none"))
    order = await bench.create()
    await bench.work_after(3600)
    order = await bench.store.load(order.id)
    assert (bench.toy.count_calls("place"), order.state, order.flagged) == (1, "in_doubt", True)


@pytest.mark.parametrize("bug", [ValueError("a bug"), KeyError("x"), TimeoutError()], ids=lambda bug: type(bug).__name__)
async def test_an_adapter_that_raises_leaves_the_call_in_doubt(bench: Bench, bug: Exception) -> None:
    bench.toy.answer("place", bug)
    order = await bench.create()
    await bench.work_after(3600)
    assert (bench.toy.count_calls("place"), await bench.state_of(order.id)) == (1, "in_doubt")
    assert "a bug" not in (await bench.store.journal(order.id))[-1].note  # the message may quote what was sent


async def test_a_call_that_hangs_is_in_doubt_before_its_lease_ends(bench: Bench) -> None:
    bench.toy.timing = evolve(bench.toy.timing, lease=0.05)

    async def hang(order: Order) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    bench.toy.answer("place", hang)
    order = await bench.create()
    row = next(row for row in await bench.store.journal(order.id) if row.event == "placement_answer_lost")
    assert row.note == "no answer within the lease"


# ── another worker takes over ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_once_effect_that_another_worker_sent_is_reported_in_doubt_and_not_called(bench: Bench) -> None:
    order = await bench.create(state="sending")
    assert await bench.store.mark_sending((await bench.lease()).effect, bench.clock.now())  # this worker dies
    await bench.work()
    assert await bench.state_of(order.id) == "sending"
    await bench.work_after(bench.toy.timing.lease)
    assert (bench.toy.count_calls("place"), await bench.state_of(order.id)) == (0, "in_doubt")
    assert (await bench.store.journal(order.id))[-1].note == "an earlier attempt was sent and never answered"


async def test_a_once_effect_that_another_worker_leased_and_never_sent_is_simply_owed(bench: Bench) -> None:
    order = await bench.create(state="sending")
    for _ in range(3):
        await bench.lease()  # this worker dies
        await bench.work()
        assert (bench.toy.count_calls("place"), await bench.state_of(order.id)) == (0, "sending")
        bench.clock.advance(bench.toy.timing.lease)
    await bench.work()
    assert (bench.toy.count_calls("place"), await bench.state_of(order.id)) == (1, "placed")


async def test_a_repeatable_effect_that_another_worker_began_is_called(bench: Bench) -> None:
    order = await bench.create(state="preparing")
    await bench.lease()
    await bench.work_after(bench.toy.timing.lease)
    assert (bench.toy.count_calls("make_ready"), await bench.state_of(order.id)) == (1, "placed")


async def test_a_worker_that_lacks_the_effect_leaves_it_to_one_that_has_it(bench: Bench) -> None:
    """During a rolling upgrade the older code must not make the newer code's call look unanswered."""
    order = await bench.create(state="sending")
    table = bench.toy.table
    bench.toy.table = evolve(table, effects={name: effect for name, effect in table.effects.items() if name != "place"})
    await bench.work()
    bench.toy.table = table
    await bench.work_after(bench.toy.timing.lease)
    assert (bench.toy.count_calls("place"), await bench.state_of(order.id)) == (1, "placed")


# ── a lease ends before the call begins ──────────────────────────────────────────────────────────────────────────────────


async def test_a_once_effect_that_was_taken_over_before_its_call_began_is_not_called_twice(bench: Bench) -> None:
    """The first worker stands still after leasing. The second one calls."""
    order = await bench.create(state="sending")
    attempt = await bench.lease()
    await bench.work_after(bench.toy.timing.lease)
    await bench.engine.outbox.run(attempt)
    assert (await bench.state_of(order.id), bench.toy.count_calls("place")) == ("placed", 1)


async def test_a_call_that_was_not_begun_in_time_is_owed_again_and_costs_no_attempt(bench: Bench) -> None:
    bench.toy.timing = evolve(bench.toy.timing, undelivered_after=1e6)
    order = await bench.create(state="sending")
    for _ in range(bench.toy.timing.retry_attempts):
        attempt = await bench.lease()
        bench.clock.advance(0.9 * bench.toy.timing.lease)
        await bench.engine.outbox.run(attempt)
        assert (await bench.state_of(order.id), bench.toy.count_calls("place")) == ("sending", 0)
    bench.toy.answer("place", NotExecuted("connect failure"))
    await bench.work()
    await bench.work_after(bench.toy.timing.retry_cap)
    assert (await bench.state_of(order.id), bench.toy.count_calls("place")) == ("placed", 2)


# ── the moment of sending ────────────────────────────────────────────────────────────────────────────────────────────────────


def end_call(bench: Bench, how: object, *, sent: bool) -> Callable[[Order], Awaitable[Outcome]]:
    """A call that ends in this way, before its moment of sending or behind it."""

    async def call(order: Order) -> Outcome:
        if sent:
            assert bench.toy.call is not None
            await bench.toy.call.mark_sending()
        if isinstance(how, Exception):
            raise how
        if how == "hang":
            await asyncio.Event().wait()
        return how  # type: ignore[return-value]

    return call


ENDS = {
    "raises": (ValueError("a bug"), "the adapter raised ValueError"),
    "is in doubt": (InDoubt("500 from a look-up"), "500 from a look-up"),
    "returns nothing": (None, "the adapter returned NoneType, which is not an outcome"),
    "has no result": (NoResult("none"), "the adapter returned NoResult for place, which is no look-up: it is sent only once"),
    "hangs": ("hang", ""),
}


@pytest.mark.parametrize(("how", "why"), ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("sent", [True, False], ids=["sent", "not sent"])
async def test_a_call_is_in_doubt_only_behind_its_moment_of_sending(bench: Bench, how: object, why: str, sent: bool) -> None:
    bench.toy.timing = evolve(bench.toy.timing, lease=1.0 if how == "hang" else 60.0)
    bench.toy.marks_sending = True
    bench.toy.answer("place", end_call(bench, how, sent=sent))
    bench.toy.answer("look_up", NotExecuted("later"))
    order = await bench.create()
    if sent:
        assert order.state == "in_doubt"
        assert (await bench.store.journal(order.id))[-1].note == (why or "no answer within the lease")
        return
    (row,) = (await bench.store.pending(order.id)).effects
    assert (order.state, row.name, row.in_flight, row.why) == ("sending", "place", False, why or "no time was left to send the call")
    bench.toy.marks_sending = False
    await bench.work_after(bench.toy.timing.retry_cap)
    assert (await bench.state_of(order.id), bench.toy.count_calls("place")) == ("placed", 2)


@pytest.mark.parametrize(
    ("how", "why"), [ENDS["raises"], ENDS["returns nothing"]], ids=["the adapter raises", "the adapter returns no outcome"]
)
async def test_an_adapter_that_fails_before_sending_holds_back_no_other_order_and_flags_its_own(
    bench: Bench, how: object, why: str
) -> None:
    bench.toy.marks_sending = True
    bench.toy.timing = evolve(bench.toy.timing, undelivered_after=1e6)
    broken, mended = await bench.create("broken", state="sending"), list[bool]()

    async def place(order: Order) -> Outcome:
        assert bench.toy.call is not None
        if order.id == broken.id and not mended:
            return await end_call(bench, how, sent=False)(order)
        await bench.toy.call.mark_sending()
        return Succeeded("order_placed", provider_id=toy_id(order))

    bench.toy.answer("place", *[place] * 99)
    for attempt in range(1, bench.toy.timing.circuit_threshold + 3):
        await bench.work_after(bench.toy.timing.retry_cap)
        assert (await bench.store.load(broken.id)).flagged is (attempt >= 3)
    assert (bench.engine.admission.problems, bench.engine.admission.find_paused(bench.clock.now())) == ({}, frozenset())
    assert (await bench.create("sound")).state == "placed"
    (row,) = (await bench.store.pending(broken.id)).effects
    assert (row.name, row.why, await bench.state_of(broken.id)) == ("place", why, "sending")
    (refusal,) = await bench.store.refusals(broken.id)
    assert (refusal.event, refusal.reason, refusal.detail) == ("place", Reason.ANOMALY, f"{why}, before anything was sent")
    mended.append(True)
    await bench.work_after(bench.toy.timing.retry_cap)
    assert await bench.state_of(broken.id) == "placed"


async def test_an_adapter_that_fails_before_sending_is_undelivered_when_the_time_budget_is_spent(bench: Bench) -> None:
    bench.toy.marks_sending = True
    bench.toy.answer("place", *[end_call(bench, ValueError("a bug"), sent=False)] * 99)
    order = await bench.create()
    for _ in range(4):
        await bench.work_after(bench.toy.timing.retry_cap)
    assert ((await bench.events_of(order.id))[-1], await bench.state_of(order.id)) == ("placement_undelivered", "refused")


async def test_a_success_that_is_wrong_is_in_doubt_though_its_adapter_forgot_to_mark(bench: Bench) -> None:
    bench.toy.marks_sending = True
    bench.toy.answer("place", Succeeded("order_palced"))
    bench.toy.answer("look_up", NotExecuted("later"))
    order = await bench.create()
    assert (order.state, bench.toy.count_calls("place")) == ("in_doubt", 1)


async def test_a_call_of_a_provider_that_does_not_mark_is_marked_before_it_begins(bench: Bench) -> None:
    async def call(order: Order) -> Outcome:
        bench.clock.advance(bench.toy.timing.lease)
        (taken_over,) = await bench.lease_all()
        assert taken_over.effect.previous_attempt_sent == (taken_over.effect.name == "place")  # make_ready may be repeated
        return NotExecuted("later")

    bench.toy.answer("make_ready", call)
    order = await bench.create()
    bench.toy.answer("place", call)
    await bench.work_after(bench.toy.timing.lease)
    assert await bench.state_of(order.id) == "sending"


async def test_a_call_that_was_taken_over_before_its_moment_of_sending_is_not_sent(bench: Bench) -> None:
    order = await bench.create(state="sending")
    attempt = await bench.lease()
    sent: list[int] = []

    async def send(order: Order) -> Outcome:
        call = bench.toy.call
        assert call is not None
        if call.attempt == 1:
            await bench.work_after(bench.toy.timing.lease)  # another worker takes over
        await call.mark_sending()
        sent.append(call.attempt)
        return Succeeded("order_placed", provider_id="T-7")

    bench.toy.marks_sending = True
    bench.toy.answer("place", send, send)
    assert await bench.engine.outbox.run(attempt)
    assert (sent, await bench.state_of(order.id)) == ([2], "placed")
    assert await bench.refusals_of(order.id) == {}


@pytest.mark.parametrize(
    "outcome", [NotExecuted("the user is gone", permanent=True), Rejected("no such user")], ids=["undelivered", "refused"]
)
async def test_a_failure_before_sending_is_not_reported_while_another_worker_sends(bench: Bench, outcome: Outcome) -> None:
    """The order would go back to where the command is legal again, and the provider would get two."""
    order = await bench.create(state="sending")
    attempt = await bench.lease()

    async def fail(order: Order) -> Outcome:
        bench.clock.advance(bench.toy.timing.lease)
        other = await bench.lease()
        assert await bench.store.mark_sending(other.effect, bench.clock.now())
        return outcome

    bench.toy.marks_sending = True
    bench.toy.answer("place", fail)
    await bench.engine.outbox.run(attempt)
    assert await bench.state_of(order.id) == "sending"
    (row,) = (await bench.store.pending(order.id)).effects
    assert (row.attempt, row.in_flight) == (2, True)


@pytest.mark.parametrize(
    "outcome", [NotExecuted("the user is gone", permanent=True), Rejected("no such user")], ids=["undelivered", "refused"]
)
async def test_a_failure_before_sending_is_reported_by_the_worker_that_holds_the_call(bench: Bench, outcome: Outcome) -> None:
    bench.toy.marks_sending = True
    bench.toy.answer("place", outcome)
    assert (await bench.create()).state == "refused"


class MarkingStore(InlineStore):
    """Counts the marks, and raises ``error`` in place of the next ones."""

    marks = 0
    error: Exception | None = None

    async def mark_sending(self, effect: LeasedEffect, now: float) -> bool:
        self.marks += 1
        if self.error is not None:
            raise self.error
        return await super().mark_sending(effect, now)


async def test_the_moment_of_sending_is_written_once_an_attempt_and_never_for_a_repeatable_effect(tmp_path: Path) -> None:
    store = MarkingStore()
    async with open_bench(tmp_path, store=store) as bench:
        bench.toy.marks_sending = True

        async def send_twice(order: Order) -> Outcome:
            assert bench.toy.call is not None
            for _ in range(2):  # a 401, and once more with a fresh token
                await bench.toy.call.mark_sending()
            return Succeeded("prepared") if order.state == "preparing" else Succeeded("order_placed", provider_id="T-1")

        bench.toy.answer("make_ready", send_twice)
        bench.toy.answer("place", send_twice)
        order = await bench.create()
    assert (order.state, store.marks) == ("placed", 1)


async def test_nothing_is_sent_while_the_database_is_away(tmp_path: Path) -> None:
    store = MarkingStore()
    async with open_bench(tmp_path, store=store) as bench:
        order = await bench.create(state="sending")
        store.error = OperationalError("away")
        await bench.work()
        (row,) = (await bench.store.pending(order.id)).effects
        assert (row.in_flight, row.why) == (False, "the moment of sending could not be written")
        assert (await bench.state_of(order.id), bench.toy.count_calls("place")) == ("sending", 0)
        store.error = None
        await bench.work_after(bench.toy.timing.retry_cap)
        assert (await bench.state_of(order.id), bench.toy.count_calls("place")) == ("placed", 1)


# ── a late outcome is still an event ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_late_reply_resolves_the_doubt(bench: Bench) -> None:
    order = await bench.create(state="sending")
    attempt = await bench.lease()

    async def answer_late(order: Order) -> Outcome:
        await bench.work_after(bench.toy.timing.lease)  # meanwhile another worker takes over, and reports the answer lost
        assert await bench.state_of(order.id) == "in_doubt"
        return Succeeded("order_placed", provider_id="T-late")

    bench.toy.answer("place", answer_late)
    await bench.engine.outbox.run(attempt)
    order = await bench.store.load(order.id)
    assert (order.state, order.provider_id, order.flagged) == ("placed", "T-late", False)
    assert (await bench.events_of(order.id))[2:] == ["placement_answer_lost", "order_placed"]
    assert bench.toy.count_calls("place") == 1


async def test_a_late_invalid_answer_leaves_the_doubt_and_keeps_the_id_that_it_names(bench: Bench) -> None:
    order = await bench.create(state="sending")
    attempt = await bench.lease()

    async def answer_late(order: Order) -> Outcome:
        await bench.work_after(bench.toy.timing.lease)
        return Succeeded("order_plaeced", provider_id="T-late")

    bench.toy.answer("place", answer_late)
    await bench.engine.outbox.run(attempt)
    order = await bench.store.load(order.id)
    assert (order.state, order.provider_id, order.flagged) == ("in_doubt", None, True)
    (refusal,) = await bench.store.refusals(order.id)
    wrong = "the adapter reports 'order_plaeced', which is no success of place: order_placed; it names the provider's order T-late"
    assert (refusal.event, refusal.reason, refusal.detail) == ("placement_answer_lost", Reason.ANOMALY, wrong)


async def test_a_late_rejection_resolves_the_doubt(bench: Bench) -> None:
    order = await bench.create(state="in_doubt")
    await bench.accept(order.id, "placement_refused", Origin.REPLY)
    assert await bench.state_of(order.id) == "refused"


async def hold_back(bench: Bench, effect: str, outcome: Outcome) -> Order:
    """An order whose call of ``effect`` is answered late: it ended for us, the order began anew, and a second call is owed."""
    order = await bench.create(state={"make_ready": "preparing", "place": "sending"}[effect])
    attempt = await bench.lease()

    async def answer_late(order: Order) -> Outcome:
        await bench.work_after(bench.toy.timing.lease)  # another worker takes over: it repeats the call, or reports the answer lost
        await bench.override(order.id, "drafted")
        await bench.accept(order.id, "order_it")
        if effect == "place":
            await bench.engine.outbox.run(await bench.lease())  # prepared
        return outcome

    bench.toy.answer(effect, answer_late)
    await bench.engine.outbox.run(attempt)
    return await bench.store.load(order.id)


async def test_a_late_success_of_a_once_effect_does_not_end_the_later_call_and_is_flagged(bench: Bench) -> None:
    """With the later call, there may be two orders at the provider."""
    order = await hold_back(bench, "place", Succeeded("order_placed", provider_id="T-late"))
    assert (order.state, order.provider_id, order.flagged) == ("sending", None, True)
    (row,) = [row for row in await bench.store.refusals(order.id) if row.event == "order_placed"]
    assert (row.reason, "T-late" in row.detail) == ("anomaly", True)
    await bench.work()
    assert await bench.state_of(order.id) == "placed"  # by the later call


@pytest.mark.parametrize(
    ("effect", "state", "outcome", "event"),
    [("place", "sending", Rejected("400"), "placement_refused"), ("make_ready", "preparing", Succeeded("prepared"), "prepared")],
    ids=["rejection of a once-effect", "success of a repeatable effect"],
)
async def test_a_late_reply_does_not_end_the_later_call(bench: Bench, effect: str, state: str, outcome: Outcome, event: str) -> None:
    order = await hold_back(bench, effect, outcome)
    assert (order.state, order.flagged) == (state, False)
    assert (await bench.refusals_of(order.id))[event, "stale"] == 1
    await bench.work()
    assert await bench.state_of(order.id) == "placed"


async def test_a_reply_that_is_reported_twice_is_applied_once(bench: Bench) -> None:
    order = await bench.create(state="sending")
    attempt = await bench.lease()
    for again in (attempt, Attempt(attempt.effect)):  # the same lease, as if a second worker held it
        await bench.engine.outbox.run(again)
    assert await bench.state_of(order.id) == "placed"
    assert (await bench.events_of(order.id)).count("order_placed") == 1
    assert await bench.refusals_of(order.id) == {}


async def test_a_second_reply_to_a_repeatable_effect_is_late(bench: Bench) -> None:
    order = await bench.create(state="preparing")
    attempt = await bench.lease()

    async def answer_late(order: Order) -> Outcome:
        await bench.work_after(bench.toy.timing.lease)  # meanwhile another worker takes over, and is answered
        return Succeeded("prepared")

    bench.toy.answer("make_ready", answer_late)
    await bench.engine.outbox.run(attempt)
    assert await bench.state_of(order.id) == "placed"
    assert await bench.refusals_of(order.id) == {("prepared", "late"): 1}
    assert bench.toy.count_calls("place") == 1
