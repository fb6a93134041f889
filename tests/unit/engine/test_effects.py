"""Rule 7, once means once: what becomes of every way in which a call can end, and of calls that nobody finished."""

from __future__ import annotations

import asyncio

import pytest
from attrs import evolve
from tests.kit.toy import Bench, number

from orderflow.engine.outbox import AnswerLost, Call, lease
from orderflow.model import Effect, EffectKey, Order, Origin, Reason
from orderflow.provider.outcomes import InDoubt, NoResult, NotExecuted, Outcome, Rejected, Signal, Succeeded
from orderflow.store.records import LeasedEffect

pytestmark = pytest.mark.anyio
reply = Origin.REPLY


# ── what a lease asks for ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("once", "unanswered", "asked"),
    [(True, True, AnswerLost), (True, False, Call), (False, True, Call), (False, False, Call)],
)
def test_only_a_once_effect_with_an_unanswered_attempt_is_not_called(once: bool, unanswered: bool, asked: type) -> None:
    effect = LeasedEffect(EffectKey("toy-k", 1, 0), "place", "toy", 2, unanswered)
    assert isinstance(lease(effect, Effect("place", "placement", once)), asked)


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_is_configured_and_placed_by_one_call_each(bench: Bench) -> None:
    order = await bench.new()
    assert (order.state, order.provider_id) == ("placed", number(order))
    assert bench.toy.calls == [("make_ready", order.id), ("place", order.id)]
    await bench.after(3600)
    assert len(bench.toy.calls) == 2


async def test_a_lost_answer_leads_into_doubt_and_never_to_a_second_call(bench: Bench) -> None:
    order = await bench.new(state="in_doubt")
    assert order.state == "in_doubt"
    for _ in range(50):
        await bench.after(3600)
    assert bench.toy.called("place") == 1
    assert await bench.state(order.id) == "in_doubt"
    assert (await bench.store.journal(order.id))[-1].note == "reset"


async def test_a_call_that_never_left_is_sent_again_until_the_budget_is_spent(bench: Bench) -> None:
    bench.toy.will("place", *[NotExecuted("connect failure")] * 9)
    order = await bench.new()
    assert (order.state, bench.toy.called("place")) == ("sending", 1)
    await bench.after(0.9)
    assert bench.toy.called("place") == 1
    await bench.after(0.1)  # retry_first, then twice that
    assert bench.toy.called("place") == 2
    await bench.after(2)
    assert (bench.toy.called("place"), await bench.state(order.id)) == (3, "refused")
    row = (await bench.store.journal(order.id))[-1]
    assert (row.event, row.note) == ("placement_undelivered", "connect failure")
    await bench.after(3600)
    assert bench.toy.called("place") == 3


async def test_a_provider_that_asks_for_patience_gets_it(bench: Bench) -> None:
    bench.toy.will("place", NotExecuted("429", retry_after=40.0))
    order = await bench.new()
    await bench.after(39)
    assert bench.toy.called("place") == 1
    await bench.after(1)
    assert (bench.toy.called("place"), await bench.state(order.id)) == (2, "placed")


@pytest.mark.parametrize("throttled", [True, False])
async def test_what_is_owed_again_just_when_its_lease_would_have_ended_is_written(bench: Bench, throttled: bool) -> None:
    """It is not left to its lease: a worker that stops has nothing to give back, least of all as lost."""
    order = await bench.new(state="sending")
    effect = await bench.lease()
    bench.toy.will("place", NotExecuted("later", bench.toy.timing.lease, signal=Signal.THROTTLED if throttled else Signal.NONE))
    assert await bench.engine.outbox.run(effect)
    (row,) = (await bench.store.pending(order.id)).effects
    assert (row.in_flight, row.run_at) == (False, effect.until)


async def test_a_refusal_is_an_answer(bench: Bench) -> None:
    bench.toy.will("place", Rejected("400"))
    order = await bench.new()
    assert (order.state, (await bench.path(order.id))[-1]) == ("refused", "placement_refused")


async def test_a_repeatable_effect_in_doubt_is_sent_again(bench: Bench) -> None:
    bench.toy.will("make_ready", InDoubt("reset"), InDoubt("500"))
    order = await bench.new()
    assert order.state == "preparing"
    await bench.after(1)
    await bench.after(2)
    assert (bench.toy.called("make_ready"), await bench.state(order.id)) == (3, "placed")


async def test_a_repeatable_effect_in_doubt_for_good_counts_as_undelivered(bench: Bench) -> None:
    bench.toy.will("make_ready", *[InDoubt("reset")] * 9)
    order = await bench.new()
    await bench.after(1)
    await bench.after(2)
    assert (bench.toy.called("make_ready"), await bench.state(order.id)) == (3, "refused")
    assert (await bench.path(order.id))[-1] == "preparation_undelivered"


async def test_a_search_without_a_hit_is_repeated_and_then_given_up(bench: Bench) -> None:
    order = await bench.new(state="in_doubt")
    for _ in range(5):
        await bench.after(60)
    assert (bench.toy.called("look_up"), await bench.state(order.id)) == (3, "in_doubt")
    assert await bench.store.next_due(bench.scope()) is None


async def test_a_search_with_a_hit_leads_out_of_doubt(bench: Bench) -> None:
    bench.toy.will("look_up", NoResult("no hit"), Succeeded("placement_found", provider_id="T-found"))
    order = await bench.new(state="in_doubt")
    await bench.after(1)
    found = await bench.store.load(order.id)
    assert (found.state, found.provider_id, bench.toy.called("place")) == ("placed", "T-found", 1)


