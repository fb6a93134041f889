"""CCV's names as types: for type checkers, and for completion in editors. Tests compare them with the lifecycle and the provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Required, TypedDict

ProviderName = Literal["ccv"]
State = Literal[
    "drafted",
    "configuring",
    "submitting",
    "submission_in_doubt",
    "Processing",
    "Incomplete",
    "AwaitingPayment",
    "Screening",
    "New",
    "ErpInProgress",
    "FulfillmentInProgress",
    "FulfillmentDone",
    "Completed",
    "Closed",
    "Canceled",
    "Failed",
    "refused",
    "abandoned",
    "discarded",
]
Command = Literal["submit", "discard"]
BareCommand = Command
"""Commands without arguments."""
OperatorEvent = Literal["submission_resolved", "submission_not_found", "submission_given_up"]
BareOperatorEvent = Literal["submission_not_found", "submission_given_up"]
"""Operator events without arguments."""


class CreateRequest(TypedDict, total=False):
    """The request of ``create``."""

    order: Required[Mapping[str, object]]
    """The body of startorder, in CCV's spelling (D3)."""
    products: Required[Sequence[Mapping[str, object]]]
    """Each ``{"kind": "sales_package" | "terminal_package" | "psp_standalone"}`` with the fields of its call (D4, D5, D6)."""
    notify_customer_by_email: bool
    """CCV sends the customer an email with a link to complete the order; true unless given."""
    external_reference: str
    """Our order id unless given."""
    notification_url: str
    notify_on_status: Sequence[str]
    """All statuses unless given."""
    pays_now: bool
    """Expected: an immediate payment is due."""
    screened: bool
    """Expected: CCV screens the merchant. Unless given, it follows from the products."""
    activates: bool
    """Expected: a product has to be activated."""


class SubmissionResolved(TypedDict):
    """The arguments of ``submission_resolved``."""

    order_id: str
    """CCV's id of the order."""
