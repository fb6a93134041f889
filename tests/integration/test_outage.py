"""An outage is over, and its orders go on: what was certainly not executed is still owed (real HTTP)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from attrs import evolve
from tests.kit.world import CCV_FAST, CONNECT_FAST, LINK_KEYS, SHOP, World, ccv_request, connect_request, running, start_connect

from orderflow._testing.world import SimulatedWorld
from orderflow.simulators import Fault

pytestmark = pytest.mark.anyio

TOKEN, REGISTER = "POST /user/oauth/token", "POST /capi/v1/client/order"
CONFIGURE, SUBMIT = "PATCH /api/ordercompletion/reseller", "POST /api/ordercompletion/reseller/order"
QUICK = {"circuit_threshold": 3, "circuit_pause": 0.02, "throttle": 0.01}
TIMINGS = {"connect": {"timing": evolve(CONNECT_FAST, **QUICK)}, "ccv": {"timing": evolve(CCV_FAST, **QUICK)}}
ATTEMPTS = 4 * CONNECT_FAST.retry_attempts
"""How often the provider is asked in vain, at least."""


async def send_first_command(world: World, provider: str) -> str:
    """An order, and its first command; its id."""
    request, command = (ccv_request(), "submit") if provider == "ccv" else (connect_request(), "register")
    order = await world.flow.create(provider, key="k", **request)
    await world.flow.send(order.id, command)
    return order.id


OUTAGES = {
    "the login server answers 503": ("connect", Fault(TOKEN, "status", status=503, times=None)),
    "the login server refuses our secret": ("connect", Fault(TOKEN, "status", status=401, times=None)),
    "the login server shows a page": ("connect", Fault(TOKEN, "html", times=None)),
    "a firewall stands before Connect": ("connect", Fault(REGISTER, "status-html", status=403, times=None)),
    "Connect refuses our token": ("connect", Fault(REGISTER, "status", status=401, times=None)),
    "Connect throttles": ("connect", Fault(REGISTER, "status", status=429, times=None)),
    "a firewall stands before CCV's configurator": ("ccv", Fault(CONFIGURE, "status-html", status=403, times=None)),
    "a firewall stands before CCV's submit": ("ccv", Fault(SUBMIT, "status-html", status=404, times=None)),
    "CCV refuses our key": ("ccv", Fault(SUBMIT, "status", status=401, times=None)),
    "a proxy wants a password": ("ccv", Fault(SUBMIT, "status-empty", status=407, times=None)),
}


@pytest.mark.parametrize(("provider", "fault"), OUTAGES.values(), ids=OUTAGES)
async def test_an_order_outlives_an_outage(tmp_path: Path, provider: str, fault: Fault) -> None:
    async with running(tmp_path, **TIMINGS) as world:
        sim = world.connect if provider == "connect" else world.ccv
        sim.faults.arm(fault)
        order_id = await send_first_command(world, provider)
        async with asyncio.timeout(60):
            while (await world.flow.pending(order_id)).effects[0].attempt < ATTEMPTS:
                await asyncio.sleep(0.02)
        assert not await world.flow.refusals(order_id)
        sim.faults.clear()
        await world.flow.wait(order_id, until="registered" if provider == "connect" else "Processing", timeout=60)
        assert len(sim.orders) == 1
        assert not {row.event for row in await world.flow.journal(order_id) if row.event.endswith(("_refused", "_undelivered", "_lost"))}


async def test_the_page_of_a_firewall_is_a_problem_of_the_provider(tmp_path: Path) -> None:
    async with running(tmp_path, **TIMINGS) as world:
        world.connect.faults.arm(Fault(REGISTER, "status-html", status=403, times=None))
        await send_first_command(world, "connect")
        async with asyncio.timeout(60):
            while not world.flow.health.problems:
                await asyncio.sleep(0.02)
        assert dict(world.flow.health.problems) == {"connect": "another server answers in its place"}
        world.connect.faults.clear()
        async with asyncio.timeout(60):
            while world.flow.health.problems:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("provider", "fault", "budget", "command", "state"),
    [
        ("connect", Fault(TOKEN, "status", status=503, times=None), "registering_budget", "register", "registered"),
        ("ccv", Fault(SUBMIT, "status-html", status=403, times=None), "submitting_budget", "submit", "Processing"),
    ],
)
async def test_when_the_time_budget_is_spent_the_command_can_be_sent_again(
    tmp_path: Path, provider: str, fault: Fault, budget: str, command: str, state: str
) -> None:
    settings = {provider: {**TIMINGS[provider], "durations": {budget: 0.3}}}
    async with running(tmp_path, **settings) as world:
        sim = world.connect if provider == "connect" else world.ccv
        sim.faults.arm(fault)
        order_id = await send_first_command(world, provider)
        async with asyncio.timeout(60):
            while (await world.flow.order(order_id)).state != "drafted":
                await asyncio.sleep(0.02)
        sim.faults.clear()
        await world.flow.send(order_id, command)
        await world.flow.wait(order_id, until=state, timeout=60)
        assert len(sim.orders) == 1


@pytest.mark.parametrize(("provider", "match"), [("connect", REGISTER), ("ccv", SUBMIT)])
async def test_the_providers_own_refusal_ends_the_order_at_once(tmp_path: Path, provider: str, match: str) -> None:
    async with running(tmp_path, **TIMINGS) as world:
        sim = world.connect if provider == "connect" else world.ccv
        sim.faults.arm(Fault(match, "status", status=400))
        order_id = await send_first_command(world, provider)
        await world.flow.wait(order_id, until="refused", timeout=60)


async def test_a_payment_while_our_service_was_down_wins_over_the_deadline(tmp_path: Path) -> None:
    """Both wait for the restart: the deadline since then, and the payment to be seen."""
    async with SimulatedWorld() as world:
        running_connect = await start_connect(world)
        provider_settings = {"return_pages": (SHOP,), "durations": {"return_timeout": 0.5}}
        database = f"sqlite:///{tmp_path / 'orders.db'}"
        async with world.open_flow(database, [running_connect.provider(**provider_settings)], signing_keys=LINK_KEYS) as flow:
            order = await flow.create("connect", key="k", **connect_request("creditcardPayex"))
            await flow.send(order.id, "register")
            await flow.wait(order.id, "registered", 60)
            await flow.send(order.id, "complete_by_url", return_url=f"{SHOP}/thanks")
            order = await flow.order(order.id)
        running_connect.simulator.pay(order.provider_id)
        await asyncio.sleep(0.6)
        async with world.open_flow(database, [running_connect.provider(**provider_settings)], signing_keys=LINK_KEYS) as flow:
            await flow.wait(order.id, "fulfilled", 60)
            path = [row.target for row in await flow.journal(order.id)]
        assert path == ["registering", "registered", "fulfilling", "paid", "fulfilled"]
