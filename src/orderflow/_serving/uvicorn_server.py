"""Runs uvicorn without its signal handling, its log and its main loop. Contains only: only what touches uvicorn.

Import it through ``orderflow._serving.serve``.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from orderflow._serving import ABORT, CLOSE, CLOSING

POLL_SECONDS = 0.002
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _Protocol(H11Protocol):
    """uvicorn's HTTP protocol, which also offers the ASGI extensions of ``orderflow._serving`` to the app."""

    def __init__(self, *args: Any, closing: asyncio.Event, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        app: Any = self.app

        async def add_extensions(scope: Any, receive: Any, send: Any) -> None:
            extensions = {ABORT: self.reset, CLOSE: self.transport.close, CLOSING: closing}
            scope["extensions"] = {**scope.get("extensions", {}), **extensions}
            await app(scope, receive, send)

        self.app = add_extensions

    def reset(self) -> None:
        """Reset the TCP connection."""
        # without SO_LINGER the kernel closes politely (FIN), and the client could tell the difference
        with suppress(OSError):  # a client that hung up first has closed the socket
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.transport.abort()


@asynccontextmanager
async def run_server(app: Any, host: str, port: int, grace: float) -> AsyncIterator[str]:
    """Serve ``app`` on ``host`` and ``port`` (0: a free port) until the block ends; yields the base URL."""
    closing = asyncio.Event()
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(_Protocol, closing=closing)),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        date_header=False,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    url_host = f"[{host}]" if ":" in host else host
    try:
        yield f"http://{url_host}:{listener.getsockname()[1]}"
    finally:
        closing.set()
        await _stop(server, grace)


def _listen(host: str, port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY only on a socket of IPPROTO_TCP; without it each response waits 40 ms
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


async def _stop(server: uvicorn.Server, grace: float) -> None:
    """Let requests under way finish for ``grace`` seconds, then cut them off.

    uvicorn's own shutdown takes a tenth of a second even when nothing is under way. Every test would pay for it.
    """
    connections, tasks = server.server_state.connections, server.server_state.tasks
    for listener in server.servers:
        listener.close()
    for connection in list(connections):
        connection.shutdown()
    try:
        async with asyncio.timeout(grace):
            while connections or tasks:  # noqa: ASYNC110 - uvicorn has no event for the last one
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        for connection in list(connections):
            connection.transport.abort()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for listener in server.servers:
        await listener.wait_closed()
