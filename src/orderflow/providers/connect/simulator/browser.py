"""The simulator's loginServer as a browser sees it: fulfillment URL and payment page (Connect A1, A5, C1).

What may live here: these pages and where they send the browser. What a page looks like is made up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from orderflow.providers.connect.simulator.orders import NOT_BY_URL, SimulatedOrder
from orderflow.providers.connect.wire import ReturnStatus, is_absolute
from orderflow.simulators import mark_executed
from orderflow.simulators.guard import ROOT
from orderflow.simulators.markup import el, headers, page

if TYPE_CHECKING:
    from orderflow.providers.connect.simulator.connect import ConnectSimulator

ACTIONS: Final = {
    "pay": ("Pay", "The money moves; you return with success."),
    "cancel": ("Cancel", "Nothing is paid; you return with cancel."),
    "fail": ("Fail", "The payment fails; you return with error."),
    "lose": ("Lose the result", "Connect never learns how it ended; you return with unknown."),
    "close": ("Close the tab", "You never return at all."),
}
OUTCOMES: Final = {
    "pay": ReturnStatus.SUCCESS,
    "cancel": ReturnStatus.CANCEL,
    "fail": ReturnStatus.ERROR,
    "lose": ReturnStatus.UNKNOWN,
}
_BUTTON: Final = {"success": "pay", "cancel": "cancel", "error": "fail", "unknown": "lose"}
# a browser applies form-action to every redirect after the form, and where the shop sends its customer next is its own affair
_ANYWHERE: Final = "http: https:"


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
            Route("/pay/{order_id}", self._page, methods=["GET"]),
            Route("/pay/{order_id}", self._press, methods=["POST"]),
        ]

    # ---------------------------------------------------------------- the fulfillment URL

    async def _fulfillment(self, request: Request) -> Response:
        query = request.query_params
        return_url, error_url = query.get("returnUrl", ""), query.get("errorUrl", "")
        if not self._sim.absolute_urls and return_url and "://" not in return_url:
            return_url = f"https://{return_url}"
        order = self._sim.book.find(query.get("orderId", ""))
        ours = query.get("clientId", self._sim.tokens.client_id) == self._sim.tokens.client_id
        if order is None or not ours or not self._may_return(return_url) or not self._may_come(order):
            return self._error_page(request, error_url)
        mark_executed(request.scope)
        self._sim.book.note(order, "sent to the URL")
        order.return_url = return_url
        outcome = self._sim.book.outcome(order)
        if outcome.as_prepaid and not order.paid:
            self._sim.book.pay(order)
        if not order.to_pay or order.paid:
            self._sim.book.accept(order)
            bare = outcome.bare_return or self._sim.prepaid_return == "bare"
            return RedirectResponse(return_url if bare else self._back(return_url, ReturnStatus.SUCCESS), 302)
        order.at_payment = True
        if outcome.customer == "page":
            page_url = request.url.replace(path=f"{request.scope[ROOT]}/user/pay/{order.order_id}", query="")
            return RedirectResponse(page_url, 302)
        return self._at_once(request, order, outcome.customer)

    def _may_return(self, url: str) -> bool:
        allowed = self._sim.return_allow_list
        return is_absolute(url) and (allowed is None or any(url.startswith(start) for start in allowed))

    def _may_come(self, order: SimulatedOrder) -> bool:
        wrong_way = order.to_pay and order.method in NOT_BY_URL
        shut = (order.prepaid and self._sim.prepaid_by_url == "error page") or (order.stopped and not self._sim.pay_after_stop)
        return not (wrong_way or shut or self._sim.book.outcome(order).error_page)

    def _at_once(self, request: Request, order: SimulatedOrder, customer: str) -> Response:
        """The customer does what the magic value says, without a payment page."""
        assert order.return_url is not None, "set by the fulfillment URL"
        back = self._back(order.return_url, ReturnStatus.SUCCESS)
        if customer == "forged":
            self._sim.book.note(order, "came back with a success nobody paid for")
            return RedirectResponse(back, 302)
        if customer in _BUTTON:
            return self._done(order, _BUTTON[customer], 302)
        self._sim.book.note(order, "left alone by the customer")
        if customer == "late":
            self._sim.spawn(self._sim.paid_later(order, self._sim.book.outcome(order).late_seconds, back))
        return self._plain(request, "The customer does not pay now", 200)

    def _error_page(self, request: Request, error_url: str) -> Response:
        # whether errorUrl serves the fulfillment URL is not documented; C1 sends it
        if is_absolute(error_url) and self._sim.error_url == "used":
            return RedirectResponse(error_url, 302)
        return self._plain(request, "This order cannot be paid here", 400)

    # ---------------------------------------------------------------- the payment page

    async def _page(self, request: Request) -> Response:
        order = self._sim.book.find(request.path_params["order_id"])
        if order is None or order.return_url is None:
            return self._plain(request, "No such payment", 404)
        buttons = [
            el(
                "form",
                el("input", type="hidden", name="action", value=action),
                el("button", label, class_="main" if action == "pay" else None, aria_describedby=f"about-{action}"),
                el("p", about, id=f"about-{action}", class_="note"),
                method="post",
            )
            for action, (label, about) in ACTIONS.items()
        ]
        amount = el("p", f"{order.amount:,.2f}", class_="sum") if order.amount is not None else None
        told = el("p", "This order is paid already.", role="status", class_="alert") if order.paid else None
        body = [
            el("h1", "Pay your order"),
            el("p", "A simulated payment page: no money is moved.", class_="quiet"),
            el("div", el("p", f"Order {order.order_id}, by {order.method or 'any method'}"), amount, class_="card"),
            told,
            el("div", buttons, class_="pay"),
        ]
        return _html(request, f"Pay order {order.order_id}", body)

    async def _press(self, request: Request) -> Response:
        order = self._sim.book.find(request.path_params["order_id"])
        action = dict(parse_qsl((await request.body()).decode("utf-8", "replace"))).get("action", "")
        if order is None or order.return_url is None or action not in ACTIONS:
            return self._plain(request, "No such payment", 404)
        if order.stopped and not self._sim.pay_after_stop:
            return self._plain(request, "This payment is over", 409)
        mark_executed(request.scope)
        self._sim.book.note(order, f"pressed {action}")
        if action == "close":
            return self._plain(request, "You may close this window", 200)
        return self._done(order, action, 303)

    def _done(self, order: SimulatedOrder, action: str, status: int) -> Response:
        """A button was pressed: what becomes of the money, and the way back."""
        assert order.return_url is not None, "set by the fulfillment URL"
        outcome = self._sim.book.outcome(order)
        if action == "pay" or (action == "lose" and outcome.lost_is_paid):
            self._sim.book.pay(order)
        else:
            self._sim.book.stop(order, f"came to nothing: {OUTCOMES[action]}")
            after = outcome.paid_after
            if after is None and action == "lose":
                after = self._sim.lost_paid_after
            if after is not None:
                self._sim.spawn(self._sim.paid_later(order, after))
        back = self._back(order.return_url, OUTCOMES[action])
        if outcome.return_twice:
            self._sim.deliveries.start("GET", back)
        return RedirectResponse(back, status)

    def _back(self, return_url: str, status: str) -> str:
        kept = return_url if self._sim.return_query == "kept" else urlsplit(return_url)._replace(query="").geturl()
        return with_status(kept, status)

    def _plain(self, request: Request, text: str, status: int) -> Response:
        return _html(request, text, el("h1", text), status)


def _html(request: Request, title: str, body: object, status: int = 200) -> Response:
    whole = page(f"{title} (simulated)", body, root=request.scope[ROOT], wide=False)
    return HTMLResponse(whole, status, headers(_ANYWHERE))
