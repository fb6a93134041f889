"""The whole simulator: both servers under one roof. What may live here: putting together, and what a test may turn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx
from attrs import define
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from orderflow.providers.connect.simulator.api import Api
from orderflow.providers.connect.simulator.browser import Browser, with_status
from orderflow.providers.connect.simulator.magic import MAGIC, TAGS
from orderflow.providers.connect.simulator.operations import OPERATIONS, SCHEMES
from orderflow.providers.connect.simulator.orders import OrderBook, SimulatedOrder
from orderflow.providers.connect.simulator.switches import ConnectSwitches
from orderflow.providers.connect.simulator.tokens import Tokens
from orderflow.providers.connect.wire import CallbackStatus
from orderflow.simulators import Operation, OrderView, SimClock, Simulator


@define
class RateLimit:
    """So many calls in each window of so many seconds (Connect A12); unlimited until set."""

    clock: SimClock
    calls: int | None = None
    seconds: float = 1.0
    _ends: float = 0.0
    _left: int = 0

    def set(self, calls: int | None, seconds: float) -> None:
        """Begin a new window under a new limit; None lifts it."""
        self.calls, self.seconds = calls, seconds
        self._ends, self._left = 0.0, 0

    def take(self) -> bool:
        """Count one call; False when it is one too many."""
        if self.calls is None:
            return True
        self._turn(self.calls)
        self._left -= 1
        return self._left >= 0

    def headers(self) -> Mapping[str, str]:
        """What every answer says under a limit: calls left, seconds until the window ends."""
        if self.calls is None:
            return {}
        self._turn(self.calls)
        left = max(0.0, self._ends - self.clock.now())
        return {"X-RateLimit-Remaining": str(max(0, self._left)), "X-RateLimit-Reset": str(int(-(-left // 1)))}

    def _turn(self, calls: int) -> None:
        if self.clock.now() >= self._ends:
            self._ends, self._left = self.clock.now() + self.seconds, calls


class ConnectSimulator(ConnectSwitches, Simulator):
    """Connect on a real socket: ``async with ConnectSimulator() as sim, serve(sim.asgi) as base``.

    ``base + "/capi"`` is the apiServer, ``base + "/user"`` the loginServer. Time is ``sim.clock``'s. Orders fare as magic
    values in their data say, or as told by ``script``; mishaps are armed on ``faults`` and ``deliveries``. The switches
    (``ConnectSwitches``) are arguments of the same name, and attributes that may be changed at any time.

    Raises UnknownName for a switch that is none, InvalidInput for a value that is none of its values.
    """

    NAME = "Connect"
    MAGIC = MAGIC

    def __init__(
        self,
        *,
        client_id: str = "simulated-client",
        client_secret: str = "simulated-secret",  # noqa: S107 - opens nothing but this
        first_order_id: int = 14,
        lenient: bool = False,
        clock: SimClock | None = None,
        seed: int = 0,
        client: httpx.AsyncClient | None = None,
        **switches: Any,
    ) -> None:
        super().__init__(clock=clock, seed=seed, client=client)
        if lenient:
            self.be_lenient()
        for name, value in switches.items():
            self.turn(name, value)
        self.tokens = Tokens(self, client_id, client_secret)
        self.book = OrderBook(self, first_order_id)
        self.rate = RateLimit(self.clock)
        token = Route("/oauth/token", self.tokens.answer, methods=["POST"])
        login, api = [token, *Browser(self).routes()], Api(self).routes()
        self.asgi = self.guard(Starlette(routes=[Mount("/user", routes=login), Mount("/capi", routes=api)]))

    @property
    def orders(self) -> tuple[SimulatedOrder, ...]:
        """Every order as it now stands, oldest first."""
        return self.book.all()

    def order(self, order_id: int | str) -> SimulatedOrder:
        """One order as it now stands. Raises KeyError when there is none."""
        order = self.book.find(order_id)
        if order is None:
            raise KeyError(order_id)
        return order

    def script(self, external_order_id: str, **outcome: Any) -> None:
        """Say how orders of this externalOrderId will fare (fields of ``Outcome``); ``*``: all that have no script.

        Raises TypeError for a field that is none, ValueError for a word that is none.
        """
        self.book.script(external_order_id, outcome)

    def pay(self, order_id: int | str) -> None:
        """The money for this order comes, and no browser and no callback tells. Raises KeyError."""
        self.book.pay(self.order(order_id))

    def issue_user_token(self, user: str = "user") -> str:
        """An access token as a logged-in user's grant would give it."""
        return self.tokens.issue(user)

    def expire_tokens(self) -> None:
        """Every token given out so far, clients' and users', is refused from now on."""
        self.tokens.expire()

    def limit(self, calls: int | None, per_seconds: float = 1.0) -> None:
        """Answer API calls with 429 once ``calls`` were answered in a window of ``per_seconds``; None lifts it."""
        self.rate.set(calls, per_seconds)

    async def settle(self) -> None:
        """Wait until every sms is answered and every callback sent. On a manual clock, advance first."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        await self.deliveries.drain()

    async def sms_answered(self, order: SimulatedOrder, callback_url: str | None) -> None:
        """What the customer does with the sms, and what Connect then tells us (Connect A3, G4)."""
        outcome = self.book.outcome(order)
        await self.clock.sleep(outcome.pay_delay)
        if outcome.pay_outcome == "never":
            return
        success = outcome.pay_outcome == "success"
        if success:
            self.book.pay(order)
        else:
            self.book.stop(order, "payment failed")
        if callback_url is None or outcome.callback == "never":
            return
        await self.call_back(callback_url, CallbackStatus.SUCCESS if success else CallbackStatus.FAILED, outcome.callback == "twice")

    async def call_back(self, url: str, word: str, twice: bool = False) -> None:
        """GET callbackUrl, with its parameter."""
        told = with_status(url, word) if self.callback_join == "&" else f"{url}?fulfillmentStatus={word}"
        for _ in range(2 if twice else 1):
            await self.deliveries.send("GET", told)

    async def paid_later(self, order: SimulatedOrder, seconds: float, return_url: str = "") -> None:
        """The money comes after all; with ``return_url``, the browser comes back with success then."""
        await self.clock.sleep(seconds)
        self.book.pay(order)
        if return_url:
            await self.deliveries.send("GET", return_url)

    # ---------------------------------------------------------------- what Simulator asks for

    def knows(self, tag: str) -> bool:
        """See ``Simulator.knows``."""
        return tag in TAGS

    def refusal(self, status: int) -> tuple[Mapping[str, str], bytes]:
        """See ``Simulator.refusal``: the shapes that public client code reads (C1), and A12's headers."""
        body: dict[str, str] = {"exceptionType": "SimulatedException", "errorMessage": "as the scenario has it"}
        if status == HTTPStatus.UNAUTHORIZED:
            body = {"error": "invalid_token"}
        headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"} if status == HTTPStatus.TOO_MANY_REQUESTS else {}
        return {"content-type": "application/json", **headers}, json.dumps(body).encode()

    def operations(self) -> tuple[Operation, ...]:
        """See ``Simulator.operations``."""
        return OPERATIONS

    def schemes(self) -> Mapping[str, dict[str, Any]]:
        """See ``Simulator.schemes``."""
        return SCHEMES

    def views(self) -> tuple[OrderView, ...]:
        """See ``Simulator.views``."""
        return tuple(self.book.view(order) for order in self.book.all())

    def transition(self, order_id: str, to: str, *, force: bool = False) -> None:
        """See ``Simulator.transition``; by force, a word that is no stage is what status calls say from then on."""
        if not to:
            raise ValueError("to: which stage?")
        self.book.move(self.order(order_id), to, force=force)

    def forget(self) -> None:
        """See ``Simulator.forget``; tokens go as well."""
        self.book.forget()
        self.tokens.expire()
