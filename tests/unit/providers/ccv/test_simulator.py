"""The simulator of CCV over a real socket: what it answers, how its orders live, which notifications it sends and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from attrs import define, field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderflow._providers.ccv.simulator import MOVES, CcvSimulator
from orderflow._providers.ccv.wire import ORDER_STATUSES
from orderflow.simulators import Fault, SimClock, serve

pytestmark = pytest.mark.anyio

PREFIX = "/api/ordercompletion/reseller"
START = {
    "orderDate": "2026-11-21T10:00:00Z",
    "cartUrl": "https://shop.example/cart",
    "storeUrl": "https://shop.example/",
    "statusUrl": "https://shop.example/status",
    "storeInformation": {"cocNumber": "12345678", "cocRegistry": "Kvk"},
    "custom": {"mine": [None]},
}
PRICING = {
    "period": "OneOff",
    "excludingTax": 1,
    "singleExcludingTax": 1,
    "includingTax": 1,
    "taxAmountsPerTaxRate": [],
}
SALES = {"isPurchased": True, "packageName": "Online Payments", "sku": "op", "periodPricingDetails": [PRICING]}
PSP = {"url": "https://shop.example", "paymentMethods": ["ideal"]}
TERMINAL = {
    "terminalPackageType": "Smart",
    "transactionFee": 0.05,
    **{f"{when}Price{tax}Tax": 1 for when in ("oneOff", "monthly") for tax in ("Including", "Excluding")},
    "oneOffTaxAmount": 1,
    "oneOffTaxRate": 21,
    "monthlyPriceTaxAmount": 1,
    "monthlyPriceTaxRate": 21,
}
ORDER = {"orderDate": "2026-11-21T10:00:00Z"}


@define
class World:
    """A simulator on a socket with a manual clock, a client, and a receiver of notifications."""

    sim: CcvSimulator
    http: httpx.AsyncClient
    hook: str
    notifications: list[tuple[str, bytes]] = field(factory=list)
    on_notification: Any = None

    async def submit(self, reference: str | None = "r", *statuses: str, hook: bool = True) -> str:
        body: dict[str, Any] = {"notifyCustomerByEmail": False, "order": ORDER}
        if reference is not None:
            body["externalReference"] = reference
        if hook:
            body["statusNotificationInformation"] = {"notificationUrl": self.hook, "notifyOnStatus": list(statuses)}
        answer = await self.http.post("/order", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["orderId"])

    async def status(self, order_id: str) -> str:
        answer = await self.http.get(f"/order/{order_id}/status")
        answer.raise_for_status()
        return str(answer.json()["orderStatus"])

    async def after(self, seconds: float, order_id: str) -> str:
        self.sim.clock.advance(seconds)
        status = await self.status(order_id)
        await self.sim.deliveries.drain()
        return status


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async def receive(request: Request) -> Response:
        world.notifications.append((request.method, await request.body()))
        if world.on_notification is not None:
            await world.on_notification()
        return Response(status_code=204)

    receiver = Starlette(routes=[Route("/ccv", receive, methods=["GET", "POST"])])
    sim = CcvSimulator(clock=SimClock(start=1000.0, manual=True), api_key=None, allow_http_notifications=True)
    async with (
        sim,
        serve(sim.asgi) as url,
        serve(receiver) as hook,
        httpx.AsyncClient(base_url=url + PREFIX, trust_env=False, timeout=5.0) as http,
    ):
        world = World(sim, http, f"{hook}/ccv")
        yield world


# ---------------------------------------------------------------- the order configurator


async def test_the_order_travels_by_value_through_the_configurator(world: World) -> None:
    order = (await world.http.patch("/orderconfigurator/startorder", json=START)).json()
    assert order == START | {"shoppingCart": {"currency": "EUR", "salesPackages": []}}
    with_sales = (await world.http.patch("/orderconfigurator/addSalesPackage", json=SALES | {"order": order})).json()
    psp = await world.http.patch("/orderconfigurator/addProductPSPStandalone", json=PSP | {"order": with_sales})
    assert psp.json() == START | {"shoppingCart": {"currency": "EUR", "salesPackages": [SALES | {"products": [PSP]}]}}
    bare = await world.http.patch("/orderconfigurator/addTerminalPackage", json=TERMINAL | {"order": {"x": None}})
    package = {"packageName": "Smart", "products": [TERMINAL]}
    assert bare.json() == {"x": None, "shoppingCart": {"salesPackages": [package]}}
    assert world.sim.orders == ()
    assert world.sim.journal.count_executed("PATCH") == 4


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("startorder", {name: value for name, value in START.items() if name != "cartUrl"}, "cartUrl"),
        ("addSalesPackage", SALES, "order"),
        ("addTerminalPackage", TERMINAL | {"transactionFee": None, "order": ORDER}, "transactionFee"),
        ("addProductPSPStandalone", {"url": "x", "order": ORDER}, "paymentMethods"),
        ("addProductPSPStandalone", PSP | {"order": ORDER}, "order.shoppingCart.salesPackages"),
        ("addSalesPackage", SALES | {"order": {"shoppingCart": 5}}, "order.shoppingCart.salesPackages"),
    ],
)
async def test_a_missing_field_is_400_and_nothing_is_executed(world: World, path: str, body: dict[str, Any], field: str) -> None:
    answer = await world.http.patch(f"/orderconfigurator/{path}", json=body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert world.sim.journal.count_executed() == 0


async def test_a_body_that_is_not_json_is_400(world: World) -> None:
    assert (await world.http.post("/order", content=b"<order/>")).status_code == 400


# ---------------------------------------------------------------- submit


async def test_a_submitted_order_is_processing_and_has_its_reference(world: World) -> None:
    order_id = await world.submit("123456")
    answer = await world.http.get(f"/order/{order_id}/status")
    assert answer.json() == {"orderStatus": "Processing", "externalReference": "123456"}
    order = world.sim.orders[0]
    assert (order.id, order.external_reference, order.history) == (order_id, "123456", [(1000.0, "Processing")])


async def test_without_a_reference_none_is_answered(world: World) -> None:
    order_id = await world.submit(None)
    assert (await world.http.get(f"/order/{order_id}/status")).json() == {"orderStatus": "Processing"}


async def test_two_submits_are_two_orders_and_ids_are_the_same_in_each_run(world: World) -> None:
    assert [await world.submit("same"), await world.submit("same")] == ["ccv-0-000001", "ccv-0-000002"]
    assert len(world.sim.orders) == 2


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ("orderId", b'{"orderId":"ccv-0-000001"}'),
        ("id", b'{"id":"ccv-0-000001"}'),
        ("reference", b'{"reference":"ccv-0-000001"}'),
        ("bare", b'"ccv-0-000001"'),
        ("location", b""),
        ("missing", b'{"message":"Success"}'),
    ],
)
@pytest.mark.parametrize("status", [200, 201])
async def test_the_shapes_of_the_submit_answer(world: World, shape: Any, body: bytes, status: Any) -> None:
    world.sim.id_shape, world.sim.submit_status = shape, status
    answer = await world.http.post("/order", json={"notifyCustomerByEmail": True, "order": ORDER})
    assert (answer.status_code, answer.content) == (status, body)
    assert answer.headers.get("location") == (f"{PREFIX}/order/ccv-0-000001" if shape == "location" else None)
    assert len(world.sim.orders) == 1


@pytest.mark.parametrize(
    ("subscription", "allowed", "status"),
    [
        ({"notificationUrl": "http://127.0.0.1:1/"}, False, 400),
        ({"notificationUrl": "http://127.0.0.1:1/"}, True, 201),
        ({"notificationUrl": "https://shop.example/"}, False, 201),
        ({"notificationUrl": "https://shop.example/", "notifyOnStatus": ["Done"]}, True, 400),
        ({"notifyOnStatus": ["Completed"]}, False, 201),
    ],
)
async def test_notification_urls_are_https_unless_allowed(world: World, subscription: dict[str, Any], allowed: bool, status: int) -> None:
    world.sim.allow_http_notifications = allowed
    body = {"notifyCustomerByEmail": True, "order": ORDER, "statusNotificationInformation": subscription}
    assert (await world.http.post("/order", json=body)).status_code == status
    assert len(world.sim.orders) == (status == 201)


async def test_a_submit_whose_answer_is_lost_was_executed_once(world: World) -> None:
    world.sim.faults.arm(Fault(f"POST {PREFIX}/order", "reset-after-commit"))
    with pytest.raises(httpx.ReadError):
        await world.submit("lost")
    assert world.sim.journal.count_executed(f"POST {PREFIX}/order") == 1
    assert [order.external_reference for order in world.sim.orders] == ["lost"]


# ---------------------------------------------------------------- credentials


@pytest.mark.parametrize(
    ("auth", "status"),
    [(None, 401), (("wrong", ""), 401), (("t_reader", ""), 403), (("t_key", ""), 404), (("", "t_key"), 401)],
)
async def test_basic_auth_with_the_key_as_user_name(world: World, auth: tuple[str, str] | None, status: int) -> None:
    world.sim.api_key, world.sim.forbidden_keys = "t_key", frozenset({"t_reader"})
    assert (await world.http.get("/order/none/status", auth=auth)).status_code == status


@pytest.mark.parametrize("header", ["Basic", "Basic ???", "Basic /w==", "Bearer dF9rZXk6"])
async def test_broken_credentials_are_401(world: World, header: str) -> None:
    world.sim.api_key = "t_key"
    answer = await world.http.get("/order/none/status", headers={"authorization": header})
    assert answer.status_code == 401


async def test_the_check_of_credentials_can_be_replaced() -> None:
    async with (
        CcvSimulator(authenticate=lambda request: None if request.headers.get("x-key") == "k" else 403) as sim,
        httpx.AsyncClient(transport=httpx.ASGITransport(sim.asgi), base_url="http://ccv" + PREFIX) as http,
    ):
        assert (await http.get("/order/none/status")).status_code == 403
        assert (await http.get("/order/none/status", headers={"x-key": "k"})).status_code == 404


# ---------------------------------------------------------------- an order's life


async def test_the_usual_life(world: World) -> None:
    order_id = await world.submit()
    assert [await world.after(1, order_id) for _ in range(4)] == ["Incomplete", "New", "Completed", "Completed"]
    assert world.sim.orders[0].history == [
        (1000.0, "Processing"),
        (1001.0, "Incomplete"),
        (1002.0, "New"),
        (1003.0, "Completed"),
    ]
    assert world.notifications == [("POST", b"")] * 3


LIVES = {
    "long": [
        "Incomplete",
        "AwaitingPayment",
        "Screening",
        "New",
        "FulfillmentInProgress",
        "FulfillmentDone",
        "Completed",
    ],
    "erp": ["Incomplete", "New", "ErpInProgress", "Completed"],
    "screening rejected": ["Incomplete", "Screening", "Closed"],
    "recovered": ["Incomplete", "AwaitingPayment", "Failed", "New", "Completed"],
    "canceled": ["Incomplete", "Canceled"],
    "unknown": ["Incomplete", "OnHold", "New"],
}


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES.keys())
async def test_a_scripted_life(world: World, life: list[str]) -> None:
    world.sim.script("r", *((10, status) for status in life))
    order_id = await world.submit("r")
    other = await world.submit("other")
    assert [await world.after(10, order_id) for _ in life] == life
    assert await world.status(other) == "Completed", "a script is for its own reference only"
    assert world.notifications.count(("POST", b"")) == len(life) + 3


async def test_statuses_passed_between_two_polls_are_only_in_the_history(world: World) -> None:
    world.sim.script("r", (5, "Incomplete"), (0, "New"), (0, "FulfillmentDone"), (0, "Completed"))
    order_id = await world.submit("r")
    assert await world.after(5, order_id) == "Completed"
    assert [status for _, status in world.sim.orders[0].history][1:4] == ["Incomplete", "New", "FulfillmentDone"]


async def test_one_long_advance_makes_every_move_at_its_own_time(world: World) -> None:
    order_id = await world.submit()
    assert await world.after(3600, order_id) == "Completed"
    assert [at for at, _ in world.sim.orders[0].history] == [1000.0, 1001.0, 1002.0, 1003.0]


async def test_an_illegal_move_needs_force(world: World) -> None:
    with pytest.raises(ValueError, match="from New to Screening"):
        world.sim.script("r", (1, "Incomplete"), (1, "New"), (1, "Screening"))
    world.sim.script("r", (1, "Incomplete"), (1, "New"), (1, "Screening"), force=True)
    order_id = await world.submit("r")
    assert await world.after(3, order_id) == "Screening"
    with pytest.raises(ValueError, match="negative"):
        world.sim.script("r", (-1, "Incomplete"))


async def test_a_move_by_hand_ends_the_script(world: World) -> None:
    order_id = await world.submit()
    with pytest.raises(ValueError, match="from Processing to Completed"):
        world.sim.transition(order_id, "Completed")
    world.sim.transition(order_id, "Canceled")
    assert await world.after(60, order_id) == "Canceled"
    with pytest.raises(ValueError, match="from Canceled to OnHold"):
        world.sim.transition(order_id, "OnHold")
    world.sim.transition(order_id, "New", force=True)
    assert await world.after(60, order_id) == "New"
    assert len(world.notifications) == 2
    with pytest.raises(KeyError):
        world.sim.transition("foreign", "New")


async def test_a_script_may_leave_the_order_in_processing_for_ever(world: World) -> None:
    world.sim.script("stuck")
    order_id = await world.submit("stuck")
    assert await world.after(10**6, order_id) == "Processing"


async def test_wait_for_status_also_counts_a_status_already_passed(world: World) -> None:
    order_id = await world.submit()
    waiting = asyncio.create_task(world.sim.wait_for_status(order_id, "New"))
    await world.after(1, order_id)
    assert not waiting.done()
    world.sim.clock.advance(60)
    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(world.sim.wait_for_status(order_id, "Incomplete"), 1)


def test_the_table_of_moves() -> None:
    """The count of pairs CCV's text allows in one step: any changed move is a decision."""
    assert set(MOVES) == set(ORDER_STATUSES)
    assert {status for status, targets in MOVES.items() if not targets} == {"Completed", "Closed", "Canceled"}
    assert all(source not in targets and targets <= set(ORDER_STATUSES) for source, targets in MOVES.items())
    assert sum(len(targets) for targets in MOVES.values()) == 54


