"""The public API over the engine: waiting across processes, idempotence by key, and what a caller is told. The provider is the toy."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.kit.toy import FAST, Toy
from tests.kit.world import SHOP, ccv_at, connect_request, running

from orderflow.app import Orderflow
from orderflow.errors import ConfigurationError, InvalidInput, KeyReused, OperationalError, OutOfReach, UnknownName, WaitTimeout
from orderflow.model import Applied, Ignored, Reason, Refused, StateEntered, StepKind
from orderflow.provider.outcomes import InDoubt, Rejected

pytestmark = pytest.mark.anyio


def over(folder: Path, toy: Toy | None = None, *, worker: bool = False) -> Orderflow:
    return Orderflow(f"sqlite:///{folder / 'orders.db'}", [toy or Toy(timing=FAST)], worker=worker, fetch_interval=0.02)


async def test_waiting_sees_what_another_process_does(tmp_path: Path) -> None:
    async with over(tmp_path) as shop, over(tmp_path, worker=True) as worker:
        order = await shop.create("toy", key="k")
        waits = [asyncio.create_task(shop.wait(order.id, ("placed", "refused"), timeout=15)) for _ in range(20)]
        await worker.send(order.id, "order_it")
        assert {reached.state for reached in await asyncio.gather(*waits)} == {"placed"}


async def test_waiting_ends_at_once_in_the_process_that_moves_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orderflow.app._LOOK_BENEATH", 60.0)  # nothing but the move itself can end the wait in time
    async with over(tmp_path) as flow:
        order = await flow.create("toy", key="k")
        waiting = asyncio.create_task(flow.wait(order.id, "preparing", timeout=50))
        while not flow._engine.inbox._watchers:
            await asyncio.sleep(0.01)
        await flow.order(order.id)
        await flow.send(order.id, "order_it")
        async with asyncio.timeout(20):
            await waiting


async def test_waiting_in_vain_says_where_the_order_is(tmp_path: Path) -> None:
    async with over(tmp_path) as flow:
        order = await flow.create("toy", key="k")
        with pytest.raises(WaitTimeout) as vain:
            await flow.wait(order.id, "placed", timeout=0.05)
        assert (vain.value.state, vain.value.awaited) == ("drafted", "placed")
        with pytest.raises(UnknownName, match="nowhere"):
            await flow.wait(order.id, "nowhere")
        with pytest.raises(UnknownName):
            await flow.wait("toy-nobody", "placed")


async def test_waiting_for_what_can_no_longer_be_ends_at_once(tmp_path: Path) -> None:
    """At once: as soon as it is so, where the order stands now or while somebody waits."""
    toy = Toy(timing=FAST)
    toy.will("make_ready", Rejected("no"))
    async with over(tmp_path, toy, worker=True) as flow:
        order = await flow.create("toy", key="k")
        waiting = asyncio.create_task(flow.wait(order.id, {"shipped", "delivered"}, timeout=600))
        with pytest.raises(WaitTimeout):  # drafted, it may yet be shipped
            await flow.wait(order.id, "shipped", timeout=0.01)
        await flow.send(order.id, "order_it")
        async with asyncio.timeout(20):
            with pytest.raises(OutOfReach, match=r"^order toy-\w+ is 'refused' and can no longer become 'delivered or shipped'$") as vain:
                await waiting
            assert (vain.value.order_id, vain.value.state, vain.value.awaited) == (order.id, "refused", "delivered or shipped")
            with pytest.raises(OutOfReach, match="can no longer become 'preparing'"):
                await flow.wait(order.id, "preparing", timeout=600)  # it was there, and will not be again


async def test_creating_and_telling_are_idempotent_by_key(tmp_path: Path) -> None:
    async with over(tmp_path) as flow:
        made = await asyncio.gather(*(flow.create("toy", key="cart", facts={"paid": True}) for _ in range(10)))
        assert len({order.id for order in made}) == 1
        with pytest.raises(KeyReused):
            await flow.create("toy", key="cart")
        decisions = await asyncio.gather(*(flow.send(made[0].id, "order_it", key="go") for _ in range(10)))
        assert sorted(type(decision).__name__ for decision in decisions) == ["Applied", *["Ignored"] * 9]
        assert {decision.reason for decision in decisions if isinstance(decision, Ignored)} == {Reason.DUPLICATE}


async def test_a_command_out_of_place_is_refused_and_recorded_with_what_is_legal(tmp_path: Path) -> None:
    async with over(tmp_path) as flow:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
        refused = await flow.send(order.id, "order_it")
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.state, refused.legal) == (Reason.NOT_LEGAL_HERE, "preparing", ())
        assert [(row.event, row.count) for row in await flow.refusals(order.id)] == [("order_it", 1)]
        with pytest.raises(UnknownName, match="order_that"):
            await flow.send(order.id, "order_that")


async def test_an_operator_is_asked_who_and_why(tmp_path: Path) -> None:
    toy = Toy(timing=FAST)
    toy.will("place", InDoubt("reset"))
    async with over(tmp_path, toy, worker=True) as flow:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
        doubtful = await flow.wait(order.id, "in_doubt", timeout=15)
        with pytest.raises(InvalidInput, match="reason"):
            await flow.resolve(order.id, "placement_given_up", by="kim", reason=" ")
        with pytest.raises(InvalidInput, match="number"):
            await flow.resolve(order.id, "placement_resolved", by="kim", reason="ticket 7")
        with pytest.raises(InvalidInput, match="by"):
            await flow.override(order.id, "placed", by="", reason="ticket 7", version=doubtful.version)
        assert await flow.refusals(order.id) == []
        assert set(await flow.legal(order.id)) == {"placement_resolved", "placement_given_up"}
        decision = await flow.resolve(order.id, "placement_resolved", by="kim", reason="ticket 7", number="T-9")
        assert isinstance(decision, Applied)
        assert ((await flow.order(order.id)).provider_id, (await flow.journal(order.id))[-1].note) == ("T-9", "by kim: ticket 7")


async def test_an_override_is_marked_in_the_journal(tmp_path: Path) -> None:
    async with over(tmp_path) as flow:
        order = await flow.create("toy", key="k")
        await flow.override(order.id, "placed", by="kim", reason="ticket 7", version=0)
        (row,) = await flow.journal(order.id)
        assert (row.kind, row.source, row.target, row.note) == (StepKind.OVERRIDE, "drafted", "placed", "by kim: ticket 7")


async def test_stuck_orders_are_those_past_their_states_budget(tmp_path: Path) -> None:
    toy = Toy(timing=FAST)
    toy.timing.durations["doubt"] = 0.0  # type: ignore[index]
    toy.will("place", InDoubt("reset"))
    async with over(tmp_path, toy, worker=True) as flow:
        doubtful, well = [await flow.create("toy", key=key) for key in "ab"]
        for order, state in ((doubtful, "in_doubt"), (well, "placed")):
            await flow.send(order.id, "order_it")
            await flow.wait(order.id, state, timeout=15)
        assert [order.id for order in await flow.stuck()] == [doubtful.id]


async def test_the_host_is_told_after_a_restart_of_what_was_owed(tmp_path: Path) -> None:
    told: list[StateEntered] = []
    async with over(tmp_path) as flow:
        flow.on_entered("toy", "preparing", told.append)
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
    assert told == []
    flow = over(tmp_path, worker=True)
    flow.on_entered("toy", "preparing", told.append)
    async with flow:
        await flow.wait(order.id, "placed", timeout=15)
        while not told:
            await asyncio.sleep(0.01)
    assert [(one.state, one.order.id) for one in told] == [("preparing", order.id)]


async def test_a_flow_that_is_closed_says_so(tmp_path: Path) -> None:
    async with over(tmp_path) as flow:
        order = await flow.create("toy", key="k")
    for use in (flow.send(order.id, "order_it"), flow.order(order.id), flow.create("toy", key="l")):
        with pytest.raises(OperationalError, match="not open"):
            await use


async def test_a_flow_is_entered_once(tmp_path: Path) -> None:
    flow = Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [ccv_at("http://ccv.invalid")])
    async with flow:
        with pytest.raises(ConfigurationError, match="entered once"):
            await flow.__aenter__()
        assert await flow.orders() == []
    with pytest.raises(ConfigurationError, match="entered once"):
        async with flow:
            pass


async def test_nobody_is_sent_to_a_url_from_which_nobody_could_come_back(tmp_path: Path) -> None:
    async with running(tmp_path, public_url=None) as world:
        order = await world.flow.create("connect", key="k", **connect_request("creditcardPayex"))
        await world.flow.send(order.id, "register")
        await world.flow.wait(order.id, "registered", 5)
        with pytest.raises(InvalidInput, match="public_url"):
            await world.flow.send(order.id, "complete_by_url", return_url=f"{SHOP}/thanks")
        assert (await world.flow.order(order.id)).state == "registered"
