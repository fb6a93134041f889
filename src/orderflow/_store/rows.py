"""Rows to records and back: the columns of orders, journal, refusals and effects in the order in which the statements have them.

A row that cannot be read raises ``UnreadableRow``, with the order that it belongs to. From a list it is left out, and logged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, TypeVar

from orderflow._flagged import FailingNotification
from orderflow._store.records import LeasedEffect, StoredStanding
from orderflow._telemetry.log import get_logger
from orderflow.errors import UnreadableRow
from orderflow.model import EffectKey, JournalRow, Message, Order, Origin, PendingEffect, ProviderProblem, Reason, RefusalRow, Snapshot

R = TypeVar("R")
T = TypeVar("T")
_log = get_logger(__name__)
_DAMAGE = (ValueError, TypeError, RecursionError)  # what JSON, an enum or ``dict`` raises
_ORDER_TYPES = (dict, dict, str, int, float, float)  # of facts, data, state, version, created_at, entered_at
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode
_DECODE = json.JSONDecoder().raw_decode  # faster than decode(), which also skips white space; there is none in what dump() wrote


def dump(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """As JSON, compact, in ASCII.

    Raises:
        TypeError, ValueError: not JSON.
    """
    return _ENCODE(value)


def load_arguments(order_id: str, stored: str) -> dict[str, object] | None:
    """The arguments of an effect; None where nothing is stored.

    Raises:
        UnreadableRow: they are damaged.
    """
    try:
        return dict(_DECODE(stored)[0]) if stored else None
    except _DAMAGE:
        raise UnreadableRow(order_id, "of_effects") from None


def keep_readable(read: Callable[[R], T], rows: Iterable[R]) -> list[T]:
    """What ``read`` makes of each row. A row that cannot be read is logged and left out: it must not hide the others."""
    readable = []
    for row in rows:
        try:
            readable.append(read(row))
        except UnreadableRow as error:
            _log.error("order.unreadable", order_id=error.order_id, table=error.table)
    return readable


def dump_changes(before: Snapshot, after: Snapshot) -> tuple[str | None, str | None]:
    """Facts and data as JSON. None: not changed, as in most moves."""
    facts = None if after.facts is before.facts else dump(after.facts)
    return facts, None if after.data is before.data else dump(after.data)


def order(row: Sequence[Any], flagged: bool = False) -> Order:
    """From the columns id, provider, key, state, version, facts, data, created_at, entered_at.

    Raises:
        UnreadableRow: a value is damaged.
    """
    order_id, provider, key, state, version, facts, data, created_at, entered_at = row
    try:
        known_facts, known_data = _DECODE(facts)[0], _DECODE(data)[0]
    except _DAMAGE:
        raise UnreadableRow(order_id, "of_orders") from None
    if (type(known_facts), type(known_data), type(state), type(version), type(created_at), type(entered_at)) != _ORDER_TYPES:
        raise UnreadableRow(order_id, "of_orders")
    return Order(order_id, provider, key, Snapshot(state, known_facts, known_data, version), created_at, entered_at, flagged)


def read_flagged_order(row: Sequence[Any]) -> Order:
    """From the columns of ``order``, and whether it is flagged."""
    *columns, flagged = row
    return order(columns, bool(flagged))


def order_values(order: Order) -> tuple[Any, ...]:
    """The columns of ``order``."""
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


def journal(row: Sequence[Any]) -> JournalRow:
    """From the columns order_id, version, event, origin, source, target, kind, at, note, facts, data.

    Raises:
        UnreadableRow: a value is damaged, or a newer orderflow wrote it.
    """
    order_id, version, event, origin, source, target, kind, at, note, facts, data = row
    try:
        return JournalRow(order_id, version, event, Origin(origin), source, target, kind, at, note, load_step(facts), load_step(data))
    except _DAMAGE:
        raise UnreadableRow(order_id, "of_journal") from None


def journal_values(row: JournalRow) -> tuple[Any, ...]:
    """The columns of ``journal``."""
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
        dump_step(row.facts),
        dump_step(row.data),
    )


def dump_step(values: Mapping[str, Any] | None) -> str | None:
    """What a step set of facts or data, as JSON; "" for nothing, as in most steps; None where it is not recorded."""
    if values is None:
        return None
    return dump(values) if values else ""


def load_step(stored: str | None) -> dict[str, Any] | None:
    """The opposite of ``dump_step``."""
    if stored is None:
        return None
    return dict(_DECODE(stored)[0]) if stored else {}


def effect(row: Sequence[Any]) -> PendingEffect:
    """From the columns order_id, version, n, name, entered_state, attempt, in_flight, run_at, why."""
    order_id, version, n, name, entered_state, attempt, in_flight, run_at, why = row
    return PendingEffect(EffectKey(order_id, version, n), name, entered_state, attempt, bool(in_flight), run_at, why)


def read_owed_call(row: Sequence[Any]) -> LeasedEffect:
    """From the columns order_id, version, n, name, provider, attempt: a call whose earlier attempt may have been executed."""
    order_id, version, n, name, provider, attempt = row
    return LeasedEffect(EffectKey(order_id, version, n), name, provider, attempt, previous_attempt_sent=True)


def refusal(row: Sequence[Any]) -> RefusalRow:
    """From the columns order_id, event, origin, state, reason, detail, version, count, first_at, last_at.

    Raises:
        UnreadableRow: a value is damaged, or a newer orderflow wrote it.
    """
    order_id, event, origin, state, reason, detail, version, count, first_at, last_at = row
    try:
        return RefusalRow(order_id, event, Origin(origin), state, Reason(reason), detail, version, count, first_at, last_at)
    except _DAMAGE:
        raise UnreadableRow(order_id, "of_refusals") from None


def refusal_values(row: RefusalRow) -> tuple[Any, ...]:
    """The columns of ``refusal``."""
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


def failing_notification(row: Sequence[Any]) -> FailingNotification:
    """From the columns order_id, provider, entered_state, failures, why, arguments, and when the order came to its version."""
    order_id, provider, state, failures, why, arguments, at = row
    flag = load_arguments(order_id, arguments) or {}
    return FailingNotification(order_id, provider, state, float(str(flag.get("at", at))), failures, why)


def standing(row: Sequence[Any]) -> StoredStanding:
    """From the columns of ``StoredStanding``. A problem that this version does not know counts as none."""
    provider, throttled_until, problem, *others = row
    known = next((known for known in ProviderProblem if known == problem), None)
    return StoredStanding(provider, throttled_until, known, *others)


def message(row: Sequence[Any]) -> Message:
    """From the columns order_id, source, status, content_type, body, truncated, at, last_at, count."""
    order_id, source, status, content_type, body, truncated, at, last_at, count = row
    return Message(order_id, source, status, content_type, body, bool(truncated), at, last_at, count)


def digest(body: str) -> str:
    """What stands for a body in a key: a body may be longer than an index takes."""
    return blake2b(body.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
