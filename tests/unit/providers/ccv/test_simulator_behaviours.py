"""Every behaviour of CCV that its dossier asks for, by its magic value, header or switch, over a real socket.

The table of them is in ``src/orderflow/simkit/README.md``; a test there holds both together.
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

from orderflow.errors import InvalidInput, UnknownName
from orderflow.providers.ccv.simulator import CcvSimulator
from orderflow.simulators import Fault, SimClock, serve

pytestmark = pytest.mark.anyio

PREFIX = "/api/ordercompletion/reseller"
LONG = ["Processing", "Incomplete", "AwaitingPayment", "New", "FulfillmentInProgress", "FulfillmentDone", "Completed"]


@define
class Ccv:
    """A simulator whose clock stands still, its caller, and the caller's notification URL."""

    sim: CcvSimulator
    http: httpx.AsyncClient
    hook: str
    notices: list[float] = field(factory=list)
    slow: float = 0.0

    async def submit(self, reference: str | None = None, *, scenario: str = "", **more: Any) -> httpx.Response:
        body = {"notifyCustomerByEmail": False, "order": {"a": 1}, "externalReference": reference, **more}
        body.setdefault("statusNotificationInformation", {"notificationUrl": self.hook})
        headers = {"X-Sim-Scenario": scenario} if scenario else {}
        return await self.http.post("/order", json={k: v for k, v in body.items() if v is not None}, headers=headers)

    async def status(self, order_id: str = "ccv-0-000001") -> httpx.Response:
        return await self.http.get(f"/order/{order_id}/status")

    async def word(self) -> str:
        return str((await self.status()).json()["orderStatus"])

    async def watched(self, steps: int) -> list[str]:
        """What a caller that polls between any two steps sees."""
        seen = [await self.word()]
        for _ in range(steps):
            await self.sim.advance(1.0)
            seen.append(await self.word())
        return seen


@asynccontextmanager
async def ccv(**switches: Any) -> AsyncIterator[Ccv]:
    async def take(_: Request) -> Response:
        await asyncio.sleep(made.slow)
        made.notices.append(sim.clock.now())
        return Response(status_code=204)

    sim = CcvSimulator(**{"clock": SimClock(start=1000.0, manual=True), "api_key": None, "allow_http_notifications": True, **switches})
    async with (
        sim,
        serve(sim.asgi) as url,
        serve(Starlette(routes=[Route("/hook", take, methods=["POST"])])) as hook,
        httpx.AsyncClient(base_url=url + PREFIX, trust_env=False, timeout=5.0) as http,
    ):
        made = Ccv(sim, http, f"{hook}/hook")
        yield made


# ---------------------------------------------------------------- the ways an order goes

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
async def test_a_way_by_its_tag(tag: str) -> None:
    async with ccv() as one:
        assert (await one.submit(f"ORDER-42{tag}")).status_code == 201
        assert await one.watched(len(WAYS[tag]) - 1) == WAYS[tag]
        assert (await one.status()).json()["externalReference"] == f"ORDER-42{tag}", "told back whole: the reader compares it"


async def test_fast_changes_are_two_notices_and_two_reads_of_the_newest() -> None:
    async with ccv() as one:
        await one.submit("r#fast")
        await one.sim.advance(1.0)
        assert len(one.notices) == 2
        assert await one.word() == "New"


async def test_an_unknown_tag_asks_for_nothing_and_is_noted() -> None:
    async with ccv() as one:
        await one.submit("ORDER#17+pya")
        assert await one.watched(3) == WAYS[""]
        assert one.sim.order_views()[0].notes == ("The tag #17 means nothing here.", "The tag #pya means nothing here.")


# ---------------------------------------------------------------- notifications


@pytest.mark.parametrize(("tag", "counts"), [("", [1, 2, 3]), ("#notify-lost", [0, 0, 0]), ("#notify-dup", [2, 4, 6])])
async def test_notices_lost_and_doubled(tag: str, counts: list[int]) -> None:
    async with ccv() as one:
        await one.submit(f"r{tag}")
        seen = []
        for _ in range(3):
            await one.sim.advance(1.0)
            seen.append(len(one.notices))
        assert seen == counts


async def test_a_notice_before_the_submit_is_answered() -> None:
    async with ccv() as one:
        submitted = asyncio.create_task(one.submit("r#notify-early"))
        answer = await submitted
        (notice,) = one.sim.deliveries.rows
        assert (notice.at, one.sim.journal.rows[0].answered) == (1000.0, 201)
        assert answer.json()["orderId"] == "ccv-0-000001"
        assert await one.word() == "Incomplete"


async def test_a_stale_status_right_after_the_notice() -> None:
    async with ccv() as one:
        await one.submit("r#notify-stale+stuck")
        await one.sim.advance(1.0)
        assert (len(one.notices), await one.word()) == (1, "Processing")
        await one.sim.advance(2.0)
        assert await one.word() == "Incomplete"


