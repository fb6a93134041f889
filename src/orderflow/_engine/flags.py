"""The notification that an order is flagged: what is owed for it, and what its listeners are given. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from orderflow._flagged import ORDER_FLAGGED, OrderFlagged
from orderflow._store.records import LeasedEffect, OwedEffect
from orderflow._store.rows import dump
from orderflow.model import NOTIFY_LISTENER, Order, Origin, Reason, RefusalRow

_FIRST = 1 << 16  # behind every effect of the step that led to the version, so that listeners hear of the step first


def plan_flag(refusal: RefusalRow, data: Mapping[str, object], trace: str) -> OwedEffect:
    """The notification of a refusal that flags the order.

    Its number stands for what is wrong. So one version of an order owes it once, however often that is seen: a store leaves an effect as
    it is that is there. Of an anomaly the detail counts too. That of the other reasons changes from poll to poll.
    """
    detail = refusal.detail if refusal.reason is Reason.ANOMALY else ""
    number = _FIRST + (crc32("\n".join((refusal.event, refusal.reason, detail)).encode("utf-8", "surrogatepass")) >> 2)
    flag = {
        "state": refusal.state,
        "reason": refusal.reason,
        "detail": refusal.detail,
        "event": refusal.event,
        "origin": refusal.origin,
        "at": refusal.last_at,
        "data": data,
    }
    return OwedEffect(refusal.version, number, NOTIFY_LISTENER, ORDER_FLAGGED, trace, dump(flag))


def read_flag(effect: LeasedEffect, order: Order) -> OrderFlagged:
    """What the listeners of a leased notification are given."""
    assert effect.arguments is not None
    flag: dict[str, Any] = dict(effect.arguments)
    origin, reason = Origin(flag.pop("origin")), Reason(flag.pop("reason"))
    return OrderFlagged(str(effect.key), order, version=effect.key.version, origin=origin, reason=reason, **flag)
