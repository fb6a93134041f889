"""A support person ends a doubt in both ways with nothing but the operator's text, and a page waits for what it needs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.kit.world import World, ccv_request, connect_request, running

from orderflow import Name, OrderInDoubt, OrderView, WaitTimeout
from orderflow.simulators import Fault

pytestmark = pytest.mark.anyio
CALLS = {"connect": "POST /capi/v1/client/orde[r]", "ccv": "POST /api/ordercompletion/reseller/order"}
COMMANDS = {"connect": Name("register"), "ccv": Name("submit")}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as world:
        yield world


async def lose_answer(world: World, provider: str, fault: str) -> OrderView:
    """An order whose call got no answer; with ``reset`` the provider did not act."""
    simulator = world.connect if provider == "connect" else world.ccv
    simulator.faults.arm(Fault(CALLS[provider], fault))
    request = connect_request() if provider == "connect" else ccv_request()
    order = await world.flow.create(Name(provider), key="k", **request)
    await world.flow.send(order.id, COMMANDS[provider])
    begin = asyncio.get_running_loop().time()
    with pytest.raises(OrderInDoubt):
        await world.flow.wait(order.id, Name("registered" if provider == "connect" else "Processing"), timeout=300)
    assert asyncio.get_running_loop().time() - begin < 60
    view = await world.flow.view(order.id)
    assert (view.in_doubt, view.needs_person, view.commands) == (True, True, ())
    return view


def search(world: World, text: str) -> str | None:
    """The provider's id of the order that the text says to look for."""
    found = re.search(r"the (externalOrderId|externalReference) (\S+)\. ", text)
    assert found is not None
    if found[1] == "externalOrderId":
        return next((str(order.order_id) for order in world.connect.orders if order.external_order_id == found[2]), None)
    return next((order.id for order in world.ccv.orders if order.external_reference == found[2]), None)


async def follow(world: World, view: OrderView) -> None:
    """Do what the operator's text says."""
    text = view.operator_text
    there, missing, given_up = (
        re.search(pattern, text) for pattern in (r"resolve with (\w+)", r"(\w+_not_found) leads back to (\w+)", r"up with (\w+)\.")
    )
    assert there
    assert missing
    assert given_up
    assert {there[1], missing[1], given_up[1]} == set(view.operator_events)
    provider_id = search(world, text)
    arguments = {} if provider_id is None else {"order_id": provider_id}
    event = missing[1] if provider_id is None else there[1]
    await world.flow.resolve(view.order.id, Name(event), actor="kim", reason="as the text says", **arguments)
    if provider_id is None:
        after = await world.flow.view(view.order.id)
        command = re.search(r"can send (\w+) again", text)
        assert command
        assert (after.order.state, after.commands) == (missing[2], (command[1], "discard"))
        await world.flow.send(view.order.id, Name(command[1]))


@pytest.mark.parametrize("fault", ["reset-after-commit", "reset"])
@pytest.mark.parametrize(("provider", "state"), [("connect", "registered"), ("ccv", "Processing")])
async def test_the_operators_text_is_enough_to_end_a_doubt(world: World, provider: str, state: str, fault: str) -> None:
    view = await lose_answer(world, provider, fault)
    await follow(world, view)
    order = await world.flow.wait(view.order.id, Name(state), timeout=60)
    simulator = world.connect if provider == "connect" else world.ccv
    assert len(simulator.orders) == 1
    assert order.provider_id == search(world, view.operator_text)


async def test_an_order_that_passed_paid_satisfies_a_wait_for_it(world: World) -> None:
    order = await world.flow.create("connect", key="k", **connect_request("sms"))
    await world.flow.send(order.id, "register")
    await world.flow.wait(order.id, "registered", timeout=60)
    await world.flow.send(order.id, "complete_by_api")
    paid = await world.flow.wait(order.id, "paid", timeout=60)
    assert paid.state == "fulfilled"
    view = await world.flow.view(order.id)
    assert (view.has_passed("paid"), view.has_passed("cancelled"), view.proven, view.settled) == (True, False, True, True)
    assert view.customer_text == "Your order is complete."


async def test_a_wait_without_a_worker_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, worker=False) as world:
        order = await world.flow.create("ccv", key="k", **ccv_request())
        await world.flow.send(order.id, "submit")
        with pytest.raises(WaitTimeout, match=r"configure_order has been due for \d s, and no worker has taken it: run `orderflow worker`"):
            await world.flow.wait(order.id, "Processing", timeout=2.2)
