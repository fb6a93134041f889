"""Register order (Connect A5, A6, C1). What may live here: the order's shapes, its rules, and the answer's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Self

from attrs import field, frozen

from orderflow.provider.wire import read_input
from orderflow.providers.connect.wire.values import (
    LINE_NEEDS,
    OrderId,
    Problems,
    ProductSpecType,
    as_number,
    bad_external_id,
    checked,
    digits,
)


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
    unit_price: float | None = field(default=None, converter=as_number)
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
    order_amount: float | None = field(default=None, converter=as_number)
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
        """Itself, when the rules that Connect states are kept (A5, A6, A8, R1). Raises InvalidInput naming a breach."""
        return checked(self, OrderRequest._problems)

    def _problems(self) -> Problems:
        if self.payer is None:
            yield "payer", "required"
        else:
            yield from self.payer.payer_problems()
        if not self.order_lines:
            yield "orderLines", "at least one line is required"
        for n, line in enumerate(self.order_lines):
            yield from line.problems(f"orderLines[{n}]")
        yield from bad_external_id(self.external_order_id)
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


def order_request(payload: object) -> OrderRequest:
    """A caller's parsed JSON as a checked request. Raises InvalidInput naming field and reason."""
    return read_input(OrderRequest, payload).checked()


@frozen
class RegisterAnswer:
    """Answer of Register order. Without an orderId it is no answer (MalformedAnswer)."""

    order_id: OrderId = field(converter=digits)
    extra: Mapping[str, object] = field(factory=dict, repr=False)
