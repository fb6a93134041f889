"""PostgreSQL is restarted, its sessions are ended, and time limits are set on the role, while orders run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.kit.calm_load import load
from tests.kit.postgres import pg_ctl

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
TERMINATIONS = 1000
TERMINATE = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM (
    SELECT pid FROM pg_stat_activity WHERE application_name = 'orderflow' AND ($1 OR state = 'active') ORDER BY random() LIMIT 1
) chosen
"""


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_postgresql_is_restarted_under_load(tmp_path: Path, own: Any, dispatch: str, mode: str) -> None:
    async with load(tmp_path, own.get_uri(), dispatch, f"three restarts, {mode}") as running:
        for _ in range(3):
            await asyncio.to_thread(pg_ctl, own, "-m", mode, "stop")
            await asyncio.sleep(1.0)
            await asyncio.to_thread(own.ensure_postgres_running)
            await running.wait_for(10)


async def test_a_thousand_sessions_are_ended_at_random_moments(tmp_path: Path, own: Any, dispatch: str) -> None:
    rng, ended = random.Random(5), 0
    async with load(tmp_path, own.get_uri(), dispatch, f"{TERMINATIONS:,} sessions ended"):
        connection = await asyncpg.connect(own.get_uri())
        while ended < TERMINATIONS:
            await asyncio.sleep(rng.uniform(0.0, 0.08))
            ended += await connection.fetchval(TERMINATE, rng.random() < 0.5)
        await connection.close()


LIMITS = {
    "statement_timeout": "300ms",
    "lock_timeout": "100ms",
    "idle_in_transaction_session_timeout": "300ms",
    "idle_session_timeout": "300ms",
}


@contextmanager
def limited(own: Any) -> Iterator[None]:
    """The role has these limits. Sessions that begin meanwhile have them."""
    for name, value in LIMITS.items():
        own.psql(f"ALTER ROLE postgres SET {name} = '{value}';")
    try:
        yield
    finally:
        own.psql("ALTER ROLE postgres RESET ALL;")


async def test_the_role_has_time_limits_that_strike_all_the_time(tmp_path: Path, own: Any, dispatch: str) -> None:
    """Locks on the tables are held for longer than the limits allow to wait."""
    connection = await asyncpg.connect(own.get_uri())
    with limited(own):
        async with load(tmp_path, own.get_uri(), dispatch, "time limits on the role") as running:
            before = (await connection.fetchrow("SELECT sum(xact_rollback) FROM pg_stat_database"))[0]
            for table, seconds in (("of_orders", 0.5), ("of_effects", 0.2), ("of_inbox", 0.5), ("of_journal", 0.2), ("of_effects", 1.0)):
                async with connection.transaction():
                    await connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
                    await asyncio.sleep(seconds)
                await running.wait_for(5)
            assert (await connection.fetchrow("SELECT sum(xact_rollback) FROM pg_stat_database"))[0] > before, "a limit has struck"
    await connection.close()
