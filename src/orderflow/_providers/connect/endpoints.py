"""What Connect's redirects and callbacks claim, and where a browser goes next. A parameter that is repeated, too long, misspelt or unknown
is unclear.

The redirect (A1) and the callback (A3) use one parameter name with two vocabularies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from orderflow._lifecycle.decide import is_over_without_proof
from orderflow._provider.endpoints import Claim, Endpoint
from orderflow._provider.pages import add_parameter
from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow._providers.connect.wire import CallbackStatus, ReturnStatus
from orderflow.model import Order

PARAMETER: Final = "fulfillmentStatus"
_MAX_PARAMETERS = 20
_MAX_LENGTH = 200
_UNCLEAR = ""
_PAID = ("paid", "fulfilled", "assigning", "assignment_in_doubt", "user_assigned")  # a proof led there
_BARE, _ERROR_URL = "bare", "errorUrl"  # values of claims: without the parameter, and at the error URL

_EVENTS_OF_RETURN = {
    ReturnStatus.SUCCESS: "returned_success",
    ReturnStatus.CANCEL: "returned_cancel",
    ReturnStatus.ERROR: "returned_error",
    ReturnStatus.UNKNOWN: "returned_unclear",
}
_EVENTS_OF_CALLBACK = {CallbackStatus.SUCCESS: "called_back_success", CallbackStatus.FAILED: "called_back_failed"}


def understand_return(parameters: Sequence[tuple[str, str]]) -> Claim:
    """The claim of a browser at our return URL. A prepaid order may come back without the parameter (A1)."""
    value = _fulfillment_status(parameters)
    if value is None:
        return Claim("returned_bare", _BARE)
    status = next((status for status in ReturnStatus if status == value), None)
    return Claim("returned_unclear", "unclear") if status is None else Claim(_EVENTS_OF_RETURN[status], status.value)


def understand_error(_parameters: Sequence[tuple[str, str]]) -> Claim:
    """The claim of a browser at our error URL: an error, whatever the parameters are."""
    return Claim("returned_error", _ERROR_URL)


def find_return_page(order: Order, claim: Claim) -> str | None:
    """The application's page after a payment. It gets ``fulfillmentStatus``, as the return URL did (A1)."""
    return _with_status(order, "return_page", claim)


def find_error_page(order: Order, claim: Claim) -> str | None:
    """The application's page after an error."""
    return _with_status(order, "error_page", claim)


def _with_status(order: Order, key: str, claim: Claim) -> str | None:
    """A page of the order with the claimed status, for the words on the page. What is known of the order goes before the claim."""
    page = order.snapshot.data.get(key)
    if not isinstance(page, str):
        return None
    if order.state in _PAID:
        return add_parameter(page, PARAMETER, ReturnStatus.SUCCESS)
    if is_over_without_proof(ConnectLifecycle.table, order.snapshot):
        return add_parameter(page, PARAMETER, ReturnStatus.UNKNOWN)
    if claim.value == _BARE:
        return page
    claimed = ReturnStatus.ERROR if claim.value == _ERROR_URL else claim.value
    return add_parameter(page, PARAMETER, claimed if claimed in _EVENTS_OF_RETURN else ReturnStatus.UNKNOWN)


def understand_callback(parameters: Sequence[tuple[str, str]]) -> Claim:
    """The claim of a GET at our callback URL. Anything but success and failed only brings the next poll forward."""
    value = _fulfillment_status(parameters)
    status = next((status for status in CallbackStatus if status == value), None)
    return Claim(None) if status is None else Claim(_EVENTS_OF_CALLBACK[status], status.value)


def _fulfillment_status(parameters: Sequence[tuple[str, str]]) -> str | None:
    """The value of the one parameter. None where it is absent, ``_UNCLEAR`` where it is not exactly one."""
    if len(parameters) > _MAX_PARAMETERS or any(len(name) + len(value) > _MAX_LENGTH for name, value in parameters):
        return _UNCLEAR
    alike = [(name, value) for name, value in parameters if name.casefold() == PARAMETER.casefold()]
    if not alike:
        return None
    name, value = alike[0]
    return value if len(alike) == 1 and name == PARAMETER else _UNCLEAR


RETURN, ERROR, CALLBACK = "return", "error", "callback"
ENDPOINTS = (
    Endpoint(RETURN, ("GET",), understand_return, find_page=find_return_page),
    Endpoint(ERROR, ("GET",), understand_error, find_page=find_error_page),
    Endpoint(CALLBACK, ("GET",), understand_callback),
)
