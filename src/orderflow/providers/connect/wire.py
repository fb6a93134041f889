"""Connect's JSON in its own words. What may live here: shapes of requests and answers, and what makes a request wrong.

Attributes are Connect's field names in snake case (``order_amount`` is ``orderAmount``). An absent field is ``None`` and
is not sent. What we do not know is kept: unknown fields in ``extra``, unknown words of an open enum as
plain strings (Connect A12: fields and values may be added at any time, without notice). Shapes hold customers' data and
tokens: ``repr`` shows neither.

``fulfillmentStatus`` is one name for three vocabularies, kept apart here: `ReturnStatus` on the browser's way back
(Connect A1), `CallbackStatus` on the callback (Connect A3), `ApiStatus` in the fulfillment API's answer (Connect A3).

A shape can be built wrong, since it must hold whatever a simulator is sent; ``checked()`` on a request is the gate every
request of ours passes before anything is stored or sent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Final, Self
from urllib.parse import urlsplit

from attrs import field, frozen

from orderflow.errors import InvalidInput, MalformedAnswer
from orderflow.wirekit import read, spelled

EXTERNAL_ORDER_ID_MAX: Final = 40
CREDENTIAL_MAX: Final = 60


class ReturnStatus(StrEnum):
    """What the browser brings back to returnUrl (Connect A1). A claim: anyone can type it."""

    SUCCESS = "success"
    CANCEL = "cancel"
    ERROR = "error"
    UNKNOWN = "unknown"


class CallbackStatus(StrEnum):
    """What a GET on callbackUrl says about an sms payment (Connect A3). A claim: it is not signed."""

    SUCCESS = "success"
    FAILED = "failed"


class ApiStatus(StrEnum):
    """What the fulfillment API answers (Connect A3). ``OK`` is *accepted*: an sms order is not paid by it."""

    OK = "OK"
    ERROR = "ERROR"


class ProductSpecType(StrEnum):
    """What an order line sells (Connect A6)."""

    COUPON = "coupon"
    PRODUCT = "product"
    ISSUE = "issue"
    ARTICLE = "article"


LINE_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    ProductSpecType.COUPON: ("productSpecCode", "productSpecNo"),
    ProductSpecType.PRODUCT: ("product",),
    ProductSpecType.ISSUE: ("productSpecCode", "productSpecNo", "product"),
    ProductSpecType.ARTICLE: ("articleDetail",),
}
"""The fields a line must have, by its productSpecType (Connect A6)."""


class OrderId(str):
    """Connect's number of an order, as text: an integer in bodies, a string in paths (Connect A3, A4).

    Raises ValueError for what is neither a whole number nor the digits of one.
    """

    __slots__ = ()

    def __new__(cls, value: int | str) -> Self:
        digits = str(value)
        if isinstance(value, bool) or not (digits.isascii() and digits.isdigit()):
            raise ValueError("orderId: not a whole number")
        return super().__new__(cls, digits)


# ---------------------------------------------------------------- values


def _number(value: Decimal | float | None) -> float | None:
    """An amount as a JSON number; JSON knows no Decimal."""
    if not isinstance(value, Decimal):
        return value
    return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)


def _whole(value: int | str) -> int:
    try:
        return int(OrderId(value))
    except ValueError:
        raise InvalidInput("orderId", "must be a whole number") from None


def _whole_or_none(value: int | str | None) -> int | None:
    return None if value is None else _whole(value)


def _absolute(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


Problems = Iterator[tuple[str, str]]
"""(field path in Connect's words, reason)."""


def _refuse_first(problems: Problems) -> None:
    for name, reason in problems:
        raise InvalidInput(name, reason)


def _bad_amount(name: str, value: float | None) -> Problems:
    if value is not None and (isinstance(value, bool) or not math.isfinite(value)):
        yield name, "must be a finite number"


def _bad_url(name: str, url: str | None) -> Problems:
    if url is not None and not _absolute(url):
        yield name, "must be an absolute http or https URL"


# ---------------------------------------------------------------- token (Connect A10, A3)


@frozen(repr=False)
class TokenAnswer:
    """Answer of ``POST <loginServer>/oauth/token``; ``expires_in`` in seconds, 12 hours by default (Connect A10)."""

    access_token: str = field(metadata=spelled("access_token"))
    token_type: str | None = field(default=None, metadata=spelled("token_type"))
    expires_in: int | None = field(default=None, metadata=spelled("expires_in"))
    refresh_token: str | None = field(default=None, metadata=spelled("refresh_token"))
    scope: str | None = None
    extra: Mapping[str, object] = field(factory=dict)


# ---------------------------------------------------------------- Register order (Connect A5, A6, C1)


@frozen(repr=False)
class Person:
    """Payer, receiver or recruiter (fields from Connect C1's model)."""

    customer_number: int | str | None = None
    company_registration_number: str | None = None
    company_name: str | None = None
    department: str | None = None
    first_name: str | None = None
    middle_name: str | None = None
    last_name: str | None = None
    co_address: str | None = None
    street: str | None = None
    street_number: str | None = None
    entrance: str | None = None
    floor: str | None = None
    suite: str | None = None
    postal_code: str | None = None
    postal_place: str | None = None
    postal_address: str | None = None
    postal_address_postal_code: str | None = None
    postal_address_postal_place: str | None = None
    country_code: str | None = None
    birth_date: int | str | None = None
    sex: str | None = None
    emails: tuple[str, ...] | None = None
    phone_numbers: tuple[str, ...] | None = None
    extra: Mapping[str, object] = field(factory=dict)

    def payer_problems(self) -> Problems:
        """What a payer lacks (Connect A5)."""
        if not (self.company_name or self.last_name):
            yield "payer.lastName", "companyName or lastName is required"
        if not self.postal_code:
            yield "payer.postalCode", "required"
        if not (self.emails or self.phone_numbers):
            yield "payer.emails", "emails or phoneNumbers is required"


@frozen
class StartInfo:
    """When a subscription starts (Connect C2); senders differ in how they write a date."""

    start_date: int | str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False)


