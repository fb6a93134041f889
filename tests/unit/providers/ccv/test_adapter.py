"""CCV's adapter over a socket: the outcome of every response, and of every way in which a response can be missing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from attrs import define, evolve
from tests.kit.calls import call_for, check_moment_of_sending
from tests.kit.provider_answers import FAULT_CASES, FaultCase, assert_no_canary
from tests.kit.world import CCV_KEY, LINK_KEYS, SHOP, ccv_at, ccv_request, ccv_sim, order_of

from orderflow._provider.outcomes import InDoubt, NotExecuted, Outcome, ReadFailed, Rejected, Signal, StatusRead, Succeeded
from orderflow._providers.ccv import Ccv
from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow._receiver.signed_urls import SignedUrls
from orderflow.model import Order, Snapshot
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
by_name = {"ids": lambda case: case.name}


@define
class Setup:
    """A simulator, and the provider against it."""

    sim: CcvSimulator
    base: str
    ccv: Ccv

    async def make_configured(self, **request: Any) -> Order:
        whole_request = ccv_request("sales_package", "psp_standalone", "terminal_package", **request)
        outcome = await self.ccv.perform(call_for(self.ccv, "configure_order", order_of(self.ccv, whole_request)), LINKS)
        assert isinstance(outcome, Succeeded)
        return order_of(self.ccv, whole_request, **outcome.data)

    async def make_submitted(self, **request: Any) -> Order:
        order = await self.make_configured(**request)
        outcome = await self.ccv.perform(call_for(self.ccv, "submit_order", order), LINKS)
        assert isinstance(outcome, Succeeded)
        return order_of(self.ccv, ccv_request(**request), provider_id=outcome.provider_id)


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    async with ccv_sim() as sim, serve(sim.asgi) as base:
        sim.script(None)  # every order stays in Processing
        ccv = ccv_at(base)
        yield Setup(sim, base, ccv)
        await ccv.close()


# ── without a fault ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_configures_every_product_and_passes_the_order_along(setup: Setup) -> None:
    order = order_of(setup.ccv, ccv_request("sales_package", "psp_standalone", "terminal_package"))
    outcome = await setup.ccv.perform(call_for(setup.ccv, "configure_order", order), LINKS)
    assert isinstance(outcome, Succeeded)
    assert outcome.event == "order_configured"
    assert [row.path.rsplit("/", 1)[1] for row in setup.sim.journal.rows] == [
        "startorder",
        "addSalesPackage",
        "addProductPSPStandalone",
        "addTerminalPackage",
    ]
    assert outcome.answer is not None
    assert json.loads(outcome.answer.body) == outcome.data["order"]  # of the last call
    packages = outcome.data["order"]["shoppingCart"]["salesPackages"]  # type: ignore[index]
    assert [package["packageName"] for package in packages] == ["Online Payments", "Smart"]


async def test_the_moment_of_sending_is_marked_just_before_the_request(setup: Setup) -> None:
    whole_request = ccv_request("sales_package", "psp_standalone", "terminal_package")
    draft, configured = order_of(setup.ccv, whole_request), await setup.make_configured()
    for effect, order, request in (("configure_order", draft, PATCHES["startorder"]), ("submit_order", configured, SUBMIT)):
        count = partial(setup.sim.journal.count_received, request)
        assert isinstance(await check_moment_of_sending(setup.ccv, call_for(setup.ccv, effect, order), LINKS, count), Succeeded)


@pytest.mark.parametrize("shape", ["orderId", "id", "reference", "bare", "location"])
async def test_submits_once_and_finds_the_id_in_every_place(setup: Setup, shape: str) -> None:
    setup.sim.id_shape = shape  # type: ignore[assignment]
    order = await setup.make_configured()
    outcome = await setup.ccv.perform(call_for(setup.ccv, "submit_order", order), LINKS)
    assert isinstance(outcome, Succeeded)
    (submitted,) = setup.sim.orders
    assert (outcome.event, outcome.provider_id) == ("order_submitted", submitted.id)
    assert submitted.external_reference == order.id
    assert setup.sim.journal.count_executed(SUBMIT) == 1


async def test_the_id_is_taken_from_the_fields_that_are_configured_and_from_no_other(setup: Setup) -> None:
    order = await setup.make_configured()
    ccv = ccv_at(setup.base, id_names=["orderReference", "number"])
    outcomes = []
    for body in (b'{"orderReference": "A1", "number": 7}', b'{"number": 7}', b'{"orderId": "O"}'):
        setup.sim.faults.arm(Fault(SUBMIT, "status-after-commit", status=201, body=body))
        outcomes.append(await ccv.perform(call_for(ccv, "submit_order", order), LINKS))
    await ccv.close()
    named = [Succeeded("order_submitted", provider_id=provider_id) for provider_id in ("A1", "7")]
    assert outcomes == [*named, InDoubt("201 with an unusable body: no order id: none of orderReference, number, no bare id, no Location")]


PAGE, STATES = "https://checkout.ccv.example/A1", ("Processing", "Completed", "Canceled")


@pytest.mark.parametrize(
    ("named", "kept"),
    [(PAGE, PAGE), ("javascript:alert(1)", None), ("/A1", None), ("https://x\r\ny", None), ("https://" + "x" * 2000, None), (7, None)],
    ids=["a page", "a script", "a path", "two lines", "too long", "a number"],
)
async def test_the_checkout_page_that_an_answer_names_is_where_the_customer_goes(setup: Setup, named: object, kept: str | None) -> None:
    order = await setup.make_configured()
    body = json.dumps({"orderId": "A1", "checkoutUrl": named}).encode()
    setup.sim.faults.arm(Fault(SUBMIT, "status-after-commit", status=201, body=body))
    outcome = await setup.ccv.perform(call_for(setup.ccv, "submit_order", order), LINKS)
    assert isinstance(outcome, Succeeded)
    assert outcome == Succeeded("order_submitted", {} if kept is None else {"checkout_url": kept}, "A1")
    data = {**order.snapshot.data, **outcome.data}
    urls = {
        state: setup.ccv.customer_url(evolve(order, snapshot=Snapshot(state, order.snapshot.facts, data, 4)), LINKS) for state in STATES
    }
    assert urls == {"Processing": kept, "Completed": None, "Canceled": None}


async def test_a_submit_answer_without_an_id_is_in_doubt(setup: Setup) -> None:
    setup.sim.id_shape = "missing"
    outcome = await setup.ccv.perform(call_for(setup.ccv, "submit_order", await setup.make_configured()), LINKS)
    assert isinstance(outcome, InDoubt)
    assert outcome.answer is not None
    assert setup.sim.journal.count_executed(SUBMIT) == 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "https://us.example/orders/ccv/notification/k1."),
        ({"notifications": "shared"}, "https://us.example/orders/ccv/notifications"),
        ({"notifications": "off"}, None),
    ],
)
async def test_sends_our_notification_url_and_asks_for_all_statuses(settings: dict[str, Any], expected: str | None) -> None:
    async with ccv_sim() as sim, serve(sim.asgi) as base:
        setup = Setup(sim, base, ccv_at(base, **settings))
        await setup.make_submitted()
        await setup.ccv.close()
    notification = sim.orders[0].submitted.status_notification_information
    if expected is None:
        assert notification is None
    else:
        assert notification is not None
        assert str(notification.notification_url).startswith(expected)
        assert len(notification.notify_on_status) == 12


async def test_a_public_url_that_ccv_would_not_call_is_not_sent() -> None:
    async with ccv_sim(allow_http_notifications=False) as sim, serve(sim.asgi) as base:
        ccv = ccv_at(base, allow_http=False)
        setup = Setup(sim, base, ccv)
        outcome = await ccv.perform(
            call_for(ccv, "submit_order", await setup.make_configured()), SignedUrls("http://us.example", LINK_KEYS)
        )
        await ccv.close()
    assert isinstance(outcome, Succeeded)
    assert sim.orders[0].submitted.status_notification_information is None


async def test_polls_the_status_and_recognises_a_foreign_order(setup: Setup) -> None:
    order = await setup.make_submitted()
    poll = await setup.ccv.fetch_status(order)
    assert poll == StatusRead("Processing")
    assert poll.answer is not None
    assert json.loads(poll.answer.body)["orderStatus"] == "Processing"
    foreign = order_of(setup.ccv, ccv_request(external_reference="mine"), provider_id=order.provider_id)
    assert await setup.ccv.fetch_status(foreign) == StatusRead("Processing", mismatch="externalReference")


@pytest.mark.parametrize(
    ("shown", "mismatch"),
    [
        (123456, ""),
        (123456.0, ""),
        ("123456", ""),
        (None, ""),
        ("", ""),
        ({"ref": 1}, ""),
        (654321, "externalReference"),
        (0, "externalReference"),
    ],
    ids=repr,
)
async def test_a_reference_is_compared_as_text_where_it_can_be_read(setup: Setup, shown: object, mismatch: str) -> None:
    order = order_of(setup.ccv, ccv_request(external_reference="123456"), provider_id="1")
    body = json.dumps({"orderStatus": "Processing", "externalReference": shown, "somethingNew": {}}).encode()
    setup.sim.faults.arm(Fault(STATUS, "garbage", body=body))
    assert await setup.ccv.fetch_status(order) == StatusRead("Processing", mismatch=mismatch)


@pytest.mark.parametrize(
    "odd", [b'"contact": "K\xe5re"', b'"price": NaN', b'"externalReference": "12\xff"', b'"externalReference": " mine "']
)
async def test_what_is_no_json_in_a_field_that_is_not_needed_stops_no_proof(setup: Setup, odd: bytes) -> None:
    order = order_of(setup.ccv, ccv_request(external_reference="mine"), provider_id="1")
    headers = {"Content-Type": "text/html; charset=utf-8"}  # nor does a wrong content type
    body = b'{"orderStatus": "Processing", %b}' % odd
    setup.sim.faults.arm(Fault(STATUS, "status-after-commit", status=200, body=body, headers=headers))
    assert await setup.ccv.fetch_status(order) == StatusRead("Processing")


@pytest.mark.parametrize("odd", [b'"contact": "K\xe5re"', b'"price": NaN'])
async def test_the_order_that_is_passed_along_must_be_exact(setup: Setup, odd: bytes) -> None:
    setup.sim.faults.arm(Fault("PATCH", "garbage", body=b'{"orderLines": [], %b}' % odd))
    order = order_of(setup.ccv, ccv_request("sales_package"))
    assert isinstance(await setup.ccv.perform(call_for(setup.ccv, "configure_order", order), LINKS), InDoubt)


@pytest.mark.parametrize("provider_id", ["no-such", "../order", "a b/c?d=e#f", "ø" * 50])
async def test_a_poll_of_an_order_that_ccv_does_not_know_fails(setup: Setup, provider_id: str) -> None:
    assert isinstance(await setup.ccv.fetch_status(order_of(setup.ccv, ccv_request(), provider_id=provider_id)), ReadFailed)


# ── every fault ────────────────────────────────────────────────────────────────────────────────────────────────────────


UNDOCUMENTED = ("404", "405", "409")
"""4xx codes that CCV's pages do not list for a call: an answer with one is not CCV's no."""


def _documented_wait(case: FaultCase) -> float | None:
    """CCV's pages know no header of a quota."""
    return None if "X_RateLimit_Reset" in case.name else case.retry_after