async def test_a_receiver_slower_than_ccvs_patience_counts_as_failed() -> None:
    async with ccv() as one:
        one.slow = 0.5
        await one.submit("r#notify-slow+stuck")
        await one.sim.advance(1.0)
        assert [row.outcome for row in one.sim.deliveries.rows] == ["failed"]


async def test_a_stranger_may_notify() -> None:
    async with ccv() as one:
        await one.submit("r#notify-stranger")
        await one.sim.deliveries.drain()
        assert (len(one.notices), await one.word()) == (1, "Processing")


async def test_tags_combine() -> None:
    async with ccv() as one:
        assert (await one.submit("r#screening#notify-dup+200")).status_code == 200
        assert await one.watched(2) == ["Processing", "Incomplete", "Screening"]
        assert len(one.notices) == 4


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
    async with ccv() as one:
        told = await one.submit(f"r{tag}")
        assert told.text == answer
        assert told.headers.get("location", PREFIX + "/order/ccv-0-000001") == PREFIX + "/order/ccv-0-000001"


@pytest.mark.parametrize("status", [200, 201])
async def test_both_documented_codes(status: int) -> None:
    async with ccv() as one:
        assert (await one.submit(f"r#{status}")).status_code == status


async def test_404_just_after_the_submit() -> None:
    async with ccv() as one:
        await one.submit("r#hidden")
        assert (await one.status()).status_code == 404
        await one.sim.advance(2.0)
        assert (await one.status()).status_code == 200


async def test_a_status_without_the_reference() -> None:
    async with ccv() as one:
        await one.submit("r#no-reference")
        assert (await one.status()).json() == {"orderStatus": "Processing"}


@pytest.mark.parametrize("status", [400, 401, 403, 500])
async def test_documented_errors_by_header_change_nothing(status: int) -> None:
    async with ccv() as one:
        answer = await one.submit("r", scenario=str(status))
        assert (answer.status_code, answer.json()["type"], one.sim.orders) == (status, "error", ())
        assert (await one.submit("r", scenario=str(status))).status_code == 201, "once: a repeat goes through"


async def test_created_although_500() -> None:
    async with ccv() as one:
        assert (await one.submit("r", scenario="500-after-commit")).status_code == 500
        assert [order.external_reference for order in one.sim.orders] == ["r"]


async def test_the_submits_answer_is_lost() -> None:
    async with ccv() as one:
        with pytest.raises(httpx.ReadError):
            await one.submit("r", scenario="reset-after-commit")
        assert len(one.sim.orders) == 1
        with pytest.raises(httpx.ReadTimeout):
            await one.http.post(
                "/order",
                json={"notifyCustomerByEmail": False, "order": {"a": 1}},
                headers={"X-Sim-Scenario": "timeout-after-commit"},
                timeout=0.3,
            )
        assert len(one.sim.orders) == 2


@pytest.mark.parametrize(("scenario", "media", "empty"), [("503-html", "text/html", False), ("503-empty", "application/json", True)])
async def test_html_and_empty_error_bodies(scenario: str, media: str, empty: bool) -> None:
    async with ccv() as one:
        answer = await one.submit("r", scenario=scenario)
        assert (answer.status_code, answer.content == b"") == (503, empty)
        assert answer.headers["content-type"].startswith(media)


# ---------------------------------------------------------------- precedence


async def test_header_over_armed_fault_over_magic_value_over_default() -> None:
    async with ccv() as one:
        one.sim.script(None, (1.0, "Canceled"))
        one.sim.faults.arm(Fault(f"POST {PREFIX}/order", "status", 503, times=2))
        assert (await one.submit("r#200", scenario="400")).status_code == 400, "header over armed fault"
        assert [fault.times for fault in one.sim.faults.armed] == [2], "and the fault is not used up"
        assert (await one.submit("r#200")).status_code == 503, "armed fault over magic value"
        assert (await one.submit("r#200")).status_code == 503
        assert (await one.submit("r#screening", scenario="closed")).status_code == 201
        assert await one.watched(2) == ["Processing", "Incomplete", "Closed"], "the header's tag over the data's"
        await one.submit("q#screening")
        await one.submit("q")
        await one.sim.advance(2.0)
        assert [order.status for order in one.sim.orders[1:]] == ["Screening", "Canceled"], "magic value over default"


async def test_a_scenario_misspelt_is_said_aloud() -> None:
    async with ccv() as one:
        answer = await one.submit("r", scenario="#screning")
        assert (answer.status_code, one.sim.orders) == (400, ())
        assert "nothing is called '#screning'" in answer.json()["simulator"]


# ---------------------------------------------------------------- switches

