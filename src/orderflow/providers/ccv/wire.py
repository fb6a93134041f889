"""CCV's JSON in its own words. What may live here: the six calls' paths, bodies and answers, and the checks a request
must pass before it is sent. No HTTP, no state, no decision.

Where CCV's tables and examples spell a field differently, the examples' spelling is sent and both are read (their
pages say nothing about which is right). The order itself travels by value from call to call and stays an open JSON
object, unknown fields untouched: ``Mapping[str, object]``. Words CCV may add to (payment methods, periods, registries,
package types) are not policed: CCV judges them. ``notifyOnStatus`` is: a misspelt status there means never hearing.

Pages: D1 submit-order, D2 status, D3 start-order, D4 add-sales-package, D5 add-terminal-package, D6
add-product-psp-standalone, all below developer.myccv.eu/documentation/boarding_api/basic_operation/.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar
from urllib.parse import quote, unquote, urlsplit

from attrs import field, frozen

from orderflow.errors import InvalidInput, MalformedAnswer
from orderflow.provider.wire import loads, read, read_input, spelled

PREFIX = "/api/ordercompletion/reseller"
START_ORDER = "/orderconfigurator/startorder"
ADD_SALES_PACKAGE = "/orderconfigurator/addSalesPackage"
ADD_TERMINAL_PACKAGE = "/orderconfigurator/addTerminalPackage"
ADD_PSP_STANDALONE = "/orderconfigurator/addProductPSPStandalone"
SUBMIT = "/order"

ID_NAMES = ("orderId", "id", "reference")
"""Where the id of a submitted order is looked for: CCV's pages do not show the answer's body."""

Json = Mapping[str, object]


class OrderStatus(StrEnum):
    """The statuses of an order, spelled as in the enum of D1."""

    PROCESSING = "Processing"
    INCOMPLETE = "Incomplete"
    AWAITING_PAYMENT = "AwaitingPayment"
    SCREENING = "Screening"
    NEW = "New"
    ERP_IN_PROGRESS = "ErpInProgress"
    FULFILLMENT_IN_PROGRESS = "FulfillmentInProgress"
    FULFILLMENT_DONE = "FulfillmentDone"
    COMPLETED = "Completed"
    CLOSED = "Closed"
    CANCELED = "Canceled"
    FAILED = "Failed"


ORDER_STATUSES: tuple[OrderStatus, ...] = tuple(OrderStatus)
"""All twelve, in the order of a straight life, then the ends."""


class CocRegistry(StrEnum):
    """Chambers of commerce (D3)."""

    KVK = "Kvk"
    KBO = "Kbo"
    RCS = "Rcs"


class Period(StrEnum):
    """How often a price falls due (D4)."""

    ONE_OFF = "OneOff"
    MONTHLY = "Monthly"
    YEARLY = "Yearly"


class TerminalPackageType(StrEnum):
    """Terminal packages (D5, whose table calls the type boolean)."""

    SMART = "Smart"
    BUDGET = "Budget"
    MOBILE = "Mobile"
    COMPACT = "Compact"
    MINI = "Mini"


@frozen
class Terms:
    """Terms and conditions the merchant accepted; ``url`` is root-relative, ``name`` the version signed (D3)."""

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
    """The company's contact person, as in the examples of D4 and D6; personal throughout."""

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
    trading_name: str | None = field(default=None, metadata=spelled("tradingName", "tradeName"))
    tax_number: str | None = field(default=None, repr=False)
    store_address: Address | None = None
    delivery_address: Address | None = None
    e_billing_email_address: str | None = field(default=None, repr=False)
    reporting_email_address: str | None = field(default=None, repr=False)
    extra: Json = field(factory=dict, repr=False)


