"""The simulator's apiServer (Connect A3, A4, A5, A9, R1). What may live here: limit, bearer, endpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from xml.sax.saxutils import escape

from attrs import frozen
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderflow.errors import InvalidInput, MalformedAnswer
from orderflow.provider.wire import parse_input, parse_json
from orderflow.providers.connect.simulator.magic import mail_tags
from orderflow.providers.connect.simulator.orders import BY_API, NOTHING_TO_PAY, Outcome, SimulatedOrder
from orderflow.providers.connect.wire import ApiStatus, AssignRequest, CallbackStatus, FulfillmentRequest, OrderRequest, SearchRequest
from orderflow.simulators import mark_executed
from orderflow.simulators.scenario import TAGS

if TYPE_CHECKING:
    from orderflow.providers.connect.simulator.connect import ConnectSimulator

T = TypeVar("T")
Json = dict[str, Any]


class Refusal(Exception):
    """An answer that says no: nothing was done."""

    def __init__(self, status: int, body: Mapping[str, object]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def refuse(exception_type: str, message: str) -> NoReturn:
    """400 in the shape C1 reads; the exception types are made up."""
    raise Refusal(400, {"exceptionType": exception_type, "errorMessage": message})


@frozen
class Call:
    """One authenticated request. ``user`` is None in client mode; ``tags`` are the scenario header's."""

    user: str | None
    path: Mapping[str, Any]
    body: object
    tags: tuple[str, ...]


