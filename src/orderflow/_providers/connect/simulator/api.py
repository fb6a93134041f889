"""The simulator's apiServer (Connect A3, A4, A5, A9, R1). Contains only: its endpoints, and what each request must pass."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, NoReturn, TypeVar
from xml.sax.saxutils import escape

from attrs import frozen
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderflow._provider.wire import parse_input, parse_json
from orderflow._providers.connect.simulator.magic import mail_tags
from orderflow._providers.connect.simulator.orders import NOTHING_TO_PAY, OrderBook, SimulatedOrder
from orderflow._providers.connect.simulator.outcome import Outcome
from orderflow._providers.connect.simulator.payments import Payments
from orderflow._providers.connect.simulator.rate_limit import RateLimit
from orderflow._providers.connect.simulator.switches import ConnectSwitches
from orderflow._providers.connect.simulator.tokens import Tokens
from orderflow._providers.connect.wire import ApiStatus, AssignRequest, CallbackStatus, FulfillmentRequest, OrderRequest, SearchRequest
from orderflow._simulators.background import BackgroundTasks
from orderflow._simulators.scenario import TAGS
from orderflow.errors import InvalidInput, MalformedAnswer
from orderflow.simulators import mark_executed

T = TypeVar("T")
Json = dict[str, Any]

_A3 = frozenset({"sms", "invoice", "free", "kco", "creditcardPayex", "other"})
_G4 = frozenset({"sms", "invoice", "free", "kco", "swishPayex", "vippsEcommerce", "other"})
BY_API: Final = {"A3": _A3, "G4": _G4, "either": _A3 | _G4}
"""The methods by which each page lets an unpaid order be completed by API."""


class Refusal(Exception):
    """An answer that refuses; nothing was done."""

    def __init__(self, status: int, body: Mapping[str, object]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def refuse(exception_type: str, message: str) -> NoReturn:
    """400 in the shape that C1 reads; the exception types are made up."""
    raise Refusal(400, {"exceptionType": exception_type, "errorMessage": message})


@frozen
class Call:
    """One authenticated request. ``user`` is None in client mode; ``tags`` are those of the scenario header."""

    user: str | None
    path: Mapping[str, Any]
    body: object
    tags: tuple[str, ...]


class Api:
    """The endpoints under ``/capi``."""

    def __init__(
        self,
        switches: ConnectSwitches,
        *,
        rate_limit: RateLimit,
        tokens: Tokens,
        orders: OrderBook,
        payments: Payments,
        background: BackgroundTasks,
    ) -> None:
        self._switches = switches
        self._rate_limit = rate_limit
        self._tokens = tokens
        self._orders = orders
        self._payments = payments
        self._background = background

    def routes(self) -> list[Route]:
        """Every path with its method; ``user`` where a user's token is needed."""
        return [
            self._route("POST", "/v1/client/order", self._register),
            self._route("POST", "/v1/order", self._register, user=True),
            self._route("POST", "/v1/client/order/fulfillment", self._complete),
            self._route("GET", "/v1/client/order/status/{order_id}", self._status),
            self._route("POST", "/v1/order/status", self._search, user=True),
            self._route("GET", "/v1/order/status", self._list, user=True),
            self._route("POST", "/v1/client/order/{order_id}/user", self._assign),
        ]

    def _route(self, method: str, path: str, act: Callable[[Call], Awaitable[Json]], *, user: bool = False) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                call = await self._admit(request, user)
                answer = await act(call)
            except Refusal as refusal:
                return self._answer(request, refusal.status, refusal.body)
            mark_executed(request.scope)
            return self._answer(request, 200, answer)

        return Route(path, endpoint, methods=[method])

    async def _admit(self, request: Request, user: bool) -> Call:
        if not self._rate_limit.count():
            raise Refusal(429, {})
        token = self._tokens.find_bearer(request)
        # a user endpoint refuses a client's token (C1); that a client endpoint refuses a user's is assumed
        wrong_kind = token is not None and (token.user is not None) != user
        if token is None or (wrong_kind and (user or not self._switches.user_token_in_client_mode)):
            raise Refusal(401, {"error": "invalid_token"})
        body = await self._read_json(request) if request.method == "POST" else None
        return Call(token.user, request.path_params, body, request.scope.get(TAGS, ()))

    async def _read_json(self, request: Request) -> object:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self._switches.content_type == "json" and content_type != "application/json":
            refuse("HttpMediaTypeNotSupportedException", "Content-Type must be application/json")
        try:
            return parse_json(await request.body(), is_exact=True)
        except MalformedAnswer:
            refuse("HttpMessageNotReadableException", "body is not JSON")

    def _answer(self, request: Request, status: int, body: Mapping[str, object]) -> Response:
        headers = dict(self._rate_limit.headers())
        if status == HTTPStatus.TOO_MANY_REQUESTS and self._switches.retry_after:
            headers["Retry-After"] = headers["X-RateLimit-Reset"]
        if self._switches.xml_unless_asked and "application/json" not in request.headers.get("accept", ""):
            return Response(f"<answer>{_to_xml(body)}</answer>", status, headers, "application/xml")
        return JSONResponse(body, status, headers)

    def _read(self, cls: type[T], body: object, check: Callable[[T], T]) -> T:
        """A body as its class, checked by the documented rules and the switches; else refused."""
        try:
            request = check(parse_input(cls, self._complete_urls(body)))
        except InvalidInput as invalid:
            refuse("ValidationException", str(invalid))
        extra = sorted(getattr(request, "extra", {}))
        if self._switches.unknown_fields == "refused" and extra:
            refuse("ValidationException", f"{extra[0][:60]}: no such field")
        return request

    def _complete_urls(self, body: object) -> object:
        """The body with its URLs made absolute, if URLs without a scheme are accepted (Q19)."""
        if self._switches.absolute_urls or not isinstance(body, Mapping):
            return body
        urls = {name: body[name] for name in ("callbackUrl", "returnUrl", "errorUrl") if isinstance(body.get(name), str)}
        return {**body, **{name: url if "://" in url else f"https://{url}" for name, url in urls.items()}}

    # ---------------------------------------------------------------- register

    async def _register(self, call: Call) -> Json:
        request = self._read(OrderRequest, call.body, OrderRequest.check)
        configured = self._switches.configured_methods
        if configured is not None and request.payment_method not in {None, *NOTHING_TO_PAY, *configured}:
            refuse("PaymentMethodException", "support has not set up this payment method")
        existing = self._orders.find_by_external_id(request.external_order_id) if request.external_order_id else None
        if existing is not None and self._switches.duplicate_register == "same":
            return {"orderId": self._number(existing)}
        if existing is not None and self._switches.duplicate_register == "refuse":
            refuse("DuplicateOrderException", "externalOrderId exists")
        order = self._orders.register(request, call.user, call.tags)
        if self._orders.outcome(order).twin:
            self._orders.register(request, call.user, call.tags)
        return {"orderId": self._number(order)}

    # ---------------------------------------------------------------- complete by API

    async def _complete(self, call: Call) -> Json:
        request = self._read(FulfillmentRequest, call.body, FulfillmentRequest.check)
        if self._switches.callback_https_only and (request.callback_url or "https:").startswith("http:"):
            refuse("ValidationException", "callbackUrl: must be https")
        order = self._find(request.order_id)
        self._orders.apply_tags(order, call.tags)
        outcome = self._orders.outcome(order)
        if outcome.api_answer == "ERROR":
            self._refuse_completion(order, outcome.api_message)
        if order.to_pay and order.method not in BY_API[self._switches.api_methods]:
            if self._switches.unfit_method == "400":
                refuse("PaymentMethodException", "payment method needs the fulfillment URL")
            self._refuse_completion(order, "payment method needs the fulfillment URL")
        if not self._is_repeat(order):
            await self._begin(order, outcome, request.callback_url)
        return self._completion(order, ApiStatus.OK)

    def _is_repeat(self, order: SimulatedOrder) -> bool:
        """Whether this is a second completion that changes nothing. Raises Refusal if a second one is refused."""
        if not order.completed or self._switches.complete_twice == "again":
            return False
        if self._switches.complete_twice == "400":
            refuse("OrderAlreadyCompletedException", "the order was completed before")
        if self._switches.complete_twice == "ERROR":
            self._refuse_completion(order, "the order was completed before")
        return True

    async def _begin(self, order: SimulatedOrder, outcome: Outcome, callback_url: str | None) -> None:
        order.completed = True
        self._orders.record(order, "completed by API")
        if not (order.to_pay and order.method == "sms"):
            self._orders.accept(order)
            if self._switches.callback_methods == "all" and callback_url is not None:
                self._background.spawn(self._payments.call_back(callback_url, CallbackStatus.SUCCESS))
            return
        order.at_payment = True
        payment = self._payments.pay_by_sms(order, callback_url)
        if outcome.callback == "early":
            await payment
        else:
            self._background.spawn(payment)

    def _refuse_completion(self, order: SimulatedOrder, message: str) -> NoReturn:
        self._orders.record(order, "completion refused")
        raise Refusal(200, {**self._completion(order, ApiStatus.ERROR), "errorMessage": message})

    def _completion(self, order: SimulatedOrder, status: ApiStatus) -> Json:
        switch = self._switches.ok_order_id if status is ApiStatus.OK else self._switches.error_order_id
        order_id = self._orders.outcome(order).answer_order_id or switch
        return {"fulfillmentStatus": status.value, "orderId": self._number(order) if order_id == "number" else None}

    # ---------------------------------------------------------------- status and search

    async def _status(self, call: Call) -> Json:
        order_id = call.path["order_id"]
        if self._switches.unknown_order == "empty" and self._orders.find(order_id) is None:
            return {"orders": []}
        return {"orders": [self._row(self._find(order_id))]}

    async def _search(self, call: Call) -> Json:
        body = call.body
        if self._switches.search_by_both and isinstance(body, Mapping) and body.get("orderId") is not None:
            body = {name: value for name, value in body.items() if name != "externalOrderId"}
        request = self._read(SearchRequest, body, SearchRequest.check)
        orders = self._orders_of(call.user)
        if request.order_id is not None:
            orders = [order for order in orders if order.order_id == request.order_id]
        else:
            orders = [order for order in orders if order.external_order_id == request.external_order_id]
        return {"orders": [{**self._row(order), "orderLines": list(order.lines)} for order in orders]}

    async def _list(self, call: Call) -> Json:
        return {"orders": [self._row(order) for order in self._orders_of(call.user)]}

    def _orders_of(self, user: str | None) -> list[SimulatedOrder]:
        # that a user sees only orders of their own is an assumption: no page says so
        return [order for order in self._orders.all() if order.user == user]

    # ---------------------------------------------------------------- assign

    async def _assign(self, call: Call) -> Json:
        request = self._read(AssignRequest, call.body, AssignRequest.check)
        order = self._find(call.path["order_id"])
        self._orders.apply_tags(order, (*mail_tags(request.credential), *call.tags))
        early = order.fulfilled_at is None and not self._switches.assign_before_fulfilled
        if order.user_mode or early:
            refuse("OrderNotAssignableException", "only a fulfilled order registered in client mode can be assigned")
        if order.assigned and self._switches.assign_twice == "refuse":
            refuse("OrderNotAssignableException", "the order has a user")
        order.user, order.assigned = hashlib.sha256(request.credential.encode()).hexdigest()[:32], True
        self._orders.record(order, "assigned, and a message sent" if request.is_send_message else "assigned")
        outcome = self._orders.outcome(order)
        flags = {"isNewUser": outcome.is_new_user, "isPasswordSet": outcome.password_set}
        return {"orderId": self._number(order), "uniqueUserId": order.user, **flags}

    # ---------------------------------------------------------------- orders in answers

    def _find(self, order_id: int | str) -> SimulatedOrder:
        order = self._orders.find(order_id)
        if order is None:
            if self._switches.unknown_order == "404":
                raise Refusal(404, {"exceptionType": "OrderNotFoundException", "errorMessage": "no such order"})
            refuse("OrderNotFoundException", "no such order")
        return order

    def _number(self, order: SimulatedOrder) -> int | str:
        return str(order.order_id) if self._switches.order_id_as_text else order.order_id

    def _row(self, order: SimulatedOrder) -> Json:
        """An order as List order status answers it; orderTime in epoch milliseconds (A4)."""
        return {
            "orderId": self._number(order),
            "externalOrderId": order.external_order_id,
            "orderTime": int(order.registered_at * 1000),
            "orderStatus": order.status,
            "orderAmount": order.amount,
            "customerNumber": 500000 + order.order_id,
        }


def _to_xml(value: object) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{name}>{_to_xml(part)}</{name}>" for name, part in value.items())
    if isinstance(value, list):
        return "".join(f"<item>{_to_xml(part)}</item>" for part in value)
    return escape("" if value is None else str(value))
