"""Rows to records and back: how orders, journal and refusals look in a database. No SQL is run here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from orderflow.model import EffectKey, JournalRow, Order, Origin, PendingEffect, Reason, RefusalRow, Snapshot

ORDER = "id, provider, key, state, version, facts, data, created_at, entered_at"
JOURNAL = "order_id, version, event, origin, source, target, kind, at, note"
EFFECT = "order_id, version, n, name, entered_state, attempt, in_flight, run_at, why"
REFUSAL = "order_id, event, origin, state, reason, detail, version, count, first_at, last_at"

_ENCODE = json.JSONEncoder(separators=(",", ":")).encode
_DECODE = json.JSONDecoder().raw_decode  # what we dumped has nothing around it


def dump(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """As JSON, compact, in ASCII."""
    return _ENCODE(value)


def changed(before: Snapshot, after: Snapshot) -> tuple[str | None, str | None]:
    """Facts and data as they are to be written; None: as they were, for most moves touch neither."""
    facts = None if after.facts is before.facts else dump(after.facts)
    return facts, None if after.data is before.data else dump(after.data)


def order(row: Sequence[Any], flagged: bool = False) -> Order:
    """From the columns ``ORDER``."""
    identity, provider, key, state, version, facts, data, created_at, entered_at = row
    snapshot = Snapshot(state, _DECODE(facts)[0], _DECODE(data)[0], version)
    return Order(identity, provider, key, snapshot, created_at, entered_at, flagged)


def order_values(order: Order) -> tuple[Any, ...]:
    """For the columns ``ORDER``."""
    snapshot = order.snapshot
    return (
        order.id,
        order.provider,
        order.key,
        snapshot.state,
        snapshot.version,
        dump(snapshot.facts),
        dump(snapshot.data),
        order.created_at,
        order.entered_at,
    )


def journal(row: tuple[Any, ...]) -> JournalRow:
    """From the columns ``JOURNAL``."""
    order_id, version, event, origin, source, target, kind, at, note = row
    return JournalRow(order_id, version, event, Origin(origin), source, target, kind, at, note)


def journal_values(row: JournalRow) -> tuple[Any, ...]:
    """For the columns ``JOURNAL``."""
    return (
        row.order_id,
        row.version,
        row.event,
        row.origin._value_,  # ``value`` is a descriptor in Python, and slow
        row.source,
        row.target,
        row.kind,
        row.at,
        row.note,
    )


def effect(row: tuple[Any, ...]) -> PendingEffect:
    """From the columns ``EFFECT``."""
    order_id, version, n, name, entered_state, attempt, in_flight, run_at, why = row
    return PendingEffect(EffectKey(order_id, version, n), name, entered_state, attempt, bool(in_flight), run_at, why)


def refusal(row: tuple[Any, ...]) -> RefusalRow:
    """From the columns ``REFUSAL``."""
    order_id, event, origin, state, reason, detail, version, count, first_at, last_at = row
    return RefusalRow(order_id, event, Origin(origin), state, Reason(reason), detail, version, count, first_at, last_at)


def refusal_values(row: RefusalRow) -> tuple[Any, ...]:
    """For the columns ``REFUSAL``."""
    return (
        row.order_id,
        row.event,
        row.origin.value,
        row.state,
        row.reason.value,
        row.detail,
        row.version,
        row.count,
        row.first_at,
        row.last_at,
    )