@frozen
class StartOrder:
    """PATCH startorder (D3): a new order template. ``order_date`` is ISO 8601 with an offset or ``Z``.

    ``status_url`` is a page for the customer, not the notification URL. Contact person and accounts are fields of the
    order in the examples of D4 and D6; that they may be given here is assumed.
    """

    order_date: str
    cart_url: str = field(metadata=spelled("cartUrl", "cartURL"))
    store_url: str = field(metadata=spelled("storeUrl", "storeURL"))
    status_url: str = field(metadata=spelled("statusUrl", "statusURL"))
    store_information: StoreInformation
    terms_and_conditions: tuple[Terms, ...] | None = None
    order_notes: str | None = field(default=None, repr=False)
    company_contact_person: ContactPerson | None = None
    invoice_account: object = field(default=None, repr=False)
    payout_account: object = field(default=None, repr=False)
    extra: Json = field(factory=dict, repr=False)

    def check(self) -> None:
        """Raises InvalidInput for an empty required field or an order date that is no moment."""
        _moment("orderDate", self.order_date)
        for name, value in (("cartUrl", self.cart_url), ("storeUrl", self.store_url), ("statusUrl", self.status_url)):
            _filled(name, value)
        _filled("storeInformation.cocNumber", self.store_information.coc_number)
        _filled("storeInformation.cocRegistry", self.store_information.coc_registry)


@frozen
class TaxAmount:
    """The tax of one rate: percent and amount (D4)."""

    tax_rate: float
    tax_amount: float
    extra: Json = field(factory=dict, repr=False)


@frozen
class PeriodPricing:
    """What falls due once per period, in major units (D4)."""

    period: Period | str
    excluding_tax: float = field(metadata=spelled("excludingTax", "exludingTax"))
    single_excluding_tax: float = field(metadata=spelled("singleExcludingTax", "singleExludingTax"))
    including_tax: float
    tax_amounts_per_tax_rate: tuple[TaxAmount, ...]
    extra: Json = field(factory=dict, repr=False)


@frozen
class AddSalesPackage:
    """PATCH addSalesPackage (D4): a sales package for the template that startorder answered with."""

    is_purchased: bool
    package_name: str
    sku: str
    period_pricing_details: tuple[PeriodPricing, ...]
    order: Json = field(repr=False)
    extra: Json = field(factory=dict, repr=False)

    def check(self) -> None:
        """Raises InvalidInput for an empty required field."""
        _filled("packageName", self.package_name)
        _filled("sku", self.sku)
        _filled("periodPricingDetails", self.period_pricing_details)
        _filled("order", self.order)


@frozen
class AddTerminalPackage:
    """PATCH addTerminalPackage (D5): a sales package holding a terminal, no addSalesPackage needed before.

    Amounts in major units, rates in percent. Prices are agreed with CCV beforehand; wrong ones are invoiced.
    """

    terminal_package_type: TerminalPackageType | str
    transaction_fee: float
    one_off_price_including_tax: float
    one_off_price_excluding_tax: float
    one_off_tax_amount: float = field(metadata=spelled("oneOffTaxAmount", "oneOffPriceTaxAmount"))
    one_off_tax_rate: float = field(metadata=spelled("oneOffTaxRate", "oneOffPriceTaxRate"))
    monthly_price_including_tax: float
    monthly_price_excluding_tax: float
    monthly_price_tax_amount: float
    monthly_price_tax_rate: float
    order: Json = field(repr=False)
    discount: float | None = None
    extra: Json = field(factory=dict, repr=False)

    def check(self) -> None:
        """Raises InvalidInput for an empty required field."""
        _filled("terminalPackageType", self.terminal_package_type)
        _filled("order", self.order)


@frozen
class AddPspStandalone:
    """PATCH addProductPSPStandalone (D6): online payments for the web shop at ``url``, into the sales package."""

    url: str
    payment_methods: tuple[str, ...]
    order: Json = field(repr=False)
    extra: Json = field(factory=dict, repr=False)

    def check(self) -> None:
        """Raises InvalidInput for an empty required field."""
        _filled("url", self.url)
        _filled("paymentMethods", self.payment_methods)
        _filled("order", self.order)


@frozen
class StatusNotification:
    """Where CCV posts its body-less notification, and on which statuses; no effect without a URL (D1)."""

    notification_url: str | None = field(default=None, repr=False)
    notify_on_status: tuple[OrderStatus | str, ...] = ()
    extra: Json = field(factory=dict, repr=False)


