"""Serve any ASGI app on a real socket, inside the running event loop. Simulators and the worker's health probes use it.

Contains only: ``serve``, the ASGI extensions that the server offers to its app, and what an app needs to end with the server.
Only uvicorn_server.py imports uvicorn, and only when something is served.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from orderflow._distribution import describe_install
from orderflow.errors import ConfigurationError

T = TypeVar("T")
ABORT = "orderflow.abort"
"""ASGI extension: a callable that resets the TCP connection at once."""
CLOSE = "orderflow.close"
"""ASGI extension: a callable that sends what is buffered and then closes the TCP connection."""
CLOSING = "orderflow.closing"
"""ASGI extension: an ``asyncio.Event`` that is set when the server is about to stop."""
GRACE_SECONDS = 2.0


@asynccontextmanager
async def serve(app: Any, *, host: str = "127.0.0.1", port: int = 0, grace: float = GRACE_SECONDS) -> AsyncIterator[str]:
    """Serve ``app`` until the block ends; yields the base URL, such as ``http://127.0.0.1:40123``.

    Port 0 takes a free port. At the end, requests under way have ``grace`` seconds; then they are cut off.
    The app's lifespan is not run, no signal is caught, requests are not logged.
    The exception of an app that raises is logged by ``uvicorn.error``.

    Raises:
        ConfigurationError: uvicorn is not installed.
        OSError: the port is taken.
    """
    try:
        from orderflow._serving import uvicorn_server  # noqa: PLC0415 - the extra is optional
    except ImportError as missing:
        raise ConfigurationError(f"serving needs uvicorn: {describe_install('simulate')}") from missing
    async with uvicorn_server.run_server(app, host, port, grace) as url:
        yield url


async def end_on_shutdown(items: AsyncGenerator[T, None], closing: asyncio.Event | None) -> AsyncIterator[T]:
    """Yield the endless ``items`` until ``closing`` is set: an endless response would keep the server from stopping."""
    stopped = asyncio.ensure_future((closing or asyncio.Event()).wait())
    next_item: asyncio.Future[T] | None = None
    try:
        while True:
            next_item = asyncio.ensure_future(anext(items))
            await asyncio.wait({next_item, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not next_item.done():
                return
            yield next_item.result()
    finally:
        unfinished = [future for future in (next_item, stopped) if future is not None and not future.done()]
        for future in unfinished:
            future.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        await items.aclose()
