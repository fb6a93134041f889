"""Requests and answers that a grammar makes: whatever comes, the receiver replies, an adapter has an outcome, and memory stays bounded.

``make test`` runs a few thousand, `make test-slow` more. ``ORDERFLOW_FUZZ=1000000`` sets how many those are. A case that fails names its
number; the same number makes the same case.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import resource
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest
import structlog
from tests.kit.calls import call_for
from tests.kit.grammar import Answer, make_answer, make_request
from tests.kit.world import LINK_KEYS, SHOP, Users, ccv_at, ccv_request, connect_at, connect_request, order_of

from orderflow import Orderflow
from orderflow._provider.http import make_client
from orderflow._provider.outcomes import InDoubt, NoResult, NotExecuted, ReadFailed, Rejected, StatusRead, Succeeded
from orderflow._receiver.signed_urls import SignedUrls

pytestmark = pytest.mark.anyio
BRIEF, SOCKETS = 2000, 200
LONG = int(os.environ.get("ORDERFLOW_FUZZ", "30000"))
AT_ONCE = 64
FRESH_AFTER = 1000  # answers, after which a provider begins anew: its token, its connections
GROWTH_BYTES = 60_000_000
PUBLIC = f"{SHOP}/orders"
URLS = SignedUrls(PUBLIC, LINK_KEYS)
OUTCOMES = (Succeeded, NotExecuted, Rejected, InDoubt, NoResult, StatusRead, ReadFailed)
_TOKEN = b'{"access_token": "t", "token_type": "bearer", "expires_in": 60}'
TOKEN = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(_TOKEN), _TOKEN)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """Each odd request would be logged."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def resident_bytes() -> int:
    """The memory of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def run_cases(cases: int, run: Callable[[int], Awaitable[str]], at_once: int) -> Counter[str]:
    """Run so many cases, and count how they ended. The memory that they need does not grow with their number."""
    ends: Counter[str] = Counter()
    warm = 0

    async def run_share(numbers: Iterable[int]) -> None:
        for n in numbers:
            try:
                ends[await run(n)] += 1
            except Exception as error:
                raise AssertionError(f"case {n}") from error

    for first in range(0, cases, 1000):
        batch = range(first, min(first + 1000, cases))
        await asyncio.gather(*(run_share(batch[share::at_once]) for share in range(at_once)))
        if not warm and first >= cases // 4:
            warm = resident_bytes()
    assert resident_bytes() - warm < GROWTH_BYTES, f"{(resident_bytes() - warm) / 1e6:.0f} MB more after {cases:,} cases"
    return ends


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def request(app: Any, scope: dict[str, Any]) -> str:
    """Send one request to the app. What it was answered."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    if scope["type"] == "websocket":
        assert [message["type"] for message in sent] == ["websocket.close"]
        return "closed"
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] in (200, 204, 303, 404, 405), sent[0]
    return str(sent[0]["status"])


async def fuzz_receiver(folder: Path, cases: int) -> Counter[str]:
    """So many requests to the receiver of a flow with both providers."""
    providers = [connect_at("http://127.0.0.1:1"), ccv_at("http://127.0.0.1:1", notifications="order")]
    async with Orderflow(f"sqlite:///{folder / 'orders.db'}", providers, public_url=PUBLIC, signing_keys=LINK_KEYS) as flow:
        orders = [await flow.create("connect", key=str(n), **connect_request()) for n in range(5)]
        orders += [await flow.create("ccv", key=str(n), **ccv_request()) for n in range(5)]
        endpoints = [(provider.name, endpoint.purpose) for provider in providers for endpoint in provider.endpoints]
        ids = [*(order.id for order in orders), "connect-gone", "é", "a/b"]
        urls = [str(URLS.url(*endpoint, order_id)).removeprefix(PUBLIC) for endpoint in endpoints for order_id in ids]
        names = [*{name for endpoint in endpoints for name in endpoint}, urls[0].rpartition("/")[2]]
        app = flow.receiver()
        return await run_cases(cases, lambda n: request(app, make_request(random.Random(n), urls, names)), AT_ONCE)


async def test_two_thousand_requests(tmp_path: Path) -> None:
    ends = await fuzz_receiver(tmp_path, BRIEF)
    assert {"200", "204", "404", "405", "closed"} <= set(ends), ends