@pytest.mark.parametrize("bug", [ValueError("a bug"), KeyError("x"), TimeoutError()], ids=lambda bug: type(bug).__name__)
async def test_an_adapter_that_raises_leaves_the_call_in_doubt(bench: Bench, bug: Exception) -> None:
    bench.toy.will("place", bug)
    order = await bench.new()
    await bench.after(3600)
    assert (bench.toy.called("place"), await bench.state(order.id)) == (1, "in_doubt")
    assert "a bug" not in (await bench.store.journal(order.id))[-1].note  # a foreign message may quote what was sent


async def test_a_call_that_hangs_is_in_doubt_before_its_lease_ends(bench: Bench) -> None:
    bench.toy.timing = evolve(bench.toy.timing, lease=0.05)

    async def hangs(order: Order) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    bench.toy.will("place", hangs)
    order = await bench.new()
    row = next(row for row in await bench.store.journal(order.id) if row.event == "placement_answer_lost")
    assert row.note == "no answer within the lease"


# ── take-over ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_whoever_takes_over_an_unanswered_call_reports_it_lost_and_does_not_call(bench: Bench) -> None:
    order = await bench.new(state="sending")
    await bench.lease()  # and this worker is never heard of again
    await bench.work()
    assert await bench.state(order.id) == "sending"
    await bench.after(bench.toy.timing.lease)
    assert (bench.toy.called("place"), await bench.state(order.id)) == (0, "in_doubt")


async def test_whoever_takes_over_a_repeatable_effect_calls(bench: Bench) -> None:
    order = await bench.new(state="preparing")
    await bench.lease()
    await bench.after(bench.toy.timing.lease)
    assert (bench.toy.called("make_ready"), await bench.state(order.id)) == (1, "placed")


async def test_a_worker_that_lacks_the_effect_leaves_it_to_one_that_has_it(bench: Bench) -> None:
    """During a rolling upgrade the older code must not make the newer code's call look unanswered."""
    order = await bench.new(state="sending")
    whole = bench.toy.table
    bench.toy.table = evolve(whole, effects={name: effect for name, effect in whole.effects.items() if name != "place"})
    await bench.work()
    bench.toy.table = whole
    await bench.after(bench.toy.timing.lease)
    assert (bench.toy.called("place"), await bench.state(order.id)) == (1, "placed")


# ── results are never fenced ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_late_reply_leaves_doubt_by_its_edge(bench: Bench) -> None:
    order = await bench.new(state="sending")
    slow = await bench.lease()

    async def answered_late(order: Order) -> Outcome:
        await bench.after(bench.toy.timing.lease)  # meanwhile another worker takes over, and reports the answer lost
        assert await bench.state(order.id) == "in_doubt"
        return Succeeded("order_placed", provider_id="T-late")

    bench.toy.will("place", answered_late)
    await bench.engine.outbox.run(slow)
    found = await bench.store.load(order.id)
    assert (found.state, found.provider_id, found.flagged) == ("placed", "T-late", False)
    assert (await bench.path(order.id))[2:] == ["placement_answer_lost", "order_placed"]
    assert bench.toy.called("place") == 1


async def test_a_late_refusal_leaves_doubt_by_its_edge(bench: Bench) -> None:
    order = await bench.new(state="in_doubt")
    await bench.accept(order.id, "placement_refused", reply)
    assert await bench.state(order.id) == "refused"


async def test_a_reply_that_names_another_order_is_an_alarm_and_keeps_the_id(bench: Bench) -> None:
    order = await bench.new()
    decision = await bench.accept(order.id, "order_placed", reply, provider_id="T-other")
    found = await bench.store.load(order.id)
    assert (found.state, found.version, found.provider_id, found.flagged) == ("placed", 3, number(order), True)
    assert decision.reason is Reason.NOT_OURS  # type: ignore[union-attr]
    (row,) = await bench.store.refusals(order.id)
    assert "T-other" in row.detail
    assert number(order) in row.detail


async def test_an_id_that_comes_when_the_order_is_given_up_is_not_lost(bench: Bench) -> None:
    order = await bench.new(state="in_doubt")
    await bench.accept(order.id, "placement_given_up", Origin.OPERATOR)
    await bench.accept(order.id, "order_placed", reply, provider_id="T-late")
    found = await bench.store.load(order.id)
    assert (found.state, found.flagged) == ("abandoned", True)
    assert any("T-late" in row.detail for row in await bench.store.refusals(order.id))


async def test_a_reply_delivered_twice_is_heard_once(bench: Bench) -> None:
    order = await bench.new(state="sending")
    effect = await bench.lease()
    for _ in range(2):
        await bench.engine.outbox.run(effect)
    assert await bench.state(order.id) == "placed"
    assert (await bench.path(order.id)).count("order_placed") == 1
    assert await bench.reasons(order.id) == {}


async def test_a_second_answer_to_a_repeatable_effect_is_late(bench: Bench) -> None:
    order = await bench.new(state="preparing")
    slow = await bench.lease()

    async def answered_late(order: Order) -> Outcome:
        await bench.after(bench.toy.timing.lease)  # meanwhile another worker takes over, and is answered
        return Succeeded("prepared")

    bench.toy.will("make_ready", answered_late)
    await bench.engine.outbox.run(slow)
    assert await bench.state(order.id) == "placed"
    assert await bench.reasons(order.id) == {("prepared", "late"): 1}
    assert bench.toy.called("place") == 1
