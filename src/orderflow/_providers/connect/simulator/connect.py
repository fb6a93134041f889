"""The whole simulator of Connect, both servers. Contains only: how its parts are put together, and what a test may ask of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from orderflow._providers.connect.simulator.api import Api
from orderflow._providers.connect.simulator.browser import Browser
from orderflow._providers.connect.simulator.magic import MAGIC, TAGS
from orderflow._providers.connect.simulator.operations import OPERATIONS, SCHEMES
from orderflow._providers.connect.simulator.orders import OrderBook, SimulatedOrder
from orderflow._providers.connect.simulator.payments import Payments
from orderflow._providers.connect.simulator.rate_limit import RateLimit
from orderflow._providers.connect.simulator.switches import ConnectSwitches
from orderflow._providers.connect.simulator.tokens import Tokens
from orderflow.simulators import Operation, OrderView, SimClock, Simulator


class ConnectSimulator(ConnectSwitches, Simulator):
    """Connect over HTTP: ``async with ConnectSimulator() as sim, serve(sim.asgi) as base``.

    ``base + "/capi"`` is the apiServer, ``base + "/user"`` the loginServer; time is that of ``sim.clock``. What happens to an order is
    decided by magic values in its data or by ``script``; faults are armed on ``faults`` and ``deliveries``. The switches
    (``ConnectSwitches``) are arguments of the same name, and attributes that may be changed at any time.

    Raises:
        UnknownName: no such switch.
        InvalidInput: the switch cannot have this value.
    """

    NAME = "Connect"
    MAGIC = MAGIC

    def __init__(
        self,
        *,
        client_id: str = "simulated-client",
        client_secret: str = "simulated-secret",  # noqa: S107 - opens nothing but this
        first_order_id: int | None = None,
        lenient: bool = False,
        clock: SimClock | None = None,
        seed: int = 0,
        client: httpx.AsyncClient | None = None,
        **switches: Any,
    ) -> None:
        super().__init__(clock=clock, seed=seed, client=client)
        if lenient:
            self.set_lenient()
        for name, value in switches.items():
            self.set_switch(name, value)
        self.tokens = Tokens(self, self.clock, client_id, client_secret)
        self._book = OrderBook(self, self.clock, self.events, first_id=14 + seed if first_order_id is None else first_order_id)
        self._rate_limit = RateLimit(self.clock)
        payments = Payments(self, self.clock, self._book, self.deliveries)
        api = Api(self, rate_limit=self._rate_limit, tokens=self.tokens, orders=self._book, payments=payments, background=self.background)
        browser = Browser(self, client_id=client_id, orders=self._book, payments=payments, background=self.background)
        login = [Route("/oauth/token", self.tokens.answer, methods=["POST"]), *browser.routes()]
        self.asgi = self.wrap(Starlette(routes=[Mount("/user", routes=login), Mount("/capi", routes=api.routes())]))

    # ---------------------------------------------------------------- for tests and demos

    @property
    def orders(self) -> tuple[SimulatedOrder, ...]:
        """Every order as of now, oldest first."""
        return self._book.all()

    def order(self, order_id: int | str) -> SimulatedOrder:
        """One order as of now. Raises KeyError for an unknown order."""
        order = self._book.find(order_id)
        if order is None:
            raise KeyError(order_id)
        return order

    def script(self, external_order_id: str, **outcome: Any) -> None:
        """Decide what happens to orders of this externalOrderId (fields of ``Outcome``); ``*``: to all that have no script.

        Raises TypeError for an unknown field, ValueError for an unknown value.
        """
        self._book.script(external_order_id, outcome)

    def pay(self, order_id: int | str) -> None:
        """Pay this order; no browser returns and no callback is sent. Raises KeyError for an unknown order."""
        self._book.pay(self.order(order_id))

    def issue_user_token(self, user: str = "user") -> str:
        """An access token such as a logged-in user's grant gives."""
        return self.tokens.issue(user)

    def expire_tokens(self) -> None:
        """Make all tokens issued so far invalid, the client's and those of users."""
        self.tokens.expire()

    def limit(self, calls: int | None, per_seconds: float = 1.0) -> None:
        """Answer API calls with 429 after ``calls`` in a window of ``per_seconds``; None removes the limit."""
        self._rate_limit.set(calls, per_seconds)

    async def drain(self) -> None:
        """Wait until every sms is answered and every callback sent. With a manual clock, advance it first."""
        await self.background.drain()
        await self.deliveries.drain()

    # ---------------------------------------------------------------- overrides of Simulator

    def is_tag(self, tag: str) -> bool:
        """See ``Simulator.is_tag``."""
        return tag in TAGS

    def error_response(self, status: int) -> tuple[Mapping[str, str], bytes]:
        """See ``Simulator.error_response``: the shapes that public client code reads (C1), and A12's headers."""
        body: dict[str, str] = {"exceptionType": "SimulatedException", "errorMessage": "a simulated error"}
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

    def order_views(self) -> tuple[OrderView, ...]:
        """See ``Simulator.order_views``."""
        return tuple(self._book.view(order) for order in self._book.all())

    def transition(self, order_id: str, to: str, *, force: bool = False) -> None:
        """See ``Simulator.transition``. With force, ``to`` may also be any status that status calls answer from then on."""
        if not to:
            raise ValueError("to: which stage?")
        self._book.move(self.order(order_id), to, force=force)

    def clear_orders(self) -> None:
        """See ``Simulator.clear_orders``; also makes all tokens invalid."""
        self._book.clear()
        self.tokens.expire()
