"""pgqueuer's tables in the orders' schema, all named ``of_pgqueuer...``: how they are made, brought up to date, and kept small.

What may live here: DDL, and what reaches past pgqueuer's public ``Queries`` into its tables. A comment on the queue says which pgqueuer
made it or brought it up to date last.
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

from orderflow.errors import SchemaError
from orderflow.store.postgres.pool import PostgresPool, Session

# constructed, not called: nothing comes from the environment, for all processes must agree. Volatile: jobs are spared the server's
# write-ahead log; where it crashes, their table is empty afterwards, and the sweep fills it again
_NAMES = DBSettings.model_construct(prefix="of_", durability=Durability.volatile)
_BUILDERS = QueryBuilderEnvironment(_NAMES), QueryQueueBuilder(_NAMES), QuerySchedulerBuilder(_NAMES)
_MADE_BY = "SELECT obj_description(c, 'pg_class') FROM to_regclass('of_pgqueuer') c WHERE c IS NOT NULL"
_ALTERED = """
-- pgqueuer would notify inside our commits, which then queue up behind one lock: we notify after them
ALTER TABLE of_pgqueuer DISABLE TRIGGER of_tg_pgqueuer_changed;
-- its log says again what journal and effects say, three rows a job, and nothing would ever delete them
CREATE OR REPLACE FUNCTION of_fn_pgqueuer_no_log() RETURNS TRIGGER AS 'BEGIN RETURN NULL; END' LANGUAGE plpgsql;
DROP TRIGGER IF EXISTS of_tg_pgqueuer_no_log ON of_pgqueuer_log;
CREATE TRIGGER of_tg_pgqueuer_no_log BEFORE INSERT ON of_pgqueuer_log FOR EACH ROW EXECUTE FUNCTION of_fn_pgqueuer_no_log();
COMMENT ON TABLE of_pgqueuer IS '{installed}';
"""
_WALK = (
    # key and attempt, as in the payload; but that may be any bytes where a job is somebody else's, and one that is no text would end this
    "WITH page AS MATERIALIZED (SELECT id, regexp_match(dedupe_key, '^(.*):(\\d{1,9}):(\\d{1,9}):\\d+$') AS key"
    " FROM of_pgqueuer WHERE id > $1 ORDER BY id LIMIT $2),"
    # never EXISTS: the planner would join the page with all effects that are owed
    " dead AS MATERIALIZED (SELECT id FROM page WHERE key IS NOT NULL AND (SELECT e.owed FROM of_effects e"
    " WHERE e.order_id = key[1] AND e.version = key[2]::integer AND e.n = key[3]::integer) IS NOT TRUE),"
    " mine AS MATERIALIZED (SELECT j.id FROM of_pgqueuer j JOIN dead USING (id) ORDER BY j.id FOR UPDATE OF j SKIP LOCKED),"
    " gone AS (DELETE FROM of_pgqueuer j USING mine WHERE j.id = mine.id RETURNING 1)"
    " SELECT (SELECT id FROM page ORDER BY id OFFSET $2 - 1), (SELECT count(*) FROM gone)"
)


class _Driver(AsyncpgDriver):
    """One of the store's connections as pgqueuer wants it; each statement passes the store's boundary."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.connection)
        self._session = session

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        return [dict(row) for row in await self._session.fetch(query, *args)]


def queries(session: Session) -> Queries:
    """pgqueuer's public API on one of our connections."""
    return Queries(_Driver(session), *_BUILDERS)


async def prepare(session: Session, name: str) -> Plan:
    """Make the tables, or bring them up to date with the pgqueuer that is installed; answers with what had to be changed.

    Several processes at once are safe.

    Raises:
        SchemaError: they are a newer pgqueuer's, or cannot be converted.
    """
    installed, queue, changed = version("pgqueuer"), queries(session), Plan()
    if await _made_by(session) == installed:
        return changed
    async with queue.schema_lock():
        made_by = await _made_by(session)  # another process may have been here meanwhile
        if made_by is None:
            async with session.connection.transaction():
                await queue.install(create_schema=False)
                await queue.optimize_autovacuum()
                await session.connection.execute(_ALTERED.format(installed=installed))
        elif made_by != installed:
            changed = await _upgrade(queue, name, made_by, installed)
            await session.connection.execute(_ALTERED.format(installed=installed))
    return changed


async def upgrade_at(url: str) -> None:
    """``prepare`` by URL, where there are tables at all.

    Raises:
        SchemaError: as ``prepare``; OperationalError: not reachable.
    """
    pool = PostgresPool(url, connections=1, patience=3.0, boundary=None)
    await pool.open()
    try:
        if await pool.run(_made_by) is not None:
            await pool.run(lambda session: prepare(session, pool.name))
    finally:
        await pool.close()


async def _made_by(session: Session) -> str | None:
    """Which pgqueuer the tables are of ("": nobody says); None where there are none."""
    found = await session.fetch(_MADE_BY)
    return str(found[0][0] or "") if found else None


async def _upgrade(queue: Queries, name: str, made_by: str, installed: str) -> Plan:
    try:
        plan = await queue.plan_upgrade()
        if plan.statements and _order(made_by) > _order(installed):
            raise SchemaError(
                f"{name}: the queue's tables are of pgqueuer {made_by}, and {installed} is installed: pip install 'pgqueuer>={made_by}'"
            )
        return await queue.apply_upgrade()
    except PgqException as error:
        raise SchemaError(
            f"{name}: the queue's tables cannot be brought up to pgqueuer {installed}: {error}; they hold nothing that is not found again:"
            " end the workers, run PGQUEUER_PREFIX=of_ pgq uninstall, then orderflow db upgrade"
        ) from None


def _order(release: str) -> tuple[int, ...]:
    """The final release that it is or leads to, to be compared: 1.7.0rc1 has the tables of 1.7.0."""
    found = re.match(r"\d+(\.\d+)*", release)
    return tuple(map(int, found[0].split("."))) if found else ()


async def drop_dead(session: Session, after: int, limit: int) -> tuple[int, int]:
    """Walk the next ``limit`` jobs behind the id ``after`` and delete those whose effect is not owed any more; what we did not
    enqueue stays. Answers with the last id walked (0: there are no more) and how many are gone."""
    ((last, gone),) = await session.fetch(_WALK, after, limit)
    return last or 0, gone
