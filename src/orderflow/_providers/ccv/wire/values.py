"""CCV's paths and vocabularies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import quote

PREFIX = "/api/ordercompletion/reseller"
START_ORDER = "/orderconfigurator/startorder"
ADD_SALES_PACKAGE = "/orderconfigurator/addSalesPackage"
ADD_TERMINAL_PACKAGE = "/orderconfigurator/addTerminalPackage"
ADD_PSP_STANDALONE = "/orderconfigurator/addProductPSPStandalone"
SUBMIT = "/order"

Json = Mapping[str, object]


class OrderStatus(StrEnum):
    """The statuses of an order, spelled as in the enum of D1."""

    PROCESSING = "Processing"
    INCOMPLETE = "Incomplete"
    AWAITING_PAYMENT = "AwaitingPayment"
    SCREENING = "Screening"
    NEW = "New"
    ERP_IN_PROGRESS = "ErpInProgress"
    FULFILLMENT_IN_PROGRESS = "FulfillmentInProgress"
    FULFILLMENT_DONE = "FulfillmentDone"
    COMPLETED = "Completed"
    CLOSED = "Closed"
    CANCELED = "Canceled"
    FAILED = "Failed"


ORDER_STATUSES: tuple[OrderStatus, ...] = tuple(OrderStatus)
"""All twelve: the order of a life without trouble, then the other ends."""


class CocRegistry(StrEnum):
    """Chambers of commerce (D3)."""

    KVK = "Kvk"
    KBO = "Kbo"
    RCS = "Rcs"


class Period(StrEnum):
    """How often a price falls due (D4)."""

    ONE_OFF = "OneOff"
    MONTHLY = "Monthly"
    YEARLY = "Yearly"


class TerminalPackageType(StrEnum):
    """Terminal packages (D5, whose table calls the type boolean)."""

    SMART = "Smart"
    BUDGET = "Budget"
    MOBILE = "Mobile"
    COMPACT = "Compact"
    MINI = "Mini"


def in_utc(moment: str) -> str:
    """An ISO 8601 date and time with its offset, in UTC. Equal moments give equal texts."""
    try:
        return datetime.fromisoformat(moment).astimezone(UTC).isoformat()
    except OverflowError:  # in the first or last year that a datetime has
        return moment


def status_path(order_id: str) -> str:
    """The path of an order's status call, below the prefix. The id is opaque, so it is escaped."""
    return f"{SUBMIT}/{quote(order_id, safe='')}/status"
