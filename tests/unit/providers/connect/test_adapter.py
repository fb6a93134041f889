"""Connect's adapter over a socket: what every answer, and every way of not answering, comes to, effect by effect."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import define, evolve, frozen
from tests.kit.provider_answers import LOUD, MISHAPS, Mishap, silent
from tests.kit.world import EMAIL, LINK_KEYS, PHONE, Users, connect_at, connect_request, connect_sim, order_of

from orderflow.lifecycle.observe import observe
from orderflow.model import Observation, Order, Reason, Refused, Snapshot
from orderflow.provider.outcomes import InDoubt, NoResult, NotExecuted, Outcome, ReadFailed, Rejected, Signal, StatusRead, Succeeded
from orderflow.providers.connect import Connect
from orderflow.providers.connect.simulator import ConnectSimulator
from orderflow.receiver.signed_urls import SignedUrls
from orderflow.simulators import Fault, serve

pytestmark = pytest.mark.anyio

LINKS = SignedUrls("https://us.example/orders", LINK_KEYS)
STATUS = "GET /capi/v1/client/order/status/"
ids = {"ids": lambda row: row.name}


@frozen
class Call:
    """An effect, where its call arrives, and the order it is made for."""

    name: str
    effect: str
    match: str
    happened: str
    method: str = "invoice"
    user_mode: bool = False
    registered: bool = True
    paid: bool = False
    names_order: bool = True  # whether the answer must name the order


CALLS = (
    Call("register-client", "register_order", "POST /capi/v1/client/order", "order_registered", registered=False),
    Call("register-user", "register_order", "POST /capi/v1/order", "order_registered", user_mode=True, registered=False),
    Call("fulfill-sms", "fulfill_by_sms", "POST /capi/v1/client/order/fulfillment", "fulfillment_accepted", method="sms"),
    Call("fulfill-api", "fulfill_order", "POST /capi/v1/client/order/fulfillment", "fulfillment_accepted"),
    Call("assign", "assign_to_user", "POST /capi/v1/client/order/14/user", "assigned", paid=True),
    Call("search", "search_order", "POST /capi/v1/order/status", "registration_found", user_mode=True),
)


@define
class One:
    """One simulator, one provider."""

    sim: ConnectSimulator
    base: str
    connect: Connect
    users: Users

    async def order(self, call: Call) -> Order:
        request = connect_request(call.method, user_mode=call.user_mode)
        self.users.now = self.sim.issue_user_token()
        drafted = order_of(self.connect, request, assignment={"credential": EMAIL, "isSendMessage": False})
        if not call.registered:
            return drafted
        outcome = await self.connect.perform("register_order", drafted, LINKS)
        assert isinstance(outcome, Succeeded)
        if call.paid:
            self.sim.pay(str(outcome.provider_id))
        data = {**drafted.snapshot.data, "provider_id": outcome.provider_id}
        return evolve(drafted, snapshot=evolve(drafted.snapshot, data=data))

    def count(self, call: Call) -> tuple[int, int]:
        """How often the call was received and executed; a path that others begin with counts for itself only."""
        rows = [row for row in self.sim.journal.rows if f"{row.method} {row.path}" == call.match]
        return len(rows), sum(row.executed for row in rows)


@pytest.fixture
async def one() -> AsyncIterator[One]:
    users = Users()
    async with connect_sim() as sim, serve(sim.asgi) as base:
        connect = connect_at(base, tokens=users)
        yield One(sim, base, connect, users)
        await connect.close()


def exactly(call: Call) -> str:
    """A pattern for this path and no longer one."""
    return call.match.replace("/14/", "/[1]4/") if "/14/" in call.match else f"{call.match[:-1]}[{call.match[-1]}]"


# ── all goes well ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("call", CALLS, **ids)
async def test_happens_once_and_shows_nothing(one: One, call: Call) -> None:
    order = await one.order(call)
    outcome = await one.connect.perform(call.effect, order, LINKS)
    assert isinstance(outcome, Succeeded), outcome
    assert outcome.event == call.happened
    assert outcome.provider_id in ("14", None)
    assert one.count(call) == (1, 1)
    silent(outcome, one.connect, order)


async def test_registers_under_our_own_id_and_keeps_the_callers(one: One) -> None:
    await one.connect.perform("register_order", order := order_of(one.connect, connect_request()), LINKS)
    await one.connect.perform("register_order", order_of(one.connect, connect_request(external_id="cart-17")), LINKS)
    assert [made.external_order_id for made in one.sim.orders] == [order.id, "cart-17"]


async def test_asks_for_the_callback_only_where_an_sms_is_sent(one: One) -> None:
    for call in CALLS[2:4]:
        await one.connect.perform(call.effect, await one.order(call), LINKS)
    bodies = [json.loads(row.body) for row in one.sim.journal.rows if row.path.endswith("/fulfillment")]
    assert [urlsplit(body.get("callbackUrl", "")).path.rsplit("/", 1)[0] for body in bodies] == ["/orders/connect/callback", ""]


async def test_the_customers_url_is_the_same_each_time_and_brings_the_browser_back_to_us(one: One) -> None:
    order = await one.order(CALLS[0])
    order = evolve(order, snapshot=evolve(order.snapshot, facts={**order.snapshot.facts, "way": "url"}))
    assert one.connect.customer_url(order, LINKS) is None  # not registered yet
    order = evolve(order, snapshot=evolve(order.snapshot, data={**order.snapshot.data, "provider_id": "14"}))
    url = one.connect.customer_url(order, LINKS)
    assert url == one.connect.customer_url(order, LINKS)
    assert url is not None
    assert url.startswith(f"{one.base}/user/fulfillment?")
    query = parse_qs(urlsplit(url).query)
    assert query["orderId"] == ["14"]
    assert query["returnUrl"] == [LINKS.url("connect", "return", order.id)]
    assert query["errorUrl"] == [LINKS.url("connect", "error", order.id)]
    assert one.connect.customer_url(order, SignedUrls(None, {})) is None


# ── every mishap of every effect ─────────────────────────────────────────────────────────────────────────────────────────


def _check(outcome: Outcome, mishap: Mishap) -> None:
    assert type(outcome) is mishap.outcome, outcome
    if isinstance(outcome, NotExecuted):
        assert outcome.retry_after == mishap.retry_after
    silent(outcome)


@pytest.mark.parametrize("call", CALLS, **ids)
@pytest.mark.parametrize("mishap", MISHAPS, **ids)
async def test_effect(one: One, call: Call, mishap: Mishap) -> None:
    order = await one.order(call)
    one.sim.faults.arm(mishap.on(exactly(call)))
    _check(await one.connect.perform(call.effect, order, LINKS), mishap)
    refreshed = mishap.name == "401" and not (call.user_mode)
    assert one.count(call) == (2 if refreshed else 1, mishap.executed)


@pytest.mark.parametrize("call", CALLS, **ids)
async def test_no_answer_in_time_is_in_doubt(one: One, call: Call) -> None:
    order = await one.order(call)
    hasty = connect_at(one.base, tokens=one.users, timeout=0.3)
    one.sim.faults.arm(Fault(exactly(call), "delay", seconds=30.0))
    outcome = await hasty.perform(call.effect, order, LINKS)
    await hasty.close()
    assert outcome == InDoubt("sent, no usable answer: ReadTimeout")


@pytest.mark.parametrize("call", CALLS, **ids)
async def test_connect_away_is_not_executed(one: One, call: Call) -> None:
    order = await one.order(call)
    async with serve(one.sim.asgi) as gone:
        away = Connect(gone + "/capi", one.base + "/user", "client-of-tests", "connect-secret-canary", tokens=one.users)
    outcome = await away.perform(call.effect, order, LINKS)
    seen = await away.fetch_status(evolve(order, snapshot=evolve(order.snapshot, data={**order.snapshot.data, "provider_id": "14"})))
    await away.close()
    assert outcome == NotExecuted("never sent: ConnectError", signal=Signal.UNREACHABLE)
    assert seen == ReadFailed("ConnectError", signal=Signal.UNREACHABLE)
    assert one.count(call) == (0, 0)


@pytest.mark.parametrize("call", [call for call in CALLS if not call.user_mode], **ids)
async def test_one_401_is_answered_with_a_fresh_token(one: One, call: Call) -> None:
    order = await one.order(call)
    one.sim.expire_tokens()
    outcome = await one.connect.perform(call.effect, order, LINKS)
    assert isinstance(outcome, Succeeded)
    assert one.count(call)[1] == 1


@pytest.mark.parametrize("call", [call for call in CALLS if call.user_mode], **ids)
async def test_a_users_expired_token_is_not_refreshed_by_us(one: One, call: Call) -> None:
    order = await one.order(call)
    one.sim.expire_tokens()
    assert await one.connect.perform(call.effect, order, LINKS) == NotExecuted("401 from the provider")
    assert one.count(call) == (1, 0) if call.effect == "register_order" else (1, 0)


@pytest.mark.parametrize("call", [call for call in CALLS if call.user_mode], **ids)
@pytest.mark.parametrize(("token", "expected"), [(None, Rejected), ("", Rejected), ("canary\nx", NotExecuted), ("canaré", NotExecuted)])
async def test_without_a_users_usable_token_nothing_is_sent(one: One, call: Call, token: str | None, expected: type) -> None:
    order = await one.order(call)
    one.users.now = token
    outcome = await one.connect.perform(call.effect, order, LINKS)
    assert type(outcome) is expected
    assert isinstance(outcome, Rejected | NotExecuted)
    assert outcome == type(outcome)(outcome.why, signal=Signal.NOT_CALLED)  # nor is the provider thought unreachable, for all other users
    assert "canar" not in repr(outcome)
    assert one.count(call) == (0, 0)


async def test_a_token_source_that_raises_means_not_sent(one: One) -> None:
    class Broken:
        async def token(self, order_id: str) -> str | None:
            raise RuntimeError("canary: session store is down")

    order = await one.order(CALLS[1])
    connect = connect_at(one.base, tokens=Broken())
    outcome = await connect.perform("register_order", order, LINKS)
    await connect.close()
    assert outcome == NotExecuted("the host's TokenSource raised RuntimeError", signal=Signal.NOT_CALLED)


# ── what the fulfillment API says beside its status code ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("call", CALLS[2:4], **ids)
async def test_200_with_error_is_declined_and_its_message_kept_secret(one: One, call: Call) -> None:
    order = await one.order(call)
    one.sim.script(order.id, api_answer="ERROR", api_message=f"{PHONE} is not a phone number")
    outcome = await one.connect.perform(call.effect, order, LINKS)
    assert outcome == Rejected("200 with fulfillmentStatus ERROR")


@pytest.mark.parametrize("word", ["ok", "OKAY", "", "success", 1, None])
async def test_a_word_that_is_neither_ok_nor_error_is_in_doubt(one: One, word: object) -> None:
    order = await one.order(CALLS[2])
    body = json.dumps({"fulfillmentStatus": word, "orderId": 14}).encode()
    one.sim.faults.arm(Fault(CALLS[2].match, "garbage", body=body))
    assert isinstance(await one.connect.perform("fulfill_by_sms", order, LINKS), InDoubt)


async def test_an_answer_about_another_order_says_so(one: One) -> None:
    order = await one.order(CALLS[2])
    one.sim.faults.arm(Fault(CALLS[2].match, "garbage", body=b'{"fulfillmentStatus": "OK", "orderId": 15}'))
    outcome = await one.connect.perform("fulfill_by_sms", order, LINKS)
    assert outcome == Succeeded("fulfillment_accepted", provider_id="15")  # the inbox refuses it: tests/integration


@pytest.mark.parametrize(
    ("told", "kept"),
    [("no.unite.OrderException", " (no.unite.OrderException)"), (PHONE, ""), ("4790012345", ""), (EMAIL, ""), ("x" * 500, ""), (7, "")],
)
async def test_of_a_refusal_only_a_class_name_is_kept(one: One, told: object, kept: str) -> None:
    body = json.dumps({**LOUD, "exceptionType": told}).encode()
    one.sim.faults.arm(Fault(CALLS[0].match, "status", status=400, body=body))
    outcome = await one.connect.perform("register_order", await one.order(CALLS[0]), LINKS)
    assert outcome == Rejected(f"400 from the provider{kept}")


# ── search ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("hits", "expected"), [(0, NoResult), (1, Succeeded), (2, Rejected)])
async def test_a_search_takes_one_hit_and_no_more(one: One, hits: int, expected: type) -> None:
    call = evolve(CALLS[5], registered=False)
    order = await one.order(call)
    for _ in range(hits):
        await one.connect.perform("register_order", order, LINKS)
    outcome = await one.connect.perform("search_order", order, LINKS)
    assert type(outcome) is expected
    if isinstance(outcome, Succeeded):
        assert (outcome.event, outcome.provider_id) == ("registration_found", "14")


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _row(**changes: Any) -> bytes:
    row = {"orderId": 14, "externalOrderId": "connect-0", "orderStatus": "fulfilled", "orderAmount": 295.0, **changes}
    return json.dumps({"orders": [row]}).encode()


async def test_reads_what_is_configured_to_prove(one: One) -> None:
    order = await one.order(CALLS[3])
    assert await one.connect.fetch_status(order) == StatusRead("preliminary")
    one.sim.pay("14")
    assert await one.connect.fetch_status(order) == StatusRead("fulfilled")


@pytest.mark.parametrize("mishap", MISHAPS, **ids)
async def test_read(one: One, mishap: Mishap) -> None:
    order = await one.order(CALLS[3])
    one.sim.faults.arm(mishap.on(STATUS))
    seen = await one.connect.fetch_status(order)
    assert isinstance(seen, ReadFailed)
    assert seen.retry_after == mishap.retry_after
    silent(seen)


@pytest.mark.parametrize(
    ("literals", "word", "proven"),
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
async def test_only_a_configured_word_proves_anything(one: One, literals: tuple[str, ...], word: str, proven: bool) -> None:
    order = await one.order(CALLS[3])
    connect = connect_at(one.base, fulfilled_literals=literals)
    one.sim.faults.arm(Fault(STATUS, "garbage", body=_row(orderStatus=word)))
    seen = await connect.fetch_status(order)
    await connect.close()
    assert isinstance(seen, StatusRead)
    at = Snapshot("confirming", {**order.snapshot.facts, "way": "api"}, {}, 3)
    decision = observe(connect.table, at, Observation(seen.status, 3, seen.data, seen.mismatch))
    if proven:
        assert decision.snapshot.state == "fulfilled"  # type: ignore[union-attr]
    else:
        assert isinstance(decision, Refused)
        assert decision.reason is Reason.UNKNOWN_STATUS


def test_no_literals_are_said_aloud_at_start_up() -> None:
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
        ({"orderAmount": "a lot"}, "orderAmount"),
        ({"orderAmount": "NaN"}, "orderAmount"),
        ({"orderAmount": "sNaN"}, "orderAmount"),
        ({"orderAmount": "Infinity"}, "orderAmount"),
    ],
)
async def test_a_read_that_is_not_about_our_order_is_marked(one: One, changes: dict[str, Any], mismatch: str) -> None:
    order = await one.order(CALLS[3])
    one.sim.faults.arm(Fault(STATUS, "garbage", body=_row(**changes)))
    assert await one.connect.fetch_status(order) == StatusRead("fulfilled", mismatch=mismatch)


@pytest.mark.parametrize("body", [b'{"orders": []}', b'{"orders": [{}]}', b'{"orders": [{"orderId": 14}]}', _row(orderStatus=""), b"[]"])
async def test_a_read_without_a_word_is_unread(one: One, body: bytes) -> None:
    order = await one.order(CALLS[3])
    one.sim.faults.arm(Fault(STATUS, "garbage", body=body))
    assert isinstance(await one.connect.fetch_status(order), ReadFailed)


async def test_nothing_is_an_amount_too(one: One) -> None:
    order = order_of(one.connect, connect_request("free", amount=0), provider_id="14")
    one.sim.faults.arm(Fault(STATUS, "garbage", body=_row(orderAmount=0), times=1))
    assert await one.connect.fetch_status(order) == StatusRead("fulfilled")


async def test_of_several_orders_in_an_answer_ours_is_taken(one: One) -> None:
    order = await one.order(CALLS[3])
    stranger = json.loads(_row(orderId=13))["orders"][0]
    ours = json.loads(_row(orderStatus="preliminary"))["orders"][0]
    one.sim.faults.arm(Fault(STATUS, "garbage", body=json.dumps({"orders": [stranger, ours]}).encode()))
    assert await one.connect.fetch_status(order) == StatusRead("preliminary")
