"""Every behaviour of the simulated CCV, by its magic value, header or switch, over a real socket.

docs/how-to/simulate-a-provider.md has the table of them; tests/unit/simulators/test_guide.py compares both.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from attrs import define, field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow.errors import InvalidInput, UnknownName
from orderflow.simulators import Fault, SimClock, serve

pytestmark = pytest.mark.anyio

PREFIX = "/api/ordercompletion/reseller"
LONG = ["Processing", "Incomplete", "AwaitingPayment", "New", "FulfillmentInProgress", "FulfillmentDone", "Completed"]


@define
class Ccv:
    """A simulator with a manual clock, a client, and the client's notification URL."""

    sim: CcvSimulator
    http: httpx.AsyncClient
    hook: str
    notifications: list[float] = field(factory=list)
    receiver_delay: float = 0.0

    async def submit(self, reference: str | None = None, *, scenario: str = "", **more: Any) -> httpx.Response:
        body = {"notifyCustomerByEmail": False, "order": {"a": 1}, "externalReference": reference, **more}
        body.setdefault("statusNotificationInformation", {"notificationUrl": self.hook})
        headers = {"X-Sim-Scenario": scenario} if scenario else {}
        return await self.http.post("/order", json={k: v for k, v in body.items() if v is not None}, headers=headers)

    async def status(self, order_id: str = "ccv-0-000001") -> httpx.Response:
        return await self.http.get(f"/order/{order_id}/status")

    async def order_status(self) -> str:
        return str((await self.status()).json()["orderStatus"])

    async def poll(self, steps: int) -> list[str]:
        """The statuses that polls between any two steps answer."""
        statuses = [await self.order_status()]
        for _ in range(steps):
            await self.sim.advance(1.0)
            statuses.append(await self.order_status())
        return statuses


@asynccontextmanager
async def ccv(**switches: Any) -> AsyncIterator[Ccv]:
    async def receive(_: Request) -> Response:
        await asyncio.sleep(world.receiver_delay)
        world.notifications.append(sim.clock.now())
        return Response(status_code=204)

    sim = CcvSimulator(**{"clock": SimClock(start=1000.0, manual=True), "api_key": None, "allow_http_notifications": True, **switches})
    async with (
        sim,
        serve(sim.asgi) as url,
        serve(Starlette(routes=[Route("/hook", receive, methods=["POST"])])) as hook,
        httpx.AsyncClient(base_url=url + PREFIX, trust_env=False, timeout=5.0) as http,
    ):
        world = Ccv(sim, http, f"{hook}/hook")
        yield world


# ---------------------------------------------------------------- lives by tag

WAYS = {
    "": ["Processing", "Incomplete", "New", "Completed"],
    "#happy": ["Processing", "Incomplete", "New", "Completed"],
    "#pay": LONG,
    "#screening": ["Processing", "Incomplete", "Screening", "New", "Completed"],
    "#screening-rejected": ["Processing", "Incomplete", "Screening", "Closed"],
    "#pay-failed": ["Processing", "Incomplete", "AwaitingPayment", "Failed"],
    "#recovered": ["Processing", "Incomplete", "AwaitingPayment", "Failed", "New", "Completed"],
    "#canceled": ["Processing", "Incomplete", "Canceled"],
    "#canceled@Screening": ["Processing", "Incomplete", "Screening", "Canceled"],
    "#closed@New": ["Processing", "Incomplete", "New", "Closed"],
    "#failed@AwaitingPayment": ["Processing", "Incomplete", "AwaitingPayment", "Failed"],
    "#stuck": ["Processing", "Incomplete", "Incomplete", "Incomplete"],
    "#stuck@AwaitingPayment": ["Processing", "Incomplete", "AwaitingPayment", "AwaitingPayment"],
    "#jump": ["Processing", "Completed"],
    "#erp": ["Processing", "Incomplete", "New", "ErpInProgress", "Completed"],
    "#unknown-status": ["Processing", "Incomplete", "OnHold", "New", "Completed"],
    "#regress": ["Processing", "Incomplete", "New", "Screening"],
}


