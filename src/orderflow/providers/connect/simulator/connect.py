"""The whole simulator: both servers under one roof. What may live here: putting together, and what a test may turn."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
from attrs import define
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from orderflow.providers.connect.simulator.api import Api
from orderflow.providers.connect.simulator.browser import Browser, with_status
from orderflow.providers.connect.simulator.orders import OrderBook, SimulatedOrder
from orderflow.providers.connect.simulator.tokens import Tokens
from orderflow.providers.connect.wire import CallbackStatus
from orderflow.simkit import SimClock, Simulator

TOKEN_SECONDS = 12 * 3600.0


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


class ConnectSimulator(Simulator):
    """Connect on a real socket: ``async with ConnectSimulator() as sim, serve(sim.asgi) as base``.

    ``base + "/capi"`` is the apiServer, ``base + "/user"`` the loginServer. Time is ``sim.clock``'s. ``fulfil_delay``
    is the seconds from paid (or accepted) to fulfilled; ``xml_unless_asked`` answers API calls in XML unless their
    Accept names JSON (C2, C3). Orders are scripted with ``script``, mishaps armed on ``faults`` and ``deliveries``.
    """

    def __init__(
        self,
        *,
        client_id: str = "simulated-client",
        client_secret: str = "simulated-secret",  # noqa: S107 - opens nothing but this
        token_seconds: float = TOKEN_SECONDS,
        fulfil_delay: float = 0.0,
        first_order_id: int = 14,
        xml_unless_asked: bool = False,
        clock: SimClock | None = None,
        seed: int = 0,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        super().__init__(clock=clock, seed=seed, client=client)
        self.xml_unless_asked = xml_unless_asked
        self.tokens = Tokens(self.clock, client_id, client_secret, token_seconds)
        self.book = OrderBook(self.clock, first_order_id, fulfil_delay)
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
            self.book.note(order, "payment failed")
        if callback_url is None or outcome.callback == "never":
            return
        word = CallbackStatus.SUCCESS if success else CallbackStatus.FAILED
        for _ in range(2 if outcome.callback == "twice" else 1):
            await self.deliveries.send("GET", with_status(callback_url, word))
