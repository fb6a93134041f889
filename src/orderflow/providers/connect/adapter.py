"""Carries Connect's effects out over HTTP and reads statuses. One call and at most one token refresh; an answer becomes an Outcome."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from orderflow.errors import MalformedAnswer
from orderflow.model import Order
from orderflow.provider.http import Answer, Cut, HttpClient, NeverSent, exchange, outcome_of, sendable, unread_of
from orderflow.provider.outcomes import NoResult, NotExecuted, Outcome, ReadFailed, Rejected, Signal, StatusRead, Succeeded
from orderflow.provider.protocol import TokenSource
from orderflow.provider.wire import read, write
from orderflow.providers.connect import wire
from orderflow.providers.connect.tokens import OAuth2Client

_PROOF = "fulfilled"  # the lifecycle's reading
_TYPE_NAME = re.compile(r"[A-Za-z_][\w.$]{,79}\Z")


class Adapter:
    """Connect over one HTTP client. ``api`` is the apiServer's base URL (``.../capi``)."""

    def __init__(self, client: HttpClient, api: str, tokens: OAuth2Client, users: TokenSource | None, fulfilled: tuple[str, ...]) -> None:
        self._client = client
        self._api = api
        self._tokens = tokens
        self._users = users
        self._fulfilled = fulfilled

    async def register(self, order: Order) -> Outcome:
        """POST order, with the client's token or the user's (A5)."""
        body = {**_request(order), "externalOrderId": external_id(order)}
        if order.snapshot.facts["user_mode"]:
            answer = await self._as_user(order, "/v1/order", body)
        else:
            answer = await self._as_client("POST", "/v1/client/order", body)

        def accept(whole: Answer) -> Outcome:
            registered = read(wire.RegisterAnswer, whole.json())
            return Succeeded("order_registered", provider_id=registered.order_id)

        return _outcome(answer, accept)

    async def fulfill(self, order: Order, callback_url: str | None) -> Outcome:
        """Complete order, client mode (A3). OK means accepted; for sms the customer has still to pay."""
        assert order.provider_id is not None
        request = wire.FulfillmentRequest(order.provider_id, callback_url)
        answer = await self._as_client("POST", "/v1/client/order/fulfillment", write(request))

        def accept(whole: Answer) -> Outcome:
            fulfilled = read(wire.FulfillmentAnswer, whole.json())
            if fulfilled.fulfillment_status == wire.ApiStatus.OK:
                return Succeeded("fulfillment_accepted", provider_id=fulfilled.order_id)
            if fulfilled.fulfillment_status == wire.ApiStatus.ERROR:
                return Rejected("200 with fulfillmentStatus ERROR")
            raise MalformedAnswer("fulfillmentStatus: neither OK nor ERROR")

        return _outcome(answer, accept)

    async def assign(self, order: Order) -> Outcome:
        """Assign user, client mode (A9)."""
        body = order.snapshot.data["assignment"]
        answer = await self._as_client("POST", f"/v1/client/order/{order.provider_id}/user", body)

        def accept(whole: Answer) -> Outcome:
            assigned = read(wire.AssignAnswer, whole.json())
            if assigned.order_id is None and assigned.unique_user_id is None:
                raise MalformedAnswer("AssignAnswer: neither orderId nor uniqueUserId")
            known = {"is_new_user": assigned.is_new_user, "is_password_set": assigned.is_password_set}
            data = {"assigned_user_id": assigned.unique_user_id, **known}
            note = ", ".join(f"{name}: {value}" for name, value in known.items() if value is not None)
            return Succeeded("assigned", data, assigned.order_id, note)

        return _outcome(answer, accept)

    async def search(self, order: Order) -> Outcome:
        """Search order details by our own id, user mode (R1). One hit is ours; the id is not unique, so more need a person."""
        answer = await self._as_user(order, "/v1/order/status", {"externalOrderId": external_id(order)})

        def accept(whole: Answer) -> Outcome:
            hits = read(wire.OrdersAnswer, whole.json()).orders
            if not hits:
                return NoResult("no order has our externalOrderId")
            if len(hits) > 1:
                return Rejected(f"{len(hits)} orders have our externalOrderId; a person must choose")
            return Succeeded("registration_found", provider_id=hits[0].order_id)

        return _outcome(answer, accept)

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        """List order status, client mode (A4): one element in practice, which must be ours."""
        answer = await self._as_client("GET", f"/v1/client/order/status/{order.provider_id}", None)
        if isinstance(answer, NotExecuted):
            return ReadFailed(answer.why, answer.retry_after, answer.signal)
        if isinstance(answer, Rejected):
            return ReadFailed(answer.why)
        whole = unread_of(answer)
        if isinstance(whole, ReadFailed):
            return whole
        try:
            orders = read(wire.OrdersAnswer, whole.json()).orders
        except MalformedAnswer as error:
            return ReadFailed(str(error))
        if not orders:
            return ReadFailed("no order in the answer")
        found = next((one for one in orders if one.order_id == order.provider_id), orders[0])
        if not found.order_status:
            return ReadFailed("no orderStatus in the answer")
        note = _access_note(order) if found.order_status in self._fulfilled else ""
        return StatusRead(self._reading(found.order_status), mismatch=_mismatch(found, order), note=note)

    def _reading(self, word: str) -> str:
        """The lifecycle's name for Connect's word. Our name for proof, spoken by Connect, proves nothing unless configured."""
        if word in self._fulfilled:
            return _PROOF
        return f"{word} (not among fulfilled_literals)" if word == _PROOF else word

    async def close(self) -> None:
        """Close the HTTP client."""
        await self._client.aclose()

    async def _as_client(self, method: str, path: str, body: object) -> Answer | NeverSent | Cut | NotExecuted | Rejected:
        for last in (False, True):
            token = await self._tokens.token()
            if isinstance(token, NotExecuted):
                return token
            answer = await self._send(method, path, token, body)
            if last or not isinstance(answer, Answer) or answer.status != 401:
                return answer
            self._tokens.forget(token)  # expired or revoked: one fresh token, one more try
        raise AssertionError("unreachable")

    async def _as_user(self, order: Order, path: str, body: object) -> Answer | NeverSent | Cut | NotExecuted | Rejected:
        try:
            token = await self._users.token(order.id) if self._users is not None else None
        except Exception as error:  # noqa: BLE001  the host's code may raise anything, and nothing was sent
            return NotExecuted(f"the host's TokenSource raised {type(error).__name__}", signal=Signal.NOT_CALLED)
        if not token:
            return Rejected("the host has no token of the user any more", signal=Signal.NOT_CALLED)
        if not sendable(token):
            return NotExecuted("the host's token of the user is not plain ASCII", signal=Signal.NOT_CALLED)
        answer = await self._send("POST", path, token, body)
        if isinstance(answer, Answer) and answer.status == 401:
            return NotExecuted("401 from the provider")  # not ``unauthorized``: says nothing of our own credentials
        return answer

    async def _send(self, method: str, path: str, token: str, body: object) -> Answer | NeverSent | Cut:
        # without Accept an older server may answer in XML (C2, C3)
        headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
        content = b""
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        return await exchange(self._client, method, self._api + path, headers=headers, content=content)


