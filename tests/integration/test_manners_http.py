"""Two processes (as far as the database knows) and one Connect that has enough, over real HTTP and on both databases."""

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

from orderflow.app import Orderflow
from orderflow.errors import ConfigurationError
from orderflow.model import Order
from orderflow.provider.http import make_client
from orderflow.providers.connect.simulator import ConnectSimulator
from orderflow.simulators import Fault, serve

pytestmark = pytest.mark.anyio

POLL = 0.05
TOKEN, REGISTER, READ = "POST /user/oauth/token", "POST /capi/v1/client/order", "GET /capi/v1/client/order/status/"
TIMING = evolve(CONNECT_FAST, circuit_threshold=5, circuit_pause=0.3, lease=30.0)
UNREAD = evolve(TIMING, poll_first=600.0, poll_cap=600.0)


@define
class Watched:
    """An HTTP client that keeps when each call to the apiServer began."""

    inner: httpx.AsyncClient = field(factory=lambda: make_client(5.0))
    began: list[float] = field(factory=list)

    def stream(self, method: str, url: str, **more: Any) -> AbstractAsyncContextManager[Any]:
        if "/capi/" in url:
            self.began.append(time.time())
        return self.inner.stream(method, url, **more)

    async def aclose(self) -> None:
        await self.inner.aclose()


@define
class Pair:
    """Two engines on one database, one Connect."""

    sim: ConnectSimulator
    flows: tuple[Orderflow, Orderflow]
    clients: tuple[Watched, Watched]

    async def register(self, *keys: str) -> list[Order]:
        """So many orders, told to one engine and the other in turn."""
        orders = [await self.flows[n % 2].create("connect", key=key, **connect_request()) for n, key in enumerate(keys)]
        await asyncio.gather(*(self.flows[n % 2].send(order.id, "register") for n, order in enumerate(orders)))
        return orders

    async def reach(self, orders: list[Order], state: str) -> None:
        await asyncio.gather(*(self.flows[0].wait(order.id, state, 30) for order in orders))

    def answered(self, status: int) -> list[float]:
        return [row.at for row in self.sim.journal.rows if row.answered == status]


@pytest.fixture
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A database of this test's own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'orders.db'}"
        return
    schema, found = await make_schema()
    yield found
    await drop_schema(schema)


@asynccontextmanager
async def pair(url: str, **settings: Any) -> AsyncIterator[Pair]:
    clients = Watched(), Watched()
    async with connect_sim() as sim, serve(sim.asgi) as base:
        here, there = (
            Orderflow(url, [connect_at(base, client=client, **settings)], worker=True, fetch_interval=POLL) for client in clients
        )
        async with here, there:
            yield Pair(sim, (here, there), clients)


@pytest.mark.parametrize(
    ("url", "to"),
    [
        pytest.param("sqlite", REGISTER, id="sqlite-effect"),
        pytest.param("sqlite", READ, id="sqlite-read", marks=pytest.mark.slow),
        pytest.param("postgres", REGISTER, id="postgres-effect", marks=pytest.mark.slow),
        pytest.param("postgres", READ, id="postgres-read"),
    ],
    indirect=["url"],
)
async def test_a_429_to_one_silences_both_until_the_moment_and_then_all_orders_converge(url: str, to: str) -> None:
    async with pair(url, timing=TIMING) as two:
        orders: list[Order] = []
        while not all(client.began for client in two.clients):  # both at work
            orders += await two.register(*(f"before-{len(orders) + n}" for n in range(4)))
            await two.reach(orders, "registered")
        two.sim.faults.arm(Fault(to, "status", status=429, headers={"Retry-After": "2"}))
        orders += await two.register(*(f"while-{n}" for n in range(6)))
        async with asyncio.timeout(10):
            while not two.answered(429):
                await asyncio.sleep(0.01)
        (busy,) = two.answered(429)
        await asyncio.sleep(busy + 0.6 - time.time())
        orders += await two.register(*(f"silent-{n}" for n in range(10)))
        await two.reach(orders, "registered")
        for order in orders:
            await two.flows[0].send(order.id, "complete_by_api")
        await two.reach(orders, "fulfilled")
        for client in two.clients:
            assert [at - busy for at in client.began if busy + 0.5 < at < busy + 1.9] == []
            assert any(at > busy + 1.9 for at in client.began)
        assert two.sim.journal.count_executed(REGISTER) == 2 * len(orders)  # each registered once, and completed once
        assert len(two.sim.orders) == len(orders)
        assert two.sim.journal.count_received(TOKEN) == 2  # one token a process


