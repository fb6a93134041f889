"""How simulators are found: entry points, the public names of the kit, and what importing it costs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from tests.kit.world import ccv_request, connect_request

import orderflow.simulators
from orderflow import Ccv, Connect, Orderflow, StateEntered
from orderflow._providers.ccv import TIMING
from orderflow.errors import UnknownName
from orderflow.provider import Name
from orderflow.simulators import Simulation, SimulationContext, Simulator, find_simulation, find_simulations, serve, simulate

pytestmark = pytest.mark.anyio

LIGHT = """
import sys
from orderflow.simulators import SimClock, SimulationContext, Fault, find_simulations
assert not {"starlette", "httpx", "uvicorn"} & set(sys.modules), "light"
from orderflow.simulators import Simulator
"""


def test_every_installed_simulation_is_found_by_its_name() -> None:
    simulations = find_simulations()
    assert {"ccv", "connect"} <= set(simulations)
    assert list(simulations) == sorted(simulations)
    assert all(simulations[name].name == name and find_simulation(name) is simulations[name] for name in simulations)
    with pytest.raises(UnknownName, match="carrier"):
        find_simulation("carrier")


@pytest.mark.parametrize("simulation", find_simulations().values(), ids=lambda simulation: simulation.name)
async def test_a_simulation_makes_a_simulator_and_its_provider(simulation: Simulation) -> None:
    timings: list[object] = []
    surroundings = SimulationContext(return_pages=("https://shop.example/thanks",), adjust=lambda timing: timings.append(timing) or timing)
    async with simulation.create(lenient=True, seed=3) as simulator:
        assert isinstance(simulator, Simulator)
        arguments = simulation.arguments("http://127.0.0.1:1", simulator)
        assert all(isinstance(value, str) and value for value in arguments.values())
        assert any(value.startswith("http://127.0.0.1:1/") for value in arguments.values())
        provider = simulation.configure("http://127.0.0.1:1", simulator, surroundings)
        try:
            assert provider.name == simulation.name
            assert len(timings) == 1
        finally:
            await provider.close()


@pytest.mark.parametrize("name", find_simulations())
async def test_simulate_yields_the_provider_of_a_served_simulator(name: str) -> None:
    async with simulate(name) as provider:
        assert provider.name == name
        assert provider.timing.poll_first < 1
        await provider.close()


async def test_a_first_order_needs_no_account_and_no_patience(tmp_path: Path) -> None:
    fulfilled = asyncio.Event()

    async def grant_access(entered: StateEntered) -> None:
        assert entered.order.key == "cart-17"
        fulfilled.set()

    line = {"productSpecType": "coupon", "productSpecCode": "WEB", "productSpecNo": 7, "unitPrice": 295}
    payer = {"lastName": "Nordmann", "postalCode": "0150", "emails": ["kari@example.org"]}
    body = {"payer": payer, "orderLines": [line], "paymentMethod": "invoice", "orderAmount": 295}
    db = f"sqlite:///{tmp_path}/orders.db"
    async with asyncio.timeout(60), simulate("connect") as connect, Orderflow(db, [connect], worker=True) as flow:
        flow.on_entered(connect, "fulfilled", grant_access)
        order = await flow.create(connect, key="cart-17", order=body)
        await flow.send(order.id, "register")
        await flow.wait(order.id, until="registered")
        await flow.send(order.id, "complete_by_api")
        await flow.wait(order.id, until="fulfilled")
        await fulfilled.wait()


@pytest.mark.parametrize("name", ["ccv", "connect"])
async def test_each_start_gives_orders_other_ids_in_one_database_and_a_seed_gives_the_same(name: str, tmp_path: Path) -> None:
    async def start(db: str, **switches: int) -> str | None:
        provider_name = Name(name)
        async with asyncio.timeout(60), simulate(name, switches=switches) as provider, Orderflow(db, [provider], worker=True) as flow:
            request, command = (ccv_request(), Name("submit")) if name == "ccv" else (connect_request(), Name("register"))
            order = await flow.create(provider_name, key=f"cart-{len(await flow.orders())}", **request)
            await flow.send(order.id, command)
            while (await flow.order(order.id)).provider_id is None:
                await asyncio.sleep(0.01)
            return (await flow.order(order.id)).provider_id

    databases = [f"sqlite:///{tmp_path / file}" for file in ("yesterday.db", "yesterday.db", "one.db", "other.db")]
    first, second = [await start(db) for db in databases[:2]]
    third, fourth = [await start(db, seed=3) for db in databases[2:]]
    assert first != second
    assert third == fourth


async def test_simulate_takes_a_port_switches_and_the_arguments_of_the_provider() -> None:
    async with serve(Starlette()) as url:
        port = int(url.rpartition(":")[2])  # free again below
    async with httpx.AsyncClient(trust_env=False) as client:
        async with simulate("ccv", port=port, switches={"id_shape": "bare"}, notifications="off", timing=TIMING) as ccv:
            assert isinstance(ccv, Ccv)
            assert ccv.timing.poll_first == TIMING.poll_first
            switches = (await client.get(f"{url}/_sim/switches")).json()
            assert [switch["now"] for switch in switches["switches"] if switch["name"] == "id_shape"] == ["bare"]
            await ccv.close()
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{url}/_sim/switches")


async def test_deadlines_of_a_simulated_provider_are_the_usual_ones() -> None:
    async with simulate("connect", fulfilled_literals=["done"]) as connect:
        assert isinstance(connect, Connect)
        assert connect.fulfilled_literals == ("done",)
        assert connect.timing.durations["recovery_window"] > 86_400
        await connect.close()


async def test_a_provider_without_a_simulator_cannot_be_simulated() -> None:
    with pytest.raises(UnknownName, match="carrier"):
        async with simulate("carrier"):
            pass


def test_every_public_name_is_there() -> None:
    assert sorted(orderflow.simulators.__all__, key=str.casefold) == sorted(set(orderflow.simulators.__all__), key=str.casefold)
    assert all(getattr(orderflow.simulators, name) is not None for name in orderflow.simulators.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Guard'"):
        orderflow.simulators.Guard  # noqa: B018


def test_looking_up_simulators_does_not_import_a_server_or_a_client() -> None:
    subprocess.run([sys.executable, "-c", LIGHT], check=True)