@pytest.mark.parametrize("tag", WAYS)
async def test_a_life_by_its_tag(tag: str) -> None:
    async with ccv() as world:
        assert (await world.submit(f"ORDER-42{tag}")).status_code == 201
        assert await world.poll(len(WAYS[tag]) - 1) == WAYS[tag]
        assert (await world.status()).json()["externalReference"] == f"ORDER-42{tag}", "answered whole: the application compares it"


async def test_fast_changes_send_two_notifications_but_polls_answer_the_newest_status() -> None:
    async with ccv() as world:
        await world.submit("r#fast")
        await world.sim.advance(1.0)
        assert len(world.notifications) == 2
        assert await world.order_status() == "New"


async def test_an_unknown_tag_asks_for_nothing_and_is_noted() -> None:
    async with ccv() as world:
        await world.submit("ORDER#17+pya")
        assert await world.poll(3) == WAYS[""]
        assert world.sim.order_views()[0].notes == ("The tag #17 means nothing here.", "The tag #pya means nothing here.")


# ---------------------------------------------------------------- notifications


@pytest.mark.parametrize(("tag", "counts"), [("", [1, 2, 3]), ("#notify-lost", [0, 0, 0]), ("#notify-dup", [2, 4, 6])])
async def test_lost_and_duplicate_notifications(tag: str, counts: list[int]) -> None:
    async with ccv() as world:
        await world.submit(f"r{tag}")
        received = []
        for _ in range(3):
            await world.sim.advance(1.0)
            received.append(len(world.notifications))
        assert received == counts


async def test_a_notification_before_the_submit_is_answered() -> None:
    async with ccv() as world:
        submitted = asyncio.create_task(world.submit("r#notify-early"))
        answer = await submitted
        (notification,) = world.sim.deliveries.rows
        assert (notification.at, world.sim.journal.rows[0].answered) == (1000.0, 201)
        assert answer.json()["orderId"] == "ccv-0-000001"
        assert await world.order_status() == "Incomplete"


async def test_a_stale_status_just_after_the_notification() -> None:
    async with ccv() as world:
        await world.submit("r#notify-stale+stuck")
        await world.sim.advance(1.0)
        assert (len(world.notifications), await world.order_status()) == (1, "Processing")
        await world.sim.advance(2.0)
        assert await world.order_status() == "Incomplete"


async def test_a_receiver_that_is_too_slow_counts_as_failed() -> None:
    async with ccv() as world:
        world.receiver_delay = 0.5
        await world.submit("r#notify-slow+stuck")
        await world.sim.advance(1.0)
        assert [row.outcome for row in world.sim.deliveries.rows] == ["failed"]


async def test_a_notification_that_ccv_did_not_send() -> None:
    async with ccv() as world:
        await world.submit("r#notify-stranger")
        await world.sim.deliveries.drain()
        assert (len(world.notifications), await world.order_status()) == (1, "Processing")


async def test_tags_combine() -> None:
    async with ccv() as world:
        assert (await world.submit("r#screening#notify-dup+200")).status_code == 200
        assert await world.poll(2) == ["Processing", "Incomplete", "Screening"]
        assert len(world.notifications) == 4


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("tag", "answer"),
    [
        ("#id@id", '{"id":"ccv-0-000001"}'),
        ("#id@reference", '{"reference":"ccv-0-000001"}'),
        ("#id@bare", '"ccv-0-000001"'),
        ("#id@location", ""),
        ("#id@missing", '{"message":"Success"}'),
    ],
)
async def test_the_id_under_another_name(tag: str, answer: str) -> None:
    async with ccv() as world:
        response = await world.submit(f"r{tag}")
        assert response.text == answer
        assert response.headers.get("location", PREFIX + "/order/ccv-0-000001") == PREFIX + "/order/ccv-0-000001"


@pytest.mark.parametrize("status", [200, 201])
async def test_both_documented_codes(status: int) -> None:
    async with ccv() as world:
        assert (await world.submit(f"r#{status}")).status_code == status


async def test_404_just_after_the_submit() -> None:
    async with ccv() as world:
        await world.submit("r#hidden")
        assert (await world.status()).status_code == 404
        await world.sim.advance(2.0)
        assert (await world.status()).status_code == 200


async def test_a_status_without_the_reference() -> None:
    async with ccv() as world:
        await world.submit("r#no-reference")
        assert (await world.status()).json() == {"orderStatus": "Processing"}