@pytest.mark.parametrize("url", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)], indirect=True)
async def test_an_outage_leaves_most_orders_waiting_and_not_in_doubt(url: str) -> None:
    """500 says nothing of whether the order was registered: without a breaker all hundred would be in doubt."""
    async with pair(url, timing=UNREAD) as two:
        two.sim.faults.arm(Fault(REGISTER, "status", status=500, times=None))
        orders = await two.register(*(str(n) for n in range(200)))
        await asyncio.sleep(1.5)  # some pauses and probes long
        states = [(await two.flows[0].order(order.id)).state for order in orders]
        doubtful = states.count("registration_in_doubt")
        assert 10 <= doubtful <= 2 * (32 + 5 + 6)  # each worker: all its hands, and a probe a pause
        assert states.count("registering") == len(orders) - doubtful
        two.sim.faults.clear()
        for order, state in zip(orders, states, strict=True):
            if state == "registering":
                await two.flows[0].wait(order.id, ("registered", "registration_in_doubt"), 30)
        states = [(await two.flows[0].order(order.id)).state for order in orders]
        assert states.count("registered") >= len(orders) - doubtful - 4  # probes that were under way
        assert {state for state in states if state != "registered"} == {"registration_in_doubt"}
        assert len(two.sim.orders) == states.count("registered")


async def test_a_login_server_that_has_enough_silences_connect(tmp_path: Path) -> None:
    async with pair(f"sqlite:///{tmp_path / 'orders.db'}", timing=UNREAD) as two:
        two.sim.faults.arm(Fault(TOKEN, "status", status=429, headers={"Retry-After": "1"}, times=2))
        orders = await two.register("a", "b")
        await two.reach(orders, "registered")
        assert 1 <= len(two.answered(429)) <= 2
        first = min(at for client in two.clients for at in client.began)
        assert first >= two.answered(429)[0] + 0.9


def test_a_share_is_of_what_connect_allows_and_no_timing_widens_it() -> None:
    timing = connect_at("http://connect.example", rate_share=0.25, timing=evolve(UNREAD, calls_per_minute=100.0)).timing
    assert (timing.calls_per_second, timing.calls_per_minute) == (25.0, 100.0)
    timing = connect_at("http://connect.example").timing
    assert (timing.calls_per_second, timing.calls_per_minute) == (100.0, 2000.0)
    for share in (0.0, -1.0, math.nan):
        with pytest.raises(ConfigurationError, match="rate_share"):
            connect_at("http://connect.example", rate_share=share)


@pytest.mark.parametrize("share", [0.1, math.inf], ids=["share", "no manners"])
async def test_shares_that_add_up_to_less_than_the_limit_never_meet_a_429(tmp_path: Path, share: float) -> None:
    """Ten calls a second each, thirty allowed. Without manners the limit bites, and the orders converge all the same."""
    async with pair(f"sqlite:///{tmp_path / 'orders.db'}", timing=UNREAD, rate_share=share) as two:
        two.sim.limit(30)
        orders = await two.register(*(str(n) for n in range(60)))
        await two.reach(orders, "registered")
        assert (two.answered(429) == []) == (share == 0.1)
        if share == 0.1:
            for client in two.clients:
                assert max(sum(one <= other < one + 0.9 for other in client.began) for one in client.began) <= 10
        assert len(two.sim.orders) == len(orders)
