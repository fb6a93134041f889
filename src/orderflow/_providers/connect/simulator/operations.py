"""Connect's calls and pages for the OpenAPI document. Contains only: the calls, their answers, and the page that documents each."""

from __future__ import annotations

from typing import Any, Final

from orderflow._provider.schemas import schema_of
from orderflow._providers.connect import wire
from orderflow._providers.connect.wire import ApiStatus
from orderflow.simulators import Answer, Operation

Json = dict[str, Any]

SCHEMES: Final[dict[str, Json]] = {
    "client": {"type": "http", "scheme": "bearer", "description": "Documented (Connect A10): the client's own token."},
    "user": {"type": "http", "scheme": "bearer", "description": "Documented (Connect A10): a logged-in user's token."},
}
_ID: Final[Json] = {"type": ["integer", "string", "null"]}
_TEXT: Final[Json] = {"type": ["string", "null"]}
_ERROR: Final[Json] = {"type": "object", "properties": {"exceptionType": {"type": "string"}, "errorMessage": {"type": "string"}}}
_OAUTH: Final[Json] = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
_ROW: Final[Json] = {
    "type": "object",
    "properties": {
        "orderId": _ID,
        "externalOrderId": _TEXT,
        "orderTime": {"type": "integer", "description": "epoch milliseconds"},
        "orderStatus": {"type": "string", "examples": ["preliminary"]},
        "orderAmount": {"type": ["number", "null"]},
        "customerNumber": {"type": "integer"},
        "orderLines": {"type": "array"},
    },
}
_ROWS: Final[Json] = {"type": "object", "properties": {"orders": {"type": "array", "items": _ROW}}, "required": ["orders"]}
_REGISTERED: Final[Json] = {"type": "object", "properties": {"orderId": _ID}, "required": ["orderId"]}
_COMPLETED: Final[Json] = {
    "type": "object",
    "properties": {"fulfillmentStatus": {"type": "string", "enum": list(ApiStatus)}, "orderId": _ID, "errorMessage": {"type": "string"}},
}
_ASSIGNED: Final[Json] = {
    "type": "object",
    "properties": {
        "orderId": _ID,
        "uniqueUserId": {"type": "string"},
        "isNewUser": {"type": "boolean"},
        "isPasswordSet": {"type": "boolean"},
    },
}
_TOKEN: Final[Json] = {
    "type": "object",
    "properties": {"access_token": {"type": "string"}, "token_type": {"type": "string"}, "expires_in": {"type": "integer"}},
    "required": ["access_token"],
}


def _answers(success: Json, source: str, meaning: str) -> dict[int, Answer]:
    return {
        200: Answer(meaning, "documented", source, success),
        400: Answer("a rule of the request is broken, or there is no such order", "documented", f"{source}; the body by C1", _ERROR),
        401: Answer("the token is unknown, expired, or of the other mode", "inferred", "Connect C1", _OAUTH),
        429: Answer("too many calls; X-RateLimit-Reset has the seconds to wait", "documented", "Connect A12"),
        500: Answer("Connect failed", "documented", source),
    }


def _call(method: str, path: str, title: str, source: str, success: Json, *, body: Json | None = None, **more: Any) -> Operation:
    security = "client" if path.startswith("/v1/client") else "user"
    evidence = more.pop("evidence", "documented")
    answers = _answers(success, source, more.pop("meaning", title))
    return Operation(method, f"/capi{path}", title, evidence, source, answers, body, security=security, **more)


_PAGE: Final = Answer("a page", "assumed", "no page shows it")
_BROWSER: Final = (
    Operation(
        "GET",
        "/user/fulfillment",
        "The customer's browser comes to pay",
        "documented",
        "Connect A1, A5; clientId and errorUrl by C1",
        {
            302: Answer("to the payment page, to returnUrl with fulfillmentStatus, or to errorUrl", "documented", "Connect A1"),
            200: Answer("a page: the customer does not pay now", "assumed", "no page shows it"),
            400: Answer("a page: this order cannot be paid here", "assumed", "no page says what happens"),
        },
        query=("orderId", "returnUrl", "errorUrl", "clientId"),
        media="text/html",
    ),
    Operation(
        "GET", "/user/pay/{orderId}", "The payment page", "assumed", "a stand-in for the payment provider's", {200: _PAGE, 404: _PAGE}
    ),
    Operation(
        "POST",
        "/user/pay/{orderId}",
        "A button of the payment page",
        "assumed",
        "a stand-in for the payment provider's",
        {
            303: Answer("to returnUrl with fulfillmentStatus", "documented", "Connect A1"),
            200: Answer("the window was closed", "assumed", "no page shows it"),
            404: _PAGE,
            409: Answer("the payment is over", "assumed", "no page says so"),
        },
        {"type": "object", "properties": {"action": {"type": "string"}}, "required": ["action"]},
        media="application/x-www-form-urlencoded",
    ),
)
_OAUTH_TOKEN: Final = Operation(
    "POST",
    "/user/oauth/token",
    "A token for the client",
    "documented",
    "Connect A10; how credentials are sent by C1, C2, C4",
    {
        200: Answer("a token", "documented", "Connect A10", _TOKEN),
        400: Answer("another grant", "inferred", "Connect C1", _OAUTH),
        401: Answer("wrong credentials", "inferred", "Connect C1", _OAUTH),
    },
    {"type": "object", "properties": {name: {"type": "string"} for name in ("grant_type", "client_id", "client_secret")}},
    media="application/x-www-form-urlencoded",
)
_ORDER: Final = schema_of(wire.OrderRequest)
OPERATIONS: Final = (
    _OAUTH_TOKEN,
    *_BROWSER,
    _call("POST", "/v1/client/order", "Register order, client mode", "Connect A5, A6; the path by C1", _REGISTERED, body=_ORDER),
    _call("POST", "/v1/order", "Register order, user mode", "Connect A6; the path by C1", _REGISTERED, body=_ORDER),
    _call(
        "POST",
        "/v1/client/order/fulfillment",
        "Complete order, client mode",
        "Connect A3",
        _COMPLETED,
        body=schema_of(wire.FulfillmentRequest),
        meaning="OK: accepted (an sms is not yet paid); ERROR: refused, although the status code is 200",
    ),
    _call("GET", "/v1/client/order/status/{orderId}", "List order status, client mode", "Connect A4", _ROWS),
    _call("POST", "/v1/order/status", "Search order details, user mode", "Connect R1", _ROWS, body=schema_of(wire.SearchRequest)),
    _call("GET", "/v1/order/status", "List orders, user mode", "Connect R1", _ROWS),
    _call(
        "POST", "/v1/client/order/{orderId}/user", "Assign user, client mode", "Connect A9", _ASSIGNED, body=schema_of(wire.AssignRequest)
    ),
)
"""Every call of the simulator."""
