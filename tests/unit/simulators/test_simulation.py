"""How simulators are found: entry points, the public names of the kit, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import orderflow.simulators
from orderflow.errors import UnknownName
from orderflow.simulators import Simulation, Simulator, Surroundings, find_simulation, find_simulations

pytestmark = pytest.mark.anyio

LIGHT = """
import sys
from orderflow.simulators import SimClock, Surroundings, Fault, find_simulations
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
    surroundings = Surroundings(return_pages=("https://shop.example/thanks",), adjust=lambda timing: timings.append(timing) or timing)
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


def test_every_public_name_is_there() -> None:
    assert sorted(orderflow.simulators.__all__, key=str.casefold) == sorted(set(orderflow.simulators.__all__), key=str.casefold)
    assert all(getattr(orderflow.simulators, name) is not None for name in orderflow.simulators.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Guard'"):
        orderflow.simulators.Guard  # noqa: B018


def test_looking_up_simulators_does_not_import_a_server_or_a_client() -> None:
    subprocess.run([sys.executable, "-c", LIGHT], check=True)
