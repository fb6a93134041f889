"""Every behaviour of the simulated Connect, by its magic value, header or switch, over a real socket.

docs/how-to/simulate-a-provider.md has the table of them; tests/unit/simulators/test_guide.py compares both.
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

from orderflow._providers.connect.simulator import ConnectSimulator
from orderflow.simulators import Fault, SimClock, serve

pytestmark = pytest.mark.anyio

GRANT = {"grant_type": "client_credentials", "client_id": "simulated-client", "client_secret": "simulated-secret"}
REGISTER, FULFIL = "/capi/v1/client/order", "/capi/v1/client/order/fulfillment"


@define
class Connect:
    """A simulator with a manual clock, a client, and the application's receiver of callbacks and returns at ``ours``."""

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

    async def register_order(self, tag: str = "", method: str = "creditcardPayex", **more: Any) -> int:
        return int((await self.register(tag, method, **more)).json()["orderId"])

    async def visit(self, order_id: int, **query: str) -> httpx.Response:
        params = {"orderId": str(order_id), "returnUrl": f"{self.ours}/back?cart=17", **query}
        return await self.http.get("/user/fulfillment", params=params)

    async def complete(self, order_id: int, callback: str | None = None, **headers: str) -> dict[str, Any]:
        body = {"orderId": order_id, "callbackUrl": callback or f"{self.ours}/called"}
        answer = await self.post(FULFIL, body, **headers)
        return {"status": answer.status_code, **answer.json()}

    async def row(self, order_id: int) -> dict[str, Any]:
        answer = await self.http.get(f"/capi/v1/client/order/status/{order_id}")
        assert answer.status_code == 200, answer.text
        (row,) = answer.json()["orders"]
        return dict(row)

    async def order_status(self, order_id: int) -> str:
        return str((await self.row(order_id))["orderStatus"])


def claims_of(answer: httpx.Response) -> list[str]:
    """The fulfillmentStatus in the address to which a browser is redirected."""
    return parse_qs(urlsplit(answer.headers["location"]).query).get("fulfillmentStatus", [])


@asynccontextmanager
async def connect(**switches: Any) -> AsyncIterator[Connect]:
    async def receive(request: Request) -> Response:
        world.calls.append(f"{request.url.path} {request.url.query}")
        return Response(status_code=204)

    receiver = Starlette(routes=[Route("/{path}", receive)])
    async with (
        ConnectSimulator(**{"clock": SimClock(start=1000.0, manual=True), **switches}) as sim,
        serve(sim.asgi) as base,
        serve(receiver) as ours,
        httpx.AsyncClient(base_url=base, trust_env=False, timeout=5.0, headers={"accept": "application/json"}) as http,
    ):
        world = Connect(sim, http, ours)
        http.headers["authorization"] = f"Bearer {(await world.token(client_id='simulated-client')).json()['access_token']}"
        yield world


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
async def test_the_return_and_the_status_by_tag(tag: str, claims: list[str], at_once: str, later: str) -> None:
    async with connect() as world:
        order_id = await world.register_order(tag)
        assert claims_of(await world.visit(order_id)) == claims
        assert await world.order_status(order_id) == at_once
        await world.sim.advance(900.0)
        assert await world.order_status(order_id) == later


async def test_without_a_tag_the_payment_page_is_shown() -> None:
    async with connect() as world:
        order_id = await world.register_order("+newsletter")
        assert (await world.visit(order_id)).headers["location"].endswith(f"/user/pay/{order_id}")


async def test_a_customer_who_never_returns() -> None:
    async with connect() as world:
        order_id = await world.register_order("+abandon")
        assert (await world.visit(order_id)).status_code == 200
        await world.sim.advance(1e5)
        assert (world.calls, world.sim.order(order_id).paid) == ([], False)


async def test_a_late_payment_and_return() -> None:
    async with connect() as world:
        order_id = await world.register_order("+late")
        assert (await world.visit(order_id)).status_code == 200
        await world.sim.advance(1799.0)
        assert (world.calls, await world.order_status(order_id)) == ([], "preliminary")
        await world.sim.advance(1.0)
        assert (world.calls, await world.order_status(order_id)) == (["/back cart=17&fulfillmentStatus=success"], "fulfilled")