@frozen
class OrderLine:
    """One thing sold. ``receiver`` only where it is not the payer (Connect A8). Amounts are in major units.

    ``allow_access_product`` and ``allow_access_seconds`` ask for temporary access, ``allow_access_category_type``
    for access to a category (Connect A6).
    """

    product_spec_type: ProductSpecType | str
    product_spec_code: str | None = None
    product_spec_no: int | None = None
    product: str | None = None
    article_detail: object = None
    quantity: int | None = None
    unit_price: float | None = field(default=None, converter=_number)
    voucher_code: str | None = None
    allow_access_product: str | None = None
    allow_access_seconds: int | None = None
    allow_access_category_type: str | None = None
    start_info: StartInfo | None = None
    reward_partner_id: int | str | None = None
    reward_id: int | str | None = None
    receiver: Person | None = field(default=None, repr=False)
    recruiter: Person | None = field(default=None, repr=False)
    extra: Mapping[str, object] = field(factory=dict, repr=False)

    def problems(self, path: str) -> Problems:
        """What this line lacks by its productSpecType (Connect A6)."""
        if self.product_spec_type not in LINE_NEEDS:
            yield f"{path}.productSpecType", f"must be one of {', '.join(LINE_NEEDS)}"
            return
        has = {
            "productSpecCode": self.product_spec_code,
            "productSpecNo": self.product_spec_no,
            "product": self.product,
            "articleDetail": self.article_detail,
        }
        for name in LINE_NEEDS[self.product_spec_type]:
            if has[name] is None or has[name] == "":
                yield f"{path}.{name}", f"required for productSpecType {self.product_spec_type}"
        yield from _bad_amount(f"{path}.unitPrice", self.unit_price)


@frozen(repr=False)
class PaymentInfo:
    """How a prepaid order was paid. Fields from C1's older single ``paymentInfo``; the newer objects' are not known."""

    ticket: str | None = None
    card_number_masked: str | None = None
    exp_month: int | str | None = None
    exp_year: int | str | None = None
    card_type_name: str | None = None
    transaction_id: int | str | None = None
    merchant_id: int | str | None = None
    ticket_merchant_id: int | str | None = None
    secure3d: bool | str | None = None
    verification_id_present: bool | str | None = None
    enrolled: bool | str | None = None
    extra: Mapping[str, object] = field(factory=dict)


PAYMENT_INFO: Final = "paymentInfo"


