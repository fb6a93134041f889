"""The control calls below /_sim, for both simulators: what a test in any language may do to them, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow._providers.connect.simulator import ConnectSimulator
from orderflow._simulators.faults import KINDS
from orderflow._simulators.operations import operation_id
from orderflow.simulators import SimClock, serve

pytestmark = pytest.mark.anyio

PREFIX = "/api/ordercompletion/reseller"
SUBMIT = {"notifyCustomerByEmail": False, "order": {"a": 1}}


@asynccontextmanager
async def ccv(*references: str, manual: bool = True) -> AsyncIterator[tuple[CcvSimulator, httpx.AsyncClient]]:
    async with (
        CcvSimulator(clock=SimClock(start=1000.0, manual=manual), api_key=None, step_seconds=60.0, seed=7) as sim,
        serve(sim.asgi) as base,
        httpx.AsyncClient(base_url=base, trust_env=False, timeout=5.0) as http,
    ):
        for reference in references:
            await http.post(f"{PREFIX}/order", json={**SUBMIT, "externalReference": reference})
        yield sim, http


async def control(http: httpx.AsyncClient, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    answer = await http.request(method, f"/_sim{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


# ---------------------------------------------------------------- time


async def test_advancing_the_clock_returns_after_what_fell_due_has_happened() -> None:
    async with ccv("a", "b#screening") as (_, http):
        assert await control(http, "GET", "/clock") == {"now": 1000.0, "manual": True}
        assert (await control(http, "POST", "/clock", {"advance": "PT2M"}))["now"] == 1120.0
        orders = (await control(http, "GET", "/orders"))["orders"]
        assert [(order["id"], order["stage"]) for order in orders] == [("ccv-7-000001", "New"), ("ccv-7-000002", "Screening")]
        await control(http, "POST", "/clock", {"advance": 60})
        assert (await control(http, "GET", "/orders/ccv-7-000001"))["stage"] == "Completed"


async def test_the_clock_runs_or_stops_and_sleeping_tasks_go_on_sleeping() -> None:
    async with ccv("a") as (sim, http):
        sim.clock.advance(59.99)
        assert not (await control(http, "POST", "/clock", {"manual": False}))["manual"]
        await asyncio.wait_for(sim.wait_for_status("ccv-7-000001", "Incomplete"), 5)
        assert (await control(http, "POST", "/clock", {"manual": True, "advance": "PT1M"}))["manual"]
        assert sim.orders[0].status == "New"


@pytest.mark.parametrize(
    "body", [{"advance": "soon"}, {"advance": "P"}, {"advance": -1}, {"advance": True}, {"manual": 1}, {"forward": 1}, [1]], ids=str
)
async def test_an_invalid_clock_call_changes_nothing(body: Any) -> None:
    async with ccv() as (sim, http):
        assert "error" in await control(http, "POST", "/clock", body, 400)
        assert (sim.clock.now(), sim.clock.manual) == (1000.0, True)


# ---------------------------------------------------------------- orders


async def test_orders_move_by_hand_and_against_the_rules_by_force() -> None:
    async with ccv("a#stuck") as (_, http):
        moved = await control(http, "POST", "/orders/ccv-7-000001/transition", {"to": "Screening"})
        assert (moved["stage"], moved["legal"]) == ("Screening", ["New", "Closed", "Canceled", "Failed"])
        refusal = await control(http, "POST", "/orders/ccv-7-000001/transition", {"to": "Processing"}, 409)
        assert "from Screening to Processing" in refusal["error"]
        forced = await control(http, "POST", "/orders/ccv-7-000001/transition", {"to": "Processing", "force": True})
        assert forced["stage"] == "Processing"
        await control(http, "POST", "/orders/missing/transition", {"to": "New"}, 404)
        await control(http, "GET", "/orders/missing", None, 404)
        await control(http, "POST", "/orders/ccv-7-000001/transition", {"to": 5}, 400)


async def test_an_order_is_shown_with_its_drawing() -> None:
    async with ccv("a") as (_, http):
        await control(http, "POST", "/clock", {"advance": 60})
        rows = (await control(http, "GET", "/orders/ccv-7-000001"))["flow"]
        marks = {box["stage"]: box["mark"] for row in rows for box in row}
        assert [marks[stage] for stage in ("Processing", "Incomplete", "New", "Completed")] == ["passed", "current", "next", "other"]


async def test_connects_orders_move_by_hand() -> None:
    async with (
        ConnectSimulator(clock=SimClock(manual=True)) as sim,
        serve(sim.asgi) as base,
        httpx.AsyncClient(base_url=base, trust_env=False) as http,
    ):
        grant = {"grant_type": "client_credentials", "client_id": "simulated-client", "client_secret": "simulated-secret"}
        token = (await http.post("/user/oauth/token", data=grant)).json()["access_token"]
        headers = {"authorization": f"Bearer {token}"}
        line = {"productSpecType": "product", "product": "x"}
        payer = {"lastName": "Hansen", "postalCode": "0150", "emails": ["k@example.org"]}
        body = {"payer": payer, "orderLines": [line], "paymentMethod": "kco"}
        await http.post("/capi/v1/client/order", json=body, headers=headers)

        async def status() -> str:
            answer = await http.get("/capi/v1/client/order/status/14", headers=headers)
            return str(answer.json()["orders"][0]["orderStatus"])

        refusal = await control(http, "POST", "/orders/14/transition", {"to": "fulfilled"}, 409)
        assert "from registered to fulfilled" in refusal["error"]
        steps = [("at payment", True), ("paid", False), ("fulfilled", False)]
        for to, force in steps:
            assert (await control(http, "POST", "/orders/14/transition", {"to": to, "force": force}))["stage"] == to
        assert await status() == "fulfilled"
        await control(http, "POST", "/orders/14/transition", {"to": "inTransfer", "force": True})
        assert await status() == "inTransfer"
        await control(http, "POST", "/orders/14/transition", {"to": "registered", "force": True})
        assert await status() == "preliminary"


async def test_a_reset_deletes_all_but_time_and_switches() -> None:
    async with ccv("a") as (sim, http):
        await control(http, "POST", "/faults", {"kind": "status", "status": 500})
        await control(http, "POST", "/switches", {"id_shape": "bare"})
        await control(http, "POST", "/clock", {"advance": 90})
        await control(http, "POST", "/reset")
        assert (sim.orders, sim.faults.armed, sim.journal.rows, sim.deliveries.rows) == ((), (), (), ())
        answer = await http.post(f"{PREFIX}/order", json=SUBMIT)
        assert (answer.json(), sim.clock.now()) == ("ccv-7-000001", 1090.0), "ids start again"


async def test_randomness_starts_again_after_a_reset() -> None:
    async with ccv() as (_, http):
        runs = []
        for _ in range(2):
            await control(http, "POST", "/reset")
            await control(http, "POST", "/faults", {"kind": "status", "status": 503, "times": None, "chance": 0.5})
            runs.append([(await http.get(f"{PREFIX}/order/x/status")).status_code for _ in range(20)])
        assert runs[0] == runs[1]
        assert set(runs[0]) == {404, 503}


# ---------------------------------------------------------------- requests


async def test_near_misses_name_each_difference() -> None:
    async with ccv("order-1") as (_, http):
        await http.get(f"{PREFIX}/order/ccv-7-000001/status")
        expected = {"near": f"PUT {PREFIX}/order", "body": json.dumps({"externalReference": "order-2", "notify": True})}
        misses = (await http.get("/_sim/requests", params=expected)).json()["near"]
        assert misses[0]["request"]["path"] == f"{PREFIX}/order"
        assert misses[0]["differs"] == [
            "method: expected PUT, got POST",
            "body.externalReference: expected 'order-2', got another value",
            "body.notify: missing",
        ]
        exact = {"near": f"POST {PREFIX}/order", "body": json.dumps({"externalReference": "order-1"})}
        assert (await http.get("/_sim/requests", params=exact)).json()["near"][0]["score"] == 1
        assert (await http.get("/_sim/requests", params={"near": "POST /nothing"})).json() == {"near": []}


async def test_the_journal_is_listed_and_cleared_and_has_no_control_calls() -> None:
    async with ccv("order-1") as (_, http):
        rows = (await http.get("/_sim/requests", params={"match": "POST"})).json()["requests"]
        assert [(row["answered"], row["executed"], json.loads(row["body"])["externalReference"]) for row in rows] == [
            (201, True, "order-1")
        ]
        assert (await http.get("/_sim/requests", params={"match": "GET"})).json() == {"requests": []}
        await control(http, "DELETE", "/requests")
        assert await control(http, "GET", "/requests") == {"requests": []}


# ---------------------------------------------------------------- faults


async def test_faults_have_a_match_a_status_and_a_count() -> None:
    async with ccv() as (_, http):
        match = f"POST {PREFIX}/order"
        armed = await control(http, "POST", "/faults", {"match": match, "status": 429, "retry_after": 2, "times": 2})
        assert (armed["faults"][0]["kind"], armed["faults"][0]["times"]) == ("status", 2)
        answers = [await http.post(f"{PREFIX}/order", json=SUBMIT) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [429, 429, 201]
        assert answers[0].headers["retry-after"] == "2"
        assert answers[0].json()["type"] == "error", "in the provider's own shape"
        await control(http, "POST", "/faults", {"match": match, "kind": "html", "body": "<p>no</p>"})
        assert (await http.post(f"{PREFIX}/order", json=SUBMIT)).text == "<p>no</p>"
        await control(http, "POST", "/faults", {"kind": "empty"})
        assert (await control(http, "DELETE", "/faults"))["faults"] == []


async def test_a_given_body_and_headers_replace_the_providers_own() -> None:
    async with ccv() as (_, http):
        fault = {"kind": "status-after-commit", "status": 502, "body": "down", "headers": {"content-type": "text/plain"}}
        await control(http, "POST", "/faults", fault)
        answer = await http.post(f"{PREFIX}/order", json=SUBMIT)
        assert (answer.status_code, answer.text, answer.headers["content-type"]) == (502, "down", "text/plain")
        assert len((await control(http, "GET", "/orders"))["orders"]) == 1


async def test_the_status_kinds_have_the_providers_headers_and_body_unless_it_is_another_body() -> None:
    async with ccv() as (sim, http):
        sim.error_body = "text"
        for kind in ("status", "status-after-commit", "status-html", "status-empty"):
            await control(http, "POST", "/faults", {"kind": kind, "status": 503})
        bodies = [fault["body"] for fault in (await control(http, "GET", "/faults"))["faults"]]
        assert bodies == ["a simulated error", "a simulated error", "", ""]
        answers = [await http.get(f"{PREFIX}/order/x/status") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [503] * 4
        assert [answer.headers["content-type"].partition(";")[0] for answer in answers] == ["text/plain"] * 2 + ["text/html", "text/plain"]
        assert [answer.text[:9] for answer in answers] == ["a simulat", "a simulat", "<!doctype", ""]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "explode"}, "kind"),
        ({"scenario": "reset"}, "scenario"),
        ({"kind": "empty", "tims": 2}, "tims"),
        ({"status": "500"}, "status"),
        ({"status": 7}, "status"),
        ({"kind": "slow", "seconds": "5s"}, "seconds"),
        ({"kind": "empty", "times": True}, "times"),
        ({"kind": "html", "headers": []}, "headers"),
    ],
    ids=str,
)
async def test_an_invalid_fault_is_refused(body: Any, field: str) -> None:
    async with ccv() as (sim, http):
        assert (await control(http, "POST", "/faults", body, 400))["error"].startswith(f"{field}: ")
        assert sim.faults.armed == ()


async def test_delivery_faults_are_armed_and_cleared() -> None:
    async with ccv() as (sim, http):
        sim.allow_http_notifications = True
        await control(http, "POST", "/deliveries", {"kind": "drop", "times": 1})
        hook = {"statusNotificationInformation": {"notificationUrl": "http://127.0.0.1:9/hook"}}
        await http.post(f"{PREFIX}/order", json={**SUBMIT, **hook})
        await control(http, "POST", "/clock", {"advance": 120})
        rows = (await control(http, "GET", "/deliveries"))["deliveries"]
        assert [row["outcome"] for row in rows] == ["dropped", "failed"]
        await control(http, "POST", "/deliveries", {"kind": "lose"}, 400)
        await control(http, "POST", "/deliveries", {"kind": "drop", "times": "2"}, 400)
        assert (await control(http, "POST", "/deliveries", {"kind": "delay", "match": "POST /hook"}))["armed"] == ["delay POST /hook x1"]
        assert (await control(http, "DELETE", "/deliveries"))["armed"] == []


# ---------------------------------------------------------------- events, lists, description


async def test_the_event_feed_resumes_after_the_last_event_id() -> None:
    async with ccv("a") as (sim, http):
        statuses: list[str] = []

        async def follow(after: str, until: str) -> str:
            async with http.stream("GET", "/_sim/events", headers={"last-event-id": after}) as feed:
                number = ""
                async for line in feed.aiter_lines():
                    number = line.removeprefix("id: ") if line.startswith("id: ") else number
                    if line.startswith("data: "):
                        statuses.append(str(json.loads(line[6:]).get("status")))
                    if statuses and statuses[-1] == until:
                        return number
            return number

        last = await asyncio.wait_for(follow("0", "Processing"), 5)
        following = asyncio.create_task(follow(last, "New"))
        await sim.advance(120.0)
        await asyncio.wait_for(following, 5)
        assert [status for status in statuses if status != "None"] == ["Processing", "Incomplete", "New"]


async def test_a_followed_feed_does_not_keep_the_server_from_stopping() -> None:
    async with httpx.AsyncClient(trust_env=False) as http, CcvSimulator() as sim:
        async with serve(sim.asgi) as base:
            feed = await http.send(http.build_request("GET", f"{base}/_sim/events"), stream=True)
        await asyncio.wait_for(feed.aread(), 5)
        await feed.aclose()


async def test_scenarios_and_switches_are_listed_and_switches_are_set() -> None:
    async with ccv() as (sim, http):
        listed = await control(http, "GET", "/scenarios")
        assert "#screening-rejected" in {magic["value"] for magic in listed["values"]}
        assert "reset-after-commit" in listed["header"]
        changed = await control(http, "POST", "/switches", {"id_shape": "bare", "null_reference": True})
        now = {row["name"]: row["now"] for row in changed["switches"]}
        assert (now["id_shape"], now["null_reference"], sim.id_shape) == ("bare", True, "bare")
        assert "id_shape: must be" in (await control(http, "POST", "/switches", {"id_shape": "b"}, 400))["error"]
        assert "unknown switch" in (await control(http, "POST", "/switches", {"shape": "b"}, 400))["error"]


async def test_the_kinds_of_faults_have_the_same_names_everywhere() -> None:
    async with ccv() as (sim, http):
        items = list((await control(http, "GET", "/scenarios"))["header"])
        assert [item.partition("=")[0] for item in items] == (await control(http, "GET", "/faults"))["kinds"] == list(KINDS)
        for item in items:
            form = {"match": "", "fault": item, "times": "1"}
            assert (await http.post("/_sim/", data=form)).status_code == 303
        assert [fault.kind for fault in sim.faults.armed] == list(KINDS)


async def test_another_site_cannot_press_buttons() -> None:
    async with ccv("a") as (sim, http):
        answer = await http.post("/_sim/", data={"reset": "yes"}, headers={"sec-fetch-site": "cross-site"})
        assert (answer.status_code, len(sim.orders)) == (403, 1)


@pytest.mark.parametrize("make", [CcvSimulator, ConnectSimulator])
async def test_the_openapi_document_has_every_call_with_its_evidence_and_source(make: Any) -> None:
    async with make() as sim, serve(Starlette(routes=[Mount("/deep", sim.asgi)])) as base, httpx.AsyncClient(trust_env=False) as http:
        document = (await http.get(f"{base}/deep/_sim/openapi.json")).json()
        assert document["servers"] == [{"url": "/deep"}]
        described = {(method.upper(), path) for path, calls in document["paths"].items() for method in calls}
        assert described == {(operation.method, operation.path) for operation in sim.operations()}
        assert len({operation_id(operation) for operation in sim.operations()}) == len(described)
        for calls in document["paths"].values():
            for call in calls.values():
                assert call["x-source"]
                for part in (call, *call["responses"].values()):
                    assert part["x-evidence"] in {"documented", "inferred", "assumed"}
        for method, path in described:
            answer = await http.request(method, f"{base}/deep{path.replace('{orderId}', '99')}")
            assert str(answer.status_code) in document["paths"][path][method.lower()]["responses"], (method, path, answer.status_code)


# ---------------------------------------------------------------- pages


async def test_the_pages_work_without_a_browser() -> None:
    """Each button does what the control call does; tests/browser has the look of the pages."""
    async with ccv("a") as (sim, http):
        assert "ccv-7-000001" in (await http.get("/_sim/")).text
        assert (await http.post("/_sim/", data={"advance": "PT1M"})).status_code == 303
        assert sim.orders[0].status == "Incomplete"
        assert (await http.post("/_sim/order/ccv-7-000001", data={"to": "Screening"})).status_code == 303
        assert (await http.post("/_sim/order/ccv-7-000001", data={"to": "Processing"})).status_code == 409
        assert (await http.post("/_sim/order/ccv-7-000001", data={"to": "Processing", "force": "yes"})).status_code == 303
        assert sim.orders[0].status == "Processing"
        assert (await http.post("/_sim/order/missing", data={"to": "New"})).status_code == 404
        invalid = await http.post("/_sim/", data={"fault": "explode", "times": "1"})
        assert (invalid.status_code, sim.faults.armed) == (400, ())
        await http.post("/_sim/", data={"match": "GET", "fault": "status=503", "times": "2"})
        assert [(fault.match, fault.kind, fault.status, fault.times) for fault in sim.faults.armed] == [("GET", "status", 503, 2)]
        await http.post("/_sim/", data={"clear": "yes"})
        assert sim.faults.armed == ()
        await http.post("/_sim/", data={"manual": "no"})
        assert not sim.clock.manual
        for page in ("/journal", "/magic", "/order/ccv-7-000001"):
            assert (await http.get(f"/_sim{page}")).status_code == 200
        assert (await http.get("/_sim/style.css")).headers["content-type"].startswith("text/css")
        await http.post("/_sim/", data={"reset": "yes"})
        assert sim.orders == ()