START = {
    "orderDate": "2026-11-21T10:00:00Z",
    "storeInformation": {"cocNumber": "1", "cocRegistry": "Kvk"},
    **{f"{page}Url": "https://shop.example" for page in ("cart", "store", "status")},
}
TABLES = {name.replace("Url", "URL"): value for name, value in START.items()}


@pytest.mark.parametrize(("spelling", "examples", "tables"), [("examples", 200, 400), ("tables", 400, 200), ("both", 200, 200)], ids=str)
async def test_spelling(spelling: str, examples: int, tables: int) -> None:
    async with ccv(spelling=spelling) as one:
        answers = [await one.http.patch("/orderconfigurator/startorder", json=body) for body in (START, TABLES)]
        assert [answer.status_code for answer in answers] == [examples, tables]
        assert {answer.json()["field"] for answer in answers if answer.status_code == 400} <= {"cartUrl", "cartURL"}


async def test_lenient_takes_either_spelling_and_any_content_type() -> None:
    async with ccv(lenient=True) as one:
        assert (await one.http.patch("/orderconfigurator/startorder", json=TABLES)).status_code == 200
        body = b'{"notifyCustomerByEmail": true, "order": {"a": 1}}'
        assert (await one.http.post("/order", content=body, headers={"content-type": "text/plain"})).status_code == 201


async def test_another_content_type_is_400() -> None:
    async with ccv() as one:
        body = b'{"notifyCustomerByEmail": true, "order": {"a": 1}}'
        answer = await one.http.post("/order", content=body, headers={"content-type": "text/plain"})
        assert (answer.status_code, answer.json()["field"], one.sim.orders) == (400, "Content-Type", ())


async def test_no_key_is_401_unless_everyone_is_let_in() -> None:
    async with ccv(api_key="k") as one:
        assert (await one.status()).status_code == 401
        assert (await one.http.get("/order/x/status", auth=("k", ""))).status_code == 404
        one.sim.set_switch("auth_scheme", "bearer")
        assert (await one.http.get("/order/x/status", auth=("k", ""))).status_code == 401
        assert (await one.http.get("/order/x/status", headers={"authorization": "Bearer k"})).status_code == 404
        one.sim.set_switch("forbidden_keys", ["r"])
        assert (await one.http.get("/order/x/status", headers={"authorization": "Bearer r"})).status_code == 403


async def test_the_prefix() -> None:
    async with ccv(prefix="/v2") as one:
        url = one.http.base_url.copy_with(path="/v2/order/x/status")
        assert (await one.http.get(url)).json()["message"] == "Not found"


async def test_polling_may_be_limited() -> None:
    async with ccv(poll_limit=2, retry_after=True) as one:
        await one.submit("r#stuck")
        assert [(await one.status()).status_code for _ in range(3)] == [200, 200, 429]
        assert (await one.status()).headers["retry-after"] == "61"
        await one.sim.advance(61.0)
        assert (await one.status()).status_code == 200


@pytest.mark.parametrize(
    ("switch", "body"),
    [("json", b'{"type":"error"'), ("text", b"Not found"), ("html", b"<!doctype html>"), ("empty", b"")],
)
async def test_the_body_of_an_error(switch: str, body: bytes) -> None:
    async with ccv(error_body=switch) as one:
        answer = await one.status("nobody")
        assert answer.status_code == 404
        assert answer.content.startswith(body)
        assert bool(answer.content) == bool(body)


async def test_unknown_fields_may_be_refused() -> None:
    async with ccv(unknown_fields="refused") as one:
        answer = await one.submit("r", externalRefrence="r")
        assert (answer.status_code, answer.json()["field"]) == (400, "externalRefrence")
        one.sim.set_switch("unknown_fields", "ignored")
        assert (await one.submit("r", externalRefrence="r")).status_code == 201


async def test_a_terminal_may_need_a_sales_package() -> None:
    money = {f"{when}Price{tax}Tax": 1 for when in ("oneOff", "monthly") for tax in ("Including", "Excluding")}
    rates = {"oneOffTaxAmount": 1, "oneOffTaxRate": 21, "monthlyPriceTaxAmount": 1, "monthlyPriceTaxRate": 21}
    body = {"terminalPackageType": "Smart", "transactionFee": 0.05, **money, **rates, "order": {"a": 1}}
    async with ccv() as one:
        assert (await one.http.patch("/orderconfigurator/addTerminalPackage", json=body)).status_code == 200
        one.sim.set_switch("terminal_needs_package", True)
        assert (await one.http.patch("/orderconfigurator/addTerminalPackage", json=body)).status_code == 400


@pytest.mark.parametrize(("switch", "second", "orders"), [("new", 201, 2), ("same", 201, 1), ("refuse", 400, 1)])
async def test_a_second_submit_of_one_reference(switch: str, second: int, orders: int) -> None:
    async with ccv(duplicate_submit=switch) as one:
        await one.submit("r")
        assert (await one.submit("r")).status_code == second
        assert len(one.sim.orders) == orders