class Api:
    """The endpoints under ``/capi``."""

    def __init__(self, sim: ConnectSimulator) -> None:
        self._sim = sim

    def routes(self) -> list[Route]:
        """Every path with its method, and whether it wants a user's token."""
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
        if not self._sim.rate.take():
            raise Refusal(429, {})
        token = self._sim.tokens.bearer(request)
        # a user endpoint refuses a client's token (C1); the other way round is assumed to be refused alike
        wrong_kind = token is not None and (token.user is not None) != user
        if token is None or (wrong_kind and (user or not self._sim.user_token_in_client_mode)):
            raise Refusal(401, {"error": "invalid_token"})
        body: object = None
        if request.method == "POST":
            declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if self._sim.content_type == "json" and declared != "application/json":
                refuse("HttpMediaTypeNotSupportedException", "Content-Type must be application/json")
            try:
                body = parse_json(await request.body())
            except MalformedAnswer:
                refuse("HttpMessageNotReadableException", "body is not JSON")
        return Call(token.user, request.path_params, body, request.scope.get(TAGS, ()))

    def _answer(self, request: Request, status: int, body: Mapping[str, object]) -> Response:
        headers = dict(self._sim.rate.headers())
        if status == HTTPStatus.TOO_MANY_REQUESTS and self._sim.retry_after:
            headers["Retry-After"] = headers["X-RateLimit-Reset"]
        if self._sim.xml_unless_asked and "application/json" not in request.headers.get("accept", ""):
            return Response(f"<answer>{_xml(body)}</answer>", status, headers, "application/xml")
        return JSONResponse(body, status, headers)

    def _read(self, cls: type[T], body: object, rule: Callable[[T], T]) -> T:
        """A body as its class, by its rule and the switches; what breaks one is refused."""
        request = _input(lambda: rule(parse_input(cls, self._schemed(body))))
        strange = sorted(getattr(request, "extra", {}))
        if self._sim.unknown_fields == "refused" and strange:
            refuse("ValidationException", f"{strange[0][:60]}: no such field")
        return request

    def _schemed(self, body: object) -> object:
        """The body with its addresses made absolute, where addresses without a scheme are taken (Q19)."""
        if self._sim.absolute_urls or not isinstance(body, Mapping):
            return body
        bare = {name: body[name] for name in ("callbackUrl", "returnUrl", "errorUrl") if isinstance(body.get(name), str)}
        return {**body, **{name: url if "://" in url else f"https://{url}" for name, url in bare.items()}}

    # ---------------------------------------------------------------- register

    async def _register(self, call: Call) -> Json:
        request = self._read(OrderRequest, call.body, OrderRequest.check)
        configured = self._sim.configured_methods
        if configured is not None and request.payment_method not in {None, *NOTHING_TO_PAY, *configured}:
            refuse("PaymentMethodException", "support has not set up this payment method")
        before = self._sim.book.named(request.external_order_id) if request.external_order_id else None
        if before is not None and self._sim.duplicate_register == "same":
            return {"orderId": self._number(before)}
        if before is not None and self._sim.duplicate_register == "refuse":
            refuse("DuplicateOrderException", "externalOrderId exists")
        order = self._sim.book.register(request, call.user, call.tags)
        if self._sim.book.outcome(order).twin:
            self._sim.book.register(request, call.user, call.tags)
        return {"orderId": self._number(order)}

    # ---------------------------------------------------------------- complete by API

    async def _complete(self, call: Call) -> Json:
        request = self._read(FulfillmentRequest, call.body, FulfillmentRequest.check)
        if self._sim.callback_https_only and (request.callback_url or "https:").startswith("http:"):
            refuse("ValidationException", "callbackUrl: must be https")
        order = self._known(request.order_id)
        self._sim.book.tell(order, call.tags)
        outcome = self._sim.book.outcome(order)
        if outcome.api_answer == "ERROR":
            self._refuse_completion(order, outcome.api_message)
        if order.to_pay and order.method not in BY_API[self._sim.api_methods]:
            if self._sim.unfit_method == "400":
                refuse("PaymentMethodException", "payment method needs the fulfillment URL")
            self._refuse_completion(order, "payment method needs the fulfillment URL")
        if not self._again(order):
            await self._begin(order, outcome, request.callback_url)
        return self._completion(order, ApiStatus.OK)

    def _again(self, order: SimulatedOrder) -> bool:
        """Whether this is a second completion that changes nothing; one that is refused ends here."""
        if not order.completed or self._sim.complete_twice == "again":
            return False
        if self._sim.complete_twice == "400":
            refuse("OrderAlreadyCompletedException", "the order was completed before")
        if self._sim.complete_twice == "ERROR":
            self._refuse_completion(order, "the order was completed before")
        return True

    async def _begin(self, order: SimulatedOrder, outcome: Outcome, callback_url: str | None) -> None:
        order.completed = True
        self._sim.book.note(order, "completed by API")
        if not (order.to_pay and order.method == "sms"):
            self._sim.book.accept(order)
            if self._sim.callback_methods == "all" and callback_url is not None:
                self._sim.spawn(self._sim.call_back(callback_url, CallbackStatus.SUCCESS))
            return
        order.at_payment = True
        if outcome.callback == "early":
            await self._sim.sms_answered(order, callback_url)
        else:
            self._sim.spawn(self._sim.sms_answered(order, callback_url))

    def _refuse_completion(self, order: SimulatedOrder, message: str) -> NoReturn:
        self._sim.book.note(order, "completion refused")
        raise Refusal(200, {**self._completion(order, ApiStatus.ERROR), "errorMessage": message})

    def _completion(self, order: SimulatedOrder, word: ApiStatus) -> Json:
        switch = self._sim.ok_order_id if word is ApiStatus.OK else self._sim.error_order_id
        wanted = self._sim.book.outcome(order).answer_order_id or switch
        return {"fulfillmentStatus": word.value, "orderId": self._number(order) if wanted == "number" else None}

    # ---------------------------------------------------------------- reads

    async def _status(self, call: Call) -> Json:
        if self._sim.unknown_order == "empty" and self._sim.book.find(call.path["order_id"]) is None:
            return {"orders": []}
        return {"orders": [self._row(self._known(call.path["order_id"]))]}

    async def _search(self, call: Call) -> Json:
        body = call.body
        if self._sim.search_by_both and isinstance(body, Mapping) and body.get("orderId") is not None:
            body = {name: value for name, value in body.items() if name != "externalOrderId"}
        request = self._read(SearchRequest, body, SearchRequest.check)
        wanted, name = request.order_id, request.external_order_id
        hits = [order for order in self._of(call) if (order.order_id == wanted if wanted is not None else order.external_order_id == name)]
        return {"orders": [{**self._row(order), "orderLines": list(order.lines)} for order in hits]}

    async def _list(self, call: Call) -> Json:
        return {"orders": [self._row(order) for order in self._of(call)]}

    def _of(self, call: Call) -> list[SimulatedOrder]:
        # a user sees only what is his: an assumption, no page says so
        return [order for order in self._sim.book.all() if order.user == call.user]

    # ---------------------------------------------------------------- assign

    async def _assign(self, call: Call) -> Json:
        request = self._read(AssignRequest, call.body, AssignRequest.check)
        order = self._known(call.path["order_id"])
        self._sim.book.tell(order, (*mail_tags(request.credential), *call.tags))
        early = order.fulfilled_at is None and not self._sim.assign_before_fulfilled
        if order.user_mode or early:
            refuse("OrderNotAssignableException", "only a fulfilled order registered in client mode can be assigned")
        if order.assigned and self._sim.assign_twice == "refuse":
            refuse("OrderNotAssignableException", "the order has a user")
        order.user, order.assigned = hashlib.sha256(request.credential.encode()).hexdigest()[:32], True
        self._sim.book.note(order, "assigned, and a message sent" if request.is_send_message else "assigned")
        outcome = self._sim.book.outcome(order)
        flags = {"isNewUser": outcome.is_new_user, "isPasswordSet": outcome.password_set}
        return {"orderId": self._number(order), "uniqueUserId": order.user, **flags}

    def _known(self, order_id: int | str) -> SimulatedOrder:
        order = self._sim.book.find(order_id)
        if order is None:
            if self._sim.unknown_order == "404":
                raise Refusal(404, {"exceptionType": "OrderNotFoundException", "errorMessage": "no such order"})
            refuse("OrderNotFoundException", "no such order")
        return order

    def _number(self, order: SimulatedOrder) -> int | str:
        return str(order.order_id) if self._sim.order_id_as_text else order.order_id

    def _row(self, order: SimulatedOrder) -> Json:
        """An order as List order status shows it; orderTime in epoch milliseconds (A4)."""
        return {
            "orderId": self._number(order),
            "externalOrderId": order.external_order_id,
            "orderTime": int(order.registered_at * 1000),
            "orderStatus": order.status,
            "orderAmount": order.amount,
            "customerNumber": 500000 + order.order_id,
        }


def _input(make: Callable[[], T]) -> T:
    try:
        return make()
    except InvalidInput as wrong:
        refuse("ValidationException", str(wrong))


def _xml(value: object) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{name}>{_xml(part)}</{name}>" for name, part in value.items())
    if isinstance(value, list):
        return "".join(f"<item>{_xml(part)}</item>" for part in value)
    return escape("" if value is None else str(value))
