"""A stranger on the internet, and a web page in a developer's browser: knocks at the receiver, and at a simulator on localhost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from attrs import evolve
from starlette.applications import Starlette
from starlette.routing import Mount
from tests.kit.world import CCV_FAST, LINK_KEYS, World, ccv_at, ccv_request, ccv_sim, connect_at, connect_request, running

from orderflow import Orderflow
from orderflow._receiver import receiver as receiver_module
from orderflow._receiver.signed_urls import SignedUrls
from orderflow._store.sqlite.store import SqliteStore
from orderflow.errors import OperationalError
from orderflow.simulators import serve

pytestmark = pytest.mark.anyio
PUBLIC = "https://shop.example/api/orders"
SECURITY_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def token_path(order_id: str, purpose: str = "return") -> str:
    """The path of a URL of ours, below the mount point."""
    return str(SignedUrls(PUBLIC, LINK_KEYS).url("connect", purpose, order_id)).removeprefix(PUBLIC)


def open_flow(store: str | SqliteStore) -> Orderflow:
    return Orderflow(store, [connect_at("http://127.0.0.1:1")], public_url=PUBLIC, signing_keys=LINK_KEYS)


# ── the receiver ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/orders/x", "/orders", "/orders/connect/return/x"])
async def test_i_knock_with_a_websocket(tmp_path: Path, path: str) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": path, "root_path": "", "headers": [], "query_string": b"", "scheme": "ws", "subprotocols": []}
    async with open_flow(f"sqlite:///{tmp_path / 'orders.db'}") as flow:
        await Starlette(routes=[Mount("/orders", flow.receiver())])(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize(("root_path", "path"), [("", "/orders"), ("/api", "/orders"), ("/api", "/api/orders")])
async def test_my_customers_come_through_a_proxy_that_strips_a_prefix_or_does_not(tmp_path: Path, root_path: str, path: str) -> None:
    """``root_path`` is what ``FastAPI(root_path=...)`` and the servers' options set."""
    async with open_flow(f"sqlite:///{tmp_path / 'orders.db'}") as flow:
        order = await flow.create("connect", key="k", **connect_request())
        app = Starlette(routes=[Mount("/orders", flow.receiver())])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app, root_path=root_path), base_url="http://x") as http:
            served = await http.get(path + token_path(order.id))
            forged = await http.get(path + "/connect/return/k1.x.y")
    assert (served.status_code, forged.status_code) == (200, 404)


@pytest.mark.parametrize("root_path", ["", "/api", "/orders", "/api/orders"])
async def test_a_server_gives_the_receiver_a_path_with_or_without_its_mount_point(tmp_path: Path, root_path: str) -> None:
    async with open_flow(f"sqlite:///{tmp_path / 'orders.db'}") as flow:
        order = await flow.create("connect", key="k", **connect_request())
        for prefix in ("", "/orders", "/api/orders", "/connect"):
            transport = httpx.ASGITransport(flow.receiver(), root_path=root_path)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
                assert (await http.get(prefix + token_path(order.id))).status_code == 200


class AwayStore(SqliteStore):
    """A store whose database goes away: it refuses, or it does not answer."""

    away = ""

    async def commit(self, *arguments: Any, **options: Any) -> Any:
        if self.away == "refuses":
            raise OperationalError("db: the database is not reachable")
        if self.away == "hangs":
            await asyncio.sleep(60)
        return await super().commit(*arguments, **options)


@pytest.mark.parametrize("away", ["refuses", "hangs"])
@pytest.mark.parametrize("purpose", ["return", "callback"])
async def test_the_database_is_away_while_the_customer_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: str, purpose: str
) -> None:
    monkeypatch.setattr(receiver_module, "_MAX_SECONDS", 0.3)
    store = AwayStore(tmp_path / "orders.db")
    async with open_flow(store) as flow:
        order = await flow.create("connect", key="k", **connect_request("creditcardPayex"))
        store.away, began = away, time.monotonic()
        with structlog.testing.capture_logs() as logs:
            replies = await asyncio.gather(
                *(flow.handle_request("GET", token_path(order.id, purpose), b"fulfillmentStatus=success") for _ in range(20))
            )
        assert time.monotonic() - began < 2.0
        store.away = ""
        recovered = await flow.handle_request("GET", token_path(order.id, purpose), b"fulfillmentStatus=success")
    assert {reply.status for reply in replies} == {503}
    assert replies[0].headers["Retry-After"] == "10"
    assert b"Nothing is lost" in replies[0].body
    assert {(entry["event"], entry["log_level"]) for entry in logs} == {("receiver.database_away", "error")}
    assert recovered.status in (200, 204)


