"""The public API over the engine: waiting across processes, idempotency by key, and what a caller gets. The provider is the toy."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from attrs import evolve
from tests.kit.toy import FAST, Toy
from tests.kit.world import SHOP, ccv_at, connect_request, running

from orderflow._app import Orderflow
from orderflow._provider.outcomes import InDoubt, Rejected
from orderflow._provider.protocol import Name
from orderflow.errors import (
    CommandRefused,
    ConfigurationError,
    InvalidInput,
    KeyReused,
    OperationalError,
    OutOfReach,
    UnknownName,
    WaitTimeout,
)
from orderflow.model import Applied, Ignored, Reason, Refused, StateEntered, StepKind

pytestmark = pytest.mark.anyio


def open_flow(folder: Path, toy: Toy | None = None, *, worker: bool = False) -> Orderflow:
    return Orderflow(f"sqlite:///{folder / 'orders.db'}", [toy or Toy(timing=FAST)], worker=worker, fetch_interval=0.02)


# ── waiting; see also tests/unit/engine/test_waiters.py ──────────────────────────────────────────────────────────────────


async def test_a_wait_sees_the_steps_of_another_process(tmp_path: Path) -> None:
    async with open_flow(tmp_path) as caller, open_flow(tmp_path, worker=True) as worker:
        order = await caller.create("toy", key="k")
        waits = [asyncio.create_task(caller.wait(order.id, ("placed", "refused"), timeout=15)) for _ in range(20)]
        await worker.send(order.id, "order_it")
        assert {order.state for order in await asyncio.gather(*waits)} == {"placed"}


async def test_a_refused_command_is_raised_where_that_is_asked_for(tmp_path: Path) -> None:
    async with open_flow(tmp_path) as flow:
        order = await flow.create("toy", key="k")
        assert isinstance(await flow.send(order.id, "order_it", key="1", check=True), Applied)
        assert isinstance(await flow.send(order.id, "order_it", key="1", check=True), Ignored)  # a duplicate is no refusal
        with pytest.raises(CommandRefused, match=f"order {order.id} is 'preparing' and refuses order_it: not legal here") as refused:
            await flow.send(order.id, "order_it", check=True)
        assert (refused.value.state, refused.value.legal) == ("preparing", ())


async def test_a_wait_that_times_out_says_where_the_order_is(tmp_path: Path) -> None:
    async with open_flow(tmp_path) as flow:
        order = await flow.create("toy", key="k")
        with pytest.raises(WaitTimeout) as timeout:
            await flow.wait(order.id, "placed", timeout=0.05)
        assert (timeout.value.state, timeout.value.awaited) == ("drafted", "placed")
        with pytest.raises(UnknownName, match="nowhere"):
            await flow.wait(order.id, "nowhere")
        with pytest.raises(UnknownName):
            await flow.wait("toy-unknown", "placed")


async def test_a_wait_for_a_state_that_can_no_longer_be_reached_ends_at_once(tmp_path: Path) -> None:
    """Whether that is so from the beginning, or becomes so while a caller waits."""
    toy = Toy(timing=FAST)
    toy.answer("make_ready", Rejected("no"))
    async with open_flow(tmp_path, toy, worker=True) as flow:
        order = await flow.create("toy", key="k")
        waiting = asyncio.create_task(flow.wait(order.id, {"shipped", "delivered"}, timeout=600))
        with pytest.raises(WaitTimeout):  # from drafted it may yet be shipped
            await flow.wait(order.id, "shipped", timeout=0.01)
        await flow.send(order.id, "order_it")
        async with asyncio.timeout(60):
            message = r"^order toy-\w+ is 'refused' and can no longer become 'delivered or shipped'$"
            with pytest.raises(OutOfReach, match=message) as unreachable:
                await waiting
            error = unreachable.value
            assert (error.order_id, error.state, error.awaited) == (order.id, "refused", "delivered or shipped")
            version = (await flow.order(order.id)).version
            with pytest.raises(OutOfReach, match="can no longer become 'preparing'"):
                await flow.wait(order.id, "preparing", timeout=600, since=version)  # it was in this state, and will not be again
            assert (await flow.wait(order.id, "preparing", timeout=600)).state == "refused"


# ── creating and sending ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_create_and_send_are_idempotent_by_key(tmp_path: Path) -> None:
    async with open_flow(tmp_path) as flow:
        orders = await asyncio.gather(*(flow.create("toy", key="cart", facts={"paid": True}) for _ in range(10)))
        assert len({order.id for order in orders}) == 1
        with pytest.raises(KeyReused):
            await flow.create("toy", key="cart")
        decisions = await asyncio.gather(*(flow.send(orders[0].id, "order_it", key="go") for _ in range(10)))
        assert sorted(type(decision).__name__ for decision in decisions) == ["Applied", *["Ignored"] * 9]
        assert {decision.reason for decision in decisions if isinstance(decision, Ignored)} == {Reason.DUPLICATE}


async def test_a_used_key_with_other_content_is_an_error_in_both_ways(tmp_path: Path) -> None:
    async with open_flow(tmp_path) as flow:
        order = await flow.create("toy", key="cart", facts={"paid": True})
        assert (await flow.create("toy", key="cart", facts={"paid": True}, note=None)).id == order.id
        decision = await flow.send(order.id, "order_it", key="go", amount=295, note=None)
        assert isinstance(decision, Applied)
        for amount in (295.0, Decimal("295.00")):
            assert isinstance(await flow.send(order.id, "order_it", key="go", amount=amount), Ignored)
        for name, arguments in (
            ("order_it", {"amount": 296}),
            ("order_it", {}),
            ("order_it", {"amount": "295"}),
            ("came", {"amount": 295}),
        ):
            with pytest.raises(KeyReused, match="'go' was used before with different content"):
                await flow.send(order.id, Name(name), key="go", **arguments)
        assert len(await flow.journal(order.id)) == 1
        assert await flow.refusals(order.id) == []
        other = await flow.create("toy", key="another")
        assert isinstance(await flow.send(other.id, "order_it", key="go", amount=296), Applied)  # a key belongs to its order


async def test_a_refused_command_does_not_use_up_its_key(tmp_path: Path) -> None:
    async with open_flow(tmp_path) as flow:
        order = await flow.create("toy", key="cart")
        assert isinstance(await flow.send(order.id, Name("came"), key="go"), Refused)
        assert isinstance(await flow.send(order.id, "order_it", key="go"), Applied)


async def test_a_command_that_is_not_legal_is_refused_and_recorded_with_the_legal_ones(tmp_path: Path) -> None:
    async with open_flow(tmp_path) as flow:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
        decision = await flow.send(order.id, "order_it")
        assert isinstance(decision, Refused)
        assert (decision.reason, decision.state, decision.legal) == (Reason.NOT_LEGAL_HERE, "preparing", ())
        assert [(row.event, row.count) for row in await flow.refusals(order.id)] == [("order_it", 1)]
        with pytest.raises(UnknownName, match="order_that"):
            await flow.send(order.id, "order_that")


async def test_a_command_that_needs_a_public_url_raises_without_one(tmp_path: Path) -> None:
    async with running(tmp_path, public_url=None) as world:
        order = await world.flow.create("connect", key="k", **connect_request("creditcardPayex"))
        await world.flow.send(order.id, "register")
        await world.flow.wait(order.id, "registered", 60)
        with pytest.raises(InvalidInput, match="public_url"):
            await world.flow.send(order.id, "complete_by_url", return_url=f"{SHOP}/thanks")
        assert (await world.flow.order(order.id)).state == "registered"


# ── operators ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_operators_event_needs_a_name_and_a_reason(tmp_path: Path) -> None:
    toy = Toy(timing=FAST)
    toy.answer("place", InDoubt("reset"))
    async with open_flow(tmp_path, toy, worker=True) as flow:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
        order = await flow.wait(order.id, "in_doubt", timeout=60)
        with pytest.raises(InvalidInput, match="reason"):
            await flow.resolve(order.id, "placement_given_up", actor="kim", reason=" ")
        with pytest.raises(InvalidInput, match="number"):
            await flow.resolve(order.id, "placement_resolved", actor="kim", reason="ticket 7")
        with pytest.raises(InvalidInput, match="provider_id: must be one id"):
            await flow.resolve(order.id, "placement_resolved", actor="kim", reason="ticket 7", number="T 9")
        with pytest.raises(InvalidInput, match="actor"):
            await flow.override(order.id, "placed", actor="", reason="ticket 7", version=order.version)
        assert await flow.refusals(order.id) == []
        assert set(await flow.legal(order.id)) == {"placement_resolved", "placement_given_up"}
        decision = await flow.resolve(order.id, "placement_resolved", actor="kim", reason="ticket 7", number=" T-9\n")
        assert isinstance(decision, Applied)
        assert ((await flow.order(order.id)).provider_id, (await flow.journal(order.id))[-1].note) == ("T-9", "by kim: ticket 7")


async def test_an_override_is_marked_in_the_journal(tmp_path: Path) -> None:
    async with open_flow(tmp_path) as flow:
        order = await flow.create("toy", key="k")
        await flow.override(order.id, "placed", actor="kim", reason="ticket 7", version=0)
        (row,) = await flow.journal(order.id)
        assert (row.kind, row.source, row.target, row.note) == (StepKind.OVERRIDE, "drafted", "placed", "by kim: ticket 7")


async def test_stuck_orders_are_those_past_the_budget_of_their_state(tmp_path: Path) -> None:
    toy = Toy(timing=evolve(FAST, durations={**FAST.durations, "doubt": 0.0}))
    toy.answer("place", InDoubt("reset"))
    async with open_flow(tmp_path, toy, worker=True) as flow:
        stuck, other = [await flow.create("toy", key=key) for key in "ab"]
        for order, state in ((stuck, "in_doubt"), (other, "placed")):
            await flow.send(order.id, "order_it")
            await flow.wait(order.id, state, timeout=60)
        assert [order.id for order in await flow.stuck()] == [stuck.id]


# ── listeners and life cycle ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_notification_that_was_owed_before_a_restart_is_made_after_it(tmp_path: Path) -> None:
    notified: list[StateEntered] = []
    async with open_flow(tmp_path) as flow:
        flow.on_entered("toy", "preparing", notified.append)
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
    assert notified == []
    flow = open_flow(tmp_path, worker=True)
    flow.on_entered("toy", "preparing", notified.append)
    async with flow:
        await flow.wait(order.id, "placed", timeout=60)
        while not notified:
            await asyncio.sleep(0.01)
    assert [(entered.state, entered.order.id) for entered in notified] == [("preparing", order.id)]


async def test_a_flow_that_is_closed_raises(tmp_path: Path) -> None:
    async with open_flow(tmp_path) as flow:
        order = await flow.create("toy", key="k")
    for call in (flow.send(order.id, "order_it"), flow.order(order.id), flow.create("toy", key="l")):
        with pytest.raises(OperationalError, match="not open"):
            await call


async def test_a_flow_can_be_entered_once(tmp_path: Path) -> None:
    flow = Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [ccv_at("http://ccv.invalid")])
    async with flow:
        with pytest.raises(ConfigurationError, match="single-use"):
            await flow.__aenter__()
        assert await flow.orders() == []
    with pytest.raises(ConfigurationError, match="single-use"):
        async with flow:
            pass
