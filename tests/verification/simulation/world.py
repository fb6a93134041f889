"""The world of a simulation: both simulators, the application and its flow in one virtual loop. No sockets, no threads."""

from __future__ import annotations

import asyncio
import itertools
import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
from attrs import define, field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send
from tests.kit.inline_store import InlineStore, memory_connection
from tests.kit.virtual_time import VirtualClock
from tests.verification.simulation.faults import FaultRates, FaultyTransport

from orderflow._app import Orderflow
from orderflow._provider.protocol import Provider
from orderflow._provider.timing import Timing
from orderflow._providers.ccv import Ccv
from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow._providers.ccv.wire import PREFIX
from orderflow._providers.connect import Connect
from orderflow._providers.connect.simulator import FULFILLED, ConnectSimulator
from orderflow.model import StateEntered

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
CONVERGENCE = TIMING.poll_cap * (1 + TIMING.poll_jitter) + TIMING.poll_interval + TIMING.lease
"""Seconds after the faults have stopped, within which every order must be where the provider says it is."""

PUBLIC_URL = "http://application/orders"
THANKS = "http://application/thanks"
SIGNING_KEYS = {"r": "simulation-signing-key"}
_API_KEY = "simulation-api-key"

StoreFactory = Callable[[sqlite3.Connection], InlineStore]


@define
class VirtualWorld:
    """Everything that takes part. ``flow`` is None while the application's process is down."""

    rng: random.Random
    clock: VirtualClock
    connect: ConnectSimulator
    ccv: CcvSimulator
    fault_rates: FaultRates
    browser: httpx.AsyncClient
    connection: sqlite3.Connection
    make_store: StoreFactory
    flow: Orderflow | None = None
    crashes: int = 0
    notified: list[tuple[str, str]] = field(factory=list)
    _ids: itertools.count[int] = field(factory=itertools.count)
    _dying: list[asyncio.Task[None]] = field(factory=list)

    async def start(self) -> None:
        """Start the application's process on what was committed."""
        seed = self.rng.randrange(2**32)
        providers: list[Provider] = [
            Connect(
                "http://connect/capi",
                "http://connect/user",
                "simulated-client",
                "simulated-secret",
                fulfilled_literals=[FULFILLED],
                return_pages=[THANKS],
                timing=TIMING,
                client=self._client(self.connect.asgi),
                clock=self.clock,
            ),
            Ccv(f"http://ccv{PREFIX}", _API_KEY, timing=TIMING, client=self._client(self.ccv.asgi), allow_http=True),
        ]
        flow = Orderflow(
            self.make_store(self.connection),
            providers,
            public_url=PUBLIC_URL,
            signing_keys=SIGNING_KEYS,
            worker=True,
            fetch_interval=DAY,
            clock=self.clock,
            rng=random.Random(seed),
            new_id=lambda: f"{next(self._ids):06}",
        )
        for provider in providers:
            for state in provider.table.states:
                flow.on_entered(provider.name, state, self._note_entered)
        await flow.__aenter__()
        self.flow = flow

    def _client(self, app: object) -> httpx.AsyncClient:
        rng = random.Random(self.rng.randrange(2**32))
        return httpx.AsyncClient(transport=FaultyTransport(app, lambda: self.fault_rates, rng, self._kill))

    async def _note_entered(self, entered: StateEntered) -> None:
        self.notified.append((entered.order.id, entered.state))

    def _kill(self) -> None:
        self._dying.append(asyncio.create_task(self.crash()))

    async def crash(self) -> None:
        """Kill the application's process; it is down until ``start``."""
        flow, self.flow = self.flow, None
        if flow is not None:
            self.crashes += 1
            await flow.crash()

    async def running_flow(self) -> Orderflow:
        """The flow, as soon as the process is up."""
        while self.flow is None:
            await self.clock.sleep(5.0)
        return self.flow

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application as others reach it: the receiver, and a page to return to; 503 while the process is down."""
        app = PlainTextResponse("down", 503)
        if self.flow is not None:
            routes = [Mount("/orders", self.flow.receiver()), Route("/thanks", _thanks)]
            await Starlette(routes=routes)(scope, receive, send)
        else:
            await app(scope, receive, send)


@asynccontextmanager
async def virtual_world(seed: int, fault_rates: FaultRates, make_store: StoreFactory = InlineStore) -> AsyncIterator[VirtualWorld]:
    """A world in the running virtual loop, with the application up."""
    clock = VirtualClock()
    worlds: list[VirtualWorld] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await worlds[0].application(scope, receive, send)

    calls = httpx.AsyncClient(transport=httpx.ASGITransport(application))
    connection = memory_connection()
    async with (
        calls,
        ConnectSimulator(clock=clock, seed=seed, client=calls) as connect,
        CcvSimulator(clock=clock, seed=seed, client=calls, api_key=_API_KEY, allow_http_notifications=True) as ccv,
        httpx.AsyncClient(
            mounts={"all://connect": httpx.ASGITransport(connect.asgi), "all://application": httpx.ASGITransport(application)},
            follow_redirects=True,
        ) as browser,
    ):
        world = VirtualWorld(random.Random(seed), clock, connect, ccv, fault_rates, browser, connection, make_store)
        worlds.append(world)
        await world.start()
        try:
            yield world
        finally:
            await world.crash()
            await asyncio.sleep(0)
            connection.close()


async def _thanks(_request: Request) -> Response:
    return PlainTextResponse("Thank you for your order.")
