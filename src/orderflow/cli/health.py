"""Liveness and readiness of a worker process over HTTP: what is asked, how it is judged, where it is served. No option lives here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec

from attrs import asdict
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from orderflow.app import Orderflow
from orderflow.engine.worker import Health
from orderflow.errors import ConfigurationError, InvalidInput
from orderflow.serving import serve

_POLLS = 5
_SLOW = 5.0  # seconds after which an unanswered look counts as a database that is away
_STUCK = 60.0  # and as a worker that is: a store waits patiently for its database, and restarting us would not bring that back
_HIGHEST = 65535


def address(text: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:8081`` or ``[::1]:8081``.

    Raises:
        InvalidInput: it is neither.
    """
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > _HIGHEST:
        raise InvalidInput("--health", "must be HOST:PORT, such as 127.0.0.1:8081")
    return host.removeprefix("[").removesuffix("]"), int(port)


def stuck(health: Health) -> bool:
    """Whether the worker's loop does not turn any more. One that drains has none, and ends by itself."""
    return not health.draining and health.seconds_since_fetch > max(_STUCK, _POLLS * health.fetch_interval)


def unready(health: Health) -> str:
    """Why the worker is not at work: starting, draining, or its database is away; "" where it is."""
    if health.draining:
        return "draining"
    if health.database_ok is None:
        return "starting"
    late = health.seconds_since_fetch > max(_SLOW, _POLLS * health.fetch_interval)
    return "the database is away" if late or not health.database_ok else ""


def probes(flow: Orderflow) -> Starlette:
    """``GET /live`` and ``GET /ready``: 200 or 503, with the worker's health as JSON."""

    async def live(_request: Request) -> JSONResponse:
        health = flow.health
        return _answer(health, "stuck" if health is not None and stuck(health) else "")

    async def ready(_request: Request) -> JSONResponse:
        health = flow.health
        return _answer(health, "starting" if health is None else unready(health))

    return Starlette(routes=[Route("/live", live), Route("/ready", ready)])


def _answer(health: Health | None, why: str) -> JSONResponse:
    about = {} if health is None else {**asdict(health), "seconds_since_fetch": round(health.seconds_since_fetch, 3)}
    return JSONResponse({"why": why, **about}, 503 if why else 200)


@asynccontextmanager
async def probed(flow: Orderflow, host: str, port: int) -> AsyncIterator[str]:
    """Serve the probes until the block ends; yields their base URL.

    Raises:
        ConfigurationError: uvicorn is not installed, or the port cannot be had.
    """
    if find_spec("uvicorn") is None:
        raise ConfigurationError("--health needs uvicorn: pip install 'orderflow[work]'")
    async with AsyncExitStack() as stack:
        try:
            base = await stack.enter_async_context(serve(probes(flow), host=host, port=port))
        except OSError as error:
            raise ConfigurationError(f"--health {host}:{port}: {error.strerror or error}") from error
        yield base
