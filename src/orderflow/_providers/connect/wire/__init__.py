"""Connect's JSON as records: the bodies of requests and responses, and the rules that a request must keep.

Attributes are Connect's field names in snake case (``order_amount`` is ``orderAmount``). An absent field is None and is not sent.
Unknown fields are kept in ``extra``, and unknown values of an open enum as plain text: Connect may add both at any time (A12).
Records hold customers' data, so ``repr`` shows none of it.

A record can be built with wrong values, because the simulator must accept whatever is sent to it. Each of our own requests passes
``check()`` before it is stored or sent.

Connect uses the name ``fulfillmentStatus`` in three places with three vocabularies. They are three enums here: `ReturnStatus` in the
browser's redirect (A1), `CallbackStatus` in the callback (A3), `ApiStatus` in the response of the fulfillment API (A3).
"""

from __future__ import annotations

from orderflow._providers.connect.wire.calls import (
    AssignRequest,
    AssignResponse,
    ErrorResponse,
    FulfillmentRequest,
    FulfillmentResponse,
    ListedLine,
    ListedOrder,
    OAuthErrorResponse,
    OrdersResponse,
    SearchRequest,
    parse_listed_orders,
)
from orderflow._providers.connect.wire.order import (
    OrderLine,
    OrderRequest,
    PaymentInfo,
    Person,
    RegisterResponse,
    StartInfo,
    parse_order_request,
)
from orderflow._providers.connect.wire.values import (
    CREDENTIAL_MAX,
    EXTERNAL_ORDER_ID_MAX,
    LINE_NEEDS,
    ApiStatus,
    CallbackStatus,
    ProductSpecType,
    ReturnStatus,
    is_absolute,
)

__all__ = [
    "CREDENTIAL_MAX",
    "EXTERNAL_ORDER_ID_MAX",
    "LINE_NEEDS",
    "ApiStatus",
    "AssignRequest",
    "AssignResponse",
    "CallbackStatus",
    "ErrorResponse",
    "FulfillmentRequest",
    "FulfillmentResponse",
    "ListedLine",
    "ListedOrder",
    "OAuthErrorResponse",
    "OrderLine",
    "OrderRequest",
    "OrdersResponse",
    "PaymentInfo",
    "Person",
    "ProductSpecType",
    "RegisterResponse",
    "ReturnStatus",
    "SearchRequest",
    "StartInfo",
    "is_absolute",
    "parse_listed_orders",
    "parse_order_request",
]
