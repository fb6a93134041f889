"""Connect's JSON in its own words. What may live here: shapes of requests and answers, and what makes a request wrong.

Attributes are Connect's field names in snake case (``order_amount`` is ``orderAmount``). An absent field is ``None``
and is not sent. What we do not know is kept: unknown fields in ``extra``, unknown words of an open enum as plain
strings (Connect A12: fields and values may be added at any time). Shapes hold customers' data and tokens: ``repr``
shows neither.

``fulfillmentStatus`` is one name for three vocabularies, kept apart here: `ReturnStatus` on the browser's way back
(Connect A1), `CallbackStatus` on the callback (Connect A3), `ApiStatus` in the fulfillment API's answer (Connect A3).

A shape can be built wrong, since it must hold whatever a simulator is sent; ``checked()`` on a request is the gate
every request of ours passes before anything is stored or sent.
"""

from __future__ import annotations

from orderflow.providers.connect.wire.calls import (
    AssignAnswer,
    AssignRequest,
    ErrorAnswer,
    FulfillmentAnswer,
    FulfillmentRequest,
    OAuthErrorAnswer,
    OrdersAnswer,
    ReadLine,
    ReadOrder,
    SearchRequest,
    TokenAnswer,
)
from orderflow.providers.connect.wire.order import OrderLine, OrderRequest, PaymentInfo, Person, RegisterAnswer, StartInfo, order_request
from orderflow.providers.connect.wire.values import (
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
    "AssignAnswer",
    "AssignRequest",
    "CallbackStatus",
    "ErrorAnswer",
    "FulfillmentAnswer",
    "FulfillmentRequest",
    "OAuthErrorAnswer",
    "OrderLine",
    "OrderRequest",
    "OrdersAnswer",
    "PaymentInfo",
    "Person",
    "ProductSpecType",
    "ReadLine",
    "ReadOrder",
    "RegisterAnswer",
    "ReturnStatus",
    "SearchRequest",
    "StartInfo",
    "TokenAnswer",
    "is_absolute",
    "order_request",
]
