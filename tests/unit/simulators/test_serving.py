"""A simulator on a socket whose caller does not wait for the end: nobody is alarmed."""

from __future__ import annotations

import asyncio
import logging

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from orderflow.serving import serve
from orderflow.simulators import Fault, Simulator

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", ["timeout", "timeout-after-commit", "reset", "reset-after-commit", "cut-body"])
async def test_a_caller_that_leaves_or_is_cut_off_leaves_no_exception_in_the_log(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    class Greeter(Simulator):
        def __init__(self) -> None:
            super().__init__()
            self.asgi = self.wrap(Starlette(routes=[Route("/", lambda _: PlainTextResponse("hello " * 1000))]))

    async with Greeter() as sim, serve(sim.asgi) as url:
        for _ in range(5):
            sim.faults.arm(Fault("GET", kind))  # type: ignore[arg-type]
            async with httpx.AsyncClient(trust_env=False) as client:
                with pytest.raises(httpx.TransportError):
                    await client.get(url, timeout=0.1)
        async with asyncio.timeout(5), httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(url)).text.startswith("hello")  # its server lives
    assert len(sim.journal.rows) == 6
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
