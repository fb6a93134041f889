"""The inbox: replies that name another order, operators' events, and overrides."""

from __future__ import annotations

import pytest
import structlog
from structlog.testing import capture_logs
from tests.kit.toy import Bench, ToyLifecycle, toy_id

from orderflow.errors import UnknownName
from orderflow.model import PROVIDER_ID, Applied, Ignored, Origin, Reason, Refused, StepKind

pytestmark = pytest.mark.anyio
STATES = tuple(ToyLifecycle.table.states)


# ── the provider's id ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_reply_that_names_another_order_is_refused_and_its_id_is_recorded(bench: Bench) -> None:
    order = await bench.create()
    decision = await bench.accept(order.id, "order_placed", Origin.REPLY, provider_id="T-other")
    assert isinstance(decision, Refused)
    assert decision.reason is Reason.NOT_OURS
    order = await bench.store.load(order.id)
    assert (order.state, order.version, order.provider_id, order.flagged) == ("placed", 3, toy_id(order), True)
    (row,) = await bench.store.refusals(order.id)
    assert "T-other" in row.detail
    assert toy_id(order) in row.detail


async def test_an_id_in_a_reply_to_an_order_that_was_given_up_is_recorded(bench: Bench) -> None:
    order = await bench.create(state="in_doubt")
    await bench.accept(order.id, "placement_given_up", Origin.OPERATOR)
    await bench.accept(order.id, "order_placed", Origin.REPLY, provider_id="T-late")
    order = await bench.store.load(order.id)
    assert (order.state, order.flagged) == ("abandoned", True)
    assert any("T-late" in row.detail for row in await bench.store.refusals(order.id))


# ── operators' events ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_operator_resolves_a_doubt_with_the_providers_id(bench: Bench) -> None:
    order = await bench.create(state="in_doubt")
    await bench.accept(order.id, "placement_resolved", Origin.OPERATOR, data={PROVIDER_ID: "T-9"}, note="by kim: ticket 7")
    order = await bench.store.load(order.id)
    assert (order.state, order.provider_id) == ("placed", "T-9")
    row = (await bench.store.journal(order.id))[-1]
    assert (row.kind, row.origin, row.note) == (StepKind.STEP, Origin.OPERATOR, "by kim: ticket 7")
    bench.toy.show("packed")
    await bench.work_after(10)
    assert await bench.state_of(order.id) == "packed"


async def test_an_operator_event_that_is_not_legal_here_is_refused_and_flags_nothing(bench: Bench) -> None:
    order = await bench.create(state="drafted")
    decision = await bench.accept(order.id, "placement_resolved", Origin.OPERATOR, provider_id="T-9")
    assert isinstance(decision, Refused)
    assert (decision.reason, decision.legal) == (Reason.NOT_LEGAL_HERE, ("order_it",))
    assert not (await bench.store.load(order.id)).flagged


async def test_an_operator_event_cannot_be_sent_as_a_command(bench: Bench) -> None:
    order = await bench.create(state="in_doubt")
    decision = await bench.accept(order.id, "placement_given_up", Origin.COMMAND)
    assert isinstance(decision, Refused)
    assert (decision.reason, await bench.state_of(order.id)) == (Reason.WRONG_ORIGIN, "in_doubt")


async def test_an_observation_cannot_be_sent_by_name(bench: Bench) -> None:
    order = await bench.create()
    for origin in Origin:
        decision = await bench.accept(order.id, "seen_packed", origin)
        assert isinstance(decision, Refused)
        assert decision.reason is Reason.WRONG_ORIGIN
    assert await bench.state_of(order.id) == "placed"


# ── overrides ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("target", STATES)
async def test_an_override_leads_from_any_state_to_any_state(bench: Bench, target: str) -> None:
    order = await bench.create(state="drafted")
    for source in STATES:
        assert isinstance(await bench.override(order.id, source), Applied)
        assert isinstance(await bench.override(order.id, target), Applied)
        assert await bench.state_of(order.id) == target
    rows = await bench.store.journal(order.id)
    assert {(row.kind, row.event, row.origin, row.note) for row in rows} == {
        (StepKind.OVERRIDE, "override", Origin.OPERATOR, "by kim: ticket 7")
    }
    assert [row.version for row in rows] == list(range(1, 2 * len(STATES) + 1))


async def test_an_override_is_refused_if_the_order_has_moved_since_it_was_looked_at(bench: Bench) -> None:
    order = await bench.create()
    await bench.accept(order.id, "came", Origin.CLAIM)
    decision = await bench.override(order.id, "abandoned", order.version)
    assert isinstance(decision, Refused)
    assert (decision.reason, await bench.state_of(order.id)) == (Reason.STALE, "waiting")
    assert await bench.refusals_of(order.id) == {("override", "stale"): 1}


async def test_an_override_to_an_unknown_state_raises(bench: Bench) -> None:
    order = await bench.create()
    with pytest.raises(UnknownName):
        await bench.override(order.id, "nowhere")


async def test_an_override_cancels_the_effects_that_the_lifecycle_still_owed(bench: Bench) -> None:
    order = await bench.create(state="sending")
    await bench.override(order.id, "abandoned")
    await bench.work_after(3600)
    assert bench.toy.count_calls("place") == 0


async def test_the_reply_to_a_call_in_flight_is_decided_in_the_state_to_which_an_override_led(bench: Bench) -> None:
    order = await bench.create(state="sending")
    attempt = await bench.lease()
    attempt.sent = await bench.store.mark_sending(attempt.effect, bench.clock.now())
    await bench.override(order.id, "in_doubt")
    await bench.engine.outbox.run(attempt)
    assert await bench.state_of(order.id) == "placed"
    await bench.work_after(3600)
    assert bench.toy.count_calls("place") == 1


async def test_an_override_owes_a_notification_and_cancels_none(bench: Bench) -> None:
    bench.listen("sending", "abandoned")
    order = await bench.create(state="sending")
    await bench.override(order.id, "abandoned")
    await bench.work()
    assert [entered.state for entered in bench.notified] == ["sending", "abandoned"]


async def test_an_order_that_an_override_reopened_is_polled_again(bench: Bench) -> None:
    bench.toy.show("packed", "loaded", "delivered", "packed")
    order = await bench.create()
    for _ in range(3):
        await bench.work_after(10)
    assert await bench.state_of(order.id) == "delivered"
    await bench.override(order.id, "placed")
    await bench.work_after(10)
    assert await bench.state_of(order.id) == "packed"


async def test_an_override_clears_the_flag(bench: Bench) -> None:
    bench.toy.show("lost at sea")
    order = await bench.create()
    await bench.work_after(10)
    assert (await bench.store.load(order.id)).flagged
    await bench.override(order.id, "abandoned")
    assert not (await bench.store.load(order.id)).flagged


# ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_log_tells_a_refused_event_from_an_ignored_one(bench: Bench) -> None:
    structlog.reset_defaults()
    order = await bench.create()
    with capture_logs() as logs:
        refused = await bench.accept(order.id, "order_it")
        ignored = await bench.accept(order.id, "order_placed", Origin.REPLY, provider_id=toy_id(order))
    assert [type(decision) for decision in (refused, ignored)] == [Refused, Ignored]
    assert [line["event"] for line in logs] == ["event.refused", "event.ignored"]
