"""Connect's names as types, so that editors complete them. A test holds them against the table. Nothing else lives here."""

from __future__ import annotations

from typing import Literal

State = Literal[
    "drafted",
    "registering",
    "registration_in_doubt",
    "registered",
    "fulfilling",
    "fulfillment_in_doubt",
    "awaiting_payment",
    "confirming",
    "paid",
    "fulfilled",
    "assigning",
    "assignment_in_doubt",
    "user_assigned",
    "cancelled",
    "error",
    "unknown",
    "refused",
    "abandoned",
]
Command = Literal[
    "register",
    "complete_by_url",
    "complete_by_api",
    "assign_user",
]
OperatorEvent = Literal[
    "registration_resolved",
    "registration_given_up",
    "fulfillment_given_up",
    "assignment_resolved",
    "assignment_given_up",
]
