"""The simulator of Connect over real sockets: what can happen to an order, as a client and a browser see it."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx
import pytest
from attrs import define, field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from orderflow._provider.wire import to_json
from orderflow._providers.connect import wire
from orderflow._providers.connect.simulator import FULFILLED, PRELIMINARY, ConnectSimulator
from orderflow.simulators import Fault, SimClock, serve

pytestmark = pytest.mark.anyio

SHOP = "https://shop.example"
CREDENTIALS = {"client_id": "simulated-client", "client_secret": "simulated-secret"}
GRANT = {"grant_type": "client_credentials"}


def order(method: str = "invoice", *, name: str = "cart-17", prepaid: bool = False) -> dict[str, Any]:
    payer = wire.Person(last_name="Hansen", postal_code="0150", phone_numbers=("+4790000000",))
    line = wire.OrderLine("coupon", "WEB", 7, unit_price=295)
    info = wire.PaymentInfo(transaction_id="t-1") if prepaid else None
    request = wire.OrderRequest(payer, (line,), name, payment_method=method, order_amount=295, prepaid=prepaid, payment_info=info)
    return to_json(request.check())


@define
class Shop:
    """The application, its customer's browser, and the receiver of callbacks."""

    sim: ConnectSimulator
    base: str
    http: httpx.AsyncClient
    credentials: dict[str, str]
    token: str = ""
    callbacks: list[str] = field(factory=list)
    called: anyio.Event = field(factory=anyio.Event)
    here: str = ""

    async def log_in(self) -> Self:
        answer = await self.http.post(self.base + "/user/oauth/token", data={**self.credentials, **GRANT})
        self.token = answer.json()["access_token"]
        return self

    async def call(self, method: str, path: str, body: object = None, **more: Any) -> httpx.Response:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return await self.http.request(method, self.base + "/capi/v1" + path, headers=headers, json=body, **more)

    async def register(self, body: dict[str, Any], path: str = "/client/order") -> int:
        answer = await self.call("POST", path, body)
        assert answer.status_code == 200, answer.text
        number: int = answer.json()["orderId"]
        return number

    async def complete(self, order_id: int, callback: str | None = None) -> httpx.Response:
        body = {"orderId": order_id, **({"callbackUrl": callback} if callback else {})}
        return await self.call("POST", "/client/order/fulfillment", body)

    async def status(self, order_id: int) -> str:
        answer = await self.call("GET", f"/client/order/status/{order_id}")
        (row,) = answer.json()["orders"]
        assert row["orderId"] == order_id
        return str(row["orderStatus"])

    async def browse(self, order_id: int, return_url: str = SHOP + "/back/x?cart=17", **more: str) -> httpx.Response:
        """Follow redirects as long as they stay at Connect; `here` is then the browser's address."""
        query = {"orderId": str(order_id), "returnUrl": return_url, "errorUrl": SHOP + "/oops", **more}
        return await self._follow(await self.http.get(self.base + "/user/fulfillment", params=query))

    async def press(self, action: str) -> httpx.Response:
        return await self._follow(await self.http.post(self.here, data={"action": action}))

    async def _follow(self, answer: httpx.Response) -> httpx.Response:
        self.here = str(answer.url)
        while answer.is_redirect:
            self.here = answer.headers["location"]
            if not self.here.startswith(self.base):
                break
            answer = await self.http.get(self.here)
        return answer

    @property
    def claims(self) -> list[str]:
        """The fulfillmentStatus in the browser's address."""
        return parse_qs(urlsplit(self.here).query).get("fulfillmentStatus", [])

    async def receive(self, request: Request) -> Response:
        self.callbacks.append(f"{request.method} {request.url.query}")
        self.called.set()
        return PlainTextResponse("ok")


@asynccontextmanager
async def shopping(**settings: Any) -> AsyncIterator[Shop]:
    async with (
        httpx.AsyncClient(timeout=5, trust_env=False) as http,
        ConnectSimulator(**settings) as sim,
        serve(sim.asgi) as base,
    ):
        credentials = {name: settings.get(name, CREDENTIALS[name]) for name in CREDENTIALS}
        yield await Shop(sim, base, http, credentials).log_in()


