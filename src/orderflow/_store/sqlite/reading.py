"""What is read of one order in SQLite, on a connection of the reader or inside the writer's transaction."""

from __future__ import annotations

import sqlite3

from orderflow._store import rows
from orderflow._store.records import OrderRecords
from orderflow._store.sqlite.queries import SQL
from orderflow.errors import UnknownName
from orderflow.model import Order, Pending


def load_order(connection: sqlite3.Connection, order_id: str) -> Order:
    """See ``Store.load``."""
    row = connection.execute(SQL["load_order"], (order_id,)).fetchone()
    if row is None:
        raise UnknownName("order", order_id)
    return rows.read_flagged_order(row)


def load_pending(connection: sqlite3.Connection, order_id: str) -> Pending:
    """See ``Store.pending``."""
    effects, poll, deadlines = (
        connection.execute(SQL[statement], (order_id,)).fetchall() for statement in ("owed_effects", "next_poll", "armed_deadlines")
    )
    return Pending(tuple(map(rows.effect, effects)), poll[0][0] if poll else None, tuple(deadlines))


def load_records(connection: sqlite3.Connection, order_id: str) -> OrderRecords:
    """See ``Store.load_records``."""
    connection.execute("BEGIN")  # from its first query on, a transaction that reads sees one moment
    try:
        order = load_order(connection, order_id)
        journal = tuple(map(rows.journal, connection.execute(SQL["journal"], (order_id, 1))))
        return OrderRecords(order, journal, load_pending(connection, order_id))
    finally:
        connection.execute("ROLLBACK")
