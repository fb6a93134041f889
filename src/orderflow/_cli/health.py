"""The probes of a worker process over HTTP: whether it is alive and whether it is ready. Options do not belong here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec

from attrs import asdict, frozen
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from orderflow._app import Orderflow
from orderflow._distribution import describe_install
from orderflow._engine.recent_commits import REMEDY
from orderflow._engine.worker import Health
from orderflow._serving import serve
from orderflow.errors import ConfigurationError, InvalidInput

_FETCHES = 5  # so many missed fetches count as late, if that is longer than the seconds of the limits
_HIGHEST_PORT = 65535


@frozen
class Limits:
    """Seconds without an answered fetch after which a worker is not ready, and after which it is not alive.

    The second is long, because a store waits for its database, and to restart the worker would not bring the database back.
    """

    ready: float = 5.0
    alive: float = 60.0


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:8081`` or ``[::1]:8081``.

    Raises:
        InvalidInput: it is neither.
    """
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > _HIGHEST_PORT:
        raise InvalidInput("--health", "must be HOST:PORT, such as 127.0.0.1:8081")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_stuck(health: Health, limits: Limits) -> bool:
    """Whether the worker's loop has stopped turning. While it drains there is no loop, and it ends by itself."""
    return not health.draining and health.seconds_since_fetch > max(limits.alive, _FETCHES * health.fetch_interval)


def why_not_ready(health: Health | None, limits: Limits) -> str:
    """Why the worker takes no work: it is starting, draining, its database is away, or was restored from a backup. "" if it does."""
    if health is None:
        return "starting"
    if health.draining:
        return "draining"
    if health.database_ok is None:
        return "starting"
    late = health.seconds_since_fetch > max(limits.ready, _FETCHES * health.fetch_interval)
    if late or not health.database_ok:
        return "the database is away"
    return f"the database lacks commits of this process; if it was restored: {REMEDY}" if health.restored else ""


def probes(flow: Orderflow, limits: Limits) -> Starlette:
    """``GET /live`` and ``GET /ready``: 200 or 503, with the worker's health as JSON."""

    async def live(_request: Request) -> JSONResponse:
        health = flow.health
        return _respond(health, "stuck" if health is not None and is_stuck(health, limits) else "")

    async def ready(_request: Request) -> JSONResponse:
        health = flow.health
        return _respond(health, why_not_ready(health, limits))

    return Starlette(routes=[Route("/live", live), Route("/ready", ready)])


def _respond(health: Health | None, why: str) -> JSONResponse:
    fields = {} if health is None else {**asdict(health), "seconds_since_fetch": round(health.seconds_since_fetch, 3)}
    return JSONResponse({"why": why, **fields}, 503 if why else 200, {"cache-control": "no-store", "x-content-type-options": "nosniff"})


@asynccontextmanager
async def serve_probes(flow: Orderflow, host: str, port: int, limits: Limits | None = None) -> AsyncIterator[str]:
    """Serve the probes until the block ends; yields their base URL.

    Raises:
        ConfigurationError: uvicorn is not installed, or the port is not free.
    """
    if find_spec("uvicorn") is None:
        raise ConfigurationError(f"needs uvicorn: {describe_install('worker')}", "--health")
    async with AsyncExitStack() as stack:
        try:
            base_url = await stack.enter_async_context(serve(probes(flow, limits or Limits()), host=host, port=port))
        except OSError as error:
            raise ConfigurationError(error.strerror or str(error), f"--health {host}:{port}") from error
        yield base_url
