"""``orderflow sim``: the simulators on a port, until they are stopped. What may live here: options, serving, what is printed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from errno import EADDRINUSE
from typing import TYPE_CHECKING, Annotated, Literal

from attrs import field, frozen
from cyclopts import Parameter

from orderflow.cli.exits import Exit
from orderflow.cli.show import document, line, table
from orderflow.errors import ConfigurationError, InvalidInput, UnknownName

if TYPE_CHECKING:
    from orderflow.simulators import Simulator

NAMES = ("connect", "ccv")
PORT = 8001
HIGHEST = 65535


def sim(
    which: Literal["connect", "ccv", "all"] = "all",
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    clock: Literal["running", "manual"] = "running",
    seed: int = 0,
    lenient: bool = False,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative=())] = None,
    switches: Annotated[bool, Parameter(negative=())] = False,
    scenarios: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Stand in for a provider over HTTP, until Ctrl-C. Orders, buttons and the payment page are at /_sim/.

    Parameters
    ----------
    which:
        The provider; all: both, on two ports.
    host:
        Where to listen. Anyone who reaches it can move the orders: keep it to this machine.
    port:
        The (first) port; 0 takes free ones.
    clock:
        manual: time stands still until it is advanced, on the page or by POST /_sim/clock.
    seed:
        Decides ids and everything that is drawn by chance.
    lenient:
        Take what the provider's pages print in contradiction to each other.
    set_:
        Turn a switch: --set id_shape=bare. May be given again.
    switches:
        Print every switch with its values, default and open question, and stop.
    scenarios:
        Print every magic value and every item of the X-Sim-Scenario header, and stop.
    json:
        Print JSON: one document; while serving, one line a simulator.
    """
    if not 0 <= port <= HIGHEST:
        raise InvalidInput("--port", f"must be between 0 and {HIGHEST}")
    names = NAMES if which == "all" else (which,)
    asked = _Asked(names, clock == "manual", seed, lenient, tuple(set_ or ()), as_json=json)
    if switches or scenarios:
        _list(asyncio.run(_made(asked)), switches=switches, as_json=json)
    else:
        asyncio.run(_serve(asked, host, port))
    return Exit.OK


@frozen
class _Asked:
    """What the command line asks the simulators to be."""

    names: tuple[str, ...]
    manual: bool
    seed: int
    lenient: bool
    settings: tuple[str, ...]
    as_json: bool = field(kw_only=True)


def _simulator(name: str, asked: _Asked) -> Simulator:
    from orderflow.simulators import SimClock  # noqa: PLC0415 - starlette and httpx, only when asked

    clock = SimClock(manual=asked.manual)
    if name == "connect":
        from orderflow.providers.connect.simulator import ConnectSimulator  # noqa: PLC0415

        return ConnectSimulator(clock=clock, seed=asked.seed, lenient=asked.lenient)
    from orderflow.providers.ccv.simulator import CcvSimulator  # noqa: PLC0415

    # whoever runs this on a laptop has no certificate
    return CcvSimulator(clock=clock, seed=asked.seed, lenient=asked.lenient, allow_http_notifications=True)


async def _made(asked: _Asked) -> dict[str, Simulator]:
    """The simulators with their switches set; a setting goes to whoever has that switch.

    Raises InvalidInput for a value that fits none, UnknownName for a switch nobody has.
    """
    made = {name: _simulator(name, asked) for name in asked.names}
    known = {name: {switch.name for switch in one.SWITCHES} for name, one in made.items()}
    for setting in asked.settings:
        switch = setting.partition("=")[0]
        having = [one for name, one in made.items() if switch in known[name]]
        if not having:
            raise UnknownName("switch", switch, tuple(sorted(set().union(*known.values()))))
        for one in having:
            one.set_switch_text(setting)
    return made


async def _serve(asked: _Asked, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(wanted, stop.set)
    async with AsyncExitStack() as stack:
        for n, (name, simulator) in enumerate((await _made(asked)).items()):
            await stack.enter_async_context(simulator)
            base = await stack.enter_async_context(_listening(simulator, host, port + n if port else 0))
            _announce(name, simulator, base, as_json=asked.as_json)
        if not asked.as_json:
            line("Ctrl-C stops.")
        await stop.wait()


@asynccontextmanager
async def _listening(simulator: Simulator, host: str, port: int) -> AsyncIterator[str]:
    """A simulator on its port.

    Raises:
        ConfigurationError: nobody can listen there.
    """
    from orderflow.simulators import serve  # noqa: PLC0415 - uvicorn, only when asked

    async with AsyncExitStack() as stack:
        try:
            base = await stack.enter_async_context(serve(simulator.asgi, host=host, port=port))
        except OSError as error:
            hint = ": another program does; choose a --port, 0 for any free one" if error.errno == EADDRINUSE else f" ({error.strerror})"
            raise ConfigurationError(f"cannot listen on {host}:{port}{hint}") from None
        yield base


def _announce(name: str, simulator: Simulator, base: str, *, as_json: bool) -> None:
    from json import dumps  # noqa: PLC0415 - the option is called json

    told = _addresses(name, simulator, base)
    if as_json:
        print(dumps({"name": name, **told}), flush=True)
        return
    width = max(len(label) for label in told)
    print(
        "\n".join([f"{simulator.NAME}, simulated", *(f"  {label:<{width}}  {address}" for label, address in told.items()), ""]), flush=True
    )


def _addresses(name: str, simulator: Simulator, base: str) -> dict[str, str]:
    shared = {"page": f"{base}/_sim/", "openapi": f"{base}/_sim/openapi.json"}
    if name == "connect":
        credentials = {"client_id": "simulated-client", "client_secret": "simulated-secret"}
        return {"base": base, "api": f"{base}/capi", "login": f"{base}/user", **credentials, **shared}
    switches = {str(row["name"]): row["now"] for row in simulator.switches()}
    return {"base": base, "api": f"{base}{switches['prefix']}", "api_key": str(switches["api_key"] or "any"), **shared}


def _list(made: dict[str, Simulator], *, switches: bool, as_json: bool) -> None:
    """Print the switches or the scenarios of each simulator."""
    from orderflow.simulators.scenario import HTTP_SCENARIOS  # noqa: PLC0415

    if as_json:
        values = {
            name: [{"value": magic.value, "carrier": magic.carrier, "forces": magic.forces} for magic in one.MAGIC]
            for name, one in made.items()
        }
        document({name: one.switches() for name, one in made.items()} if switches else {"header": dict(HTTP_SCENARIOS), "values": values})
        return
    for name, one in made.items():
        if switches:
            rows = [[str(row[column]) for column in ("name", "values", "default", "question", "source")] for row in one.switches()]
            table(("switch", "values", "default", "open question", "source"), rows, f"{one.NAME}: orderflow sim {name} --set switch=value")
        else:
            table(("value", "written in", "makes happen"), [[m.value, m.carrier, m.forces] for m in one.MAGIC], f"{one.NAME}: magic values")
        line("")
    if not switches:
        table(("item", "makes happen"), [list(row) for row in HTTP_SCENARIOS.items()], "Header X-Sim-Scenario, for either")
