"""What Connect's redirects and callbacks claim. Pure parsing: a parameter that is repeated, oversized, misspelt or unknown is unclear.

The return vocabulary (A1) and the callback vocabulary (A3) stay apart although the parameter has one name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from orderflow.provider.endpoints import Claim, Endpoint
from orderflow.providers.connect.wire import CallbackStatus, ReturnStatus

PARAMETER: Final = "fulfillmentStatus"
_MOST_PARAMETERS = 20
_LONGEST = 200


_RETURNED = {
    ReturnStatus.SUCCESS: "returned_success",
    ReturnStatus.CANCEL: "returned_cancel",
    ReturnStatus.ERROR: "returned_error",
    ReturnStatus.UNKNOWN: "returned_unclear",
}
_CALLED_BACK = {CallbackStatus.SUCCESS: "called_back_success", CallbackStatus.FAILED: "called_back_failed"}


def returned(parameters: Sequence[tuple[str, str]]) -> Claim:
    """A browser at our returnUrl. Without the parameter it claims nothing (a prepaid order may come back so, A1)."""
    said = _said(parameters)
    if said is None:
        return Claim("returned_bare", "bare")
    word = next((status for status in ReturnStatus if status == said), None)
    return Claim("returned_unclear", "unclear") if word is None else Claim(_RETURNED[word], word.value)


def errored(_parameters: Sequence[tuple[str, str]]) -> Claim:
    """A browser at our errorUrl: an error is claimed, whatever the parameters say."""
    return Claim("returned_error", "errorUrl")


def called_back(parameters: Sequence[tuple[str, str]]) -> Claim:
    """A GET at our callbackUrl. Anything but success or failed only brings the read forward."""
    said = _said(parameters)
    word = next((status for status in CallbackStatus if status == said), None)
    return Claim(None) if word is None else Claim(_CALLED_BACK[word], word.value)


def _said(parameters: Sequence[tuple[str, str]]) -> str | None:
    """The parameter's one value; None where it is absent, "" where it is unclear."""
    if len(parameters) > _MOST_PARAMETERS or any(len(name) + len(value) > _LONGEST for name, value in parameters):
        return ""
    alike = [(name, value) for name, value in parameters if name.casefold() == PARAMETER.casefold()]
    if not alike:
        return None
    name, value = alike[0]
    return value if len(alike) == 1 and name == PARAMETER else ""


RETURN, ERROR, CALLBACK = "return", "error", "callback"
ENDPOINTS = (
    Endpoint(RETURN, ("GET",), returned, page="return_page"),
    Endpoint(ERROR, ("GET",), errored, page="error_page"),
    Endpoint(CALLBACK, ("GET",), called_back),
)
