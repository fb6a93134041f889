"""CCV's JSON as records: the paths, bodies and answers of its six calls, and the rules that a request must keep.

Where CCV's tables and examples spell a field differently, the examples' spelling is sent and both are read. The pages do not say which
is right. The order travels by value from call to call. It stays an open JSON object (``Mapping[str, object]``) with unknown fields
untouched. Vocabularies that CCV may extend (payment methods, periods, registries, package types) are not checked: CCV does that.
``notifyOnStatus`` is checked, because a misspelt status there would mean no notification.

README.md explains the tags of the pages (D1 to D6).
"""

from __future__ import annotations

from orderflow._providers.ccv.wire.requests import (
    AddPspStandalone,
    Address,
    AddSalesPackage,
    AddTerminalPackage,
    ContactPerson,
    PeriodPricing,
    StartOrder,
    StatusNotification,
    StoreInformation,
    Submit,
    TaxAmount,
    Terms,
    parse_request,
)
from orderflow._providers.ccv.wire.responses import (
    ID_NAMES,
    StatusResponse,
    SubmitResponse,
    parse_order,
    parse_status_response,
    parse_submit_response,
)
from orderflow._providers.ccv.wire.values import (
    ADD_PSP_STANDALONE,
    ADD_SALES_PACKAGE,
    ADD_TERMINAL_PACKAGE,
    ORDER_STATUSES,
    PREFIX,
    START_ORDER,
    SUBMIT,
    CocRegistry,
    Json,
    OrderStatus,
    Period,
    TerminalPackageType,
    status_path,
)

__all__ = [
    "ADD_PSP_STANDALONE",
    "ADD_SALES_PACKAGE",
    "ADD_TERMINAL_PACKAGE",
    "ID_NAMES",
    "ORDER_STATUSES",
    "PREFIX",
    "START_ORDER",
    "SUBMIT",
    "AddPspStandalone",
    "AddSalesPackage",
    "AddTerminalPackage",
    "Address",
    "CocRegistry",
    "ContactPerson",
    "Json",
    "OrderStatus",
    "Period",
    "PeriodPricing",
    "StartOrder",
    "StatusNotification",
    "StatusResponse",
    "StoreInformation",
    "Submit",
    "SubmitResponse",
    "TaxAmount",
    "TerminalPackageType",
    "Terms",
    "parse_order",
    "parse_request",
    "parse_status_response",
    "parse_submit_response",
    "status_path",
]
