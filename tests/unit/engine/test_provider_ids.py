"""A provider's id belongs to one order: what becomes of a reply, an operator's event or a poll that names one which another order has."""

from __future__ import annotations

import pytest
from tests.kit.toy import Bench, toy_id

from orderflow._engine.replay import replay_order
from orderflow._provider.outcomes import InDoubt, Outcome, StatusRead, Succeeded
from orderflow.errors import UnknownName
from orderflow.model import PROVIDER_ID, Applied, Order, Origin, Reason, Refused

pytestmark = pytest.mark.anyio


@pytest.fixture
async def other(bench: Bench) -> Order:
    """An order that has the provider's id T-other."""
    return await bench.create("other")


async def find(bench: Bench, provider_id: str) -> str:
    return (await bench.store.find_by_provider_id("toy", provider_id)).id


async def test_a_once_effect_whose_reply_names_an_id_of_another_order_leaves_the_order_in_doubt(bench: Bench, other: Order) -> None:
    bench.toy.answer("place", Succeeded("order_placed", provider_id="T-other"))
    order = await bench.create()
    assert (order.state, order.provider_id, order.flagged) == ("in_doubt", None, True)
    row = (await bench.store.journal(order.id))[-1]
    assert row.event == "placement_answer_lost"
    for text in (row.note, (await bench.store.refusals(order.id))[-1].detail):
        assert "T-other" in text
        assert other.id in text
    assert await bench.refusals_of(order.id) == {("order_placed", "not ours"): 1}
    assert await find(bench, "T-other") == other.id
    await bench.work_after(3600)
    assert bench.toy.count_calls("place") == 2  # one for each order: what was once called is not called again


async def test_a_once_effect_whose_reply_names_another_id_than_ours_leaves_the_order_in_doubt(bench: Bench) -> None:
    order = await bench.create(state="sending")

    async def answer_late(called: Order) -> Outcome:
        await bench.override(called.id, "sending", provider_id="T-ours")
        return Succeeded("order_placed", provider_id=toy_id(called))

    bench.toy.answer("place", answer_late)
    await bench.engine.outbox.run(await bench.lease())
    order = await bench.store.load(order.id)
    assert (order.state, order.provider_id, order.flagged) == ("in_doubt", "T-ours", True)
    note = (await bench.store.journal(order.id))[-1].note
    assert "T-ours" in note
    assert toy_id(order) in note


async def test_a_late_reply_that_names_an_id_of_another_order_is_refused_and_flags(bench: Bench, other: Order) -> None:
    order = await bench.create(state="sending")

    async def answer_late(called: Order) -> Outcome:
        await bench.override(called.id, "in_doubt")
        return Succeeded("order_placed", provider_id="T-other")

    bench.toy.answer("place", answer_late)
    await bench.engine.outbox.run(await bench.lease())
    order = await bench.store.load(order.id)
    assert (order.state, order.provider_id, order.flagged) == ("in_doubt", None, True)
    assert await bench.refusals_of(order.id) == {("order_placed", "not ours"): 1}


async def test_a_search_that_finds_an_order_of_another_order_binds_nothing(bench: Bench, other: Order) -> None:
    bench.toy.answer("place", InDoubt("reset"))
    bench.toy.answer("look_up", Succeeded("placement_found", provider_id="T-other"))
    order = await bench.create()
    assert (order.state, order.provider_id, order.flagged) == ("in_doubt", None, True)
    assert await bench.refusals_of(order.id) == {("placement_found", "not ours"): 1}
    assert (await bench.store.pending(order.id)).effects == ()
    assert isinstance(await bench.accept(order.id, "placement_resolved", Origin.OPERATOR, provider_id="T-9"), Applied)
    assert await find(bench, "T-9") == order.id


async def test_an_operator_cannot_give_an_order_the_id_of_another(bench: Bench, other: Order) -> None:
    order = await bench.create(state="in_doubt")
    named = await bench.accept(order.id, "placement_resolved", Origin.OPERATOR, provider_id="T-other")
    overridden = await bench.override(order.id, "placed", provider_id="T-other")
    for decision in (named, overridden):
        assert isinstance(decision, Refused)
        assert decision.reason is Reason.NOT_OURS
        assert other.id in decision.detail
    assert (await bench.store.load(order.id)).flagged


async def test_a_poll_cannot_give_an_order_the_id_of_another(bench: Bench, other: Order) -> None:
    order = await bench.create()
    bench.toy.show(StatusRead("packed", {PROVIDER_ID: "T-other"}))
    await bench.work_after(10)
    order = await bench.store.load(order.id)
    assert (order.state, order.provider_id, order.flagged) == ("placed", toy_id(order), True)
    assert (await bench.store.load(other.id)).state == "packed"


# ── corrections ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_operator_corrects_an_id_and_the_journal_keeps_both(bench: Bench) -> None:
    order = await bench.create()
    await bench.override(order.id, "placed", provider_id="T-right")
    assert (await bench.store.load(order.id)).provider_id == "T-right"
    assert (await bench.store.journal(order.id))[-1].note == "the provider's id is T-right, it was T-k; by kim: ticket 7"
    assert await find(bench, "T-right") == order.id
    with pytest.raises(UnknownName):
        await find(bench, "T-k")
    bench.toy.show("packed")
    await bench.work_after(10)
    assert await bench.state_of(order.id) == "packed"


async def test_an_id_that_was_found_wrongly_goes_to_the_order_that_it_belongs_to(bench: Bench) -> None:
    first = await bench.create("first")
    bench.toy.answer("place", Succeeded("order_placed", provider_id="T-first"))
    second = await bench.create("second")
    assert second.state == "in_doubt"
    await bench.override(first.id, "in_doubt", provider_id="")
    released = (await bench.store.load(first.id)).snapshot
    assert PROVIDER_ID not in released.data
    assert await replay_order(bench.store, first.id, None) == released
    assert (await bench.store.load(first.id)).provider_id is None
    await bench.accept(second.id, "placement_resolved", Origin.OPERATOR, provider_id="T-first")
    assert await find(bench, "T-first") == second.id
    assert [await bench.state_of(order.id) for order in (first, second)] == ["in_doubt", "placed"]


async def test_an_id_that_a_poll_has_confirmed_is_not_corrected(bench: Bench) -> None:
    bench.toy.show("packed")
    order = await bench.create()
    await bench.work_after(10)
    for provider_id in ("T-other", ""):
        decision = await bench.override(order.id, "placed", provider_id=provider_id)
        assert isinstance(decision, Refused)
        assert (decision.reason, decision.detail) == (Reason.LATE, "a poll has confirmed the provider's id T-k")
    assert isinstance(await bench.override(order.id, "placed"), Applied)
    assert (await bench.store.load(order.id)).provider_id == "T-k"


async def test_a_correction_is_refused_if_the_order_has_moved_since_it_was_looked_at(bench: Bench) -> None:
    bench.toy.show("packed")
    order = await bench.create()
    await bench.work_after(10)
    decision = await bench.override(order.id, "placed", order.version, provider_id="T-other")
    assert isinstance(decision, Refused)
    assert decision.reason is Reason.STALE
