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

from orderflow.providers.ccv.simulator import CcvSimulator
from orderflow.providers.connect.simulator import ConnectSimulator
from orderflow.simulators import SimClock, serve
from orderflow.simulators.operations import operation_id

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


async def told(http: httpx.AsyncClient, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    answer = await http.request(method, f"/_sim{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


# ---------------------------------------------------------------- time


async def test_the_clock_is_advanced_and_what_fell_due_has_happened() -> None:
    async with ccv("a", "b#screening") as (_, http):
        assert await told(http, "GET", "/clock") == {"now": 1000.0, "manual": True}
        assert (await told(http, "POST", "/clock", {"advance": "PT2M"}))["now"] == 1120.0
        orders = (await told(http, "GET", "/orders"))["orders"]
        assert [(order["id"], order["stage"]) for order in orders] == [("ccv-7-000001", "New"), ("ccv-7-000002", "Screening")]
        await told(http, "POST", "/clock", {"advance": 60})
        assert (await told(http, "GET", "/orders/ccv-7-000001"))["stage"] == "Completed"


async def test_the_clock_runs_and_stands_as_told_and_sleepers_sleep_on() -> None:
    async with ccv("a") as (sim, http):
        sim.clock.advance(59.99)
        assert not (await told(http, "POST", "/clock", {"manual": False}))["manual"]
        await asyncio.wait_for(sim.wait_for_status("ccv-7-000001", "Incomplete"), 5)
        assert (await told(http, "POST", "/clock", {"manual": True, "advance": "PT1M"}))["manual"]
        assert sim.orders[0].status == "New"


@pytest.mark.parametrize(
    "body", [{"advance": "soon"}, {"advance": "P"}, {"advance": -1}, {"advance": True}, {"manual": 1}, {"forward": 1}, [1]], ids=str
)
async def test_a_clock_call_that_makes_no_sense_changes_nothing(body: Any) -> None:
    async with ccv() as (sim, http):
        assert "error" in await told(http, "POST", "/clock", body, 400)
        assert (sim.clock.now(), sim.clock.manual) == (1000.0, True)


# ---------------------------------------------------------------- orders


async def test_legal_moves_by_hand_and_illegal_ones_by_force() -> None:
    async with ccv("a#stuck") as (_, http):
        moved = await told(http, "POST", "/orders/ccv-7-000001/transition", {"to": "Screening"})
        assert (moved["stage"], moved["legal"]) == ("Screening", ["New", "Closed", "Canceled", "Failed"])
        refusal = await told(http, "POST", "/orders/ccv-7-000001/transition", {"to": "Processing"}, 409)
        assert "from Screening to Processing" in refusal["error"]
        forced = await told(http, "POST", "/orders/ccv-7-000001/transition", {"to": "Processing", "force": True})
        assert forced["stage"] == "Processing"
        await told(http, "POST", "/orders/nobody/transition", {"to": "New"}, 404)
        await told(http, "GET", "/orders/nobody", None, 404)
        await told(http, "POST", "/orders/ccv-7-000001/transition", {"to": 5}, 400)


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

        async def read() -> str:
            answer = await http.get("/capi/v1/client/order/status/14", headers=headers)
            return str(answer.json()["orders"][0]["orderStatus"])

        refusal = await told(http, "POST", "/orders/14/transition", {"to": "fulfilled"}, 409)
        assert "from registered to fulfilled" in refusal["error"]
        steps = [("at payment", True), ("paid", False), ("fulfilled", False)]
        for to, force in steps:
            assert (await told(http, "POST", "/orders/14/transition", {"to": to, "force": force}))["stage"] == to
        assert await read() == "fulfilled"
        await told(http, "POST", "/orders/14/transition", {"to": "inTransfer", "force": True})
        assert await read() == "inTransfer"
        await told(http, "POST", "/orders/14/transition", {"to": "registered", "force": True})
        assert await read() == "preliminary"


async def test_a_reset_forgets_all_but_time_and_switches() -> None:
    async with ccv("a") as (sim, http):
        await told(http, "POST", "/faults", {"scenario": "500"})
        await told(http, "POST", "/switches", {"id_shape": "bare"})
        await told(http, "POST", "/clock", {"advance": 90})
        await told(http, "POST", "/reset")
        assert (sim.orders, sim.faults.armed, sim.journal.rows, sim.deliveries.rows) == ((), (), (), ())
        answer = await http.post(f"{PREFIX}/order", json=SUBMIT)
        assert (answer.json(), sim.clock.now()) == ("ccv-7-000001", 1090.0), "ids begin again"


async def test_chance_begins_again_at_a_reset() -> None:
    async with ccv() as (_, http):
        runs = []
        for _ in range(2):
            await told(http, "POST", "/reset")
            await told(http, "POST", "/faults", {"scenario": "503", "times": None, "chance": 0.5})
            runs.append([(await http.get(f"{PREFIX}/order/x/status")).status_code for _ in range(20)])
        assert runs[0] == runs[1]
        assert set(runs[0]) == {404, 503}


# ---------------------------------------------------------------- requests


async def test_near_misses_say_what_differs() -> None:
    async with ccv("order-1") as (_, http):
        await http.get(f"{PREFIX}/order/ccv-7-000001/status")
        expected = {"near": f"PUT {PREFIX}/order", "body": json.dumps({"externalReference": "order-2", "notify": True})}
        found = (await http.get("/_sim/requests", params=expected)).json()["near"]
        assert found[0]["request"]["path"] == f"{PREFIX}/order"
        assert found[0]["differs"] == [
            "method: expected PUT, got POST",
            "body.externalReference: expected 'order-2', got another value",
            "body.notify: missing",
        ]
        exact = {"near": f"POST {PREFIX}/order", "body": json.dumps({"externalReference": "order-1"})}
        assert (await http.get("/_sim/requests", params=exact)).json()["near"][0]["score"] == 1
        assert (await http.get("/_sim/requests", params={"near": "POST /nothing"})).json() == {"near": []}


async def test_the_journal_is_read_and_cleared_and_control_calls_are_not_in_it() -> None:
    async with ccv("order-1") as (_, http):
        rows = (await http.get("/_sim/requests", params={"match": "POST"})).json()["requests"]
        assert [(row["answered"], row["executed"], json.loads(row["body"])["externalReference"]) for row in rows] == [
            (201, True, "order-1")
        ]
        assert (await http.get("/_sim/requests", params={"match": "GET"})).json() == {"requests": []}
        await told(http, "DELETE", "/requests")
        assert await told(http, "GET", "/requests") == {"requests": []}


# ---------------------------------------------------------------- faults


async def test_faults_by_match_status_and_count() -> None:
    async with ccv() as (_, http):
        match = f"POST {PREFIX}/order"
        armed = await told(http, "POST", "/faults", {"match": match, "status": 429, "retry_after": 2, "times": 2})
        assert (armed["faults"][0]["kind"], armed["faults"][0]["times"]) == ("status", 2)
        answers = [await http.post(f"{PREFIX}/order", json=SUBMIT) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [429, 429, 201]
        assert answers[0].headers["retry-after"] == "2"
        assert answers[0].json()["type"] == "error", "in the provider's own shape"
        await told(http, "POST", "/faults", {"match": match, "kind": "html", "body": "<p>no</p>"})
        assert (await http.post(f"{PREFIX}/order", json=SUBMIT)).text == "<p>no</p>"
        await told(http, "POST", "/faults", {"kind": "empty"})
        assert (await told(http, "DELETE", "/faults"))["faults"] == []


@pytest.mark.parametrize("body", [{"kind": "explode"}, {"scenario": "explode"}, {"kind": "empty", "tims": 2}], ids=str)
async def test_a_fault_that_is_none_is_refused(body: Any) -> None:
    async with ccv() as (sim, http):
        assert "error" in await told(http, "POST", "/faults", body, 400)
        assert sim.faults.armed == ()


async def test_deliveries_are_dropped_by_order() -> None:
    async with ccv() as (sim, http):
        sim.allow_http_notifications = True
        await told(http, "POST", "/deliveries", {"kind": "drop", "times": 1})
        hook = {"statusNotificationInformation": {"notificationUrl": "http://127.0.0.1:9/hook"}}
        await http.post(f"{PREFIX}/order", json={**SUBMIT, **hook})
        await told(http, "POST", "/clock", {"advance": 120})
        rows = (await told(http, "GET", "/deliveries"))["deliveries"]
        assert [row["outcome"] for row in rows] == ["dropped", "failed"]
        await told(http, "POST", "/deliveries", {"kind": "lose"}, 400)
        assert (await told(http, "DELETE", "/deliveries"))["armed"] == []


# ---------------------------------------------------------------- events, lists, description


async def test_events_are_followed_and_taken_up_again() -> None:
    async with ccv("a") as (sim, http):
        seen: list[str] = []

        async def follow(after: str, until: str) -> str:
            async with http.stream("GET", "/_sim/events", headers={"last-event-id": after}) as feed:
                number = ""
                async for line in feed.aiter_lines():
                    number = line.removeprefix("id: ") if line.startswith("id: ") else number
                    if line.startswith("data: "):
                        seen.append(str(json.loads(line[6:]).get("status")))
                    if seen and seen[-1] == until:
                        return number
            return number

        last = await asyncio.wait_for(follow("0", "Processing"), 5)
        following = asyncio.create_task(follow(last, "New"))
        await sim.advance(120.0)
        await asyncio.wait_for(following, 5)
        assert [status for status in seen if status != "None"] == ["Processing", "Incomplete", "New"]


async def test_a_feed_that_is_followed_does_not_hold_the_server_open() -> None:
    async with httpx.AsyncClient(trust_env=False) as http, CcvSimulator() as sim:
        async with serve(sim.asgi) as base:
            feed = await http.send(http.build_request("GET", f"{base}/_sim/events"), stream=True)
        await asyncio.wait_for(feed.aread(), 5)
        await feed.aclose()


async def test_scenarios_and_switches_are_listed_and_switches_turned() -> None:
    async with ccv() as (sim, http):
        listed = await told(http, "GET", "/scenarios")
        assert "#screening-rejected" in {magic["value"] for magic in listed["values"]}
        assert "reset-after-commit" in listed["header"]
        turned = await told(http, "POST", "/switches", {"id_shape": "bare", "null_reference": True})
        now = {row["name"]: row["now"] for row in turned["switches"]}
        assert (now["id_shape"], now["null_reference"], sim.id_shape) == ("bare", True, "bare")
        assert "id_shape: must be" in (await told(http, "POST", "/switches", {"id_shape": "b"}, 400))["error"]
        assert "unknown switch" in (await told(http, "POST", "/switches", {"shape": "b"}, 400))["error"]


async def test_another_site_cannot_press_buttons() -> None:
    async with ccv("a") as (sim, http):
        answer = await http.post("/_sim/", data={"reset": "yes"}, headers={"sec-fetch-site": "cross-site"})
        assert (answer.status_code, len(sim.orders)) == (403, 1)


@pytest.mark.parametrize("make", [CcvSimulator, ConnectSimulator])
async def test_the_description_names_every_call_with_its_evidence_and_page(make: Any) -> None:
    async with make() as sim, serve(Starlette(routes=[Mount("/deep", sim.asgi)])) as base, httpx.AsyncClient(trust_env=False) as http:
        made = (await http.get(f"{base}/deep/_sim/openapi.json")).json()
        assert made["servers"] == [{"url": "/deep"}]
        described = {(method.upper(), path) for path, calls in made["paths"].items() for method in calls}
        assert described == {(operation.method, operation.path) for operation in sim.operations()}
        assert len({operation_id(operation) for operation in sim.operations()}) == len(described)
        for calls in made["paths"].values():
            for call in calls.values():
                assert call["x-source"]
                for part in (call, *call["responses"].values()):
                    assert part["x-evidence"] in {"documented", "inferred", "assumed"}
        for method, path in described:
            answer = await http.request(method, f"{base}/deep{path.replace('{orderId}', '99')}")
            assert str(answer.status_code) in made["paths"][path][method.lower()]["responses"], (method, path, answer.status_code)