@asynccontextmanager
async def called_back(shop: Shop) -> AsyncIterator[str]:
    """The callbackUrl of a receiver on a socket of its own."""
    async with serve(Starlette(routes=[Route("/cb/{token}", shop.receive)])) as base:
        yield base + "/cb/t0k3n?v=1"


# ---------------------------------------------------------------- what happens to an order


@pytest.mark.parametrize(("method", "prepaid"), [("creditcardPayex", True), ("invoice", False), ("free", False)])
async def test_by_api_an_order_with_nothing_to_pay_is_fulfilled(method: str, prepaid: bool) -> None:
    async with shopping() as shop:
        order_id = await shop.register(order(method, prepaid=prepaid))
        assert await shop.status(order_id) == PRELIMINARY
        answer = await shop.complete(order_id)
        assert answer.json() == {"fulfillmentStatus": "OK", "orderId": None}
        assert await shop.status(order_id) == FULFILLED


@pytest.mark.parametrize(("bare", "claims"), [(False, ["success"]), (True, [])])
async def test_prepaid_by_url_goes_straight_back(bare: bool, claims: list[str]) -> None:
    async with shopping() as shop:
        shop.sim.script("cart-17", bare_return=bare)
        order_id = await shop.register(order("vippsEcommerce", prepaid=True))
        await shop.browse(order_id)
        assert shop.here.startswith(SHOP + "/back/x?cart=17")
        assert shop.claims == claims
        assert await shop.status(order_id) == FULFILLED


async def test_card_by_url_is_paid_on_the_page_and_fulfilled_after_its_delay() -> None:
    clock = SimClock(manual=True)
    async with shopping(clock=clock, fulfil_delay=3.0) as shop:
        order_id = await shop.register(order("creditcardPayex"))
        page = await shop.browse(order_id, clientId="simulated-client")
        assert page.text.count("<form") == 5
        assert await shop.status(order_id) == PRELIMINARY
        answer = await shop.press("pay")
        assert (answer.status_code, shop.here) == (303, SHOP + "/back/x?cart=17&fulfillmentStatus=success")
        assert await shop.status(order_id) == PRELIMINARY
        clock.advance(2.9)
        assert await shop.status(order_id) == PRELIMINARY
        clock.advance(0.2)
        assert await shop.status(order_id) == FULFILLED
        history = [what for _, what in shop.sim.order(order_id).history]
        assert history == ["registered", "sent to the URL", "pressed pay", "paid", "fulfilled"]


async def test_a_logged_in_users_order_goes_by_url_and_belongs_to_the_user() -> None:
    async with shopping() as shop:
        shop.token = shop.sim.issue_user_token(user="kari")
        order_id = await shop.register(order("nexi"), path="/order")
        await shop.browse(order_id)
        await shop.press("pay")
        await shop.log_in()
        assert await shop.status(order_id) == FULFILLED
        assert shop.sim.order(order_id).user == "kari"


@pytest.mark.parametrize(("action", "claim"), [("cancel", "cancel"), ("fail", "error"), ("lose", "unknown")])
async def test_what_the_payment_page_sends_back_unpaid(action: str, claim: str) -> None:
    async with shopping() as shop:
        order_id = await shop.register(order("kco"))
        await shop.browse(order_id, SHOP + "/back")
        await shop.press(action)
        assert shop.here == f"{SHOP}/back?fulfillmentStatus={claim}"
        assert await shop.status(order_id) == PRELIMINARY
        assert not shop.sim.order(order_id).paid


async def test_an_unknown_outcome_may_turn_out_to_be_paid() -> None:
    async with shopping() as shop:
        shop.sim.script("cart-17", lost_is_paid=True)
        order_id = await shop.register(order("swishPayex"))
        await shop.browse(order_id)
        await shop.press("lose")
        assert shop.claims == ["unknown"]
        assert await shop.status(order_id) == FULFILLED


