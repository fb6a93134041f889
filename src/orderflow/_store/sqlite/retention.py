"""Deleting and redacting old orders in SQLite, inside the writer's transaction. Which orders may be deleted is decided elsewhere."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from orderflow._store import rows
from orderflow._store.records import PRUNED
from orderflow._store.sqlite.queries import SQL
from orderflow.model import JournalRow, Order

_DELETE_ROWS = ("delete_journal", "delete_refusals", "delete_messages", "delete_effects", "disarm_deadlines", "delete_poll")
_REDACT_ROWS = ("redact_notes", "redact_details", "redact_effects", "redact_command_keys", "delete_messages")


def list_inactive(connection: sqlite3.Connection, before: float, after: str, limit: int, provider: str) -> tuple[list[Order], str]:
    """See ``Store.list_inactive``; outside the writer."""
    end = connection.execute(SQL["end_of_page"], (after, limit - 1)).fetchone()
    last = str(end[0]) if end else ""
    values = {"after": after, "last": last, "provider": provider, "before": before}
    return rows.keep_readable(rows.read_flagged_order, connection.execute(SQL["list_inactive"], values)), last


def delete(connection: sqlite3.Connection, orders: Iterable[Order], before: float) -> list[str]:
    """See ``Store.delete``."""
    gone = []
    for order in orders:
        if connection.execute(SQL["delete_order"], {"id": order.id, "version": order.version, "before": before}).rowcount:
            for statement in _DELETE_ROWS:
                connection.execute(SQL[statement], (order.id,))
            connection.execute(SQL["delete_create_key"], (f"{order.provider}:{order.key}",))
            connection.execute(SQL["release_provider_id"], (order.provider, order.provider_id, order.id))
        elif connection.execute(SQL["order_exists"], (order.id,)).fetchone():
            continue
        gone.append(order.id)
    if gone:
        connection.execute(SQL["note_maintenance"], (PRUNED, before, ""))
    return gone


def sweep_inbox(connection: sqlite3.Connection, after: tuple[str, str], limit: int) -> tuple[str, str] | None:
    """See ``Store.sweep_inbox``."""
    page = connection.execute(SQL["inbox_page"], (*after, limit)).fetchall()
    connection.executemany(SQL["delete_orphaned_key"], page)
    return (page[-1][0], page[-1][1]) if len(page) == limit else None


def redact(connection: sqlite3.Connection, order: Order, row: JournalRow) -> str | None:
    """See ``Store.redact``."""
    if unfinished := connection.execute(SQL["unfinished_effect"], (order.id, row.at)).fetchone():
        return str(unfinished[0])
    values = (order.version, rows.dump(order.snapshot.data), order.id, row.version - 1)
    if not connection.execute(SQL["redact_order"], values).rowcount:
        return ""
    for statement in _REDACT_ROWS:
        connection.execute(SQL[statement], (order.id,))
    connection.execute(SQL["redact_create_key"], (f"{order.provider}:{order.key}",))
    connection.execute(SQL["add_journal_row"], rows.journal_values(row))
    return None
