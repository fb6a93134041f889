"""The standing of a provider, over real HTTP: a process that starts during an outage takes it over, and it is logged once for all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
import structlog
from attrs import define, evolve, field
from structlog.testing import capture_logs
from tests.kit.store_fixtures import url
from tests.kit.world import CONNECT_FAST, connect_at, connect_request, connect_sim

from orderflow import Orderflow, ProviderProblem, ProviderStanding, UnknownName
from orderflow._provider.http import make_client
from orderflow._providers.connect.simulator import ConnectSimulator
from orderflow.simulators import Fault, serve

__all__ = ["url"]
pytestmark = pytest.mark.anyio

TOKEN, REGISTER = "POST /user/oauth/token", "POST /capi/v1/client/order"
PAUSE = 0.4
TIMING = evolve(CONNECT_FAST, circuit_threshold=4, circuit_pause=PAUSE, lease=30.0, poll_first=600.0, poll_cap=600.0)


@define
class CountingClient:
    """An HTTP client that counts the calls to the apiServer, and how many of them are in progress at once."""

    inner: httpx.AsyncClient = field(factory=lambda: make_client(5.0))
    begun: int = 0
    most: int = 0
    _now: int = 0

    def stream(self, method: str, address: str, **more: Any) -> AbstractAsyncContextManager[Any]:
        return self._count(method, address, more) if "/capi/" in address else self.inner.stream(method, address, **more)

    @asynccontextmanager
    async def _count(self, method: str, address: str, more: dict[str, Any]) -> AsyncIterator[Any]:
        self.begun += 1
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            async with self.inner.stream(method, address, **more) as response:
                yield response
        finally:
            self._now -= 1

    async def aclose(self) -> None:
        await self.inner.aclose()


@define
class Site:
    """Connect on a socket, and one database."""

    sim: ConnectSimulator
    base: str
    url: str

    def open(self, client: CountingClient | None = None) -> Orderflow:
        """A process of the service, as far as the database knows."""
        connect = connect_at(self.base, timing=TIMING, client=client or CountingClient())
        return Orderflow(self.url, [connect], worker=True, fetch_interval=0.05, grace=1.0)


@pytest.fixture
async def site(url: str) -> AsyncIterator[Site]:
    async with connect_sim() as sim, serve(sim.asgi) as base:
        yield Site(sim, base, url)


async def register(flow: Orderflow, *keys: str) -> list[str]:
    orders = [await flow.create("connect", key=key, **connect_request()) for key in keys]
    for order in orders:
        await flow.send(order.id, "register")
    return [order.id for order in orders]


async def wait_for_standing(flow: Orderflow, problem: ProviderProblem | None) -> ProviderStanding:
    async with asyncio.timeout(60):
        while (await flow.providers())[0].problem is not problem:
            await asyncio.sleep(0.02)
    (standing,) = await flow.providers()
    return standing


async def test_a_process_that_starts_during_an_outage_makes_one_call_at_a_time(site: Site) -> None:
    """A 500 does not say whether the order was registered: each call costs a doubt."""
    site.sim.faults.arm(Fault(REGISTER, "status", status=500, times=None))
    structlog.reset_defaults()
    with capture_logs() as logs:
        async with site.open() as first:
            await register(first, *(f"first-{n}" for n in range(6)))
            standing = await wait_for_standing(first, ProviderProblem.DOES_NOT_ANSWER)
            assert standing.status == 500
            assert standing.since is not None
            assert first.health is not None
            assert dict(first.health.problems) == {"connect": "does not answer"}
        client = CountingClient()
        async with site.open(client) as second:
            started = time.monotonic()
            ids = await register(second, *(f"second-{n}" for n in range(30)))
            await asyncio.sleep(3 * PAUSE)
            assert second.health is not None
            assert dict(second.health.problems) == {"connect": "does not answer"}
            assert client.begun <= (time.monotonic() - started) / PAUSE + 2
            assert client.most == 1
            in_doubt = [(await second.order(order_id)).state for order_id in ids].count("registration_in_doubt")
            assert in_doubt <= client.begun < 30
            site.sim.faults.clear()
            for order_id in ids:
                await second.wait(order_id, ("registered", "registration_in_doubt"), 20)
            assert await wait_for_standing(second, None) == ProviderStanding("connect")
    problems = [(line["event"], line["why"]) for line in logs if line["event"].startswith("provider.problem")]
    assert problems == [("provider.problem_began", "does not answer"), ("provider.problem_ended", "does not answer")]


async def test_two_processes_log_an_outage_of_the_login_server_once(site: Site) -> None:
    site.sim.faults.arm(Fault(TOKEN, "status", status=503, times=None))
    structlog.reset_defaults()
    with capture_logs() as logs:
        async with site.open() as here, site.open() as there:
            ids = [*await register(here, *"abcdef"), *await register(there, *"ghijkl")]
            standing = await wait_for_standing(here, ProviderProblem.LOGIN_FAILS)
            assert standing.status == 503
            async with asyncio.timeout(60):
                while not all(flow.health is not None and flow.health.problems for flow in (here, there)):
                    await asyncio.sleep(0.02)
            site.sim.faults.clear()
            for order_id in ids:
                await here.wait(order_id, "registered", 60)
            await wait_for_standing(there, None)
    problems = [line["event"] for line in logs if line["event"].startswith("provider.problem")]
    assert problems == ["provider.problem_began", "provider.problem_ended"]
    assert len(site.sim.orders) == len(ids)


async def test_an_operator_lifts_a_throttle_for_all_processes(site: Site) -> None:
    site.sim.faults.arm(Fault(REGISTER, "status", status=429, headers={"Retry-After": "600"}))
    structlog.reset_defaults()
    with capture_logs() as logs:
        async with site.open() as here:
            (first,) = await register(here, "first")
            standing = await wait_for_standing(here, ProviderProblem.THROTTLED)
            assert standing.held_until is not None
            assert standing.held_until > time.time() + 500
            (second,) = await register(here, "second")
            await asyncio.sleep(0.3)
            assert (await here.order(second)).state == "registering"
            await here.lift_standing("connect", actor="anna", reason="they raised our limit")
            await here.wait(second, "registered", 60)
            (standing,) = await here.providers()
            assert (standing.problem, standing.held_until, standing.lifted_by) == (None, None, "anna: they raised our limit")
            with pytest.raises(UnknownName, match="provider"):
                await here.lift_standing("conect", actor="anna", reason="x")
            assert (await here.order(first)).state == "registering"  # its own retry is due when the provider said
    assert [line["by"] for line in logs if line["event"] == "provider.standing_lifted"] == ["anna: they raised our limit"]


async def test_the_page_of_a_firewall_is_a_status_code_and_no_text(site: Site) -> None:
    site.sim.faults.arm(Fault(REGISTER, "status-html", status=403, times=None))
    async with site.open() as flow:
        await register(flow, *"abcdef")
        standing = await wait_for_standing(flow, ProviderProblem.ANOTHER_SERVER)
    assert (standing.status, standing.lifted_by) == (403, "")
