"""Every call but Register order. What may live here: shapes of requests and answers, and the requests' rules."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Self

from attrs import field, frozen

from orderflow.provider.wire import spelled
from orderflow.providers.connect.wire.values import (
    CREDENTIAL_MAX,
    ApiStatus,
    OrderId,
    Problems,
    bad_external_id,
    bad_url,
    checked,
    digits,
    digits_or_none,
    whole,
    whole_or_none,
)

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


# ---------------------------------------------------------------- Complete order, client mode (Connect A3)


@frozen
class FulfillmentRequest:
    """Body of ``POST /v1/client/order/fulfillment``. ``callback_url`` holds a token of ours: never shown."""

    order_id: int = field(converter=whole)
    callback_url: str | None = field(default=None, repr=False)
    extra: Mapping[str, object] = field(factory=dict, repr=False)

    def checked(self) -> Self:
        """Itself, when callbackUrl is absolute (A3). Raises InvalidInput."""
        return checked(self, FulfillmentRequest._problems)

    def _problems(self) -> Problems:
        yield from bad_url("callbackUrl", self.callback_url)


@frozen
class FulfillmentAnswer:
    """Answer of Complete order, every field optional (A3). A status that is neither ``OK`` nor ``ERROR`` says nothing.

    ``order_id`` is null or a number in either case; ``error_message`` may quote a phone number and is never shown.
    """

    fulfillment_status: ApiStatus | str | None = None
    order_id: OrderId | None = field(default=None, converter=digits_or_none)
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

    order_id: OrderId = field(converter=digits)
    order_status: str | None = None
    external_order_id: str | None = None
    order_time: int | None = None
    order_amount: float | str | None = None
    customer_number: int | str | None = field(default=None, repr=False)
    order_lines: tuple[ReadLine, ...] | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False)

    @property
    def amount(self) -> Decimal | None:
        """orderAmount in major units; None where Connect gives none, or nothing finite."""
        try:
            amount = Decimal("" if self.order_amount is None else str(self.order_amount))
        except InvalidOperation:
            return None
        return amount if amount.is_finite() else None


@frozen
class OrdersAnswer:
    """Answer of List order status (one element in practice, C1), of List orders and of Search order details."""

    orders: tuple[ReadOrder, ...]
    extra: Mapping[str, object] = field(factory=dict, repr=False)


@frozen
class SearchRequest:
    """Body of ``POST /v1/order/status``: exactly one of the two (R1)."""

    order_id: int | None = field(default=None, converter=whole_or_none)
    external_order_id: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False)

    def checked(self) -> Self:
        """Itself, when exactly one is given. Raises InvalidInput."""
        return checked(self, SearchRequest._problems)

    def _problems(self) -> Problems:
        if (self.order_id is None) == (not self.external_order_id):
            yield "orderId", "exactly one of orderId and externalOrderId is required"
        yield from bad_external_id(self.external_order_id)


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
        return checked(self, AssignRequest._problems)

    def _problems(self) -> Problems:
        if not self.credential:
            yield "credential", "required"
        if len(self.credential) > CREDENTIAL_MAX:
            yield "credential", f"at most {CREDENTIAL_MAX} characters"
        if self.is_send_message and not self.override_client_id:
            yield "overrideClientId", "required when isSendMessage is true"
        yield from bad_url("returnUrl", self.return_url)
        yield from bad_url("errorUrl", self.error_url)


@frozen
class AssignAnswer:
    """Answer of Assign user (example in A9)."""

    order_id: OrderId | None = field(default=None, converter=digits_or_none)
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
