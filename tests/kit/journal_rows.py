"""Rows of an order's journal, to draw paths with."""

from attrs import frozen


@frozen
class Row:
    """A journal's row, as ``trace_order`` needs it."""

    event: str
    source: str
    target: str
    kind: str = "step"


def make_rows(*moves: str) -> list[Row]:
    """Return rows from texts ``event source target [kind]``."""
    return [Row(*move.split()) for move in moves]


JUMPED = make_rows(
    "submit drafted configuring",
    "order_configured configuring submitting",
    "order_submitted submitting Processing",
    "seen_incomplete Processing Incomplete inferred",
    "seen_awaiting_payment Incomplete AwaitingPayment",
    "seen_fulfillment_done AwaitingPayment FulfillmentDone jump",
    "seen_canceled FulfillmentDone Canceled",
)
"""The path of a CCV order with an inferred step and a jump."""
