"""A ``SimulatedWorld`` in a thread with an event loop of its own, for sync and async tests. Nothing here knows pytest.

One rule for both kinds of tests: what takes time is awaited in an async test, and simply called in a sync one.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from orderflow._app import Orderflow
from orderflow._blocking import SyncOrderflow
from orderflow._provider.protocol import Provider
from orderflow._receiver.receiver import HttpReply
from orderflow._store.ports import Store
from orderflow._testing.world import Application, RunningSimulator, SimulatedWorld
from orderflow.simulators import Fault, SimClock, Simulator

T = TypeVar("T")
S = TypeVar("S", bound=Simulator)
HandleRequest = Callable[[str, str, bytes], Awaitable[HttpReply]]


class TestServer:
    """A simulated world, served from a thread of its own until the block ends."""

    __test__ = False  # pytest takes classes of this name for test classes

    def __init__(self, clock: SimClock) -> None:
        self._clock = clock
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="orderflow-test-server", daemon=True)
        self._world: SimulatedWorld | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._world = self._run(self._open())
        return self

    async def _open(self) -> SimulatedWorld:
        return await SimulatedWorld(self._clock).__aenter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._run(self.world.__aexit__(kind, error, trace))
        finally:
            self._run(self._loop.shutdown_default_executor())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    @property
    def world(self) -> SimulatedWorld:
        """What is served. Its methods must run in the server's loop: see ``call``."""
        assert self._world is not None, "the server is not open"
        return self._world

    @property
    def application(self) -> Application:
        """The public side of the application."""
        return self.world.application

    def start_simulator(self, name: str, *, scenario: str = "", faults: Sequence[Fault] = (), **switches: Any) -> SimulatorHandle[Any]:
        """Start the simulator of an installed provider; see ``SimulatedWorld.start_simulator``."""
        running = self._run(self.world.start_simulator(name, scenario=scenario, faults=faults, **switches))
        return SimulatorHandle(self, running)

    def open_flow(self, db: str | Store, providers: Sequence[Provider], **settings: Any) -> FlowContext:
        """A flow about to open: ``with`` or ``async with`` it. ``settings`` override arguments of ``Orderflow``."""
        return FlowContext(self.application, db, providers, {**self.world.flow_settings(), **settings})

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function in the server's loop and return its result. A coroutine function follows the module's one rule."""
        if inspect.iscoroutinefunction(function):
            future = asyncio.run_coroutine_threadsafe(function(*args, **kwargs), self._loop)
            return asyncio.wrap_future(future) if _in_event_loop() else future.result()

        async def call() -> Any:
            return function(*args, **kwargs)

        return self._run(call())

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


class SimulatorHandle(Generic[S]):
    """A simulator that runs in a test server.

    Attributes:
        url: its base URL, for services in processes of their own.
        simulator: the simulator, to be scripted and inspected from any thread: its methods run in the server's loop.
    """

    def __init__(self, server: TestServer, running: RunningSimulator[S]) -> None:
        self._server = server
        self._running = running
        self.url = running.url
        self.simulator = cast(S, _InServerLoop(server, running.simulator))

    def provider(self, **settings: Any) -> Provider:
        """The provider, set up to call this simulator; ``settings`` override its arguments."""
        return self._running.provider(**settings)

    def visit(self, url: str, button: str = "pay") -> Any:
        """See ``SimulatedWorld.visit``; to be awaited in an async test."""
        return self._server.call(self._server.world.visit, url, button)


class _InServerLoop:
    """An object whose methods run in the server's loop. It has the type of the object for its users (see ``SimulatorHandle``)."""

    def __init__(self, server: TestServer, target: object) -> None:
        self._server = server
        self._target = target

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        if not inspect.ismethod(attribute):
            return attribute
        return lambda *args, **kwargs: self._server.call(attribute, *args, **kwargs)


class FlowContext:
    """A flow about to open: ``with`` for a sync test (a ``SyncOrderflow``), ``async with`` for an async one (an ``Orderflow``)."""

    def __init__(self, application: Application, db: str | Store, providers: Sequence[Provider], settings: dict[str, Any]) -> None:
        self._application = application
        self._arguments = (db, providers)
        self._settings = settings
        self._mounted = ExitStack()
        self._flow: SyncOrderflow | Orderflow | None = None

    def __enter__(self) -> SyncOrderflow:
        flow = SyncOrderflow(*self._arguments, **self._settings)

        async def handle(method: str, path: str, query: bytes) -> HttpReply:
            return await asyncio.to_thread(flow.handle_request, method, path, query)

        flow.__enter__()
        self._flow = flow
        self._mounted.enter_context(self._application.mount(_receiver(handle)))
        return flow

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._mounted.close()
        if isinstance(self._flow, SyncOrderflow):
            self._flow.__exit__(kind, error, trace)

    async def __aenter__(self) -> Orderflow:
        flow = Orderflow(*self._arguments, **self._settings)
        loop = asyncio.get_running_loop()

        async def handle(method: str, path: str, query: bytes) -> HttpReply:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(flow.handle_request(method, path, query), loop))

        await flow.__aenter__()
        self._flow = flow
        self._mounted.enter_context(self._application.mount(_receiver(handle)))
        return flow

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._mounted.close()
        if isinstance(self._flow, Orderflow):
            await self._flow.__aexit__(kind, error, trace)


def _receiver(handle: HandleRequest) -> ASGIApp:
    """A receiver whose flow runs in another loop."""

    async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        reply = await handle(scope["method"], path, scope["query_string"])
        await Response(reply.body, reply.status, dict(reply.headers))(scope, receive, send)

    return asgi


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
