"""The stage of a rehearsal: both simulators, a shop and a flow in one virtual loop, weather between them. No sockets, no threads."""

from __future__ import annotations

import asyncio
import itertools
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from attrs import define, field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from orderflow.app import Orderflow
from orderflow.provider.protocol import Name, Provider
from orderflow.provider.timing import Timing
from orderflow.providers.ccv import Ccv
from orderflow.providers.ccv.simulator import CcvSimulator
from orderflow.providers.ccv.wire import PREFIX
from orderflow.providers.connect import Connect
from orderflow.providers.connect.simulator import FULFILLED, ConnectSimulator
from orderflow.testing.faulty import FaultyTransport, Weather
from orderflow.testing.inline import InlineStore
from orderflow.testing.virtual import VirtualClock

DAY = 86400.0
TIMING = Timing(
    durations={
        "completion_timeout": 2 * DAY,
        "return_timeout": 7200.0,
        "cancel_grace": 120.0,
        "proof_timeout": DAY,
        "recovery_window": 60 * DAY,
    },
    poll_first=30.0,
    poll_cap=4 * 3600.0,
    poll_interval=10.0,
    retry_first=5.0,
    retry_cap=600.0,
    lease=60.0,
)
LATEST = TIMING.poll_cap * (1 + TIMING.poll_jitter) + TIMING.poll_interval + TIMING.lease
"""Seconds within which every order must stand where the provider says it is, once faults have stopped."""


class _Away(Exception):
    """The shop's process is down."""


@define
class Stage:
    """What plays together. ``flow`` is None while the process is down."""

    rng: random.Random
    clock: VirtualClock
    connect: ConnectSimulator
    ccv: CcvSimulator
    weather: Weather
    browser: httpx.AsyncClient
    connection: sqlite3.Connection
    flow: Orderflow | None = None
    crashes: int = 0
    told: list[tuple[str, str]] = field(factory=list)
    _ids: itertools.count[int] = field(factory=itertools.count)
    _dying: list[asyncio.Task[None]] = field(factory=list)

    async def start(self) -> None:
        """Start the shop's process on what was committed."""
        seed = self.rng.randrange(2**32)

        def client(app: object) -> httpx.AsyncClient:
            rolls = random.Random(self.rng.randrange(2**32))  # noqa: S311
            return httpx.AsyncClient(transport=FaultyTransport(app, self.weather, rolls, self._kill))  # type: ignore[arg-type]

        providers: list[Provider] = [
            Connect(
                "http://connect/capi",
                "http://connect/user",
                "simulated-client",
                "simulated-secret",
                fulfilled_literals=[FULFILLED],
                return_pages=["http://shop/thanks"],
                timing=TIMING,
                client=client(self.connect.asgi),
                clock=self.clock,
            ),
            Ccv(f"http://ccv{PREFIX}", "rehearsal", timing=TIMING, client=client(self.ccv.asgi), allow_http=True),
        ]
        flow = Orderflow(
            InlineStore(self.connection),
            providers,
            public_url="http://shop/orders",
            signing_keys={"r": "rehearsal-link-key"},
            worker=True,
            fetch_interval=DAY,
            clock=self.clock,
            rng=random.Random(seed),  # noqa: S311
            new_id=lambda: f"{next(self._ids):06}",
        )
        for provider in providers:
            for state in provider.table.states:
                flow.on_entered(Name(provider.name), state, self._hear)
        await flow.__aenter__()
        self.flow = flow

    async def _hear(self, told: object) -> None:
        self.told.append((told.order.id, told.state))  # type: ignore[attr-defined]

    def _kill(self) -> None:
        self._dying.append(asyncio.create_task(self.crash()))

    async def crash(self) -> None:
        """Kill the shop's process; it is down until ``start``."""
        flow, self.flow = self.flow, None
        if flow is not None:
            self.crashes += 1
            await flow.crash()

    async def up(self) -> Orderflow:
        """The flow, as soon as the process is up."""
        while self.flow is None:
            await self.clock.sleep(5.0)
        return self.flow

    async def shop(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The shop as others reach it: its receiver, and a page to return to."""
        if self.flow is None:
            raise _Away
        app = Starlette(routes=[Mount("/orders", self.flow.receiver()), Route("/thanks", _thanks)])
        await app(scope, receive, send)


@asynccontextmanager
async def stage(seed: int, weather: Weather) -> AsyncIterator[Stage]:
    """Set the stage in a running virtual loop."""
    rng = random.Random(seed)  # noqa: S311
    clock = VirtualClock()
    here: list[Stage] = []

    async def shop(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await here[0].shop(scope, receive, send)
        except _Away:
            await PlainTextResponse("down", 503)(scope, receive, send)

    calls = httpx.AsyncClient(transport=httpx.ASGITransport(shop))
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    async with (
        calls,
        ConnectSimulator(clock=clock, seed=seed, client=calls) as connect_sim,
        CcvSimulator(clock=clock, seed=seed, client=calls, api_key="rehearsal", allow_http_notifications=True) as ccv_sim,
        httpx.AsyncClient(
            mounts={"all://connect": httpx.ASGITransport(connect_sim.asgi), "all://shop": httpx.ASGITransport(shop)},
            follow_redirects=True,
        ) as browser,
    ):
        set_up = Stage(rng, clock, connect_sim, ccv_sim, weather, browser, connection)
        here.append(set_up)
        await set_up.start()
        try:
            yield set_up
        finally:
            await set_up.crash()
            await asyncio.sleep(0)
            connection.close()


async def _thanks(_request: Request) -> Response:
    return PlainTextResponse("Thank you for your order.")
