"""The simulator's orders: what is scripted for them, and what happens to them. Contains only: no HTTP, no sending."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from attrs import define, evolve, field

from orderflow._providers.connect.simulator.magic import fields_of, tags_of
from orderflow._providers.connect.simulator.outcome import EVERY_ORDER, Outcome
from orderflow._providers.connect.simulator.switches import ConnectSwitches
from orderflow._providers.connect.wire import OrderRequest
from orderflow.simulators import EventLog, OrderView, SimClock, draw_flow

PRELIMINARY: Final = "preliminary"
"""The one orderStatus that Connect's pages show (A4, R1)."""
FULFILLED: Final = "fulfilled"
"""Made up: A1 step 8 calls the state so in prose; which orderStatus it then has is not known."""

NOTHING_TO_PAY: Final = frozenset({"invoice", "free"})
STAGES: Final = ("registered", "at payment", "paid", "fulfilled")
STOPPED: Final = "stopped"
_LEGAL: Final = {
    "registered": (STOPPED,),
    "at payment": ("paid", STOPPED),
    "paid": ("fulfilled",),
    STOPPED: ("paid",),
}


@define
class SimulatedOrder:
    """One order as Connect has it. ``history``: (simulator time, what happened), oldest first."""

    order_id: int
    external_order_id: str | None
    method: str | None
    prepaid: bool
    amount: float | None
    user: str | None
    user_mode: bool
    registered_at: float
    lines: tuple[dict[str, object], ...] = field(repr=False)
    paid: bool = False
    status: str = PRELIMINARY
    history: list[tuple[float, str]] = field(factory=list)
    fulfil_at: float | None = None
    return_url: str | None = field(default=None, repr=False)
    header_fields: dict[str, Any] = field(factory=dict, repr=False)
    tags: tuple[str, ...] = ()
    at_payment: bool = False
    stopped: bool = False
    completed: bool = False
    assigned: bool = False
    fulfilled_at: float | None = None

    @property
    def to_pay(self) -> bool:
        """Whether the customer must pay before the order is fulfilled (not prepaid, free or by invoice)."""
        return not (self.prepaid or self.method in NOTHING_TO_PAY)

    @property
    def stage(self) -> str:
        """Where the order is, by the simulator's own names: Connect's statuses show almost nothing of it."""
        if self.fulfilled_at is not None:
            return "fulfilled"
        if self.paid:
            return "paid"
        return STOPPED if self.stopped else "at payment" if self.at_payment else "registered"