@frozen(repr=False)
class OrderRequest:
    """Body of ``POST /v1/order`` and ``POST /v1/client/order``. ``external_order_id`` is ours and not unique (R1).

    Of the objects ``paymentInfo<Method>`` only ``paymentInfoPayex`` is known by name (Connect A6); put others into
    ``extra`` under their name.
    """

    payer: Person | None = None
    order_lines: tuple[OrderLine, ...] = ()
    external_order_id: str | None = None
    order_date: int | str | None = None
    payment_method: str | None = None
    order_amount: float | None = field(default=None, converter=_number)
    currency: str | None = None
    recurring: bool | None = None
    prepaid: bool = False
    payment_info: PaymentInfo | None = None
    payment_info_payex: PaymentInfo | None = None
    marketing_coupon_code: str | None = None
    marketing_coupon_number: int | str | None = None
    company_code: str | None = None
    customer_reference: str | None = None
    extra: Mapping[str, object] = field(factory=dict)

    def checked(self) -> Self:
        """Itself, when Connect's stated rules are kept (A5, A6, A8, R1). Raises InvalidInput naming the first breach."""
        _refuse_first(self._problems())
        return self

    def _problems(self) -> Problems:
        if self.payer is None:
            yield "payer", "required"
        else:
            yield from self.payer.payer_problems()
        if not self.order_lines:
            yield "orderLines", "at least one line is required"
        for n, line in enumerate(self.order_lines):
            yield from line.problems(f"orderLines[{n}]")
        yield from _bad_external_id(self.external_order_id)
        yield from _bad_amount("orderAmount", self.order_amount)
        yield from self._payment_problems()
        # an empty code or number is as good as none
        code, number = self.marketing_coupon_code, self.marketing_coupon_number
        if (code in {None, ""}) != (number in {None, ""}):
            missing = "marketingCouponCode" if number not in {None, ""} else "marketingCouponNumber"
            yield missing, "marketingCouponCode and marketingCouponNumber are given both or not at all"

    def _payment_problems(self) -> Problems:
        by_extra = next((name for name in self.extra if name.startswith(PAYMENT_INFO)), None)
        by_field = PAYMENT_INFO if self.payment_info else "paymentInfoPayex" if self.payment_info_payex else None
        given = by_field or by_extra
        if self.prepaid and given is None:
            yield PAYMENT_INFO, "a prepaid order needs the paymentInfo object of its method"
        if given is not None and not self.prepaid:
            yield given, "only a prepaid order carries payment info"


def _bad_external_id(value: str | None) -> Problems:
    if value is not None and len(value) > EXTERNAL_ORDER_ID_MAX:
        yield "externalOrderId", f"at most {EXTERNAL_ORDER_ID_MAX} characters"


def order_request(payload: object) -> OrderRequest:
    """A caller's parsed JSON as a checked request. Raises InvalidInput naming field and reason."""
    try:
        request = read(OrderRequest, payload)
    except MalformedAnswer as malformed:
        reason = str(malformed).removeprefix("OrderRequest: ")
        raise InvalidInput("order", reason) from None
    return request.checked()


@frozen
class RegisterAnswer:
    """Answer of Register order. Without an orderId it is no answer (MalformedAnswer)."""

    order_id: OrderId
    extra: Mapping[str, object] = field(factory=dict, repr=False)


# ---------------------------------------------------------------- Complete order, client mode (Connect A3)


@frozen
class FulfillmentRequest:
    """Body of ``POST /v1/client/order/fulfillment``. ``callback_url`` holds a token of ours: never shown."""

    order_id: int = field(converter=_whole)
    callback_url: str | None = field(default=None, repr=False)
    extra: Mapping[str, object] = field(factory=dict, repr=False)

    def checked(self) -> Self:
        """Itself, when callbackUrl is absolute (A3). Raises InvalidInput."""
        _refuse_first(_bad_url("callbackUrl", self.callback_url))
        return self


@frozen
class FulfillmentAnswer:
    """Answer of Complete order, every field optional (A3). A status that is neither ``OK`` nor ``ERROR`` says nothing.

    ``order_id`` is null or a number in either case; ``error_message`` may quote a phone number and is never shown.
    """

    fulfillment_status: ApiStatus | str | None = None
    order_id: OrderId | None = None
    error_message: str | None = field(default=None, repr=False)
    extra: Mapping[str, object] = field(factory=dict, repr=False)


