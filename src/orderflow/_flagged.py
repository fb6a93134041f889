"""Records about flagged orders and about notifications that keep failing. No behaviour lives here."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from orderflow.model import Order, Origin, Reason

ORDER_FLAGGED = "order-flagged"
"""What stands in place of a state where listeners of flagged orders are meant. No state can have this name."""


@frozen
class OrderFlagged:
    """What a listener of ``on_flagged`` is given: a person should look at the order. At least once, with a stable ``key``.

    Attributes:
        order: the order as it stands now.
        state, version: where it stood when it was flagged.
        reason, detail: why, as a value and in words.
        event: the event that was refused; ``status_read`` for a poll.
        origin: who said so.
        at: when.
        data: what came with the event. It may hold personal data.
    """

    key: str
    order: Order
    state: str
    version: int
    reason: Reason
    detail: str
    event: str
    origin: Origin
    at: float
    data: Mapping[str, object] = field(factory=dict, hash=False, repr=False)


@frozen
class FailingNotification:
    """A notification that is still owed after several failures of its listener.

    Attributes:
        state: of its listener: the state that the order entered, or ``order-flagged``.
        since: since when it is owed.
        failures: how often it failed.
        why: how it failed the last time.
    """

    order_id: str
    provider: str
    state: str
    since: float
    failures: int
    why: str