# ---------------------------------------------------------------- what the status call may not show


async def test_an_unknown_order_is_404(world: World) -> None:
    assert (await world.http.get("/order/ccv-0-999999/status")).status_code == 404
    assert world.sim.journal.count_executed() == 0


async def test_an_order_may_be_invisible_just_after_the_submit(world: World) -> None:
    world.sim.visible_after = 2
    order_id = await world.submit()
    assert (await world.http.get(f"/order/{order_id}/status")).status_code == 404
    assert await world.after(2, order_id) == "New"


async def test_a_status_may_be_stale_after_its_notification(world: World) -> None:
    world.sim.stale_seconds = 5
    world.sim.script("r", (10, "Incomplete"), (2, "New"))
    order_id = await world.submit("r")
    assert await world.after(10, order_id) == "Processing"
    assert len(world.notifications) == 1
    assert world.sim.orders[0].status == "Incomplete"
    assert [await world.after(seconds, order_id) for seconds in (5, 1, 1)] == ["Incomplete", "Incomplete", "New"]


# ---------------------------------------------------------------- notifications


async def test_only_subscribed_statuses_are_notified(world: World) -> None:
    order_id = await world.submit("r", "New", "Completed")
    counts = []
    for _ in range(3):
        await world.after(1, order_id)
        counts.append(len(world.notifications))
    assert counts == [0, 1, 2]


