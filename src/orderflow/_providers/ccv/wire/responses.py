"""The answers of CCV's calls."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from attrs import field, frozen

from orderflow._provider.wire import as_text, parse_json, parse_record, readable_id
from orderflow._providers.ccv.wire.values import SUBMIT, Json, OrderStatus
from orderflow.errors import MalformedAnswer

ID_NAMES = ("orderId", "id", "reference")
"""The fields in which the id of a submitted order is looked for. The pages do not show the body of the answer (D1)."""

CHECKOUT_URL = "checkoutUrl"
"""The field in which the page is looked for where the customer goes on. The pages do not say whether there is one (D1)."""
_URL_MAX = 2000
_BARE_ID = re.compile(r"(?=\D*\d)[A-Za-z0-9][\w.~-]{,99}", re.ASCII)
_LARGEST = 2**53  # above it floats leave out whole numbers


@frozen
class SubmitResponse:
    """The answer to a submit. ``order_id`` is opaque, ``body`` unchanged. ``checkout_url``: where the customer goes on, if it is named."""

    order_id: str
    body: bytes = field(repr=False)
    checkout_url: str | None = field(default=None, repr=False)


@frozen
class StatusResponse:
    """The answer of GET order/{orderId}/status (D2). An unknown status stays a plain str. The reference may be absent or null.

    The status decides. The reference is compared where it can be read.
    """

    order_status: OrderStatus | str
    external_reference: str | None = field(default=None, metadata=as_text())
    extra: Json = field(factory=dict, repr=False)


def parse_order(body: bytes) -> Json:
    """The order that each PATCH answers with, to be passed on unchanged. So each byte of it is needed.

    Raises:
        MalformedAnswer: not a JSON object, or an empty one.
    """
    order = parse_json(body, is_exact=True)
    if not isinstance(order, Mapping) or not order:
        raise MalformedAnswer("order: expected an object with fields")
    return order


def parse_submit_response(body: bytes, location: str | None = None, names: tuple[str, ...] = ID_NAMES) -> SubmitResponse:
    """The id of the submitted order: in one of the fields ``names``, else the body itself, else from the Location header.

    A name with dots is a path: ``order.orderId``. A list with one object counts as that object. A text that is not JSON is an id where it
    has no spaces and a digit, and no Location is beside it.

    Raises:
        MalformedAnswer: there is no id, or the body is a page. An id is never guessed.
    """
    answer, bare = _read_body(body)
    in_body = [_find_field(answer, name) for name in names] if isinstance(answer, Mapping) else [answer]
    checkout_url = _web_address(answer.get(CHECKOUT_URL)) if isinstance(answer, Mapping) else None
    for candidate in (*in_body, _id_in_location(location), bare):
        order_id = _id_as_text(candidate)
        if order_id is not None:
            return SubmitResponse(order_id, body, checkout_url)
    raise MalformedAnswer(f"no order id: none of {', '.join(names)}, no bare id, no Location")


def _read_body(body: bytes) -> tuple[object, str | None]:
    """The JSON of a body, and the id that it may be if it is not JSON."""
    if not body.strip():
        return None, None
    try:
        answer = parse_json(body)
    except MalformedAnswer:
        if body.removeprefix(BOM_UTF8).lstrip().startswith(b"<"):
            raise
        text = body.decode(errors="replace").strip()
        return None, text if _BARE_ID.fullmatch(text) else None
    is_wrapped = isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], Mapping)
    return (answer[0] if is_wrapped else answer), None  # type: ignore[index]


def _find_field(answer: Json, name: str) -> object:
    """The field of that name, else what the path leads to; None where there is neither."""
    if name in answer:
        return answer[name]
    found: object = answer
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _id_as_text(value: object) -> str | None:
    if isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return readable_id(str(value))


def parse_status_response(body: bytes) -> StatusResponse:
    """The answer to a status call.

    Raises:
        MalformedAnswer: not JSON, or without a status.
    """
    answer = parse_record(StatusResponse, parse_json(body))
    if not answer.order_status:
        raise MalformedAnswer("StatusResponse: orderStatus: empty")
    return answer


def _web_address(value: object) -> str | None:
    """The value, if a browser can be sent there."""
    if not isinstance(value, str) or len(value) > _URL_MAX or not (value.isascii() and value.isprintable()):
        return None
    return value if value.startswith(("https://", "http://")) else None


def _id_in_location(location: str | None) -> str | None:
    """The id in ``.../order/{id}`` or ``.../order/{id}/status``, or the last segment of any other path."""
    try:
        path = urlsplit(location or "").path
    except ValueError:  # no URL
        return None
    segments = [segment for segment in path.split("/") if segment]
    if segments and segments[-1] == "status":
        segments.pop()
    if not segments or segments[-1] == SUBMIT.strip("/"):
        return None
    return unquote(segments[-1])
