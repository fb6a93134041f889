"""Connect's adapter over a socket: the outcome of every response, and of every way in which a response can be missing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import define, evolve, frozen
from tests.kit.calls import call_for, check_moment_of_sending
from tests.kit.provider_answers import FAULT_CASES, QUOTING_BODY, FaultCase, assert_no_canary
from tests.kit.world import EMAIL, LINK_KEYS, PHONE, Users, connect_at, connect_request, connect_sim, order_of

from orderflow._lifecycle.observe import observe
from orderflow._provider.outcomes import InDoubt, NoResult, NotExecuted, Outcome, ReadFailed, Rejected, Signal, StatusRead, Succeeded
from orderflow._providers.connect import Connect
from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow._providers.connect.simulator import ConnectSimulator
from orderflow._receiver.signed_urls import SignedUrls
from orderflow.model import Observation, Order, Reason, Refused, Snapshot
from orderflow.simulators import Fault, serve

pytestmark = pytest.mark.anyio

LINKS = SignedUrls("https://us.example/orders", LINK_KEYS)
STATUS = "GET /capi/v1/client/order/status/"
by_name = {"ids": lambda row: row.name}


@frozen
class Call:
    """An effect, the request it sends, and the order that it is carried out for."""

    name: str
    effect: str
    match: str
    success: str
    method: str = "invoice"
    user_mode: bool = False
    registered: bool = True
    paid: bool = False


CALLS = (
    Call("register-client", "register_order", "POST /capi/v1/client/order", "order_registered", registered=False),
    Call("register-user", "register_order", "POST /capi/v1/order", "order_registered", user_mode=True, registered=False),
    Call("fulfill-sms", "fulfill_by_sms", "POST /capi/v1/client/order/fulfillment", "fulfillment_accepted", method="sms"),
    Call("fulfill-api", "fulfill_order", "POST /capi/v1/client/order/fulfillment", "fulfillment_accepted"),
    Call("assign", "assign_to_user", "POST /capi/v1/client/order/14/user", "assigned", paid=True),
    Call("search", "search_order", "POST /capi/v1/order/status", "registration_found", user_mode=True),
)


@define
class Setup:
    """A simulator, and the provider against it."""

    sim: ConnectSimulator
    base: str
    connect: Connect
    users: Users

    async def make_order(self, call: Call) -> Order:
        """The order as it is when the effect is owed."""
        request = connect_request(call.method, user_mode=call.user_mode)
        self.users.now = self.sim.issue_user_token()
        drafted = order_of(self.connect, request, assignment={"credential": EMAIL, "isSendMessage": False})
        if not call.registered:
            return drafted
        outcome = await self.connect.perform(call_for(self.connect, "register_order", drafted), LINKS)
        assert isinstance(outcome, Succeeded)
        if call.paid:
            self.sim.pay(str(outcome.provider_id))
        data = {**drafted.snapshot.data, "provider_id": outcome.provider_id}
        return evolve(drafted, snapshot=evolve(drafted.snapshot, data=data))

    def count(self, call: Call) -> tuple[int, int]:
        """How often the request was received and executed. Longer paths do not count."""
        rows = [row for row in self.sim.journal.rows if f"{row.method} {row.path}" == call.match]
        return len(rows), sum(row.executed for row in rows)


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    users = Users()
    async with connect_sim() as sim, serve(sim.asgi) as base:
        connect = connect_at(base, tokens=users)
        yield Setup(sim, base, connect, users)
        await connect.close()


def exact_pattern(call: Call) -> str:
    """A pattern that matches this path and no longer one."""
    return call.match.replace("/14/", "/[1]4/") if "/14/" in call.match else f"{call.match[:-1]}[{call.match[-1]}]"


# ── without a fault ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("call", CALLS, **by_name)
async def test_an_effect_succeeds_once_and_shows_no_secret(setup: Setup, call: Call) -> None:
    order = await setup.make_order(call)
    outcome = await setup.connect.perform(call_for(setup.connect, call.effect, order), LINKS)
    assert isinstance(outcome, Succeeded), outcome
    assert outcome.event == call.success
    assert outcome.provider_id in ("14", None)
    assert setup.count(call) == (1, 1)
    assert_no_canary(outcome, setup.connect, order)


@pytest.mark.parametrize("call", CALLS, **by_name)
async def test_the_moment_of_sending_is_marked_just_before_the_request(setup: Setup, call: Call) -> None:
    order = await setup.make_order(call)
    made = call_for(setup.connect, call.effect, order)
    outcome = await check_moment_of_sending(setup.connect, made, LINKS, lambda: setup.count(call)[0])
    assert isinstance(outcome, Succeeded), outcome


async def test_a_call_is_marked_before_each_of_its_requests_and_not_without_a_token(setup: Setup) -> None:
    call, marks = CALLS[0], list[int]()

    async def mark() -> None:
        marks.append(setup.count(call)[0])

    made = evolve(call_for(setup.connect, call.effect, await setup.make_order(call)), mark=mark)
    setup.sim.faults.arm(Fault(exact_pattern(call), "status", status=401))
    assert isinstance(await setup.connect.perform(made, LINKS), Succeeded)
    assert marks == [0, 1]  # the second with a fresh token
    setup.sim.faults.arm(Fault("POST /user/oauth/token", "status", status=500, times=None))
    without_token = connect_at(setup.base)
    assert isinstance(await without_token.perform(made, LINKS), NotExecuted)
    await without_token.close()
    assert len(marks) == 2


async def test_registers_under_our_own_id_or_the_callers(setup: Setup) -> None:
    await setup.connect.perform(call_for(setup.connect, "register_order", order := order_of(setup.connect, connect_request())), LINKS)
    await setup.connect.perform(
        call_for(setup.connect, "register_order", order_of(setup.connect, connect_request(external_id="cart-17"))), LINKS
    )
    assert [registered.external_order_id for registered in setup.sim.orders] == [order.id, "cart-17"]


async def test_sends_a_callback_url_only_for_sms(setup: Setup) -> None:
    for call in CALLS[2:4]:
        await setup.connect.perform(call_for(setup.connect, call.effect, await setup.make_order(call)), LINKS)
    bodies = [json.loads(row.body) for row in setup.sim.journal.rows if row.path.endswith("/fulfillment")]
    assert [urlsplit(body.get("callbackUrl", "")).path.rsplit("/", 1)[0] for body in bodies] == ["/orders/connect/callback", ""]


async def test_the_customer_url_is_always_the_same_and_brings_the_browser_back_to_us(setup: Setup) -> None:
    order = await setup.make_order(CALLS[0])
    order = evolve(order, snapshot=evolve(order.snapshot, facts={**order.snapshot.facts, "way": "url"}))
    assert setup.connect.customer_url(order, LINKS) is None  # not registered yet
    order = evolve(order, snapshot=evolve(order.snapshot, data={**order.snapshot.data, "provider_id": "14"}, state="fulfilling"))
    url = setup.connect.customer_url(order, LINKS)
    for state in ConnectLifecycle.table.states:  # nothing to pay, or not any more
        for window in ("open", "closed"):
            snapshot = evolve(order.snapshot, state=state, facts={**order.snapshot.facts, "window": window})
            payable = state in ("fulfilling", "confirming") or (state in ("cancelled", "error", "unknown") and window == "open")
            assert setup.connect.customer_url(evolve(order, snapshot=snapshot), LINKS) == (url if payable else None), (state, window)
    assert url == setup.connect.customer_url(order, LINKS)
    assert url is not None
    assert url.startswith(f"{setup.base}/user/fulfillment?")
    query = parse_qs(urlsplit(url).query)
    assert query["orderId"] == ["14"]
    assert query["returnUrl"] == [LINKS.url("connect", "return", order.id)]
    assert query["errorUrl"] == [LINKS.url("connect", "error", order.id)]
    assert setup.connect.customer_url(order, SignedUrls(None, {})) is None


# ── every fault of every effect ────────────────────────────────────────────────────────────────────────────────────────


def _check(outcome: Outcome, case: FaultCase) -> None:
    assert type(outcome) is case.outcome, outcome
    if isinstance(outcome, NotExecuted):
        assert outcome.retry_after == case.retry_after
    case.assert_answer_kept(outcome)
    assert_no_canary(outcome)


@pytest.mark.parametrize("call", CALLS, **by_name)
@pytest.mark.parametrize("case", FAULT_CASES, **by_name)
async def test_a_fault_of_an_effect(setup: Setup, call: Call, case: FaultCase) -> None:
    order = await setup.make_order(call)
    setup.sim.faults.arm(case.at(exact_pattern(call)))
    _check(await setup.connect.perform(call_for(setup.connect, call.effect, order), LINKS), case)
    refreshed = case.name in ("401", "not-gzip-401") and not call.user_mode
    assert setup.count(call) == (2 if refreshed else 1, case.executed)


@pytest.mark.parametrize("call", CALLS, **by_name)
async def test_a_response_that_does_not_come_in_time_is_in_doubt(setup: Setup, call: Call) -> None:
    order = await setup.make_order(call)
    impatient = connect_at(setup.base, tokens=setup.users, timeout=0.3)
    setup.sim.faults.arm(Fault(exact_pattern(call), "delay", seconds=30.0))
    outcome = await impatient.perform(call_for(impatient, call.effect, order), LINKS)
    await impatient.close()
    assert outcome == InDoubt("sent, no usable answer: ReadTimeout")


@pytest.mark.parametrize("call", CALLS, **by_name)
async def test_a_call_to_an_unreachable_connect_is_not_executed(setup: Setup, call: Call) -> None:
    order = await setup.make_order(call)
    async with serve(setup.sim.asgi) as closed:
        connect = Connect(closed + "/capi", setup.base + "/user", "client-of-tests", "connect-secret-canary", tokens=setup.users)
    outcome = await connect.perform(call_for(connect, call.effect, order), LINKS)
    poll = await connect.fetch_status(evolve(order, snapshot=evolve(order.snapshot, data={**order.snapshot.data, "provider_id": "14"})))
    await connect.close()
    assert outcome == NotExecuted("never sent: ConnectError", signal=Signal.UNREACHABLE)
    assert poll == ReadFailed("ConnectError", signal=Signal.UNREACHABLE)
    assert setup.count(call) == (0, 0)


@pytest.mark.parametrize("call", [call for call in CALLS if not call.user_mode], **by_name)
async def test_a_401_is_followed_by_one_call_with_a_fresh_token(setup: Setup, call: Call) -> None:
    order = await setup.make_order(call)
    setup.sim.expire_tokens()
    outcome = await setup.connect.perform(call_for(setup.connect, call.effect, order), LINKS)
    assert isinstance(outcome, Succeeded)
    assert setup.count(call)[1] == 1


@pytest.mark.parametrize("call", [call for call in CALLS if call.user_mode], **by_name)
async def test_an_expired_token_of_a_user_is_not_refreshed(setup: Setup, call: Call) -> None:
    order = await setup.make_order(call)
    setup.sim.expire_tokens()
    outcome = await setup.connect.perform(call_for(setup.connect, call.effect, order), LINKS)
    assert outcome == NotExecuted("401 from the provider")
    assert outcome.answer is not None
    assert outcome.answer.status == 401
    assert setup.count(call) == (1, 0)


@pytest.mark.parametrize("call", [call for call in CALLS if call.user_mode], **by_name)
@pytest.mark.parametrize(("token", "gone"), [(None, True), ("", True), ("canary\nx", False), ("canaré", False)])
async def test_without_a_users_usable_token_nothing_is_sent(setup: Setup, call: Call, token: str | None, gone: bool) -> None:
    order = await setup.make_order(call)
    setup.users.now = token
    outcome = await setup.connect.perform(call_for(setup.connect, call.effect, order), LINKS)
    assert isinstance(outcome, NotExecuted)
    assert outcome == NotExecuted(outcome.why, signal=Signal.NOT_CALLED, permanent=gone)  # it shows nothing about the provider
    assert "canar" not in repr(outcome)
    assert setup.count(call) == (0, 0)


async def test_when_the_token_source_raises_nothing_is_sent(setup: Setup) -> None:
    class Broken:
        async def token(self, order_id: str) -> str | None:
            raise RuntimeError("canary: session store is down")

    order = await setup.make_order(CALLS[1])
    connect = connect_at(setup.base, tokens=Broken())
    outcome = await connect.perform(call_for(connect, "register_order", order), LINKS)
    await connect.close()
    assert outcome == NotExecuted("the application's TokenSource raised RuntimeError", signal=Signal.NOT_CALLED)


# ── fulfillmentStatus and other fields of the body ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("call", CALLS[2:4], **by_name)
async def test_a_200_with_error_is_rejected_and_its_text_is_in_the_answer_alone(setup: Setup, call: Call) -> None:
    order = await setup.make_order(call)
    setup.sim.script(order.id, api_answer="ERROR", api_message=f"{PHONE} is not a phone number")
    outcome = await setup.connect.perform(call_for(setup.connect, call.effect, order), LINKS)
    assert outcome == Rejected("200 with fulfillmentStatus ERROR")
    assert outcome.answer is not None
    assert json.loads(outcome.answer.body)["errorMessage"] == f"{PHONE} is not a phone number"


@pytest.mark.parametrize("status", ["ok", "OKAY", "", "success", 1, None])
async def test_a_status_that_is_neither_ok_nor_error_is_in_doubt(setup: Setup, status: object) -> None:
    order = await setup.make_order(CALLS[2])
    body = json.dumps({"fulfillmentStatus": status, "orderId": 14}).encode()
    setup.sim.faults.arm(Fault(CALLS[2].match, "garbage", body=body))
    assert isinstance(await setup.connect.perform(call_for(setup.connect, "fulfill_by_sms", order), LINKS), InDoubt)


async def test_a_response_about_another_order_carries_its_id(setup: Setup) -> None:
    order = await setup.make_order(CALLS[2])
    setup.sim.faults.arm(Fault(CALLS[2].match, "garbage", body=b'{"fulfillmentStatus": "OK", "orderId": 15}'))
    outcome = await setup.connect.perform(call_for(setup.connect, "fulfill_by_sms", order), LINKS)
    assert outcome == Succeeded("fulfillment_accepted", provider_id="15")  # the inbox refuses it: tests/integration


@pytest.mark.parametrize(
    ("exception_type", "kept"),
    [("no.unite.OrderException", " (no.unite.OrderException)"), (PHONE, ""), ("4790012345", ""), (EMAIL, ""), ("x" * 500, ""), (7, "")],
)
async def test_of_a_400_only_a_class_name_is_in_the_note(setup: Setup, exception_type: object, kept: str) -> None:
    body = json.dumps({**QUOTING_BODY, "exceptionType": exception_type}).encode()
    setup.sim.faults.arm(Fault(CALLS[0].match, "status", status=400, body=body))
    outcome = await setup.connect.perform(call_for(setup.connect, "register_order", await setup.make_order(CALLS[0])), LINKS)
    assert outcome == Rejected(f"400 from the provider{kept}")
    assert outcome.answer is not None
    assert outcome.answer.body == body


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (b'{"exceptionType": "a.B", "errorMessage": "no"}', True),
        (b'{"errorMessage": "K\xe5re"}', True),
        (b'{"errorMessage": {"text": "no"}}', True),
        (b'{"exceptionType": null, "errorMessage": null}', False),
        (b'{"message": "blocked by a firewall"}', False),
        (b'["errorMessage"]', False),
        (b"{}", False),
        (b"", False),
        (b"Bad Request", False),
    ],
)
@pytest.mark.parametrize("status", [400, 403, 409])
async def test_only_connects_own_form_of_an_error_is_its_no(setup: Setup, status: int, body: bytes, refused: bool) -> None:
    setup.sim.faults.arm(Fault(CALLS[0].match, "status", status=status, body=body))
    outcome = await setup.connect.perform(call_for(setup.connect, "register_order", await setup.make_order(CALLS[0])), LINKS)
    if refused or (status == 400 and not body):  # the code is documented, the form of its body is not
        assert isinstance(outcome, Rejected)
    else:
        assert outcome == NotExecuted(f"{status} from another server", signal=Signal.FOREIGN)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"X-RateLimit-Reset": "7"}, 7.0),
        ({"X-RateLimit-Reset": "7", "Retry-After": "1.5"}, 1.5),
        ({"X-RateLimit-Reset": "1795993688"}, None),
        ({"X-RateLimit-Reset": "9" * 5000}, None),
        ({"X-RateLimit-Reset": "-1"}, None),
    ],
)
async def test_the_reset_of_the_quota_is_in_seconds(setup: Setup, headers: dict[str, str], wait: float | None) -> None:
    order = await setup.make_order(CALLS[3])
    for match in (CALLS[3].match, STATUS):
        setup.sim.faults.arm(Fault(match, "status", status=429, headers=headers))
    outcome = await setup.connect.perform(call_for(setup.connect, "fulfill_order", order), LINKS)
    assert outcome == NotExecuted("429 from the provider", wait, Signal.THROTTLED)
    assert await setup.connect.fetch_status(order) == ReadFailed("429 from the provider", wait, Signal.THROTTLED)


# ── search ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("hits", "expected"), [(0, NoResult), (1, Succeeded), (2, Rejected)])
async def test_a_search_succeeds_with_one_hit_and_no_more(setup: Setup, hits: int, expected: type) -> None:
    call = evolve(CALLS[5], registered=False)
    order = await setup.make_order(call)
    for _ in range(hits):
        await setup.connect.perform(call_for(setup.connect, "register_order", order), LINKS)
    outcome = await setup.connect.perform(call_for(setup.connect, "search_order", order), LINKS)
    assert type(outcome) is expected
    assert outcome.answer is not None
    assert len(json.loads(outcome.answer.body)["orders"]) == hits
    if isinstance(outcome, Succeeded):
        assert (outcome.event, outcome.provider_id) == ("registration_found", "14")


OURS = {"orderId": 77, "externalOrderId": "connect-0", "orderAmount": 295.0}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{**OURS, "externalOrderId": "somebody-else"}], NoResult("no order has our externalOrderId")),
        ([OURS, {**OURS, "orderId": 78, "externalOrderId": "somebody-else"}], Succeeded("registration_found", provider_id="77")),
        ([OURS, {**OURS, "orderId": "077"}], Succeeded("registration_found", provider_id="77")),
        ([{**OURS, "externalOrderId": None, "orderAmount": ""}], Succeeded("registration_found", provider_id="77")),
        ([OURS, {**OURS, "orderId": 78}], Rejected("2 orders have our externalOrderId; a person must choose")),
        ([OURS, {**OURS, "orderId": 78, "orderAmount": 1}], Rejected("2 orders have our externalOrderId; a person must choose")),
        ([{**OURS, "orderAmount": 1}], Rejected("the order with our externalOrderId has another orderAmount; a person must decide")),
    ],
)
async def test_a_search_takes_only_the_order_that_we_registered(setup: Setup, rows: list[dict[str, object]], expected: Outcome) -> None:
    order = await setup.make_order(evolve(CALLS[5], registered=False))
    setup.sim.faults.arm(Fault(CALLS[5].match, "garbage", body=json.dumps({"orders": rows}).encode()))
    assert await setup.connect.perform(call_for(setup.connect, "search_order", order), LINKS) == expected


# ── polls ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _row(**changes: Any) -> bytes:
    row = {"orderId": 14, "externalOrderId": "connect-0", "orderStatus": "fulfilled", "orderAmount": 295.0, **changes}
    return json.dumps({"orders": [row]}).encode()


async def test_polls_the_status_and_recognises_the_configured_literal(setup: Setup) -> None:
    order = await setup.make_order(CALLS[3])
    poll = await setup.connect.fetch_status(order)
    customer = {"customer_number": 500014}
    assert poll == StatusRead("preliminary", customer)
    assert poll.answer is not None
    assert json.loads(poll.answer.body)["orders"][0]["orderStatus"] == "preliminary"
    setup.sim.pay("14")
    assert await setup.connect.fetch_status(order) == StatusRead("fulfilled", customer)


@pytest.mark.parametrize("case", FAULT_CASES, **by_name)
async def test_a_fault_of_a_poll(setup: Setup, case: FaultCase) -> None:
    order = await setup.make_order(CALLS[3])
    setup.sim.faults.arm(case.at(STATUS))
    poll = await setup.connect.fetch_status(order)
    assert isinstance(poll, ReadFailed)
    assert poll.retry_after == case.retry_after
    case.assert_answer_kept(poll)
    assert_no_canary(poll)


@pytest.mark.parametrize(
    ("literals", "order_status", "proven"),
    [
        ((), "fulfilled", False),
        (("Completed",), "fulfilled", False),
        (("Completed",), "Completed", True),
        (("Completed", "done"), "done", True),
        (("fulfilled",), "fulfilled", True),
        (("fulfilled",), "FULFILLED", False),
        (("fulfilled",), " fulfilled", False),
    ],
)
async def test_only_a_configured_literal_proves_fulfilment(
    setup: Setup, literals: tuple[str, ...], order_status: str, proven: bool
) -> None:
    order = await setup.make_order(CALLS[3])
    connect = connect_at(setup.base, fulfilled_literals=literals)
    setup.sim.faults.arm(Fault(STATUS, "garbage", body=_row(orderStatus=order_status)))
    poll = await connect.fetch_status(order)
    await connect.close()
    assert isinstance(poll, StatusRead)
    at = Snapshot("confirming", {**order.snapshot.facts, "way": "api"}, {}, 3)
    decision = observe(connect.table, at, Observation(poll.status, 3, poll.data, poll.mismatch))
    if proven:
        assert decision.snapshot.state == "fulfilled"  # type: ignore[union-attr]
    else:
        assert isinstance(decision, Refused)
        assert decision.reason is Reason.UNKNOWN_STATUS


def test_without_literals_there_is_a_warning_at_start_up() -> None:
    assert connect_at("https://connect.example", fulfilled_literals=()).warnings
    assert not connect_at("https://connect.example").warnings


@pytest.mark.parametrize(
    ("changes", "mismatch"),
    [
        ({}, ""),
        ({"orderAmount": "295.00"}, ""),
        ({"orderAmount": None}, ""),
        ({"orderAmount": 0.0}, "orderAmount"),
        ({"orderAmount": ""}, ""),
        ({"externalOrderId": None}, ""),
        ({"externalOrderId": ""}, ""),
        ({"orderId": "14"}, ""),
        ({"orderId": 15}, "orderId"),
        ({"externalOrderId": "another"}, "externalOrderId"),
        ({"orderAmount": 294.99}, "orderAmount"),
        ({"orderAmount": "a lot"}, ""),
        ({"orderAmount": "NaN"}, ""),
        ({"orderAmount": "sNaN"}, ""),
        ({"orderAmount": "Infinity"}, ""),
        ({"orderAmount": 294.99999999999994}, ""),
        ({"orderAmount": "1e999999"}, "orderAmount"),
        ({"orderAmount": {"amount": 295}}, ""),
        ({"orderAmount": "295,00"}, ""),
        ({"orderAmount": "295.00 NOK"}, ""),
        ({"orderAmount": "1 295.00"}, ""),
        ({"orderAmount": "294.00"}, "orderAmount"),
        ({"orderId": 14.0}, ""),
        ({"externalOrderId": " connect-0 "}, ""),
        ({"orderTime": float("nan")}, ""),
        ({"externalOrderId": 2342}, "externalOrderId"),
        ({"externalOrderId": ["connect-0"]}, ""),
        ({"orderTime": "2026-01-01T10:00:00Z"}, ""),
        ({"orderTime": 1559372400000.0}, ""),
        ({"customerNumber": {"id": 7}, "orderLines": "none", "somethingNew": [None]}, ""),
        ({"orderLines": [{"productId": []}]}, ""),
    ],
)
async def test_a_poll_that_shows_another_order_names_the_field(setup: Setup, changes: dict[str, Any], mismatch: str) -> None:
    order = await setup.make_order(CALLS[3])
    setup.sim.faults.arm(Fault(STATUS, "garbage", body=_row(**changes)))
    assert await setup.connect.fetch_status(order) == StatusRead("fulfilled", mismatch=mismatch)


@pytest.mark.parametrize("written", [563457, "563457"], ids=repr)
async def test_a_poll_brings_the_customer_number(setup: Setup, written: object) -> None:
    order = await setup.make_order(CALLS[3])
    setup.sim.faults.arm(Fault(STATUS, "garbage", body=_row(customerNumber=written)))
    assert await setup.connect.fetch_status(order) == StatusRead("fulfilled", {"customer_number": written})


@pytest.mark.parametrize("written", ["2342", 2342, 2342.0], ids=repr)
async def test_an_external_id_is_compared_as_text(setup: Setup, written: object) -> None:
    order = order_of(setup.connect, connect_request(external_id="2342"), provider_id="14")
    setup.sim.faults.arm(Fault(STATUS, "garbage", body=_row(externalOrderId=written)))
    assert await setup.connect.fetch_status(order) == StatusRead("fulfilled")


@pytest.mark.parametrize(
    ("ours", "shown"),
    [
        (3 * 19.9, 59.7),
        (3 * 19.9, "59.70"),
        (Decimal("59.70"), 59.7),
        (59.7, 59.699999999999996),
        (Decimal(295), 295.0),
        (0.1 + 0.2, "0.3"),
    ],
)
async def test_an_amount_is_compared_as_money(setup: Setup, ours: Any, shown: object) -> None:
    order = order_of(setup.connect, connect_request(amount=ours), provider_id="14")
    setup.sim.faults.arm(Fault(STATUS, "garbage", body=_row(orderAmount=shown)))
    assert await setup.connect.fetch_status(order) == StatusRead("fulfilled")


async def test_an_amount_that_version_0_1_stored_with_its_noise_is_recognised(setup: Setup) -> None:
    order = order_of(setup.connect, connect_request(), provider_id="14")
    data = {**order.snapshot.data, "request": {**order.snapshot.data["request"], "orderAmount": 3 * 19.9}}  # type: ignore[dict-item]
    order = evolve(order, snapshot=evolve(order.snapshot, data=data))
    setup.sim.faults.arm(Fault(STATUS, "garbage", body=_row(orderAmount=59.7)))
    assert await setup.connect.fetch_status(order) == StatusRead("fulfilled")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"isNewUser": "true"}, Succeeded("assigned", {"assigned_user_id": "ab", "is_new_user": None, "is_password_set": False}, "14")),
        ({"uniqueUserId": 77}, Succeeded("assigned", {"assigned_user_id": "77", "is_new_user": True, "is_password_set": False}, "14")),
        ({"uniqueUserId": {}}, Succeeded("assigned", {"assigned_user_id": None, "is_new_user": True, "is_password_set": False}, "14")),
        ({"orderId": None}, Succeeded("assigned", {"assigned_user_id": "ab", "is_new_user": True, "is_password_set": False}, None)),
        ({"orderId": None, "uniqueUserId": {}}, InDoubt),
        ({"orderId": "A-1"}, Succeeded("assigned", {"assigned_user_id": "ab", "is_new_user": True, "is_password_set": False}, None)),
        ({"orderId": ""}, Succeeded("assigned", {"assigned_user_id": "ab", "is_new_user": True, "is_password_set": False}, None)),
        (
            {"orderId": 14.0, "uniqueUserId": " ab "},
            Succeeded("assigned", {"assigned_user_id": "ab", "is_new_user": True, "is_password_set": False}, "14"),
        ),
        ({"orderId": "", "uniqueUserId": ""}, InDoubt),
        ({"orderId": "A-1", "uniqueUserId": {}}, InDoubt),
    ],
)
async def test_of_the_answer_to_an_assignment_the_ids_decide(setup: Setup, changes: dict[str, Any], expected: Any) -> None:
    order = await setup.make_order(CALLS[4])
    body = {"orderId": 14, "uniqueUserId": "ab", "isNewUser": True, "isPasswordSet": False, **changes}
    setup.sim.faults.arm(Fault(exact_pattern(CALLS[4]), "garbage", body=json.dumps(body).encode()))
    outcome = await setup.connect.perform(call_for(setup.connect, "assign_to_user", order), LINKS)
    assert evolve(outcome, note="") == expected if isinstance(outcome, Succeeded) else type(outcome) is expected


@pytest.mark.parametrize("changes", [{"errorMessage": {}}, {"errorMessage": 7, "somethingNew": None}])
async def test_of_the_answer_to_a_fulfilment_the_status_and_the_id_decide(setup: Setup, changes: dict[str, Any]) -> None:
    order = await setup.make_order(CALLS[3])
    for status, expected in (("OK", Succeeded), (["OK"], InDoubt)):
        body = json.dumps({"fulfillmentStatus": status, "orderId": 14, **changes}).encode()
        setup.sim.faults.arm(Fault(CALLS[3].match, "garbage", body=body))
        assert type(await setup.connect.perform(call_for(setup.connect, "fulfill_order", order), LINKS)) is expected


@pytest.mark.parametrize("order_id", [b'""', b'"x"', b"{}", b"null", b"1.5", b"true"])
async def test_an_order_id_that_cannot_be_read_beside_a_status_is_not_needed(setup: Setup, order_id: bytes) -> None:
    order = await setup.make_order(CALLS[3])
    for status, expected in ((b"OK", Succeeded("fulfillment_accepted")), (b"ERROR", Rejected("200 with fulfillmentStatus ERROR"))):
        setup.sim.faults.arm(Fault(CALLS[3].match, "garbage", body=b'{"fulfillmentStatus": "%b", "orderId": %b}' % (status, order_id)))
        assert await setup.connect.perform(call_for(setup.connect, "fulfill_order", order), LINKS) == expected


@pytest.mark.parametrize("written", [b"15", b"15.0", b'"15"', b'" 15\\n"'])
async def test_an_order_id_is_read_however_it_is_written(setup: Setup, written: bytes) -> None:
    order = await setup.make_order(CALLS[0])
    setup.sim.faults.arm(Fault(exact_pattern(CALLS[0]), "garbage", body=b'{"orderId": %b}' % written))
    outcome = await setup.connect.perform(call_for(setup.connect, "register_order", order), LINKS)
    assert outcome == Succeeded("order_registered", provider_id="15")


@pytest.mark.parametrize(
    "body",
    [
        b'{"orders": []}',
        b'{"orders": [{}]}',
        b'{"orders": [{"orderId": 14}]}',
        _row(orderStatus=""),
        _row(orderStatus=7),
        _row(orderStatus={}),
        _row(orderId="x"),
        b"[]",
    ],
)
async def test_a_poll_without_a_status_fails(setup: Setup, body: bytes) -> None:
    order = await setup.make_order(CALLS[3])
    setup.sim.faults.arm(Fault(STATUS, "garbage", body=body))
    poll = await setup.connect.fetch_status(order)
    assert isinstance(poll, ReadFailed)
    assert poll.answer is not None
    assert poll.answer.body == body


async def test_an_amount_of_0_is_compared_too(setup: Setup) -> None:
    order = order_of(setup.connect, connect_request("free", amount=0), provider_id="14")
    setup.sim.faults.arm(Fault(STATUS, "garbage", body=_row(orderAmount=0), times=1))
    assert await setup.connect.fetch_status(order) == StatusRead("fulfilled")


@pytest.mark.parametrize("beside", [b'{"orderId": null}', b"null", b'{"orderId": 15, "orderStatus": []}', b'"x"'])
async def test_an_order_that_cannot_be_read_beside_ours_is_passed_over(setup: Setup, beside: bytes) -> None:
    order = await setup.make_order(CALLS[3])
    for listed, expected in ((_row(), StatusRead("fulfilled")), (_row(orderId=13), ReadFailed)):  # else it may be ours
        for body in (listed.replace(b"]", b", %b]" % beside), listed.replace(b"[", b"[%b, " % beside)):
            setup.sim.faults.arm(Fault(STATUS, "garbage", body=body))
            poll = await setup.connect.fetch_status(order)
            assert poll == expected if isinstance(expected, StatusRead) else type(poll) is expected


@pytest.mark.parametrize("beside", [b'{"orderId": null}', b"null"])
async def test_a_hit_that_cannot_be_read_is_a_hit(setup: Setup, beside: bytes) -> None:
    order = await setup.make_order(CALLS[5])
    for listed, expected in ((b"%b" % beside, InDoubt), (b'%b, {"orderId": 14}' % beside, Rejected)):
        setup.sim.faults.arm(Fault(CALLS[5].match, "garbage", body=b'{"orders": [%b]}' % listed))
        assert type(await setup.connect.perform(call_for(setup.connect, "search_order", order), LINKS)) is expected


@pytest.mark.parametrize("odd", [b'"payerName": "K\xe5re"', b'"orderTime": NaN', b'"somethingNew": [-Infinity]'])
async def test_what_is_no_json_in_a_field_that_is_not_needed_stops_no_proof(setup: Setup, odd: bytes) -> None:
    order = await setup.make_order(CALLS[3])
    body = _row().replace(b'"orderId"', odd + b', "orderId"')
    headers = {"Content-Type": "text/html; charset=utf-8"}  # nor does a wrong content type
    setup.sim.faults.arm(Fault(STATUS, "status-after-commit", status=200, body=body, headers=headers))
    assert await setup.connect.fetch_status(order) == StatusRead("fulfilled")


async def test_of_several_orders_in_a_response_ours_is_taken(setup: Setup) -> None:
    order = await setup.make_order(CALLS[3])
    foreign = json.loads(_row(orderId=13))["orders"][0]
    ours = json.loads(_row(orderStatus="preliminary"))["orders"][0]
    setup.sim.faults.arm(Fault(STATUS, "garbage", body=json.dumps({"orders": [foreign, ours]}).encode()))
    assert await setup.connect.fetch_status(order) == StatusRead("preliminary")
