"""Two orders of ours, one externalOrderId at Connect, as when a cart is checked out twice: they never share Connect's order."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.kit.world import SHOP, World, ccv_request, connect_request, eventually, running

from orderflow.errors import InvalidInput
from orderflow.model import Applied, Order, Reason, Refused, StateEntered
from orderflow.provider import Name
from orderflow.simulators import Fault

pytestmark = pytest.mark.anyio

REGISTER, SEARCH = "POST /capi/v1/order", "POST /capi/v1/order/status"


async def check_out(world: World, key: str, until: str) -> Order:
    """A user's order of the cart; two of them differ by their keys alone."""
    world.users.now = world.connect.issue_user_token()
    order = await world.flow.create("connect", key=key, **connect_request(user_mode=True, external_id="cart-17"))
    await world.flow.send(order.id, "register")
    return await world.flow.wait(order.id, until, 60)


async def complete(world: World, order: Order, granted: list[str]) -> None:
    await world.flow.send(order.id, "complete_by_api")
    await world.flow.wait(order.id, "fulfilled", 60)
    await eventually(lambda: granted)


async def test_a_search_that_finds_the_order_of_another_order_binds_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        granted: list[str] = []

        async def grant(entered: StateEntered) -> None:
            granted.append(entered.order.key)

        world.flow.on_entered("connect", "fulfilled", grant)
        world.connect.faults.arm(Fault(REGISTER, "reset"))
        world.connect.faults.arm(Fault(SEARCH, "status", status=503))  # the search comes after the second order is registered
        first = await check_out(world, "first", "registration_in_doubt")
        second = await check_out(world, "second", "registered")
        async with asyncio.timeout(60):
            while not (first := await world.flow.order(first.id)).flagged:
                await asyncio.sleep(0.01)
        assert (first.state, first.provider_id) == ("registration_in_doubt", None)
        (row,) = await world.flow.refusals(first.id)
        assert row.event == "registration_found"
        assert str(second.provider_id) in row.detail
        assert second.id in row.detail
        assert await world.flow.find("connect", str(second.provider_id)) == second
        await complete(world, second, granted)
        assert granted == ["second"]
        assert await world.flow.legal(first.id)  # a person can resolve it


async def test_a_reply_that_names_an_order_which_a_search_bound_is_a_doubt(tmp_path: Path) -> None:
    """Connect answers the second registration with its order of the first: the search bound that one before."""
    async with running(tmp_path, connect_switches={"duplicate_register": "same"}) as world:
        first = await check_out(world, "first", "registered")
        second = await check_out(world, "second", "registration_in_doubt")
        assert (second.provider_id, second.flagged) == (None, True)
        note = (await world.flow.journal(second.id))[-1].note
        assert str(first.provider_id) in note
        assert first.id in note
        assert len(world.connect.orders) == 1


async def test_two_hits_are_a_doubt(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        world.connect.script("cart-17", twin=True)
        world.connect.faults.arm(Fault(REGISTER, "reset-after-commit"))
        order = await check_out(world, "first", "registration_in_doubt")
        async with asyncio.timeout(60):
            while (await world.flow.pending(order.id)).effects:
                await asyncio.sleep(0.01)
        order = await world.flow.order(order.id)
        assert (order.state, order.provider_id, len(world.connect.orders)) == ("registration_in_doubt", None, 2)


async def test_the_id_of_another_order_is_refused_however_it_is_spelt(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        first = await check_out(world, "first", "registered")
        world.connect.faults.arm(Fault(REGISTER, "reset"))
        world.connect.faults.arm(Fault(SEARCH, "status", status=503, times=None))
        second = await check_out(world, "second", "registration_in_doubt")
        by = {"actor": "anna", "reason": "Connect named it"}
        for spelt in (f"0{first.provider_id}", f" 00{first.provider_id}\n"):
            version = (await world.flow.order(second.id)).version
            taken = await world.flow.override(second.id, "registered", version=version, provider_id=spelt, **by)
            assert isinstance(taken, Refused)
            assert first.id in taken.detail
            assert await world.flow.find("connect", spelt) == await world.flow.order(first.id)
        for no_id in ("0", "abc", "../x"):
            with pytest.raises(InvalidInput, match=r"^provider_id: "):
                await world.flow.override(second.id, "registered", version=second.version, provider_id=no_id, **by)
        assert (await world.flow.order(second.id)).state == "registration_in_doubt"


@pytest.mark.parametrize(
    ("method", "command", "arguments"),
    [("creditcard", "complete_by_url", {"return_url": f"{SHOP}/thanks"}), ("invoice", "complete_by_api", {})],
)
async def test_an_order_without_an_id_is_not_completed_until_an_override_names_it(
    tmp_path: Path, method: str, command: str, arguments: dict[str, str]
) -> None:
    async with running(tmp_path) as world:
        order = await world.flow.create("connect", key="k", **connect_request(method))
        by = {"actor": "anna", "reason": "Connect named it"}
        await world.flow.override(order.id, "registered", version=0, **by)
        refused = await world.flow.send(order.id, Name(command), **arguments)
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.detail) == (Reason.DOES_NOT_FIT, "its orderId at Connect is not known; an override can name it")
        await world.flow.override(order.id, "registered", version=1, provider_id="77", **by)
        assert isinstance(await world.flow.send(order.id, Name(command), **arguments), Applied)
        assert command != "complete_by_url" or "orderId=77" in await world.flow.customer_url(order.id)


async def test_an_id_that_was_mistyped_is_corrected_until_a_poll_has_moved_the_order(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        world.ccv.faults.arm(Fault("POST /api/ordercompletion/reseller", "reset-after-commit", times=None))
        order = await world.flow.create("ccv", key="k", **ccv_request())
        await world.flow.send(order.id, "submit")
        await world.flow.wait(order.id, "submission_in_doubt", 60)
        by = {"actor": "anna", "reason": "CCV named it"}
        await world.flow.resolve(order.id, "submission_resolved", order_id="ORD-wrong", **by)
        wrong = await world.flow.order(order.id)
        assert (wrong.state, wrong.provider_id) == ("Processing", "ORD-wrong")
        right = f" {world.ccv.orders[0].id} "
        corrected = await world.flow.override(order.id, "Processing", version=wrong.version, provider_id=right, **by)
        assert isinstance(corrected, Applied)
        moved = await world.flow.wait(order.id, {"Incomplete", "New", "AwaitingPayment", "FulfillmentInProgress", "Completed"}, 60)
        assert moved.provider_id == right.strip()
        late = await world.flow.override(order.id, "Processing", version=moved.version, provider_id="ORD-wrong", **by)
        assert isinstance(late, Refused)