@frozen
class Submit:
    """POST order (D1). ``notify_customer_by_email``: CCV mails the customer to complete the order.

    Nothing makes a repeated submit one order: neither the reference nor any key.
    """

    notify_customer_by_email: bool
    order: Json = field(repr=False)
    external_reference: str | None = None
    status_notification_information: StatusNotification | None = None
    extra: Json = field(factory=dict, repr=False)

    def check(self, *, allow_http: bool = False) -> None:
        """Raises InvalidInput for a notification URL that is not https, a status that is none, an empty order.

        ``allow_http`` is for a simulator on loopback only: CCV calls https and nothing else.
        """
        _filled("order", self.order)
        if self.external_reference is not None:
            _filled("externalReference", self.external_reference)
        notice = self.status_notification_information
        if notice is None:
            return
        if notice.notification_url is not None:
            _https("statusNotificationInformation.notificationUrl", notice.notification_url, allow_http=allow_http)
        for n, status in enumerate(notice.notify_on_status):
            if status not in ORDER_STATUSES:
                name = f"statusNotificationInformation.notifyOnStatus[{n}]"
                raise InvalidInput(name, f"none of {', '.join(ORDER_STATUSES)}")


@frozen
class SubmitAnswer:
    """The answer to a submit. ``order_id`` is opaque; ``raw`` is the body as it came."""

    order_id: str
    raw: bytes = field(repr=False)


@frozen
class StatusAnswer:
    """GET order/{orderId}/status (D2). An unknown status stays a plain str; the reference may be absent or null."""

    order_status: OrderStatus | str
    external_reference: str | None = None
    extra: Json = field(factory=dict, repr=False)


class _Checked(Protocol):
    def check(self) -> None: ...


Request = TypeVar("Request", bound=_Checked)


def given(cls: type[Request], value: object) -> Request:
    """A request as a caller wrote it (JSON in either spelling), checked.

    Raises InvalidInput naming field and reason.
    """
    request = read_input(cls, value)
    request.check()
    return request


def read_order(body: bytes) -> Json:
    """The enriched order that each PATCH answers with, to be passed on unchanged. Raises MalformedAnswer."""
    order = loads(body)
    if not isinstance(order, Mapping) or not order:
        raise MalformedAnswer("order: expected an object with fields")
    return order


def read_submit_answer(body: bytes, location: str | None = None, names: tuple[str, ...] = ID_NAMES) -> SubmitAnswer:
    """The id of the order just submitted: under one of ``names``, else the body is the id, else from Location.

    Raises MalformedAnswer when the body is not JSON or no id is found: an id is never guessed.
    """
    answer = loads(body) if body.strip() else None
    offered = [answer.get(name) for name in names] if isinstance(answer, Mapping) else [answer]
    for candidate in (*offered, _last_of(location)):
        if isinstance(candidate, int) and not isinstance(candidate, bool):
            return SubmitAnswer(str(candidate), body)
        if isinstance(candidate, str) and candidate.strip():
            return SubmitAnswer(candidate, body)
    raise MalformedAnswer(f"no order id: none of {', '.join(names)}, no bare id, no Location")


def read_status_answer(body: bytes) -> StatusAnswer:
    """The status answer. Raises MalformedAnswer."""
    answer = read(StatusAnswer, loads(body))
    if not answer.order_status:
        raise MalformedAnswer("StatusAnswer: orderStatus: empty")
    return answer


def status_path(order_id: str) -> str:
    """The path of an order's status call below the prefix; the id is opaque and therefore escaped."""
    return f"{SUBMIT}/{quote(order_id, safe='')}/status"


def _last_of(location: str | None) -> str | None:
    """The id in ``.../order/{id}`` or ``.../order/{id}/status``; a bare last segment otherwise."""
    segments = [segment for segment in urlsplit(location or "").path.split("/") if segment]
    if segments and segments[-1] == "status":
        segments.pop()
    if not segments or segments[-1] == SUBMIT.strip("/"):
        return None
    return unquote(segments[-1])


def _filled(name: str, value: object) -> None:
    if not value or (isinstance(value, str) and not value.strip()):
        raise InvalidInput(name, "must not be empty")


def _moment(name: str, value: str) -> None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise InvalidInput(name, "not an ISO 8601 date and time") from None
    if moment.tzinfo is None:
        raise InvalidInput(name, "needs an offset from UTC, or Z")


def _https(name: str, url: str, *, allow_http: bool) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidInput(name, "not a URL") from None
    if parts.scheme not in ({"https", "http"} if allow_http else {"https"}):
        raise InvalidInput(name, "must be https: CCV posts notifications to nothing else")
    if not host or any(c.isspace() or not c.isprintable() for c in url):
        raise InvalidInput(name, "must be an absolute URL without spaces")
