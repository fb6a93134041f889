"""A shop's process that can be killed: a flow on watched boundaries, asked over a unix socket. Forked by crash_lanes.py; no test here.

On a course (crash_course.py) it works by hand, else by itself.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import random
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import httpx
from attrs import field, frozen
from orderflow.testing.boundaries import Boundaries, kill
from tests.kit.crash_course import ByHand, Claims, Held

from orderflow.app import Orderflow
from orderflow.errors import OrderflowError
from orderflow.model import StateEntered
from orderflow.provider.protocol import Provider
from orderflow.provider.timing import Timing
from orderflow.providers.ccv import Ccv
from orderflow.providers.ccv.wire import PREFIX
from orderflow.providers.connect import Connect, Ways
from orderflow.providers.connect.simulator import FULFILLED
from orderflow.simulators import SimClock
from orderflow.store.ports import Store

CLIENT_ID, CLIENT_SECRET, CCV_KEY = "simulated-client", "client-secret-canary", "api-key-canary"
LINK_KEY = "link-key-canary-of-tests"
LINK_KEY_ID = "canary"
TROUBLE = "trouble"
"""What a caller is answered who had no luck, and may ask again."""


@frozen
class Settings:
    """What the shop is configured with. ``folder`` is where it listens, and where it leaves what the host was told and its log."""

    db: str
    connect: str
    ccv: str
    shop: str
    folder: Path
    durations: Mapping[str, float]
    lease: float
    now: float = 0.0  # when it starts
    course: str = ""  # none: it works by itself, in real time
    canaries: tuple[str, ...] = field(default=(), repr=False)
    only: tuple[str, ...] = ()  # at whose boundaries alone a canary is raised; at all if empty

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    @property
    def told(self) -> Path:
        return self.folder / "told"

    @property
    def token(self) -> Path:
        return self.folder / "token"

    @property
    def log(self) -> Path:
        return self.folder / "log"


class Raised(Exception):
    """What the flow raised, in words."""


class Canary(RuntimeError):
    """Somebody else's exception; its message shows every secret there is."""


class Angry(Boundaries):
    """At each boundary, the first time: a ``Canary``."""

    def __init__(self, canaries: tuple[str, ...], only: tuple[str, ...]) -> None:
        super().__init__()
        self._canaries = canaries
        self._only = only

    def at(self, doing: str, where: str, state: str = "") -> None:
        known = set(self.passed)
        super().at(doing, where, state)
        # what is leased with others is lost with them: a call among them would leave the order in doubt
        meant = doing in self._only and where != "leased" if self._only else doing != "add_listeners"
        if meant and self.passed[-1] not in known:
            raise Canary(" ".join(self._canaries))


class FileTokens:
    """Users' tokens, as a file has them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self, order_id: str) -> str | None:
        return self._path.read_text() if self._path.exists() else None


def run(settings: Settings, crash_at: str | None) -> None:
    """In the forked child: live until killed."""
    log = os.open(settings.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    asyncio.run(_main(settings, crash_at))


def _plain() -> httpx.AsyncClient:
    """Without TLS: reading the certificates would be most of what a short life costs."""
    return httpx.AsyncClient(timeout=5.0, trust_env=False, verify=False)


def _flow(settings: Settings, boundaries: Boundaries, clock: SimClock) -> Orderflow:
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
    client = boundaries.client(_plain())
    providers = [
        Connect(
            f"{settings.connect}/capi",
            f"{settings.connect}/user",
            CLIENT_ID,
            CLIENT_SECRET,
            fulfilled_literals=[FULFILLED],
            return_pages=[f"{settings.shop}/thanks", f"{settings.shop}/sorry"],
            tokens=FileTokens(settings.token),
            ways={("creditcardPayex", True): Ways(url=True, api=True, source="Connect A1, A3", evidence="assumed")},
            timing=timing,
            client=client,
        ),
        Ccv(settings.ccv + PREFIX, CCV_KEY, timing=timing, allow_http=True, client=client),
    ]
    flow = Orderflow(
        cast(Store, Claims(boundaries.store(settings.db, statements=not settings.canaries))),
        [cast(Provider, Held(boundaries.provider(provider))) for provider in providers],
        public_url=f"{settings.shop}/orders",
        signing_keys={LINK_KEY_ID: LINK_KEY},
        worker=not settings.course,
        fetch_interval=0.1,
        clock=clock,
        rng=random.Random(1),
    )

    def tell(told: StateEntered) -> None:
        with settings.told.open("a") as lines:
            lines.write(f"{told.key} {told.state}\n")

    for provider in providers:
        for state in provider.table.states:
            flow.on_entered(provider.name, state, boundaries.host(tell))
    return flow


async def _main(settings: Settings, crash_at: str | None) -> None:
    boundaries = Angry(settings.canaries, settings.only) if settings.canaries else Boundaries(crash_at, kill)
    clock = SimClock(settings.now, manual=bool(settings.course))
    flow = _flow(settings, boundaries, clock)
    hand = ByHand(flow, clock, settings.course) if settings.course else None

    async def asked(name: str, *args: Any, **named: Any) -> Any:
        if name == "passed":
            return boundaries.passed
        if name not in ("step", "read"):
            return await getattr(flow, name)(*args, **named)
        if hand is not None:
            return await getattr(hand, name)(*args)
        await asyncio.sleep(0.02)  # it works by itself
        return 0.0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name, args, named = pickle.loads(await reader.read())
        try:
            answered: Any = await asked(name, *args, **named)
        except Canary:
            answered = TROUBLE
        except OrderflowError as error:
            answered = Raised(f"{type(error).__name__}: {error}")
        writer.write(pickle.dumps(answered))
        writer.close()

    async with flow:
        coming = settings.socket.with_suffix("." + secrets.token_hex(2))
        server = await asyncio.start_unix_server(answer, coming)
        coming.rename(settings.socket)  # over the dead one's
        await server.serve_forever()
