"""uvicorn, driven without its signal handling, its log and its ticking main loop. What may live here: only what touches
uvicorn; import it through ``serve``."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from orderflow.serving import ABORT, CLOSE, CLOSING

GRACE_SECONDS = 2
POLL_SECONDS = 0.002
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def _protocol(closing: asyncio.Event) -> type[H11Protocol]:
    class Protocol(H11Protocol):
        """Hands the app the means to cut its own connection."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            app: Any = self.app

            async def with_cuts(scope: Any, receive: Any, send: Any) -> None:
                extensions = {ABORT: self.reset, CLOSE: self.transport.close, CLOSING: closing}
                scope["extensions"] = {**scope.get("extensions", {}), **extensions}
                await app(scope, receive, send)

            self.app = with_cuts

        def reset(self) -> None:
            # without SO_LINGER the kernel would say goodbye politely (FIN), and the client could tell the difference
            with suppress(OSError):  # whoever hung up before us has closed it
                self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self.transport.abort()

    return Protocol


@asynccontextmanager
async def running(app: Any, host: str, port: int) -> AsyncIterator[str]:
    """Serve ``app`` on ``host`` and ``port`` (0: a free one) until the block ends; yields the base URL."""
    closing = asyncio.Event()
    # asyncio sets TCP_NODELAY only on a socket that says IPPROTO_TCP; without it each answer waits 40 ms
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    config = uvicorn.Config(
        app,
        http=_protocol(closing),
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
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"http://{shown}:{listener.getsockname()[1]}"
    finally:
        closing.set()
        await _stop(server)


async def _stop(server: uvicorn.Server) -> None:
    """Let requests under way finish, for a while, then cut them off. uvicorn's own shutdown takes a tenth of a second
    even when there is nothing to wait for, which every test would pay."""
    connections, tasks = server.server_state.connections, server.server_state.tasks
    for listener in server.servers:
        listener.close()
    for connection in list(connections):
        connection.shutdown()
    try:
        async with asyncio.timeout(GRACE_SECONDS):
            while connections or tasks:  # noqa: ASYNC110 - uvicorn tells nobody when the last one goes
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        for connection in list(connections):
            connection.transport.abort()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for listener in server.servers:
        await listener.wait_closed()
