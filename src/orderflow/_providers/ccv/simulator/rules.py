"""What a request must be before CCV acts on it, and how CCV refuses. Contains only: these rules; no order, no state."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from orderflow._provider.wire import parse_json, to_json
from orderflow._providers.ccv import wire
from orderflow._providers.ccv.simulator.switches import CcvSwitches
from orderflow.errors import InvalidInput

_SPELLINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "": {
        "cartUrl": "cartURL",
        "storeUrl": "storeURL",
        "statusUrl": "statusURL",
        "oneOffTaxAmount": "oneOffPriceTaxAmount",
        "oneOffTaxRate": "oneOffPriceTaxRate",
    },
    "storeInformation": {"tradingName": "tradeName"},
    "periodPricingDetails": {"excludingTax": "exludingTax", "singleExcludingTax": "singleExludingTax"},
}
"""The fields that CCV's examples (left) and tables (right) spell differently (D3, D4, D5), by the part of the body."""


def refuse(switches: CcvSwitches, status: int, message: str, name: str | None = None) -> Response:
    """The answer that refuses a request. CCV documents codes and a phrase; the JSON body follows its Payment API."""
    match switches.error_body:
        case "text":
            return Response(message, status, media_type="text/plain")
        case "html":
            return Response(f"<!doctype html><title>{status}</title><h1>{status}</h1>", status, media_type="text/html")
        case "empty":
            return Response(status_code=status)
    return JSONResponse({"type": "error", "message": message, **({"field": name} if name else {})}, status)


def check_credentials(switches: CcvSwitches, request: Request) -> int | None:
    """The status to refuse with, or None: 401 for an unknown key, 403 for a key without permission (CCV P1, by analogy)."""
    if switches.api_key is None:
        return None
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != switches.auth_scheme:
        return 401
    key = credentials if switches.auth_scheme == "bearer" else _user_of(credentials)
    if key in switches.forbidden_keys:
        return 403
    return None if key == switches.api_key else 401


def _user_of(credentials: str) -> str | None:
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return None


async def read_body(switches: CcvSwitches, request: Request) -> object:
    """The request's JSON. Raises InvalidInput or MalformedAnswer."""
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if switches.content_type == "json" and declared != "application/json":
        raise InvalidInput("Content-Type", "must be application/json")
    body = parse_json(await request.body(), is_exact=True)
    if isinstance(body, Mapping):
        _check_spelling(switches, body)
    return body


def check_extra_fields(switches: CcvSwitches, request: object) -> None:
    """Raises InvalidInput for a field that no page names, if the switch refuses such fields."""
    extra = sorted(getattr(request, "extra", {}))
    if switches.unknown_fields == "refused" and extra:
        raise InvalidInput(extra[0][:60], "no such field")


def _check_spelling(switches: CcvSwitches, body: Mapping[str, Any]) -> None:
    if switches.spelling == "both":
        return
    for part, names in _SPELLINGS.items():
        inner = body if not part else body.get(part)
        for row in inner if isinstance(inner, list) else [inner]:
            for example, table in names.items():
                right, wrong = (example, table) if switches.spelling == "examples" else (table, example)
                if isinstance(row, Mapping) and wrong in row:
                    raise InvalidInput(f"{part}.{right}" if part else right, f"missing ({wrong} is the spelling of CCV's other page)")


# ---------------------------------------------------------------- the order that travels by value


def content_of(request: object) -> dict[str, Any]:
    """A configurator call without the order it carries."""
    body = to_json(request)
    del body["order"]
    return body


def packages_of(order: wire.Json) -> list[dict[str, Any]]:
    """The sales packages of an order. Raises InvalidInput if they are not a list of objects."""
    cart = order.get("shoppingCart") or {}
    packages = cart.get("salesPackages") or [] if isinstance(cart, Mapping) else None
    if not isinstance(packages, list) or not all(isinstance(package, dict) for package in packages):
        raise InvalidInput("order.shoppingCart.salesPackages", "expected a list of objects")
    return packages


def with_packages(order: wire.Json, packages: list[dict[str, Any]]) -> dict[str, Any]:
    """The order with other packages. All else in it stays: this simulator stores nothing before the submit."""
    cart = order.get("shoppingCart")
    return {**order, "shoppingCart": {**(cart if isinstance(cart, Mapping) else {}), "salesPackages": packages}}
