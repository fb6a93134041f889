"""The whole simulator of CCV. What may live here: putting together, and what a test or a demo may do to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request

from orderflow.providers.ccv.simulator.api import Api
from orderflow.providers.ccv.simulator.operations import SCHEMES, operations
from orderflow.providers.ccv.simulator.orders import OrderBook, SimOrder
from orderflow.providers.ccv.simulator.plans import MAGIC, Move, known
from orderflow.providers.ccv.simulator.rules import basic_or_bearer, refused
from orderflow.providers.ccv.simulator.switches import CcvSwitches
from orderflow.simulators import Operation, OrderView, SimClock, Simulator


class CcvSimulator(CcvSwitches, Simulator):
    """CCV over HTTP. Serve ``asgi`` with ``simkit.serve``; close it, or use it as ``async with``.

    Every order starts in Processing and then follows its script, its magic value or the usual life, on the simulator's
    ``clock``. The switches (``CcvSwitches``) are arguments of the same name, and attributes that may be changed at any time,
    ``prefix`` excepted. ``authenticate`` replaces the check of keys: it answers with the status to refuse with, or None.

    Raises UnknownName for a switch that is none, InvalidInput for a value that is none of its values.
    """

    NAME = "CCV"
    MAGIC = MAGIC

    def __init__(
        self,
        *,
        authenticate: Callable[[Request], int | None] | None = None,
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
        self.authenticate = authenticate or (lambda request: basic_or_bearer(self, request))
        self.book = OrderBook(self)
        self.asgi = self.guard(Starlette(routes=Api(self).routes()))

    # ---------------------------------------------------------------- for tests and demos

    @property
    def orders(self) -> tuple[SimOrder, ...]:
        """Every order ever submitted, oldest first."""
        return self.book.all()

    def script(self, external_reference: str | None, *moves: Move, force: bool = False, notify_early: bool = False) -> None:
        """What will happen to orders submitted under this reference (None: to all that have no script of their own).

        A move is (seconds after the previous one, status); none at all leaves the order in Processing for ever.
        ``notify_early`` makes the first move, and delivers its notification, before the submit is answered.
        Raises ValueError for a move CCV would not make, unless ``force``. A status outside the twelve needs no force.
        """
        self.book.script(external_reference, tuple(moves), force=force, early=notify_early)

    def move(self, order_id: str, status: str, force: bool = False) -> None:
        """Move one order by hand; its script stops there.

        Raises KeyError for an unknown order, ValueError for a move CCV would not make, unless ``force``.
        """
        self.book.move(order_id, status, force)

    async def reached(self, order_id: str, status: str) -> None:
        """Wait until this order is in that status or has been. Raises KeyError for an unknown order."""
        await self.book.reached(order_id, status)

    # ---------------------------------------------------------------- what Simulator asks for

    def knows(self, tag: str) -> bool:
        """See ``Simulator.knows``."""
        return known(tag)

    def refusal(self, status: int) -> tuple[Mapping[str, str], bytes]:
        """See ``Simulator.refusal``."""
        answer = refused(self, status, "as the scenario has it")
        return {"content-type": answer.headers.get("content-type", "application/json")}, bytes(answer.body)

    def operations(self) -> tuple[Operation, ...]:
        """See ``Simulator.operations``."""
        return operations(self.prefix.rstrip("/"), "key" if self.api_key is not None else "")

    def schemes(self) -> Mapping[str, dict[str, Any]]:
        """See ``Simulator.schemes``."""
        return {"key": {**SCHEMES["key"], "scheme": self.auth_scheme}}

    def views(self) -> tuple[OrderView, ...]:
        """See ``Simulator.views``."""
        return tuple(self.book.view(order) for order in self.book.all())

    def transition(self, order_id: str, to: str, *, force: bool = False) -> None:
        """See ``Simulator.transition``: ``move``, which also takes words outside the twelve."""
        if not to:
            raise ValueError("to: which status?")
        self.move(order_id, to, force=force)

    def forget(self) -> None:
        """See ``Simulator.forget``."""
        self.book.forget()
