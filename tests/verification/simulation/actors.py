"""Who acts in a simulation besides engine and providers: customers, merchants, and what kills the application's process."""

from __future__ import annotations

import random
from typing import Any

import httpx
from tests.verification.simulation.world import DAY, THANKS, VirtualWorld

from orderflow._providers.ccv.simulator import ENDS, MOVES
from orderflow.model import Order

_PRICE = {
    "period": "OneOff",
    "excludingTax": 1.0,
    "singleExcludingTax": 1.0,
    "includingTax": 1.21,
    "taxAmountsPerTaxRate": [{"taxRate": 21, "taxAmount": 0.21}],
}
_CCV_REQUEST: dict[str, Any] = {
    "order": {
        "orderDate": "2026-01-15T12:00:00Z",
        "cartUrl": "http://application/cart",
        "storeUrl": "http://application",
        "statusUrl": "http://application/status",
        "storeInformation": {"cocNumber": "1", "cocRegistry": "Kvk"},
    },
    "products": [{"kind": "sales_package", "isPurchased": True, "packageName": "x", "sku": "y", "periodPricingDetails": [_PRICE]}],
}
_CONNECT_METHODS = [("invoice", "api"), ("free", "api"), ("sms", "api"), ("creditcardPayex", "url"), ("nexi", "url")]


def _connect_request(reference: str, method: str) -> dict[str, Any]:
    return {
        "externalOrderId": reference,
        "paymentMethod": method,
        "payer": {"lastName": "Nordmann", "postalCode": "0150", "emails": ["ola@example.invalid"]},
        "orderLines": [{"productSpecType": "product", "product": "PAPER"}],
    }


def _own_rng(world: VirtualWorld) -> random.Random:
    """An rng for one actor, so that actors do not disturb each other's draws."""
    return random.Random(world.rng.randrange(2**32))


# ── the process ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def kill_process(world: VirtualWorld) -> None:
    """Kill the application's process twice a day, on average."""
    rng = _own_rng(world)
    while True:
        await world.clock.sleep(rng.expovariate(1 / (DAY / 2)))
        await world.crash()


async def restart_process(world: VirtualWorld) -> None:
    """Start the application's process again within 15 minutes."""
    rng = _own_rng(world)
    while True:
        await world.clock.sleep(rng.uniform(1.0, 900.0))
        if world.flow is None:
            await world.start()


# ── a customer of Connect ────────────────────────────────────────────────────────────────────────────────────────────────


async def buy_at_connect(world: VirtualWorld, n: int) -> None:
    """A customer orders, and completes the order by API or by URL."""
    rng = _own_rng(world)
    await world.clock.sleep(rng.uniform(0, 5 * DAY))
    method, way = rng.choice(_CONNECT_METHODS)
    reference = f"connect-{n}"
    world.connect.script(
        reference,
        pay_outcome=rng.choice(["success", "success", "failed", "never"]),
        pay_delay=rng.expovariate(1 / 300.0),
        callback=rng.choice(["send", "send", "never", "twice", "early"]),
        fulfil_delay=rng.expovariate(1 / 3600.0),
        lost_is_paid=rng.random() < 0.5,
    )
    flow = await world.running_flow()
    order = await flow.create("connect", key=reference, order=_connect_request(reference, method))
    await flow.send(order.id, "register")
    order = await _until_it_leaves(world, order.id, "registering")
    if order.state != "registered":
        return
    if way == "api":
        await (await world.running_flow()).send(order.id, "complete_by_api")
        return
    flow = await world.running_flow()
    await flow.send(order.id, "complete_by_url", return_url=THANKS)
    await _browse(world, rng, await flow.customer_url(order.id))


async def _browse(world: VirtualWorld, rng: random.Random, url: str) -> None:
    """The customer goes to the payment page, or forges the return, or both."""
    if rng.random() < 0.3:
        forged = rng.choice(["success", "cancel", "error", "nonsense"])
        await _get(world, httpx.URL(url).params["returnUrl"] + f"?fulfillmentStatus={forged}")
    await world.clock.sleep(rng.expovariate(1 / 600.0))
    page = await _get(world, url)
    if page is not None and "/pay/" in page.url.path:
        button = rng.choice(["pay", "pay", "cancel", "fail", "lose", "close"])
        try:
            await world.browser.post(str(page.url), data={"action": button})
        except httpx.HTTPError:
            return
        if rng.random() < 0.2:  # later again: the old URL can still be paid
            await world.clock.sleep(rng.expovariate(1 / 7200.0))
            await world.browser.post(str(page.url), data={"action": "pay"})


async def _get(world: VirtualWorld, url: str) -> httpx.Response | None:
    try:
        return await world.browser.get(url)
    except httpx.HTTPError:
        return None


# ── a merchant at CCV ────────────────────────────────────────────────────────────────────────────────────────────────────


async def order_at_ccv(world: VirtualWorld, n: int) -> None:
    """A merchant orders; CCV's employees move the order until it ends."""
    rng = _own_rng(world)
    await world.clock.sleep(rng.uniform(0, 5 * DAY))
    reference = f"ccv-{n}"
    world.ccv.script(reference)
    flow = await world.running_flow()
    order = await flow.create("ccv", key=reference, external_reference=reference, **_CCV_REQUEST)
    await flow.send(order.id, "submit")
    await _until_it_leaves(world, order.id, "configuring", "submitting")
    while not (submitted := [known for known in world.ccv.orders if known.external_reference == reference]):
        await world.clock.sleep(3600.0)
    while submitted[0].status not in ENDS:
        await world.clock.sleep(rng.expovariate(1 / (DAY / 3)))
        if moves := sorted(MOVES[submitted[0].status]):
            world.ccv.transition(submitted[0].id, rng.choice(moves))


async def _until_it_leaves(world: VirtualWorld, order_id: str, *states: str) -> Order:
    """Look every minute until the order has left these states."""
    while (order := await (await world.running_flow()).order(order_id)).state in states:
        await world.clock.sleep(60.0)
    return order
