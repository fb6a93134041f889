"""The moves that CCV itself can make with an order (CCV D1). Contains only: this table, and questions asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orderflow._providers.ccv.simulator.switches import CcvSwitches
from orderflow._providers.ccv.wire import OrderStatus as S

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
"""From each status, the next ones. A status outside the twelve may follow and precede any status that is not an end."""

ROWS: Final[tuple[tuple[str, ...], ...]] = (
    tuple(status for status in S if status not in {S.ERP_IN_PROGRESS, S.CLOSED, S.CANCELED, S.FAILED}),
    (S.ERP_IN_PROGRESS, S.CLOSED, S.CANCELED, S.FAILED),
)
"""The drawing: the usual way, then the reserved status and the other ends."""

SHORTEST_WAYS: Final[Mapping[str, tuple[str, ...]]] = {
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


def legal_moves(status: str, switches: CcvSwitches) -> tuple[str, ...]:
    """The statuses to which CCV may move an order, in the enum's order. Switches remove moves on which the pages are not clear."""
    moves = MOVES.get(status, frozenset(set(S) - {S.PROCESSING}))
    closed: set[str] = set()
    if status == S.FAILED and switches.failed_is_end:
        closed = set(S)
    if status in {S.AWAITING_PAYMENT, S.SCREENING} and not switches.cancel_while_waiting:
        closed = {S.CANCELED, S.CLOSED} if status == S.AWAITING_PAYMENT else {S.CANCELED}
    if status == S.FULFILLMENT_DONE and not switches.cancel_after_activation:
        closed = {S.CANCELED}
    return tuple(target for target in S if target in moves and target not in closed)


def check_move(status: str, target: str, switches: CcvSwitches) -> None:
    """Raises ValueError for a move CCV would not make."""
    unknown_target = target not in MOVES and status not in ENDS
    if status in MOVES and target not in legal_moves(status, switches) and not unknown_target:
        raise ValueError(f"CCV does not move an order from {status} to {target}; force=True does")
