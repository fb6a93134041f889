"""Carries out Connect's effects over HTTP, and polls statuses. An answer becomes an ``Outcome``.

An effect is one request. After a 401 it is sent once more, with a fresh token. The moment of sending is marked behind the token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote

from attrs import evolve

from orderflow._provider.call import Call
from orderflow._provider.decimals import read_decimal, round_to_coins
from orderflow._provider.http import (
    HttpClient,
    HttpResponse,
    RequestResult,
    check_poll_response,
    is_header_value,
    outcome_of_response,
    retry_after_seconds,
    send_request,
    with_answer,
)
from orderflow._provider.oauth2 import OAuth2Client
from orderflow._provider.outcomes import NoResult, NotExecuted, Outcome, ReadFailed, Rejected, Signal, StatusRead, Succeeded
from orderflow._provider.protocol import TokenSource
from orderflow._provider.wire import is_other_text, parse_record, readable_id, to_json
from orderflow._providers.connect import wire
from orderflow.errors import MalformedAnswer
from orderflow.model import Order

_FULFILLED = "fulfilled"  # the reading of the lifecycle
_EXTERNAL_ORDER_ID = "externalOrderId"
_BAD_REQUEST = 400  # the one 4xx of its own order endpoints that Connect documents (A3, R1, R2), beside 429
_ERROR_FIELDS = ("exceptionType", "errorMessage")
_LONGEST_RESET = 3600.0
_CLASS_NAME = re.compile(r"[A-Za-z_][\w.$]{,79}\Z")
_ASKS_FOR_ACCESS = ("allowAccessProduct", "allowAccessCategoryType")

CallResult = RequestResult | NotExecuted
"""The result of the request, or why there was no token to send it with."""


class Adapter:
    """Connect over HTTP.

    ``order_client`` sends the calls that change something, ``client`` all else; they may be the same. ``api`` is the base URL of the
    apiServer (``.../capi``). ``tokens`` gives the client's access tokens, ``users`` those of users. ``fulfilled_literals`` are the values
    of orderStatus that prove fulfilment.
    """

    def __init__(
        self,
        client: HttpClient,
        order_client: HttpClient,
        api: str,
        tokens: OAuth2Client,
        *,
        users: TokenSource | None,
        fulfilled_literals: tuple[str, ...],
    ) -> None:
        self._client = client
        self._order_client = order_client
        self._api = api
        self._tokens = tokens
        self._users = users
        self._fulfilled_literals = fulfilled_literals

    async def register(self, call: Call) -> Outcome:
        """Register order (A5), with the client's token or, in user mode, with the user's."""
        order = call.order
        body = {**_request_of(order), "externalOrderId": external_order_id(order)}
        if order.snapshot.facts["user_mode"]:
            result = await self._call_as_user(call, "/v1/order", body)
        else:
            result = await self._call_as_client("POST", "/v1/client/order", body, call)

        def accept(response: HttpResponse) -> Outcome:
            registered = parse_record(wire.RegisterResponse, response.json())
            return Succeeded("order_registered", provider_id=registered.order_id)

        return _outcome_of(result, accept)

    async def fulfill(self, call: Call, callback_url: str | None) -> Outcome:
        """Complete order, client mode (A3). ``OK`` means accepted: for sms the customer has still to pay."""
        assert call.order.provider_id is not None
        request = wire.FulfillmentRequest(call.order.provider_id, callback_url)
        result = await self._call_as_client("POST", "/v1/client/order/fulfillment", to_json(request), call)

        def accept(response: HttpResponse) -> Outcome:
            answer = parse_record(wire.FulfillmentResponse, response.json())
            if answer.fulfillment_status == wire.ApiStatus.OK:
                return Succeeded("fulfillment_accepted", provider_id=answer.order_id)
            if answer.fulfillment_status == wire.ApiStatus.ERROR:
                return Rejected("200 with fulfillmentStatus ERROR")
            raise MalformedAnswer("fulfillmentStatus: neither OK nor ERROR")

        return _outcome_of(result, accept)

    async def assign(self, call: Call) -> Outcome:
        """Assign user, client mode (A9)."""
        path = f"/v1/client/order/{_path_id(call.order)}/user"
        result = await self._call_as_client("POST", path, call.arguments["assignment"], call)

        def accept(response: HttpResponse) -> Outcome:
            assigned = parse_record(wire.AssignResponse, response.json())
            user_id = readable_id(assigned.unique_user_id)
            if assigned.order_id is None and user_id is None:
                raise MalformedAnswer("AssignResponse: neither orderId nor uniqueUserId")
            flags = {"is_new_user": assigned.is_new_user, "is_password_set": assigned.is_password_set}
            data = {"assigned_user_id": user_id, **flags}
            note = ", ".join(f"{name}: {value}" for name, value in flags.items() if value is not None)
            return Succeeded("assigned", data, assigned.order_id, note)

        return _outcome_of(result, accept)

    async def search(self, call: Call) -> Outcome:
        """Search order details by our own id, user mode (R1). One hit is ours. With more, a person decides: the id is not unique.

        Connect may list other orders too, or an order twice. An order with our id and another amount is for a person to look at.
        """
        result = await self._call_as_user(call, "/v1/order/status", {"externalOrderId": external_order_id(call.order)})

        def accept(response: HttpResponse) -> Outcome:
            listed_orders = wire.parse_listed_orders(response.json())
            unreadable = [listed for listed in listed_orders if isinstance(listed, MalformedAnswer)]
            readable = [listed for listed in listed_orders if not isinstance(listed, MalformedAnswer)]
            differences = [(listed.order_id, _find_difference(listed, call.order)) for listed in readable]
            hits = {order_id: difference for order_id, difference in differences if difference != _EXTERNAL_ORDER_ID}
            found = len(hits) + len(unreadable)  # what cannot be read may be ours
            if not found:
                return NoResult("no order has our externalOrderId")
            if found > 1:
                return Rejected(f"{found} orders have our externalOrderId; a person must choose")
            if unreadable:
                raise unreadable[0]
            ((order_id, difference),) = hits.items()
            if difference:
                return Rejected(f"the order with our externalOrderId has another {difference}; a person must decide")
            return Succeeded("registration_found", provider_id=order_id)

        return _outcome_of(result, accept)

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        """List order status, client mode (A4). The response lists one order in practice, and it must be ours."""
        result = await self._call_as_client("GET", f"/v1/client/order/status/{_path_id(order)}", None, None)
        if isinstance(result, NotExecuted):
            return ReadFailed(result.why, result.retry_after, result.signal, status=result.status)
        response = check_poll_response(result, seconds_to_wait)
        return response if isinstance(response, ReadFailed) else with_answer(self._read_status(response, order), response)

    def _read_status(self, response: HttpResponse, order: Order) -> StatusRead | ReadFailed:
        try:
            listed = _choose_listed(wire.parse_listed_orders(response.json()), order)
        except MalformedAnswer as error:
            return ReadFailed(str(error))
        if not listed.order_status:
            return ReadFailed("no orderStatus in the answer")
        note = _access_note(order) if listed.order_status in self._fulfilled_literals else ""
        number = listed.customer_number  # kept as it came if it is neither a number nor a text
        extras = {"customer_number": number} if isinstance(number, int | str) and number != "" else {}
        return StatusRead(self._status_of(listed.order_status), extras, _find_mismatch(listed, order), note)

    def _status_of(self, order_status: str) -> str:
        """The reading of the lifecycle for an orderStatus. ``fulfilled`` itself proves nothing unless it is configured."""
        if order_status in self._fulfilled_literals:
            return _FULFILLED
        return f"{order_status} (not among fulfilled_literals)" if order_status == _FULFILLED else order_status

    async def close(self) -> None:
        """Close the HTTP clients."""
        await self._client.aclose()
        await self._order_client.aclose()

    async def _call_as_client(self, method: str, path: str, body: object, call: Call | None) -> CallResult:
        """Send with the client's token. After a 401, once more with a fresh token: the first one expired or was revoked.

        ``call``: the call that this carries out; None: it is a poll.
        """
        token = await self._tokens.token()
        if isinstance(token, NotExecuted):
            return token
        result = await self._send(method, path, token, body, call)
        if result.status != 401:
            return result
        self._tokens.invalidate(token)
        token = await self._tokens.token()
        return token if isinstance(token, NotExecuted) else await self._send(method, path, token, body, call)

    async def _call_as_user(self, call: Call, path: str, body: object) -> CallResult:
        """Call with the token of the order's user, which the application gives."""
        try:
            token = await self._users.token(call.order.id) if self._users is not None else None
        except Exception as error:  # noqa: BLE001  the application's code may raise anything, and nothing was sent
            return NotExecuted(f"the application's TokenSource raised {type(error).__name__}", signal=Signal.NOT_CALLED)
        if not token:
            return NotExecuted("the application has no token of the user any more", signal=Signal.NOT_CALLED, permanent=True)
        if not is_header_value(token):
            return NotExecuted("the user's token is not plain ASCII", signal=Signal.NOT_CALLED)
        result = await self._send("POST", path, token, body, call)
        if result.status == 401:
            # without a signal: it shows nothing about our own credentials
            return with_answer(NotExecuted("401 from the provider"), result)
        return result

    async def _send(self, method: str, path: str, token: str, body: object, call: Call | None) -> RequestResult:
        # without Accept, an older server may answer in XML (C2, C3)
        headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
        content = b""
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        client = self._client if method == "GET" else self._order_client
        return await send_request(client, method, self._api + path, headers=headers, content=content, call=call)


