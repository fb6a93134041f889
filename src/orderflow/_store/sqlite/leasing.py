"""Leasing due effects and polls in SQLite: lane by lane, inside the writer's transaction, so that no lane hides another."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

from orderflow._store import rows
from orderflow._store.records import Lane, LeasedEffect, LeasedPoll, WorkerScope
from orderflow._store.sqlite.queries import SQL
from orderflow.model import EffectKey


def lease_effects(
    connection: sqlite3.Connection, now: float, scope: WorkerScope, limit: int, among: Collection[EffectKey] | None
) -> list[LeasedEffect]:
    """See ``Store.lease_effects``."""
    statement = "due_effects"
    values: dict[str, object] = {"now": now}
    if among is not None:
        statement = "due_effects_among"
        values["keys"] = rows.dump([(key.order_id, key.version, key.n) for key in among])
    due: list[Any] = []
    for lane, most in scope.effect_lanes(limit).items():
        due += connection.execute(SQL[statement], {**values, **_lane_values(scope, lane), "limit": most}).fetchall()
    due.sort(key=lambda row: row[-1])

    def lease(row: Sequence[Any]) -> LeasedEffect:
        *key, name, provider, attempt, sent, entered_state, uncounted, trace, arguments, in_flight, _ = row
        until = now + scope.leases[provider]
        connection.execute(SQL["lease_effect"], (until, *key))
        counts = attempt + 1, bool(sent), entered_state, uncounted, trace
        given = rows.load_arguments(key[0], arguments)
        return LeasedEffect(EffectKey(*key), name, provider, *counts, until, given, bool(in_flight))

    return rows.keep_readable(lease, due[:limit])  # one that is damaged stays leased, so that it comes back seldom


def is_poll_due(connection: sqlite3.Connection, now: float, scope: WorkerScope) -> bool:
    """Whether ``lease_polls`` would find one."""
    due = (connection.execute(SQL["next_due_poll"], {"provider": provider}).fetchone()[0] for provider in scope.providers_to_poll(1))
    return any(at is not None and at <= now for at in due)


def lease_polls(connection: sqlite3.Connection, now: float, scope: WorkerScope, limit: int) -> list[LeasedPoll]:
    """See ``Store.lease_polls``."""
    due: list[Any] = []
    for provider, most in scope.providers_to_poll(limit).items():
        due += connection.execute(SQL["due_polls"], {"now": now, "provider": provider, "limit": most}).fetchall()
    due.sort(key=lambda row: row[-1])
    leased = []
    for order_id, provider, without_news, unusable, _ in due[:limit]:
        until = now + scope.leases[provider]
        connection.execute(SQL["lease_poll"], (until, now, order_id))
        leased.append(LeasedPoll(order_id, provider, without_news, until, unusable))
    return leased


def find_next_due(connection: sqlite3.Connection, scope: WorkerScope) -> float | None:
    """See ``Store.next_due``."""
    found = [connection.execute(SQL["next_due_deadline"], {"providers": rows.dump(list(scope.leases))}).fetchone()]
    found += [connection.execute(SQL["next_due_effect"], _lane_values(scope, lane)).fetchone() for lane in scope.effect_lanes(1)]
    found += [connection.execute(SQL["next_due_poll"], {"provider": provider}).fetchone() for provider in scope.providers_to_poll(1)]
    return min((row[0] for row in found if row is not None and row[0] is not None), default=None)


def _lane_values(scope: WorkerScope, lane: Lane) -> dict[str, object]:
    provider, state = lane
    return {"provider": provider, "state": state, "states": rows.dump(sorted(s for p, s in scope.notifiable if p == provider))}
