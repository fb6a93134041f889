"""The bodies of CCV's requests, and the rules that they must keep."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from attrs import field, frozen

from orderflow._provider.decimals import amount_as_number, optional_amount_as_number
from orderflow._provider.wire import json_name, parse_input
from orderflow._providers.ccv.wire.values import ORDER_STATUSES, CocRegistry, Json, OrderStatus, Period, TerminalPackageType
from orderflow.errors import InvalidInput


@frozen
class Terms:
    """Terms and conditions that the merchant accepted. ``url`` is root-relative; ``name`` is the version that was signed (D3)."""

    type: str | None = None
    url: str | None = None
    name: str | None = None
    extra: Json = field(factory=dict, repr=False)


@frozen
class Address:
    """An address, as in the examples of D4 and D6."""

    country: str | None = None
    city: str | None = None
    street_name: str | None = field(default=None, repr=False)
    postal_code: str | None = field(default=None, repr=False)
    house_number: str | int | None = field(default=None, repr=False)
    house_number_ext: str | None = field(default=None, repr=False)
    extra: Json = field(factory=dict, repr=False)


@frozen
class ContactPerson:
    """The company's contact person, as in the examples of D4 and D6. Personal data."""

    first_name: str | None = field(default=None, repr=False)
    last_name: str | None = field(default=None, repr=False)
    prefix: str | None = field(default=None, repr=False)
    email_address: str | None = field(default=None, repr=False)
    gender: str | None = field(default=None, repr=False)
    phone_number: str | None = field(default=None, repr=False)
    date_of_birth: str | None = field(default=None, repr=False)
    language: str | None = None
    extra: Json = field(factory=dict, repr=False)


@frozen
class StoreInformation:
    """The merchant: registered name, trade name, registration, where the product is used (D3; the rest from D4, D6)."""

    coc_number: str
    coc_registry: CocRegistry | str
    company_name: str | None = None
    trading_name: str | None = field(default=None, metadata=json_name("tradingName", "tradeName"))
    tax_number: str | None = field(default=None, repr=False)
    store_address: Address | None = None
    delivery_address: Address | None = None
    e_billing_email_address: str | None = field(default=None, repr=False)
    reporting_email_address: str | None = field(default=None, repr=False)
    extra: Json = field(factory=dict, repr=False)


@frozen
class StartOrder:
    """PATCH startorder (D3): a new order template. ``order_date`` is ISO 8601 with an offset or ``Z``.

    ``status_url`` is a page for the customer, not the notification URL. Contact person and accounts are fields of the order in the
    examples of D4 and D6. We assume that they may be given here.
    """

    order_date: str
    cart_url: str = field(metadata=json_name("cartUrl", "cartURL"))
    store_url: str = field(metadata=json_name("storeUrl", "storeURL"))
    status_url: str = field(metadata=json_name("statusUrl", "statusURL"))
    store_information: StoreInformation
    terms_and_conditions: tuple[Terms, ...] | None = None
    order_notes: str | None = field(default=None, repr=False)
    company_contact_person: ContactPerson | None = None
    invoice_account: object = field(default=None, repr=False)
    payout_account: object = field(default=None, repr=False)
    extra: Json = field(factory=dict, repr=False)

    def check(self) -> None:
        """Raises InvalidInput for an empty required field, or an order date that is no moment."""
        _check_moment("orderDate", self.order_date)
        for name, value in (("cartUrl", self.cart_url), ("storeUrl", self.store_url), ("statusUrl", self.status_url)):
            _check_filled(name, value)
        _check_filled("storeInformation.cocNumber", self.store_information.coc_number)
        _check_filled("storeInformation.cocRegistry", self.store_information.coc_registry)


@frozen
class TaxAmount:
    """The tax of one rate: percent and amount (D4)."""

    tax_rate: float = field(converter=amount_as_number)
    tax_amount: float = field(converter=amount_as_number)
    extra: Json = field(factory=dict, repr=False)


@frozen
class PeriodPricing:
    """The price for one period, in major units (D4)."""

    period: Period | str
    excluding_tax: float = field(converter=amount_as_number, metadata=json_name("excludingTax", "exludingTax"))
    single_excluding_tax: float = field(converter=amount_as_number, metadata=json_name("singleExcludingTax", "singleExludingTax"))
    including_tax: float = field(converter=amount_as_number)
    tax_amounts_per_tax_rate: tuple[TaxAmount, ...]
    extra: Json = field(factory=dict, repr=False)


@frozen
class AddSalesPackage:
    """PATCH addSalesPackage (D4): a sales package for the order template."""

    is_purchased: bool
    package_name: str
    sku: str
    period_pricing_details: tuple[PeriodPricing, ...]
    order: Json = field(repr=False)
    extra: Json = field(factory=dict, repr=False)

    def check(self) -> None:
        """Raises InvalidInput for an empty required field."""
        _check_filled("packageName", self.package_name)
        _check_filled("sku", self.sku)
        _check_filled("periodPricingDetails", self.period_pricing_details)
        _check_filled("order", self.order)