@pytest.mark.parametrize("status", [400, 401, 403, 500])
async def test_documented_errors_by_header_change_nothing(status: int) -> None:
    async with ccv() as world:
        answer = await world.submit("r", scenario=f"status={status}")
        assert (answer.status_code, answer.json()["type"], world.sim.orders) == (status, "error", ())
        assert (await world.submit("r", scenario=f"status={status}")).status_code == 201, "once: a repeat succeeds"


async def test_created_although_500() -> None:
    async with ccv() as world:
        assert (await world.submit("r", scenario="status-after-commit=500")).status_code == 500
        assert [order.external_reference for order in world.sim.orders] == ["r"]


async def test_the_submits_answer_is_lost() -> None:
    async with ccv() as world:
        with pytest.raises(httpx.ReadError):
            await world.submit("r", scenario="reset-after-commit")
        assert len(world.sim.orders) == 1
        with pytest.raises(httpx.ReadTimeout):
            await world.http.post(
                "/order",
                json={"notifyCustomerByEmail": False, "order": {"a": 1}},
                headers={"X-Sim-Scenario": "timeout-after-commit"},
                timeout=0.3,
            )
        assert len(world.sim.orders) == 2


@pytest.mark.parametrize(
    ("scenario", "media", "empty"), [("status-html=503", "text/html", False), ("status-empty=503", "application/json", True)]
)
async def test_html_and_empty_error_bodies(scenario: str, media: str, empty: bool) -> None:
    async with ccv() as world:
        answer = await world.submit("r", scenario=scenario)
        assert (answer.status_code, answer.content == b"") == (503, empty)
        assert answer.headers["content-type"].startswith(media)


# ---------------------------------------------------------------- precedence


async def test_header_over_armed_fault_over_magic_value_over_default() -> None:
    async with ccv() as world:
        world.sim.script(None, (1.0, "Canceled"))
        world.sim.faults.arm(Fault(f"POST {PREFIX}/order", "status", 503, times=2))
        assert (await world.submit("r#200", scenario="status=400")).status_code == 400, "header over armed fault"
        assert [fault.times for fault in world.sim.faults.armed] == [2], "and the fault is not used up"
        assert (await world.submit("r#200")).status_code == 503, "armed fault over magic value"
        assert (await world.submit("r#200")).status_code == 503
        assert (await world.submit("r#screening", scenario="closed")).status_code == 201
        assert await world.poll(2) == ["Processing", "Incomplete", "Closed"], "the header's tag over the data's"
        await world.submit("q#screening")
        await world.submit("q")
        await world.sim.advance(2.0)
        assert [order.status for order in world.sim.orders[1:]] == ["Screening", "Canceled"], "magic value over default"


async def test_a_misspelt_scenario_is_an_error() -> None:
    async with ccv() as world:
        answer = await world.submit("r", scenario="#screning")
        assert (answer.status_code, world.sim.orders) == (400, ())
        assert "unknown item '#screning'" in answer.json()["simulator"]


# ---------------------------------------------------------------- switches

START = {
    "orderDate": "2026-11-21T10:00:00Z",
    "storeInformation": {"cocNumber": "1", "cocRegistry": "Kvk"},
    **{f"{page}Url": "https://shop.example" for page in ("cart", "store", "status")},
}
TABLES = {name.replace("Url", "URL"): value for name, value in START.items()}


@pytest.mark.parametrize(("spelling", "examples", "tables"), [("examples", 200, 400), ("tables", 400, 200), ("both", 200, 200)], ids=str)
async def test_spelling(spelling: str, examples: int, tables: int) -> None:
    async with ccv(spelling=spelling) as world:
        answers = [await world.http.patch("/orderconfigurator/startorder", json=body) for body in (START, TABLES)]
        assert [answer.status_code for answer in answers] == [examples, tables]
        assert {answer.json()["field"] for answer in answers if answer.status_code == 400} <= {"cartUrl", "cartURL"}


async def test_lenient_accepts_either_spelling_and_any_content_type() -> None:
    async with ccv(lenient=True) as world:
        assert (await world.http.patch("/orderconfigurator/startorder", json=TABLES)).status_code == 200
        body = b'{"notifyCustomerByEmail": true, "order": {"a": 1}}'
        assert (await world.http.post("/order", content=body, headers={"content-type": "text/plain"})).status_code == 201