def _path_id(order: Order) -> str:
    return quote(order.provider_id or "", safe="")


def external_order_id(order: Order) -> str:
    """The externalOrderId that we send: the caller's, or our order id."""
    return str(_request_of(order).get("externalOrderId") or order.id)


def _request_of(order: Order) -> Mapping[str, object]:
    request = order.snapshot.data["request"]
    assert isinstance(request, Mapping)
    return request


def _outcome_of(result: CallResult, accept: Callable[[HttpResponse], Outcome]) -> Outcome:
    if isinstance(result, NotExecuted):
        return result
    outcome = outcome_of_response(result, accept, _is_refusal, seconds_to_wait)
    if isinstance(outcome, Rejected) and isinstance(result, HttpResponse):
        return evolve(outcome, why=outcome.why + _exception_type_note(result))
    return outcome


def _is_refusal(response: HttpResponse) -> bool:
    """Whether an error is Connect's own: a field of its form of an error (C1), with any code; or its documented 400, without a body."""
    if not response.body.strip():
        return response.status == _BAD_REQUEST
    error = _parse_error(response)
    return error is not None and any(to_json(error).get(name) is not None for name in _ERROR_FIELDS)


def _parse_error(response: HttpResponse) -> wire.ErrorResponse | None:
    try:
        return parse_record(wire.ErrorResponse, response.json())
    except MalformedAnswer:
        return None


