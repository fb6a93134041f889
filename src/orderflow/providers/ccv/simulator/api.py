"""CCV's side of the six calls (CCV D1 to D6). What may live here: the endpoints; rules and orders have rooms of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderflow.errors import InvalidInput, MalformedAnswer
from orderflow.provider.wire import parse_input, to_json
from orderflow.providers.ccv import wire
from orderflow.providers.ccv.simulator.orders import SimOrder
from orderflow.providers.ccv.simulator.rules import body_of, check_strangers, content, packages, refused, with_packages
from orderflow.simulators import mark_executed
from orderflow.simulators.guard import ROOT
from orderflow.simulators.scenario import TAGS

if TYPE_CHECKING:
    from orderflow.providers.ccv.simulator.ccv import CcvSimulator

Endpoint = Callable[[Request], Awaitable[Response]]
MINUTE = 60.0
IDEMPOTENCY = "idempotency-reference"
"""CCV P4, another API of CCV's; no page of this one promises it."""


class Api:
    """The endpoints below the prefix."""

    def __init__(self, sim: CcvSimulator) -> None:
        self._sim = sim
        self._polls: list[float] = []

    def routes(self) -> list[Route]:
        """Every call with its method."""
        calls: list[tuple[str, str, Endpoint]] = [
            ("PATCH", wire.START_ORDER, self._start_order),
            ("PATCH", wire.ADD_SALES_PACKAGE, self._add_sales_package),
            ("PATCH", wire.ADD_TERMINAL_PACKAGE, self._add_terminal_package),
            ("PATCH", wire.ADD_PSP_STANDALONE, self._add_psp_standalone),
            ("POST", wire.SUBMIT, self._submit),
            ("GET", wire.SUBMIT + "/{order_id:path}/status", self._status),
        ]
        prefix = self._sim.prefix.rstrip("/")
        return [Route(prefix + path, self._inbox(endpoint), methods=[method]) for method, path, endpoint in calls]

    def _inbox(self, endpoint: Endpoint) -> Endpoint:
        """The way into every call: who is asking, and whether the body is what the page asks for."""

        async def enter(request: Request) -> Response:
            refusal = self._sim.authenticate(request)
            if refusal is not None:
                return refused(self._sim, refusal, "the credentials are not accepted")
            try:
                answer = await endpoint(request)
            except InvalidInput as mistake:
                return refused(self._sim, 400, mistake.reason, mistake.field)
            except MalformedAnswer as mistake:
                return refused(self._sim, 400, str(mistake))
            if answer.status_code < HTTPStatus.BAD_REQUEST:
                mark_executed(request.scope)
            return answer

        return enter

    # ---------------------------------------------------------------- the configurator

    async def _start_order(self, request: Request) -> Response:
        body = await body_of(self._sim, request)
        start = wire.parse_request(wire.StartOrder, body)
        check_strangers(self._sim, start)
        order = body if self._sim.spelling == "tables" and isinstance(body, dict) else to_json(start)
        return JSONResponse({"shoppingCart": {"currency": "EUR", "salesPackages": []}, **order})

    async def _add_sales_package(self, request: Request) -> Response:
        package = wire.parse_request(wire.AddSalesPackage, await body_of(self._sim, request))
        check_strangers(self._sim, package)
        return JSONResponse(with_packages(package.order, [*packages(package.order), content(package)]))

    async def _add_terminal_package(self, request: Request) -> Response:
        terminal = wire.parse_request(wire.AddTerminalPackage, await body_of(self._sim, request))
        check_strangers(self._sim, terminal)
        found = packages(terminal.order)
        if self._sim.terminal_needs_package and not found:
            raise InvalidInput("order.shoppingCart.salesPackages", "addSalesPackage comes first")
        package = {"packageName": terminal.terminal_package_type, "products": [content(terminal)]}
        return JSONResponse(with_packages(terminal.order, [*found, package]))

    async def _add_psp_standalone(self, request: Request) -> Response:
        psp = wire.parse_request(wire.AddPspStandalone, await body_of(self._sim, request))
        check_strangers(self._sim, psp)
        found = packages(psp.order)
        if not found:
            raise InvalidInput("order.shoppingCart.salesPackages", "the product needs a sales package to go into")
        products = found[-1].get("products")
        last = {**found[-1], "products": [*(products if isinstance(products, list) else ()), content(psp)]}
        return JSONResponse(with_packages(psp.order, [*found[:-1], last]))

    # ---------------------------------------------------------------- submit and status

    async def _submit(self, request: Request) -> Response:
        submitted = parse_input(wire.Submit, await body_of(self._sim, request))
        submitted.check(allow_http=self._sim.allow_http_notifications)
        check_strangers(self._sim, submitted)
        key = request.headers.get(IDEMPOTENCY, "")
        order = self._sim.book.known_as(submitted, key)
        if order is not None and self._sim.duplicate_submit == "refuse":
            raise InvalidInput("externalReference", "an order of this reference exists")
        if order is None:
            order = await self._sim.book.create(submitted, key, request.scope.get(TAGS, ()))
        return self._submitted(request, order)

    def _submitted(self, request: Request, order: SimOrder) -> Response:
        """The answer, in whatever way it names the order."""
        status = order.plan.submit_status or self._sim.submit_status
        shape = order.plan.id_shape or self._sim.id_shape
        match shape:
            case "bare":
                return JSONResponse(order.id, status)
            case "location":
                location = f"{self._sim.prefix.rstrip('/')}{wire.SUBMIT}/{order.id}"
                return Response(status_code=status, headers={"location": request.scope[ROOT] + location})
            case "missing":
                return JSONResponse({"message": "Success"}, status)
        answer: dict[str, object] = {shape: order.id}
        if self._sim.checkout_url and not order.submitted.notify_customer_by_email:
            answer["checkoutUrl"] = f"{str(request.base_url).rstrip('/')}/_sim/order/{order.id}"
        return JSONResponse(answer, status)

    async def _status(self, request: Request) -> Response:
        if not self._may_poll():
            answer = refused(self._sim, 429, "too many calls")
            if self._sim.retry_after:
                answer.headers["retry-after"] = str(int(self._polls[0] + MINUTE - self._sim.clock.now()) + 1)
            return answer
        order = self._sim.book.find(request.path_params["order_id"])
        if order is None:
            return refused(self._sim, 404, "Not found")
        answered: dict[str, object] = {"orderStatus": self._sim.book.shown(order)}
        if order.external_reference is not None and order.plan.tells_reference:
            answered["externalReference"] = order.external_reference
        elif self._sim.null_reference:
            answered["externalReference"] = None
        return JSONResponse(answered)

    def _may_poll(self) -> bool:
        """Whether one more status call is allowed in this minute; it is counted if so."""
        if self._sim.poll_limit is None:
            return True
        now = self._sim.clock.now()
        self._polls = [at for at in self._polls if at > now - MINUTE]
        if len(self._polls) >= self._sim.poll_limit:
            return False
        self._polls.append(now)
        return True
