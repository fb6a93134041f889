"""How a provider's simulator is found and used. Contains only: the record that a provider publishes, the look-up, ``simulate``.

A provider publishes a ``Simulation`` as an entry point of the group ``orderflow.simulators``. The command line, the pytest plugin
and the tests find every simulator by these records only.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, field, frozen

from orderflow._serving import serve
from orderflow._simulators.clock import SimClock
from orderflow.errors import UnknownName

if TYPE_CHECKING:
    from orderflow._simulators.simulator import Simulator  # starlette and httpx, which the look-up does not need

GROUP: Final = "orderflow.simulators"


@frozen
class SimulationContext:
    """Where a simulated provider is used.

    Attributes:
        return_pages: pages of the application to which a customer's browser may be sent back.
        clock: the clock of engine and simulator.
        timeout: seconds without a byte after which a call to the provider fails.
        adjust: returns a provider's default ``Timing``, changed for tests, or unchanged where time is advanced by hand.
    """

    return_pages: tuple[str, ...] = ()
    clock: SimClock | None = None
    timeout: float = 5.0
    adjust: Callable[[Any], Any] = lambda timing: timing


@frozen
class Simulation:
    """A provider's simulator, and how the provider is configured to use it.

    Attributes:
        name: the provider's name.
        create: makes the simulator; keywords are ``clock``, ``seed``, ``lenient``, ``client`` and the simulator's switches.
        configure: ``configure(base_url, simulator, surroundings, **settings)`` returns the provider, set up to call the simulator that
            is served at ``base_url``. ``settings`` override the provider's arguments.
        arguments: ``arguments(base_url, simulator)`` returns the provider's arguments by name: base URLs and simulated credentials.
        fast: keywords of ``create`` that shorten the simulator's delays, for tests in real time.
    """

    name: str
    create: Callable[..., Simulator]
    configure: Callable[..., Any]
    arguments: Callable[[str, Any], Mapping[str, str]]
    fast: Mapping[str, Any] = field(factory=dict)


def find_simulations() -> dict[str, Simulation]:
    """Every installed simulation by its provider's name, in alphabetical order."""
    return {name: entry.load() for name, entry in sorted(_entries().items())}


def find_simulation(name: str) -> Simulation:
    """The simulation of one provider.

    Raises:
        UnknownName: no such simulation is installed.
    """
    entries = _entries()
    if name not in entries:
        raise UnknownName("simulator", name, tuple(sorted(entries)))
    simulation: Simulation = entries[name].load()
    return simulation


def new_seed() -> int:
    """A seed that no earlier start had. Seeds are part of the ids of orders, and an id in a database from yesterday must not come again."""
    return time.time_ns() // 1_000_000


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


@asynccontextmanager
async def simulate(name: str, *, port: int = 0, switches: Mapping[str, Any] | None = None, **settings: Any) -> AsyncIterator[Any]:
    """Serve the simulator of an installed provider until the block ends; yields the provider, set up to call it.

        async with simulate("connect") as connect, Orderflow("sqlite:///orders.db", [connect], worker=True) as flow:
            order = await flow.create(connect, key="cart-17", order=body)

    No account is needed. The provider polls and retries within a second, so that a first order does not wait. Its deadlines are the
    usual ones. The ``Orderflow`` that uses the provider also closes it. Each start gives orders other ids at the provider, so a
    database may be used again. ``switches={"seed": 1}`` gives the same ids each time.

    Args:
        name: the provider's name.
        port: where the simulator is served on 127.0.0.1; its pages are at ``/_sim/``. 0 takes a free port.
        switches: keywords of ``Simulation.create``; they win over ``Simulation.fast``.
        settings: arguments of the provider; they win over the simulated ones.

    Raises:
        UnknownName: no such simulator is installed.
        ConfigurationError: uvicorn is not installed.
        OSError: the port is taken.
    """
    simulation = find_simulation(name)
    surroundings = SimulationContext(adjust=_shorten_waits)
    async with (
        simulation.create(**{"seed": new_seed(), **simulation.fast, **(switches or {})}) as simulator,
        serve(simulator.asgi, port=port) as base_url,
    ):
        yield simulation.configure(base_url, simulator, surroundings, **settings)


def _shorten_waits(timing: Any) -> Any:
    """A ``Timing`` with polls and retries within a second; deadlines and lease stay."""
    return evolve(timing, poll_first=0.1, poll_cap=1.0, poll_interval=0.1, retry_first=0.1, retry_cap=1.0)