def external_id(order: Order) -> str:
    """The externalOrderId we give: the caller's, or our order id."""
    return str(_request(order).get("externalOrderId") or order.id)


def _request(order: Order) -> Mapping[str, object]:
    request = order.snapshot.data["request"]
    assert isinstance(request, Mapping)
    return request


def _outcome(answer: Answer | NeverSent | Cut | NotExecuted | Rejected, accept: Callable[[Answer], Outcome]) -> Outcome:
    if isinstance(answer, NotExecuted | Rejected):
        return answer
    outcome = outcome_of(answer, accept)
    if isinstance(outcome, Rejected) and isinstance(answer, Answer):
        return Rejected(outcome.why + _exception_type(answer))
    return outcome


def _exception_type(answer: Answer) -> str:
    """A 400's exceptionType (C1), a class name; the message beside it may quote what we sent and is not kept."""
    try:
        kind = read(wire.ErrorAnswer, answer.json()).exception_type
    except MalformedAnswer:
        return ""
    return f" ({kind})" if kind and _TYPE_NAME.match(kind) else ""


def _access_note(order: Order) -> str:
    """Temporary access is given on fulfilment where a line asked for it (A6, A1 step 8); it is no state of ours."""
    lines = _request(order).get("orderLines")
    asks = ("allowAccessProduct", "allowAccessCategoryType")
    asked = isinstance(lines, list) and any(name in line for line in lines for name in asks)
    return "temporary access was asked for" if asked else ""


def _mismatch(found: wire.ReadOrder, order: Order) -> str:
    """A field by which this is somebody else's order: ids look sequential, and a browser can open any of them."""
    request = _request(order)
    if found.order_id != order.provider_id:
        return "orderId"
    if found.external_order_id and found.external_order_id != external_id(order):
        return "externalOrderId"
    ours = request.get("orderAmount")
    if ours is None or found.order_amount in (None, ""):
        return ""
    return "" if found.amount is not None and found.amount == wire_amount(ours) else "orderAmount"


def wire_amount(value: object) -> object:
    """An amount of ours as the read's ``amount`` would show it."""
    return wire.ReadOrder("0", order_amount=str(value)).amount