# ---------------------------------------------------------------- List order status, Search order details (A4, R1)


@frozen
class ReadLine:
    """One line of Search order details. ``invoice_time`` looks like epoch *seconds* in the example (R1)."""

    product_id: int | str | None = None
    description: str | None = None
    invoice_number: int | str | None = None
    invoice_time: int | None = None
    invoice_line_amount: float | str | None = None
    invoice_status: str | None = None
    delivery_status: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False)


@frozen
class ReadOrder:
    """One order as Connect sees it. ``order_time`` in epoch milliseconds; ``order_lines`` only in Search order details.

    ``order_status`` is open: ``preliminary`` is the only value any page shows. externalOrderId and orderAmount can be
    null or empty (C1).
    """

    order_id: OrderId
    order_status: str | None = None
    external_order_id: str | None = None
    order_time: int | None = None
    order_amount: float | str | None = None
    customer_number: int | str | None = field(default=None, repr=False)
    order_lines: tuple[ReadLine, ...] | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False)

    @property
    def amount(self) -> Decimal | None:
        """orderAmount in major units; None where Connect gives none."""
        try:
            return None if self.order_amount is None else Decimal(str(self.order_amount))
        except InvalidOperation:
            return None


@frozen
class OrdersAnswer:
    """Answer of List order status (one element in practice, C1), of List orders and of Search order details."""

    orders: tuple[ReadOrder, ...]
    extra: Mapping[str, object] = field(factory=dict, repr=False)


@frozen
class SearchRequest:
    """Body of ``POST /v1/order/status``: exactly one of the two (R1)."""

    order_id: int | None = field(default=None, converter=_whole_or_none)
    external_order_id: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False)

    def checked(self) -> Self:
        """Itself, when exactly one is given. Raises InvalidInput."""
        if (self.order_id is None) == (not self.external_order_id):
            raise InvalidInput("orderId", "exactly one of orderId and externalOrderId is required")
        _refuse_first(_bad_external_id(self.external_order_id))
        return self


# ---------------------------------------------------------------- Assign user, client mode (Connect A9, R3)


@frozen(repr=False)
class AssignRequest:
    """Body of ``POST /v1/client/order/{orderId}/user``. The unit of ``link_lifetime`` is not stated."""

    credential: str
    is_send_message: bool | None = None
    override_client_id: str | None = None
    return_url: str | None = None
    error_url: str | None = None
    link_lifetime: int | None = None
    extra: Mapping[str, object] = field(factory=dict)

    def checked(self) -> Self:
        """Itself, when the stated rules are kept (A9). Raises InvalidInput naming the first breach."""
        _refuse_first(self._problems())
        return self

    def _problems(self) -> Problems:
        if not self.credential:
            yield "credential", "required"
        if len(self.credential) > CREDENTIAL_MAX:
            yield "credential", f"at most {CREDENTIAL_MAX} characters"
        if self.is_send_message and not self.override_client_id:
            yield "overrideClientId", "required when isSendMessage is true"
        yield from _bad_url("returnUrl", self.return_url)
        yield from _bad_url("errorUrl", self.error_url)


@frozen
class AssignAnswer:
    """Answer of Assign user (example in A9)."""

    order_id: OrderId | None = None
    unique_user_id: str | None = field(default=None, repr=False)
    is_new_user: bool | None = None
    is_password_set: bool | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False)


# ---------------------------------------------------------------- errors (Connect C1)


@frozen
class ErrorAnswer:
    """Body of a 400 (C1). The message is free text and may quote what we sent: never shown."""

    exception_type: str | None = None
    error_message: str | None = field(default=None, repr=False)
    extra: Mapping[str, object] = field(factory=dict, repr=False)


@frozen
class OAuthErrorAnswer:
    """Body of a 401, and of the token endpoint's 4xx (C1): ``invalid_client``, ``invalid_grant``, ``invalid_token``."""

    error: str | None = None
    error_description: str | None = field(default=None, repr=False, metadata=spelled("error_description"))
    extra: Mapping[str, object] = field(factory=dict, repr=False)
