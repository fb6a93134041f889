"""Any ASGI app on a real socket inside the running event loop: simulators, a worker's probes. What may live here: ``serve``, what a
server tells its app, and (uvicorn_server.py) the one module that touches uvicorn, imported only when something is served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from orderflow.errors import ConfigurationError

T = TypeVar("T")
ABORT = "orderflow.abort"
"""ASGI extension: a callable that resets the TCP connection at once."""
CLOSE = "orderflow.close"
"""ASGI extension: a callable that sends what is buffered and then closes the TCP connection."""
CLOSING = "orderflow.closing"
"""ASGI extension: an ``asyncio.Event`` that is set when the server is about to stop."""


@asynccontextmanager
async def serve(app: Any, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve ``app`` until the block ends; yields the base URL, such as ``http://127.0.0.1:40123``.

    Port 0 takes a free one. The app's lifespan is not run, no signal is caught, requests are not logged.
    An app that raises is reported on the logger ``uvicorn.error``.
    Raises ConfigurationError when uvicorn is not installed, OSError when the port is taken.
    """
    try:
        from orderflow.serving import uvicorn_server  # noqa: PLC0415 - the extra is optional
    except ImportError as missing:
        raise ConfigurationError("serving needs uvicorn: pip install 'orderflow[simulate]'") from missing
    async with uvicorn_server.running(app, host, port) as url:
        yield url


async def until(closing: asyncio.Event | None, feed: AsyncGenerator[T, None]) -> AsyncIterator[T]:
    """What ``feed`` yields, until the server is about to stop: an endless answer would hold it open."""
    stopped = asyncio.ensure_future((closing or asyncio.Event()).wait())
    step: asyncio.Future[T] | None = None
    try:
        while True:
            step = asyncio.ensure_future(anext(feed))
            await asyncio.wait({step, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                return
            yield step.result()
    finally:
        left = [one for one in (step, stopped) if one is not None and not one.done()]
        for one in left:
            one.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await feed.aclose()
