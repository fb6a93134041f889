"""A transport that fails by seeded rng between an HTTP client and an ASGI app: what a network and a provider can do to a call."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import httpx
from attrs import define

_TROUBLES = ("refused", "lost", "broken", "busy", "garbage", "slow", "killed")


@define
class Weather:
    """How bad it is: the chance of each trouble, per call. ``calm()`` ends it."""

    refused: float = 0.0  # the connection is refused: never sent
    lost: float = 0.0  # executed, and the answer is lost
    broken: float = 0.0  # executed, and a 500 is answered
    busy: float = 0.0  # 429, not executed
    garbage: float = 0.0  # executed, and the body is no JSON
    slow: float = 0.0  # executed, and answered half a second late
    killed: float = 0.0  # executed, and the calling process is killed before the answer comes

    def calm(self) -> None:
        """No trouble any more."""
        for name in _TROUBLES:
            setattr(self, name, 0.0)


class FaultyTransport(httpx.AsyncBaseTransport):
    """Calls an ASGI app in process. The rng are rolled once per call, whatever the weather, so that weather changes no sequence."""

    def __init__(self, app: Callable[..., object], weather: Weather, rng: random.Random, kill: Callable[[], object]) -> None:
        self._inner = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        self._weather = weather
        self._dice = rng
        self._kill = kill

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One call, through the weather."""
        drawn = self._dice.random()
        trouble = ""
        for name in _TROUBLES:
            drawn -= getattr(self._weather, name)
            if drawn < 0:
                trouble = name
                break
        await asyncio.sleep(0.005)
        if trouble == "refused":
            raise httpx.ConnectError("refused by the weather", request=request)
        if trouble == "busy":
            return httpx.Response(429, headers={"Retry-After": "30"}, request=request)
        response = await self._inner.handle_async_request(request)
        body = await response.aread()
        if trouble == "killed":
            self._kill()
            await asyncio.sleep(3600.0)  # never returns: the process is gone
        if trouble == "lost":
            raise httpx.ReadError("lost by the weather", request=request)
        if trouble == "broken":
            return httpx.Response(500, request=request)
        if trouble == "garbage":
            return httpx.Response(response.status_code, content=b"<html>", request=request)
        if trouble == "slow":
            await asyncio.sleep(0.5)
        return httpx.Response(response.status_code, headers=response.headers, content=body, request=request)