async def test_a_customer_who_closes_the_window_never_returns() -> None:
    async with shopping() as shop:
        order_id = await shop.register(order("creditcardPayex"))
        await shop.browse(order_id)
        answer = await shop.press("close")
        assert answer.status_code == 200
        assert shop.here.startswith(shop.base)
        assert await shop.status(order_id) == PRELIMINARY


async def test_a_cancelled_order_can_still_be_paid_at_the_old_url() -> None:
    async with shopping() as shop:
        order_id = await shop.register(order("creditcardPayex"))
        await shop.browse(order_id)
        page = shop.here
        await shop.press("cancel")
        shop.here = page
        await shop.press("pay")
        assert shop.claims == ["success"]
        assert await shop.status(order_id) == FULFILLED


async def test_a_payment_without_a_return() -> None:
    """What a forged cancel contradicts: the order is paid, and the browser claims something else."""
    async with shopping() as shop:
        order_id = await shop.register(order("creditcardPayex"))
        await shop.browse(order_id)
        shop.sim.pay(order_id)
        shop.sim.pay(str(order_id))
        assert await shop.status(order_id) == FULFILLED
        assert [what for _, what in shop.sim.order(order_id).history].count("paid") == 1


async def test_visiting_the_fulfillment_url_alone_pays_nothing() -> None:
    """What a forged success contradicts."""
    async with shopping() as shop:
        order_id = await shop.register(order("creditcardPayex"))
        await shop.browse(order_id)
        assert await shop.status(order_id) == PRELIMINARY
        assert shop.sim.orders[0].paid is False


async def test_an_order_scripted_never_to_be_fulfilled_stays_preliminary_though_paid() -> None:
    async with shopping(clock=SimClock(manual=True)) as shop:
        shop.sim.script("cart-17", fulfil_never=True)
        order_id = await shop.register(order("creditcardPayex"))
        await shop.browse(order_id)
        await shop.press("pay")
        shop.sim.clock.advance(1e6)
        await shop.log_in()
        assert await shop.status(order_id) == PRELIMINARY
        assert shop.sim.order(order_id).paid


# ---------------------------------------------------------------- sms and its callback


@pytest.mark.parametrize(
    ("script", "callbacks", "status"),
    [
        ({"pay_outcome": "success"}, ["success"], FULFILLED),
        ({"pay_outcome": "failed"}, ["failed"], PRELIMINARY),
        ({"callback": "twice"}, ["success", "success"], FULFILLED),
        ({"callback": "never"}, [], FULFILLED),
        ({"pay_outcome": "never"}, [], PRELIMINARY),
    ],
    ids=["paid", "failed", "twice", "paid, no callback", "never paid"],
)
async def test_sms(script: dict[str, Any], callbacks: list[str], status: str) -> None:
    clock = SimClock(manual=True)
    async with shopping(clock=clock) as shop, called_back(shop) as callback_url:
        shop.sim.script("cart-17", pay_delay=60.0, **script)
        order_id = await shop.register(order("sms"))
        assert (await shop.complete(order_id, callback_url)).json()["fulfillmentStatus"] == "OK"
        assert await shop.status(order_id) == PRELIMINARY
        assert shop.callbacks == []
        clock.advance(60.0)
        await shop.sim.drain()
        assert shop.callbacks == [f"GET v=1&fulfillmentStatus={claim}" for claim in callbacks]
        assert await shop.status(order_id) == status


async def test_an_early_callback_comes_before_the_api_answers() -> None:
    async with shopping() as shop, called_back(shop) as callback_url:
        shop.sim.script("cart-17", callback="early")
        order_id = await shop.register(order("sms"))
        answered = anyio.Event()

        async def complete() -> None:
            await shop.complete(order_id, callback_url)
            answered.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(complete)
            await shop.called.wait()
            assert not answered.is_set()
        assert shop.callbacks == ["GET v=1&fulfillmentStatus=success"]


async def test_a_dropped_callback_leaves_the_order_paid() -> None:
    async with shopping() as shop, called_back(shop) as callback_url:
        shop.sim.deliveries.arm("drop")
        order_id = await shop.register(order("sms"))
        await shop.complete(order_id, callback_url)
        await shop.sim.drain()
        assert shop.callbacks == []
        assert await shop.status(order_id) == FULFILLED


