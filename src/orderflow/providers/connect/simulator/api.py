"""The simulator's apiServer (Connect A3, A4, A5, A9, R1). What may live here: limit, bearer, endpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from xml.sax.saxutils import escape

from attrs import frozen
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderflow.errors import InvalidInput, MalformedAnswer
from orderflow.providers.connect.simulator.orders import FULFILLED, NOT_BY_API, SimulatedOrder
from orderflow.providers.connect.wire import (
    ApiStatus,
    AssignRequest,
    FulfillmentRequest,
    SearchRequest,
    order_request,
)
from orderflow.simkit import mark_executed
from orderflow.wirekit import loads, read_input

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
    """One authenticated request. ``user`` is None in client mode."""

    user: str | None
    path: Mapping[str, Any]
    body: object


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
        if token is None or (token.user is not None) != user:
            raise Refusal(401, {"error": "invalid_token"})
        body: object = None
        if request.method == "POST":
            try:
                body = loads(await request.body())
            except MalformedAnswer:
                refuse("HttpMessageNotReadableException", "body is not JSON")
        return Call(token.user, request.path_params, body)

    def _answer(self, request: Request, status: int, body: Mapping[str, object]) -> Response:
        headers = self._sim.rate.headers()
        if self._sim.xml_unless_asked and "application/json" not in request.headers.get("accept", ""):
            return Response(f"<answer>{_xml(body)}</answer>", status, headers, "application/xml")
        return JSONResponse(body, status, headers)

    # ---------------------------------------------------------------- endpoints

    async def _register(self, call: Call) -> Json:
        with_rules = _input(lambda: order_request(call.body))
        return {"orderId": self._sim.book.register(with_rules, call.user).order_id}

    async def _complete(self, call: Call) -> Json:
        request = _input(lambda: read_input(FulfillmentRequest, call.body).checked())
        order = self._known(request.order_id)
        outcome = self._sim.book.outcome(order)
        if outcome.api_answer == "ERROR":
            self._refuse_completion(order, outcome.api_message)
        if order.to_pay and order.method in NOT_BY_API:
            self._refuse_completion(order, "payment method needs the fulfillment URL")
        self._sim.book.note(order, "completed by API")
        if order.to_pay and order.method == "sms":
            if outcome.callback == "early":
                await self._sim.sms_answered(order, request.callback_url)
            else:
                self._sim.spawn(self._sim.sms_answered(order, request.callback_url))
        else:
            self._sim.book.accept(order)
        return self._completion(order, ApiStatus.OK)

    def _refuse_completion(self, order: SimulatedOrder, message: str) -> NoReturn:
        self._sim.book.note(order, "completion refused")
        raise Refusal(200, {**self._completion(order, ApiStatus.ERROR), "errorMessage": message})

    def _completion(self, order: SimulatedOrder, word: ApiStatus) -> Json:
        wanted = self._sim.book.outcome(order).answer_order_id
        with_number = wanted == "number" if wanted else word is ApiStatus.ERROR
        return {"fulfillmentStatus": word.value, "orderId": order.order_id if with_number else None}

    async def _status(self, call: Call) -> Json:
        return {"orders": [_row(self._known(call.path["order_id"]))]}

    async def _search(self, call: Call) -> Json:
        request = _input(lambda: read_input(SearchRequest, call.body).checked())
        hits = [
            order
            for order in self._sim.book.all()
            # a user sees only what is his: an assumption, no page says so
            if order.user == call.user
            and (
                order.order_id == request.order_id if request.order_id is not None else order.external_order_id == request.external_order_id
            )
        ]
        return {"orders": [{**_row(order), "orderLines": list(order.lines)} for order in hits]}

    async def _assign(self, call: Call) -> Json:
        request = _input(lambda: read_input(AssignRequest, call.body).checked())
        order = self._known(call.path["order_id"])
        if order.user_mode or order.status != FULFILLED:
            refuse("OrderNotAssignableException", "only a fulfilled order registered in client mode can be assigned")
        order.user = hashlib.sha256(request.credential.encode()).hexdigest()[:32]
        self._sim.book.note(order, "assigned")
        outcome = self._sim.book.outcome(order)
        flags = {"isNewUser": outcome.is_new_user, "isPasswordSet": outcome.password_set}
        return {"orderId": order.order_id, "uniqueUserId": order.user, **flags}

    def _known(self, order_id: int | str) -> SimulatedOrder:
        order = self._sim.book.find(order_id)
        if order is None:
            refuse("OrderNotFoundException", "no such order")
        return order


def _input(make: Callable[[], T]) -> T:
    try:
        return make()
    except InvalidInput as wrong:
        refuse("ValidationException", str(wrong))


def _row(order: SimulatedOrder) -> Json:
    """An order as List order status shows it; orderTime in epoch milliseconds (A4)."""
    return {
        "orderId": order.order_id,
        "externalOrderId": order.external_order_id,
        "orderTime": int(order.registered_at * 1000),
        "orderStatus": order.status,
        "orderAmount": order.amount,
        "customerNumber": 500000 + order.order_id,
    }


def _xml(value: object) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{name}>{_xml(part)}</{name}>" for name, part in value.items())
    if isinstance(value, list):
        return "".join(f"<item>{_xml(part)}</item>" for part in value)
    return escape("" if value is None else str(value))
