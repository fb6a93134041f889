"""Carries out CCV's effects over HTTP, and polls statuses. One call without retries; an answer becomes an ``Outcome``.

The calls of the configurator pass the order along in their bodies and store nothing at CCV (D3 to D6), so they may be repeated. The
submit may not.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping

from orderflow._provider.call import Call
from orderflow._provider.http import (
    HttpClient,
    HttpResponse,
    RequestResult,
    check_poll_response,
    has_json_or_no_body,
    outcome_of_response,
    send_request,
    with_answer,
)
from orderflow._provider.outcomes import Outcome, ReadFailed, StatusRead, Succeeded
from orderflow._provider.wire import is_other_text, to_json
from orderflow._providers.ccv import wire
from orderflow.errors import MalformedAnswer
from orderflow.model import Order

Product = wire.AddSalesPackage | wire.AddTerminalPackage | wire.AddPspStandalone

PRODUCTS: Mapping[str, tuple[type[Product], str]] = {
    "sales_package": (wire.AddSalesPackage, wire.ADD_SALES_PACKAGE),
    "terminal_package": (wire.AddTerminalPackage, wire.ADD_TERMINAL_PACKAGE),
    "psp_standalone": (wire.AddPspStandalone, wire.ADD_PSP_STANDALONE),
}
"""The kinds of products in a create request, with the record and the path of the call that adds one (D4, D5, D6)."""

_REFUSALS = (400, 403)


def basic_authorization(api_key: str) -> str:
    """The Authorization header by analogy with CCV's Payment API (P1): HTTP Basic, the key as user name, no password."""
    return "Basic " + b64encode(f"{api_key}:".encode()).decode()


class Adapter:
    """CCV over HTTP.

    ``submit_client`` sends what must not be sent twice, ``client`` all else; they may be the same. ``base_url`` includes the path prefix.
    ``id_names``: the fields in which an order's id is looked for.
    """

    def __init__(self, client: HttpClient, submit_client: HttpClient, base_url: str, authorization: str, id_names: tuple[str, ...]) -> None:
        self._client = client
        self._submit_client = submit_client
        self._base_url = base_url
        self._id_names = id_names
        self._headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Authorization": authorization,
        }

    async def configure(self, call: Call) -> Outcome:
        """startorder, then one call for each product (D3 to D6). Each answers with the order to pass to the next call.

        The last answer is the one that is kept.
        """
        data = call.order.snapshot.data
        calls = [(wire.START_ORDER, data["start_order"])]
        calls += [(PRODUCTS[str(product["kind"])][1], product["fields"]) for product in _products_of(data)]
        configured: Mapping[str, object] | None = None
        outcome: Outcome
        for path, fields in calls:
            assert isinstance(fields, Mapping)
            body = fields if configured is None else {**fields, "order": configured}
            result = await self._send("PATCH", path, body, call)
            outcome = outcome_of_response(result, _accept_configured, _is_refusal)
            if not isinstance(outcome, Succeeded):
                return outcome
            configured = outcome.data["order"]  # type: ignore[assignment]
        return outcome  # of the last call, with the order as all calls made it

    async def submit(self, call: Call, notification_url: str | None) -> Outcome:
        """POST order. 200 and 201 both mean created (D1). Without an id in the answer the order is in doubt."""
        order = call.order
        data = order.snapshot.data
        configured = data["order"]
        assert isinstance(configured, Mapping)
        request = wire.Submit(
            notify_customer_by_email=bool(data["notify_customer_by_email"]),
            order=configured,
            external_reference=external_reference(order),
            status_notification_information=_notification_of(data, notification_url),
        )
        result = await self._send("POST", wire.SUBMIT, to_json(request), call)

        def accept(response: HttpResponse) -> Outcome:
            submitted = wire.parse_submit_response(response.body, response.headers.get("Location"), self._id_names)
            extras = {} if submitted.checkout_url is None else {"checkout_url": submitted.checkout_url}
            return Succeeded("order_submitted", extras, submitted.order_id)

        return outcome_of_response(result, accept, _is_refusal)

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        """GET order/{orderId}/status (D2). A 404 shortly after the submit means "not yet visible", so the next poll asks again."""
        assert order.provider_id is not None
        response = check_poll_response(await self._send("GET", wire.status_path(order.provider_id)))
        if isinstance(response, ReadFailed):
            return response
        try:
            status = wire.parse_status_response(response.body)
        except MalformedAnswer as error:
            return with_answer(ReadFailed(str(error)), response)
        foreign = is_other_text(status.external_reference, external_reference(order))
        return with_answer(StatusRead(str(status.order_status), mismatch="externalReference" if foreign else ""), response)

    async def close(self) -> None:
        """Close the HTTP clients."""
        await self._client.aclose()
        await self._submit_client.aclose()

    async def _send(self, method: str, path: str, body: object = None, call: Call | None = None) -> RequestResult:
        content = b"" if body is None else json.dumps(body).encode()
        client = self._submit_client if method == "POST" else self._client
        return await send_request(client, method, self._base_url + path, headers=self._headers, content=content, call=call)


def external_reference(order: Order) -> str:
    """The externalReference that we send: the caller's, or our order id. A person can find a lost submit by it."""
    return str(order.snapshot.data.get("external_reference") or order.id)


def _accept_configured(response: HttpResponse) -> Outcome:
    return Succeeded("order_configured", {"order": wire.parse_order(response.body)})


def _is_refusal(response: HttpResponse) -> bool:
    """Whether an error is CCV's own. Its form is not documented, but its codes are: 400 and 403 (D1, D4 to D6), and 401 for the key."""
    return response.status in _REFUSALS and has_json_or_no_body(response)


def _notification_of(data: Mapping[str, object], notification_url: str | None) -> wire.StatusNotification | None:
    if notification_url is None:
        return None
    statuses = data.get("notify_on_status")
    return wire.StatusNotification(notification_url, tuple(statuses) if isinstance(statuses, list) and statuses else wire.ORDER_STATUSES)


def _products_of(data: Mapping[str, object]) -> list[Mapping[str, object]]:
    products = data["products"]
    assert isinstance(products, list)
    return products