# ---------------------------------------------------------------- the fulfillment API's answers


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({}, {"fulfillmentStatus": "OK", "orderId": None}),
        ({"answer_order_id": "number"}, {"fulfillmentStatus": "OK", "orderId": 14}),
        (
            {"api_answer": "ERROR", "api_message": "no such number"},
            {"fulfillmentStatus": "ERROR", "orderId": 14, "errorMessage": "no such number"},
        ),
        (
            {"api_answer": "ERROR", "answer_order_id": "null"},
            {"fulfillmentStatus": "ERROR", "orderId": None, "errorMessage": "phone number not accepted"},
        ),
    ],
    ids=["ok", "ok with number", "error", "error without number"],
)
async def test_the_fulfillment_api_answers_200_either_way(script: dict[str, Any], expected: dict[str, Any]) -> None:
    async with shopping() as shop:
        shop.sim.script("cart-17", **script)
        order_id = await shop.register(order("invoice"))
        answer = await shop.complete(order_id)
        assert (answer.status_code, answer.json()) == (200, expected)
        accepted = expected["fulfillmentStatus"] == "OK"
        assert await shop.status(order_id) == (FULFILLED if accepted else PRELIMINARY)
        assert shop.sim.journal.count_executed("POST /capi/v1/client/order/fulfillment") == int(accepted)


async def test_a_method_that_needs_a_browser_is_refused_by_the_api() -> None:
    async with shopping() as shop:
        order_id = await shop.register(order("smsPay"))
        assert (await shop.complete(order_id)).json()["fulfillmentStatus"] == "ERROR"
        assert await shop.status(order_id) == PRELIMINARY


@pytest.mark.parametrize("path", ["/client/order/fulfillment", "/client/order", "/order/status", "/client/order/14/user"])
@pytest.mark.parametrize("body", [b"{", b"[]", b"{}"], ids=["cut", "list", "bare"])
async def test_a_wrong_body_is_answered_400_and_nothing_is_done(path: str, body: bytes) -> None:
    async with shopping() as shop:
        if path == "/order/status":
            shop.token = shop.sim.issue_user_token()
        headers = {"Authorization": f"Bearer {shop.token}", "Accept": "application/json"}
        answer = await shop.http.post(f"{shop.base}/capi/v1{path}", content=body, headers=headers)
        assert answer.status_code == 400
        assert set(answer.json()) == {"exceptionType", "errorMessage"}
        assert shop.sim.journal.count_executed("POST /capi") == 0


async def test_an_unknown_order_is_answered_400() -> None:
    async with shopping() as shop:
        for answer in (await shop.complete(99), await shop.call("GET", "/client/order/status/99")):
            assert answer.status_code == 400
            assert answer.json()["exceptionType"] == "OrderNotFoundException"


# ---------------------------------------------------------------- search and assign


async def test_search_finds_every_order_of_a_name_for_its_user_only() -> None:
    async with shopping() as shop:
        shop.token = shop.sim.issue_user_token(user="kari")
        first = await shop.register(order("nexi"), path="/order")
        second = await shop.register(order("nexi"), path="/order")
        await shop.register(order("nexi", name="cart-18"), path="/order")
        by_name = (await shop.call("POST", "/order/status", {"externalOrderId": "cart-17"})).json()["orders"]
        assert [row["orderId"] for row in by_name] == [first, second]
        assert by_name[0]["orderLines"][0]["deliveryStatus"] == "waiting"
        by_id = (await shop.call("POST", "/order/status", {"orderId": second})).json()["orders"]
        assert [row["orderId"] for row in by_id] == [second]
        both = await shop.call("POST", "/order/status", {"orderId": second, "externalOrderId": "cart-17"})
        assert both.status_code == 400
        shop.token = shop.sim.issue_user_token(user="ola")
        assert (await shop.call("POST", "/order/status", {"externalOrderId": "cart-17"})).json() == {"orders": []}