async def test_another_content_type_is_400() -> None:
    async with ccv() as world:
        body = b'{"notifyCustomerByEmail": true, "order": {"a": 1}}'
        answer = await world.http.post("/order", content=body, headers={"content-type": "text/plain"})
        assert (answer.status_code, answer.json()["field"], world.sim.orders) == (400, "Content-Type", ())


async def test_a_key_is_needed_unless_the_switch_says_no() -> None:
    async with ccv(api_key="k") as world:
        assert (await world.status()).status_code == 401
        assert (await world.http.get("/order/x/status", auth=("k", ""))).status_code == 404
        world.sim.set_switch("auth_scheme", "bearer")
        assert (await world.http.get("/order/x/status", auth=("k", ""))).status_code == 401
        assert (await world.http.get("/order/x/status", headers={"authorization": "Bearer k"})).status_code == 404
        world.sim.set_switch("forbidden_keys", ["r"])
        assert (await world.http.get("/order/x/status", headers={"authorization": "Bearer r"})).status_code == 403


async def test_the_prefix() -> None:
    async with ccv(prefix="/v2") as world:
        url = world.http.base_url.copy_with(path="/v2/order/x/status")
        assert (await world.http.get(url)).json()["message"] == "Not found"


async def test_polls_may_be_limited() -> None:
    async with ccv(poll_limit=2, retry_after=True) as world:
        await world.submit("r#stuck")
        assert [(await world.status()).status_code for _ in range(3)] == [200, 200, 429]
        assert (await world.status()).headers["retry-after"] == "61"
        await world.sim.advance(61.0)
        assert (await world.status()).status_code == 200


@pytest.mark.parametrize(
    ("switch", "body"),
    [("json", b'{"type":"error"'), ("text", b"Not found"), ("html", b"<!doctype html>"), ("empty", b"")],
)
async def test_the_body_of_an_error(switch: str, body: bytes) -> None:
    async with ccv(error_body=switch) as world:
        answer = await world.status("missing")
        assert answer.status_code == 404
        assert answer.content.startswith(body)
        assert bool(answer.content) == bool(body)


async def test_unknown_fields_may_be_refused() -> None:
    async with ccv(unknown_fields="refused") as world:
        answer = await world.submit("r", externalRefrence="r")
        assert (answer.status_code, answer.json()["field"]) == (400, "externalRefrence")
        world.sim.set_switch("unknown_fields", "ignored")
        assert (await world.submit("r", externalRefrence="r")).status_code == 201


async def test_a_terminal_may_need_a_sales_package() -> None:
    money = {f"{when}Price{tax}Tax": 1 for when in ("oneOff", "monthly") for tax in ("Including", "Excluding")}
    rates = {"oneOffTaxAmount": 1, "oneOffTaxRate": 21, "monthlyPriceTaxAmount": 1, "monthlyPriceTaxRate": 21}
    body = {"terminalPackageType": "Smart", "transactionFee": 0.05, **money, **rates, "order": {"a": 1}}
    async with ccv() as world:
        assert (await world.http.patch("/orderconfigurator/addTerminalPackage", json=body)).status_code == 200
        world.sim.set_switch("terminal_needs_package", True)
        assert (await world.http.patch("/orderconfigurator/addTerminalPackage", json=body)).status_code == 400


@pytest.mark.parametrize(("switch", "second", "orders"), [("new", 201, 2), ("same", 201, 1), ("refuse", 400, 1)])
async def test_a_second_submit_of_one_reference(switch: str, second: int, orders: int) -> None:
    async with ccv(duplicate_submit=switch) as world:
        await world.submit("r")
        assert (await world.submit("r")).status_code == second
        assert len(world.sim.orders) == orders


async def test_an_idempotency_reference_counts_only_by_switch() -> None:
    async with ccv() as world:
        world.http.headers["Idempotency-Reference"] = "once"
        await world.submit("r")
        await world.submit("r")
        assert len(world.sim.orders) == 2
        world.sim.set_switch("duplicate_submit", "by key")
        assert (await world.submit("r")).json()["orderId"] == "ccv-0-000002"


