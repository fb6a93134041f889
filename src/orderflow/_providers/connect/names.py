"""Connect's names as types: for type checkers, and for completion in editors. Tests compare them with the lifecycle and the provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Required, TypedDict

ProviderName = Literal["connect"]
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
    "discarded",
]
Command = Literal["register", "discard", "complete_by_url", "complete_by_api", "assign_user"]
BareCommand = Literal["register", "discard", "complete_by_api"]
"""Commands without arguments."""
OperatorEvent = Literal[
    "registration_resolved",
    "registration_not_found",
    "registration_given_up",
    "fulfillment_not_found",
    "fulfillment_given_up",
    "assignment_resolved",
    "assignment_not_found",
    "assignment_given_up",
]
BareOperatorEvent = Literal[
    "registration_not_found",
    "registration_given_up",
    "fulfillment_not_found",
    "fulfillment_given_up",
    "assignment_resolved",
    "assignment_not_found",
    "assignment_given_up",
]
"""Operator events without arguments."""


class CreateRequest(TypedDict, total=False):
    """The request of ``create``."""

    order: Required[Mapping[str, object]]
    """The body of Register order, in Connect's spelling (A5)."""
    user_mode: bool
    """A user is logged in. The order is registered with the user's token."""
    digital: bool
    """The order has content that needs a user's access."""


class CompleteByUrl(TypedDict, total=False):
    """The arguments of ``complete_by_url``: pages of the application, at or below one of ``return_pages``."""

    return_url: Required[str]
    error_url: str | None


class AssignUser(TypedDict, total=False):
    """The arguments of ``assign_user``: the fields of Assign user (A9) in snake case. None counts as absent."""

    credential: Required[str]
    is_send_message: bool | None
    override_client_id: str | None
    return_url: str | None
    error_url: str | None
    link_lifetime: int | None


class RegistrationResolved(TypedDict):
    """The arguments of ``registration_resolved``."""

    order_id: str
    """Connect's id of the order."""