async def test_assigning_a_new_user_without_password() -> None:
    async with shopping() as shop:
        order_id = await shop.register(order("free"))
        assign = {"credential": "kari@example.org"}
        early = await shop.call("POST", f"/client/order/{order_id}/user", assign)
        assert (early.status_code, early.json()["exceptionType"]) == (400, "OrderNotAssignableException")
        await shop.complete(order_id)
        answer = (await shop.call("POST", f"/client/order/{order_id}/user", assign)).json()
        assert (answer["orderId"], answer["isNewUser"], answer["isPasswordSet"]) == (order_id, True, False)
        assert len(answer["uniqueUserId"]) == 32
        assert shop.sim.order(order_id).user == answer["uniqueUserId"]


async def test_assigning_a_known_user() -> None:
    async with shopping() as shop:
        shop.sim.script("*", is_new_user=False, password_set=True)
        order_id = await shop.register(order("free"))
        await shop.complete(order_id)
        answer = (await shop.call("POST", f"/client/order/{order_id}/user", {"credential": "+4790000000"})).json()
        assert (answer["isNewUser"], answer["isPasswordSet"]) == (False, True)


# ---------------------------------------------------------------- tokens


@pytest.mark.parametrize("way", ["basic", "raw basic", "body", "query"])
async def test_credentials_may_have_arrived_by_basic_body_or_query(way: str) -> None:
    async with shopping(client_id="me", client_secret="a b%") as shop:
        url, own = shop.base + "/user/oauth/token", {"client_id": "me", "client_secret": "a b%"}
        basic, raw = (base64.b64encode(text).decode() for text in (b"me:a+b%25", b"me:a b%"))
        sent: dict[str, Any] = {
            "basic": {"data": GRANT, "headers": {"Authorization": f"Basic {basic}"}},
            "raw basic": {"data": GRANT, "headers": {"Authorization": f"Basic {raw}"}},
            "body": {"data": {**GRANT, **own}},
            "query": {"params": {**GRANT, **own}},
        }[way]
        answer = (await shop.http.post(url, **sent)).json()
        assert (answer["token_type"], answer["expires_in"]) == ("bearer", 43200)
        shop.token = answer["access_token"]
        assert await shop.register(order())


async def test_wrong_credentials_and_wrong_grants_are_refused() -> None:
    async with shopping() as shop:
        url = shop.base + "/user/oauth/token"
        wrong = await shop.http.post(url, data={**CREDENTIALS, **GRANT, "client_secret": "guess"})
        assert (wrong.status_code, wrong.json()) == (401, {"error": "invalid_client"})
        broken = await shop.http.post(url, data=GRANT, headers={"Authorization": "Basic ?"})
        assert broken.status_code == 401
        grant = await shop.http.post(url, data={**CREDENTIALS, "grant_type": "password"})
        assert (grant.status_code, grant.json()) == (400, {"error": "unsupported_grant_type"})


async def test_a_token_expires_by_the_clock_and_by_expire_tokens() -> None:
    clock = SimClock(manual=True)
    async with shopping(clock=clock, token_seconds=60) as shop:
        order_id = await shop.register(order())
        clock.advance(60)
        expired = await shop.complete(order_id)
        assert (expired.status_code, expired.json()) == (401, {"error": "invalid_token"})
        await shop.log_in()
        shop.sim.expire_tokens()
        assert (await shop.complete(order_id)).status_code == 401
        assert shop.sim.journal.count_executed("POST /capi/v1/client/order/fulfillment") == 0
        await shop.log_in()
        assert (await shop.complete(order_id)).status_code == 200


async def test_user_endpoints_refuse_the_client_and_client_endpoints_a_user() -> None:
    async with shopping() as shop:
        assert (await shop.call("POST", "/order", order())).status_code == 401
        assert (await shop.call("POST", "/order/status", {"orderId": 14})).status_code == 401
        shop.token = shop.sim.issue_user_token()
        assert (await shop.call("POST", "/client/order", order())).status_code == 401
        shop.token = "made-up"
        assert (await shop.call("POST", "/client/order", order())).status_code == 401
        assert shop.sim.orders == ()


# ---------------------------------------------------------------- limits and faults


