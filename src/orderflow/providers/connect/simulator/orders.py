"""The simulator's orders: how each was scripted to fare, and how it fares. What may live here: no HTTP, no sending."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from attrs import Attribute, define, evolve, field, frozen

from orderflow.providers.connect.simulator.magic import fields_of, tags_of
from orderflow.providers.connect.wire import OrderRequest
from orderflow.simulators.views import OrderView, flow

if TYPE_CHECKING:
    from orderflow.providers.connect.simulator.connect import ConnectSimulator

PRELIMINARY: Final = "preliminary"
"""The one orderStatus that Connect's pages show (A4, R1)."""
FULFILLED: Final = "fulfilled"
"""Made up: A1 step 8 calls the state so in prose; which word orderStatus then holds is not known."""

EVERY_ORDER: Final = "*"

PayOutcome = Literal["success", "failed", "never"]
Callback = Literal["send", "never", "twice", "early"]
ApiWord = Literal["OK", "ERROR"]
AnswerOrderId = Literal["null", "number"]

Customer = Literal["page", "success", "cancel", "error", "unknown", "abandon", "late", "forged"]

_A3 = frozenset({"sms", "invoice", "free", "kco", "creditcardPayex", "other"})
_G4 = frozenset({"sms", "invoice", "free", "kco", "swishPayex", "vippsEcommerce", "other"})
BY_API: Final = {"A3": _A3, "G4": _G4, "either": _A3 | _G4}
"""Which methods each page lets be completed by API, for orders not paid beforehand."""
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
    ``customer``: what the customer does at the URL: ``page`` shows the payment page, the others press a button at once
    (``abandon``: none, ``late``: pays after ``late_seconds``, ``forged``: comes back with success, unpaid). ``paid_after``:
    seconds after any unpaid end at which the money comes nevertheless. ``return_twice``: the return happens once more.
    ``as_prepaid``: no payment page, as if paid beforehand. ``status_word``: what status calls say instead of fulfilled.
    ``twin``: Register order makes a second order of the same name.
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
    customer: Customer = field(default="page", validator=_one_of(Customer))
    late_seconds: float = 1800.0
    paid_after: float | None = None
    return_twice: bool = False
    as_prepaid: bool = False
    status_word: str | None = None
    twin: bool = False


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
    told: dict[str, Any] = field(factory=dict, repr=False)
    tags: tuple[str, ...] = ()
    at_payment: bool = False
    stopped: bool = False
    completed: bool = False
    assigned: bool = False
    fulfilled_at: float | None = None

    @property
    def to_pay(self) -> bool:
        """Whether the customer still has something to pay by the way of an order (not by invoice)."""
        return not (self.prepaid or self.method in NOTHING_TO_PAY)

    @property
    def stage(self) -> str:
        """Where the order is, in the simulator's own words: Connect shows next to nothing of it."""
        if self.fulfilled_at is not None:
            return "fulfilled"
        if self.paid:
            return "paid"
        return STOPPED if self.stopped else "at payment" if self.at_payment else "registered"


