"""Connect's vocabularies, identifiers and amounts, and the checks of single values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from orderflow._provider.wire import parse_input, to_json
from orderflow.errors import InvalidInput

T = TypeVar("T")

EXTERNAL_ORDER_ID_MAX: Final = 40
CREDENTIAL_MAX: Final = 60


class ReturnStatus(StrEnum):
    """``fulfillmentStatus`` in the query of the return URL (A1). A claim: anyone can type it."""

    SUCCESS = "success"
    CANCEL = "cancel"
    ERROR = "error"
    UNKNOWN = "unknown"


class CallbackStatus(StrEnum):
    """``fulfillmentStatus`` in the query of the callback for an sms payment (A3). A claim: it is not signed."""

    SUCCESS = "success"
    FAILED = "failed"


class ApiStatus(StrEnum):
    """``fulfillmentStatus`` in the response of the fulfillment API (A3). ``OK`` means accepted: an sms order is not paid yet."""

    OK = "OK"
    ERROR = "ERROR"


class ProductSpecType(StrEnum):
    """What an order line sells (A6)."""

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
"""The fields that an order line must have, by its productSpecType (A6)."""


if TYPE_CHECKING:
    OrderId = str
else:
    OrderId = int | str  # what Connect sends; a converter makes it text
"""Connect's number of an order, kept as text. It is an integer in bodies and a string in paths (A3, A4)."""


def order_id_as_text(value: int | str) -> str:
    """An orderId as text, without white space around it and without leading zeros.

    Raises:
        ValueError: not a whole number, nor its digits.
    """
    text = str(value).strip()
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()):
        raise ValueError("orderId: not a whole number")
    return str(int(text))


def optional_order_id_as_text(value: int | str | None) -> str | None:
    """``order_id_as_text``, where the orderId is not needed: None where it is absent or no orderId."""
    try:
        return None if value is None else order_id_as_text(value)
    except ValueError:
        return None


def order_id_as_number(value: int | str) -> int:
    """An orderId as request bodies carry it.

    Raises:
        InvalidInput: not a whole number, nor its digits.
    """
    try:
        return int(order_id_as_text(value))
    except ValueError:
        raise InvalidInput("orderId", "must be a whole number") from None


def optional_order_id_as_number(value: int | str | None) -> int | None:
    """``order_id_as_number``, where the orderId may be absent."""
    return None if value is None else order_id_as_number(value)


def is_absolute(url: str) -> bool:
    """Whether a URL is http or https and has a host, as Connect asks of returnUrl and callbackUrl (A1, A3)."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


Problems = Iterator[tuple[str, str]]
"""Pairs of a field's path in Connect's spelling and the reason."""


def url_problems(name: str, url: str | None) -> Problems:
    """Why an optional URL cannot be sent."""
    if url is not None and not is_absolute(url):
        yield name, "must be an absolute http or https URL"


def external_order_id_problems(value: str | None) -> Problems:
    """Why an optional externalOrderId cannot be sent (R1)."""
    if value is not None and len(value) > EXTERNAL_ORDER_ID_MAX:
        yield "externalOrderId", f"at most {EXTERNAL_ORDER_ID_MAX} characters"


def check_request(request: T, find_problems: Callable[[T], Problems]) -> T:
    """A request with its types and its rules checked.

    Raises:
        InvalidInput: names the first field at fault.
    """
    typed = parse_input(type(request), to_json(request))
    for name, reason in find_problems(typed):
        raise InvalidInput(name, reason)
    return typed