def _check(outcome: Outcome, case: FaultCase) -> None:
    assert type(outcome) is (NotExecuted if case.name in UNDOCUMENTED else case.outcome)
    if isinstance(outcome, NotExecuted):
        assert outcome.retry_after == _documented_wait(case)
    case.assert_answer_kept(outcome)
    assert_no_canary(outcome)


@pytest.mark.parametrize("call", PATCHES)
@pytest.mark.parametrize("case", [case for case in FAULT_CASES if case.name != "nulls"], **by_name)
async def test_a_fault_while_configuring(setup: Setup, call: str, case: FaultCase) -> None:
    setup.sim.faults.arm(case.at(PATCHES[call]))
    order = order_of(setup.ccv, ccv_request("sales_package", "psp_standalone", "terminal_package"))
    _check(await setup.ccv.perform(call_for(setup.ccv, "configure_order", order), LINKS), case)
    assert setup.sim.journal.count_received(PATCHES[call]) == 1
    assert setup.sim.journal.count_executed(PATCHES[call]) == case.executed
    assert setup.sim.journal.count_received(SUBMIT) == 0


@pytest.mark.parametrize("case", FAULT_CASES, **by_name)
async def test_a_fault_while_submitting(setup: Setup, case: FaultCase) -> None:
    order = await setup.make_configured()
    setup.sim.faults.arm(case.at(SUBMIT))
    _check(await setup.ccv.perform(call_for(setup.ccv, "submit_order", order), LINKS), case)
    assert setup.sim.journal.count_received(SUBMIT) == 1
    assert setup.sim.journal.count_executed(SUBMIT) == len(setup.sim.orders) == case.executed


