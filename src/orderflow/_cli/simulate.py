"""``orderflow simulate``: installed simulators on ports, until a signal stops them. It names no provider: they are found by entry point."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from errno import EADDRINUSE
from json import dumps
from typing import Annotated, Literal

from attrs import field, frozen
from cyclopts import Parameter

from orderflow._cli.exit_codes import Exit
from orderflow._cli.show import document, line, table
from orderflow._simulators.scenario import HTTP_SCENARIOS
from orderflow._simulators.simulation import Simulation, find_simulations, new_seed
from orderflow.errors import ConfigurationError, InvalidInput, UnknownName
from orderflow.simulators import SimClock, Simulator, serve

ALL = "all"
PORT = 8001
HIGHEST_PORT = 65535


def simulate(
    provider: Annotated[str, Parameter(show_default=True)] = ALL,
    /,
    *,
    host: Annotated[str, Parameter(show_default=True)] = "127.0.0.1",
    port: Annotated[int, Parameter(show_default=True)] = PORT,
    clock: Annotated[Literal["running", "manual"], Parameter(show_default=True)] = "running",
    seed: int | None = None,
    lenient: bool = False,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative=())] = None,
    switches: bool = False,
    scenarios: bool = False,
    json: bool = False,
) -> Exit:
    """Simulate providers over HTTP, until Ctrl-C. Orders and payment pages are at /_sim/.

    Example: orderflow simulate ccv --clock manual --set id_shape=bare

    Parameters
    ----------
    provider:
        The provider to simulate; all: every simulator that is installed, each on a port of its own.
    host:
        The address to listen on. Everybody who can reach it can move the orders: keep it to this machine.
    port:
        The first port; 0 takes free ones.
    clock:
        manual: time stands still until it is advanced, on the page or by POST /_sim/clock.
    seed:
        The seed of ids and of everything random: by default another at each start,
        so that a database never meets an id of yesterday again.
    lenient:
        Accept what the provider's pages print in contradiction to each other.
    set_:
        Set a switch, as NAME=VALUE. May be given again.
    switches:
        Print every switch with its values, default and open question, and stop.
    scenarios:
        Print every magic value and every item of the X-Sim-Scenario header, and stop.
    json:
        Print JSON: one document; while serving, one line for each simulator.
    """
    if not 0 <= port <= HIGHEST_PORT:
        raise InvalidInput("--port", f"must be between 0 and {HIGHEST_PORT}")
    options = _Options(clock == "manual", new_seed() if seed is None else seed, lenient, tuple(set_ or ()))
    simulations = _choose(provider)
    if switches or scenarios:
        simulators = asyncio.run(_create(simulations, options))
        (_print_switches if switches else _print_scenarios)(simulators, as_json=json)
    else:
        asyncio.run(_serve(simulations, options, host, port, as_json=json))
    return Exit.OK


@frozen
class _Options:
    """How simulators are created. ``settings``: switches, as ``name=value``."""

    manual: bool
    seed: int
    lenient: bool
    settings: tuple[str, ...] = field(repr=False)


def _choose(provider: str) -> dict[str, Simulation]:
    simulations = find_simulations()
    if provider == ALL:
        return simulations
    if provider not in simulations:
        raise UnknownName("simulator", provider, (*simulations, ALL))
    return {provider: simulations[provider]}


async def _create(simulations: Mapping[str, Simulation], options: _Options) -> dict[str, Simulator]:
    """The simulators, with their switches set. Each setting goes to every simulator that has the switch.

    Raises:
        InvalidInput: a value fits no switch; UnknownName: no simulator has the switch.
    """
    simulators: dict[str, Simulator] = {
        name: simulation.create(clock=SimClock(manual=options.manual), seed=options.seed, lenient=options.lenient)
        for name, simulation in simulations.items()
    }
    for setting in options.settings:
        switch = setting.partition("=")[0]
        owners = [simulator for simulator in simulators.values() if switch in _switch_names(simulator)]
        if not owners:
            known = set().union(*map(_switch_names, simulators.values()))
            raise UnknownName("switch", switch, tuple(sorted(known)))
        for simulator in owners:
            simulator.set_switch_text(setting)
    return simulators


def _switch_names(simulator: Simulator) -> set[str]:
    return {switch.name for switch in simulator.SWITCHES}


# ── serving ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _serve(simulations: Mapping[str, Simulation], options: _Options, host: str, port: int, *, as_json: bool) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        for n, (name, simulator) in enumerate((await _create(simulations, options)).items()):
            await stack.enter_async_context(simulator)
            base_url = await stack.enter_async_context(_serve_simulator(simulator, host, port + n if port else 0))
            addresses = {
                "base": base_url,
                **simulations[name].arguments(base_url, simulator),
                "page": f"{base_url}/_sim/",
                "openapi": f"{base_url}/_sim/openapi.json",
            }
            _print_addresses(name, simulator, addresses, as_json=as_json)
        if not as_json:
            print("Ctrl-C stops.", flush=True)
        await stop.wait()


@asynccontextmanager
async def _serve_simulator(simulator: Simulator, host: str, port: int) -> AsyncIterator[str]:
    """Serve a simulator until the block ends; yields its base URL.

    Raises:
        ConfigurationError: the address cannot be listened on.
    """
    async with AsyncExitStack() as stack:
        try:
            base_url = await stack.enter_async_context(serve(simulator.asgi, host=host, port=port))
        except OSError as error:
            hint = ": another program does; choose a --port, 0 for any free one" if error.errno == EADDRINUSE else f" ({error.strerror})"
            raise ConfigurationError(f"cannot listen on {host}:{port}{hint}") from None
        yield base_url


def _print_addresses(name: str, simulator: Simulator, addresses: Mapping[str, str], *, as_json: bool) -> None:
    """Print what a service needs to use the simulator. The names are those of the provider's arguments."""
    if as_json:
        print(dumps({"name": name, **addresses}), flush=True)
        return
    width = max(map(len, addresses))
    lines = [f"{simulator.NAME}, simulated", *(f"  {label:<{width}}  {address}" for label, address in addresses.items()), ""]
    print("\n".join(lines), flush=True)


# ── switches and scenarios ───────────────────────────────────────────────────────────────────────────────────────────────


def _print_switches(simulators: Mapping[str, Simulator], *, as_json: bool) -> None:
    if as_json:
        document({name: simulator.switches() for name, simulator in simulators.items()})
        return
    columns = ("name", "values", "default", "question", "source")
    for name, simulator in simulators.items():
        rows = [[value if isinstance(value := row[column], str) else dumps(value) for column in columns] for row in simulator.switches()]
        title = f"{simulator.NAME}: orderflow simulate {name} --set switch=value"
        table(("switch", "values", "default", "open question", "source"), rows, title)
        line()


def _print_scenarios(simulators: Mapping[str, Simulator], *, as_json: bool) -> None:
    if as_json:
        document({"header": dict(HTTP_SCENARIOS), "values": {name: _values_json(simulator) for name, simulator in simulators.items()}})
        return
    for simulator in simulators.values():
        rows = [(magic.value, magic.carrier, magic.forces) for magic in simulator.MAGIC]
        table(("value", "written in", "makes happen"), rows, f"{simulator.NAME}: magic values")
        line()
    table(("item", "makes happen"), [*HTTP_SCENARIOS.items()], "Header X-Sim-Scenario, for every simulator")


def _values_json(simulator: Simulator) -> Sequence[dict[str, str]]:
    return [{"value": magic.value, "carrier": magic.carrier, "forces": magic.forces} for magic in simulator.MAGIC]
