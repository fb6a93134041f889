"""Deleting and redacting old orders in PostgreSQL. Which orders may be deleted is decided elsewhere.

Each is a transaction that first locks the rows of its orders, by id as commits do. Its other statements begin after that. They see what
was committed while the lock was waited for, and nothing can be added behind them.
"""

from __future__ import annotations

from collections.abc import Sequence

from orderflow._store import rows
from orderflow._store.postgres.commit import to_storable
from orderflow._store.postgres.pool import Session
from orderflow._store.postgres.queries import SQL
from orderflow._store.records import PRUNED
from orderflow.model import JournalRow, Order


async def list_inactive(session: Session, before: float, after: str, limit: int, provider: str) -> tuple[list[Order], str]:
    """See ``Store.list_inactive``."""
    end = await session.fetch(SQL["end_of_page"], after, limit - 1)
    last = str(end[0][0]) if end else ""
    inactive = await session.fetch(SQL["list_inactive"], before, after, last, provider)
    return rows.keep_readable(rows.read_flagged_order, inactive), last


async def delete(session: Session, orders: Sequence[Order], before: float) -> list[str]:
    """See ``Store.delete``. It may be run again where its outcome is unknown."""
    ids = [order.id for order in orders]
    async with session.connection.transaction():
        locked = [row[0] for row in await session.fetch(SQL["lock_orders"], ids, [order.version for order in orders])]
        provider_ids = {order.id: to_storable(order.provider_id) for order in orders}
        await session.fetch(SQL["delete_orders"], before, locked, [provider_ids[order_id] for order_id in locked])
        remaining = {row[0] for row in await session.fetch(SQL["remaining_orders"], ids)}
        if len(remaining) < len(ids):
            await session.fetch(SQL["note_maintenance"], PRUNED, before, "")
    return [order_id for order_id in ids if order_id not in remaining]


async def sweep_inbox(session: Session, after: tuple[str, str], limit: int) -> tuple[str, str] | None:
    """See ``Store.sweep_inbox``."""
    last = await session.fetch(SQL["sweep_inbox"], *after, limit)
    return (last[0][0], last[0][1]) if last else None


async def redact(session: Session, order: Order, row: JournalRow) -> str | None:
    """See ``Store.redact``."""
    async with session.connection.transaction():
        if not await session.fetch(SQL["lock_orders"], [order.id], [row.version - 1]):
            return ""
        if unfinished := await session.fetch(SQL["unfinished_effect"], order.id, row.at):
            return str(unfinished[0][0])
        await session.fetch(SQL["redact_order"], order.id, order.version, rows.dump(order.snapshot.data))
        await session.fetch(SQL["redact_texts"], order.id, to_storable(f"{order.provider}:{order.key}"))
        await session.fetch(SQL["add_journal_row"], *map(to_storable, rows.journal_values(row)))
    return None
