"""Register order (A5, A6, C1): the request, its rules, and the response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Self

from attrs import field, frozen

from orderflow._provider.decimals import is_whole_coins, optional_amount_as_number
from orderflow._provider.wire import parse_input
from orderflow._providers.connect.wire.values import (
    LINE_NEEDS,
    OrderId,
    Problems,
    ProductSpecType,
    check_request,
    external_order_id_problems,
    order_id_as_text,
)


@frozen(repr=False)
class Person:
    """Payer, receiver or recruiter (fields from C1)."""

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

    def find_payer_problems(self) -> Problems:
        """What a payer lacks (A5)."""
        if not (self.company_name or self.last_name):
            yield "payer.lastName", "companyName or lastName is required"
        if not self.postal_code:
            yield "payer.postalCode", "required"
        if not (self.emails or self.phone_numbers):
            yield "payer.emails", "emails or phoneNumbers is required"


@frozen
class StartInfo:
    """When a subscription starts (C2). The format of the date differs from client to client."""

    start_date: int | str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False)


@frozen
class OrderLine:
    """One thing sold. ``receiver`` only where it is not the payer (A8). Amounts are in major units.

    ``allow_access_product`` and ``allow_access_seconds`` ask for temporary access, ``allow_access_category_type`` for access to a
    category (A6).
    """

    product_spec_type: ProductSpecType | str
    product_spec_code: str | None = None
    product_spec_no: int | None = None
    product: str | None = None
    article_detail: object = None
    quantity: int | None = None
    unit_price: float | None = field(default=None, converter=optional_amount_as_number)
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

    def find_problems(self, path: str) -> Problems:
        """What this line lacks by its productSpecType (A6)."""
        if self.product_spec_type not in LINE_NEEDS:
            yield f"{path}.productSpecType", f"must be one of {', '.join(LINE_NEEDS)}"
            return
        fields = {
            "productSpecCode": self.product_spec_code,
            "productSpecNo": self.product_spec_no,
            "product": self.product,
            "articleDetail": self.article_detail,
        }
        for name in LINE_NEEDS[self.product_spec_type]:
            if fields[name] is None or fields[name] == "":
                yield f"{path}.{name}", f"required for productSpecType {self.product_spec_type}"


@frozen(repr=False)
class PaymentInfo:
    """How a prepaid order was paid. The fields are those of the older ``paymentInfo`` (C1); those of the newer objects are not known."""

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
    """Body of ``POST /v1/order`` and ``POST /v1/client/order``. ``external_order_id`` is ours; Connect does not keep it unique (R1).

    Of the objects ``paymentInfo<Method>`` only ``paymentInfoPayex`` is known by name (A6). Others go into ``extra``.
    """

    payer: Person | None = None
    order_lines: tuple[OrderLine, ...] = ()
    external_order_id: str | None = None
    order_date: int | str | None = None
    payment_method: str | None = None
    order_amount: float | None = field(default=None, converter=optional_amount_as_number)
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

    def check(self) -> Self:
        """This request, checked against the rules that Connect states (A5, A6, A8, R1). Raises InvalidInput, which names the field."""
        return check_request(self, OrderRequest._find_problems)

    def _find_problems(self) -> Problems:
        if self.payer is None:
            yield "payer", "required"
        else:
            yield from self.payer.find_payer_problems()
        if not self.order_lines:
            yield "orderLines", "at least one line is required"
        for index, line in enumerate(self.order_lines):
            yield from line.find_problems(f"orderLines[{index}]")
        yield from external_order_id_problems(self.external_order_id)
        if not is_whole_coins(self.order_amount):
            yield "orderAmount", "at most 2 decimals: Connect answers with whole coins, and the order would not be recognised"
        yield from self._find_payment_problems()
        yield from self._find_coupon_problems()

    def _find_coupon_problems(self) -> Problems:
        code, number = self.marketing_coupon_code, self.marketing_coupon_number  # an empty one counts as missing
        if (code in {None, ""}) != (number in {None, ""}):
            missing = "marketingCouponCode" if number not in {None, ""} else "marketingCouponNumber"
            yield missing, "marketingCouponCode and marketingCouponNumber are given both or not at all"

    def _find_payment_problems(self) -> Problems:
        by_extra = next((name for name in self.extra if name.startswith(PAYMENT_INFO)), None)
        by_field = PAYMENT_INFO if self.payment_info else "paymentInfoPayex" if self.payment_info_payex else None
        given = by_field or by_extra
        if self.prepaid and given is None:
            yield PAYMENT_INFO, "a prepaid order needs the paymentInfo object of its method"
        if given is not None and not self.prepaid:
            yield given, "only a prepaid order carries payment info"


def parse_order_request(payload: object) -> OrderRequest:
    """A caller's parsed JSON as a checked request. Raises InvalidInput, which names the field."""
    return parse_input(OrderRequest, payload).check()


@frozen
class RegisterResponse:
    """Response of Register order. The pages name orderId alone (A6), so without it the response is malformed."""

    order_id: OrderId = field(converter=order_id_as_text)
    extra: Mapping[str, object] = field(factory=dict, repr=False)
