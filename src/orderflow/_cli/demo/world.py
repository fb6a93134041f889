"""The world of the demo: both simulators and an application on real sockets, an ``Orderflow`` with a worker, and a browser.

Deadlines, poll intervals and retries are shortened by configuration. Nothing else differs from a real service.
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

from orderflow._app import Orderflow
from orderflow._provider.protocol import Provider
from orderflow._provider.timing import Timing
from orderflow._providers.ccv import Ccv
from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow._providers.ccv.wire import PREFIX
from orderflow._providers.connect import CompletionWays, Connect
from orderflow._providers.connect.simulator import FULFILLED, ConnectSimulator
from orderflow._simulators.simulation import new_seed
from orderflow.model import JournalRow, Order, RefusalRow, StateEntered
from orderflow.provider import Name
from orderflow.simulators import RequestJournal, serve

Button = Literal["pay", "cancel", "fail", "lose", "close"]

_FAST = Timing(
    durations={
        "completion_timeout": 20.0,
        "return_timeout": 3.0,
        "cancel_grace": 0.3,
        "proof_timeout": 5.0,
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
_TIMEOUT = 5.0  # seconds without a byte; shorter than the lease
_RETRY_SECONDS = 0.3  # long enough for a wrong retry to arrive


class Unmet(Exception):
    """Something in a scenario is not as it must be."""


@frozen
class World:
    """What scenarios use.

    Attributes:
        application: the application's base URL.
        notified: (order id, state), as listeners were notified.
        tokens: the token of the user who is logged in.
    """

    flow: Orderflow
    connect: ConnectSimulator
    ccv: CcvSimulator
    browser: httpx.AsyncClient
    application: str
    notified: list[tuple[str, str]]
    tokens: UserTokens

    async def visit(self, url: str, button: Button = "pay") -> None:
        """Open the fulfillment URL in the customer's browser; on the payment page, if there is one, press a button."""
        page = await self.browser.get(url)
        if "/pay/" in page.url.path:
            await self.browser.post(str(page.url), data={"action": button})

    async def forge_return(self, url: str, status: str) -> None:
        """Open the return URL of a fulfillment URL, with a status that no payment page gave."""
        target = httpx.URL(url).params["returnUrl"]
        await self.browser.get(target, params={"fulfillmentStatus": status})


@frozen
class Case:
    """One run of a scenario, with an order of its own. ``shown``: what a person read about it meanwhile, in sentences for the demo."""

    world: World
    name: str
    number: str = field(factory=lambda: secrets.token_hex(4))
    shown: list[str] = field(factory=list)

    @property
    def reference(self) -> str:
        """The order's key; the simulators know the scenario's script by it."""
        return self.name.replace(" ", "-").replace(",", "")[:20] + "-" + self.number


Play = Callable[[Case], Awaitable[Order]]


@frozen
class Scenario:
    """An order's life with an expected end. ``alone``: it arms faults that other scenarios could run into."""

    name: str
    provider: str
    expected: str
    play: Play
    alone: bool = False


@frozen
class Ending:
    """How a scenario ended. ``reached``: the order's state; "" if there is no order. ``why``: what was not as it must be. ``shown``: as
    ``Case.shown``."""

    scenario: Scenario
    reached: str
    ok: bool
    why: str
    journal: list[JournalRow]
    refusals: list[RefusalRow]
    shown: list[str]


class UserTokens:
    """The application's source of users' tokens: see ``protocol.TokenSource``."""

    def __init__(self) -> None:
        self.current: str | None = None

    async def token(self, order_id: str) -> str | None:
        """The token of the user who is logged in; None if there is none."""
        return self.current


@asynccontextmanager
async def check_executed_once(journal: RequestJournal, call: str) -> AsyncIterator[None]:
    """Check that the simulator executes ``call`` once in the block, and not again soon after it.

    Raises:
        Unmet: it executed it another number of times.
    """
    before = journal.count_executed(call)
    yield
    await asyncio.sleep(_RETRY_SECONDS)
    executed = journal.count_executed(call) - before
    if executed != 1:
        raise Unmet(f"the simulator executed a call {executed} times that must be executed once")


@asynccontextmanager
async def open_world(db: str, dispatch: str = "local") -> AsyncIterator[World]:
    """The world, with its orders in the database ``db``, until the block ends."""
    application = Starlette(routes=[Route("/thanks", _thank), Route("/sorry", _thank)])
    run = new_seed()  # each run has ids of its own: an id belongs to one order of the database
    async with (
        ConnectSimulator(first_order_id=run) as connect_sim,
        CcvSimulator(api_key="demo", allow_http_notifications=True, seed=run) as ccv_sim,
        serve(connect_sim.asgi) as connect_url,
        serve(ccv_sim.asgi) as ccv_url,
        serve(application) as application_url,
        httpx.AsyncClient(follow_redirects=True, trust_env=False) as browser,
    ):
        tokens = UserTokens()
        providers: list[Provider] = [
            _connect(connect_url, application_url, tokens),
            Ccv(ccv_url + PREFIX, "demo", timing=_FAST, timeout=_TIMEOUT, allow_http=True),
        ]
        flow = Orderflow(
            db,
            providers,
            public_url=f"{application_url}/orders",
            signing_keys={"demo": secrets.token_bytes(32)},
            worker=True,
            dispatch=dispatch,
            fetch_interval=0.2,
        )
        async with flow:
            application.mount("/orders", flow.receiver())
            notified = _listen_to_all(flow, providers)
            yield World(flow, connect_sim, ccv_sim, browser, application_url, notified, tokens)


def _connect(url: str, application_url: str, tokens: UserTokens) -> Connect:
    return Connect(
        f"{url}/capi",
        f"{url}/user",
        "simulated-client",
        "simulated-secret",
        fulfilled_literals=[FULFILLED],
        return_pages=[f"{application_url}/thanks", f"{application_url}/sorry"],
        tokens=tokens,
        # the pages contradict each other about prepaid by URL (A1); the demo shows both ways
        ways={("creditcardPayex", True): CompletionWays(url=True, api=True, source="Connect A1, A3", evidence="assumed")},
        timing=_FAST,
        timeout=_TIMEOUT,
    )


def _listen_to_all(flow: Orderflow, providers: list[Provider]) -> list[tuple[str, str]]:
    """Listen to every state of every provider; the list grows with each notification."""
    notified: list[tuple[str, str]] = []

    def note(entered: StateEntered) -> None:
        notified.append((entered.order.id, entered.state))

    for provider in providers:
        for state in provider.table.states:
            flow.on_entered(Name(provider.name), state, note)
    return notified


async def _thank(_request: Request) -> Response:
    return PlainTextResponse("Thank you for your order.")