@pytest.mark.parametrize("case", FAULT_CASES, **by_name)
async def test_a_fault_while_polling(setup: Setup, case: FaultCase) -> None:
    order = await setup.make_submitted()
    setup.sim.faults.arm(case.at(STATUS))
    poll = await setup.ccv.fetch_status(order)
    assert isinstance(poll, ReadFailed)
    assert poll.retry_after == _documented_wait(case)
    case.assert_answer_kept(poll)
    assert_no_canary(poll)


@pytest.mark.parametrize(("effect", "match"), [("configure_order", "PATCH"), ("submit_order", SUBMIT)])
async def test_a_response_that_does_not_come_in_time_is_in_doubt(setup: Setup, effect: str, match: str) -> None:
    order = await setup.make_configured()
    impatient = ccv_at(setup.base, timeout=0.3)
    setup.sim.faults.arm(Fault(match, "delay", seconds=30.0))
    outcome = await impatient.perform(call_for(impatient, effect, order), LINKS)
    await impatient.close()
    assert outcome == InDoubt("sent, no usable answer: ReadTimeout")


@pytest.mark.parametrize("effect", ["configure_order", "submit_order"])
async def test_a_call_to_an_unreachable_ccv_is_not_executed(setup: Setup, effect: str) -> None:
    order = await setup.make_configured()
    async with serve(setup.sim.asgi) as closed:
        ccv = ccv_at(closed)
    outcome, poll = (
        await ccv.perform(call_for(ccv, effect, order), LINKS),
        await ccv.fetch_status(order_of(ccv, ccv_request(), provider_id="1")),
    )
    await ccv.close()
    assert outcome == NotExecuted("never sent: ConnectError", signal=Signal.UNREACHABLE)
    assert poll == ReadFailed("ConnectError", signal=Signal.UNREACHABLE)


