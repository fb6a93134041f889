"""Trouble at the token endpoint alone: nothing was sent, so no order is ever in doubt, and what can be read is used."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from attrs import evolve
from tests.kit.world import CONNECT_FAST, CONNECT_ID, CONNECT_SECRET, connect_at, connect_request, eventually

from orderflow._app import Orderflow
from orderflow._engine.outbox import Outbox
from orderflow._provider.outcomes import Outcome
from orderflow._providers.connect import Connect

pytestmark = pytest.mark.anyio

PATIENT = evolve(CONNECT_FAST, lease=2.0, retry_attempts=1000, circuit_pause=0.1)
LONG_LEASE = evolve(PATIENT, lease=60.0)


class Server:
    """Connect and its login server on one socket. ``token``: the body of the token answer; None: a byte at a time, without an end."""

    def __init__(self, token: bytes | None, status: int = 200) -> None:
        self.token, self.status = token, status
        self.paths: list[str] = []

    def count(self, part: str) -> int:
        return sum(part in path for path in self.paths)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.paths.append(head.split()[1])
            if "/oauth/token" not in head:
                await self._send(writer, 200, b'{"orderId": 101}')
            elif self.token is not None:
                await self._send(writer, self.status, self.token)
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while True:
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.05)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()


@asynccontextmanager
async def serving(token: bytes | None, status: int = 200) -> AsyncIterator[tuple[Server, str]]:
    server = Server(token, status)
    async with await asyncio.start_server(server.answer, "127.0.0.1", 0) as listening:
        yield server, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> list[Outcome]:
    """How the calls of the outbox end."""
    ends: list[Outcome] = []
    call = Outbox._call

    async def record(self: Outbox, *arguments: object) -> Outcome:
        ends.append(outcome := await call(self, *arguments))  # type: ignore[arg-type]
        return outcome

    monkeypatch.setattr(Outbox, "_call", record)
    return ends


TROUBLE: dict[str, tuple[bytes | None, int]] = {
    "a byte at a time": (None, 200),
    "no content": (b"", 204),
    "html": (b"<html></html>", 200),
    "a list": (b"[]", 200),
    "surrogate": (b'{"access_token": "\\ud800"}', 200),
    "two headers": (b'{"access_token": "a\\r\\nX: y"}', 200),
    "empty": (b'{"access_token": ""}', 200),
    "too large": (b" " * (3 * 1024 * 1024), 200),
    "number of 5,000 digits": (b'{"access_token": "t", "expires_in": ' + b"9" * 5000 + b"}", 200),
    "server error": (b"", 500),
}


@pytest.mark.parametrize("trouble", TROUBLE)
async def test_an_order_for_which_there_is_no_token_waits_and_is_not_in_doubt(
    tmp_path: Path, outcomes: list[Outcome], trouble: str
) -> None:
    async with serving(*TROUBLE[trouble]) as (server, base), open_flow(tmp_path, base) as flow:
        order = await flow.create("connect", key="k", **connect_request())
        await flow.send(order.id, "register")
        await eventually(lambda: bool(outcomes))
        assert {type(outcome).__name__ for outcome in outcomes} == {"NotExecuted"}
        assert (await flow.order(order.id)).state == "registering"
        assert server.count("/client/order") == 0
        server.token, server.status = b'{"access_token": "t"}', 200
        await flow.wait(order.id, "registered", 60)


@pytest.mark.parametrize(
    "odd",
    [{"expires_in": value} for value in ("43200", 43200.0, None, -5, 10**400, "soon", [1], {})]
    + [{"scope": ["read"], "token_type": None}, {"token_type": 7, "refresh_token": 7}],
    ids=lambda odd: str(odd)[:40],
)
@pytest.mark.parametrize("status", [200, 201])
async def test_a_token_is_a_token_whatever_stands_beside_it(tmp_path: Path, odd: dict[str, object], status: int) -> None:
    body = json.dumps({"access_token": "t", **odd}).encode()
    async with serving(body, status) as (server, base), open_flow(tmp_path, base) as flow:
        order = await flow.create("connect", key="k", **connect_request())
        await flow.send(order.id, "register")
        await flow.wait(order.id, "registered", 60)
        assert server.count("/oauth/token") == 1


def open_flow(folder: Path, base: str) -> Orderflow:
    connect = Connect(base + "/capi", base + "/user", CONNECT_ID, CONNECT_SECRET, timing=PATIENT, timeout=1.0)
    return Orderflow(f"sqlite:///{folder / 'orders.db'}", [connect], worker=True, fetch_interval=0.02, grace=0.1)


# ── the call's own time ends while the token is awaited ──────────────────────────────────────────────────────────────────


class SlowUsers:
    """A TokenSource that does not answer."""

    async def token(self, order_id: str) -> str | None:
        await asyncio.Event().wait()
        raise AssertionError


Open = Callable[[str], Connect]
SLOW: dict[str, tuple[Open, bool]] = {
    "client mode": (lambda base: Connect(base + "/capi", base + "/user", CONNECT_ID, CONNECT_SECRET, timing=LONG_LEASE), False),
    "user mode": (lambda base: connect_at(base, tokens=SlowUsers(), timing=LONG_LEASE), True),
}


@pytest.mark.parametrize("mode", SLOW)
async def test_a_call_whose_time_ends_at_the_token_was_not_executed(
    tmp_path: Path, outcomes: list[Outcome], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr("orderflow._engine.outbox.seconds_for_call", lambda *_: 0.1)  # the most of its lease is gone
    make, user_mode = SLOW[mode]
    async with serving(None) as (server, base), Orderflow(f"sqlite:///{tmp_path / 'o.db'}", [make(base)], worker=True, grace=0.1) as flow:
        order = await flow.create("connect", key="k", **connect_request(user_mode=user_mode))
        await flow.send(order.id, "register")
        await eventually(lambda: bool(outcomes))
        assert (await flow.order(order.id)).state == "registering"
        assert server.count("/order") == 0
    assert {(type(end).__name__, getattr(end, "why", "")) for end in outcomes} == {("NotExecuted", "no time was left to send the call")}


@pytest.mark.parametrize("mode", SLOW)
async def test_a_worker_that_stops_while_the_token_is_awaited_leaves_no_doubt(tmp_path: Path, outcomes: list[Outcome], mode: str) -> None:
    make, user_mode = SLOW[mode]
    url = f"sqlite:///{tmp_path / 'o.db'}"
    async with serving(None) as (server, base):
        provider = make(base)
        async with Orderflow(url, [provider], worker=True, fetch_interval=0.02, grace=0.05) as flow:
            order = await flow.create("connect", key="k", **connect_request(user_mode=user_mode))
            await flow.send(order.id, "register")
            await eventually(lambda: server.count("/oauth/token") == 1) if not user_mode else await asyncio.sleep(0.2)
        assert [(type(end).__name__, getattr(end, "why", "")) for end in outcomes] == [
            ("NotExecuted", "the worker stopped before the answer came")
        ]
        async with Orderflow(url, [make(base)]) as flow:
            assert (await flow.order(order.id)).state == "registering"
            (effect,) = (await flow.pending(order.id)).effects
            assert not effect.in_flight
