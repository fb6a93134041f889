"""What Connect's redirects and callbacks claim. A parameter that is repeated, too long, misspelt or unknown is unclear.

The redirect (A1) and the callback (A3) use one parameter name with two vocabularies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from orderflow._provider.endpoints import Claim, Endpoint
from orderflow._providers.connect.wire import CallbackStatus, ReturnStatus

PARAMETER: Final = "fulfillmentStatus"
_MAX_PARAMETERS = 20
_MAX_LENGTH = 200
_UNCLEAR = ""

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
        return Claim("returned_bare", "bare")
    status = next((status for status in ReturnStatus if status == value), None)
    return Claim("returned_unclear", "unclear") if status is None else Claim(_EVENTS_OF_RETURN[status], status.value)


def understand_error(_parameters: Sequence[tuple[str, str]]) -> Claim:
    """The claim of a browser at our error URL: an error, whatever the parameters are."""
    return Claim("returned_error", "errorUrl")


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
    Endpoint(RETURN, ("GET",), understand_return, page="return_page"),
    Endpoint(ERROR, ("GET",), understand_error, page="error_page"),
    Endpoint(CALLBACK, ("GET",), understand_callback),
)