async def test_an_idempotency_reference_counts_only_where_it_is_said_to() -> None:
    async with ccv() as one:
        one.http.headers["Idempotency-Reference"] = "once"
        await one.submit("r")
        await one.submit("r")
        assert len(one.sim.orders) == 2
        one.sim.set_switch("duplicate_submit", "by key")
        assert (await one.submit("r")).json()["orderId"] == "ccv-0-000002"


async def test_a_checkout_url_where_the_customer_is_not_mailed() -> None:
    async with ccv(checkout_url=True) as one:
        assert "/_sim/order/ccv-0-000001" in (await one.submit("r")).json()["checkoutUrl"]
        assert "checkoutUrl" not in (await one.submit("r", notifyCustomerByEmail=True)).json()


async def test_the_reference_may_be_null() -> None:
    async with ccv(null_reference=True) as one:
        await one.submit()
        assert (await one.status()).json() == {"orderStatus": "Processing", "externalReference": None}


async def test_an_ended_order_may_be_forgotten() -> None:
    async with ccv(retention_seconds=60.0) as one:
        await one.submit("r")
        await one.sim.advance(62.0)
        assert (await one.status()).status_code == 200
        await one.sim.advance(2.0)
        assert (await one.status()).status_code == 404


@pytest.mark.parametrize(
    ("match", "entry", "notices"),
    [("host", "{host}", 1), ("host", "other.example", 0), ("prefix", "{hook}", 1), ("url", "{hook}", 1), ("url", "{hook}/", 0)],
)
async def test_a_url_ccv_was_not_told_of_is_lost_silently(match: str, entry: str, notices: int) -> None:
    async with ccv() as one:
        one.sim.set_switch("allow_list_match", match)
        one.sim.set_switch("allow_list", [entry.format(hook=one.hook, host="127.0.0.1")])
        assert (await one.submit("r#stuck")).status_code == 201
        await one.sim.advance(1.0)
        assert len(one.notices) == notices


async def test_how_long_ccv_waits_for_an_answer() -> None:
    async with ccv(notification_timeout=0.05) as one:
        one.slow = 0.5
        await one.submit("r#stuck")
        await one.sim.advance(1.0)
        assert [row.outcome for row in one.sim.deliveries.rows] == ["failed"]


@pytest.mark.parametrize(
    ("switch", "tag", "seen"),
    [
        ({"passes_incomplete": False}, "", ["Processing", "New", "Completed"]),
        ({"new_to_completed": False}, "", ["Processing", "Incomplete", "New", "FulfillmentDone", "Completed"]),
        ({"rejection_closes": False}, "#screening-rejected", ["Processing", "Incomplete", "Screening", "Screening"]),
        ({"step_seconds": 2.0}, "", ["Processing", "Processing", "Incomplete", "Incomplete", "New"]),
    ],
    ids=str,
)
async def test_switches_of_the_usual_life(switch: dict[str, Any], tag: str, seen: list[str]) -> None:
    async with ccv(**switch) as one:
        await one.submit(f"r{tag}")
        assert await one.watched(len(seen) - 1) == seen


@pytest.mark.parametrize(
    ("switch", "here", "there"),
    [
        ("failed_is_end", "Failed", "New"),
        ("cancel_while_waiting", "AwaitingPayment", "Canceled"),
        ("cancel_while_waiting", "Screening", "Canceled"),
        ("cancel_after_activation", "FulfillmentDone", "Canceled"),
    ],
)
async def test_switches_of_what_is_legal(switch: str, here: str, there: str) -> None:
    async with ccv() as one:
        order_id = (await one.submit("r#stuck")).json()["orderId"]
        one.sim.move(order_id, here, force=True)
        default = getattr(one.sim, switch)
        one.sim.set_switch(switch, switch == "failed_is_end")
        with pytest.raises(ValueError, match=f"from {here} to {there}"):
            one.sim.move(order_id, there)
        one.sim.set_switch(switch, default)
        one.sim.move(order_id, there)
        assert await one.word() == there


async def test_a_switch_that_is_none_and_a_value_that_is_none() -> None:
    async with ccv() as one:
        with pytest.raises(UnknownName, match="id_shap"):
            one.sim.set_switch("id_shap", "bare")
        for name, value in (("id_shape", "bar"), ("submit_status", 202), ("null_reference", 1), ("step_seconds", -1), ("poll_limit", True)):
            with pytest.raises(InvalidInput, match=name):
                one.sim.set_switch(name, value)
        one.sim.set_switch_text("step_seconds=60")
        one.sim.set_switch_text("api_key=123")
        assert (one.sim.step_seconds, one.sim.api_key) == (60, "123")
