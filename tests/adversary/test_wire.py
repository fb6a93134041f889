"""Who stands on the wire to a provider, or reads our logs: an answer that expands, drips, sets cookies or redirects, and a look for secrets."""

from __future__ import annotations

import asyncio
import gzip
import logging
import tracemalloc
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from attrs import evolve
from tests.kit.world import CONNECT_FAST, CONNECT_ID, CONNECT_SECRET, connect_at, connect_request, running

from orderflow import Orderflow
from orderflow._provider.http import HttpResponse, ResponseLost, make_client, send_request

pytestmark = pytest.mark.anyio
Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]
BOMB_BYTES, BLOCK_BYTES = 600_000_000, 1_000_000
PEAK_BYTES = 20_000_000
BASIC = b64encode(f"{CONNECT_ID}:{CONNECT_SECRET}".encode()).decode()


@asynccontextmanager
async def attacker(answer: Answer) -> AsyncIterator[str]:
    """A server of the attacker's; ``answer`` gets the head of each request. Yields its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            await answer(head, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def make_bomb(encoding: str) -> bytes:
    """Zeros, compressed once for each layer of the encoding."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    start, block = (compressor.compress(bytes(BLOCK_BYTES)) + compressor.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    bomb = start + block * (BOMB_BYTES // BLOCK_BYTES)
    return gzip.compress(bomb, 9) if "," in encoding else bomb


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "GZIP", "deflate"])
async def test_i_send_a_body_that_expands_to_gigabytes(encoding: str) -> None:
    """One gzip layer of 600 MB is 600 KB on the wire; two layers are a few KB."""
    bomb = make_bomb(encoding)

    async def explode(_head: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (encoding.encode(), len(bomb)) + bomb)

    async with attacker(explode) as url, make_client(10.0) as client:
        tracemalloc.start()
        try:
            result = await send_request(client, "GET", url, headers={})
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert isinstance(result, ResponseLost)
    assert peak < PEAK_BYTES


async def test_i_set_a_cookie_and_wait_for_the_next_customers_call() -> None:
    heads = []

    async def set_cookie(head: str, writer: asyncio.StreamWriter) -> None:
        heads.append(head.lower())
        writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: session=mine; Path=/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async with attacker(set_cookie) as url, make_client(10.0) as client:
        for _ in range(2):
            assert isinstance(await send_request(client, "GET", url, headers={}), HttpResponse)
    assert len(heads) == 2
    assert [head for head in heads if "cookie" in head] == []


async def test_i_redirect_a_call_to_my_own_server() -> None:
    heads = []

    async def redirect(head: str, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(b"HTTP/1.1 307 Elsewhere\r\nLocation: /mine\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async with attacker(redirect) as url, make_client(10.0) as client:
        result = await send_request(client, "POST", url, headers={"Authorization": "Basic x"}, content=b"{}")
    assert isinstance(result, HttpResponse)
    assert (result.status, len(heads)) == (307, 1)


@pytest.mark.parametrize("dripping", ["token", "order", "status"])
async def test_i_send_my_answer_one_byte_at_a_time_for_ever(tmp_path: Path, dripping: str) -> None:
    """Each byte comes in time. The whole call has one end all the same: we hang up."""
    hung_up = asyncio.Event()

    async def drip(head: str, writer: asyncio.StreamWriter) -> None:
        target = head.split()[1]
        kind = "token" if "/token" in target else "status" if "/status/" in target else "order"
        body = {"token": b'{"access_token": "t"}', "order": b'{"orderId": 14}', "status": b'{"orders": []}'}[kind]
        if kind != dripping:
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        try:
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        finally:
            hung_up.set()

    async with attacker(drip) as url:
        connect = connect_at(url, timing=evolve(CONNECT_FAST, lease=1.0), timeout=0.5)
        async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [connect], worker=True, fetch_interval=0.05, grace=1.0) as flow:
            order = await flow.create(connect, key="k", **connect_request())
            await flow.send(order.id, "register")
            if dripping == "status":
                await flow.wait(order.id, "registered", 60)
                await flow.refresh(order.id)
            async with asyncio.timeout(8):
                await hung_up.wait()
            if dripping == "order":
                await flow.wait(order.id, "registration_in_doubt", 60)


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG], ids=["INFO", "DEBUG"])
@pytest.mark.parametrize("credentials_in", ["query", "basic", "body"])
async def test_i_read_the_log_of_the_application(tmp_path: Path, caplog: pytest.LogCaptureFixture, level: int, credentials_in: str) -> None:
    """The application logs everything, as ``logging.basicConfig(level=...)`` does. httpx logs each URL at INFO, httpcore headers at DEBUG."""
    caplog.set_level(level)
    async with running(tmp_path, connect={"credentials_in": credentials_in}) as world:
        order = await world.flow.create("connect", key="k", **connect_request())
        await world.flow.send(order.id, "register")
        await world.flow.wait(order.id, "registered", 60)
        provider_id = str((await world.flow.order(order.id)).provider_id)
        token_calls = [row for row in world.connect.journal.rows if CONNECT_SECRET in row.query or "token" in row.path]
        async with httpx.AsyncClient(trust_env=False) as own:
            await own.get(f"{world.public}/nothing")
    assert token_calls
    assert "/nothing" in caplog.text, "the application's own requests are logged as before"
    for secret in (CONNECT_SECRET, BASIC, "simulated-client-token"):
        assert secret not in caplog.text
    assert f"/order/status/{provider_id}" not in caplog.text