@pytest.mark.slow
async def test_many_requests(tmp_path: Path) -> None:
    assert (await fuzz_receiver(tmp_path, LONG)).total() == LONG


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Wire(httpcore.AsyncNetworkBackend):
    """What httpx takes for the network. Requests for a token are answered in order, all others by the next answer."""

    def __init__(self) -> None:
        self.answer = Answer(())

    async def connect_tcp(self, *_address: Any, **_options: Any) -> httpcore.AsyncNetworkStream:
        return WireStream(self)


class WireStream(httpcore.AsyncNetworkStream):
    """One connection of it, which ends after its first answer."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._pieces: list[bytes] = []

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer.startswith((b"GET ", b"POST ")):
            self._pieces = [TOKEN] if b"token" in buffer.split(b"\r\n", 1)[0] else [piece for piece in self._wire.answer.pieces if piece]

    async def aclose(self) -> None:
        self._pieces = []

    async def start_tls(self, *_arguments: Any, **_options: Any) -> httpcore.AsyncNetworkStream:
        raise AssertionError("plain HTTP")

    def get_extra_info(self, info: str) -> Any:
        return None


class Adapters:
    """Both providers, behind an HTTP client, and what they can be asked."""

    def __init__(self, client: httpx.AsyncClient, base: str) -> None:
        connect = connect_at(base, client=client, tokens=Users("user-token"))
        ccv = ccv_at(base, client=client)
        registered = order_of(connect, connect_request(digital=True), provider_id="14", assignment={"userId": "1"})
        by_user = order_of(connect, connect_request(user_mode=True), provider_id="14")
        configured = order_of(ccv, ccv_request(), provider_id="14", order={"orderLines": []})
        self._polls = ((connect, registered), (ccv, configured))
        self._effects = [
            *((connect, call_for(connect, effect, registered)) for effect in connect.table.effects if effect != "notify_listener"),
            *((connect, call_for(connect, effect, by_user)) for effect in ("register_order", "search_order")),
            *((ccv, call_for(ccv, effect, configured)) for effect in ("configure_order", "submit_order")),
        ]

    async def ask(self, n: int) -> Any:
        """One call or poll."""
        kind = n % (len(self._effects) + len(self._polls))
        if kind < len(self._effects):
            provider, call = self._effects[kind]
            return await provider.perform(call, URLS)
        polled, order = self._polls[kind - len(self._effects)]
        return await polled.fetch_status(order)


def check_outcome(outcome: Any) -> str:
    """What it is. It can be shown and acted on."""
    assert isinstance(outcome, OUTCOMES), outcome
    assert len(str(outcome)) < 10_000
    wait = getattr(outcome, "retry_after", None)
    assert wait is None or 0 <= wait <= 3600, wait
    return type(outcome).__name__


async def fuzz_adapters(cases: int) -> Counter[str]:
    """So many answers to calls and polls of both adapters, through httpx and h11."""
    wire = Wire()
    transport = httpx.AsyncHTTPTransport()
    transport._pool = httpcore.AsyncConnectionPool(network_backend=wire, keepalive_expiry=0.0)
    async with make_client(5.0) as client:
        client._transport = transport
        adapters = Adapters(client, "http://provider.example")

        async def run(n: int) -> str:
            nonlocal adapters
            if n % FRESH_AFTER == 0:
                adapters = Adapters(client, "http://provider.example")
            wire.answer = make_answer(random.Random(n))
            return check_outcome(await adapters.ask(n))

        return await run_cases(cases, run, 1)


async def test_two_thousand_answers() -> None:
    ends = await fuzz_adapters(BRIEF)
    assert set(ends) == {outcome.__name__ for outcome in OUTCOMES}, ends


@pytest.mark.slow
async def test_many_answers() -> None:
    assert (await fuzz_adapters(LONG)).total() == LONG


async def test_answers_over_sockets() -> None:
    """The same grammar, over real connections."""
    answer = Answer(())

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            for piece in (TOKEN,) if b"token" in head.split(b"\r\n", 1)[0] else answer.pieces:
                writer.write(piece)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, make_client(60.0, keep_alive=False) as client:
        adapters = Adapters(client, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for n in range(SOCKETS):
            answer = make_answer(random.Random(n))
            check_outcome(await adapters.ask(n))
