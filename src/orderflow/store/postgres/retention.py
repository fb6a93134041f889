"""What of old orders is deleted or redacted in PostgreSQL; what may be is decided elsewhere.

Each is a transaction that locks the orders' rows first, by id as commits do, and looks at the rest with a statement of its own: what was
committed while it waited for a lock is seen, and nothing can be added behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orderflow.model import JournalRow, Order
from orderflow.store import rows
from orderflow.store.postgres.commit import SHOW, carried
from orderflow.store.postgres.pool import Session


def _aged(before: str) -> str:
    """Nothing has happened to the order o since ``before``, and nothing is owed or under way."""
    return (
        f"o.entered_at < {before}"
        f" AND NOT EXISTS (SELECT FROM of_journal j WHERE j.order_id = o.id AND j.at >= {before})"
        f" AND NOT EXISTS (SELECT FROM of_refusals r WHERE r.order_id = o.id AND r.last_at >= {before})"
        f" AND NOT EXISTS (SELECT FROM of_effects e WHERE e.order_id = o.id AND (e.owed OR (e.in_flight AND e.run_at >= {before})))"
    )


_LAST = "SELECT id FROM of_orders WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2"
_WALK = f"{SHOW} WHERE o.id > $1 AND ($2 = '' OR o.id <= $2) AND ($3 = '' OR o.provider = $3) AND {_aged('$4')} ORDER BY o.id"
_LOCK = (
    "SELECT o.id FROM (SELECT * FROM unnest($1::text[], $2::integer[]) AS c (id, version) ORDER BY 1) c,"
    " LATERAL (SELECT id FROM of_orders o WHERE o.id = c.id AND o.version = c.version FOR UPDATE) o"
)
_CHILDREN = ("of_journal", "of_refusals", "of_effects", "of_deadlines", "of_polls")
_DELETE = (
    "WITH k AS MATERIALIZED (SELECT o.id, o.provider, o.key FROM unnest($1::text[]) AS c (id),"
    f" LATERAL (SELECT * FROM of_orders o WHERE o.id = c.id AND {_aged('$2')}) o),"
    + ",".join(f" {table}_gone AS (DELETE FROM {table} x USING k WHERE x.order_id = k.id)" for table in _CHILDREN)
    + ", key_gone AS (DELETE FROM of_inbox x USING k WHERE x.origin = 'create' AND x.key = k.provider || ':' || k.key)"
    " DELETE FROM of_orders x USING k WHERE x.id = k.id"
)
_SWEEP = (
    "WITH page AS MATERIALIZED"
    " (SELECT origin, key, order_id FROM of_inbox WHERE (origin, key) > ($1, $2) ORDER BY origin, key LIMIT $3),"
    " gone AS (DELETE FROM of_inbox x USING page p WHERE x.origin = p.origin AND x.key = p.key"
    " AND NOT EXISTS (SELECT FROM of_orders o WHERE o.id = p.order_id))"
    " SELECT origin, key FROM page ORDER BY origin, key OFFSET $3 - 1"
)
_SWAP = "UPDATE of_orders SET version = $2, data = $3::json WHERE id = $1"
_NEEDED = "SELECT name FROM of_effects WHERE order_id = $1 AND (owed OR (in_flight AND run_at > $2)) LIMIT 1"
_EMPTY = (
    "WITH j AS (UPDATE of_journal SET note = '' WHERE order_id = $1 AND note <> ''),"
    " r AS (UPDATE of_refusals SET detail = '' WHERE order_id = $1),"
    " e AS (UPDATE of_effects SET why = '' WHERE order_id = $1)"
    " UPDATE of_inbox SET fingerprint = '' WHERE origin = 'create' AND key = $2"
)
_ROW = f"INSERT INTO of_journal ({rows.JOURNAL}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"


async def list_inactive(session: Session, before: float, after: str, limit: int, provider: str) -> tuple[list[Any], str]:
    """See ``Store.list_inactive``: the rows of ``SHOW`` and the last id walked."""
    found = await session.fetch(_LAST, after, limit - 1)
    last = found[0][0] if found else ""
    return await session.fetch(_WALK, after, last, provider, before), last


async def delete(session: Session, orders: Sequence[Order], before: float) -> list[str]:
    """See ``Store.delete``; may be run again where its outcome is unknown."""
    ids = [order.id for order in orders]
    async with session.connection.transaction():
        locked = [row[0] for row in await session.fetch(_LOCK, ids, [order.version for order in orders])]
        await session.fetch(_DELETE, locked, before)
        kept = {row[0] for row in await session.fetch("SELECT id FROM of_orders WHERE id = ANY($1::text[])", ids)}
    return [one for one in ids if one not in kept]


async def sweep_inbox(session: Session, after: tuple[str, str], limit: int) -> tuple[str, str] | None:
    """See ``Store.sweep_inbox``."""
    last = await session.fetch(_SWEEP, *after, limit)
    return (last[0][0], last[0][1]) if last else None


async def redact(session: Session, order: Order, row: JournalRow) -> str | None:
    """See ``Store.redact``."""
    async with session.connection.transaction():
        if not await session.fetch(_LOCK, [order.id], [row.version - 1]):
            return ""
        if found := await session.fetch(_NEEDED, order.id, row.at):
            return str(found[0][0])
        await session.fetch(_SWAP, order.id, order.version, rows.dump(order.snapshot.data))
        await session.fetch(_EMPTY, order.id, carried(f"{order.provider}:{order.key}"))
        await session.fetch(_ROW, *map(carried, rows.journal_values(row)))
    return None
