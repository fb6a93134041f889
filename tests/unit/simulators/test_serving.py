"""A simulator on a socket: what it does at its root, and clients that do not wait for the end of an answer."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from orderflow._serving import serve
from orderflow.simulators import Fault, FaultKind, Simulator

pytestmark = pytest.mark.anyio


class Greeter(Simulator):
    """Answers each GET of ``path`` with a long text."""

    def __init__(self, path: str = "/") -> None:
        super().__init__()
        self.asgi = self.wrap(Starlette(routes=[Route(path, lambda _: PlainTextResponse("hello " * 1000))]))


@pytest.mark.parametrize("kind", ["timeout", "timeout-after-commit", "reset", "reset-after-commit", "cut-body"])
async def test_a_client_that_leaves_or_is_cut_off_leaves_no_exception_in_the_log(kind: FaultKind, caplog: pytest.LogCaptureFixture) -> None:
    async with Greeter() as sim, serve(sim.asgi) as url:
        for _ in range(5):
            sim.faults.arm(Fault("GET", kind))
            async with httpx.AsyncClient(trust_env=False) as client:
                with pytest.raises(httpx.TransportError):
                    await client.get(url, timeout=0.1)
        async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(url)).text.startswith("hello"), "the server still runs"
    assert len(sim.journal.rows) == 6
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("mount", ["", "/deep", "/d%20e"])
async def test_the_root_redirects_to_the_pages(mount: str) -> None:
    async with Greeter("/hello") as sim, httpx.AsyncClient(trust_env=False) as client:
        app: Any = Starlette(routes=[Mount(mount.replace("%20", " "), sim.asgi)]) if mount else sim.asgi
        async with serve(app) as url:
            answer = await client.get(f"{url}{mount}/")
            assert (answer.status_code, answer.headers["location"]) == (303, f"{mount}/_sim/")
            assert (await client.get(f"{url}{mount}/", follow_redirects=True)).status_code == 200
            assert (await client.post(f"{url}{mount}/")).status_code == 404
            assert (await client.get(f"{url}{mount}/other")).status_code == 404


async def test_a_provider_may_have_a_route_at_its_root() -> None:
    async def refuse(_: Request) -> Response:
        return PlainTextResponse("no such thing", 404)

    async with Greeter() as sim, httpx.AsyncClient(trust_env=False) as client:
        async with serve(sim.asgi) as url:
            assert (await client.get(url)).text.startswith("hello")
        async with serve(sim.wrap(Starlette(routes=[Route("/", refuse)]))) as url:
            assert (await client.get(url)).text == "no such thing"


async def test_a_request_that_never_ends_is_cut_off_when_the_server_stops() -> None:
    arrived = asyncio.Event()

    async def hang(_: Request) -> Response:
        arrived.set()
        await asyncio.Event().wait()
        return Response()

    async with httpx.AsyncClient(trust_env=False) as client:
        async with serve(Starlette(routes=[Route("/", hang)]), grace=0.05) as url:
            call = asyncio.create_task(client.get(url))
            await arrived.wait()
        with pytest.raises(httpx.TransportError):
            await asyncio.wait_for(call, 1)


async def test_a_taken_port_is_an_error_at_once() -> None:
    async with serve(Starlette()) as url:
        with pytest.raises(OSError, match="in use"):
            async with serve(Starlette(), port=int(url.rpartition(":")[2])):
                pass
