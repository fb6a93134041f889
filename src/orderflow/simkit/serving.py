"""Any ASGI app on a real socket inside the running event loop. What may live here: ``serve``; uvicorn is imported only
when it is called, so that simulators can be described without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from orderflow.errors import ConfigurationError

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
        from orderflow.simkit import uvicorn_server  # noqa: PLC0415 - the extra is optional
    except ImportError as missing:
        raise ConfigurationError("simulators need uvicorn: install orderflow[sim]") from missing
    async with uvicorn_server.running(app, host, port) as url:
        yield url
