"""Every call of Connect but Register order: the bodies of requests and responses, and the rules of the requests."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Self

from attrs import field, frozen

from orderflow._provider.decimals import read_decimal
from orderflow._provider.wire import as_text, json_name, parse_record, strict
from orderflow._providers.connect.wire.values import (
    CREDENTIAL_MAX,
    ApiStatus,
    OrderId,
    Problems,
    check_request,
    external_order_id_problems,
    optional_order_id_as_number,
    optional_order_id_as_text,
    order_id_as_number,
    order_id_as_text,
    url_problems,
)
from orderflow.errors import MalformedAnswer

# ── Complete order, client mode (A3) ───────────────────────────────────────────────────────────────────────────────────


@frozen
class FulfillmentRequest:
    """Body of ``POST /v1/client/order/fulfillment``. ``callback_url`` holds a signed token of ours, so ``repr`` hides it."""

    order_id: int = field(converter=order_id_as_number)
    callback_url: str | None = field(default=None, repr=False)
    extra: Mapping[str, object] = field(factory=dict, repr=False)

    def check(self) -> Self:
        """This request, checked: callbackUrl is absolute (A3). Raises InvalidInput."""
        return check_request(self, FulfillmentRequest._find_problems)

    def _find_problems(self) -> Problems:
        yield from url_problems("callbackUrl", self.callback_url)


@frozen
class FulfillmentResponse:
    """Response of Complete order. Every field is optional (A3), and ``order_id`` may be null with ``OK`` and with ``ERROR``.

    The status decides. An ``order_id`` that cannot be read counts as null.

    ``error_message`` may quote a phone number, so ``repr`` hides it.
    """

    fulfillment_status: ApiStatus | str | None = field(default=None, metadata=strict())
    order_id: OrderId | None = field(default=None, converter=optional_order_id_as_text)
    error_message: str | None = field(default=None, repr=False)
    extra: Mapping[str, object] = field(factory=dict, repr=False)


# ── List order status, Search order details (A4, R1) ───────────────────────────────────────────────────────────────────


@frozen
class ListedLine:
    """One line of Search order details. ``invoice_time`` is in epoch seconds by the example (R1)."""

    product_id: int | str | None = None
    description: str | None = None
    invoice_number: int | str | None = None
    invoice_time: int | None = None
    invoice_line_amount: float | str | None = None
    invoice_status: str | None = None
    delivery_status: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False)


@frozen
class ListedOrder:
    """One order as Connect shows it. ``order_time`` in epoch milliseconds; ``order_lines`` only in Search order details.

    ``order_status`` is an open vocabulary: the pages show ``preliminary`` and no other value. externalOrderId and orderAmount can
    be null or empty (C1). The id and the status decide. The rest is compared where it can be read.
    """

    order_id: OrderId = field(converter=order_id_as_text)
    order_status: str | None = field(default=None, metadata=strict())
    external_order_id: str | None = field(default=None, metadata=as_text())
    order_time: int | None = None
    order_amount: float | str | None = None
    customer_number: int | str | None = field(default=None, repr=False)
    order_lines: tuple[ListedLine, ...] | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False)

    @property
    def amount(self) -> Decimal | None:
        """orderAmount in major units. None where it is absent or not a finite number."""
        return read_decimal(self.order_amount)


@frozen
class OrdersResponse:
    """Response of List order status (one element in practice, C1), of List orders and of Search order details."""

    orders: tuple[object, ...] = field(repr=False)
    extra: Mapping[str, object] = field(factory=dict, repr=False)


def parse_listed_orders(answer: object) -> tuple[ListedOrder | MalformedAnswer, ...]:
    """The orders of an ``OrdersResponse``, each alone: one that cannot be read is the error that names its field.

    Raises:
        MalformedAnswer: there is no list of orders.
    """
    return tuple(map(_parse_listed_order, parse_record(OrdersResponse, answer).orders))


def _parse_listed_order(listed: object) -> ListedOrder | MalformedAnswer:
    try:
        return parse_record(ListedOrder, listed)
    except MalformedAnswer as error:
        return error


@frozen
class SearchRequest:
    """Body of ``POST /v1/order/status``: exactly one of the two (R1)."""

    order_id: int | None = field(default=None, converter=optional_order_id_as_number)
    external_order_id: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False)

    def check(self) -> Self:
        """This request, checked: exactly one of the two is given. Raises InvalidInput."""
        return check_request(self, SearchRequest._find_problems)

    def _find_problems(self) -> Problems:
        if (self.order_id is None) == (not self.external_order_id):
            yield "orderId", "exactly one of orderId and externalOrderId is required"
        yield from external_order_id_problems(self.external_order_id)


# ── Assign user, client mode (A9, R3) ──────────────────────────────────────────────────────────────────────────────────


@frozen(repr=False)
class AssignRequest:
    """Body of ``POST /v1/client/order/{orderId}/user``. The pages do not state the unit of ``link_lifetime``."""

    credential: str
    is_send_message: bool | None = None
    override_client_id: str | None = None
    return_url: str | None = None
    error_url: str | None = None
    link_lifetime: int | None = None
    extra: Mapping[str, object] = field(factory=dict)

    def check(self) -> Self:
        """This request, checked against the rules that A9 states. Raises InvalidInput, which names the first field at fault."""
        return check_request(self, AssignRequest._find_problems)

    def _find_problems(self) -> Problems:
        if not self.credential:
            yield "credential", "required"
        if len(self.credential) > CREDENTIAL_MAX:
            yield "credential", f"at most {CREDENTIAL_MAX} characters"
        if self.is_send_message and not self.override_client_id:
            yield "overrideClientId", "required when isSendMessage is true"
        yield from url_problems("returnUrl", self.return_url)
        yield from url_problems("errorUrl", self.error_url)


@frozen
class AssignResponse:
    """Response of Assign user (example in A9). One of the two ids is enough."""

    order_id: OrderId | None = field(default=None, converter=optional_order_id_as_text)
    unique_user_id: str | None = field(default=None, repr=False, metadata=as_text())
    is_new_user: bool | None = None
    is_password_set: bool | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False)


# ── errors (C1) ────────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class ErrorResponse:
    """Body of a 400 (C1). ``error_message`` is free text and may quote what we sent, so ``repr`` hides it."""

    exception_type: str | None = None
    error_message: str | None = field(default=None, repr=False)
    extra: Mapping[str, object] = field(factory=dict, repr=False)


@frozen
class OAuthErrorResponse:
    """Body of a 401, and of a 4xx of the token endpoint (C1): ``invalid_client``, ``invalid_grant``, ``invalid_token``."""

    error: str | None = None
    error_description: str | None = field(default=None, repr=False, metadata=json_name("error_description"))
    extra: Mapping[str, object] = field(factory=dict, repr=False)
