"""Keeping a provider's answer in PostgreSQL outside a decision, in one transaction with what the answer led to."""

from __future__ import annotations

from orderflow._store.postgres.commit import message_values
from orderflow._store.postgres.pool import PostgresPool, Session
from orderflow._store.postgres.queries import COMMIT_SQL, SQL
from orderflow.model import Message


async def write_with_message(pool: PostgresPool, message: Message | None, statement: str, *values: object) -> bool:
    """Run a statement that writes ("": none), and keep the message, if there is one; whether the statement answered with a row.

    The order's row is locked first, as commits do, and by a statement of its own. What was committed meanwhile is seen: that the order
    is gone, or that it was redacted.
    """
    if message is None:
        return bool(await pool.fetch(statement, *values))
    kept = message

    async def work(session: Session) -> bool:
        async with session.connection.transaction():
            await session.fetch(SQL["lock_order"], kept.order_id)
            answered = bool(statement and await session.fetch(statement, *values))
            await session.fetch(COMMIT_SQL["add_message"], kept.order_id, *message_values(kept))
        return answered

    return await pool.run(work)
