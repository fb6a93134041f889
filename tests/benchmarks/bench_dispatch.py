"""Effects carried out per second by one worker, each a call that does nothing and whose result goes through the inbox.

Every effect is the same: lease its row, load its order, call, decide, commit the move (order, journal row, inbox key, the effect's end).
A backlog is made beforehand; the worker is timed from its start to the last row. The bare pgqueuer job runs in its own QueueManager on its
own tables and knows beforehand what to write. It looks the order and the inbox up and writes the same rows in one statement. It keeps no
attempt before its call. PostgreSQL as in bench_store.py.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import timedelta

import asyncpg
import structlog
from pgqueuer import AsyncpgPoolDriver, Job, QueueManager
from pgqueuer.models import Context
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode
from tests.benchmarks.bench_decide import result
from tests.benchmarks.bench_store import DATA, LOOK_ONE, BellProvider, in_turn
from tests.kit.engines import scope_of
from tests.kit.postgres import DURABLE

from orderflow._app import Orderflow
from orderflow._lifecycle.declare import Lifecycle, State, assumed, edge, repeatable
from orderflow._provider.call import Call
from orderflow._provider.outcomes import Outcome, Succeeded
from orderflow._provider.protocol import PublicUrls
from orderflow._store import rows
from orderflow.model import Cause, Origin

BACKLOG = 2000
FAR, FAR_AWAY = 100_000, 9e9
WIDTH = 32  # the worker's
US = Cause.US, assumed("a benchmark"), "moves"
Prepare = Callable[[str], Awaitable[None]]


class Gong(Lifecycle, name="bell"):
    """One effect, whose answer moves the order back."""

    paused = State(initial=True)
    ringing = State()
    ring = repeatable(successes=["rung"])
    press = edge(Origin.COMMAND, paused.to(ringing), *US, effects=[ring])
    rung = edge(Origin.REPLY, ringing.to(paused), *US)


class GongProvider(BellProvider):
    """Answers at once; says when it was called as often as expected."""

    table = Gong.table

    def __init__(self, expected: int = 0) -> None:
        self.left = expected
        self.all_called = asyncio.Event()

    async def perform(self, call: Call, urls: PublicUrls) -> Outcome:
        self.left -= 1
        if not self.left:
            self.all_called.set()
        return Succeeded("rung")


async def backlog(url: str, dispatch: str) -> list[str]:
    """So many orders, each of which owes an effect."""
    async with Orderflow(url, [GongProvider()], dispatch=dispatch) as flow:

        async def one(n: int) -> str:
            order = await flow.create("bell", key=f"k{n}")
            await flow.send(order.id, "press")
            return order.id

        return [order for n in range(0, BACKLOG, 100) for order in await asyncio.gather(*map(one, range(n, n + 100)))]


async def measure_worker(url: str, dispatch: str, prepare: Prepare | None = None) -> float:
    """Effects a second of a worker."""
    await backlog(url, dispatch)
    if prepare is not None:
        await prepare(url)
    provider = GongProvider(BACKLOG)
    begun = time.perf_counter()
    async with Orderflow(url, [provider], worker=True, dispatch=dispatch) as flow:
        await provider.all_called.wait()
        while (await flow._store.next_due(scope_of(flow._engine)) or FAR_AWAY) < FAR_AWAY:
            await asyncio.sleep(0.002)
        return BACKLOG / (time.perf_counter() - begun)


async def far_deadlines(url: str) -> None:
    """Deadlines of other orders, that come in a year."""
    insert = "INSERT INTO of_deadlines (order_id, name, provider, version, due_at)"
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            connection.executemany(f"{insert} VALUES (?, 'late', 'bell', 1, ?)", ((f"o{n}", FAR_AWAY + n) for n in range(FAR)))
        return
    connection = await asyncpg.connect(url)
    await connection.execute(f"{insert} SELECT 'o' || n, 'late', 'bell', 1, {FAR_AWAY} + n FROM generate_series(1, {FAR}) n")
    await connection.close()


# ── bare pgqueuer ────────────────────────────────────────────────────────────────────────────────────────────────────────

RUNG = """WITH l AS (SELECT id FROM of_orders WHERE id = $1 AND version = 1 FOR UPDATE),
     i AS (INSERT INTO of_inbox (origin, key, order_id, at) SELECT 'reply', $2, id, $3 FROM l ON CONFLICT DO NOTHING RETURNING 1),
     u AS (UPDATE of_orders SET state = 'paused', version = 2, facts = $4, data = $5, entered_at = $3
            WHERE id = $1 AND version = 1 AND EXISTS (SELECT 1 FROM i) RETURNING id),
     h AS (INSERT INTO of_journal (order_id, version, event, origin, source, target, kind, at, note) SELECT id, 2, 'rung', 'reply', 'ringing', 'paused', 'step', $3, '' FROM u),
     e AS (UPDATE of_effects SET owed = false, in_flight = false WHERE order_id IN (SELECT id FROM u) AND version = 1 AND n = 0)
SELECT id FROM u"""


async def bare(url: str) -> float:
    """Effects a second of pgqueuer's own worker."""
    orders = await backlog(url, "local")
    settings = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
    async with asyncpg.create_pool(url, min_size=8, max_size=8, server_settings=settings) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))
        await queries.install()
        await queries.enqueue(["ring"] * BACKLOG, [order.encode() for order in orders], [0] * BACKLOG)
        worker = QueueManager(queries)
        facts, data = rows.dump({}), rows.dump(DATA)

        @worker.entrypoint("ring")
        async def ring(job: Job, _context: Context) -> None:
            order, key = (job.payload or b"").decode(), f"{job.id}"
            await pool.fetchrow(LOOK_ONE, order, "reply", key)
            assert await pool.fetchval(RUNG, order, key, time.time(), facts, data) == order

        begun = time.perf_counter()
        await worker.run(batch_size=WIDTH, mode=QueueExecutionMode.drain, heartbeat_timeout=timedelta(seconds=60))
        taken = time.perf_counter() - begun
        assert not await pool.fetchval("SELECT count(*) FROM of_effects WHERE owed")
        return BACKLOG / taken


# ── in turn ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _local(name: str, got: dict[str, float]) -> list[dict[str, object]]:
    alone, behind = got["local"], got["behind"]
    share = behind / alone
    return [
        result(f"{name}: effects, local", alone, "effects/s", None, ">= 2,000", ok=alone >= 2000),
        result(f"{name}: effects behind {FAR:,} deadlines / none", behind, "effects/s", share, ">= 0.9x", ok=share >= 0.9),
    ]


def run() -> list[dict[str, object]]:
    """Every measurement of this area."""
    os.environ[DURABLE] = "yes"
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR), cache_logger_on_first_use=True)
    local: dict[str, Callable[[str], Awaitable[float]]] = {
        "local": lambda url: measure_worker(url, "local"),
        "behind": lambda url: measure_worker(url, "local", far_deadlines),
    }
    sqlite = in_turn("sqlite", local)
    postgres = in_turn("postgres", {**local, "pgqueuer": lambda url: measure_worker(url, "pgqueuer"), "bare": bare})
    share = postgres["pgqueuer"] / postgres["bare"]
    return [
        *_local("SQLite FULL", sqlite),
        *_local("PostgreSQL", postgres),
        result("PostgreSQL: effects, pgqueuer / bare pgqueuer job", postgres["pgqueuer"], "effects/s", share, ">= 0.8x", ok=share >= 0.8),
        result("PostgreSQL: bare pgqueuer job", postgres["bare"], "effects/s", None, "floor", ok=True),
    ]