@pytest.mark.parametrize("status", range(400, 452))
@pytest.mark.parametrize("body", [b"", b'{"message": "no route matched"}', b"<html>no route</html>"], ids=["empty", "json", "page"])
async def test_only_a_documented_code_is_ccvs_no_and_never_with_a_page(setup: Setup, status: int, body: bytes) -> None:
    order = await setup.make_configured()
    for effect, match in (("submit_order", SUBMIT), ("configure_order", "PATCH")):
        setup.sim.faults.arm(Fault(match, "status", status=status, body=body))
        outcome = await setup.ccv.perform(call_for(setup.ccv, effect, order), LINKS)
        is_no = status in (400, 403) and b"<html>" not in body
        assert isinstance(outcome, Rejected) == is_no, (effect, outcome)
        assert is_no or isinstance(outcome, InDoubt if status == 408 else NotExecuted)


@pytest.mark.parametrize(("headers", "wait"), [({"Retry-After": "7"}, 7.0), ({"X-RateLimit-Reset": "7"}, None)])
async def test_of_the_headers_of_a_429_only_retry_after_counts(setup: Setup, headers: dict[str, str], wait: float | None) -> None:
    order = await setup.make_submitted()
    setup.sim.faults.arm(Fault(STATUS, "status", status=429, headers=headers))
    assert await setup.ccv.fetch_status(order) == ReadFailed("429 from the provider", wait, Signal.THROTTLED)


async def test_a_forbidden_key_is_rejected_and_a_wrong_one_not_executed(setup: Setup) -> None:
    order = await setup.make_configured()
    setup.sim.forbidden_keys = frozenset({"forbidden"})
    for key, expected in (("wrong", NotExecuted), ("forbidden", Rejected)):
        ccv = ccv_at(setup.base, api_key=key)
        assert type(await ccv.perform(call_for(ccv, "submit_order", order), LINKS)) is expected
        await ccv.close()
    assert setup.sim.orders == ()


def test_no_repr_shows_key_or_customer() -> None:
    ccv = ccv_at(SHOP)
    assert_no_canary(ccv, order_of(ccv, ccv_request(), order={"email": CCV_KEY}))
