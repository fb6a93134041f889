"""Carries CCV's effects out over HTTP and reads statuses. One call, no retries, no state: an answer becomes an Outcome.

The four configurator calls pass the order along by value and store nothing at CCV (D3-D6), so they may be repeated; the submit may not.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping

from orderflow.errors import MalformedAnswer
from orderflow.model import Order
from orderflow.provider.http import Answer, Cut, HttpClient, NeverSent, exchange, outcome_of, unread_of
from orderflow.provider.outcomes import Outcome, ReadFailed, StatusRead, Succeeded
from orderflow.provider.wire import write
from orderflow.providers.ccv import wire

Product = wire.AddSalesPackage | wire.AddTerminalPackage | wire.AddPspStandalone

PRODUCTS: Mapping[str, tuple[type[Product], str]] = {
    "sales_package": (wire.AddSalesPackage, wire.ADD_SALES_PACKAGE),
    "terminal_package": (wire.AddTerminalPackage, wire.ADD_TERMINAL_PACKAGE),
    "psp_standalone": (wire.AddPspStandalone, wire.ADD_PSP_STANDALONE),
}
"""What an order may hold, by the name used in a create request: its request and path (D4, D5, D6)."""


def basic(api_key: str) -> str:
    """The Authorization header by analogy with CCV's Payment API (P1): HTTP Basic, the key as user name, no password."""
    return "Basic " + b64encode(f"{api_key}:".encode()).decode()


class Adapter:
    """CCV over one HTTP client. ``base_url`` includes the path prefix."""

    def __init__(self, client: HttpClient, base_url: str, authorization: str) -> None:
        self._client = client
        self._base_url = base_url
        self._headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Authorization": authorization,
        }

    async def configure(self, order: Order) -> Outcome:
        """startorder, then each product: the enriched order, ready to submit (D3 to D6)."""
        data = order.snapshot.data
        path, body = wire.START_ORDER, data["start_order"]
        calls = [(path, body)] + [(PRODUCTS[str(kind)][1], fields) for kind, fields in _products(data)]
        enriched: Mapping[str, object] | None = None
        for path, fields in calls:
            assert isinstance(fields, Mapping)
            content = fields if enriched is None else {**fields, "order": enriched}
            answer = await self._send("PATCH", path, content)
            outcome = outcome_of(answer, lambda whole: Succeeded("order_configured", {"order": wire.read_order(whole.body)}))
            if not isinstance(outcome, Succeeded):
                return outcome
            enriched = outcome.data["order"]  # type: ignore[assignment]
        return Succeeded("order_configured", {"order": enriched})

    async def submit(self, order: Order, notification_url: str | None) -> Outcome:
        """POST order: 200 and 201 both mean created (D1); without an id in the answer nobody knows which order it is."""
        data = order.snapshot.data
        notice = None
        if notification_url is not None:
            statuses = data.get("notify_on_status")
            chosen = tuple(statuses) if isinstance(statuses, list) and statuses else wire.ORDER_STATUSES
            notice = wire.StatusNotification(notification_url, chosen)
        enriched = data["order"]
        assert isinstance(enriched, Mapping)
        request = wire.Submit(
            notify_customer_by_email=bool(data["notify_customer_by_email"]),
            order=enriched,
            external_reference=reference(order),
            status_notification_information=notice,
        )
        answer = await self._send("POST", wire.SUBMIT, write(request))

        def accept(whole: Answer) -> Outcome:
            found = wire.read_submit_answer(whole.body, whole.headers.get("Location"))
            return Succeeded("order_submitted", provider_id=found.order_id)

        return outcome_of(answer, accept)

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        """GET order/{orderId}/status (D2). A 404 shortly after the submit is taken for "not yet visible"."""
        assert order.provider_id is not None
        answer = unread_of(await self._send("GET", wire.status_path(order.provider_id)))
        if isinstance(answer, ReadFailed):
            return answer
        try:
            status = wire.read_status_answer(answer.body)
        except MalformedAnswer as error:
            return ReadFailed(str(error))
        foreign = status.external_reference not in (None, "", reference(order))
        return StatusRead(str(status.order_status), mismatch="externalReference" if foreign else "")

    async def close(self) -> None:
        """Close the HTTP client."""
        await self._client.aclose()

    async def _send(self, method: str, path: str, body: object = None) -> Answer | NeverSent | Cut:
        content = b"" if body is None else json.dumps(body).encode()
        return await exchange(self._client, method, self._base_url + path, headers=self._headers, content=content)


def reference(order: Order) -> str:
    """The externalReference we give: the caller's, or our order id, by which a person can find a lost submit."""
    return str(order.snapshot.data.get("external_reference") or order.id)


def _products(data: Mapping[str, object]) -> list[tuple[str, object]]:
    products = data["products"]
    assert isinstance(products, list)
    return [(product["kind"], product["fields"]) for product in products]
