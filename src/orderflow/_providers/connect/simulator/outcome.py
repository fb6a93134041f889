"""What is to happen to an order. Contains only: ``Outcome`` and the values of its fields."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from attrs import Attribute, field, frozen

EVERY_ORDER: Final = "*"

PayOutcome = Literal["success", "failed", "never"]
Callback = Literal["send", "never", "twice", "early"]
ApiAnswer = Literal["OK", "ERROR"]
AnswerOrderId = Literal["null", "number"]
Customer = Literal["page", "success", "cancel", "error", "unknown", "abandon", "late", "forged"]


def _one_of(values: Any) -> Any:
    def check(_: Outcome, attribute: Attribute[Any], value: object) -> None:
        if value is not None and value not in get_args(values):
            raise ValueError(f"{attribute.name}: {value!r} is none of {', '.join(get_args(values))}")

    return check


@frozen(kw_only=True)
class Outcome:
    """What is to happen to an order. All seconds are the simulator's.

    Attributes:
        pay_outcome: what the customer does with the sms.
        pay_delay: seconds from the sms to that.
        callback: ``send`` once after the answer, ``never``, ``twice``, or ``early``: paid and called back before the API answers.
        fulfil_delay: seconds from paid or accepted to fulfilled; None for the switch.
        fulfil_never: the order is never fulfilled.
        api_answer, api_message: what the fulfillment API answers.
        answer_order_id: its orderId; None as A3 prints it (null for OK, a number for ERROR).
        bare_return: no fulfillmentStatus on a return without a payment page.
        error_page: the fulfillment URL leads to errorUrl.
        lost_is_paid: the payment whose result the page loses was made.
        is_new_user, password_set: what Assign user answers.
        customer: what the customer does at the fulfillment URL. ``page`` shows the payment page; most others press its button at once.
            ``abandon``: presses none. ``late``: pays after ``late_seconds``. ``forged``: returns with success, without paying.
        paid_after: seconds after an unpaid end at which the payment arrives all the same.
        return_twice: the return happens a second time.
        as_prepaid: no payment page, as if paid beforehand.
        fulfilled_status: what status calls answer instead of fulfilled; None for the switch.
        twin: Register order makes a second order of the same externalOrderId.
    """

    pay_outcome: PayOutcome = field(default="success", validator=_one_of(PayOutcome))
    pay_delay: float = 0.0
    callback: Callback = field(default="send", validator=_one_of(Callback))
    fulfil_delay: float | None = None
    fulfil_never: bool = False
    api_answer: ApiAnswer = field(default="OK", validator=_one_of(ApiAnswer))
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
    fulfilled_status: str | None = None
    twin: bool = False
