"""CCV's adapter over a socket: what every answer, and every way of not answering, comes to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from attrs import define
from tests.kit.provider_answers import MISHAPS, Mishap, silent
from tests.kit.world import CCV_KEY, LINK_KEYS, SHOP, ccv_at, ccv_request, ccv_sim, order_of

from orderflow.model import Order
from orderflow.provider.outcomes import InDoubt, NotExecuted, Outcome, ReadFailed, Rejected, Signal, StatusRead, Succeeded
from orderflow.providers.ccv import Ccv
from orderflow.providers.ccv.simulator import CcvSimulator
from orderflow.receiver.signed_urls import SignedUrls
from orderflow.simulators import Fault, serve

pytestmark = pytest.mark.anyio

ROOT = "/api/ordercompletion/reseller"
PATCHES = {
    "startorder": f"PATCH {ROOT}/orderconfigurator/startorder",
    "sales": f"PATCH {ROOT}/orderconfigurator/addSalesPackage",
    "psp": f"PATCH {ROOT}/orderconfigurator/addProductPSPStandalone",
    "terminal": f"PATCH {ROOT}/orderconfigurator/addTerminalPackage",
}
SUBMIT = f"POST {ROOT}/order"
STATUS = f"GET {ROOT}/order/"
LINKS = SignedUrls("https://us.example/orders", LINK_KEYS)
ids = {"ids": lambda row: row.name}


@define
class Ccv1:
    """One simulator, one provider."""

    sim: CcvSimulator
    base: str
    ccv: Ccv

    async def configured(self, **request: Any) -> Order:
        given = ccv_request("sales_package", "psp_standalone", "terminal_package", **request)
        outcome = await self.ccv.perform("configure_order", order_of(self.ccv, given), LINKS)
        assert isinstance(outcome, Succeeded)
        return order_of(self.ccv, given, **outcome.data)

    async def submitted(self, **request: Any) -> Order:
        order = await self.configured(**request)
        outcome = await self.ccv.perform("submit_order", order, LINKS)
        assert isinstance(outcome, Succeeded)
        return order_of(self.ccv, ccv_request(**request), provider_id=outcome.provider_id)


@pytest.fixture
async def one() -> AsyncIterator[Ccv1]:
    async with ccv_sim() as sim, serve(sim.asgi) as base:
        sim.script(None)  # every order stays in Processing
        ccv = ccv_at(base)
        yield Ccv1(sim, base, ccv)
        await ccv.close()


# ── all goes well ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_configures_every_product_passing_the_order_along(one: Ccv1) -> None:
    order = order_of(one.ccv, ccv_request("sales_package", "psp_standalone", "terminal_package"))
    outcome = await one.ccv.perform("configure_order", order, LINKS)
    assert isinstance(outcome, Succeeded)
    assert outcome.event == "order_configured"
    assert [row.path.rsplit("/", 1)[1] for row in one.sim.journal.rows] == [
        "startorder",
        "addSalesPackage",
        "addProductPSPStandalone",
        "addTerminalPackage",
    ]
    packages = outcome.data["order"]["shoppingCart"]["salesPackages"]  # type: ignore[index]
    assert [package["packageName"] for package in packages] == ["Online Payments", "Smart"]


@pytest.mark.parametrize("shape", ["orderId", "id", "reference", "bare", "location"])
async def test_submits_once_and_takes_the_id_wherever_it_stands(one: Ccv1, shape: str) -> None:
    one.sim.id_shape = shape  # type: ignore[assignment]
    order = await one.configured()
    outcome = await one.ccv.perform("submit_order", order, LINKS)
    assert isinstance(outcome, Succeeded)
    (made,) = one.sim.orders
    assert (outcome.event, outcome.provider_id) == ("order_submitted", made.id)
    assert made.external_reference == order.id
    assert one.sim.journal.count_executed(SUBMIT) == 1


async def test_a_submit_answer_without_an_id_is_in_doubt(one: Ccv1) -> None:
    one.sim.id_shape = "missing"
    outcome = await one.ccv.perform("submit_order", await one.configured(), LINKS)
    assert isinstance(outcome, InDoubt)
    assert one.sim.journal.count_executed(SUBMIT) == 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "https://us.example/orders/ccv/notification/k1."),
        ({"notifications": "shared"}, "https://us.example/orders/ccv/notifications"),
        ({"notifications": "off"}, None),
    ],
)
async def test_names_our_notification_url_and_asks_for_all_statuses(settings: dict[str, Any], expected: str | None) -> None:
    async with ccv_sim() as sim, serve(sim.asgi) as base:
        world = Ccv1(sim, base, ccv_at(base, **settings))
        await world.submitted()
        await world.ccv.close()
    notice = sim.orders[0].submitted.status_notification_information
    if expected is None:
        assert notice is None
    else:
        assert notice is not None
        assert str(notice.notification_url).startswith(expected)
        assert len(notice.notify_on_status) == 12


async def test_a_public_url_that_ccv_would_not_call_is_not_named() -> None:
    async with ccv_sim(allow_http_notifications=False) as sim, serve(sim.asgi) as base:
        ccv = ccv_at(base, allow_http=False)
        world = Ccv1(sim, base, ccv)
        outcome = await ccv.perform("submit_order", await world.configured(), SignedUrls("http://us.example", LINK_KEYS))
        await ccv.close()
    assert isinstance(outcome, Succeeded)
    assert sim.orders[0].submitted.status_notification_information is None


async def test_reads_the_status_and_notices_a_strangers_order(one: Ccv1) -> None:
    order = await one.submitted()
    assert await one.ccv.fetch_status(order) == StatusRead("Processing")
    assert await one.ccv.fetch_status(
        order_of(one.ccv, ccv_request(external_reference="mine"), provider_id=order.provider_id)
    ) == StatusRead("Processing", mismatch="externalReference")


@pytest.mark.parametrize("provider_id", ["no-such", "../order", "a b/c?d=e#f", "ø" * 50])
async def test_an_order_that_ccv_does_not_show_is_unread(one: Ccv1, provider_id: str) -> None:
    assert isinstance(await one.ccv.fetch_status(order_of(one.ccv, ccv_request(), provider_id=provider_id)), ReadFailed)


# ── every mishap ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check(outcome: Outcome, mishap: Mishap) -> None:
    assert type(outcome) is mishap.outcome
    if isinstance(outcome, NotExecuted):
        assert outcome.retry_after == mishap.retry_after
    silent(outcome)


@pytest.mark.parametrize("call", PATCHES)
@pytest.mark.parametrize("mishap", [m for m in MISHAPS if m.name != "nulls"], **ids)
async def test_configure(one: Ccv1, call: str, mishap: Mishap) -> None:
    one.sim.faults.arm(mishap.on(PATCHES[call]))
    order = order_of(one.ccv, ccv_request("sales_package", "psp_standalone", "terminal_package"))
    _check(await one.ccv.perform("configure_order", order, LINKS), mishap)
    assert one.sim.journal.count_received(PATCHES[call]) == 1
    assert one.sim.journal.count_executed(PATCHES[call]) == mishap.executed
    assert one.sim.journal.count_received(SUBMIT) == 0


@pytest.mark.parametrize("mishap", MISHAPS, **ids)
async def test_submit(one: Ccv1, mishap: Mishap) -> None:
    order = await one.configured()
    one.sim.faults.arm(mishap.on(SUBMIT))
    _check(await one.ccv.perform("submit_order", order, LINKS), mishap)
    assert one.sim.journal.count_received(SUBMIT) == 1
    assert one.sim.journal.count_executed(SUBMIT) == len(one.sim.orders) == mishap.executed


@pytest.mark.parametrize("mishap", MISHAPS, **ids)
async def test_read(one: Ccv1, mishap: Mishap) -> None:
    order = await one.submitted()
    one.sim.faults.arm(mishap.on(STATUS))
    seen = await one.ccv.fetch_status(order)
    assert isinstance(seen, ReadFailed)
    assert seen.retry_after == mishap.retry_after
    silent(seen)


@pytest.mark.parametrize(("effect", "match"), [("configure_order", "PATCH"), ("submit_order", SUBMIT)])
async def test_an_answer_that_does_not_come_in_time_is_in_doubt(one: Ccv1, effect: str, match: str) -> None:
    order = await one.configured()
    hasty = ccv_at(one.base, timeout=0.3)
    one.sim.faults.arm(Fault(match, "delay", seconds=30.0))
    outcome = await hasty.perform(effect, order, LINKS)
    await hasty.close()
    assert outcome == InDoubt("sent, no usable answer: ReadTimeout")


@pytest.mark.parametrize("effect", ["configure_order", "submit_order"])
async def test_ccv_away_is_not_executed(one: Ccv1, effect: str) -> None:
    order = await one.configured()
    async with serve(one.sim.asgi) as gone:
        away = ccv_at(gone)
    outcome, seen = await away.perform(effect, order, LINKS), await away.fetch_status(order_of(away, ccv_request(), provider_id="1"))
    await away.close()
    assert outcome == NotExecuted("never sent: ConnectError", signal=Signal.UNREACHABLE)
    assert seen == ReadFailed("ConnectError", signal=Signal.UNREACHABLE)


async def test_a_forbidden_or_wrong_key_is_told_apart(one: Ccv1) -> None:
    order = await one.configured()
    one.sim.forbidden_keys = frozenset({"forbidden"})
    for key, expected in (("wrong", NotExecuted), ("forbidden", Rejected)):
        other = ccv_at(one.base, api_key=key)
        assert type(await other.perform("submit_order", order, LINKS)) is expected
        await other.close()
    assert one.sim.orders == ()


def test_no_repr_shows_key_or_customer() -> None:
    ccv = ccv_at(SHOP)
    silent(ccv, order_of(ccv, ccv_request(), order={"email": CCV_KEY}))
