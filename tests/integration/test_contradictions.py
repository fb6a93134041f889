"""Answers that contradict the order: about another order, or with an unknown status. They flag the order and move nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.kit.provider_answers import assert_no_canary
from tests.kit.world import EMAIL, PHONE, World, connect_request, eventually, running

from orderflow.model import Order, Reason
from orderflow.simulators import Fault

pytestmark = pytest.mark.anyio

STATUS = "GET /capi/v1/client/order/status/"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as opened:
        yield opened


async def create(world: World, method: str = "invoice", **request: Any) -> Order:
    return await world.flow.create("connect", key=method, **connect_request(method, **request))


async def register(world: World, method: str = "invoice", **request: Any) -> Order:
    order = await create(world, method, **request)
    await world.flow.send(order.id, "register")
    return await world.flow.wait(order.id, "registered", 60)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"orderId": 15}, Reason.NOT_OURS),
        ({"externalOrderId": "another"}, Reason.NOT_OURS),
        ({"orderAmount": 1}, Reason.NOT_OURS),
        ({"orderAmount": "294.00"}, Reason.NOT_OURS),
        ({"orderStatus": "refunded"}, Reason.UNKNOWN_STATUS),
    ],
)
async def test_a_poll_that_reads_another_order_flags_ours(world: World, changes: dict[str, Any], reason: Reason) -> None:
    row = {"orderId": 14, "externalOrderId": "mine", "orderStatus": "fulfilled", "orderAmount": 295, **changes}
    world.connect.faults.arm(Fault(STATUS, "garbage", body=json.dumps({"orders": [row]}).encode(), times=None))
    order = await register(world, external_id="mine")
    await world.flow.send(order.id, "complete_by_api")
    await world.flow.wait(order.id, "confirming", 60)
    await eventually(lambda: world.connect.journal.count_executed(STATUS) >= 5)
    assert not {"paid", "fulfilled"} & set(await world.path(order.id))
    assert (await world.flow.order(order.id)).flagged
    assert reason in {refusal.reason for refusal in await world.flow.refusals(order.id)}


async def test_without_configured_statuses_nothing_is_ever_proven(tmp_path: Path) -> None:
    async with running(tmp_path, connect={"fulfilled_literals": ()}) as world:
        order = await register(world)
        await world.flow.send(order.id, "complete_by_api")
        await world.flow.wait(order.id, "confirming", 60)
        assert world.connect.orders[0].status == "fulfilled"
        await eventually(lambda: world.connect.journal.count_executed(STATUS) >= 3)
        now = await world.flow.order(order.id)
        assert (now.state, now.flagged) == ("confirming", True)


async def test_an_answer_about_another_order_leaves_ours_in_doubt_and_keeps_both_ids(world: World) -> None:
    order = await register(world, "sms")
    answer = b'{"fulfillmentStatus": "OK", "orderId": 4711}'
    world.connect.faults.arm(Fault("POST /capi/v1/client/order/fulfillment", "garbage", body=answer))
    world.connect.script("*", pay_outcome="never")
    await world.flow.send(order.id, "complete_by_api")
    now = await world.flow.wait(order.id, "fulfillment_in_doubt", 60)
    assert (now.flagged, now.provider_id) == (True, "14")
    (row,) = [refusal for refusal in await world.flow.refusals(order.id) if refusal.reason is Reason.NOT_OURS]
    for text in (row.detail, (await world.flow.journal(order.id))[-1].note):
        assert "4711" in text
        assert "14" in text


async def test_the_text_of_an_error_is_kept_nowhere_it_could_be_shown(world: World) -> None:
    error = json.dumps({"exceptionType": "OrderException", "errorMessage": f"{EMAIL} {PHONE}"}).encode()
    world.connect.faults.arm(Fault("POST /capi/v1/client/order", "status", status=400, body=error))
    order = await create(world)
    await world.flow.send(order.id, "register")
    now = await world.flow.wait(order.id, "refused", 60)
    journal = await world.flow.journal(order.id)
    assert "400 from the provider (OrderException)" in journal[-1].note
    assert_no_canary(now, journal, await world.flow.refusals(order.id), world.flow)
