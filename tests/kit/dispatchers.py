"""Dispatchers on databases, and processes that use them, for the tests of this folder. A new one joins by one line in ``LINES``."""

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
from tests.kit.toy import NoUrls, Toy

from orderflow.app import Orderflow
from orderflow.dispatch import dispatcher_of
from orderflow.dispatch.ports import Dispatcher
from orderflow.engine.outbox import Outbox
from orderflow.simulators import SimClock
from orderflow.store.ports import Store
from orderflow.store.records import LeasedEffect, WorkerScope
from orderflow.store.urls import make_store


@define
class Process:
    """A process that takes effects when it is asked to, at the moment that it is told."""

    store: Store
    dispatcher: Dispatcher
    flow: Orderflow
    toy: Toy
    clock: SimClock
    wake: asyncio.Event = field(factory=asyncio.Event)

    async def owe(self, *effects: str, name: str = "a", provider: str = "toy", entered_state: str = "") -> str:
        """Commit a new order that owes these."""
        order = await self.store.create(new_order(name, provider=provider), "content")
        await self.store.commit(order.id, None, move("sent", effects=effects, entered_state=entered_state))
        return order.id

    async def take(self, at: float = NOW, scope: WorkerScope = SCOPE, limit: int = 10) -> list[LeasedEffect]:
        """What the dispatcher brings."""
        return await self.dispatcher.take(at, scope, limit)

    async def names(self, at: float = NOW, scope: WorkerScope = SCOPE, limit: int = 10) -> list[str]:
        """The same, by name."""
        return sorted(effect.name for effect in await self.take(at, scope, limit))

    async def finish(self, effect: LeasedEffect) -> None:
        """It was carried out, and nothing came of it."""
        await self.store.finish_effect(effect)
        await self.dispatcher.ended(effect)

    async def retry(self, effect: LeasedEffect, at: float) -> None:
        """It was not executed: once more, then."""
        await self.store.retry_effect(effect, at, "not executed")
        await self.dispatcher.ended(effect, at)

    @property
    def effects(self) -> Outbox:
        """The engine's, with this dispatcher."""
        return Outbox(self.flow._engine.inbox, NoUrls(), self.dispatcher)


@frozen
class Line:
    """A dispatcher on a database."""

    url: str
    dispatch: str
    stack: AsyncExitStack

    async def process(self, *, works: bool = True) -> Process:
        """One more process on this database; one that does not work never takes anything."""
        store, toy, clock = make_store(self.url), Toy(), SimClock(start=NOW, manual=True)
        dispatcher = dispatcher_of(self.dispatch, store)
        flow = await self.stack.enter_async_context(Orderflow(store, [toy], dispatch=dispatcher, clock=clock))
        process = Process(store, dispatcher, flow, toy, clock)
        if works:
            await dispatcher.open(process.wake.set)
            self.stack.push_async_callback(dispatcher.close)
        return process

    async def jobs(self) -> list[str]:
        """The dedupe keys of the jobs that are queued or picked; none for a dispatcher without jobs."""
        if self.dispatch == "local":
            return []
        return [row[0] for row in await self.sql("SELECT dedupe_key FROM of_pgqueuer ORDER BY id")]

    async def put_deadlines(self, count: int, at: float) -> None:
        """So many deadlines of other orders, from ``at`` on."""
        insert = "INSERT INTO of_deadlines (order_id, name, provider, version, due_at)"
        if self.url.startswith("sqlite"):
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection, connection:
                rows = ((f"o{n}", "late", "toy", 1, at + n) for n in range(count))
                connection.executemany(f"{insert} VALUES (?, ?, ?, ?, ?)", rows)
        else:
            await self.sql(f"{insert} SELECT 'o' || n, 'late', 'toy', 1, $1 + n FROM generate_series(1, $2) n", at, count)

    @asynccontextmanager
    async def looking(self, store: Any) -> AsyncIterator[list[int]]:
        """How much was looked at meanwhile, of deadlines: SQLite's steps while reading, or PostgreSQL's rows."""
        looked_at = [0]
        if self.url.startswith("sqlite"):

            def step() -> None:
                looked_at[0] += 1

            await store._read(lambda connection: connection.set_progress_handler(step, 1))
            yield looked_at
        else:
            rows = (
                "SELECT t.seq_tup_read + sum(i.idx_tup_read)::int FROM pg_stat_user_tables t JOIN pg_stat_user_indexes i USING (relid)"
                " WHERE t.relname = 'of_deadlines' AND t.schemaname = current_schema() GROUP BY t.seq_tup_read"
            )
            before = (await self.sql(rows))[0][0]
            yield looked_at
            await store.pool.fetch("SELECT pg_stat_force_next_flush()")
            looked_at[0] = (await self.sql(rows))[0][0] - before
            assert looked_at[0] >= 0

    async def sql(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Past everything, into the database."""
        connection = await asyncpg.connect(self.url)
        try:
            found: list[asyncpg.Record] = await connection.fetch(statement, *values)
            return found
        finally:
            await connection.close()


LINES: dict[str, tuple[str, str]] = {  # name -> dispatcher, store
    "local-sqlite": ("local", "sqlite"),
    "local-postgres": ("local", "postgres"),
    "pgqueuer-postgres": ("pgqueuer", "postgres"),
}


@asynccontextmanager
async def line_of(name: str, folder: Path) -> AsyncIterator[Line]:
    """A dispatcher on an empty database."""
    dispatch, database = LINES[name]
    async with AsyncExitStack() as stack:
        url = f"sqlite:///{folder / 'orders.db'}"
        if database == "postgres":
            schema, url = await make_schema()
            stack.push_async_callback(drop_schema, schema)
        yield Line(url, dispatch, stack)