@frozen
class AddTerminalPackage:
    """PATCH addTerminalPackage (D5): a sales package with a terminal. It needs no addSalesPackage before it.

    Amounts in major units, rates in percent. Prices are agreed with CCV beforehand; for wrong ones CCV sends the partner an invoice.
    """

    terminal_package_type: TerminalPackageType | str
    transaction_fee: float = field(converter=amount_as_number)
    one_off_price_including_tax: float = field(converter=amount_as_number)
    one_off_price_excluding_tax: float = field(converter=amount_as_number)
    one_off_tax_amount: float = field(converter=amount_as_number, metadata=json_name("oneOffTaxAmount", "oneOffPriceTaxAmount"))
    one_off_tax_rate: float = field(converter=amount_as_number, metadata=json_name("oneOffTaxRate", "oneOffPriceTaxRate"))
    monthly_price_including_tax: float = field(converter=amount_as_number)
    monthly_price_excluding_tax: float = field(converter=amount_as_number)
    monthly_price_tax_amount: float = field(converter=amount_as_number)
    monthly_price_tax_rate: float = field(converter=amount_as_number)
    order: Json = field(repr=False)
    discount: float | None = field(default=None, converter=optional_amount_as_number)
    extra: Json = field(factory=dict, repr=False)

    def check(self) -> None:
        """Raises InvalidInput for an empty required field."""
        _check_filled("terminalPackageType", self.terminal_package_type)
        _check_filled("order", self.order)


@frozen
class AddPspStandalone:
    """PATCH addProductPSPStandalone (D6): online payments for the web shop at ``url``, in the sales package."""

    url: str
    payment_methods: tuple[str, ...]
    order: Json = field(repr=False)
    extra: Json = field(factory=dict, repr=False)

    def check(self) -> None:
        """Raises InvalidInput for an empty required field."""
        _check_filled("url", self.url)
        _check_filled("paymentMethods", self.payment_methods)
        _check_filled("order", self.order)


@frozen
class StatusNotification:
    """Where CCV posts its notifications, and for which statuses. Without a URL it has no effect (D1)."""

    notification_url: str | None = field(default=None, repr=False)
    notify_on_status: tuple[OrderStatus | str, ...] = ()
    extra: Json = field(factory=dict, repr=False)


@frozen
class Submit:
    """POST order (D1). ``notify_customer_by_email``: CCV sends the customer an email to complete the order.

    A repeated submit makes a second order: the pages know no idempotency key, and the reference does not serve as one.
    """

    notify_customer_by_email: bool
    order: Json = field(repr=False)
    external_reference: str | None = None
    status_notification_information: StatusNotification | None = None
    extra: Json = field(factory=dict, repr=False)

    def check(self, *, allow_http: bool = False) -> None:
        """Raises InvalidInput for an empty order or reference, a notification URL that is not https, or an unknown status.

        ``allow_http`` is only for a simulator on this machine: CCV calls https URLs alone.
        """
        _check_filled("order", self.order)
        if self.external_reference is not None:
            _check_filled("externalReference", self.external_reference)
        notification = self.status_notification_information
        if notification is None:
            return
        if notification.notification_url is not None:
            schemes = ("https", "http") if allow_http else ("https",)
            _check_notification_url("statusNotificationInformation.notificationUrl", notification.notification_url, schemes)
        for index, status in enumerate(notification.notify_on_status):
            if status not in ORDER_STATUSES:
                name = f"statusNotificationInformation.notifyOnStatus[{index}]"
                raise InvalidInput(name, f"must be one of {', '.join(ORDER_STATUSES)}")


class _Checkable(Protocol):
    def check(self) -> None: ...


Request = TypeVar("Request", bound=_Checkable)


def parse_request(cls: type[Request], value: object) -> Request:
    """A caller's parsed JSON, in either spelling, as a checked request.

    Raises:
        InvalidInput: names the field at fault.
    """
    request = parse_input(cls, value)
    request.check()
    return request


def _check_filled(name: str, value: object) -> None:
    if not value or (isinstance(value, str) and not value.strip()):
        raise InvalidInput(name, "must not be empty")


def _check_moment(name: str, value: str) -> None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise InvalidInput(name, "not an ISO 8601 date and time") from None
    if moment.tzinfo is None:
        raise InvalidInput(name, "needs an offset from UTC, or Z")


def _check_notification_url(name: str, url: str, schemes: tuple[str, ...]) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidInput(name, "not a URL") from None
    if parts.scheme not in schemes:
        raise InvalidInput(name, "must be https: CCV posts notifications to no other URL")
    if not host or any(char.isspace() or not char.isprintable() for char in url):
        raise InvalidInput(name, "must be an absolute URL without spaces")
