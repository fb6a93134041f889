"""Rule 12: operators have declared events, and one audited move outside the table."""

from __future__ import annotations

import pytest
from tests.kit.toy import Bench, ToyLifecycle

from orderflow.errors import UnknownName
from orderflow.model import PROVIDER_ID, Applied, Origin, Reason, Refused, StepKind

pytestmark = pytest.mark.anyio
STATES = tuple(ToyLifecycle.table.states)


async def _override(bench: Bench, order_id: str, target: str) -> object:
    version = (await bench.store.load(order_id)).version
    return (await bench.engine.inbox.override(order_id, target, by="kim", reason="ticket 7", version=version)).decision


@pytest.mark.parametrize("target", STATES)
async def test_an_override_leads_from_any_state_to_any_state(bench: Bench, target: str) -> None:
    order = await bench.new(state="drafted")
    for source in STATES:
        assert isinstance(await _override(bench, order.id, source), Applied)
        assert isinstance(await _override(bench, order.id, target), Applied)
        assert await bench.state(order.id) == target
    rows = await bench.store.journal(order.id)
    assert {(row.kind, row.event, row.origin, row.note) for row in rows} == {
        (StepKind.OVERRIDE, "override", Origin.OPERATOR, "by kim: ticket 7")
    }
    assert [row.version for row in rows] == list(range(1, 2 * len(STATES) + 1))


async def test_an_override_is_from_the_version_that_was_looked_at(bench: Bench) -> None:
    order = await bench.new()
    await bench.accept(order.id, "came", Origin.CLAIM)
    receipt = await bench.engine.inbox.override(order.id, "abandoned", by="kim", reason="ticket 7", version=order.version)
    assert isinstance(receipt.decision, Refused)
    assert (receipt.decision.reason, await bench.state(order.id)) == (Reason.STALE, "waiting")
    assert await bench.reasons(order.id) == {("override", "stale"): 1}


async def test_an_override_needs_a_state_that_is_there(bench: Bench) -> None:
    order = await bench.new()
    with pytest.raises(UnknownName):
        await _override(bench, order.id, "nowhere")


async def test_an_override_drops_what_the_lifecycle_still_owed(bench: Bench) -> None:
    order = await bench.new(state="sending")
    await _override(bench, order.id, "abandoned")
    await bench.after(3600)
    assert bench.toy.called("place") == 0


async def test_the_answer_of_a_call_under_way_is_judged_where_the_override_led(bench: Bench) -> None:
    order = await bench.new(state="sending")
    effect = await bench.lease()
    await _override(bench, order.id, "in_doubt")
    await bench.engine.outbox.run(effect)
    assert await bench.state(order.id) == "placed"
    await bench.after(3600)
    assert bench.toy.called("place") == 1


async def test_an_override_tells_the_host_and_still_tells_what_was_owed_before(bench: Bench) -> None:
    bench.listen("sending", "abandoned")
    order = await bench.new(state="sending")
    await _override(bench, order.id, "abandoned")
    await bench.work()
    assert [told.state for told in bench.notified] == ["sending", "abandoned"]


async def test_an_override_into_an_open_state_is_read_again(bench: Bench) -> None:
    bench.toy.shows("packed", "loaded", "delivered", "packed")
    order = await bench.new()
    for _ in range(3):
        await bench.after(10)
    assert await bench.state(order.id) == "delivered"
    await _override(bench, order.id, "placed")
    await bench.after(10)
    assert await bench.state(order.id) == "packed"


async def test_an_override_clears_the_flag(bench: Bench) -> None:
    bench.toy.shows("lost at sea")
    order = await bench.new()
    await bench.after(10)
    assert (await bench.store.load(order.id)).flagged
    await _override(bench, order.id, "abandoned")
    assert not (await bench.store.load(order.id)).flagged


async def test_an_operator_resolves_a_doubt_with_the_providers_id(bench: Bench) -> None:
    order = await bench.new(state="in_doubt")
    await bench.accept(order.id, "placement_resolved", Origin.OPERATOR, data={PROVIDER_ID: "T-9"}, note="by kim: ticket 7")
    found = await bench.store.load(order.id)
    assert (found.state, found.provider_id) == ("placed", "T-9")
    row = (await bench.store.journal(order.id))[-1]
    assert (row.kind, row.origin, row.note) == (StepKind.STEP, Origin.OPERATOR, "by kim: ticket 7")
    bench.toy.shows("packed")
    await bench.after(10)
    assert await bench.state(order.id) == "packed"


async def test_an_operator_event_out_of_place_is_refused_and_raises_no_alarm(bench: Bench) -> None:
    order = await bench.new(state="drafted")
    decision = await bench.accept(order.id, "placement_resolved", Origin.OPERATOR, provider_id="T-9")
    assert isinstance(decision, Refused)
    assert (decision.reason, decision.legal) == (Reason.NOT_LEGAL_HERE, ("order_it",))
    assert not (await bench.store.load(order.id)).flagged


async def test_an_operator_event_is_no_command(bench: Bench) -> None:
    order = await bench.new(state="in_doubt")
    decision = await bench.accept(order.id, "placement_given_up", Origin.COMMAND)
    assert isinstance(decision, Refused)
    assert (decision.reason, await bench.state(order.id)) == (Reason.WRONG_ORIGIN, "in_doubt")