@pytest.mark.parametrize(("tag", "claim"), [("+twice", "success"), ("+cancel+twice", "cancel"), ("+twice+error", "error")])
async def test_a_return_that_happens_twice(tag: str, claim: str) -> None:
    async with connect() as world:
        answer = await world.visit(await world.register_order(tag))
        await world.sim.deliveries.drain()
        assert claims_of(answer) == [claim]
        assert world.calls == [f"/back cart=17&fulfillmentStatus={claim}"]


async def test_the_error_page() -> None:
    async with connect() as world:
        order_id = await world.register_order("+errorurl")
        assert (await world.visit(order_id, errorUrl=f"{world.ours}/oops")).headers["location"] == f"{world.ours}/oops"
        world.sim.set_switch("error_url", "ignored")
        assert (await world.visit(order_id, errorUrl=f"{world.ours}/oops")).status_code == 400


async def test_two_orders_of_one_name() -> None:
    async with connect() as world:
        world.http.headers["authorization"] = f"Bearer {world.sim.issue_user_token('kari')}"
        body = connect_request(external_id="cart-17")["order"]
        body["payer"]["emails"] = ["kari+twin@example.org"]
        await world.post("/capi/v1/order", body)
        hits = (await world.post("/capi/v1/order/status", {"externalOrderId": "cart-17"})).json()["orders"]
        assert [row["orderId"] for row in hits] == [14, 15]
        assert (await world.http.get("/capi/v1/order/status")).json()["orders"][1]["orderId"] == 15


# ---------------------------------------------------------------- sms