async def test_an_empty_filter_may_mean_none(world: World) -> None:
    world.sim.empty_filter_notifies_all = False
    order_id = await world.submit()
    assert await world.after(60, order_id) == "Completed"
    assert world.notifications == []


async def test_without_a_url_there_is_no_notification(world: World) -> None:
    order_id = await world.submit(hook=False)
    assert await world.after(60, order_id) == "Completed"
    assert world.sim.deliveries.rows == ()


async def test_creation_may_be_notified(world: World) -> None:
    world.sim.notify_creation = True
    await world.submit("r", "Processing")
    await world.sim.deliveries.drain()
    assert len(world.notifications) == 1


async def test_lost_notifications_are_not_sent_again(world: World) -> None:
    world.sim.deliveries.arm("drop", times=None)
    order_id = await world.submit()
    assert await world.after(60, order_id) == "Completed"
    assert world.notifications == []
    assert [row.outcome for row in world.sim.deliveries.rows] == ["dropped"] * 3


async def test_the_notification_may_come_before_the_submit_answer(world: World) -> None:
    answered: list[int | None] = []

    async def record_answer() -> None:
        answered.append(world.sim.journal.rows[0].answered)
        assert await world.status("ccv-0-000001") == "Incomplete"

    world.on_notification = record_answer
    world.sim.script("r", (5, "Incomplete"), (5, "New"), notify_early=True)
    order_id = await world.submit("r")
    assert answered == [None], "the submit was not answered yet when the notification came"
    world.on_notification = None
    assert await world.after(5, order_id) == "New"
    assert len(world.notifications) == 2


async def test_on_a_running_clock_orders_move_by_themselves() -> None:
    async with (
        CcvSimulator(step_seconds=0.005, api_key=None) as sim,
        serve(sim.asgi) as url,
        httpx.AsyncClient(base_url=url + PREFIX, trust_env=False) as http,
    ):
        answer = await http.post("/order", json={"notifyCustomerByEmail": True, "order": ORDER})
        order_id = answer.json()["orderId"]
        await asyncio.wait_for(sim.wait_for_status(order_id, "Completed"), 5)
        assert (await http.get(f"/order/{order_id}/status")).json() == {"orderStatus": "Completed"}
