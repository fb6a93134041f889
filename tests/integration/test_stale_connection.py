"""What must not be sent twice travels on a connection of its own: one that was used before may be closed just as the request is written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.kit.calls import call_for
from tests.kit.world import LINK_KEYS, ccv_at, ccv_request, connect_at, connect_request, order_of

from orderflow._provider.outcomes import Succeeded
from orderflow._receiver.signed_urls import SignedUrls

pytestmark = pytest.mark.anyio
LINKS = SignedUrls("https://us.example", LINK_KEYS)
ANSWERS = {"token": {"access_token": "t", "token_type": "bearer", "expires_in": 60}, "order": {"orderId": 14}}


@asynccontextmanager
async def server_that_drops_used_connections() -> AsyncIterator[str]:
    """A server that promises to keep connections alive, and drops each of them when its second request comes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next((int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length")), 0)
        await reader.readexactly(length)
        body = json.dumps(ANSWERS["token" if "token" in head.split()[1] else "order"]).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        await reader.read(1)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_an_order_is_registered_though_the_connection_of_the_token_call_is_dropped() -> None:
    async with server_that_drops_used_connections() as base:
        connect = connect_at(base)
        outcomes = [
            await connect.perform(call_for(connect, "register_order", order_of(connect, connect_request())), LINKS) for _ in range(3)
        ]
        await connect.close()
    assert outcomes == [Succeeded("order_registered", provider_id="14")] * 3


async def test_an_order_is_submitted_though_the_connection_of_the_call_before_is_dropped() -> None:
    async with server_that_drops_used_connections() as base:
        ccv = ccv_at(base)
        order = order_of(ccv, ccv_request(), order={"orderLines": []})
        outcomes = [await ccv.perform(call_for(ccv, "submit_order", order), LINKS) for _ in range(3)]
        await ccv.close()
    assert outcomes == [Succeeded("order_submitted", provider_id="14")] * 3