class OrderBook:
    """All orders, by small rising numbers. ``externalOrderId`` is not unique (R1), and nothing is deduplicated."""

    def __init__(self, switches: ConnectSwitches, clock: SimClock, events: EventLog, *, first_id: int) -> None:
        self._switches = switches
        self._clock = clock
        self._events = events
        self._first_id = self._next_id = first_id
        self._orders: dict[str, SimulatedOrder] = {}
        self._scripts: dict[str, dict[str, Any]] = {}

    def clear(self) -> None:
        """Delete all orders; numbers start again, scripts stay."""
        self._orders.clear()
        self._next_id = self._first_id

    # ---------------------------------------------------------------- what is to happen

    def script(self, external_order_id: str, outcome: dict[str, Any]) -> None:
        """Add to the outcome of orders with this externalOrderId; ``*`` is for all orders, and weakest.

        Raises TypeError for an unknown field, ValueError for an unknown value.
        """
        evolve(Outcome(), **outcome)  # raises now, not at the first order
        self._scripts[external_order_id] = {**self._scripts.get(external_order_id, {}), **outcome}

    def outcome(self, order: SimulatedOrder) -> Outcome:
        """What is to happen to this order: header over its script over magic values over the script for all orders."""
        script = self._scripts.get(order.external_order_id or EVERY_ORDER, {})
        return Outcome(**{**self._scripts.get(EVERY_ORDER, {}), **fields_of(order.tags), **script, **order.header_fields})

    def apply_tags(self, order: SimulatedOrder, header_tags: Iterable[str]) -> None:
        """Apply the tags of a scenario header to this order, from now on."""
        order.header_fields |= fields_of(header_tags)

    # ---------------------------------------------------------------- look-ups

    def all(self) -> tuple[SimulatedOrder, ...]:
        """Every order as of now, oldest first."""
        return tuple(self._update(order) for order in self._orders.values())

    def find(self, order_id: int | str) -> SimulatedOrder | None:
        """The order of this number as of now; None also after it has expired."""
        order = self._orders.get(str(order_id))
        lifetime = self._switches.expire_after
        if order is None or (lifetime is not None and not order.paid and self._clock.now() >= order.registered_at + lifetime):
            return None
        return self._update(order)

    def find_by_external_id(self, external_order_id: str) -> SimulatedOrder | None:
        """The first order of that externalOrderId."""
        return next((order for order in self._orders.values() if order.external_order_id == external_order_id), None)

    # ---------------------------------------------------------------- an order's life

    def register(self, request: OrderRequest, user: str | None, header_tags: Iterable[str] = ()) -> SimulatedOrder:
        """Add an order, each time it is sent."""
        order = SimulatedOrder(
            order_id=self._next_id,
            external_order_id=request.external_order_id,
            method=request.payment_method,
            prepaid=request.prepaid,
            amount=request.order_amount,
            user=user,
            user_mode=user is not None,
            registered_at=self._clock.now(),
            lines=tuple(_order_line(n, line.product_spec_code) for n, line in enumerate(request.order_lines, 1)),
            paid=request.prepaid,
            tags=tags_of(request),
        )
        self.apply_tags(order, header_tags)
        self._next_id += 1
        self._orders[str(order.order_id)] = order
        self.record(order, "registered")
        return order

    def pay(self, order: SimulatedOrder) -> None:
        """The payment has arrived. A second payment changes nothing."""
        if not order.paid:
            order.paid = True
            self.record(order, "paid")
        self.accept(order)

    def stop(self, order: SimulatedOrder, reason: str) -> None:
        """The payment was cancelled or failed; processing stops (A1, G4)."""
        self.record(order, reason)
        if not order.paid and order.fulfil_at is None:  # an order accepted without a payment is not stopped by a button
            order.stopped = True
            order.status = self._switches.stopped_status

    def accept(self, order: SimulatedOrder) -> None:
        """The order will be fulfilled after its delay."""
        outcome = self.outcome(order)
        if order.fulfil_at is None and not outcome.fulfil_never:
            delay = self._switches.fulfil_delay if outcome.fulfil_delay is None else outcome.fulfil_delay
            order.fulfil_at = self._clock.now() + delay

    def record(self, order: SimulatedOrder, what: str) -> None:
        """Add to the order's history and to the events."""
        order.history.append((self._clock.now(), what))
        self._events.record("order", id=str(order.order_id), reference=order.external_order_id, happened=what)

    def _update(self, order: SimulatedOrder) -> SimulatedOrder:
        # fulfilment needs no timer: each look-up brings the order up to date
        now = self._clock.now()
        if order.fulfil_at is not None and order.fulfilled_at is None and order.fulfil_at <= now:
            order.fulfilled_at = order.fulfil_at
            order.status = self._choose_fulfilled_status(order)
            order.history.append((order.fulfilled_at, "fulfilled"))
        transferred = self._switches.transferred_status
        if transferred and order.fulfilled_at is not None and order.status != transferred:
            transferred_at = order.fulfilled_at + self._switches.transfer_delay
            if now >= transferred_at:
                order.status = transferred
                order.history.append((transferred_at, "transferred"))
        return order

    def _choose_fulfilled_status(self, order: SimulatedOrder) -> str:
        return self.outcome(order).fulfilled_status or self._switches.fulfilled_status

    # ---------------------------------------------------------------- by hand

    def legal_moves(self, order: SimulatedOrder) -> tuple[str, ...]:
        """The stages to which Connect may move an order."""
        if order.stage == STOPPED and not self._switches.pay_after_stop:
            return ()
        if order.stage == "registered" and not order.to_pay:
            return ("fulfilled", STOPPED)
        return _LEGAL.get(order.stage, ())

    def move(self, order: SimulatedOrder, to: str, *, force: bool) -> None:
        """Move an order by hand. With force, ``to`` may also be any status that status calls answer from now on."""
        if not force and to not in self.legal_moves(order):
            raise ValueError(f"Connect does not move an order from {order.stage} to {to}; force=True does")
        now = self._clock.now()
        if to in STAGES or to == STOPPED:
            order.paid = order.prepaid or to in {"paid", "fulfilled"}
            order.stopped, order.at_payment = to == STOPPED, to == "at payment"
            order.fulfilled_at = order.fulfil_at = now if to == "fulfilled" else None
            statuses = {"fulfilled": self._choose_fulfilled_status(order), STOPPED: self._switches.stopped_status}
            order.status = statuses.get(to, PRELIMINARY)
        else:
            order.status = to
        self.record(order, f"{to} by hand")

    def view(self, order: SimulatedOrder) -> OrderView:
        """The order as pages and control calls show it."""
        legal, stage = self.legal_moves(order), order.stage
        passed = {"registered"} | ({"at payment"} if order.at_payment else set()) | ({"paid"} if order.paid else set())
        payment = f"{order.method or 'no method'}{', prepaid' if order.prepaid else ''}{', user mode' if order.user_mode else ''}"
        unknown = [tag for tag in order.tags if not fields_of([tag]) and tag != "success"]
        return OrderView(
            id=str(order.order_id),
            reference=order.external_order_id,
            status=order.status,
            stage=stage,
            since=order.history[-1][0],
            history=tuple(order.history),
            legal=legal,
            forced=tuple(to for to in (*STAGES, STOPPED, "inTransfer") if to not in legal and to != stage),
            flow=draw_flow((STAGES, (STOPPED,)), stage, passed, legal),
            notes=(f"Payment: {payment}.", *(f"The tag +{tag} means nothing here." for tag in unknown)),
            link=f"/user/pay/{order.order_id}" if order.return_url is not None and not order.paid else "",
        )


def _order_line(n: int, description: str | None) -> dict[str, object]:
    """A line as Search order details answers it (example values of R1)."""
    return {"productId": n, "description": description, "invoiceStatus": "notInvoiced", "deliveryStatus": "waiting"}