def seconds_to_wait(response: HttpResponse) -> float | None:
    """How long Connect asks us to wait: ``Retry-After``, else ``X-RateLimit-Reset``, the seconds until its window is renewed (A12).

    The window is 60 s long, so that a number beyond an hour is something else, such as a moment in time.
    """
    seconds = retry_after_seconds(response)
    reset = response.headers.get("X-RateLimit-Reset", "").strip()
    if seconds is not None or not (reset.isascii() and reset.isdigit()):
        return seconds
    return float(reset) if float(reset) <= _LONGEST_RESET else None


def _exception_type_note(response: HttpResponse) -> str:
    """The exceptionType of an error response (C1), if it is a class name. The message beside it may quote what we sent: it is no note."""
    error = _parse_error(response)
    exception_type = error.exception_type if error is not None else None
    return f" ({exception_type})" if exception_type and _CLASS_NAME.match(exception_type) else ""


def _access_note(order: Order) -> str:
    """Connect gives temporary access on fulfilment where a line asks for it (A6, A1 step 8). It is no state of ours."""
    lines = _request_of(order).get("orderLines")
    asked = isinstance(lines, list) and any(name in line for line in lines for name in _ASKS_FOR_ACCESS)
    return "temporary access was asked for" if asked else ""


def _choose_listed(listed_orders: tuple[wire.ListedOrder | MalformedAnswer, ...], order: Order) -> wire.ListedOrder:
    """The order of an answer that is ours, else the first one.

    Raises:
        MalformedAnswer: there is none, or none is ours and one cannot be read: it may be ours.
    """
    if not listed_orders:
        raise MalformedAnswer("no order in the answer")
    unreadable = [listed for listed in listed_orders if isinstance(listed, MalformedAnswer)]
    readable = [listed for listed in listed_orders if isinstance(listed, wire.ListedOrder)]
    ours = next((listed for listed in readable if listed.order_id == order.provider_id), None)
    if ours is None and unreadable:
        raise unreadable[0]
    return ours or readable[0]


def _find_mismatch(listed: wire.ListedOrder, order: Order) -> str:
    """The field by which a listed order is not ours. Order ids are sequential, and any browser can open any of them."""
    if listed.order_id != order.provider_id:
        return "orderId"
    return _find_difference(listed, order)


def _find_difference(listed: wire.ListedOrder, order: Order) -> str:
    """The field by which a listed order is not what we registered, where it can be read."""
    if is_other_text(listed.external_order_id, external_order_id(order)):
        return _EXTERNAL_ORDER_ID
    ours, shown = read_decimal(_request_of(order).get("orderAmount")), listed.amount
    if ours is None or shown is None:  # an amount that cannot be read shows nothing
        return ""
    return "" if round_to_coins(shown) == round_to_coins(ours) else "orderAmount"
