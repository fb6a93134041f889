"""The demo's world: both simulators and a shop on real sockets, a flow that works for them, a browser. Only what scenarios stand on.

Deadlines, read intervals and retries are scaled down by configuration; nothing else differs from a real service.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Literal

import httpx
from attrs import field, frozen
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from orderflow.app import Orderflow
from orderflow.model import JournalRow, Order, RefusalRow
from orderflow.provider.protocol import Name, Provider
from orderflow.provider.timing import Timing
from orderflow.providers.ccv import Ccv
from orderflow.providers.ccv.simulator import CcvSimulator
from orderflow.providers.ccv.wire import PREFIX
from orderflow.providers.connect import Connect, Ways
from orderflow.providers.connect.simulator import FULFILLED, ConnectSimulator
from orderflow.simulators import RequestJournal, serve

Button = Literal["pay", "cancel", "fail", "lose", "close"]

_FAST = Timing(
    durations={
        "completion_timeout": 20.0,
        "return_timeout": 3.0,
        "cancel_grace": 0.3,
        "proof_timeout": 3.0,
        "recovery_window": 30.0,
    },
    poll_first=0.08,
    poll_growth=1.3,
    poll_cap=0.4,
    poll_interval=0.03,
    retry_first=0.1,
    retry_cap=1.0,
    lease=10.0,
)
_PATIENCE = 5.0  # seconds without a byte; a lease outlasts it


class Unmet(Exception):
    """A scenario found something else than it must."""


@frozen
class World:
    """Everything a scenario plays with."""

    flow: Orderflow
    connect: ConnectSimulator
    ccv: CcvSimulator
    browser: httpx.AsyncClient
    shop: str  # the shop's base URL
    told: list[tuple[str, str]]  # (order, state), as the host was told
    tokens: UserTokens

    async def visit(self, url: str, button: Button = "pay") -> None:
        """The customer's browser goes to the fulfillment URL and presses a button on the payment page, if it meets one."""
        page = await self.browser.get(url)
        if "/pay/" in page.url.path:
            await self.browser.post(str(page.url), data={"action": button})

    async def forge(self, url: str, word: str) -> None:
        """Somebody types our return URL with a word of their own behind it."""
        target = httpx.URL(url).params["returnUrl"]
        await self.browser.get(target, params={"fulfillmentStatus": word})


@frozen
class Case:
    """One scenario's own order: its number makes keys and references unique."""

    world: World
    name: str

    @property
    def reference(self) -> str:
        """The reference by which the simulators know the scenario's script."""
        return self.name.replace(" ", "-").replace(",", "")[:20] + "-" + self.number

    number: str = field(factory=lambda: secrets.token_hex(4))


@asynccontextmanager
async def once(journal: RequestJournal, call: str) -> AsyncIterator[None]:
    """Whatever happens inside, the simulator must have executed the call once, and not again soon after.

    Raises:
        Unmet: it executed it another number of times.
    """
    before = journal.count_executed(call)
    yield
    await asyncio.sleep(0.3)  # long enough for a blind retry, if there were one
    executed = journal.count_executed(call) - before
    if executed != 1:
        raise Unmet(f"the simulator executed {executed} times what may happen once")


Play = Callable[[Case], Awaitable[Order]]


@frozen
class Scenario:
    """A story with an expected end. ``alone``: it arms faults that other stories could run into."""

    name: str
    provider: str
    expected: str
    play: Play
    alone: bool = False


@frozen
class StateEntered:
    """How a scenario ended."""

    scenario: Scenario
    reached: str
    ok: bool
    why: str
    journal: list[JournalRow]
    refusals: list[RefusalRow]


class UserTokens:
    """The shop's source of users' tokens: who is logged in."""

    def __init__(self) -> None:
        self.current: str | None = None

    async def token(self, order_id: str) -> str | None:
        """See ``ports.TokenSource``."""
        return self.current


@asynccontextmanager
async def world(db: str, dispatch: str = "local") -> AsyncIterator[World]:
    """Open the world on a database."""
    shop = Starlette(routes=[Route("/thanks", _thanks), Route("/sorry", _thanks)])
    async with (
        ConnectSimulator() as connect_sim,
        CcvSimulator(api_key="demo", allow_http_notifications=True) as ccv_sim,
        serve(connect_sim.asgi) as connect_url,
        serve(ccv_sim.asgi) as ccv_url,
        serve(shop) as shop_url,
        httpx.AsyncClient(follow_redirects=True, trust_env=False) as browser,
    ):
        tokens = UserTokens()
        providers: list[Provider] = [
            Connect(
                f"{connect_url}/capi",
                f"{connect_url}/user",
                "simulated-client",
                "simulated-secret",
                fulfilled_literals=[FULFILLED],
                return_pages=[f"{shop_url}/thanks", f"{shop_url}/sorry"],
                tokens=tokens,
                # the pages contradict each other about prepaid by URL (A1); the demo shows both ways
                ways={("creditcardPayex", True): Ways(url=True, api=True, source="Connect A1, A3", evidence="assumed")},
                timing=_FAST,
                timeout=_PATIENCE,
            ),
            Ccv(ccv_url + PREFIX, "demo", timing=_FAST, timeout=_PATIENCE, allow_http=True),
        ]
        keys = {"demo": secrets.token_bytes(32)}
        flow = Orderflow(
            db, providers, public_url=f"{shop_url}/orders", signing_keys=keys, worker=True, dispatch=dispatch, fetch_interval=0.2
        )
        async with flow:
            shop.mount("/orders", flow.receiver())
            told: list[tuple[str, str]] = []
            for provider in providers:
                for state in provider.table.states:
                    flow.on_entered(Name(provider.name), state, lambda news: told.append((news.order.id, news.state)))
            yield World(flow, connect_sim, ccv_sim, browser, shop_url, told, tokens)


async def _thanks(_request: Request) -> Response:
    return PlainTextResponse("Thank you for your order.")
