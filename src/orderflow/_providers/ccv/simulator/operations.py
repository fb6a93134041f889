"""CCV's six calls for the OpenAPI document. Contains only: the calls, their answers, and the page that documents each."""

from __future__ import annotations

from typing import Any, Final

from attrs import evolve

from orderflow._provider.schemas import schema_of
from orderflow._providers.ccv import wire
from orderflow._providers.ccv.wire import ORDER_STATUSES
from orderflow._simulators.operations import Evidence
from orderflow.simulators import Answer, Operation

SCHEMES: Final[dict[str, dict[str, Any]]] = {
    "key": {
        "type": "http",
        "description": "Assumed: no page says how a caller authenticates; in CCV P1, an analogy, the key is the user name.",
    }
}
_ORDER: Final = {"type": "object", "description": "the enriched order, to be passed on unchanged"}
_ERROR: Final = {
    "type": "object",
    "properties": {"type": {"type": "string"}, "message": {"type": "string"}, "field": {"type": "string"}},
}
_STATUS: Final = {
    "type": "object",
    "properties": {
        "orderStatus": {"type": "string", "examples": list(ORDER_STATUSES)},
        "externalReference": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["orderStatus"],
}


def _refusals(source: str, *, listed: bool = True) -> dict[int, Answer]:
    evidence: Evidence = "documented" if listed else "inferred"
    return {
        401: Answer("the key is unknown", evidence, source, _ERROR),
        403: Answer("the key has no permission", evidence, source, _ERROR),
        500: Answer("CCV failed", evidence, source),
    }


def _configuration(path: str, title: str, cls: Any, source: str, *, listed: bool = True) -> Operation:
    evidence: Evidence = "documented" if listed else "inferred"
    answers = {
        200: Answer("the order, enriched; nothing is stored yet", "inferred", f"{source} (no body shown)", _ORDER),
        400: Answer("missing or invalid values", evidence, source, _ERROR),
        **_refusals(source, listed=listed),
    }
    return Operation("PATCH", path, title, "documented", source, answers, schema_of(cls))


def operations(prefix: str, security: str) -> tuple[Operation, ...]:
    """The six calls below ``prefix``."""
    submit = {
        200: Answer("order created", "documented", "CCV D1; the body is assumed", {}),
        201: Answer("success", "documented", "CCV D1; the body is assumed", {}),
        400: Answer("missing or invalid values, or a notificationUrl that is not https", "documented", "CCV D1", _ERROR),
        **_refusals("CCV D1"),
    }
    status = {
        200: Answer("the order's status now", "documented", "CCV D2", _STATUS),
        404: Answer("no such order, or not yet visible", "documented", "CCV D2", _ERROR),
        429: Answer("too many calls", "assumed", "CCV's PHP client", _ERROR),
        **_refusals("CCV D2"),
    }
    calls = (
        _configuration(wire.START_ORDER, "A new order template", wire.StartOrder, "CCV D3", listed=False),
        _configuration(wire.ADD_SALES_PACKAGE, "Add a sales package", wire.AddSalesPackage, "CCV D4"),
        _configuration(wire.ADD_TERMINAL_PACKAGE, "Add a terminal package", wire.AddTerminalPackage, "CCV D5"),
        _configuration(wire.ADD_PSP_STANDALONE, "Add online payments to the last package", wire.AddPspStandalone, "CCV D6"),
        Operation("POST", wire.SUBMIT, "Submit the order", "documented", "CCV D1", submit, schema_of(wire.Submit)),
        Operation("GET", wire.SUBMIT + "/{orderId}/status", "The order's status", "documented", "CCV D2", status),
    )
    return tuple(evolve(call, path=prefix + call.path, security=security) for call in calls)