async def test_every_reply_has_the_security_headers_whatever_i_ask_for(tmp_path: Path) -> None:
    async with running(tmp_path, worker=False) as world:
        order = await world.flow.create("connect", key="k", **connect_request())
        urls = SignedUrls(world.public, LINK_KEYS)
        replies = [
            await world.http.get(f"{world.public}/nothing"),
            await world.http.post(str(urls.url("connect", "return", order.id))),
            await world.http.get(str(urls.url("connect", "return", order.id))),
            await world.http.get(str(urls.url("connect", "return", "connect-gone"))),
            await world.http.get(str(urls.url("connect", "callback", order.id))),
        ]
    assert [reply.status_code for reply in replies] == [404, 405, 200, 200, 204]
    assert [SECURITY_HEADERS.items() <= dict(reply.headers).items() for reply in replies] == [True] * len(replies)


async def test_i_come_back_to_an_order_that_was_pruned(tmp_path: Path) -> None:
    """A browser gets the page of an order that has no page, so that nothing is shown. The provider's callback gets a 404."""
    async with open_flow(f"sqlite:///{tmp_path / 'orders.db'}") as flow:
        order = await flow.create("connect", key="k", **connect_request())
        alive, gone, callback = [
            await flow.handle_request("GET", token_path(*which)) for which in ((order.id,), ("connect-gone",), ("connect-gone", "callback"))
        ]
    assert alive == gone
    assert (gone.status, callback.status) == (200, 404)


# ── a simulator on localhost ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_my_page_lets_its_own_name_point_to_the_simulator() -> None:
    async with ccv_sim() as sim, serve(sim.asgi) as base, httpx.AsyncClient(trust_env=False, base_url=base) as http:
        port = base.rpartition(":")[2]
        for path in ("/_sim/requests", "/_sim/", "/", "/api/ordercompletion/reseller/order/1"):
            for host in (f"evil.example:{port}", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[evil"):
                answer = await http.get(path, headers={"Host": host})
                assert answer.status_code in (400, 421), (path, host)
        assert (await http.post("/_sim/reset", headers={"Host": "evil.example"})).status_code == 421
        assert list(sim.journal.rows) == []
        for host in (f"localhost:{port}", f"127.0.0.1:{port}", "sim.localhost", "[::1]:9"):
            assert (await http.get("/_sim/requests", headers={"Host": host})).status_code == 200, host


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "none"},
    ],
)
async def test_my_page_presses_the_buttons_of_the_simulator(headers: dict[str, str]) -> None:
    async with ccv_sim() as sim, serve(sim.asgi) as base, httpx.AsyncClient(trust_env=False, base_url=base) as http:
        assert (await http.post("/_sim/reset", headers=headers)).status_code == 403
        for origin in (base, "null"):  # its own pages send no referrer, and so "null"
            own = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
            assert (await http.post("/_sim/reset", headers=own)).status_code == 200
        assert (await http.post("/_sim/reset")).status_code == 200


# ── more polls than news ─────────────────────────────────────────────────────────────────────────────────────────────────

CCV_POLL = "GET /api/ordercompletion/reseller/order/"


@pytest.mark.parametrize(("notifications", "shared", "own"), [("order", 404, 204), ("shared", 204, 404), ("off", 404, 404)])
async def test_i_call_the_notification_url_that_is_not_configured(tmp_path: Path, notifications: str, shared: int, own: int) -> None:
    async with running(tmp_path, ccv={"notifications": notifications}, worker=False) as world:
        order = await world.flow.create("ccv", key="k", **ccv_request())
        assert (await world.http.post(f"{world.public}/ccv/notifications")).status_code == shared
        url = SignedUrls(world.public, LINK_KEYS).url("ccv", "notification", order.id)
        assert (await world.http.post(str(url))).status_code == own


async def test_i_call_a_service_that_has_no_public_url(tmp_path: Path) -> None:
    provider = ccv_at("http://127.0.0.1:1", notifications="shared")
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [provider]) as flow:
        assert (await flow.handle_request("POST", "/ccv/notifications")).status == 404


async def test_i_call_my_notification_urls_as_fast_as_they_answer(tmp_path: Path) -> None:
    """They bring as many polls as the quota allows, and the calls of an honest customer begin at once."""
    timing = evolve(CCV_FAST, poll_first=600.0, poll_cap=600.0, calls_per_minute=30.0)
    async with running(tmp_path, ccv={"timing": timing}) as world:
        world.ccv.script(None)
        world.ccv.deliveries.arm("drop", times=None)
        urls = [str(SignedUrls(world.public, LINK_KEYS).url("ccv", "notification", await submit(world, f"mine-{n}"))) for n in range(3)]
        busy = True

        async def call(url: str) -> None:
            while busy:
                await world.http.post(url)

        calls = [asyncio.create_task(call(url)) for url in urls]
        await asyncio.sleep(2.0)
        polls = world.ccv.journal.count_executed(CCV_POLL)
        await submit(world, "honest")
        busy = False
        await asyncio.gather(*calls)
    assert 0 < polls <= 3  # a tenth of the calls


async def submit(world: World, key: str) -> str:
    """An order that CCV has. Its id."""
    order = await world.flow.create("ccv", key=key, **ccv_request())
    await world.flow.send(order.id, "submit")
    await world.flow.wait(order.id, "Processing", 60)
    return order.id
