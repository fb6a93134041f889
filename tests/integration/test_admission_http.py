"""Two processes (as far as the database knows) and one Connect that throttles or fails, over real HTTP and on both databases."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import define, evolve, field
from tests.kit.postgres import drop_schema, make_schema
from tests.kit.world import CONNECT_FAST, connect_at, connect_request, connect_sim

from orderflow._app import Orderflow
from orderflow._provider.http import make_client
from orderflow._providers.connect.simulator import ConnectSimulator
from orderflow.errors import ConfigurationError
from orderflow.model import Order
from orderflow.simulators import Fault, serve

pytestmark = pytest.mark.anyio

FETCH_INTERVAL = 0.05
TOKEN, REGISTER, POLL = "POST /user/oauth/token", "POST /capi/v1/client/order", "GET /capi/v1/client/order/status/"
TIMING = evolve(CONNECT_FAST, circuit_threshold=5, circuit_pause=0.3, lease=30.0)
NO_POLLS = evolve(TIMING, poll_first=600.0, poll_cap=600.0)


@define
class RecordingClient:
    """An HTTP client that keeps when each call to the apiServer began."""

    inner: httpx.AsyncClient = field(factory=lambda: make_client(5.0))
    begun: list[float] = field(factory=list)

    def stream(self, method: str, url: str, **more: Any) -> AbstractAsyncContextManager[Any]:
        if "/capi/" in url:
            self.begun.append(time.time())
        return self.inner.stream(method, url, **more)

    async def aclose(self) -> None:
        await self.inner.aclose()


@define
class Pair:
    """Two engines on one database, one Connect."""

    sim: ConnectSimulator
    flows: tuple[Orderflow, Orderflow]
    clients: tuple[RecordingClient, RecordingClient]

    async def register(self, *keys: str) -> list[Order]:
        """Create and register orders, in one engine and the other in turn."""
        orders = [await self.flows[n % 2].create("connect", key=key, **connect_request()) for n, key in enumerate(keys)]
        await asyncio.gather(*(self.flows[n % 2].send(order.id, "register") for n, order in enumerate(orders)))
        return orders

    async def wait_for(self, orders: list[Order], state: str) -> None:
        await asyncio.gather(*(self.flows[0].wait(order.id, state, 30) for order in orders))

    def times_of(self, status: int) -> list[float]:
        return [row.at for row in self.sim.journal.rows if row.answered == status]


@pytest.fixture
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A database of this test's own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'orders.db'}"
        return
    schema, schema_url = await make_schema()
    yield schema_url
    await drop_schema(schema)


@asynccontextmanager
async def open_pair(url: str, **settings: Any) -> AsyncIterator[Pair]:
    clients = RecordingClient(), RecordingClient()
    async with connect_sim() as sim, serve(sim.asgi) as base:
        here, there = (
            Orderflow(url, [connect_at(base, client=client, **settings)], worker=True, fetch_interval=FETCH_INTERVAL) for client in clients
        )
        async with here, there:
            yield Pair(sim, (here, there), clients)


@pytest.mark.parametrize(
    ("url", "to"),
    [
        pytest.param("sqlite", REGISTER, id="sqlite-effect"),
        pytest.param("sqlite", POLL, id="sqlite-poll", marks=pytest.mark.slow),
        pytest.param("postgres", REGISTER, id="postgres-effect", marks=pytest.mark.slow),
        pytest.param("postgres", POLL, id="postgres-poll"),
    ],
    indirect=["url"],
)
async def test_a_429_to_one_process_pauses_both_and_then_all_orders_converge(url: str, to: str) -> None:
    async with open_pair(url, timing=TIMING) as two:
        orders: list[Order] = []
        while not all(client.begun for client in two.clients):  # both call
            orders += await two.register(*(f"before-{len(orders) + n}" for n in range(4)))
            await two.wait_for(orders, "registered")
        two.sim.faults.arm(Fault(to, "status", status=429, headers={"Retry-After": "2"}))
        orders += await two.register(*(f"while-{n}" for n in range(6)))
        async with asyncio.timeout(60):
            while not two.times_of(429):
                await asyncio.sleep(0.01)
        (throttled,) = two.times_of(429)
        await asyncio.sleep(throttled + 0.6 - time.time())
        orders += await two.register(*(f"paused-{n}" for n in range(10)))
        await two.wait_for(orders, "registered")
        for order in orders:
            await two.flows[0].send(order.id, "complete_by_api")
        await two.wait_for(orders, "fulfilled")
        for client in two.clients:
            assert [at - throttled for at in client.begun if throttled + 0.5 < at < throttled + 1.9] == []
            assert any(at > throttled + 1.9 for at in client.begun)
        assert two.sim.journal.count_executed(REGISTER) == 2 * len(orders)  # each registered once, and completed once
        assert len(two.sim.orders) == len(orders)
        assert two.sim.journal.count_received(TOKEN) == 2  # one token for each process


@pytest.mark.parametrize("url", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)], indirect=True)
async def test_while_connect_fails_most_orders_wait_and_are_not_in_doubt(url: str) -> None:
    """A 500 does not say whether the order was registered. Without a circuit breaker all two hundred would be in doubt."""
    async with open_pair(url, timing=NO_POLLS) as two:
        two.sim.faults.arm(Fault(REGISTER, "status", status=500, times=None))
        began = time.time()
        orders = await two.register(*(str(n) for n in range(200)))
        await asyncio.sleep(1.5)  # a few pauses, each followed by a probe
        states = [(await two.flows[0].order(order.id)).state for order in orders]
        in_doubt = states.count("registration_in_doubt")
        pauses = (time.time() - began) / TIMING.circuit_pause
        # each worker: as many as it runs at once, and one for each pause; far fewer than two hundred, however slow the machine is
        assert 10 <= in_doubt <= min(2 * (32 + 5 + pauses + 1), 150)
        assert states.count("registering") == len(orders) - in_doubt
        two.sim.faults.clear()
        for order, state in zip(orders, states, strict=True):
            if state == "registering":
                await two.flows[0].wait(order.id, ("registered", "registration_in_doubt"), 30)
        states = [(await two.flows[0].order(order.id)).state for order in orders]
        assert states.count("registered") == len(orders) - len(two.times_of(500))
        assert {state for state in states if state != "registered"} == {"registration_in_doubt"}
        assert len(two.sim.orders) == states.count("registered")


async def test_a_429_of_the_login_server_pauses_connect(tmp_path: Path) -> None:
    async with open_pair(f"sqlite:///{tmp_path / 'orders.db'}", timing=NO_POLLS) as two:
        two.sim.faults.arm(Fault(TOKEN, "status", status=429, headers={"Retry-After": "1"}, times=2))
        orders = await two.register("a", "b")
        await two.wait_for(orders, "registered")
        assert 1 <= len(two.times_of(429)) <= 2
        first = min(at for client in two.clients for at in client.begun)
        assert first >= two.times_of(429)[0] + 0.9


def test_a_rate_share_is_of_what_connect_allows_and_no_timing_raises_it() -> None:
    timing = connect_at("http://connect.example", rate_share=0.25, timing=evolve(NO_POLLS, calls_per_minute=100.0)).timing
    assert (timing.calls_per_second, timing.calls_per_minute) == (25.0, 100.0)
    timing = connect_at("http://connect.example").timing
    assert (timing.calls_per_second, timing.calls_per_minute) == (100.0, 2000.0)
    for share in (0.0, -1.0, math.nan):
        with pytest.raises(ConfigurationError, match="rate_share"):
            connect_at("http://connect.example", rate_share=share)


@pytest.mark.parametrize("share", [0.1, math.inf], ids=["share", "no limits"])
async def test_shares_that_add_up_to_less_than_the_limit_are_never_throttled(tmp_path: Path, share: float) -> None:
    """Ten calls a second each, forty allowed. Without shares calls are throttled, and the orders converge all the same.

    A busy machine may send a call later than it was admitted, but never earlier.
    """
    async with open_pair(f"sqlite:///{tmp_path / 'orders.db'}", timing=NO_POLLS, rate_share=share) as two:
        two.sim.limit(40)
        began = time.time()
        orders = await two.register(*(str(n) for n in range(80)))
        await two.wait_for(orders, "registered")
        assert (two.times_of(429) == []) == (share == 0.1)
        if share == 0.1:
            for client in two.clients:
                assert all(at >= began + 0.9 * (n // 10) for n, at in enumerate(sorted(client.begun)))
        assert len(two.sim.orders) == len(orders)
