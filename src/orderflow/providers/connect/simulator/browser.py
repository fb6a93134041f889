"""The simulator's loginServer as a browser sees it: fulfillment URL and payment page (Connect A1, A5, C1).

What may live here: these pages and where they send the browser. What a page looks like is made up.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from orderflow.providers.connect.simulator.orders import NOT_BY_URL, SimulatedOrder
from orderflow.providers.connect.wire import ReturnStatus, is_absolute
from orderflow.simkit import mark_executed

if TYPE_CHECKING:
    from orderflow.providers.connect.simulator.connect import ConnectSimulator

ACTIONS: Final = {
    "pay": "Pay",
    "cancel": "Cancel",
    "fail": "Let the payment fail",
    "lose": "Lose the outcome",
    "close": "Close the window",
}
OUTCOMES: Final = {
    "pay": ReturnStatus.SUCCESS,
    "cancel": ReturnStatus.CANCEL,
    "fail": ReturnStatus.ERROR,
    "lose": ReturnStatus.UNKNOWN,
}


def with_status(url: str, status: str) -> str:
    """``url`` with ``fulfillmentStatus`` added to whatever query it has."""
    parts = urlsplit(url)
    added = f"fulfillmentStatus={status}"
    return parts._replace(query=f"{parts.query}&{added}" if parts.query else added).geturl()


class Browser:
    """The pages under ``/user``."""

    def __init__(self, sim: ConnectSimulator) -> None:
        self._sim = sim

    def routes(self) -> list[Route]:
        """Every page with its method."""
        return [
            Route("/fulfillment", self._fulfillment, methods=["GET"]),
            Route("/pay/{order_id}", self._page, methods=["GET"], name="payment_page"),
            Route("/pay/{order_id}", self._press, methods=["POST"]),
        ]

    async def _fulfillment(self, request: Request) -> Response:
        query = request.query_params
        return_url, error_url = query.get("returnUrl", ""), query.get("errorUrl", "")
        order = self._sim.book.find(query.get("orderId", ""))
        ours = query.get("clientId", self._sim.tokens.client_id) == self._sim.tokens.client_id
        if order is None or not ours or not is_absolute(return_url) or not self._may_come(order):
            return _error_page(error_url)
        mark_executed(request.scope)
        self._sim.book.note(order, "sent to the URL")
        order.return_url = return_url
        if order.to_pay and not order.paid:
            return RedirectResponse(request.url_for("payment_page", order_id=order.order_id), 302)
        self._sim.book.accept(order)
        bare = self._sim.book.outcome(order).bare_return
        return RedirectResponse(return_url if bare else with_status(return_url, ReturnStatus.SUCCESS), 302)

    def _may_come(self, order: SimulatedOrder) -> bool:
        wrong_way = order.to_pay and order.method in NOT_BY_URL
        return not (wrong_way or self._sim.book.outcome(order).error_page)

    async def _page(self, request: Request) -> Response:
        order = self._sim.book.find(request.path_params["order_id"])
        if order is None or order.return_url is None:
            return _plain("No such payment", 404)
        buttons = "".join(
            f'<form method="post"><input type="hidden" name="action" value="{action}"><button>{escape(label)}</button></form>'
            for action, label in ACTIONS.items()
        )
        amount = "" if order.amount is None else f": {order.amount:g}"
        return _html(f"<h1>Order {order.order_id}{amount}</h1>{buttons}")

    async def _press(self, request: Request) -> Response:
        order = self._sim.book.find(request.path_params["order_id"])
        action = dict(parse_qsl((await request.body()).decode("utf-8", "replace"))).get("action", "")
        if order is None or order.return_url is None or action not in ACTIONS:
            return _plain("No such payment", 404)
        mark_executed(request.scope)
        self._sim.book.note(order, f"pressed {action}")
        if action == "pay" or (action == "lose" and self._sim.book.outcome(order).lost_is_paid):
            self._sim.book.pay(order)
        if action == "close":
            return _plain("You may close this window", 200)
        return RedirectResponse(with_status(order.return_url, OUTCOMES[action]), 303)


def _error_page(error_url: str) -> Response:
    # whether errorUrl serves the fulfillment URL is not documented; C1 sends it
    if is_absolute(error_url):
        return RedirectResponse(error_url, 302)
    return _plain("This order cannot be paid here", 400)


def _plain(text: str, status: int) -> Response:
    return _html(f"<p>{escape(text)}</p>", status)


def _html(inner: str, status: int = 200) -> Response:
    return HTMLResponse(f"<!doctype html><title>Simulated payment page</title>{inner}", status)
