"""The simulator's loginServer as a browser uses it: fulfillment URL and payment page (Connect A1, A5, C1).

Contains only: these pages, and where they redirect the browser. How a page looks is made up.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from orderflow._providers.connect.simulator.orders import OrderBook, SimulatedOrder
from orderflow._providers.connect.simulator.payments import Payments, add_status
from orderflow._providers.connect.simulator.switches import ConnectSwitches
from orderflow._providers.connect.wire import ReturnStatus, is_absolute
from orderflow._simulators.background import BackgroundTasks
from orderflow._simulators.markup import el, page, page_headers
from orderflow._simulators.middleware import ROOT
from orderflow.simulators import mark_executed

NOT_BY_URL: Final = frozenset({"sms", "other"})
"""Methods that cannot be paid at the fulfillment URL."""
BUTTONS: Final = {
    "pay": ("Pay", "The money moves; you return with success."),
    "cancel": ("Cancel", "Nothing is paid; you return with cancel."),
    "fail": ("Fail", "The payment fails; you return with error."),
    "lose": ("Lose the result", "Connect never learns how it ended; you return with unknown."),
    "close": ("Close the tab", "You never return at all."),
}
RETURNS: Final = {
    "pay": ReturnStatus.SUCCESS,
    "cancel": ReturnStatus.CANCEL,
    "fail": ReturnStatus.ERROR,
    "lose": ReturnStatus.UNKNOWN,
}
"""The fulfillmentStatus with which each button returns."""
_BUTTON_OF_CUSTOMER: Final = {"success": "pay", "cancel": "cancel", "error": "fail", "unknown": "lose"}
# a browser applies form-action to every redirect after the form, and the application may redirect its customer anywhere
_ANY_SITE: Final = "http: https:"


class Browser:
    """The pages under ``/user``. ``client_id`` is the only client."""

    def __init__(
        self,
        switches: ConnectSwitches,
        *,
        client_id: str,
        orders: OrderBook,
        payments: Payments,
        background: BackgroundTasks,
    ) -> None:
        self._switches = switches
        self._client_id = client_id
        self._orders = orders
        self._payments = payments
        self._background = background

    def routes(self) -> list[Route]:
        """Every page with its method."""
        return [
            Route("/fulfillment", self._visit_fulfillment, methods=["GET"]),
            Route("/pay/{order_id}", self._show_payment, methods=["GET"]),
            Route("/pay/{order_id}", self._press_button, methods=["POST"]),
        ]

    # ---------------------------------------------------------------- the fulfillment URL

    async def _visit_fulfillment(self, request: Request) -> Response:
        query = request.query_params
        return_url, error_url = query.get("returnUrl", ""), query.get("errorUrl", "")
        if not self._switches.absolute_urls and return_url and "://" not in return_url:
            return_url = f"https://{return_url}"
        order = self._orders.find(query.get("orderId", ""))
        known_client = query.get("clientId", self._client_id) == self._client_id
        if order is None or not known_client or not self._is_return_allowed(return_url) or not self._is_payable(order):
            return self._refuse_payment(request, error_url)
        mark_executed(request.scope)
        self._orders.record(order, "sent to the URL")
        order.return_url = return_url
        outcome = self._orders.outcome(order)
        if outcome.as_prepaid and not order.paid:
            self._orders.pay(order)
        if not order.to_pay or order.paid:
            self._orders.accept(order)
            bare = outcome.bare_return or self._switches.prepaid_return == "bare"
            return RedirectResponse(return_url if bare else self._return_address(return_url, ReturnStatus.SUCCESS), 302)
        order.at_payment = True
        if outcome.customer == "page":
            page_url = request.url.replace(path=f"{request.scope[ROOT]}/user/pay/{order.order_id}", query="")
            return RedirectResponse(page_url, 302)
        return self._act_as_customer(request, order, return_url)

    def _is_return_allowed(self, url: str) -> bool:
        allowed = self._switches.return_allow_list
        return is_absolute(url) and (allowed is None or any(url.startswith(start) for start in allowed))

    def _is_payable(self, order: SimulatedOrder) -> bool:
        wrong_method = order.to_pay and order.method in NOT_BY_URL
        prepaid = order.prepaid and self._switches.prepaid_by_url == "error page"
        stopped = order.stopped and not self._switches.pay_after_stop
        return not (wrong_method or prepaid or stopped or self._orders.outcome(order).error_page)

    def _act_as_customer(self, request: Request, order: SimulatedOrder, return_url: str) -> Response:
        """Do what the outcome says of the customer, without a payment page."""
        outcome = self._orders.outcome(order)
        success_url = self._return_address(return_url, ReturnStatus.SUCCESS)
        if outcome.customer == "forged":
            self._orders.record(order, "returned with success, without a payment")
            return RedirectResponse(success_url, 302)
        if outcome.customer in _BUTTON_OF_CUSTOMER:
            return self._finish_payment(order, return_url, _BUTTON_OF_CUSTOMER[outcome.customer], 302)
        self._orders.record(order, "abandoned by the customer")
        if outcome.customer == "late":
            self._background.spawn(self._payments.pay_later(order, outcome.late_seconds, success_url))
        return _message_page(request, "The customer does not pay now", 200)

    def _refuse_payment(self, request: Request, error_url: str) -> Response:
        # whether the fulfillment URL uses errorUrl is not documented; C1 sends it
        if is_absolute(error_url) and self._switches.error_url == "used":
            return RedirectResponse(error_url, 302)
        return _message_page(request, "This order cannot be paid here", 400)

    # ---------------------------------------------------------------- the payment page

    async def _show_payment(self, request: Request) -> Response:
        order = self._orders.find(request.path_params["order_id"])
        if order is None or order.return_url is None:
            return _message_page(request, "No such payment", 404)
        buttons = [
            el(
                "form",
                el("input", type="hidden", name="action", value=action),
                el("button", label, class_="main" if action == "pay" else None, aria_describedby=f"about-{action}"),
                el("p", about, id=f"about-{action}", class_="note"),
                method="post",
            )
            for action, (label, about) in BUTTONS.items()
        ]
        amount = el("p", f"{order.amount:,.2f}", class_="sum") if order.amount is not None else None
        body = [
            el("h1", "Pay your order"),
            el("p", "A simulated payment page: no money is moved.", class_="quiet"),
            el("div", el("p", f"Order {order.order_id}, by {order.method or 'any method'}"), amount, class_="card"),
            el("p", "This order is paid already.", role="status", class_="alert") if order.paid else None,
            el("div", buttons, class_="pay"),
        ]
        return _html_page(request, f"Pay order {order.order_id}", body)

    async def _press_button(self, request: Request) -> Response:
        order = self._orders.find(request.path_params["order_id"])
        action = dict(parse_qsl((await request.body()).decode("utf-8", "replace"))).get("action", "")
        if order is None or order.return_url is None or action not in BUTTONS:
            return _message_page(request, "No such payment", 404)
        if order.stopped and not self._switches.pay_after_stop:
            return _message_page(request, "This payment is over", 409)
        mark_executed(request.scope)
        self._orders.record(order, f"pressed {action}")
        if action == "close":
            return _message_page(request, "You may close this window", 200)
        return self._finish_payment(order, order.return_url, action, 303)

    def _finish_payment(self, order: SimulatedOrder, return_url: str, action: str, redirect_status: int) -> Response:
        """Pay or stop the order as the button says, and redirect the browser back."""
        outcome = self._orders.outcome(order)
        if action == "pay" or (action == "lose" and outcome.lost_is_paid):
            self._orders.pay(order)
        else:
            self._orders.stop(order, f"not paid: {RETURNS[action]}")
            paid_after = outcome.paid_after
            if paid_after is None and action == "lose":
                paid_after = self._switches.lost_paid_after
            if paid_after is not None:
                self._background.spawn(self._payments.pay_later(order, paid_after))
        address = self._return_address(return_url, RETURNS[action])
        if outcome.return_twice:
            self._payments.return_again(address)
        return RedirectResponse(address, redirect_status)

    def _return_address(self, return_url: str, status: ReturnStatus) -> str:
        base = return_url if self._switches.return_query == "kept" else urlsplit(return_url)._replace(query="").geturl()
        return add_status(base, status)


def _message_page(request: Request, text: str, status: int) -> Response:
    return _html_page(request, text, el("h1", text), status)


def _html_page(request: Request, title: str, body: object, status: int = 200) -> Response:
    html = page(f"{title} (simulated)", body, root=request.scope[ROOT], wide=False)
    return HTMLResponse(html, status, page_headers(_ANY_SITE))
