"""The simulator's orders: how each was scripted to fare, and how it fares. What may live here: no HTTP, no sending."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from attrs import Attribute, define, evolve, field, frozen

from orderflow.providers.connect.wire import OrderRequest
from orderflow.simkit import SimClock

PRELIMINARY: Final = "preliminary"
"""The one orderStatus that Connect's pages show (A4, R1)."""
FULFILLED: Final = "fulfilled"
"""Made up: A1 step 8 calls the state so in prose; which word orderStatus then holds is not known."""

EVERY_ORDER: Final = "*"

PayOutcome = Literal["success", "failed", "never"]
Callback = Literal["send", "never", "twice", "early"]
ApiWord = Literal["OK", "ERROR"]
AnswerOrderId = Literal["null", "number"]

# by G4 and A3 together, for orders not paid beforehand; what neither lists is answered with ERROR (made up)
NOT_BY_API: Final = frozenset({"smsPay", "vippsRecurring", "nexi", "creditcard", "masterpass"})
NOT_BY_URL: Final = frozenset({"sms", "other"})
NOTHING_TO_PAY: Final = frozenset({"invoice", "free"})


def _one_of(words: Any) -> Any:
    def check(_: Outcome, attribute: Attribute[Any], value: object) -> None:
        if value is not None and value not in get_args(words):
            raise ValueError(f"{attribute.name}: {value!r} is none of {', '.join(get_args(words))}")

    return check


@frozen(kw_only=True)
class Outcome:
    """How an order is to fare. All seconds are the simulator's.

    ``pay_outcome``, ``pay_delay``: what the customer does with the sms, and how long after the request for it.
    ``callback``: sent once after the answer, ``never``, ``twice``, or ``early``: paid and told before the API answers.
    ``fulfil_delay``: from paid or accepted to fulfilled (None: the simulator's own); ``fulfil_never``: it never is.
    ``api_answer``, ``api_message``: the fulfillment API's word. ``answer_order_id``: its orderId (None: as A3 prints
    it, null for OK, a number for ERROR). ``bare_return``: no fulfillmentStatus on a return without a payment page.
    ``error_page``: the fulfillment URL leads to errorUrl. ``lost_is_paid``: whether the payment whose outcome the page
    loses went through. ``is_new_user``, ``password_set``: what Assign user answers.
    """

    pay_outcome: PayOutcome = field(default="success", validator=_one_of(PayOutcome))
    pay_delay: float = 0.0
    callback: Callback = field(default="send", validator=_one_of(Callback))
    fulfil_delay: float | None = None
    fulfil_never: bool = False
    api_answer: ApiWord = field(default="OK", validator=_one_of(ApiWord))
    api_message: str = "phone number not accepted"
    answer_order_id: AnswerOrderId | None = field(default=None, validator=_one_of(AnswerOrderId))
    bare_return: bool = False
    error_page: bool = False
    lost_is_paid: bool = False
    is_new_user: bool = True
    password_set: bool = False


@define
class SimulatedOrder:
    """One order as the simulator knows it. ``history``: (simulator time, what happened), oldest first."""

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

    @property
    def to_pay(self) -> bool:
        """Whether the customer still has something to pay by the way of an order (not by invoice)."""
        return not (self.prepaid or self.method in NOTHING_TO_PAY)


class OrderBook:
    """All orders, by small increasing number. ``externalOrderId`` is not unique (R1), and nothing is deduplicated."""

    def __init__(self, clock: SimClock, first_id: int, fulfil_delay: float) -> None:
        self._clock = clock
        self._next_id = first_id
        self._fulfil_delay = fulfil_delay
        self._orders: dict[str, SimulatedOrder] = {}
        self._outcomes: dict[str, Outcome] = {EVERY_ORDER: Outcome()}

    def script(self, external_order_id: str, outcome: dict[str, Any]) -> None:
        """Add to how orders of this name will fare; ``*`` is every order that has no script of its own."""
        self._outcomes[external_order_id] = evolve(self._outcome_named(external_order_id), **outcome)

    def outcome(self, order: SimulatedOrder) -> Outcome:
        """How this order was scripted to fare."""
        return self._outcome_named(order.external_order_id or EVERY_ORDER)

    def register(self, request: OrderRequest, user: str | None) -> SimulatedOrder:
        """Take an order in, as often as it is sent."""
        order = SimulatedOrder(
            order_id=self._next_id,
            external_order_id=request.external_order_id,
            method=request.payment_method,
            prepaid=request.prepaid,
            amount=request.order_amount,
            user=user,
            user_mode=user is not None,
            registered_at=self._clock.now(),
            lines=tuple(_read_line(n, line.product_spec_code) for n, line in enumerate(request.order_lines, 1)),
            paid=request.prepaid,
        )
        self._next_id += 1
        self._orders[str(order.order_id)] = order
        self.note(order, "registered")
        return order

    def all(self) -> tuple[SimulatedOrder, ...]:
        """Every order as it now stands, oldest first."""
        return tuple(self._settled(order) for order in self._orders.values())

    def find(self, order_id: int | str) -> SimulatedOrder | None:
        """The order of this number as it now stands."""
        order = self._orders.get(str(order_id))
        return None if order is None else self._settled(order)

    def pay(self, order: SimulatedOrder) -> None:
        """The customer's money has come. Paying twice changes nothing."""
        if not order.paid:
            order.paid = True
            self.note(order, "paid")
        self.accept(order)

    def accept(self, order: SimulatedOrder) -> None:
        """Nothing stands in the way any more: the order will be fulfilled after its delay."""
        outcome = self.outcome(order)
        if order.fulfil_at is None and not outcome.fulfil_never:
            delay = self._fulfil_delay if outcome.fulfil_delay is None else outcome.fulfil_delay
            order.fulfil_at = self._clock.now() + delay

    def note(self, order: SimulatedOrder, what: str) -> None:
        """Write into the order's history."""
        order.history.append((self._clock.now(), what))

    def _outcome_named(self, name: str) -> Outcome:
        return self._outcomes.get(name) or self._outcomes[EVERY_ORDER]

    def _settled(self, order: SimulatedOrder) -> SimulatedOrder:
        # fulfilment needs no timer: whoever looks finds it done from its time on
        due = order.fulfil_at
        if due is not None and order.status == PRELIMINARY and due <= self._clock.now():
            order.status = FULFILLED
            order.history.append((due, FULFILLED))
        return order


def _read_line(n: int, description: str | None) -> dict[str, object]:
    """A line as Search order details shows it (example values of R1)."""
    return {"productId": n, "description": description, "invoiceStatus": "notInvoiced", "deliveryStatus": "waiting"}
