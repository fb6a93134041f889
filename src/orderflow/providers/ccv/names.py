"""CCV's names as types, so that editors complete them. A test holds them against the table. Nothing else lives here."""

from __future__ import annotations

from typing import Literal

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
]
Command = Literal["submit",]
OperatorEvent = Literal[
    "submission_resolved",
    "submission_given_up",
]
