"""The receiver, mounted in an application on a socket: its replies, the polls that it brings forward, and that claims prove nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from attrs import define, evolve
from starlette.applications import Starlette
from starlette.routing import Mount
from structlog.testing import capture_logs
from tests.kit.toy import FAST, Toy
from tests.kit.world import CCV_FAST, CONNECT_FAST, EMAIL, LINK_KEYS, SHOP, World, ccv_request, connect_request, eventually, running

from orderflow import Orderflow
from orderflow._receiver.signed_urls import SignedUrls
from orderflow.model import Order
from orderflow.provider import Claim, Endpoint, Name
from orderflow.simulators import serve

pytestmark = pytest.mark.anyio

CONNECT_POLL, CCV_POLL = "GET /capi/v1/client/order/status/", "GET /api/ordercompletion/reseller/order/"
NO_POLLS: dict[str, Any] = {
    "ccv": {"timing": evolve(CCV_FAST, poll_first=600.0, poll_cap=600.0, notice_fanout=2)},
    "connect": {"timing": evolve(CONNECT_FAST, poll_first=600.0, poll_cap=600.0)},
}
"""No poll is due while a test runs, unless it was brought forward."""
P = "fulfillmentStatus"

UNCLEAR = {
    "repeated": f"{P}=success&{P}=success",
    "conflicting": f"{P}=success&{P}=cancel",
    "mixed-case name": "FulfillmentStatus=success",
    "mixed-case value": f"{P}=Success",
    "unknown value": f"{P}=paid",
    "empty value": f"{P}=",
    "no value": P,
    "oversized value": f"{P}={'x' * 5000}",
    "oversized query": f"{P}=success&x={'x' * 9000}",
    "many parameters": f"{P}=success&" + "&".join(f"x{n}=1" for n in range(150)),
    "NUL": f"{P}=success%00",
    "broken percent-encoding": f"{P}=success%zz",
    "no UTF-8": f"{P}=%ff%fe",
    "other separator": f"{P}=success;x=1",
    "markup": f"{P}=<script>",
}


@define
class Sale:
    """An order in progress, and our URLs for it."""

    world: World
    order: Order

    def url(self, purpose: str, query: str = "", order_id: str | None = None) -> str:
        urls = SignedUrls(self.world.public, LINK_KEYS)
        url = urls.url(self.order.provider, purpose, order_id or self.order.id)
        return f"{url}?{query}" if query else str(url)

    async def get(self, purpose: str, query: str = "") -> httpx.Response:
        return await self.world.http.get(self.url(purpose, query))

    async def state(self) -> str:
        return (await self.world.flow.order(self.order.id)).state

    @property
    def polls(self) -> int:
        """How often the providers were polled."""
        return self.world.connect.journal.count_executed(CONNECT_POLL) + self.world.ccv.journal.count_executed(CCV_POLL)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path, **NO_POLLS) as opened:
        yield opened


@pytest.fixture
async def shared_world(tmp_path: Path) -> AsyncIterator[World]:
    """A world in which CCV sends its notifications to one URL."""
    async with running(tmp_path, **{**NO_POLLS, "ccv": {**NO_POLLS["ccv"], "notifications": "shared"}}) as opened:
        yield opened


async def sell_by_url(world: World) -> Sale:
    """A card order whose customer was sent to the fulfillment URL."""
    order = await world.flow.create("connect", key="card", **connect_request("creditcardPayex"))
    await world.flow.send(order.id, "register")
    await world.flow.wait(order.id, "registered", 60)
    await world.flow.send(order.id, "complete_by_url", return_url=f"{SHOP}/thanks", error_url=f"{SHOP}/oops")
    return Sale(world, await world.flow.order(order.id))


async def sell_by_sms(world: World) -> Sale:
    """An sms order whose customer has not paid yet."""
    world.connect.script("*", pay_outcome="never")
    order = await world.flow.create("connect", key="sms", **connect_request("sms"))
    await world.flow.send(order.id, "register")
    await world.flow.wait(order.id, "registered", 60)
    await world.flow.send(order.id, "complete_by_api")
    return Sale(world, await world.flow.wait(order.id, "awaiting_payment", 60))


async def submit_order(world: World, key: str = "ccv") -> Sale:
    """A CCV order in Processing; its notifications get lost."""
    world.ccv.script(None)
    world.ccv.deliveries.arm("drop", times=None)
    order = await world.flow.create("ccv", key=key, **ccv_request())
    await world.flow.send(order.id, "submit")
    return Sale(world, await world.flow.wait(order.id, "Processing", 60))


def dump_tables(folder: Path) -> dict[str, list[Any]]:
    """Everything in the database."""
    with closing(sqlite3.connect(folder / "orders.db")) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}


# ── Connect's redirects ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_fulfillment_url_leads_the_browser_through_us_back_to_the_application(world: World) -> None:
    sale = await sell_by_url(world)
    page = await world.http.get(await world.flow.customer_url(sale.order.id), follow_redirects=True)
    back = (await world.http.post(str(page.url), data={"action": "pay"})).headers["location"]
    assert back == sale.url("return", f"{P}=success")
    answer = await world.http.get(back)
    assert (answer.status_code, answer.headers["location"], answer.content) == (303, f"{SHOP}/thanks?{P}=success", b"")
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    await world.flow.wait(sale.order.id, "fulfilled", 60)


@pytest.mark.parametrize("status", ["success", "cancel", "error", "unknown", ""])
async def test_a_return_of_an_unpaid_order_proves_nothing(world: World, status: str) -> None:
    sale = await sell_by_url(world)
    query = f"{P}={status}" if status else ""
    answer = await sale.get("return", query)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{SHOP}/thanks?{query}" if query else f"{SHOP}/thanks")
    await eventually(lambda: sale.polls == 1)
    await world.flow.wait(sale.order.id, "error" if status == "error" else "confirming", 60)


async def test_the_error_url_leads_to_the_error_page_and_claims_an_error(world: World) -> None:
    sale = await sell_by_url(world)
    answer = await sale.get("error", f"{P}=success")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{SHOP}/oops?{P}=error")
    await world.flow.wait(sale.order.id, "error", 60)


@pytest.mark.parametrize("query", UNCLEAR.values(), ids=UNCLEAR)
async def test_an_unclear_return_brings_a_poll_forward_and_proves_nothing(world: World, query: str) -> None:
    sale = await sell_by_url(world)
    answer = await sale.get("return", query)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{SHOP}/thanks?{P}=unknown")
    await eventually(lambda: sale.polls == 1)
    assert await sale.state() == "confirming"
    assert [row.event for row in await world.flow.journal(sale.order.id)][-1] == "returned_unclear"
    world.connect.pay(str(sale.order.provider_id))
    assert (await sale.get("return", query)).status_code == 303
    await world.flow.wait(sale.order.id, "fulfilled", 60)  # the poll found it, not the claim


async def test_a_browser_gets_a_thank_you_page_if_the_order_has_no_page_yet(world: World) -> None:
    order = await world.flow.create("connect", key="early", **connect_request())
    answer = await Sale(world, order).get("return", f"{P}=success")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert "location" not in answer.headers
    assert (await world.flow.order(order.id)).state == "drafted"


# ── Connect's callback ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("status", "state"), [("success", "confirming"), ("failed", "error")])
async def test_a_callback_of_an_unpaid_order_proves_nothing(world: World, status: str, state: str) -> None:
    sale = await sell_by_sms(world)
    answer = await sale.get("callback", f"{P}={status}")
    assert (answer.status_code, answer.content) == (204, b"")
    await eventually(lambda: sale.polls == 1)
    await world.flow.wait(sale.order.id, state, 60)


@pytest.mark.parametrize("query", [*UNCLEAR.values(), f"{P}=cancel", ""], ids=[*UNCLEAR, "a status of returns", "nothing"])
async def test_an_unclear_callback_brings_a_poll_forward_and_proves_nothing(world: World, query: str) -> None:
    sale = await sell_by_sms(world)
    assert (await sale.get("callback", query)).status_code == 204
    await eventually(lambda: sale.polls == 1)
    assert await sale.state() == "awaiting_payment"
    world.connect.pay(str(sale.order.provider_id))
    assert (await sale.get("callback", query)).status_code == 204
    await world.flow.wait(sale.order.id, "fulfilled", 60)


# ── CCV's notifications ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_notification_brings_the_poll_forward(world: World) -> None:
    sale = await submit_order(world)
    world.ccv.transition(str(sale.order.provider_id), "Incomplete")
    answer = await world.http.post(sale.url("notification", "orderStatus=Completed"), json={"orderStatus": "Completed"})
    assert (answer.status_code, answer.content) == (204, b"")
    await world.flow.wait(sale.order.id, "Incomplete", 60)


async def test_a_shared_notification_brings_a_few_polls_forward_those_of_the_longest_unpolled_orders(shared_world: World) -> None:
    sales = [await submit_order(shared_world, f"ccv-{n}") for n in range(5)]
    for sale in sales:
        shared_world.ccv.transition(str(sale.order.provider_id), "Incomplete")
    for polls in (2, 4, 6):
        assert (await shared_world.http.post(f"{shared_world.public}/ccv/notifications")).status_code == 204
        await eventually(lambda polls=polls: sales[0].polls == polls)
    for sale in sales:
        await shared_world.flow.wait(sale.order.id, "Incomplete", 60)


async def test_shared_notifications_that_come_together_bring_so_many_times_those_few_forward(shared_world: World) -> None:
    sales = [await submit_order(shared_world, f"ccv-{n}") for n in range(5)]
    for sale in sales:
        shared_world.ccv.transition(str(sale.order.provider_id), "Incomplete")
    await asyncio.gather(*(shared_world.http.post(f"{shared_world.public}/ccv/notifications") for _ in range(3)))
    for sale in sales:
        await shared_world.flow.wait(sale.order.id, "Incomplete", 60)


async def test_a_notification_before_the_providers_id_is_remembered_until_the_id_comes(world: World) -> None:
    world.ccv.script(None, (0.0, "Incomplete"))
    world.ccv.deliveries.arm("drop", times=None)
    sale = Sale(world, await world.flow.create("ccv", key="early", **ccv_request()))
    assert (await world.http.post(sale.url("notification"))).status_code == 204
    assert sale.polls == 0
    await world.flow.send(sale.order.id, "submit")
    await world.flow.wait(sale.order.id, "Incomplete", 60)


async def test_a_claim_before_the_providers_id_is_remembered_until_the_id_comes(world: World) -> None:
    sale = Sale(world, await world.flow.create("connect", key="early", **connect_request()))
    assert (await sale.get("callback", f"{P}=success")).status_code == 204
    await world.flow.send(sale.order.id, "register")
    await eventually(lambda: sale.polls == 1)
    assert await sale.state() == "registered"


# ── repeated and late claims ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_repeated_claim_gets_the_same_reply_and_another_poll_and_is_applied_once(world: World) -> None:
    sale = await sell_by_url(world)
    answers = []
    for n in range(1, 5):
        answers.append(await sale.get("return", f"{P}=success"))
        await eventually(lambda n=n: sale.polls == n)
    assert len({(answer.status_code, answer.content, *sorted(answer.headers.items())) for answer in answers}) == 1
    assert [row.event for row in await world.flow.journal(sale.order.id)].count("returned_success") == 1


async def test_different_claims_at_one_url_are_answered_a_window_apart(tmp_path: Path) -> None:
    """Else the holder of one URL could make us decide as fast as we can, by changing the query each time."""
    timing = evolve(CONNECT_FAST, poll_first=600.0, poll_cap=600.0, poll_interval=1.0)
    async with running(tmp_path, connect={"timing": timing}) as world:
        sale = await sell_by_url(world)
        loop = asyncio.get_running_loop()
        started = loop.time()
        replies = await asyncio.gather(*(sale.get("return", f"{P}={status}") for status in ("success", "cancel", "error", "unknown")))
        assert [reply.status_code for reply in replies] == [303] * 4
        assert loop.time() - started >= 3 * 0.25 - 0.01


async def test_claims_after_the_end_change_nothing(world: World) -> None:
    sale = await sell_by_url(world)
    world.connect.pay(str(sale.order.provider_id))
    await sale.get("return", f"{P}=success")
    await world.flow.wait(sale.order.id, "fulfilled", 60)
    for query in (f"{P}=cancel", f"{P}=error", ""):
        assert (await sale.get("return", query)).status_code == 303
    assert (await sale.get("callback", f"{P}=failed")).status_code == 204
    assert await sale.state() == "fulfilled"


async def test_a_success_after_a_cancel_counts_a_cancel_after_a_success_does_not(world: World) -> None:
    sale = await sell_by_url(world)
    for status in ("cancel", "success", "cancel", "error"):
        await sale.get("return", f"{P}={status}")
    order = await world.flow.order(sale.order.id)
    assert (order.state, order.snapshot.facts["claimed"]) == ("confirming", "success")


# ── requests that are not ours ───────────────────────────────────────────────────────────────────────────────────────────


async def test_every_request_that_is_not_ours_gets_the_same_404_and_leaves_no_row(tmp_path: Path) -> None:
    async with running(tmp_path, worker=False) as world:
        sale = Sale(world, await world.flow.create("connect", key="1", **connect_request()))
        other = Sale(world, await world.flow.create("ccv", key="1", **ccv_request()))
        foreign = SignedUrls(world.public, {"k1": "somebody-elses-key"}).url("connect", "return", sale.order.id)
        unknown = SignedUrls(world.public, {"k9": "an-unknown-key-of-tests"}).url("connect", "return", sale.order.id)
        token = sale.url("return").rpartition("/")[2]
        requests = [
            ("GET", str(foreign)),
            ("GET", str(unknown)),
            ("GET", sale.url("return")[:-1]),
            ("GET", sale.url("return") + "A"),
            ("GET", sale.url("return") + "/x"),
            ("GET", sale.url("return").replace(sale.order.id, "connect-0")),
            ("GET", f"{world.public}/connect/error/{token}"),
            ("GET", f"{world.public}/connect/callback/{token}"),
            ("GET", f"{world.public}/connect/elsewhere/{token}"),
            ("GET", f"{world.public}/ccv/return/{token}"),
            ("GET", f"{world.public}/warehouse/return/{token}"),
            ("GET", f"{world.public}/connect/callback/" + other.url("notification").rpartition("/")[2]),
            ("POST", f"{world.public}/ccv/notification/{token}"),
            ("POST", f"{world.public}/ccv/notification"),
            ("POST", f"{world.public}/ccv/notifications/{token}"),
            ("GET", sale.url("callback", f"{P}=success", order_id="connect-gone")),
            ("GET", sale.url("callback", order_id="connect-gone")),
            ("GET", f"{world.public}/connect/return"),
            ("POST", other.url("notification", order_id="ccv-gone")),
            ("POST", other.url("notification", order_id="nonsense")),
            ("GET", f"{world.public}/connect/return/%00%ff/../.."),
            ("GET", f"{world.public}/"),
            ("GET", f"{world.public}/connect"),
            ("DELETE", f"{world.public}/nothing"),
        ]
        before = dump_tables(tmp_path)
        answers = [(request, await world.http.request(*request)) for request in requests]
        assert dump_tables(tmp_path) == before
    wrong = [(request, answer.status_code) for request, answer in answers if answer.status_code != 404]
    assert wrong == []
    assert len({(answer.content, *sorted(answer.headers.items())) for _, answer in answers}) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *((method, f"connect/{purpose}/x") for method in ("POST", "HEAD", "PUT", "OPTIONS") for purpose in ("return", "error", "callback")),
        *((method, "ccv/notification/x") for method in ("GET", "HEAD", "PUT")),
    ],
)
async def test_another_method_gets_405_with_the_right_one(world: World, method: str, path: str) -> None:
    answer = await world.http.request(method, f"{world.public}/{path}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET" if path.startswith("connect") else "POST")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
async def test_another_method_at_the_shared_url_gets_405(shared_world: World, method: str) -> None:
    answer = await shared_world.http.request(method, f"{shared_world.public}/ccv/notifications")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_old_urls_are_valid_until_their_key_is_retired(tmp_path: Path) -> None:
    async with running(tmp_path, worker=False) as world:
        sale = Sale(world, await world.flow.create("connect", key="1", **connect_request()))
        path = sale.url("callback").removeprefix(world.public)
    rotated = {"k2": "the-next-link-key-of-tests", **LINK_KEYS}
    for keys, status in ((rotated, 204), ({"k2": rotated["k2"]}, 404)):
        async with running(tmp_path, worker=False, signing_keys=keys) as world:
            assert (await world.http.get(world.public + path)).status_code == status


@pytest.mark.parametrize("prefix", ["", "/a", "/a/b", "/connect"])
async def test_the_receiver_may_be_mounted_anywhere(tmp_path: Path, prefix: str) -> None:
    async with running(tmp_path, worker=False) as world:
        sale = Sale(world, await world.flow.create("connect", key="1", **connect_request()))
        path = sale.url("callback").removeprefix(world.public)
        app: Any = world.flow.receiver()
        for part in reversed(prefix.split("/")[1:]):
            app = Starlette(routes=[Mount(f"/{part}", app)])
        async with serve(app) as base:
            assert (await world.http.get(base + prefix + path)).status_code == 204
            assert (await world.http.get(base + prefix + path + "x")).status_code == 404
        reply = await world.flow.handle_request("GET", path, b"")
        assert reply.status == 204


async def test_our_urls_contain_nothing_but_a_token(world: World) -> None:
    sale = await sell_by_url(world)
    query = parse_qs(urlsplit(await world.flow.customer_url(sale.order.id)).query)
    for name in ("returnUrl", "errorUrl"):
        assert urlsplit(query[name][0]).query == ""
        assert query[name][0].startswith(world.public)


def _raise(*_: object) -> Any:
    raise KeyError(EMAIL)


WRONG: dict[str, tuple[Any, str]] = {
    "raises": (_raise, "endpoint.raised"),
    "no claim": (lambda _: None, "endpoint.claim_invalid"),
    "a misspelt event": (lambda _: Claim("caem", "x"), "endpoint.claim_invalid"),
    "an event of another origin": (lambda _: Claim("seen_packed"), "endpoint.claim_invalid"),
    "an event that is no text": (lambda _: Claim(7), "endpoint.claim_invalid"),  # type: ignore[arg-type]
    "a value that is no text": (lambda _: Claim("came", ["x"]), "endpoint.claim_invalid"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("how", WRONG)
async def test_a_wrong_claim_of_a_providers_code_is_logged_and_the_customer_does_not_see_it(tmp_path: Path, how: str) -> None:
    parse_claim, logged = WRONG[how]
    toy = Toy(timing=FAST, endpoints=(Endpoint("came", ("GET",), parse_claim, lambda order, claim: f"{SHOP}/thanks"),))
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [toy], public_url=SHOP, signing_keys=LINK_KEYS, worker=True) as flow:
        order = await flow.create(toy, key="k")
        await flow.send(order.id, Name("order_it"))
        placed = await flow.wait(order.id, Name("placed"), 5)
        await eventually(lambda: toy.polls)
        polls = len(toy.polls)
        path = urlsplit(SignedUrls(SHOP, LINK_KEYS).url("toy", "came", order.id) or "").path
        with capture_logs() as logs:
            reply = await flow.handle_request("GET", path, b"who=me")
            await eventually(lambda: len(toy.polls) > polls)
        assert (reply.status, reply.headers["Location"]) == (303, f"{SHOP}/thanks")
        assert (await flow.order(order.id)).snapshot == placed.snapshot
        assert await flow.refusals(order.id) == []
    (line,) = [line for line in logs if line["log_level"] == "error"]
    assert (line["event"], line["purpose"]) == (logged, "came")
    assert EMAIL not in repr(line)


async def test_a_page_that_a_providers_code_cannot_find_is_our_own(tmp_path: Path) -> None:
    toy = Toy(endpoints=(Endpoint("came", ("GET",), lambda _: Claim(None), _raise),))
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [toy], public_url=SHOP, signing_keys=LINK_KEYS) as flow:
        order = await flow.create(toy, key="k")
        path = urlsplit(SignedUrls(SHOP, LINK_KEYS).url("toy", "came", order.id) or "").path
        with capture_logs() as logs:
            reply = await flow.handle_request("GET", path)
    assert (reply.status, reply.body) == (200, b"Thank you. You can close this page.")
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["endpoint.raised"]