async def test_calls_above_the_limit_are_429_with_both_headers_until_the_window_ends() -> None:
    clock = SimClock(manual=True)
    async with shopping(clock=clock) as shop:
        shop.sim.limit(2, per_seconds=10)
        first = await shop.call("POST", "/client/order", order())
        assert (first.headers["X-RateLimit-Remaining"], first.headers["X-RateLimit-Reset"]) == ("1", "10")
        await shop.register(order())
        clock.advance(4)
        third = await shop.call("POST", "/client/order", order())
        assert third.status_code == 429
        assert (third.headers["X-RateLimit-Remaining"], third.headers["X-RateLimit-Reset"]) == ("0", "6")
        assert len(shop.sim.orders) == 2
        clock.advance(6)
        await shop.register(order())


async def test_429_by_fault_then_success() -> None:
    async with shopping() as shop:
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}
        shop.sim.faults.arm(Fault("POST /capi/v1/client/order", "status", status=429, headers=headers))
        assert (await shop.call("POST", "/client/order", order())).status_code == 429
        assert shop.sim.orders == ()
        await shop.register(order())


async def test_a_lost_register_answer_leaves_one_order_behind() -> None:
    async with shopping() as shop:
        shop.sim.faults.arm(Fault("POST /capi/v1/client/order", "reset-after-commit"))
        with pytest.raises(httpx.TransportError):
            await shop.call("POST", "/client/order", order())
        assert shop.sim.journal.count_executed("POST /capi/v1/client/order") == 1
        assert [row.external_order_id for row in shop.sim.orders] == ["cart-17"]


async def test_ids_are_small_and_rise_and_nothing_is_deduplicated() -> None:
    async with shopping(first_order_id=9) as shop:
        assert [await shop.register(order()) for _ in range(3)] == [9, 10, 11]


async def test_the_answer_is_xml_unless_json_is_asked_for() -> None:
    async with shopping(xml_unless_asked=True) as shop:
        order_id = await shop.register(order())
        answer = await shop.call("GET", f"/client/order/status/{order_id}", headers={"Accept": "*/*"})
        assert answer.headers["content-type"].startswith("application/xml")
        assert "<orderStatus>preliminary</orderStatus>" in answer.text


@pytest.mark.parametrize("method", ["creditcardPayex", "sms"])
async def test_the_fulfillment_url_redirects_to_the_error_url_for_an_order_that_cannot_be_paid_there(method: str) -> None:
    async with shopping() as shop:
        shop.sim.script("cart-17", error_page=method != "sms")
        order_id = await shop.register(order(method))
        await shop.browse(order_id)
        assert shop.here == SHOP + "/oops"


@pytest.mark.parametrize("query", [{"orderId": "99"}, {"returnUrl": "/back"}, {"returnUrl": "http://["}, {"clientId": "x"}], ids=str)
async def test_without_an_error_url_a_page_refuses(query: dict[str, str]) -> None:
    async with shopping() as shop:
        order_id = await shop.register(order("creditcardPayex"))
        right = {"orderId": str(order_id), "returnUrl": SHOP + "/back"}
        answer = await shop.http.get(shop.base + "/user/fulfillment", params={**right, **query})
        assert answer.status_code == 400


async def test_an_order_has_no_payment_page_before_its_fulfillment_url_was_visited() -> None:
    async with shopping() as shop:
        order_id = await shop.register(order("creditcardPayex"))
        url = f"{shop.base}/user/pay/{order_id}"
        assert (await shop.http.get(url)).status_code == 404
        assert (await shop.http.post(url, data={"action": "pay"})).status_code == 404
        await shop.browse(order_id)
        assert (await shop.http.post(url, data={"action": "steal"})).status_code == 404
        assert not shop.sim.order(order_id).paid


async def test_a_script_with_an_unknown_field_or_value_is_refused() -> None:
    async with ConnectSimulator() as sim:
        with pytest.raises(TypeError, match="payed"):
            sim.script("cart-17", payed=True)
        with pytest.raises(ValueError, match="callback: 'thrice' is none of send, never, twice, early"):
            sim.script("cart-17", callback="thrice")
        with pytest.raises(KeyError):
            sim.pay(99)
