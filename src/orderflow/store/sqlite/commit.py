"""How one decision is written to SQLite, inside the writer's transaction: snapshot, journal, refusal, effects, deadlines, read, inbox."""

from __future__ import annotations

import sqlite3

from orderflow.model import NOTIFY_LISTENER, Applied, Order, Snapshot
from orderflow.store import rows
from orderflow.store.records import Commit, InboxKey, PollAt, PollPlan, PollSooner, Receipt

_MOVE = (
    "UPDATE of_orders SET state = ?, version = ?, facts = coalesce(?, facts), data = coalesce(?, data), entered_at = ?"
    " WHERE id = ? AND version = ?"
)
_JOURNAL = f"INSERT INTO of_journal ({rows.JOURNAL}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_EFFECT = "INSERT INTO of_effects (order_id, version, n, name, entered_state, provider, run_at, trace) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_DEADLINE = "INSERT OR REPLACE INTO of_deadlines (order_id, name, provider, version, due_at) VALUES (?, ?, ?, ?, ?)"
_REFUSAL = (
    f"INSERT INTO of_refusals ({rows.REFUSAL}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (order_id, event, state, reason) DO UPDATE SET count = count + 1, last_at = excluded.last_at,"
    " version = excluded.version, detail = excluded.detail"
)
# a worker whose clock is ahead writes a last_at that is not yet: min() keeps it from silencing the reads
_READ_AT = (
    "INSERT INTO of_polls (order_id, provider, next_at, without_news) VALUES (:order, :provider, :at, :without_news)"
    " ON CONFLICT (order_id) DO UPDATE SET without_news = :without_news,"
    " next_at = max(CASE requested WHEN 1 THEN :now ELSE :at END, min(last_at, :now) + :interval)"
)
_READ_FORWARD = (
    "INSERT INTO of_polls (order_id, provider, requested) VALUES (:order, :provider, 1)"
    " ON CONFLICT (order_id) DO UPDATE SET requested = 1, next_at = min(next_at, max(:now, min(last_at, :now) + :interval))"
)


class LostRace(Exception):
    """The order moved between load and write: impossible behind this writer's lock, so the transaction is tried again alone."""


def apply(connection: sqlite3.Connection, order: Order, key: InboxKey | None, commit: Commit, deadline: str = "") -> Receipt:
    """Write a commit whole; the caller's transaction makes it so. ``deadline`` is the name of the one that it is entered_state."""
    receipt = Receipt(commit.decision, order.state, order.version)
    if isinstance(commit.decision, Applied):
        receipt = Receipt(commit.decision, commit.decision.snapshot.state, commit.decision.snapshot.version)
        _move(connection, order, commit.decision.snapshot, commit)
    if commit.refusal is not None:
        connection.execute(_REFUSAL, rows.refusal_values(commit.refusal))
    if commit.deadlines is not None:
        connection.execute("DELETE FROM of_deadlines WHERE order_id = ?", (order.id,))
        armed = [(order.id, name, order.provider, receipt.version, due) for name, due in commit.deadlines]
        connection.executemany(_DEADLINE, armed)
    elif deadline:
        connection.execute("DELETE FROM of_deadlines WHERE order_id = ? AND name = ?", (order.id, deadline))
    if commit.finished_effect is not None:
        done = commit.finished_effect
        update = "UPDATE of_effects SET owed = 0, in_flight = 0 WHERE order_id = ? AND version = ? AND n = ?"
        connection.execute(update, (done.order_id, done.version, done.n))
    if commit.cancel_effects:
        update = "UPDATE of_effects SET owed = 0 WHERE order_id = ? AND version <= ? AND name <> ?"
        connection.execute(update, (order.id, order.version, NOTIFY_LISTENER))
    if commit.poll is not None:
        plan_poll(connection, order, commit.at, commit.poll)
    if key is not None and commit.keep_key:
        insert = "INSERT INTO of_inbox (origin, key, order_id, at) VALUES (?, ?, ?, ?)"
        connection.execute(insert, (key.origin, key.key, order.id, commit.at))
    return receipt


def _move(connection: sqlite3.Connection, order: Order, snapshot: Snapshot, commit: Commit) -> None:
    entered = order.entered_at if snapshot.state == order.state else commit.at
    changed = rows.changed(order.snapshot, snapshot)
    values = (snapshot.state, snapshot.version, *changed, entered, order.id, order.version)
    if connection.execute(_MOVE, values).rowcount != 1:
        raise LostRace
    connection.executemany(_JOURNAL, [rows.journal_values(row) for row in commit.journal])
    owed = [(order.id, one.version, one.n, one.name, one.entered_state, order.provider, commit.at, one.trace) for one in commit.effects]
    connection.executemany(_EFFECT, owed)


def plan_poll(connection: sqlite3.Connection, order: Order, now: float, plan: PollPlan) -> None:
    """Write a read plan; see the records in records.py for what each means."""
    values = {"order": order.id, "provider": order.provider, "now": now}
    if isinstance(plan, PollAt):
        values |= {"at": plan.at, "without_news": plan.without_news, "interval": plan.interval}
        connection.execute(_READ_AT, values)
    elif isinstance(plan, PollSooner):
        connection.execute(_READ_FORWARD, values | {"interval": plan.interval})
    else:
        connection.execute("DELETE FROM of_polls WHERE order_id = ?", (order.id,))
