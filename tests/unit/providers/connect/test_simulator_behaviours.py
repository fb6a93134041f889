"""Every behaviour of Connect that its dossier asks for, by its magic value, header or switch, over a real socket.

The table of them is in ``src/orderflow/simkit/README.md``; a test there holds both together.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from attrs import define, field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.kit.world import connect_request

from orderflow.providers.connect.simulator import ConnectSimulator
from orderflow.simulators import Fault, SimClock, serve

pytestmark = pytest.mark.anyio

GRANT = {"grant_type": "client_credentials", "client_id": "simulated-client", "client_secret": "simulated-secret"}
REGISTER, FULFIL = "/capi/v1/client/order", "/capi/v1/client/order/fulfillment"


@define
class Connect:
    """A simulator whose clock stands still, its caller, and whoever is called back or returned to at ``ours``."""

    sim: ConnectSimulator
    http: httpx.AsyncClient
    ours: str
    calls: list[str] = field(factory=list)

    async def token(self, **more: str) -> httpx.Response:
        return await self.http.post("/user/oauth/token", data={**GRANT, **more})

    async def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        return await self.http.post(path, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    async def register(self, tag: str = "", method: str = "creditcardPayex", phone: str = "+4790012345", **more: Any) -> httpx.Response:
        headers = more.pop("headers", {})
        body = connect_request(method, external_id="cart-17", **more)["order"]
        body["payer"] |= {"emails": [f"kari{tag}@example.org"], "phoneNumbers": [phone]}
        return await self.post(REGISTER, body, **headers)

    async def registered(self, tag: str = "", method: str = "creditcardPayex", **more: Any) -> int:
        return int((await self.register(tag, method, **more)).json()["orderId"])

    async def visit(self, order_id: int, **query: str) -> httpx.Response:
        told = {"orderId": str(order_id), "returnUrl": f"{self.ours}/back?cart=17", **query}
        return await self.http.get("/user/fulfillment", params=told)

    async def complete(self, order_id: int, callback: str | None = None, **headers: str) -> dict[str, Any]:
        body = {"orderId": order_id, "callbackUrl": callback or f"{self.ours}/called"}
        answer = await self.post(FULFIL, body, **headers)
        return {"status": answer.status_code, **answer.json()}

    async def row(self, order_id: int) -> dict[str, Any]:
        answer = await self.http.get(f"/capi/v1/client/order/status/{order_id}")
        assert answer.status_code == 200, answer.text
        (row,) = answer.json()["orders"]
        return dict(row)

    async def word(self, order_id: int) -> str:
        return str((await self.row(order_id))["orderStatus"])


def claimed(answer: httpx.Response) -> list[str]:
    """What the address a browser is sent to says."""
    return parse_qs(urlsplit(answer.headers["location"]).query).get("fulfillmentStatus", [])


@asynccontextmanager
async def connect(**switches: Any) -> AsyncIterator[Connect]:
    async def take(request: Request) -> Response:
        made.calls.append(f"{request.url.path} {request.url.query}")
        return Response(status_code=204)

    listener = Starlette(routes=[Route("/{path}", take)])
    async with (
        ConnectSimulator(**{"clock": SimClock(start=1000.0, manual=True), **switches}) as sim,
        serve(sim.asgi) as base,
        serve(listener) as ours,
        httpx.AsyncClient(base_url=base, trust_env=False, timeout=5.0, headers={"accept": "application/json"}) as http,
    ):
        made = Connect(sim, http, ours)
        http.headers["authorization"] = f"Bearer {(await made.token(client_id='simulated-client')).json()['access_token']}"
        yield made


# ---------------------------------------------------------------- the way by URL


@pytest.mark.parametrize(
    ("tag", "claims", "at_once", "later"),
    [
        ("+success", ["success"], "fulfilled", "fulfilled"),
        ("+cancel", ["cancel"], "preliminary", "preliminary"),
        ("+error", ["error"], "preliminary", "preliminary"),
        ("+unknown", ["unknown"], "preliminary", "fulfilled"),
        ("+unknown-forever", ["unknown"], "preliminary", "preliminary"),
        ("+cancel-paid", ["cancel"], "preliminary", "fulfilled"),
        ("+forged", ["success"], "preliminary", "preliminary"),
        ("+prepaid", ["success"], "fulfilled", "fulfilled"),
        ("+bare", [], "fulfilled", "fulfilled"),
        ("+success+delay", ["success"], "preliminary", "fulfilled"),
        ("+success+never", ["success"], "preliminary", "preliminary"),
        ("+success+unknown-status", ["success"], "inTransfer", "inTransfer"),
    ],
)
async def test_what_a_tag_brings_back(tag: str, claims: list[str], at_once: str, later: str) -> None:
    async with connect() as one:
        order_id = await one.registered(tag)
        assert claimed(await one.visit(order_id)) == claims
        assert await one.word(order_id) == at_once
        await one.sim.advance(900.0)
        assert await one.word(order_id) == later


async def test_without_a_tag_the_page_asks() -> None:
    async with connect() as one:
        order_id = await one.registered("+newsletter")
        assert (await one.visit(order_id)).headers["location"].endswith(f"/user/pay/{order_id}")


async def test_a_customer_who_never_returns() -> None:
    async with connect() as one:
        order_id = await one.registered("+abandon")
        assert (await one.visit(order_id)).status_code == 200
        await one.sim.advance(1e5)
        assert (one.calls, one.sim.order(order_id).paid) == ([], False)


async def test_a_success_long_after() -> None:
    async with connect() as one:
        order_id = await one.registered("+late")
        assert (await one.visit(order_id)).status_code == 200
        await one.sim.advance(1799.0)
        assert (one.calls, await one.word(order_id)) == ([], "preliminary")
        await one.sim.advance(1.0)
        assert (one.calls, await one.word(order_id)) == (["/back cart=17&fulfillmentStatus=success"], "fulfilled")


@pytest.mark.parametrize(("tag", "claim"), [("+twice", "success"), ("+cancel+twice", "cancel"), ("+twice+error", "error")])
async def test_a_return_that_happens_twice(tag: str, claim: str) -> None:
    async with connect() as one:
        answer = await one.visit(await one.registered(tag))
        await one.sim.deliveries.drain()
        assert claimed(answer) == [claim]
        assert one.calls == [f"/back cart=17&fulfillmentStatus={claim}"]


async def test_the_error_page() -> None:
    async with connect() as one:
        order_id = await one.registered("+errorurl")
        assert (await one.visit(order_id, errorUrl=f"{one.ours}/oops")).headers["location"] == f"{one.ours}/oops"
        one.sim.set_switch("error_url", "ignored")
        assert (await one.visit(order_id, errorUrl=f"{one.ours}/oops")).status_code == 400


async def test_two_orders_of_one_name() -> None:
    async with connect() as one:
        one.http.headers["authorization"] = f"Bearer {one.sim.issue_user_token('kari')}"
        body = connect_request(external_id="cart-17")["order"]
        body["payer"]["emails"] = ["kari+twin@example.org"]
        await one.post("/capi/v1/order", body)
        hits = (await one.post("/capi/v1/order/status", {"externalOrderId": "cart-17"})).json()["orders"]
        assert [row["orderId"] for row in hits] == [14, 15]
        assert (await one.http.get("/capi/v1/order/status")).json()["orders"][1]["orderId"] == 15


# ---------------------------------------------------------------- sms


@pytest.mark.parametrize(
    ("digits", "answer", "told", "word"),
    [
        ("00", {"fulfillmentStatus": "OK", "orderId": None}, ["success"], "fulfilled"),
        ("01", {"fulfillmentStatus": "OK", "orderId": None}, ["failed"], "preliminary"),
        ("02", {"fulfillmentStatus": "ERROR", "orderId": 14, "errorMessage": "phone number not accepted"}, [], "preliminary"),
        ("03", {"fulfillmentStatus": "OK", "orderId": None}, [], "fulfilled"),
        ("04", {"fulfillmentStatus": "OK", "orderId": None}, ["success", "success"], "fulfilled"),
        ("05", {"fulfillmentStatus": "OK", "orderId": None}, ["success"], "fulfilled"),
        ("06", {"fulfillmentStatus": "OK", "orderId": None}, ["success"], "fulfilled"),
        ("07", {"fulfillmentStatus": "OK", "orderId": 14}, ["success"], "fulfilled"),
        ("08", {"fulfillmentStatus": "OK", "orderId": None}, [], "preliminary"),
        ("09", {"fulfillmentStatus": "OK", "orderId": None}, ["success"], "fulfilled"),
    ],
)
async def test_the_last_digits_of_a_phone(digits: str, answer: dict[str, Any], told: list[str], word: str) -> None:
    async with connect() as one:
        order_id = await one.registered("", "sms", phone=f"+47900000{digits}")
        assert await one.complete(order_id) == {"status": 200, **answer}
        if digits == "05":
            assert len(one.calls) == 1, "called back before the answer came"
        await one.sim.wait_until_idle()
        if digits == "09":
            assert one.calls == []
            await one.sim.advance(60.0)
        await one.sim.deliveries.drain()
        assert one.calls == [f"/called fulfillmentStatus={claim}" for claim in told]
        assert await one.word(order_id) == word


async def test_a_phone_counts_for_sms_only() -> None:
    async with connect() as one:
        assert (await one.complete(await one.registered("", "invoice", phone="+4790000002")))["fulfillmentStatus"] == "OK"


# ---------------------------------------------------------------- tokens and assigning


async def test_magic_clients() -> None:
    async with connect() as one:
        assert (await one.token(client_id="sim-bad")).json() == {"error": "invalid_client"}
        short = (await one.token(client_id="sim-short")).json()
        assert short["expires_in"] == 5
        one.http.headers["authorization"] = f"Bearer {short['access_token']}"
        assert (await one.register()).status_code == 200
        await one.sim.advance(5.0)
        assert (await one.register()).json() == {"error": "invalid_token"}
        revoked = (await one.token(client_id="sim-revoked")).json()["access_token"]
        one.http.headers["authorization"] = f"Bearer {revoked}"
        assert (await one.register()).status_code == 401


@pytest.mark.parametrize(
    ("tag", "new", "password"), [("+noaccount", True, False), ("+nopassword", False, False), ("+hasaccount", False, True)]
)
async def test_who_is_assigned(tag: str, new: bool, password: bool) -> None:
    async with connect() as one:
        order_id = await one.registered("", "free")
        await one.complete(order_id)
        answer = (await one.post(f"{REGISTER}/{order_id}/user", {"credential": f"kari{tag}@example.org"})).json()
        assert (answer["isNewUser"], answer["isPasswordSet"]) == (new, password)


# ---------------------------------------------------------------- headers


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"exceptionType", "errorMessage"}),
        (401, {"error"}),
        (429, {"exceptionType", "errorMessage"}),
        (500, {"exceptionType", "errorMessage"}),
    ],
)
async def test_errors_by_header_in_connects_words(status: int, body: set[str]) -> None:
    async with connect() as one:
        answer = await one.register(headers={"X_Sim_Scenario": f"{status};times=2"})
        assert (answer.status_code, set(answer.json()), one.sim.orders) == (status, body, ())
        if status == 429:
            assert {"x-ratelimit-remaining", "x-ratelimit-reset"} <= set(answer.headers)
        assert (await one.register(headers={"X_Sim_Scenario": f"{status};times=2"})).status_code == status
        assert (await one.register(headers={"X_Sim_Scenario": f"{status};times=2"})).status_code == 200


@pytest.mark.parametrize("scenario", ["garbage", "html", "xml", "empty", "cut", "reset", "reset-after-commit", "500-after-commit"])
async def test_mishaps_by_header(scenario: str) -> None:
    async with connect() as one:
        try:
            (await one.register(headers={"X_Sim_Scenario": scenario})).raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            pass
        else:
            pytest.fail("nothing went wrong")
        assert len(one.sim.orders) == (scenario != "reset")
        assert one.sim.journal.rows[-1].played == f"header {scenario}"


async def test_a_slow_answer() -> None:
    async with connect() as one:
        assert (await one.register(headers={"X_Sim_Scenario": "slow=10ms"})).json() == {"orderId": 14}
        assert (await one.register(headers={"X_Sim_Scenario": "delay=0.01s"})).json() == {"orderId": 15}


async def test_header_over_armed_fault_over_script_over_magic_value_over_default() -> None:
    async with connect() as one:
        one.sim.script("*", customer="error")
        one.sim.faults.arm(Fault("POST " + REGISTER, "status", 503))
        assert (await one.register("+cancel", headers={"X_Sim_Scenario": "500"})).status_code == 500
        assert (await one.register("+cancel")).status_code == 503
        assert claimed(await one.visit(await one.registered())) == ["error"]
        assert claimed(await one.visit(await one.registered("+cancel"))) == ["cancel"]
        by_header = await one.registered("+cancel", headers={"X_Sim_Scenario": "unknown-forever"})
        assert claimed(await one.visit(by_header)) == ["unknown"]
        one.sim.script("cart-17", customer="success")
        assert claimed(await one.visit(await one.registered("+cancel"))) == ["success"]
        assert claimed(await one.visit(by_header)) == ["unknown"]


async def test_a_tag_in_the_header_of_a_completion() -> None:
    async with connect() as one:
        order_id = await one.registered("", "sms")
        assert (await one.complete(order_id, X_Sim_Scenario="sms02"))["fulfillmentStatus"] == "ERROR"


# ---------------------------------------------------------------- switches


async def test_words_of_the_status() -> None:
    async with connect(fulfilled_status="done", stopped_status="halted", transferred_status="sent", transfer_delay=60.0) as one:
        paid, stopped = await one.registered("+success"), await one.registered("+cancel")
        await one.visit(paid)
        await one.visit(stopped)
        assert (await one.word(paid), await one.word(stopped)) == ("done", "halted")
        await one.sim.advance(60.0)
        assert await one.word(paid) == "sent"


async def test_order_ids_as_text() -> None:
    async with connect(order_id_as_text=True) as one:
        assert (await one.register()).json() == {"orderId": "14"}
        assert (await one.row(14))["orderId"] == "14"


@pytest.mark.parametrize(("switch", "status", "rows"), [("400", 400, None), ("404", 404, None), ("empty", 200, [])])
async def test_an_order_nobody_knows(switch: str, status: int, rows: object) -> None:
    async with connect(unknown_order=switch) as one:
        answer = await one.http.get("/capi/v1/client/order/status/99")
        assert (answer.status_code, answer.json().get("orders")) == (status, rows)


async def test_a_delay_between_paid_and_fulfilled() -> None:
    async with connect(fulfil_delay=10.0) as one:
        order_id = await one.registered("+success")
        await one.visit(order_id)
        assert await one.word(order_id) == "preliminary"
        await one.sim.advance(10.0)
        assert await one.word(order_id) == "fulfilled"


async def test_prepaid_by_url() -> None:
    async with connect() as one:
        order_id = await one.registered(prepaid=True)
        assert claimed(await one.visit(order_id)) == ["success"]
        one.sim.set_switch("prepaid_return", "bare")
        assert claimed(await one.visit(order_id)) == []
        one.sim.set_switch("prepaid_by_url", "error page")
        assert (await one.visit(order_id)).status_code == 400


async def test_the_query_of_a_return_url_may_be_lost() -> None:
    async with connect(return_query="dropped") as one:
        answer = await one.visit(await one.registered("+success"))
        assert answer.headers["location"] == f"{one.ours}/back?fulfillmentStatus=success"


async def test_return_urls_may_be_allow_listed() -> None:
    async with connect(return_allow_list=("https://shop.example/",)) as one:
        order_id = await one.registered("+success")
        assert (await one.visit(order_id)).status_code == 400
        assert (await one.visit(order_id, returnUrl="https://shop.example/back")).status_code == 302


async def test_whether_a_stopped_order_can_be_paid() -> None:
    async with connect() as one:
        order_id = await one.registered("+cancel")
        await one.visit(order_id)
        assert (await one.visit(order_id)).status_code == 302
        one.sim.set_switch("pay_after_stop", False)
        assert (await one.visit(order_id)).status_code == 400
        assert (await one.http.post(f"/user/pay/{order_id}", data={"action": "pay"})).status_code == 409


async def test_a_lost_outcome_may_turn_out_paid() -> None:
    async with connect(lost_paid_after=60.0) as one:
        order_id = await one.registered("+unknown-forever")
        await one.visit(order_id)
        await one.sim.advance(60.0)
        assert await one.word(order_id) == "fulfilled"


async def test_an_unpaid_order_may_expire() -> None:
    async with connect(expire_after=60.0) as one:
        order_id = await one.registered()
        await one.sim.advance(60.0)
        assert (await one.http.get(f"/capi/v1/client/order/status/{order_id}")).status_code == 400


@pytest.mark.parametrize(
    ("switch", "method", "word"),
    [("either", "swishPayex", "OK"), ("A3", "swishPayex", "ERROR"), ("G4", "creditcardPayex", "ERROR"), ("A3", "creditcardPayex", "OK")],
)
async def test_which_methods_the_api_takes(switch: str, method: str, word: str) -> None:
    async with connect(api_methods=switch) as one:
        order_id = await one.registered("", method)
        assert (await one.complete(order_id))["fulfillmentStatus"] == word
        if word == "ERROR":
            one.sim.set_switch("unfit_method", "400")
            assert (await one.complete(order_id))["status"] == 400


async def test_the_order_id_of_the_apis_answer() -> None:
    async with connect(ok_order_id="number", error_order_id="null") as one:
        assert (await one.complete(await one.registered("", "invoice")))["orderId"] == 14
        assert (await one.complete(await one.registered("", "smsPay")))["orderId"] is None


@pytest.mark.parametrize(
    ("switch", "status", "word", "calls"),
    [("again", 200, "OK", 2), ("same", 200, "OK", 1), ("ERROR", 200, "ERROR", 1), ("400", 400, None, 1)],
)
async def test_completing_twice(switch: str, status: int, word: str | None, calls: int) -> None:
    async with connect(complete_twice=switch) as one:
        order_id = await one.registered("", "sms")
        await one.complete(order_id)
        again = await one.complete(order_id)
        assert (again["status"], again.get("fulfillmentStatus")) == (status, word)
        await one.sim.drain()
        assert len(one.calls) == calls


async def test_what_is_called_back_and_how() -> None:
    async with connect(callback_methods="all", callback_join="?", callback_https_only=False) as one:
        order_id = await one.registered("", "invoice")
        await one.complete(order_id, f"{one.ours}/called?v=1")
        await one.sim.drain()
        assert one.calls == ["/called v=1?fulfillmentStatus=success"]
        one.sim.set_switch("callback_https_only", True)
        assert (await one.complete(order_id))["status"] == 400


@pytest.mark.parametrize(("switch", "second", "orders"), [("new", 200, 2), ("same", 200, 1), ("refuse", 400, 1)])
async def test_a_second_order_of_one_name(switch: str, second: int, orders: int) -> None:
    async with connect(duplicate_register=switch) as one:
        await one.register()
        assert (await one.register()).status_code == second
        assert len(one.sim.orders) == orders


async def test_assigning_early_and_twice() -> None:
    async with connect(assign_before_fulfilled=True, assign_twice="refuse") as one:
        order_id = await one.registered("", "free")
        who = {"credential": "kari@example.org"}
        assert (await one.post(f"{REGISTER}/{order_id}/user", who)).status_code == 200
        assert (await one.post(f"{REGISTER}/{order_id}/user", who)).status_code == 400


async def test_methods_that_support_has_not_set_up() -> None:
    async with connect(configured_methods=("sms",)) as one:
        assert [(await one.register("", method)).status_code for method in ("kco", "sms", "invoice")] == [400, 200, 200]


async def test_content_type_unknown_fields_and_xml() -> None:
    async with connect() as one:
        plain = {"content-type": "text/plain"}
        assert (await one.http.post(FULFIL, content=b'{"orderId": 14}', headers=plain)).status_code == 400
        one.sim.set_switch("content_type", "any")
        order_id = await one.registered("", "invoice")
        assert (await one.http.post(FULFIL, content=b'{"orderId": 14}', headers=plain)).status_code == 200
        one.sim.set_switch("unknown_fields", "refused")
        assert (await one.post(FULFIL, {"orderId": order_id, "callback": "x"})).status_code == 400
        one.sim.set_switch("xml_unless_asked", True)
        status = f"/capi/v1/client/order/status/{order_id}"
        assert (await one.http.get(status, headers={"accept": "*/*"})).headers["content-type"].startswith("application/xml")


async def test_lenient_takes_what_the_pages_print_against_themselves() -> None:
    by_name = {"absolute_urls": False, "search_by_both": True}
    async with connect() as strict, connect(lenient=True) as lenient, connect(**by_name) as turned:
        for one, expected in ((strict, 400), (lenient, 200), (turned, 200)):
            order_id = await one.registered("", "invoice")
            assert (await one.complete(order_id, "shop.example/called"))["status"] == expected
            one.http.headers["authorization"] = f"Bearer {one.sim.issue_user_token()}"
            both = {"orderId": order_id, "externalOrderId": "cart-17"}
            assert (await one.post("/capi/v1/order/status", both)).status_code == expected
            page = await one.visit(order_id, returnUrl="shop.example/back")
            assert page.status_code == (302 if expected == 200 else 400)


async def test_where_credentials_may_stand() -> None:
    async with connect() as one:
        for switch, body, query in (("any", 200, 200), ("body", 200, 401), ("query", 401, 200), ("basic", 401, 401)):
            one.sim.set_switch("token_credentials", switch)
            assert (await one.token(client_id="simulated-client")).status_code == body
            assert (await one.http.post("/user/oauth/token", params=GRANT)).status_code == query
        assert (await one.http.post("/user/oauth/token", data=GRANT, auth=("simulated-client", "simulated-secret"))).status_code == 200


async def test_tokens_live_as_long_as_the_switch_says_and_users_may_pass() -> None:
    async with connect(token_seconds=60.0) as one:
        assert (await one.token(client_id="simulated-client")).json()["expires_in"] == 60
        one.http.headers["authorization"] = f"Bearer {one.sim.issue_user_token()}"
        assert (await one.register()).status_code == 401
        one.sim.set_switch("user_token_in_client_mode", True)
        assert (await one.register()).status_code == 200


async def test_retry_after_on_429() -> None:
    async with connect(retry_after=True) as one:
        one.sim.limit(1, per_seconds=7.0)
        await one.register()
        answer = await one.register()
        assert (answer.status_code, answer.headers["retry-after"], answer.headers["x-ratelimit-remaining"]) == (429, "7", "0")
