"""Connect's words and small values. What may live here: vocabularies, identifiers, and what makes a value wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from orderflow.errors import InvalidInput
from orderflow.provider.wire import read_input, write

T = TypeVar("T")

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


if TYPE_CHECKING:
    OrderId = str
else:
    # what may come; `digits` makes the text of it
    OrderId = int | str
"""Connect's number of an order, to us a text: an integer in bodies, a string in paths (Connect A3, A4)."""


def digits(value: int | str) -> str:
    """An orderId as text. Raises ValueError for what is neither a whole number nor the digits of one."""
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()):
        raise ValueError("orderId: not a whole number")
    return text


def digits_or_none(value: int | str | None) -> str | None:
    """As `digits`, where the orderId may be absent."""
    return None if value is None else digits(value)


def as_number(value: Decimal | float | None) -> float | None:
    """An amount as a JSON number; JSON knows no Decimal."""
    if not isinstance(value, Decimal):
        return value
    return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)


def whole(value: int | str) -> int:
    """An orderId as bodies carry it. Raises InvalidInput."""
    try:
        return int(digits(value))
    except ValueError:
        raise InvalidInput("orderId", "must be a whole number") from None


def whole_or_none(value: int | str | None) -> int | None:
    """As `whole`, where the orderId may be absent. Raises InvalidInput."""
    return None if value is None else whole(value)


def is_absolute(url: str) -> bool:
    """Whether ``url`` is an http or https address with a host, as returnUrl and callbackUrl must be (A1, A3)."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


Problems = Iterator[tuple[str, str]]
"""(field path in Connect's words, reason)."""


def checked(request: T, problems: Callable[[T], Problems]) -> T:
    """``request`` as it will be on the wire, its types included. Raises InvalidInput naming the first breach."""
    sound = read_input(type(request), write(request))
    for name, reason in problems(sound):
        raise InvalidInput(name, reason)
    return sound


def bad_url(name: str, url: str | None) -> Problems:
    if url is not None and not is_absolute(url):
        yield name, "must be an absolute http or https URL"


def bad_external_id(value: str | None) -> Problems:
    if value is not None and len(value) > EXTERNAL_ORDER_ID_MAX:
        yield "externalOrderId", f"at most {EXTERNAL_ORDER_ID_MAX} characters"
