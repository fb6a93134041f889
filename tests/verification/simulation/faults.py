"""A transport between an HTTP client and an ASGI app that fails by a seeded rng: what a network and a provider can do to a call."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import httpx
from attrs import frozen


class CallFault(StrEnum):
    """What goes wrong with a call."""

    REFUSED = "refused"  # the connection is refused: never sent
    LOST = "lost"  # executed, and the answer is lost
    BROKEN = "broken"  # executed, and answered with 500
    BUSY = "busy"  # answered with 429, not executed
    GARBAGE = "garbage"  # executed, and the body is not JSON
    SLOW = "slow"  # executed, and answered half a second late
    KILLED = "killed"  # executed, and the calling process is killed before the answer comes


@frozen
class FaultRates:
    """How likely each fault is, per call."""

    refused: float = 0.0
    lost: float = 0.0
    broken: float = 0.0
    busy: float = 0.0
    garbage: float = 0.0
    slow: float = 0.0
    killed: float = 0.0

    def pick(self, drawn: float) -> CallFault | None:
        """The fault for a number drawn from [0, 1)."""
        for fault in CallFault:
            drawn -= getattr(self, fault)
            if drawn < 0:
                return fault
        return None


NO_FAULTS = FaultRates()
ONE_CALL_IN_EIGHT = FaultRates(refused=0.03, lost=0.03, broken=0.02, busy=0.02, garbage=0.01, slow=0.02, killed=0.01)


class FaultyTransport(httpx.AsyncBaseTransport):
    """Calls an ASGI app in process. One number is drawn per call, whatever the rates are, so that rates change no sequence.

    Args:
        app: the ASGI app.
        rates: returns the rates that hold now.
        rng: where the numbers are drawn from.
        kill: kills the calling process.
    """

    def __init__(self, app: Any, rates: Callable[[], FaultRates], rng: random.Random, kill: Callable[[], object]) -> None:
        self._inner = httpx.ASGITransport(app=app)
        self._rates = rates
        self._rng = rng
        self._kill = kill

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One call."""
        fault = self._rates().pick(self._rng.random())
        await asyncio.sleep(0.005)
        if fault is CallFault.REFUSED:
            raise httpx.ConnectError("simulated: refused", request=request)
        if fault is CallFault.BUSY:
            return httpx.Response(429, headers={"Retry-After": "30"}, request=request)
        response = await self._inner.handle_async_request(request)
        body = await response.aread()
        match fault:
            case CallFault.KILLED:
                self._kill()
                await asyncio.sleep(3600.0)  # never returns: the process is gone
            case CallFault.LOST:
                raise httpx.ReadError("simulated: lost", request=request)
            case CallFault.BROKEN:
                return httpx.Response(500, request=request)
            case CallFault.GARBAGE:
                return httpx.Response(response.status_code, content=b"<html>", request=request)
            case CallFault.SLOW:
                await asyncio.sleep(0.5)
        return httpx.Response(response.status_code, headers=response.headers, content=body, request=request)
