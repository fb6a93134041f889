"""What CCV itself can do with an order, one move at a time (CCV D1). What may live here: this table, and its reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orderflow.providers.ccv.simulator.switches import CcvSwitches
from orderflow.providers.ccv.wire import OrderStatus as S

ENDS: Final = frozenset({S.COMPLETED, S.CLOSED, S.CANCELED})
_ANY_TIME = {S.CLOSED, S.CANCELED, S.FAILED}
MOVES: Final[Mapping[str, frozenset[str]]] = {
    S.PROCESSING: frozenset({S.INCOMPLETE, S.AWAITING_PAYMENT, S.SCREENING, S.NEW} | _ANY_TIME),
    S.INCOMPLETE: frozenset({S.AWAITING_PAYMENT, S.SCREENING, S.NEW} | _ANY_TIME),
    S.AWAITING_PAYMENT: frozenset({S.SCREENING, S.NEW} | _ANY_TIME),
    S.SCREENING: frozenset({S.NEW} | _ANY_TIME),
    S.NEW: frozenset({S.ERP_IN_PROGRESS, S.FULFILLMENT_IN_PROGRESS, S.FULFILLMENT_DONE, S.COMPLETED} | _ANY_TIME),
    S.ERP_IN_PROGRESS: frozenset({S.FULFILLMENT_IN_PROGRESS, S.FULFILLMENT_DONE, S.COMPLETED} | _ANY_TIME),
    S.FULFILLMENT_IN_PROGRESS: frozenset({S.FULFILLMENT_DONE, S.COMPLETED} | _ANY_TIME),
    S.FULFILLMENT_DONE: frozenset({S.COMPLETED} | _ANY_TIME),
    # an employee may put a failed order back anywhere
    S.FAILED: frozenset(set(S) - {S.FAILED, S.ERP_IN_PROGRESS}),
    **dict.fromkeys(ENDS, frozenset[str]()),
}
"""A word outside the twelve moves freely between statuses that are no end."""

ROWS: Final[tuple[tuple[str, ...], ...]] = (
    tuple(status for status in S if status not in {S.ERP_IN_PROGRESS, S.CLOSED, S.CANCELED, S.FAILED}),
    (S.ERP_IN_PROGRESS, S.CLOSED, S.CANCELED, S.FAILED),
)
"""As drawn: the straight life, then the reserved status and the other ends."""

WAYS: Final[Mapping[str, tuple[str, ...]]] = {
    S.PROCESSING: (),
    S.INCOMPLETE: (S.INCOMPLETE,),
    S.AWAITING_PAYMENT: (S.INCOMPLETE, S.AWAITING_PAYMENT),
    S.SCREENING: (S.INCOMPLETE, S.SCREENING),
    S.NEW: (S.INCOMPLETE, S.NEW),
    S.ERP_IN_PROGRESS: (S.INCOMPLETE, S.NEW, S.ERP_IN_PROGRESS),
    S.FULFILLMENT_IN_PROGRESS: (S.INCOMPLETE, S.NEW, S.FULFILLMENT_IN_PROGRESS),
    S.FULFILLMENT_DONE: (S.INCOMPLETE, S.NEW, S.FULFILLMENT_IN_PROGRESS, S.FULFILLMENT_DONE),
    S.COMPLETED: (S.INCOMPLETE, S.NEW, S.COMPLETED),
    S.CLOSED: (S.INCOMPLETE, S.CLOSED),
    S.CANCELED: (S.INCOMPLETE, S.CANCELED),
    S.FAILED: (S.INCOMPLETE, S.FAILED),
}
"""The shortest usual way from Processing to each status, without Processing."""


def legal(here: str, switches: CcvSwitches) -> tuple[str, ...]:
    """Where CCV may move an order from here, in the enum's order; the switches narrow what its pages leave open."""
    known = MOVES.get(here, frozenset(set(S) - {S.PROCESSING}))
    shut: set[str] = set()
    if here == S.FAILED and switches.failed_is_end:
        shut = set(S)
    if here in {S.AWAITING_PAYMENT, S.SCREENING} and not switches.cancel_while_waiting:
        shut = {S.CANCELED, S.CLOSED} if here == S.AWAITING_PAYMENT else {S.CANCELED}
    if here == S.FULFILLMENT_DONE and not switches.cancel_after_activation:
        shut = {S.CANCELED}
    return tuple(status for status in S if status in known and status not in shut)


def must_be_legal(here: str, there: str, switches: CcvSwitches) -> None:
    """Raises ValueError for a move CCV would not make."""
    unknown = there not in MOVES and here not in ENDS
    if here in MOVES and there not in legal(here, switches) and not unknown:
        raise ValueError(f"CCV does not move an order from {here} to {there}; force=True does")
