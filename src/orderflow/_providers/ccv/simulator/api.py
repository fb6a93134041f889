"""CCV's six calls (CCV D1 to D6). Contains only: the endpoints; the rules for requests and the orders have modules of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderflow._provider.wire import parse_input, to_json
from orderflow._providers.ccv import wire
from orderflow._providers.ccv.simulator.orders import OrderBook, SimulatedOrder
from orderflow._providers.ccv.simulator.rules import check_extra_fields, content_of, packages_of, read_body, refuse, with_packages
from orderflow._providers.ccv.simulator.switches import CcvSwitches
from orderflow._simulators.middleware import ROOT
from orderflow._simulators.scenario import TAGS
from orderflow.errors import InvalidInput, MalformedAnswer
from orderflow.simulators import SimClock, mark_executed

Endpoint = Callable[[Request], Awaitable[Response]]
Authenticate = Callable[[Request], int | None]
"""The status code with which a request is refused, or None."""
MINUTE: Final = 60.0
LOWEST_ERROR: Final = 400
IDEMPOTENCY: Final = "idempotency-reference"
"""CCV P4, another API of CCV's; no page of this API promises it."""


class Api:
    """The endpoints below the prefix."""

    def __init__(self, switches: CcvSwitches, clock: SimClock, orders: OrderBook, authenticate: Authenticate) -> None:
        self._switches = switches
        self._clock = clock
        self._orders = orders
        self._authenticate = authenticate
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
        prefix = self._switches.prefix.rstrip("/")
        return [Route(prefix + path, self._check(endpoint), methods=[method]) for method, path, endpoint in calls]

    def _check(self, endpoint: Endpoint) -> Endpoint:
        """``endpoint`` behind the check of the credentials, with its errors as CCV's answers."""

        async def check_and_answer(request: Request) -> Response:
            status = self._authenticate(request)
            if status is not None:
                return refuse(self._switches, status, "the credentials are not accepted")
            try:
                answer = await endpoint(request)
            except InvalidInput as invalid:
                return refuse(self._switches, 400, invalid.reason, invalid.field)
            except MalformedAnswer as malformed:
                return refuse(self._switches, 400, str(malformed))
            if answer.status_code < LOWEST_ERROR:
                mark_executed(request.scope)
            return answer

        return check_and_answer

    # ---------------------------------------------------------------- the configurator

    async def _start_order(self, request: Request) -> Response:
        body = await read_body(self._switches, request)
        start = wire.parse_request(wire.StartOrder, body)
        check_extra_fields(self._switches, start)
        order = body if self._switches.spelling == "tables" and isinstance(body, dict) else to_json(start)
        return JSONResponse({"shoppingCart": {"currency": "EUR", "salesPackages": []}, **order})

    async def _add_sales_package(self, request: Request) -> Response:
        package = wire.parse_request(wire.AddSalesPackage, await read_body(self._switches, request))
        check_extra_fields(self._switches, package)
        return JSONResponse(with_packages(package.order, [*packages_of(package.order), content_of(package)]))

    async def _add_terminal_package(self, request: Request) -> Response:
        terminal = wire.parse_request(wire.AddTerminalPackage, await read_body(self._switches, request))
        check_extra_fields(self._switches, terminal)
        packages = packages_of(terminal.order)
        if self._switches.terminal_needs_package and not packages:
            raise InvalidInput("order.shoppingCart.salesPackages", "addSalesPackage comes first")
        package = {"packageName": terminal.terminal_package_type, "products": [content_of(terminal)]}
        return JSONResponse(with_packages(terminal.order, [*packages, package]))

    async def _add_psp_standalone(self, request: Request) -> Response:
        psp = wire.parse_request(wire.AddPspStandalone, await read_body(self._switches, request))
        check_extra_fields(self._switches, psp)
        packages = packages_of(psp.order)
        if not packages:
            raise InvalidInput("order.shoppingCart.salesPackages", "the product needs a sales package to go into")
        products = packages[-1].get("products")
        last = {**packages[-1], "products": [*(products if isinstance(products, list) else ()), content_of(psp)]}
        return JSONResponse(with_packages(psp.order, [*packages[:-1], last]))

    # ---------------------------------------------------------------- submit and status

    async def _submit(self, request: Request) -> Response:
        submitted = parse_input(wire.Submit, await read_body(self._switches, request))
        submitted.check(allow_http=self._switches.allow_http_notifications)
        check_extra_fields(self._switches, submitted)
        key = request.headers.get(IDEMPOTENCY, "")
        order = self._orders.find_duplicate(submitted, key)
        if order is not None and self._switches.duplicate_submit == "refuse":
            raise InvalidInput("externalReference", "an order of this reference exists")
        if order is None:
            order = await self._orders.create(submitted, key, request.scope.get(TAGS, ()))
        return self._answer_submit(request, order)

    def _answer_submit(self, request: Request, order: SimulatedOrder) -> Response:
        """The answer, which names the order as the switch or the plan has it."""
        status = order.plan.submit_status or self._switches.submit_status
        shape = order.plan.id_shape or self._switches.id_shape
        match shape:
            case "bare":
                return JSONResponse(order.id, status)
            case "location":
                location = f"{self._switches.prefix.rstrip('/')}{wire.SUBMIT}/{order.id}"
                return Response(status_code=status, headers={"location": request.scope[ROOT] + location})
            case "missing":
                return JSONResponse({"message": "Success"}, status)
        answer: dict[str, object] = {shape: order.id}
        if self._switches.checkout_url and not order.submitted.notify_customer_by_email:
            answer["checkoutUrl"] = f"{str(request.base_url).rstrip('/')}/_sim/order/{order.id}"
        return JSONResponse(answer, status)

    async def _status(self, request: Request) -> Response:
        if not self._count_poll():
            answer = refuse(self._switches, 429, "too many calls")
            if self._switches.retry_after:
                answer.headers["retry-after"] = str(int(self._polls[0] + MINUTE - self._clock.now()) + 1)
            return answer
        order = self._orders.find(request.path_params["order_id"])
        if order is None:
            return refuse(self._switches, 404, "Not found")
        answered: dict[str, object] = {"orderStatus": self._orders.visible_status(order)}
        if order.external_reference is not None and order.plan.shows_reference:
            answered["externalReference"] = order.external_reference
        elif self._switches.null_reference:
            answered["externalReference"] = None
        return JSONResponse(answered)

    def _count_poll(self) -> bool:
        """Whether one more status call is allowed in this minute; if so, it is counted."""
        if self._switches.poll_limit is None:
            return True
        now = self._clock.now()
        self._polls = [at for at in self._polls if at > now - MINUTE]
        if len(self._polls) >= self._switches.poll_limit:
            return False
        self._polls.append(now)
        return True
