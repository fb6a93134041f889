"""Dispatchers on databases, and processes that use them. A new dispatcher joins by one line in ``BACKENDS``. No test lives here."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import asyncpg
from attrs import define, field, frozen
from tests.kit.commits import NOW, SCOPE, move, new_order
from tests.kit.postgres import drop_schema, make_schema
from tests.kit.toy import Toy, build_toy_engine

from orderflow._app import Orderflow
from orderflow._dispatch import make_dispatcher
from orderflow._dispatch.ports import Dispatcher
from orderflow._engine.attempt import Attempt
from orderflow._engine.outbox import Outbox
from orderflow._store.ports import Store
from orderflow._store.records import LeasedEffect, WorkerScope
from orderflow._store.urls import make_store
from orderflow.simulators import SimClock


@define
class Process:
    """A process that takes effects only when it is asked to, at the time that it is given."""

    store: Store
    dispatcher: Dispatcher
    flow: Orderflow
    outbox: Outbox
    toy: Toy
    clock: SimClock
    wake: asyncio.Event = field(factory=asyncio.Event)

    async def owe(self, *effects: str, name: str = "a", provider: str = "toy", entered_state: str = "") -> str:
        """Commit a new order that owes these effects. Returns its id."""
        order = await self.store.create(new_order(name, provider=provider), "content")
        await self.store.commit(order.id, None, move("sent", effects=effects, entered_state=entered_state))
        return order.id

    async def take(self, at: float = NOW, scope: WorkerScope = SCOPE, limit: int = 10) -> list[LeasedEffect]:
        """The effects that the dispatcher brings."""
        return await self.dispatcher.take(at, scope, limit)

    async def take_names(self, at: float = NOW, scope: WorkerScope = SCOPE, limit: int = 10) -> list[str]:
        """The names of the effects that the dispatcher brings, sorted."""
        return sorted(effect.name for effect in await self.take(at, scope, limit))

    async def finish(self, effect: LeasedEffect) -> None:
        """The effect was carried out."""
        await self.store.finish_effect(effect)
        await self.dispatcher.finish(effect)

    async def retry(self, effect: LeasedEffect, at: float) -> None:
        """The effect was not executed, and is due again at this time."""
        await self.store.retry_effect(effect, at, "not executed")
        await self.dispatcher.finish(effect, at)

    async def lease(self) -> Attempt:
        """Lease the one effect of the toy that is due, through the engine."""
        (attempt,) = await self.outbox.fetch(SCOPE, 10)
        return attempt


@frozen
class Backend:
    """A dispatcher on a database."""

    url: str
    dispatch: str
    stack: AsyncExitStack

    async def open_process(self, *, works: bool = True) -> Process:
        """One more process on this database; one that does not work never takes anything."""
        store, toy, clock = make_store(self.url), Toy(), SimClock(start=NOW, manual=True)
        dispatcher = make_dispatcher(self.dispatch, store)
        flow = await self.stack.enter_async_context(Orderflow(store, [toy], dispatch=dispatcher, clock=clock))
        process = Process(store, dispatcher, flow, build_toy_engine(store, toy, clock, dispatcher).outbox, toy, clock)
        if works:
            await dispatcher.open(process.wake.set)
            self.stack.push_async_callback(dispatcher.close)
        return process

    async def jobs(self) -> list[str]:
        """The dedupe keys of the jobs that are queued or picked; none if the dispatcher has no jobs."""
        if self.dispatch == "local":
            return []
        return [row[0] for row in await self.execute("SELECT dedupe_key FROM of_pgqueuer ORDER BY id")]

    async def put_deadlines(self, count: int, at: float) -> None:
        """So many deadlines of other orders, due from ``at`` on."""
        insert = "INSERT INTO of_deadlines (order_id, name, provider, version, due_at)"
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection, connection:
                rows = ((f"o{n}", "late", "toy", 1, at + n) for n in range(count))
                connection.executemany(f"{insert} VALUES (?, ?, ?, ?, ?)", rows)
        else:
            await self.execute(f"{insert} SELECT 'o' || n, 'late', 'toy', 1, $1 + n FROM generate_series(1, $2) n", at, count)

    @asynccontextmanager
    async def count_deadlines_read(self, store: Any) -> AsyncIterator[list[int]]:
        """How much a store read of the deadlines meanwhile: the steps of SQLite's queries, or PostgreSQL's rows and index entries."""
        count = [0]
        if self.url.startswith("sqlite"):

            def step() -> None:
                count[0] += 1

            await store._read(lambda connection: connection.set_progress_handler(step, 1))
            yield count
        else:
            before = await self.count_rows_read("of_deadlines")
            yield count
            await flush_statistics(store)
            count[0] = await self.count_rows_read("of_deadlines") - before
            assert count[0] >= 0

    async def count_rows_read(self, table: str) -> int:
        """How many of a table's rows and index entries PostgreSQL has ever read."""
        rows = await self.execute(
            "SELECT t.seq_tup_read + sum(i.idx_tup_read)::int FROM pg_stat_user_tables t JOIN pg_stat_user_indexes i USING (relid)"
            " WHERE t.relname = $1 AND t.schemaname = current_schema() GROUP BY t.seq_tup_read",
            table,
        )
        return int(rows[0][0])

    async def execute(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Run a statement on a connection of its own. Returns its rows."""
        connection = await asyncpg.connect(self.url)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *values)
            return rows
        finally:
            await connection.close()


async def flush_statistics(store: Any) -> None:
    """Let PostgreSQL count what the store's session has read so far."""
    await store.pool.fetch("SELECT pg_stat_force_next_flush()")


BACKENDS: dict[str, tuple[str, str]] = {  # name -> dispatcher, database
    "local-sqlite": ("local", "sqlite"),
    "local-postgres": ("local", "postgres"),
    "pgqueuer-postgres": ("pgqueuer", "postgres"),
}


@asynccontextmanager
async def open_backend(name: str, folder: Path) -> AsyncIterator[Backend]:
    """A dispatcher on an empty database."""
    dispatch, database = BACKENDS[name]
    async with AsyncExitStack() as stack:
        url = f"sqlite:///{folder / 'orders.db'}"
        if database == "postgres":
            schema, url = await make_schema()
            stack.push_async_callback(drop_schema, schema)
        yield Backend(url, dispatch, stack)
