"""A stand-in for CCV's reseller ordering over real HTTP. What may live here: CCV's side of the six calls, its
notification, its own table of moves, the scripts that move orders. Never our lifecycle: the two may disagree.

Where CCV's pages are silent the behaviour is a switch, and its default is an assumption: see ``CcvSimulator``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any, Literal

import httpx
from attrs import define, field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderflow.errors import InvalidInput, MalformedAnswer
from orderflow.providers.ccv import wire
from orderflow.providers.ccv.wire import OrderStatus as S
from orderflow.simkit import SimClock, Simulator, mark_executed
from orderflow.wirekit import loads, read_input, write

Move = tuple[float, str]
Endpoint = Callable[[Request], Awaitable[Response]]
IdShape = Literal["orderId", "id", "reference", "bare", "location", "missing"]

ENDS = frozenset({S.COMPLETED, S.CLOSED, S.CANCELED})
_ANY_TIME = {S.CLOSED, S.CANCELED, S.FAILED}
MOVES: Mapping[str, frozenset[str]] = {
    S.PROCESSING: frozenset({S.INCOMPLETE, S.AWAITING_PAYMENT, S.SCREENING, S.NEW} | _ANY_TIME),
    S.INCOMPLETE: frozenset({S.AWAITING_PAYMENT, S.SCREENING, S.NEW} | _ANY_TIME),
    S.AWAITING_PAYMENT: frozenset({S.SCREENING, S.NEW} | _ANY_TIME),
    S.SCREENING: frozenset({S.NEW} | _ANY_TIME),
    S.NEW: frozenset({S.ERP_IN_PROGRESS, S.FULFILLMENT_IN_PROGRESS, S.FULFILLMENT_DONE, S.COMPLETED} | _ANY_TIME),
    S.ERP_IN_PROGRESS: frozenset({S.FULFILLMENT_IN_PROGRESS, S.FULFILLMENT_DONE, S.COMPLETED} | _ANY_TIME),
    S.FULFILLMENT_IN_PROGRESS: frozenset({S.FULFILLMENT_DONE, S.COMPLETED} | _ANY_TIME),
    S.FULFILLMENT_DONE: frozenset({S.COMPLETED} | _ANY_TIME),
    # an employee may put a failed order back anywhere
    S.FAILED: frozenset(set(S) - {S.FAILED, S.ERP_IN_PROGRESS}),
    **dict.fromkeys(ENDS, frozenset[str]()),
}
"""What CCV itself can do with an order, one move at a time (D1). A word outside the twelve moves freely between
statuses that are no end."""


@define
class SimOrder:
    """An order as CCV has it. ``history`` holds (simulator time, status), oldest first."""

    id: str
    external_reference: str | None
    history: list[tuple[float, str]]
    submitted: wire.Submit = field(repr=False)
    by_hand: bool = False

    @property
    def status(self) -> str:
        """The newest status, whatever a stale read shows."""
        return self.history[-1][1]


@define
class _Script:
    moves: tuple[Move, ...]
    notify_early: bool = False


class CcvSimulator(Simulator):
    """CCV over HTTP. Serve ``asgi`` with ``simkit.serve``; close it, or use it as ``async with``.

    Every order starts in Processing and then follows its script, on the simulator's ``clock``; unscripted ones go
    Incomplete, New, Completed with ``step_seconds`` between.

    Switches (attributes of the same name may be changed at any time):

    - ``api_key``: HTTP Basic, the key as user name (an analogy to CCV's Payment API); None lets everyone in. Any other
      key is answered 401, one of ``forbidden_keys`` 403. ``authenticate`` replaces all that: it answers with the
      status to refuse with, or None.
    - ``submit_status``: 200 or 201, both are in D1. ``id_shape``: how the submit answer names the order; D1 is silent.
    - ``visible_after``: seconds after the submit in which the status call answers 404.
    - ``stale_seconds``: seconds after a change in which the status call still tells the status before it.
    - ``empty_filter_notifies_all``: what an empty ``notifyOnStatus`` means. ``notify_creation``: whether becoming
      Processing is a change that is announced.
    - ``allow_http_notifications``: take ``http://`` notification URLs. CCV takes https only, and so does this simulator
      by default (400); tests and demos on loopback, which have no certificate, need it.
    """

    def __init__(
        self,
        *,
        prefix: str = wire.PREFIX,
        api_key: str | None = None,
        forbidden_keys: Collection[str] = (),
        authenticate: Callable[[Request], int | None] | None = None,
        step_seconds: float = 1.0,
        submit_status: Literal[200, 201] = 201,
        id_shape: IdShape = "orderId",
        visible_after: float = 0.0,
        stale_seconds: float = 0.0,
        empty_filter_notifies_all: bool = True,
        notify_creation: bool = False,
        allow_http_notifications: bool = False,
        clock: SimClock | None = None,
        seed: int = 0,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        super().__init__(clock=clock, seed=seed, client=client)
        self.prefix = prefix.rstrip("/")
        self.api_key = api_key
        self.forbidden_keys = frozenset(forbidden_keys)
        self.authenticate = authenticate or self._basic
        self.submit_status = submit_status
        self.id_shape: IdShape = id_shape
        self.visible_after = visible_after
        self.stale_seconds = stale_seconds
        self.empty_filter_notifies_all = empty_filter_notifies_all
        self.notify_creation = notify_creation
        self.allow_http_notifications = allow_http_notifications
        self._seed = seed
        self._orders: dict[str, SimOrder] = {}
        self._scripts: dict[str | None, _Script] = {}
        self._changed = asyncio.Event()
        self.script(None, *((step_seconds, status) for status in (S.INCOMPLETE, S.NEW, S.COMPLETED)))
        self.asgi = self.guard(Starlette(routes=self._routes()))

    # ---------------------------------------------------------------- for tests and demos

    @property
    def orders(self) -> tuple[SimOrder, ...]:
        """Every order ever submitted, oldest first."""
        return tuple(self._orders.values())

    def script(self, external_reference: str | None, *moves: Move, force: bool = False, notify_early: bool = False) -> None:
        """What will happen to orders submitted under this reference (None: to all that have no script of their own).

        A move is (seconds after the previous one, status); none at all leaves the order in Processing for ever.
        ``notify_early`` makes the first move, and delivers its notification, before the submit is answered.
        Raises ValueError for a move CCV would not make, unless ``force``. A status outside the twelve needs no force.
        """
        here: str = S.PROCESSING
        for seconds, status in moves:
            if seconds < 0:
                raise ValueError("moves: seconds must not be negative")
            if not force:
                _must_be_legal(here, status)
            here = status
        self._scripts[external_reference] = _Script(tuple(moves), notify_early)

    def move(self, order_id: str, status: str, force: bool = False) -> None:
        """Move one order by hand; its script stops there.

        Raises KeyError for an unknown order, ValueError for a move CCV would not make, unless ``force``.
        """
        order = self._orders[order_id]
        if not force:
            _must_be_legal(order.status, status)
        order.by_hand = True
        self._enter(order, status, self.clock.now())
        self._announce(order, status)

    async def reached(self, order_id: str, status: str) -> None:
        """Wait until this order is in that status or has been. Raises KeyError for an unknown order."""
        while status not in {past for _, past in self._orders[order_id].history}:
            self._changed.clear()
            await self._changed.wait()

    # ---------------------------------------------------------------- an order's life

    async def _create(self, submitted: wire.Submit) -> SimOrder:
        reference, now = submitted.external_reference, self.clock.now()
        order = SimOrder(f"ccv-{self._seed}-{len(self._orders) + 1:06d}", reference, [], submitted)
        self._orders[order.id] = order
        self._enter(order, S.PROCESSING, now)
        if self.notify_creation:
            self._announce(order, S.PROCESSING)
        script = self._scripts.get(reference, self._scripts[None])
        moves = script.moves
        if script.notify_early and moves:
            status, moves = moves[0][1], moves[1:]
            self._enter(order, status, now)
            if (url := self._subscriber(order, status)) is not None:
                await self.deliveries.send("POST", url)
        self.spawn(self._live(order, moves, now))
        return order

    async def _live(self, order: SimOrder, moves: tuple[Move, ...], at: float) -> None:
        for seconds, status in moves:
            at += seconds
            await self.clock.sleep_until(at)
            if order.by_hand:
                return
            self._enter(order, status, at)
            self._announce(order, status)

    def _enter(self, order: SimOrder, status: str, at: float) -> None:
        order.history.append((at, status))
        self._changed.set()

    def _announce(self, order: SimOrder, status: str) -> None:
        url = self._subscriber(order, status)
        if url is not None:
            self.deliveries.start("POST", url)

    def _subscriber(self, order: SimOrder, status: str) -> str | None:
        """The URL to call about this status, if there is one and it was asked for."""
        notice = order.submitted.status_notification_information
        if notice is None or notice.notification_url is None:
            return None
        wanted = status in notice.notify_on_status if notice.notify_on_status else self.empty_filter_notifies_all
        return notice.notification_url if wanted else None

    def _shown(self, order: SimOrder) -> str:
        """What the status call tells, which may lag behind."""
        fresh_until = self.clock.now() - self.stale_seconds
        return next((status for at, status in reversed(order.history) if at <= fresh_until), order.history[0][1])

    # ---------------------------------------------------------------- endpoints

    def _routes(self) -> list[Route]:
        routes: list[tuple[str, str, Endpoint]] = [
            ("PATCH", wire.START_ORDER, self._start_order),
            ("PATCH", wire.ADD_SALES_PACKAGE, self._add_sales_package),
            ("PATCH", wire.ADD_TERMINAL_PACKAGE, self._add_terminal_package),
            ("PATCH", wire.ADD_PSP_STANDALONE, self._add_psp_standalone),
            ("POST", wire.SUBMIT, self._submit),
            ("GET", wire.SUBMIT + "/{order_id:path}/status", self._status),
        ]
        return [Route(self.prefix + path, self._door(endpoint), methods=[method]) for method, path, endpoint in routes]

    def _door(self, endpoint: Endpoint) -> Endpoint:
        """The way into every call: who is asking, and whether the body is what the page asks for."""

        async def enter(request: Request) -> Response:
            refusal = self.authenticate(request)
            if refusal is not None:
                return _refused(refusal, "the credentials are not accepted")
            try:
                answer = await endpoint(request)
            except InvalidInput as mistake:
                return _refused(400, mistake.reason, mistake.field)
            except MalformedAnswer as mistake:
                return _refused(400, str(mistake))
            if answer.status_code < HTTPStatus.BAD_REQUEST:
                mark_executed(request.scope)
            return answer

        return enter

    def _basic(self, request: Request) -> int | None:
        if self.api_key is None:
            return None
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        try:
            key, _, _ = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return 401
        if scheme.lower() == "basic" and key in self.forbidden_keys:
            return 403
        return None if scheme.lower() == "basic" and key == self.api_key else 401

    async def _start_order(self, request: Request) -> Response:
        order = write(wire.given(wire.StartOrder, loads(await request.body())))
        return JSONResponse({"shoppingCart": {"currency": "EUR", "salesPackages": []}, **order})

    async def _add_sales_package(self, request: Request) -> Response:
        package = wire.given(wire.AddSalesPackage, loads(await request.body()))
        return JSONResponse(_with_packages(package.order, [*_packages(package.order), _content(package)]))

    async def _add_terminal_package(self, request: Request) -> Response:
        terminal = wire.given(wire.AddTerminalPackage, loads(await request.body()))
        package = {"packageName": terminal.terminal_package_type, "products": [_content(terminal)]}
        return JSONResponse(_with_packages(terminal.order, [*_packages(terminal.order), package]))

    async def _add_psp_standalone(self, request: Request) -> Response:
        psp = wire.given(wire.AddPspStandalone, loads(await request.body()))
        packages = _packages(psp.order)
        if not packages:
            raise InvalidInput("order.shoppingCart.salesPackages", "the product needs a sales package to go into")
        products = packages[-1].get("products")
        last = {**packages[-1], "products": [*(products if isinstance(products, list) else ()), _content(psp)]}
        return JSONResponse(_with_packages(psp.order, [*packages[:-1], last]))

    async def _submit(self, request: Request) -> Response:
        submitted = read_input(wire.Submit, loads(await request.body()))
        submitted.check(allow_http=self.allow_http_notifications)
        order = await self._create(submitted)
        match self.id_shape:
            case "bare":
                return JSONResponse(order.id, self.submit_status)
            case "location":
                location = f"{self.prefix}{wire.SUBMIT}/{order.id}"
                return Response(status_code=self.submit_status, headers={"location": location})
            case "missing":
                return JSONResponse({"message": "Success"}, self.submit_status)
        return JSONResponse({self.id_shape: order.id}, self.submit_status)

    async def _status(self, request: Request) -> Response:
        order = self._orders.get(request.path_params["order_id"])
        if order is None or self.clock.now() < order.history[0][0] + self.visible_after:
            return _refused(404, "Not found")
        answer: dict[str, object] = {"orderStatus": self._shown(order)}
        if order.external_reference is not None:
            answer["externalReference"] = order.external_reference
        return JSONResponse(answer)


def _must_be_legal(here: str, there: str) -> None:
    legal = MOVES.get(here)
    unknown = there not in MOVES and here not in ENDS
    if legal is not None and there not in legal and not unknown:
        raise ValueError(f"CCV does not move an order from {here} to {there}; force=True does")


def _refused(status: int, message: str, name: str | None = None) -> Response:
    """CCV documents codes and a phrase; this body is modelled on its Payment API."""
    return JSONResponse({"type": "error", "message": message, **({"field": name} if name else {})}, status)


def _content(request: object) -> dict[str, Any]:
    content = write(request)
    del content["order"]
    return content


def _packages(order: wire.Json) -> list[dict[str, Any]]:
    cart = order.get("shoppingCart") or {}
    packages = cart.get("salesPackages") or [] if isinstance(cart, Mapping) else None
    if not isinstance(packages, list) or not all(isinstance(package, dict) for package in packages):
        raise InvalidInput("order.shoppingCart.salesPackages", "expected a list of objects")
    return packages


def _with_packages(order: wire.Json, packages: list[dict[str, Any]]) -> dict[str, Any]:
    """The order with other packages; whatever else is in it stays, this simulator stores nothing before the submit."""
    cart = order.get("shoppingCart")
    return {**order, "shoppingCart": {**(cart if isinstance(cart, Mapping) else {}), "salesPackages": packages}}
