"""pgqueuer's tables in the orders' schema, all named ``of_pgqueuer...``: create, upgrade, keep small.

Contains only: DDL, and statements on pgqueuer's tables beside its public ``Queries``. A comment on the queue's table names the
release of pgqueuer that created or upgraded it last.
"""

from __future__ import annotations

import re
from importlib.metadata import version

from pgqueuer.adapters.persistence.qb import DBSettings, QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.db import AsyncpgDriver
from pgqueuer.domain.schema.model import Plan
from pgqueuer.domain.settings import Durability
from pgqueuer.errors import PgqException
from pgqueuer.queries import Queries

from orderflow._store.postgres.pool import PostgresPool, Session
from orderflow.errors import SchemaError

# model_construct reads nothing from the environment, because all processes must agree. Volatile: jobs skip the server's write-ahead
# log; after a crash of the server their table is empty, and the sweep fills it again
_NAMES = DBSettings.model_construct(prefix="of_", durability=Durability.volatile)
_BUILDERS = QueryBuilderEnvironment(_NAMES), QueryQueueBuilder(_NAMES), QuerySchedulerBuilder(_NAMES)
_RELEASE = "SELECT obj_description(c, 'pg_class') FROM to_regclass('of_pgqueuer') c WHERE c IS NOT NULL"
_ALTERED = """
-- pgqueuer would notify inside our commits, which would then wait for one lock: we notify after them
ALTER TABLE of_pgqueuer DISABLE TRIGGER of_tg_pgqueuer_changed;
-- its log repeats what journal and effects hold, three rows per job, and would never be deleted
CREATE OR REPLACE FUNCTION of_fn_pgqueuer_no_log() RETURNS TRIGGER AS 'BEGIN RETURN NULL; END' LANGUAGE plpgsql;
DROP TRIGGER IF EXISTS of_tg_pgqueuer_no_log ON of_pgqueuer_log;
CREATE TRIGGER of_tg_pgqueuer_no_log BEFORE INSERT ON of_pgqueuer_log FOR EACH ROW EXECUTE FUNCTION of_fn_pgqueuer_no_log();
COMMENT ON TABLE of_pgqueuer IS '{installed}';
"""
# a sequence follows its table; but one that skips the write-ahead log cannot be read on a standby that is promoted
_UNLOGGED_SEQUENCES = (
    "SELECT s.oid::regclass::text FROM pg_class s JOIN pg_class c ON c.relnamespace = s.relnamespace"
    " WHERE c.oid = to_regclass('of_pgqueuer') AND s.relname LIKE 'of\\_pgqueuer%' AND s.relkind = 'S' AND s.relpersistence = 'u'"
)
_WALK = (
    # key and attempt, as in the payload; but the payload of a foreign job may be any bytes, and one that is no text would fail here
    "WITH page AS MATERIALIZED (SELECT id, regexp_match(dedupe_key, '^(.*):(\\d{1,9}):(\\d{1,9}):\\d+$') AS key"
    " FROM of_pgqueuer WHERE id > $1 ORDER BY id LIMIT $2),"
    # never EXISTS: the planner would join the page with all effects that are owed
    " dead AS MATERIALIZED (SELECT id FROM page WHERE key IS NOT NULL AND (SELECT e.owed FROM of_effects e"
    " WHERE e.order_id = key[1] AND e.version = key[2]::integer AND e.n = key[3]::integer) IS NOT TRUE),"
    " locked AS MATERIALIZED (SELECT j.id FROM of_pgqueuer j JOIN dead USING (id) ORDER BY j.id FOR UPDATE OF j SKIP LOCKED),"
    " deleted AS (DELETE FROM of_pgqueuer j USING locked WHERE j.id = locked.id RETURNING 1)"
    " SELECT (SELECT id FROM page ORDER BY id OFFSET $2 - 1), (SELECT count(*) FROM deleted)"
)


class _Driver(AsyncpgDriver):
    """One of the store's connections in pgqueuer's interface. Each statement passes the store's boundary."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.connection)
        self._session = session

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        return [dict(row) for row in await self._session.fetch(query, *args)]


def queries(session: Session) -> Queries:
    """pgqueuer's public API on one of our connections."""
    return Queries(_Driver(session), *_BUILDERS)


async def prepare(session: Session, name: str) -> Plan:
    """Create the tables, or upgrade them to the installed pgqueuer. Returns what was changed.

    Several processes may run it at once.

    Raises:
        SchemaError: they are a newer pgqueuer's, or cannot be converted.
    """
    installed, queue, changed = version("pgqueuer"), queries(session), Plan()
    if await _release_of_tables(session) == installed and not await session.fetch(_UNLOGGED_SEQUENCES):
        return changed
    async with queue.schema_lock():
        found = await _release_of_tables(session)  # another process may have been here meanwhile
        if found is None:
            async with session.connection.transaction():
                await queue.install(create_schema=False)
                await queue.optimize_autovacuum()
                await session.connection.execute(_ALTERED.format(installed=installed))
        elif found != installed:
            changed = await _upgrade(queue, name, found, installed)
            await session.connection.execute(_ALTERED.format(installed=installed))
        for (sequence,) in await session.fetch(_UNLOGGED_SEQUENCES):
            await session.connection.execute(f"ALTER SEQUENCE {sequence} SET LOGGED")
    return changed


async def upgrade_at(url: str) -> None:
    """Run ``prepare`` on the database with this URL, if it has the tables.

    Raises:
        SchemaError: as ``prepare``; OperationalError: the database cannot be reached.
    """
    pool = PostgresPool(url, connections=1, patience=3.0, boundary=None)
    await pool.open()
    try:
        if await pool.run(_release_of_tables) is not None:
            await pool.run(lambda session: prepare(session, pool.name))
    finally:
        await pool.close()


async def _release_of_tables(session: Session) -> str | None:
    """The pgqueuer release of the tables ("": unknown); None: there are no tables."""
    found = await session.fetch(_RELEASE)
    return str(found[0][0] or "") if found else None


async def _upgrade(queue: Queries, name: str, found: str, installed: str) -> Plan:
    try:
        plan = await queue.plan_upgrade()
        if plan.statements and _order(found) > _order(installed):
            raise SchemaError(
                f"{name}: the queue's tables are of pgqueuer {found}, and {installed} is installed: pip install 'pgqueuer>={found}'"
            )
        return await queue.apply_upgrade()
    except PgqException as error:
        raise SchemaError(
            f"{name}: the queue's tables cannot be upgraded to pgqueuer {installed}: {error}; they hold nothing that cannot be found again:"
            " stop the workers, run PGQUEUER_PREFIX=of_ pgq uninstall, then orderflow db upgrade"
        ) from None


def _order(release: str) -> tuple[int, ...]:
    """The numbers of a release, for comparing. 1.7.0rc1 has the tables of 1.7.0, so it gives the same."""
    match = re.match(r"\d+(\.\d+)*", release)
    return tuple(map(int, match[0].split("."))) if match else ()


async def drop_dead(session: Session, after: int, limit: int) -> tuple[int, int]:
    """Look at the next ``limit`` jobs behind the id ``after`` and delete those whose effect is not owed any more.

    Jobs of other applications stay. Returns the last id looked at (0: there are no more) and how many were deleted.
    """
    ((last, deleted),) = await session.fetch(_WALK, after, limit)
    return last or 0, deleted
