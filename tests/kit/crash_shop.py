"""A shop: a service in a process that can be killed. Its flow is made of parts with crash points, and it takes requests over a unix socket.

Forked by crash_lanes.py. On a course (crash_course.py) its worker is driven by the requests, else it runs by itself. No test lives here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import random
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import httpx
from attrs import field, frozen
from tests.kit.crash_course import ClaimStore, HeldProvider, ManualWorker

from orderflow._app import Orderflow
from orderflow._provider.protocol import Provider
from orderflow._provider.timing import Timing
from orderflow._providers.ccv import Ccv
from orderflow._providers.ccv.wire import PREFIX
from orderflow._providers.connect import CompletionWays, Connect
from orderflow._providers.connect.simulator import FULFILLED
from orderflow._store.ports import Store
from orderflow._testing.crash_points import CrashPoints, kill
from orderflow.errors import OrderflowError
from orderflow.model import StateEntered
from orderflow.simulators import SimClock

CLIENT_ID, CLIENT_SECRET, CCV_KEY = "simulated-client", "client-secret-canary", "api-key-canary"
SIGNING_KEY = "link-key-canary-of-tests"
SIGNING_KEY_ID = "canary"
FAILED = "failed"
"""The answer to a request that failed by no fault of its own; it may be sent again."""


@frozen
class Settings:
    """The shop's configuration. Its socket, its log and the list of its notifications are in ``folder``."""

    db: str
    connect: str
    ccv: str
    shop: str
    folder: Path
    durations: Mapping[str, float]
    lease: float
    now: float = 0.0  # when it starts
    course: str = ""  # "": its worker runs by itself, in real time
    canaries: tuple[str, ...] = field(default=(), repr=False)
    only: tuple[str, ...] = ()  # a canary is raised only at the crash_points of these; if empty, at all

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    @property
    def notifications(self) -> Path:
        return self.folder / "notifications"

    @property
    def token(self) -> Path:
        return self.folder / "token"

    @property
    def log(self) -> Path:
        return self.folder / "log"


class Raised(Exception):
    """What the flow raised, as text."""


class Canary(RuntimeError):
    """An exception of foreign code; its message, or a local variable where it was raised, contains every secret there is."""


class RaisingCrashPoints(CrashPoints):
    """Raises a ``Canary`` at each crash point when it is passed for the first time."""

    def __init__(self, canaries: tuple[str, ...], only: tuple[str, ...]) -> None:
        super().__init__()
        self._canaries = canaries
        self._only = only

    def pass_point(self, action: str, where: str, state: str = "") -> None:
        known = set(self.passed)
        super().pass_point(action, where, state)
        # effects that are leased together are lost together, and a call among them would leave the order in doubt
        chosen = action in self._only and where != "leased" if self._only else action != "add_listeners"
        if chosen and self.passed[-1] not in known:
            everything = " ".join(self._canaries)
            # a listener's exception is the application's own: its message is logged, its local variables are not
            raise Canary("a bug of the listener" if where.endswith("the listener") else everything)


class FileTokens:
    """The user's token, from a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self, order_id: str) -> str | None:
        return self._path.read_text() if self._path.exists() else None


def run(settings: Settings, crash_at: str | None) -> None:
    """In the forked child: run until killed."""
    log = os.open(settings.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    logging.basicConfig(level="INFO", force=True)  # as an application does that configures no structlog
    asyncio.run(_main(settings, crash_at))


def _client() -> httpx.AsyncClient:
    """Without TLS: to load the certificates would take most of a short life."""
    return httpx.AsyncClient(timeout=5.0, trust_env=False, verify=False)


def _flow(settings: Settings, crash_points: CrashPoints, store: ClaimStore, clock: SimClock) -> Orderflow:
    timing = Timing(
        durations=settings.durations,
        poll_first=0.03,
        poll_growth=1.3,
        poll_cap=0.15,
        poll_interval=0.01,
        retry_first=0.05,
        retry_cap=0.5,
        lease=settings.lease,
    )
    client = crash_points.client(_client())
    providers = [
        Connect(
            f"{settings.connect}/capi",
            f"{settings.connect}/user",
            CLIENT_ID,
            CLIENT_SECRET,
            fulfilled_literals=[FULFILLED],
            return_pages=[f"{settings.shop}/thanks", f"{settings.shop}/sorry"],
            tokens=FileTokens(settings.token),
            ways={("creditcardPayex", True): CompletionWays(url=True, api=True, source="Connect A1, A3", evidence="assumed")},
            timing=timing,
            client=client,
        ),
        Ccv(settings.ccv + PREFIX, CCV_KEY, timing=timing, allow_http=True, client=client),
    ]
    flow = Orderflow(
        cast(Store, store),
        [cast(Provider, HeldProvider(crash_points.provider(provider))) for provider in providers],
        public_url=f"{settings.shop}/orders",
        signing_keys={SIGNING_KEY_ID: SIGNING_KEY},
        worker=not settings.course,
        fetch_interval=0.1,
        clock=clock,
        rng=random.Random(1),
    )

    def note(entered: StateEntered) -> None:
        with settings.notifications.open("a") as lines:
            lines.write(f"{entered.key} {entered.state}\n")

    for provider in providers:
        for state in provider.table.states:
            flow.on_entered(provider.name, state, crash_points.listener(note))
    return flow


async def _main(settings: Settings, crash_at: str | None) -> None:
    crash_points = RaisingCrashPoints(settings.canaries, settings.only) if settings.canaries else CrashPoints(crash_at, kill)
    clock = SimClock(settings.now, manual=bool(settings.course))
    store = ClaimStore(crash_points.store(settings.db, statements=not settings.canaries))
    flow = _flow(settings, crash_points, store, clock)
    worker = ManualWorker(flow, store, clock, settings.course) if settings.course else None

    async def call(name: str, *args: Any, **named: Any) -> Any:
        if name == "passed":
            return crash_points.passed
        if name not in ("step", "poll"):
            return await getattr(flow, name)(*args, **named)
        if worker is not None:
            return await getattr(worker, name)(*args)
        await asyncio.sleep(0.02)  # the worker runs by itself
        return 0.0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name, args, named = pickle.loads(await reader.read())
        try:
            result: Any = await call(name, *args, **named)
        except Canary:
            result = FAILED
        except OrderflowError as error:
            result = Raised(f"{type(error).__name__}: {error}")
        writer.write(pickle.dumps(result))
        writer.close()

    async with flow:
        new_socket = settings.socket.with_suffix("." + secrets.token_hex(2))
        server = await asyncio.start_unix_server(answer, new_socket)
        new_socket.rename(settings.socket)  # replaces the one of the process before
        await server.serve_forever()