class OrderBook:
    """All orders, by small increasing number. ``externalOrderId`` is not unique (R1), and nothing is deduplicated."""

    def __init__(self, sim: ConnectSimulator, first_id: int) -> None:
        self._sim = sim
        self._first_id = self._next_id = first_id
        self._orders: dict[str, SimulatedOrder] = {}
        self._scripts: dict[str, dict[str, Any]] = {}

    def forget(self) -> None:
        """No orders any more, and numbers from the first; scripts stay."""
        self._orders.clear()
        self._next_id = self._first_id

    def script(self, external_order_id: str, outcome: dict[str, Any]) -> None:
        """Add to how orders of this name will fare; ``*`` is every order, below all else."""
        evolve(Outcome(), **outcome)  # a field or a word that is none is an error now
        self._scripts[external_order_id] = {**self._scripts.get(external_order_id, {}), **outcome}

    def outcome(self, order: SimulatedOrder) -> Outcome:
        """How this order is to fare: header over script by name over magic value over the script of every order."""
        named = self._scripts.get(order.external_order_id or EVERY_ORDER, {})
        return Outcome(**{**self._scripts.get(EVERY_ORDER, {}), **fields_of(order.tags), **named, **order.told})

    def tell(self, order: SimulatedOrder, header_tags: Iterable[str]) -> None:
        """What the scenario header says of this order, from now on."""
        order.told |= fields_of(header_tags)

    def named(self, external_order_id: str | None) -> SimulatedOrder | None:
        """The first order of that name."""
        return next((order for order in self._orders.values() if order.external_order_id == external_order_id), None)

    def register(self, request: OrderRequest, user: str | None, header_tags: Iterable[str] = ()) -> SimulatedOrder:
        """Take an order in, as often as it is sent."""
        order = SimulatedOrder(
            order_id=self._next_id,
            external_order_id=request.external_order_id,
            method=request.payment_method,
            prepaid=request.prepaid,
            amount=request.order_amount,
            user=user,
            user_mode=user is not None,
            registered_at=self._sim.clock.now(),
            lines=tuple(_read_line(n, line.product_spec_code) for n, line in enumerate(request.order_lines, 1)),
            paid=request.prepaid,
            tags=tags_of(request),
        )
        self.tell(order, header_tags)
        self._next_id += 1
        self._orders[str(order.order_id)] = order
        self.note(order, "registered")
        return order

    def all(self) -> tuple[SimulatedOrder, ...]:
        """Every order as it now stands, oldest first."""
        return tuple(self._settled(order) for order in self._orders.values())

    def find(self, order_id: int | str) -> SimulatedOrder | None:
        """The order of this number as it now stands; None as well once it has expired."""
        order = self._orders.get(str(order_id))
        kept = self._sim.expire_after
        if order is None or (kept is not None and not order.paid and self._sim.clock.now() >= order.registered_at + kept):
            return None
        return self._settled(order)

    def pay(self, order: SimulatedOrder) -> None:
        """The customer's money has come. Paying twice changes nothing."""
        if not order.paid:
            order.paid = True
            self.note(order, "paid")
        self.accept(order)

    def stop(self, order: SimulatedOrder, why: str) -> None:
        """The payment came to nothing; processing stops (A1, G4)."""
        self.note(order, why)
        if not order.paid and order.fulfil_at is None:  # what was accepted without a payment is not taken back by a button
            order.stopped = True
            order.status = self._sim.stopped_word

    def accept(self, order: SimulatedOrder) -> None:
        """Nothing stands in the way any more: the order will be fulfilled after its delay."""
        outcome = self.outcome(order)
        if order.fulfil_at is None and not outcome.fulfil_never:
            delay = self._sim.fulfil_delay if outcome.fulfil_delay is None else outcome.fulfil_delay
            order.fulfil_at = self._sim.clock.now() + delay

    def note(self, order: SimulatedOrder, what: str) -> None:
        """Write into the order's history."""
        order.history.append((self._sim.clock.now(), what))
        self._sim.tell("order", id=str(order.order_id), reference=order.external_order_id, happened=what)

    def _settled(self, order: SimulatedOrder) -> SimulatedOrder:
        # fulfilment needs no timer: whoever looks finds it done from its time on
        due, now = order.fulfil_at, self._sim.clock.now()
        if due is not None and order.fulfilled_at is None and due <= now:
            order.fulfilled_at = due
            order.status = self.outcome(order).status_word or self._sim.fulfilled_word
            order.history.append((due, "fulfilled"))
        word = self._sim.transferred_word
        if word and order.fulfilled_at is not None and order.status != word and now >= order.fulfilled_at + self._sim.transfer_delay:
            order.status = word
            order.history.append((order.fulfilled_at + self._sim.transfer_delay, "transferred"))
        return order

    # ---------------------------------------------------------------- by hand

    def legal(self, order: SimulatedOrder) -> tuple[str, ...]:
        """Where Connect may move an order from here."""
        if order.stage == STOPPED and not self._sim.pay_after_stop:
            return ()
        if order.stage == "registered" and not order.to_pay:
            return ("fulfilled", STOPPED)
        return _LEGAL.get(order.stage, ())

    def move(self, order: SimulatedOrder, to: str, *, force: bool) -> None:
        """Move an order by hand. A word that is no stage is, by force, what status calls say from now on."""
        if not force and to not in self.legal(order):
            raise ValueError(f"Connect does not move an order from {order.stage} to {to}; force=True does")
        now = self._sim.clock.now()
        if to in STAGES or to == STOPPED:
            order.paid = order.prepaid or to in {"paid", "fulfilled"}
            order.stopped, order.at_payment = to == STOPPED, to == "at payment"
            order.fulfilled_at = order.fulfil_at = now if to == "fulfilled" else None
            words = {"fulfilled": self.outcome(order).status_word or self._sim.fulfilled_word, STOPPED: self._sim.stopped_word}
            order.status = words.get(to, PRELIMINARY)
        else:
            order.status = to
        self.note(order, f"{to} by hand")

    def view(self, order: SimulatedOrder) -> OrderView:
        """The order as pages and control calls show it."""
        legal, stage = self.legal(order), order.stage
        passed = {"registered"} | ({"at payment"} if order.at_payment else set()) | ({"paid"} if order.paid else set())
        kind = f"{order.method or 'no method'}{', prepaid' if order.prepaid else ''}{', user mode' if order.user_mode else ''}"
        strange = [tag for tag in order.tags if not fields_of([tag]) and tag != "success"]
        return OrderView(
            id=str(order.order_id),
            reference=order.external_order_id,
            status=order.status,
            stage=stage,
            since=order.history[-1][0],
            history=tuple(order.history),
            legal=legal,
            forced=tuple(to for to in (*STAGES, STOPPED, "inTransfer") if to not in legal and to != stage),
            flow=flow((STAGES, (STOPPED,)), stage, passed, legal),
            notes=(f"Payment: {kind}.", *(f"The tag +{tag} means nothing here." for tag in strange)),
            link=f"/user/pay/{order.order_id}" if order.return_url is not None and not order.paid else "",
        )


def _read_line(n: int, description: str | None) -> dict[str, object]:
    """A line as Search order details shows it (example values of R1)."""
    return {"productId": n, "description": description, "invoiceStatus": "notInvoiced", "deliveryStatus": "waiting"}
