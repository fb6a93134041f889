"""What a restore from a backup needs of PostgreSQL. Each statement is a transaction of its own: none waits while it holds locks."""

from __future__ import annotations

from collections.abc import Sequence

from orderflow._store import rows
from orderflow._store.postgres.commit import to_storable
from orderflow._store.postgres.pool import PostgresPool
from orderflow._store.postgres.queries import SQL
from orderflow._store.records import RESTORED, KeptCommits, OpenWork


async def doubt_owed_calls(pool: PostgresPool, now: float, until: float, by: str) -> None:
    """See ``Store.doubt_owed_calls``. The calls come first: after that, nothing is sent."""
    await pool.fetch(SQL["doubt_owed_calls"], until)
    await pool.fetch(SQL["poll_all_open"], now)
    await pool.fetch(SQL["reset_deadlines"])
    await pool.fetch(SQL["note_maintenance"], RESTORED, now, to_storable(by))


async def list_open_work(pool: PostgresPool) -> OpenWork:
    """See ``Store.list_open_work``."""
    calls = tuple(map(rows.read_owed_call, await pool.fetch(SQL["owed_calls"])))
    return OpenWork(calls, tuple(row[0] for row in await pool.fetch(SQL["planned_polls"])))


async def find_kept(pool: PostgresPool, order_ids: Sequence[str]) -> KeptCommits:
    """See ``Store.find_kept``."""
    versions = dict(map(tuple, await pool.fetch(SQL["versions"], list(order_ids))))
    return KeptCommits(versions, dict(map(tuple, await pool.fetch(SQL["maintenance"]))))
