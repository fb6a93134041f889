"""What the pytest fixtures stand on: a thread with an event loop, simulators and a shop on sockets in it, a flow wired to them.
Nothing here knows pytest.

One rule for both kinds of tests: what takes time is awaited in an async test, and simply called in a sync one.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from attrs import evolve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from orderflow.app import Orderflow
from orderflow.blocking import SyncOrderflow
from orderflow.provider.protocol import Provider
from orderflow.provider.timing import Timing
from orderflow.receiver.receiver import Reply
from orderflow.simulators import Fault, SimClock, Simulator, serve
from orderflow.simulators.scenario import HEADER, UnknownScenario
from orderflow.store.ports import Store

T = TypeVar("T")
Hear = Callable[[str, str, bytes], Awaitable[Reply]]
_AUTHORIZED = b"authorization"
_FAR_OFF = 60.0
_PATIENCE = 3.0  # seconds without a byte; a lease outlasts it


class Backstage:
    """An event loop in a thread of its own, and what was opened in it; closed in reverse."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="orderflow-backstage", daemon=True)
        self._opened = AsyncExitStack()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._run(self._opened.aclose())
        finally:
            self._run(self._loop.shutdown_default_executor())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def enter(self, opened: AbstractAsyncContextManager[T]) -> T:
        """Enter a context in the loop, until the backstage closes."""
        return self._run(self._opened.enter_async_context(opened))

    def call(self, run: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Call a plain function in the loop, and answer with its result; a coroutine function by the module's one rule."""
        if inspect.iscoroutinefunction(run):
            future = asyncio.run_coroutine_threadsafe(run(*args, **named), self._loop)
            return asyncio.wrap_future(future) if _in_a_loop() else future.result()

        async def plainly() -> Any:
            return run(*args, **named)

        return self._run(plainly())

    def _run(self, asked: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result()


class Simulated:
    """A simulator on a socket. Beyond the names below it has those of the simulator (``script``, ``move``, ``pay``, ``faults``,
    ``orders``, ``journal``, ``reset``, ...); its methods run in its own loop."""

    def __init__(self, backstage: Backstage, sim: Simulator, make: Callable[..., Provider], scenario: str = "") -> None:
        self._backstage = backstage
        self._make = make
        self.sim = sim
        self.url: str = backstage.enter(serve(played(sim.asgi, scenario) if scenario else sim.asgi))
        """The base URL, for services in processes of their own."""

    def provider(self, **settings: Any) -> Provider:
        """The provider against this simulator; ``settings`` are those of ``orderflow.ccv`` or ``orderflow.connect``."""
        return self._make(self.url, **settings)

    def visit(self, url: str, button: str = "pay") -> Any:
        """A browser goes to ``url`` and, where it meets the payment page, presses ``button`` (pay, cancel, fail, lose, close).
        The URL it ends at; awaited in an async test."""
        return self._backstage.call(_visit, url, button)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.sim, name)
        if not inspect.ismethod(found):
            return found
        return lambda *args, **named: self._backstage.call(found, *args, **named)


async def _visit(url: str, button: str) -> str:
    async with httpx.AsyncClient(follow_redirects=True, trust_env=False, timeout=10.0) as browser:
        page = await browser.get(url)
        if "/pay/" in page.url.path:
            page = await browser.post(str(page.url), data={"action": button})
        return str(page.url)


def played(app: ASGIApp, scenario: str) -> ASGIApp:
    """``app`` under a scenario: every call of ours (one with credentials) that brings no scenario of its own plays this one."""
    header = HEADER.encode()

    async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            names = {name for name, _ in scope["headers"]}
            if _AUTHORIZED in names and header not in names:
                scope = {**scope, "headers": [*scope["headers"], (header, scenario.encode())]}
        await app(scope, receive, send)

    return asgi


def check_scenario(sim: Simulator, scenario: str) -> None:
    """Whether every item of a scenario means something.

    Raises:
        ValueError: names the item that does not.
    """
    try:
        sim.header.read(scenario, "", "", b"")
    except UnknownScenario as unknown:
        raise ValueError(f"{sim.NAME} has no scenario {str(unknown)!r}: see `orderflow simulate --scenarios`") from None
    finally:
        sim.header.clear()


def ccv(backstage: Backstage, clock: SimClock, *, scenario: str = "", faults: Sequence[Fault] = (), **switches: Any) -> Simulated:
    """CCV, in a hurry unless its clock stands still."""
    from orderflow.providers.ccv import TIMING, Ccv  # noqa: PLC0415 - only who asks for CCV pays for it
    from orderflow.providers.ccv.simulator import CcvSimulator  # noqa: PLC0415

    switches = {"api_key": "simulated-key", "step_seconds": 0.05, "allow_http_notifications": True, **switches}
    sim = _made(backstage, CcvSimulator, clock, scenario=scenario, faults=faults, switches=switches)

    def make(url: str, **settings: Any) -> Provider:
        settings = {"timing": hurried(TIMING, clock), "timeout": _PATIENCE, "allow_http": True, **settings}
        return Ccv(f"{url}{switches.get('prefix', '/api/ordercompletion/reseller')}", switches["api_key"], **settings)

    return Simulated(backstage, sim, make, scenario)


def connect(
    backstage: Backstage,
    clock: SimClock,
    shop: Shop,
    *,
    scenario: str = "",
    faults: Sequence[Fault] = (),
    **switches: Any,
) -> Simulated:
    """Connect; its customers come back to ``shop``'s pages."""
    from orderflow.providers.connect import TIMING, Connect  # noqa: PLC0415 - only who asks for Connect pays for it
    from orderflow.providers.connect.simulator import FULFILLED, ConnectSimulator  # noqa: PLC0415

    sim = _made(backstage, ConnectSimulator, clock, scenario=scenario, faults=faults, switches=switches)

    def make(url: str, **settings: Any) -> Provider:
        settings = {
            "timing": hurried(TIMING, clock),
            "timeout": _PATIENCE,
            "fulfilled_literals": [FULFILLED],
            "return_pages": [shop.thanks, shop.sorry],
            "clock": clock,
            **settings,
        }
        known = switches.get("client_id", "simulated-client"), switches.get("client_secret", "simulated-secret")
        return Connect(f"{url}/capi", f"{url}/user", *known, **settings)

    return Simulated(backstage, sim, make, scenario)


def _made(
    backstage: Backstage,
    kind: Callable[..., Simulator],
    clock: SimClock,
    *,
    scenario: str,
    faults: Sequence[Fault],
    switches: Mapping[str, Any],
) -> Simulator:
    sim: Simulator = backstage.enter(backstage.call(lambda: kind(clock=clock, **switches)))
    if scenario:
        check_scenario(sim, scenario)
    for fault in faults:
        sim.faults.arm(fault)
    return sim


def hurried(timing: Timing, clock: SimClock) -> Timing:
    """Reads and retries in hundredths of a second, deadlines far off; as it is where the clock stands still."""
    if clock.manual:
        return timing
    return evolve(
        timing,
        durations=dict.fromkeys(timing.durations, _FAR_OFF),
        poll_first=0.03,
        poll_cap=0.2,
        poll_interval=0.01,
        retry_attempts=4,
        retry_first=0.01,
        retry_cap=0.05,
        lease=5.0,
    )


class Shop:
    """The public side of a shop on a socket: two pages to return to, and ``/orders`` below which an open flow hears."""

    def __init__(self, backstage: Backstage) -> None:
        self._hears: list[Hear] = []
        pages = [Route("/thanks", _page), Route("/sorry", _page), Mount("/orders", self._orders)]
        self.url: str = backstage.enter(serve(Starlette(routes=pages)))
        self.thanks = f"{self.url}/thanks"
        self.sorry = f"{self.url}/sorry"

    def listen(self, hear: Hear) -> Callable[[], None]:
        """Let ``hear`` answer from now on; what comes back ends that."""
        self._hears.append(hear)
        return lambda: self._hears.remove(hear)

    async def _orders(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        reply = await self._hears[-1](scope["method"], path, scope["query_string"]) if self._hears else Reply(503, {})
        await Response(reply.body, reply.status, dict(reply.headers))(scope, receive, send)


async def _page(_request: Request) -> Response:
    return PlainTextResponse("Thank you for your order.")


class Opening:
    """A flow about to open: ``with`` for a sync test (a ``SyncOrderflow``), ``async with`` for an async one (an ``Orderflow``)."""

    def __init__(self, shop: Shop, db: str | Store, providers: Sequence[Provider], **settings: Any) -> None:
        self._shop = shop
        self._db = db
        self._providers = providers
        keys = {"tests": "a-link-key-of-tests-only"}
        self._settings = {"public_url": f"{shop.url}/orders", "signing_keys": keys, "worker": True, "fetch_interval": 0.2, **settings}
        self._end: Callable[[], None] = lambda: None
        self._sync: SyncOrderflow | None = None
        self._flow: Orderflow | None = None

    def __enter__(self) -> SyncOrderflow:
        flow = SyncOrderflow(self._db, self._providers, **self._settings)

        async def hear(method: str, path: str, query: bytes) -> Reply:
            return await asyncio.to_thread(flow.handle_request, method, path, query)

        flow.__enter__()
        self._end, self._sync = self._shop.listen(hear), flow
        return flow

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()
        if self._sync is not None:
            self._sync.__exit__(kind, error, trace)

    async def __aenter__(self) -> Orderflow:
        flow = Orderflow(self._db, self._providers, **self._settings)
        home = asyncio.get_running_loop()

        async def hear(method: str, path: str, query: bytes) -> Reply:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(flow.handle_request(method, path, query), home))

        await flow.__aenter__()
        self._end, self._flow = self._shop.listen(hear), flow
        return flow

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()
        if self._flow is not None:
            await self._flow.__aexit__(kind, error, trace)


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
