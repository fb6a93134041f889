"""The whole simulator of CCV. Contains only: how its parts are put together, and what a test or a demo may ask of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import httpx
from starlette.applications import Starlette

from orderflow._providers.ccv.simulator.api import Api, Authenticate
from orderflow._providers.ccv.simulator.notifications import Notifier
from orderflow._providers.ccv.simulator.operations import SCHEMES, operations
from orderflow._providers.ccv.simulator.orders import OrderBook, SimulatedOrder
from orderflow._providers.ccv.simulator.plans import MAGIC, Move, is_known_tag
from orderflow._providers.ccv.simulator.rules import check_credentials, refuse
from orderflow._providers.ccv.simulator.switches import CcvSwitches
from orderflow.simulators import Operation, OrderView, SimClock, Simulator


class CcvSimulator(CcvSwitches, Simulator):
    """CCV over HTTP. Serve ``asgi`` with ``orderflow.simulators.serve``; use it as ``async with``, or close it.

    Every order starts in Processing. Then it follows its script, its magic value or the usual life, on the simulator's ``clock``. The
    switches (``CcvSwitches``) are arguments of the same name, and attributes that may be changed at any time, except ``prefix``.
    ``authenticate`` replaces the check of keys: it returns the status code to refuse with, or None.

    Raises:
        UnknownName: no such switch.
        InvalidInput: the switch cannot have this value.
    """

    NAME = "CCV"
    MAGIC = MAGIC

    def __init__(
        self,
        *,
        authenticate: Authenticate | None = None,
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
        notifier = Notifier(self, self.deliveries)
        self._book = OrderBook(self, self.clock, notifier, self.background, self.events, seed=seed)
        api = Api(self, self.clock, self._book, authenticate or partial(check_credentials, self))
        self.asgi = self.wrap(Starlette(routes=api.routes()))

    # ---------------------------------------------------------------- for tests and demos

    @property
    def orders(self) -> tuple[SimulatedOrder, ...]:
        """Every order ever submitted, oldest first."""
        return self._book.all()

    def script(self, external_reference: str | None, *moves: Move, force: bool = False, notify_early: bool = False) -> None:
        """Decide what happens to orders submitted under this reference (None: to all that have no script of their own).

        A move is (seconds after the previous one, status). Without moves, the order stays in Processing for ever.
        ``notify_early`` makes the first move, and delivers its notification, before the submit is answered.
        Raises ValueError for a move CCV would not make, unless ``force``. A status outside the twelve needs no force.
        """
        self._book.script(external_reference, tuple(moves), force=force, early=notify_early)

    async def wait_for_status(self, order_id: str, status: str) -> None:
        """Wait until this order is in that status or has been. Raises KeyError for an unknown order."""
        await self._book.wait_for_status(order_id, status)

    # ---------------------------------------------------------------- overrides of Simulator

    def is_tag(self, tag: str) -> bool:
        """See ``Simulator.is_tag``."""
        return is_known_tag(tag)

    def error_response(self, status: int) -> tuple[Mapping[str, str], bytes]:
        """See ``Simulator.error_response``."""
        answer = refuse(self, status, "a simulated error")
        return {"content-type": answer.headers.get("content-type", "application/json")}, bytes(answer.body)

    def operations(self) -> tuple[Operation, ...]:
        """See ``Simulator.operations``."""
        return operations(self.prefix.rstrip("/"), "key" if self.api_key is not None else "")

    def schemes(self) -> Mapping[str, dict[str, Any]]:
        """See ``Simulator.schemes``."""
        return {"key": {**SCHEMES["key"], "scheme": self.auth_scheme}}

    def order_views(self) -> tuple[OrderView, ...]:
        """See ``Simulator.order_views``."""
        return tuple(self._book.view(order) for order in self._book.all())

    def transition(self, order_id: str, to: str, *, force: bool = False) -> None:
        """See ``Simulator.transition``. The order's script stops. With force, ``to`` may also be a status outside the twelve."""
        if not to:
            raise ValueError("to: which status?")
        self._book.move(order_id, to, force=force)

    def clear_orders(self) -> None:
        """See ``Simulator.clear_orders``."""
        self._book.clear()