async def test_a_checkout_url_if_the_customer_gets_no_e_mail() -> None:
    async with ccv(checkout_url=True) as world:
        assert "/_sim/order/ccv-0-000001" in (await world.submit("r")).json()["checkoutUrl"]
        assert "checkoutUrl" not in (await world.submit("r", notifyCustomerByEmail=True)).json()


async def test_the_reference_may_be_null() -> None:
    async with ccv(null_reference=True) as world:
        await world.submit()
        assert (await world.status()).json() == {"orderStatus": "Processing", "externalReference": None}


async def test_an_ended_order_may_be_deleted() -> None:
    async with ccv(retention_seconds=60.0) as world:
        await world.submit("r")
        await world.sim.advance(62.0)
        assert (await world.status()).status_code == 200
        await world.sim.advance(2.0)
        assert (await world.status()).status_code == 404


@pytest.mark.parametrize(
    ("match", "entry", "notifications"),
    [("host", "{host}", 1), ("host", "other.example", 0), ("prefix", "{hook}", 1), ("url", "{hook}", 1), ("url", "{hook}/", 0)],
)
async def test_a_notification_to_a_url_that_is_not_allowed_is_lost(match: str, entry: str, notifications: int) -> None:
    async with ccv() as world:
        world.sim.set_switch("allow_list_match", match)
        world.sim.set_switch("allow_list", [entry.format(hook=world.hook, host="127.0.0.1")])
        assert (await world.submit("r#stuck")).status_code == 201
        await world.sim.advance(1.0)
        assert len(world.notifications) == notifications


async def test_how_long_ccv_waits_for_an_answer() -> None:
    async with ccv(notification_timeout=0.05) as world:
        world.receiver_delay = 0.5
        await world.submit("r#stuck")
        await world.sim.advance(1.0)
        assert [row.outcome for row in world.sim.deliveries.rows] == ["failed"]


@pytest.mark.parametrize(
    ("switch", "tag", "statuses"),
    [
        ({"passes_incomplete": False}, "", ["Processing", "New", "Completed"]),
        ({"new_to_completed": False}, "", ["Processing", "Incomplete", "New", "FulfillmentDone", "Completed"]),
        ({"rejection_closes": False}, "#screening-rejected", ["Processing", "Incomplete", "Screening", "Screening"]),
        ({"step_seconds": 2.0}, "", ["Processing", "Processing", "Incomplete", "Incomplete", "New"]),
    ],
    ids=str,
)
async def test_switches_of_the_usual_life(switch: dict[str, Any], tag: str, statuses: list[str]) -> None:
    async with ccv(**switch) as world:
        await world.submit(f"r{tag}")
        assert await world.poll(len(statuses) - 1) == statuses


@pytest.mark.parametrize(
    ("switch", "status", "target"),
    [
        ("failed_is_end", "Failed", "New"),
        ("cancel_while_waiting", "AwaitingPayment", "Canceled"),
        ("cancel_while_waiting", "Screening", "Canceled"),
        ("cancel_after_activation", "FulfillmentDone", "Canceled"),
    ],
)
async def test_switches_of_legal_moves(switch: str, status: str, target: str) -> None:
    async with ccv() as world:
        order_id = (await world.submit("r#stuck")).json()["orderId"]
        world.sim.transition(order_id, status, force=True)
        default = getattr(world.sim, switch)
        world.sim.set_switch(switch, switch == "failed_is_end")
        with pytest.raises(ValueError, match=f"from {status} to {target}"):
            world.sim.transition(order_id, target)
        world.sim.set_switch(switch, default)
        world.sim.transition(order_id, target)
        assert await world.order_status() == target


async def test_an_unknown_switch_and_an_invalid_value_are_refused() -> None:
    async with ccv() as world:
        with pytest.raises(UnknownName, match="id_shap"):
            world.sim.set_switch("id_shap", "bare")
        for name, value in (("id_shape", "bar"), ("submit_status", 202), ("null_reference", 1), ("step_seconds", -1), ("poll_limit", True)):
            with pytest.raises(InvalidInput, match=name):
                world.sim.set_switch(name, value)
        world.sim.set_switch_text("step_seconds=60")
        world.sim.set_switch_text("api_key=123")
        assert (world.sim.step_seconds, world.sim.api_key) == (60, "123")
