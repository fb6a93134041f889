"""How a provider's simulator is found and used: the record that a provider publishes as an entry point, and the look-up.

The entry point stands in the group ``orderflow.simulators`` and names a ``Simulation``. Command line, pytest plugin and demo know simulators
know simulators only by this record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from orderflow.errors import UnknownName

if TYPE_CHECKING:
    from orderflow.simulators.clock import SimClock
    from orderflow.simulators.simulator import Simulator

GROUP = "orderflow.simulators"


@frozen
class Surroundings:
    """Where a simulated provider is used.

    Attributes:
        return_pages: pages of the application to which a customer's browser may be sent back.
        clock: the clock of engine and simulator.
        timeout: seconds without a byte after which a call of ours fails.
        adjust: makes a provider's default ``Timing`` fit for tests; returns it as it is where time is advanced by hand.
    """

    return_pages: tuple[str, ...] = ()
    clock: SimClock | None = None
    timeout: float = 5.0
    adjust: Callable[[Any], Any] = lambda timing: timing


@frozen
class Simulation:
    """A provider's simulator and how the provider is configured against it.

    Attributes:
        name: the provider's name.
        create: makes the simulator; keywords are ``clock``, ``seed``, ``lenient`` and the simulator's switches.
        configure: ``configure(base_url, simulator, surroundings, **settings)`` returns the provider, set up to call the simulator served
            at ``base_url``; ``settings`` override its arguments.
        arguments: ``arguments(base_url, simulator)`` returns, by name, what a service gives the provider to use the simulator: base URLs
            and simulated credentials.
        fast: keywords of ``create`` that shorten the simulator's delays, for tests in real time.
    """

    name: str
    create: Callable[..., Simulator]
    configure: Callable[..., Any]
    arguments: Callable[[str, Any], Mapping[str, str]]
    fast: Mapping[str, Any] = field(factory=dict)


def find_simulations() -> dict[str, Simulation]:
    """Every simulator that is installed, by its provider's name, in alphabetical order."""
    return {entry.name: entry.load() for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)}


def find_simulation(name: str) -> Simulation:
    """The simulator of one provider.

    Raises:
        UnknownName: no such simulator is installed.
    """
    entries = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in entries:
        raise UnknownName("simulator", name, tuple(sorted(entries)))
    simulation: Simulation = entries[name].load()
    return simulation
