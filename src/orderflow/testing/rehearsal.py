"""Rehearsals: the engine under virtual time and seeded hostility, in two phases. Faults on; then off, and every order must converge.

``rehearse(seed)`` plays customers, providers, weather, lost and doubled notices, forged claims and killed processes for some virtual days,
then stops all of it, waits one read cap and interval, and holds every order against the simulators' own truth. The same seed gives
the same journals.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine

import httpx
from attrs import field, frozen

from orderflow.errors import OrderflowError
from orderflow.lifecycle.table import Table
from orderflow.model import JournalRow, Order, StepKind
from orderflow.providers.ccv.lifecycle import CcvLifecycle
from orderflow.providers.ccv.simulator import ENDS, MOVES
from orderflow.providers.connect.lifecycle import ConnectLifecycle
from orderflow.testing.faulty import Weather
from orderflow.testing.stage import DAY, LATEST, Stage, stage
from orderflow.testing.virtual import run_virtually

_TABLES: dict[str, Table] = {"ccv": CcvLifecycle.table, "connect": ConnectLifecycle.table}
_PROVEN = {"fulfilled", "assigning", "assignment_in_doubt", "user_assigned"}
_NEVER_SENT = {"refused", "abandoned"}
_LINE = {"productSpecType": "product", "product": "PAPER"}
_PRICE = {
    "period": "OneOff",
    "excludingTax": 1.0,
    "singleExcludingTax": 1.0,
    "includingTax": 1.21,
    "taxAmountsPerTaxRate": [{"taxRate": 21, "taxAmount": 0.21}],
}


def stormy() -> Weather:
    """The default weather: one call in eight is in trouble."""
    return Weather(refused=0.03, lost=0.03, broken=0.02, busy=0.02, garbage=0.01, slow=0.02, killed=0.01)


@frozen
class Rehearsed:
    """What came of a seed. ``problems`` is empty where every promise held."""

    seed: int
    orders: tuple[Order, ...]
    journals: dict[str, list[JournalRow]] = field(repr=False)
    crashes: int
    told: int
    problems: tuple[str, ...]


def rehearse(seed: int, *, days: float = 14.0, orders: int = 4, weather: Weather | None = None) -> Rehearsed:
    """Play one seed: ``orders`` orders of each provider over ``days`` virtual days."""
    return run_virtually(_rehearse(seed, days, orders, weather or stormy()))


async def _rehearse(seed: int, days: float, orders: int, weather: Weather) -> Rehearsed:
    async with stage(seed, weather) as here:
        for kind in ("drop", "duplicate"):
            for deliveries in (here.connect.deliveries, here.ccv.deliveries):
                deliveries.arm(kind, times=None, chance=0.2)
        parts: list[Coroutine[object, object, None]] = [_kill_now_and_then(here), _restart(here)]
        for n in range(orders):
            parts += [_connect_customer(here, n), _ccv_merchant(here, n)]
        playing = [asyncio.create_task(part) for part in parts]
        await here.clock.sleep(days * DAY)
        for task in playing:
            task.cancel()
        ended = await asyncio.gather(*playing, return_exceptions=True)
        here.weather.calm()
        here.connect.deliveries.clear()
        here.ccv.deliveries.clear()
        if here.flow is None:
            await here.start()
        await here.clock.sleep(LATEST)
        problems = [f"an actor died: {error!r}" for error in ended if isinstance(error, Exception)]
        return await _judged(seed, here, problems)


# ── the actors ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _kill_now_and_then(here: Stage) -> None:
    rng = random.Random(here.rng.randrange(2**32))  # noqa: S311
    while True:
        await here.clock.sleep(rng.expovariate(1 / (DAY / 2)))
        await here.crash()


async def _restart(here: Stage) -> None:
    rng = random.Random(here.rng.randrange(2**32))  # noqa: S311
    while True:
        await here.clock.sleep(rng.uniform(1.0, 900.0))
        if here.flow is None:
            await here.start()


def _chance(rng: random.Random, share: float) -> bool:
    return rng.random() < share


async def _state(here: Stage, order_id: str) -> Order:
    return await (await here.up()).order(order_id)


async def _until(here: Stage, order_id: str, *left: str) -> Order:
    """Look every minute until the order has left these states."""
    while (order := await _state(here, order_id)).state in left:
        await here.clock.sleep(60.0)
    return order


async def _connect_customer(here: Stage, n: int) -> None:
    rng = random.Random(here.rng.randrange(2**32))  # noqa: S311
    await here.clock.sleep(rng.uniform(0, 5 * DAY))
    method, way = rng.choice([("invoice", "api"), ("free", "api"), ("sms", "api"), ("creditcardPayex", "url"), ("nexi", "url")])
    reference = f"connect-{n}"
    here.connect.script(
        reference,
        pay_outcome=rng.choice(["success", "success", "failed", "never"]),
        pay_delay=rng.expovariate(1 / 300.0),
        callback=rng.choice(["send", "send", "never", "twice", "early"]),
        fulfil_delay=rng.expovariate(1 / 3600.0),
        lost_is_paid=_chance(rng, 0.5),
    )
    request = {
        "externalOrderId": reference,
        "paymentMethod": method,
        "payer": {"lastName": "Nordmann", "postalCode": "0150", "emails": ["ola@example.invalid"]},
        "orderLines": [_LINE],
    }
    flow = await here.up()
    order = await flow.create("connect", key=reference, order=request)
    await flow.send(order.id, "register")
    order = await _until(here, order.id, "registering")
    if order.state != "registered":
        return
    if way == "api":
        await (await here.up()).send(order.id, "complete_by_api")
        return
    flow = await here.up()
    await flow.send(order.id, "complete_by_url", return_url="http://shop/thanks")
    await _browse(here, rng, await flow.customer_url(order.id))


async def _browse(here: Stage, rng: random.Random, url: str) -> None:
    if _chance(rng, 0.3):  # somebody types a word behind our return URL
        word = rng.choice(["success", "cancel", "error", "nonsense"])
        await _get(here, httpx.URL(url).params["returnUrl"] + f"?fulfillmentStatus={word}")
    await here.clock.sleep(rng.expovariate(1 / 600.0))
    page = await _get(here, url)
    if page is not None and "/pay/" in page.url.path:
        button = rng.choice(["pay", "pay", "cancel", "fail", "lose", "close"])
        try:
            await here.browser.post(str(page.url), data={"action": button})
        except httpx.HTTPError:
            return
        if _chance(rng, 0.2):  # back again: the old URL can still be paid
            await here.clock.sleep(rng.expovariate(1 / 7200.0))
            await here.browser.post(str(page.url), data={"action": "pay"})


async def _get(here: Stage, url: str) -> httpx.Response | None:
    try:
        return await here.browser.get(url)
    except httpx.HTTPError:
        return None


async def _ccv_merchant(here: Stage, n: int) -> None:
    rng = random.Random(here.rng.randrange(2**32))  # noqa: S311
    await here.clock.sleep(rng.uniform(0, 5 * DAY))
    reference = f"ccv-{n}"
    here.ccv.script(reference)
    flow = await here.up()
    order = await flow.create(
        "ccv",
        key=reference,
        external_reference=reference,
        order={
            "orderDate": "2026-01-15T12:00:00Z",
            "cartUrl": "http://shop/cart",
            "storeUrl": "http://shop",
            "statusUrl": "http://shop/status",
            "storeInformation": {"cocNumber": "1", "cocRegistry": "Kvk"},
        },
        products=[{"kind": "sales_package", "isPurchased": True, "packageName": "x", "sku": "y", "periodPricingDetails": [_PRICE]}],
    )
    await flow.send(order.id, "submit")
    await _until(here, order.id, "configuring", "submitting")
    while not (mine := [one for one in here.ccv.orders if one.external_reference == reference]):
        await here.clock.sleep(3600.0)
    while mine[0].status not in ENDS:
        await here.clock.sleep(rng.expovariate(1 / (DAY / 3)))
        choices = sorted(MOVES[mine[0].status])
        if choices:
            here.ccv.move(mine[0].id, rng.choice(choices))


# ── the judge ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _judged(seed: int, here: Stage, problems: list[str]) -> Rehearsed:
    flow = await here.up()
    orders = await flow.orders(limit=10_000)
    journals: dict[str, list[JournalRow]] = {}
    for order in sorted(orders, key=lambda order: order.id):
        journals[order.id] = await flow.journal(order.id)
        try:
            found = _connect_truth(here, order) if order.provider == "connect" else _ccv_truth(here, order)
        except OrderflowError as error:
            found = [str(error)]
        found += _path(_TABLES[order.provider], order, journals[order.id])
        problems += [f"seed {seed}, {order.id} in {order.state}: {problem}" for problem in found]
    return Rehearsed(seed, tuple(orders), journals, here.crashes, len(here.told), tuple(problems))


def _ccv_truth(here: Stage, order: Order) -> list[str]:
    mine = [one for one in here.ccv.orders if one.external_reference == order.snapshot.data["external_reference"]]
    if len(mine) > 1:
        return [f"submitted {len(mine)} times"]
    if order.state in _NEVER_SENT:
        return ["given up as never submitted, and it was"] if mine else []
    if order.state in ("submission_in_doubt", "drafted"):
        return []
    if order.provider_id is None:
        return ["neither submitted nor openly in doubt"]
    return [] if mine and mine[0].status == order.state else [f"CCV says {mine[0].status if mine else 'nothing'}"]


def _connect_truth(here: Stage, order: Order) -> list[str]:
    request = order.snapshot.data["request"]
    mine = [one for one in here.connect.orders if one.external_order_id == request["externalOrderId"]]  # type: ignore[index]
    if len(mine) > 1:
        return [f"registered {len(mine)} times"]
    if order.state in _NEVER_SENT:
        return ["given up as never registered, and it was"] if mine else []
    if order.state in ("registration_in_doubt", "drafted"):
        return []
    if order.provider_id is None:
        return ["neither registered nor openly in doubt"]
    fulfilled = bool(mine) and mine[0].status != "preliminary"
    if fulfilled == (order.state in _PROVEN):
        return []
    return ["Connect says fulfilled" if fulfilled else "proven, and Connect says it is not"]


def _path(table: Table, order: Order, journal: list[JournalRow]) -> list[str]:
    """The journal must be a path of edges and marked jumps, gapless, ending where the order stands."""
    edges = {(edge.event, edge.source, edge.target) for edge in table.edges}
    here, problems = table.initial, []
    for version, row in enumerate(journal, 1):
        walked = row.kind in (StepKind.JUMP, StepKind.OVERRIDE) or (row.event, row.source, row.target) in edges
        if row.version != version or row.source != here or not walked:
            problems.append(f"row {row.version} ({row.event}: {row.source} -> {row.target}) is no step from {here}")
        here = row.target
    return problems if here == order.state else [*problems, f"the journal ends in {here}"]
