"""PostgreSQL behind a pooler such as PgBouncer: how it is recognised, and connections whose transactions may go to different servers."""

from __future__ import annotations

from typing import Any

import asyncpg

SIGNS = ("unsupported startup parameter", "prepared statement")
"""What the errors of a pooler say to a client that takes it for the database itself."""


class PooledConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection that runs each statement in a transaction.

    A pooler in transaction mode may give two servers to a statement's preparation and its execution, unless they are in one transaction.
    """

    async def fetch(self, query: str, *values: object, **options: Any) -> list[Any]:
        """See ``asyncpg.Connection.fetch``."""
        if self.is_in_transaction():
            return list(await super().fetch(query, *values, **options))
        async with self.transaction(isolation="read_committed"):
            return list(await super().fetch(query, *values, **options))

    async def execute(self, query: str, *values: object, **options: Any) -> str:
        """See ``asyncpg.Connection.execute``. Without values nothing is prepared."""
        if not values or self.is_in_transaction():
            return str(await super().execute(query, *values, **options))
        async with self.transaction(isolation="read_committed"):
            return str(await super().execute(query, *values, **options))


def is_sign(error: BaseException) -> bool:
    """Whether an error shows that a pooler stands before the database."""
    return any(sign in str(error) for sign in SIGNS)
