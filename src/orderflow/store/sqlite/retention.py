"""What of old orders is deleted or redacted in SQLite, inside the writer's transaction; what may be is decided elsewhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from orderflow.model import JournalRow, Order
from orderflow.store import rows

AGED = (
    "o.entered_at < :before"
    " AND NOT EXISTS (SELECT 1 FROM of_journal j WHERE j.order_id = o.id AND j.at >= :before)"
    " AND NOT EXISTS (SELECT 1 FROM of_refusals r WHERE r.order_id = o.id AND r.last_at >= :before)"
    " AND NOT EXISTS (SELECT 1 FROM of_effects e WHERE e.order_id = o.id AND (e.owed = 1 OR (e.in_flight = 1 AND e.run_at >= :before)))"
)
"""Nothing has happened to the order o since ``before``, and nothing is owed or under way."""

_CHILDREN = ("of_journal", "of_refusals", "of_effects", "of_deadlines", "of_polls")
_CREATE_KEY = "origin = 'create' AND key = ?"


def delete(connection: sqlite3.Connection, orders: Iterable[Order], before: float) -> list[str]:
    """See ``Store.delete``."""
    one = f"DELETE FROM of_orders AS o WHERE o.id = :id AND o.version = :version AND {AGED}"
    gone = []
    for order in orders:
        if connection.execute(one, {"id": order.id, "version": order.version, "before": before}).rowcount:
            for table in _CHILDREN:
                connection.execute(f"DELETE FROM {table} WHERE order_id = ?", (order.id,))
            connection.execute(f"DELETE FROM of_inbox WHERE {_CREATE_KEY}", (f"{order.provider}:{order.key}",))
        elif connection.execute("SELECT 1 FROM of_orders WHERE id = ?", (order.id,)).fetchone():
            continue
        gone.append(order.id)
    return gone


def sweep_inbox(connection: sqlite3.Connection, after: tuple[str, str], limit: int) -> tuple[str, str] | None:
    """See ``Store.sweep_inbox``."""
    walk = "SELECT origin, key, order_id FROM of_inbox WHERE (origin, key) > (?, ?) ORDER BY origin, key LIMIT ?"
    page = connection.execute(walk, (*after, limit)).fetchall()
    without = "DELETE FROM of_inbox WHERE origin = ? AND key = ? AND NOT EXISTS (SELECT 1 FROM of_orders WHERE id = ?)"
    connection.executemany(without, page)
    return (page[-1][0], page[-1][1]) if len(page) == limit else None


def redact(connection: sqlite3.Connection, order: Order, row: JournalRow) -> str | None:
    """See ``Store.redact``."""
    needed = "SELECT name FROM of_effects WHERE order_id = ? AND (owed = 1 OR (in_flight = 1 AND run_at > ?)) LIMIT 1"
    if found := connection.execute(needed, (order.id, row.at)).fetchone():
        return str(found[0])
    swap = "UPDATE of_orders SET version = ?, data = ? WHERE id = ? AND version = ?"
    if not connection.execute(swap, (order.version, rows.dump(order.snapshot.data), order.id, row.version - 1)).rowcount:
        return ""
    connection.execute("UPDATE of_journal SET note = '' WHERE order_id = ?", (order.id,))
    connection.execute("UPDATE of_refusals SET detail = '' WHERE order_id = ?", (order.id,))
    connection.execute("UPDATE of_effects SET why = '' WHERE order_id = ?", (order.id,))
    connection.execute(f"UPDATE of_inbox SET fingerprint = '' WHERE {_CREATE_KEY}", (f"{order.provider}:{order.key}",))
    connection.execute(f"INSERT INTO of_journal ({rows.JOURNAL}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows.journal_values(row))
    return None
