"""Payments that take time, and the callbacks about them (Connect A1, A3, G4). Contains only: these processes."""

from __future__ import annotations

from urllib.parse import urlsplit

from orderflow._providers.connect.simulator.orders import OrderBook, SimulatedOrder
from orderflow._providers.connect.simulator.switches import ConnectSwitches
from orderflow._providers.connect.wire import CallbackStatus
from orderflow._simulators.deliveries import Deliveries
from orderflow.simulators import SimClock


def add_status(url: str, status: str) -> str:
    """``url`` with ``fulfillmentStatus`` added to its query."""
    parts = urlsplit(url)
    added = f"fulfillmentStatus={status}"
    return parts._replace(query=f"{parts.query}&{added}" if parts.query else added).geturl()


class Payments:
    """What customers and Connect do after a request was answered."""

    def __init__(self, switches: ConnectSwitches, clock: SimClock, orders: OrderBook, deliveries: Deliveries) -> None:
        self._switches = switches
        self._clock = clock
        self._orders = orders
        self._deliveries = deliveries

    async def pay_by_sms(self, order: SimulatedOrder, callback_url: str | None) -> None:
        """The customer answers the sms, or does not; then Connect calls back (A3, G4)."""
        outcome = self._orders.outcome(order)
        await self._clock.sleep(outcome.pay_delay)
        if outcome.pay_outcome == "never":
            return
        success = outcome.pay_outcome == "success"
        if success:
            self._orders.pay(order)
        else:
            self._orders.stop(order, "payment failed")
        if callback_url is None or outcome.callback == "never":
            return
        status = CallbackStatus.SUCCESS if success else CallbackStatus.FAILED
        for _ in range(2 if outcome.callback == "twice" else 1):
            await self.call_back(callback_url, status)

    async def call_back(self, callback_url: str, status: CallbackStatus) -> None:
        """GET the callbackUrl with its parameter."""
        joined = self._switches.callback_join == "&"
        url = add_status(callback_url, status) if joined else f"{callback_url}?fulfillmentStatus={status}"
        await self._deliveries.send("GET", url)

    async def pay_later(self, order: SimulatedOrder, seconds: float, return_url: str = "") -> None:
        """The payment arrives after ``seconds``; with ``return_url``, the browser then returns there."""
        await self._clock.sleep(seconds)
        self._orders.pay(order)
        if return_url:
            await self._deliveries.send("GET", return_url)

    def return_again(self, return_url: str) -> None:
        """The browser returns once more in the background, as after a reload."""
        self._deliveries.send_in_background("GET", return_url)
