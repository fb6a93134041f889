"""A simulated world on sockets: installed simulators, the public side of an application, a browser, and a flow for them.

    async with SimulatedWorld() as world:
        ccv = await world.start_simulator("ccv")
        async with world.open_flow("sqlite:///orders.db", [ccv.provider()]) as flow:
            ...

Everything runs in one event loop. server.py runs a world in a thread of its own, for tests of both kinds. No provider is named here:
simulators are found by entry point.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import httpx
from attrs import frozen
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from orderflow._app import Orderflow
from orderflow._provider.protocol import Provider
from orderflow._provider.timing import Timing
from orderflow._simulators.scenario import HEADER, UnknownScenario
from orderflow._simulators.simulation import Simulation, SimulationContext, find_simulation
from orderflow._store.ports import Store
from orderflow._testing.timing import fast_timing
from orderflow.simulators import Fault, SimClock, Simulator, serve

if TYPE_CHECKING:
    from orderflow._providers.typed_calls import AnyProvider

S = TypeVar("S", bound=Simulator)
Wrap = Callable[[ASGIApp], ASGIApp]

CALL_TIMEOUT = 3.0
"""Seconds without a byte after which a provider's call fails; a lease of ``fast_timing`` is longer."""

SIGNING_KEYS: Mapping[str, str] = {"tests": "a-signing-key-of-tests-only"}


class Application:
    """The public side of an application: two return pages, and ``/orders``, where a receiver is mounted.

    Attributes:
        url: the base URL, once it is served.
    """

    def __init__(self) -> None:
        self.url = ""
        self._receivers: list[ASGIApp] = []
        self.asgi: ASGIApp = Starlette(routes=[Route("/thanks", _page), Route("/sorry", _page), Mount("/orders", self._receive)])

    @property
    def thanks(self) -> str:
        """The page of a successful return."""
        return f"{self.url}/thanks"

    @property
    def sorry(self) -> str:
        """The page of an unsuccessful return."""
        return f"{self.url}/sorry"

    @property
    def receiver_url(self) -> str:
        """Where the receiver is mounted: the ``public_url`` of a flow."""
        return f"{self.url}/orders"

    @contextmanager
    def mount(self, receiver: ASGIApp) -> Iterator[None]:
        """Mount a receiver for the block. Without one, requests are answered with 503; of several, the last one answers."""
        self._receivers.append(receiver)
        try:
            yield
        finally:
            self._receivers.remove(receiver)

    async def _receive(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._receivers[-1] if self._receivers else PlainTextResponse("no flow is open", 503)
        await app(scope, receive, send)


async def _page(_request: Request) -> Response:
    return PlainTextResponse("Thank you for your order.")


@frozen
class RunningSimulator(Generic[S]):
    """A simulator that is served.

    Attributes:
        simulator: script and inspect it here.
        url: its base URL, for services in processes of their own.
    """

    simulator: S
    url: str
    _simulation: Simulation
    _surroundings: SimulationContext

    def provider(self, **settings: Any) -> Provider:
        """The provider, set up to call this simulator; ``settings`` override its arguments."""
        provider: Provider = self._simulation.configure(self.url, self.simulator, self._surroundings, **settings)
        return provider


class SimulatedWorld:
    """Simulators, an application and a browser, until the block ends. ``clock`` is the clock of simulators and flows.

    Attributes:
        application: the public side of the application.
        browser: an HTTP client that follows redirects, as a customer's browser does.
    """

    def __init__(self, clock: SimClock | None = None) -> None:
        self.clock: SimClock = clock or SimClock()
        self.application: Application = Application()
        self.browser: httpx.AsyncClient = httpx.AsyncClient(follow_redirects=True, trust_env=False, timeout=10.0)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.browser)
        self.application.url = await self.serve(self.application.asgi)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def serve(self, app: ASGIApp) -> str:
        """Serve an ASGI app until the world ends; returns its base URL."""
        return await self._stack.enter_async_context(serve(app))

    async def start_simulator(
        self,
        simulation: str | Simulation,
        *,
        scenario: str = "",
        faults: Sequence[Fault] = (),
        wrap: Wrap | None = None,
        **switches: Any,
    ) -> RunningSimulator[Any]:
        """Start the simulator of an installed provider.

        Args:
            simulation: the provider's name, or its ``Simulation``.
            scenario: what every call of ours plays, in the language of the header ``X-Sim-Scenario``.
            faults: faults to arm.
            wrap: an ASGI middleware in front of the simulator.
            switches: keywords of ``Simulation.create``.

        Raises:
            UnknownName: no such simulator is installed.
            ValueError: an item of the scenario means nothing.
        """
        found = find_simulation(simulation) if isinstance(simulation, str) else simulation
        defaults = {} if self.clock.manual else found.fast
        simulator = await self._stack.enter_async_context(found.create(clock=self.clock, **{**defaults, **switches}))
        check_scenario(simulator, scenario)
        for fault in faults:
            simulator.faults.arm(fault)
        app = play_scenario(simulator.asgi, scenario) if scenario else simulator.asgi
        url = await self.serve(wrap(app) if wrap else app)
        return RunningSimulator(simulator, url, found, self._surroundings())

    def _surroundings(self) -> SimulationContext:
        return SimulationContext(
            return_pages=(self.application.thanks, self.application.sorry),
            clock=self.clock,
            timeout=CALL_TIMEOUT,
            adjust=_keep_timing if self.clock.manual else fast_timing,
        )

    @asynccontextmanager
    async def open_flow(self, db: str | Store, providers: Sequence[AnyProvider], **settings: Any) -> AsyncIterator[Orderflow]:
        """A flow with a worker, its receiver mounted in the application; ``settings`` override arguments of ``Orderflow``."""
        flow = Orderflow(db, providers, **{**self.flow_settings(), **settings})
        async with flow:
            with self.application.mount(flow.receiver()):
                yield flow

    def flow_settings(self) -> dict[str, Any]:
        """The arguments of ``Orderflow`` in this world, apart from database and providers."""
        return {
            "public_url": self.application.receiver_url,
            "signing_keys": SIGNING_KEYS,
            "worker": True,
            "fetch_interval": 0.2,
            "clock": self.clock,
        }

    async def visit(self, url: str, button: str = "pay") -> str:
        """Open ``url`` in the browser and press a button, if it leads to a payment page: pay, cancel, fail, lose or close.

        Returns the URL at which the browser ends.
        """
        page = await self.browser.get(url)
        if "/pay/" in page.url.path:
            page = await self.browser.post(str(page.url), data={"action": button})
        return str(page.url)


def _keep_timing(timing: Timing) -> Timing:
    return timing


def play_scenario(app: ASGIApp, scenario: str) -> ASGIApp:
    """``app``, in which every call of ours (one with credentials) plays the scenario, unless it brings one of its own."""
    header = HEADER.encode()

    async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            names = {name for name, _ in scope["headers"]}
            if b"authorization" in names and header not in names:
                scope = {**scope, "headers": [*scope["headers"], (header, scenario.encode())]}
        await app(scope, receive, send)

    return asgi


def check_scenario(simulator: Simulator, scenario: str) -> None:
    """Check that every item of a scenario means something.

    Raises:
        ValueError: names the item that does not.
    """
    try:
        simulator.header.read(scenario, "", "", b"")
    except UnknownScenario as unknown:
        raise ValueError(f"{simulator.NAME} has no scenario {str(unknown)!r}: see `orderflow simulate --scenarios`") from None
    finally:
        simulator.header.clear()