@pytest.mark.parametrize(
    ("digits", "answer", "callbacks", "status"),
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
async def test_the_last_digits_of_a_phone(digits: str, answer: dict[str, Any], callbacks: list[str], status: str) -> None:
    async with connect() as world:
        order_id = await world.register_order("", "sms", phone=f"+47900000{digits}")
        assert await world.complete(order_id) == {"status": 200, **answer}
        if digits == "05":
            assert len(world.calls) == 1, "called back before the answer came"
        await world.sim.wait_until_idle()
        if digits == "09":
            assert world.calls == []
            await world.sim.advance(60.0)
        await world.sim.deliveries.drain()
        assert world.calls == [f"/called fulfillmentStatus={claim}" for claim in callbacks]
        assert await world.order_status(order_id) == status


async def test_a_phone_counts_only_for_sms() -> None:
    async with connect() as world:
        assert (await world.complete(await world.register_order("", "invoice", phone="+4790000002")))["fulfillmentStatus"] == "OK"


# ---------------------------------------------------------------- tokens and assigning


async def test_magic_clients() -> None:
    async with connect() as world:
        assert (await world.token(client_id="sim-bad")).json() == {"error": "invalid_client"}
        short = (await world.token(client_id="sim-short")).json()
        assert short["expires_in"] == 5
        world.http.headers["authorization"] = f"Bearer {short['access_token']}"
        assert (await world.register()).status_code == 200
        await world.sim.advance(5.0)
        assert (await world.register()).json() == {"error": "invalid_token"}
        revoked = (await world.token(client_id="sim-revoked")).json()["access_token"]
        world.http.headers["authorization"] = f"Bearer {revoked}"
        assert (await world.register()).status_code == 401


@pytest.mark.parametrize(
    ("tag", "new", "password"), [("+noaccount", True, False), ("+nopassword", False, False), ("+hasaccount", False, True)]
)
async def test_what_assign_user_answers(tag: str, new: bool, password: bool) -> None:
    async with connect() as world:
        order_id = await world.register_order("", "free")
        await world.complete(order_id)
        answer = (await world.post(f"{REGISTER}/{order_id}/user", {"credential": f"kari{tag}@example.org"})).json()
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
async def test_errors_by_header_in_connects_shapes(status: int, body: set[str]) -> None:
    async with connect() as world:
        answer = await world.register(headers={"X_Sim_Scenario": f"status={status};times=2"})
        assert (answer.status_code, set(answer.json()), world.sim.orders) == (status, body, ())
        if status == 429:
            assert {"x-ratelimit-remaining", "x-ratelimit-reset"} <= set(answer.headers)
        assert (await world.register(headers={"X_Sim_Scenario": f"status={status};times=2"})).status_code == status
        assert (await world.register(headers={"X_Sim_Scenario": f"status={status};times=2"})).status_code == 200


@pytest.mark.parametrize(
    "scenario", ["garbage", "html", "xml", "empty", "cut-body", "reset", "reset-after-commit", "status-after-commit=500"]
)
async def test_faults_by_header(scenario: str) -> None:
    async with connect() as world:
        try:
            (await world.register(headers={"X_Sim_Scenario": scenario})).raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            pass
        else:
            pytest.fail("nothing went wrong")
        assert len(world.sim.orders) == (scenario != "reset")
        assert world.sim.journal.rows[-1].played == f"header {scenario}"


async def test_a_slow_answer() -> None:
    async with connect() as world:
        assert (await world.register(headers={"X_Sim_Scenario": "slow=10ms"})).json() == {"orderId": 14}
        assert (await world.register(headers={"X_Sim_Scenario": "delay=0.01s"})).json() == {"orderId": 15}


async def test_header_over_armed_fault_over_script_over_magic_value_over_default() -> None:
    async with connect() as world:
        world.sim.script("*", customer="error")
        world.sim.faults.arm(Fault("POST " + REGISTER, "status", 503))
        assert (await world.register("+cancel", headers={"X_Sim_Scenario": "status=500"})).status_code == 500
        assert (await world.register("+cancel")).status_code == 503
        assert claims_of(await world.visit(await world.register_order())) == ["error"]
        assert claims_of(await world.visit(await world.register_order("+cancel"))) == ["cancel"]
        by_header = await world.register_order("+cancel", headers={"X_Sim_Scenario": "unknown-forever"})
        assert claims_of(await world.visit(by_header)) == ["unknown"]
        world.sim.script("cart-17", customer="success")
        assert claims_of(await world.visit(await world.register_order("+cancel"))) == ["success"]
        assert claims_of(await world.visit(by_header)) == ["unknown"]


async def test_a_tag_in_the_header_of_a_completion() -> None:
    async with connect() as world:
        order_id = await world.register_order("", "sms")
        assert (await world.complete(order_id, X_Sim_Scenario="sms02"))["fulfillmentStatus"] == "ERROR"


# ---------------------------------------------------------------- switches


async def test_the_statuses_are_switches() -> None:
    async with connect(fulfilled_status="done", stopped_status="halted", transferred_status="sent", transfer_delay=60.0) as world:
        paid, stopped = await world.register_order("+success"), await world.register_order("+cancel")
        await world.visit(paid)
        await world.visit(stopped)
        assert (await world.order_status(paid), await world.order_status(stopped)) == ("done", "halted")
        await world.sim.advance(60.0)
        assert await world.order_status(paid) == "sent"


async def test_order_ids_as_text() -> None:
    async with connect(order_id_as_text=True) as world:
        assert (await world.register()).json() == {"orderId": "14"}
        assert (await world.row(14))["orderId"] == "14"


@pytest.mark.parametrize(("switch", "status", "rows"), [("400", 400, None), ("404", 404, None), ("empty", 200, [])])
async def test_an_unknown_order(switch: str, status: int, rows: object) -> None:
    async with connect(unknown_order=switch) as world:
        answer = await world.http.get("/capi/v1/client/order/status/99")
        assert (answer.status_code, answer.json().get("orders")) == (status, rows)


async def test_a_delay_between_paid_and_fulfilled() -> None:
    async with connect(fulfil_delay=10.0) as world:
        order_id = await world.register_order("+success")
        await world.visit(order_id)
        assert await world.order_status(order_id) == "preliminary"
        await world.sim.advance(10.0)
        assert await world.order_status(order_id) == "fulfilled"


async def test_prepaid_by_url() -> None:
    async with connect() as world:
        order_id = await world.register_order(prepaid=True)
        assert claims_of(await world.visit(order_id)) == ["success"]
        world.sim.set_switch("prepaid_return", "bare")
        assert claims_of(await world.visit(order_id)) == []
        world.sim.set_switch("prepaid_by_url", "error page")
        assert (await world.visit(order_id)).status_code == 400


async def test_the_query_of_a_return_url_may_be_lost() -> None:
    async with connect(return_query="dropped") as world:
        answer = await world.visit(await world.register_order("+success"))
        assert answer.headers["location"] == f"{world.ours}/back?fulfillmentStatus=success"


async def test_return_urls_may_be_allow_listed() -> None:
    async with connect(return_allow_list=("https://shop.example/",)) as world:
        order_id = await world.register_order("+success")
        assert (await world.visit(order_id)).status_code == 400
        assert (await world.visit(order_id, returnUrl="https://shop.example/back")).status_code == 302


async def test_whether_a_stopped_order_can_be_paid() -> None:
    async with connect() as world:
        order_id = await world.register_order("+cancel")
        await world.visit(order_id)
        assert (await world.visit(order_id)).status_code == 302
        world.sim.set_switch("pay_after_stop", False)
        assert (await world.visit(order_id)).status_code == 400
        assert (await world.http.post(f"/user/pay/{order_id}", data={"action": "pay"})).status_code == 409


async def test_a_payment_whose_result_was_lost_may_arrive() -> None:
    async with connect(lost_paid_after=60.0) as world:
        order_id = await world.register_order("+unknown-forever")
        await world.visit(order_id)
        await world.sim.advance(60.0)
        assert await world.order_status(order_id) == "fulfilled"


async def test_an_unpaid_order_may_expire() -> None:
    async with connect(expire_after=60.0) as world:
        order_id = await world.register_order()
        await world.sim.advance(60.0)
        assert (await world.http.get(f"/capi/v1/client/order/status/{order_id}")).status_code == 400


@pytest.mark.parametrize(
    ("switch", "method", "answer"),
    [("either", "swishPayex", "OK"), ("A3", "swishPayex", "ERROR"), ("G4", "creditcardPayex", "ERROR"), ("A3", "creditcardPayex", "OK")],
)
async def test_which_methods_the_api_accepts(switch: str, method: str, answer: str) -> None:
    async with connect(api_methods=switch) as world:
        order_id = await world.register_order("", method)
        assert (await world.complete(order_id))["fulfillmentStatus"] == answer
        if answer == "ERROR":
            world.sim.set_switch("unfit_method", "400")
            assert (await world.complete(order_id))["status"] == 400


async def test_the_order_id_of_the_apis_answer() -> None:
    async with connect(ok_order_id="number", error_order_id="null") as world:
        assert (await world.complete(await world.register_order("", "invoice")))["orderId"] == 14
        assert (await world.complete(await world.register_order("", "smsPay")))["orderId"] is None


@pytest.mark.parametrize(
    ("switch", "status", "answer", "calls"),
    [("again", 200, "OK", 2), ("same", 200, "OK", 1), ("ERROR", 200, "ERROR", 1), ("400", 400, None, 1)],
)
async def test_completing_twice(switch: str, status: int, answer: str | None, calls: int) -> None:
    async with connect(complete_twice=switch) as world:
        order_id = await world.register_order("", "sms")
        await world.complete(order_id)
        again = await world.complete(order_id)
        assert (again["status"], again.get("fulfillmentStatus")) == (status, answer)
        await world.sim.drain()
        assert len(world.calls) == calls


async def test_switches_of_callbacks() -> None:
    async with connect(callback_methods="all", callback_join="?", callback_https_only=False) as world:
        order_id = await world.register_order("", "invoice")
        await world.complete(order_id, f"{world.ours}/called?v=1")
        await world.sim.drain()
        assert world.calls == ["/called v=1?fulfillmentStatus=success"]
        world.sim.set_switch("callback_https_only", True)
        assert (await world.complete(order_id))["status"] == 400


@pytest.mark.parametrize(("switch", "second", "orders"), [("new", 200, 2), ("same", 200, 1), ("refuse", 400, 1)])
async def test_a_second_order_of_one_name(switch: str, second: int, orders: int) -> None:
    async with connect(duplicate_register=switch) as world:
        await world.register()
        assert (await world.register()).status_code == second
        assert len(world.sim.orders) == orders


async def test_assigning_early_and_twice() -> None:
    async with connect(assign_before_fulfilled=True, assign_twice="refuse") as world:
        order_id = await world.register_order("", "free")
        who = {"credential": "kari@example.org"}
        assert (await world.post(f"{REGISTER}/{order_id}/user", who)).status_code == 200
        assert (await world.post(f"{REGISTER}/{order_id}/user", who)).status_code == 400


async def test_methods_that_support_has_not_set_up() -> None:
    async with connect(configured_methods=("sms",)) as world:
        assert [(await world.register("", method)).status_code for method in ("kco", "sms", "invoice")] == [400, 200, 200]


async def test_content_type_unknown_fields_and_xml() -> None:
    async with connect() as world:
        plain = {"content-type": "text/plain"}
        assert (await world.http.post(FULFIL, content=b'{"orderId": 14}', headers=plain)).status_code == 400
        world.sim.set_switch("content_type", "any")
        order_id = await world.register_order("", "invoice")
        assert (await world.http.post(FULFIL, content=b'{"orderId": 14}', headers=plain)).status_code == 200
        world.sim.set_switch("unknown_fields", "refused")
        assert (await world.post(FULFIL, {"orderId": order_id, "callback": "x"})).status_code == 400
        world.sim.set_switch("xml_unless_asked", True)
        status = f"/capi/v1/client/order/status/{order_id}"
        assert (await world.http.get(status, headers={"accept": "*/*"})).headers["content-type"].startswith("application/xml")


async def test_lenient_accepts_what_the_pages_print_in_contradiction() -> None:
    by_switch = {"absolute_urls": False, "search_by_both": True}
    async with connect() as strict, connect(lenient=True) as lenient, connect(**by_switch) as switched:
        for world, expected in ((strict, 400), (lenient, 200), (switched, 200)):
            order_id = await world.register_order("", "invoice")
            assert (await world.complete(order_id, "shop.example/called"))["status"] == expected
            world.http.headers["authorization"] = f"Bearer {world.sim.issue_user_token()}"
            both = {"orderId": order_id, "externalOrderId": "cart-17"}
            assert (await world.post("/capi/v1/order/status", both)).status_code == expected
            page = await world.visit(order_id, returnUrl="shop.example/back")
            assert page.status_code == (302 if expected == 200 else 400)


async def test_where_credentials_may_have_arrived() -> None:
    async with connect() as world:
        for switch, body, query in (("any", 200, 200), ("body", 200, 401), ("query", 401, 200), ("basic", 401, 401)):
            world.sim.set_switch("token_credentials", switch)
            assert (await world.token(client_id="simulated-client")).status_code == body
            assert (await world.http.post("/user/oauth/token", params=GRANT)).status_code == query
        assert (await world.http.post("/user/oauth/token", data=GRANT, auth=("simulated-client", "simulated-secret"))).status_code == 200


async def test_switches_of_tokens() -> None:
    async with connect(token_seconds=60.0) as world:
        assert (await world.token(client_id="simulated-client")).json()["expires_in"] == 60
        world.http.headers["authorization"] = f"Bearer {world.sim.issue_user_token()}"
        assert (await world.register()).status_code == 401
        world.sim.set_switch("user_token_in_client_mode", True)
        assert (await world.register()).status_code == 200


async def test_retry_after_on_429() -> None:
    async with connect(retry_after=True) as world:
        world.sim.limit(1, per_seconds=7.0)
        await world.register()
        answer = await world.register()
        assert (answer.status_code, answer.headers["retry-after"], answer.headers["x-ratelimit-remaining"]) == (429, "7", "0")
