"""A transition through the public API where the tables are large: 1,000,000 orders and 5,000,000 journal rows against 10,000 orders.

Both databases are filled in one way, in the order of the keys: an order, five journal rows, a done effect and an inbox key each. Then one
caller presses orders drawn at random, each for the first time, so that the store finds none of their pages warm; samples are taken in
turn, a checkpoint before the first. It takes some minutes and about 2 GB for each store under the temporary directory.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from itertools import islice
from pathlib import Path

import asyncpg
import structlog
from tests.benchmarks.bench_decide import result
from tests.benchmarks.bench_store import BellProvider
from tests.kit.postgres import DURABLE, drop_schema, make_schema

from orderflow._app import Orderflow

SIZES = 10_000, 1_000_000
STEPS = 5
PRESSES = 400  # a sample
ROUNDS = 10
GOAL = 1.25
JSON_DATA = '{"reference":"' + "x" * 90 + '"}'
FILL = (  # {id} and {no} are the database's own; n counts orders, s their steps
    f"INSERT INTO of_orders SELECT {{id}}, 'bell', {{id}}, 'silent', {STEPS}, '{{{{}}}}', '{{data}}', 1e9, 1e9 FROM n",
    "INSERT INTO of_journal SELECT {id}, s, 'press', 'command', 'silent', 'ringing', 'step', 1e9, '', '', '' FROM n, s",
    "INSERT INTO of_effects (order_id, version, n, name, provider, owed, run_at) SELECT {id}, 1, 0, 'ring', 'bell', {no}, 1e9 FROM n",
    "INSERT INTO of_inbox SELECT 'create', 'bell:' || {id}, {id}, 'a fingerprint', 1e9 FROM n",
)


async def fill_sqlite(url: str, orders: int) -> None:
    """Fill it without waiting for the disk."""
    numbers = (
        f"WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {orders - 1}),"
        f" s (s) AS (SELECT 1 UNION ALL SELECT s + 1 FROM s WHERE s < {STEPS}) "
    )
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for statement in FILL:
            head, chosen = statement.format(id="printf('bell-%020d', i)", no=0, data=JSON_DATA).split(" SELECT ", 1)
            connection.execute(f"{head} {numbers} SELECT {chosen}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def fill_postgres(url: str, orders: int) -> None:
    """As after a night's vacuum."""
    numbers = f"WITH n AS (SELECT i FROM generate_series(0, {orders - 1}) i), s AS (SELECT s FROM generate_series(1, {STEPS}) s)"
    connection = await asyncpg.connect(url)
    try:
        for statement in FILL:
            chosen = statement.format(id="'bell-' || lpad(i::text, 20, '0')", no="false", data=JSON_DATA)
            await connection.execute(f"{numbers} {chosen}")
        for table in ("of_orders", "of_journal", "of_effects", "of_inbox"):
            await connection.execute(f"VACUUM ANALYZE {table}")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def press(flow: Orderflow, ids: Sequence[str]) -> float:
    """The median of a sample's transitions, in microseconds."""
    taken: list[float] = []
    for order_id in ids:
        begun = time.perf_counter()
        await flow.send(order_id, "press", key="once")
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * 1e6


def choose_orders(orders: int) -> Iterator[str]:
    """Orders in a random order, none twice."""
    numbers = random.Random(orders).sample(range(orders), (ROUNDS + 1) * PRESSES)
    return (f"bell-{number:020d}" for number in numbers)


async def compare(database: str, urls: Sequence[str], fill: Callable[[str, int], Awaitable[None]]) -> dict[str, object]:
    """One row: microseconds a transition on the large database, and how many times the small one's."""
    async with AsyncExitStack() as stack:
        flows: list[tuple[Orderflow, Iterator[str], list[float]]] = []
        for url, orders in zip(urls, SIZES, strict=True):
            async with Orderflow(url, [BellProvider()]):
                pass  # makes the tables
            await fill(url, orders)
            flows.append((await stack.enter_async_context(Orderflow(url, [BellProvider()])), choose_orders(orders), []))
        for _ in range(ROUNDS + 1):
            for flow, ids, samples in flows:
                samples.append(await press(flow, list(islice(ids, PRESSES))))
    small, large = (statistics.median(samples[1:]) for _, _, samples in flows)  # the first ones warm up
    name = f"{database}: a transition among {SIZES[1]:,} orders / {SIZES[0]:,}"
    return result(name, large, "µs", large / small, f"<= {GOAL}x", ok=large / small <= GOAL)


async def _sqlite() -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        return await compare("SQLite FULL", [f"sqlite:///{Path(folder) / f'{orders}.db'}" for orders in SIZES], fill_sqlite)


async def _postgres() -> dict[str, object]:
    made = [await make_schema() for _ in SIZES]
    try:
        return await compare("PostgreSQL", [url for _, url in made], fill_postgres)
    finally:
        for schema, _ in made:
            await drop_schema(schema)


def run() -> list[dict[str, object]]:
    """Every measurement of this area."""
    os.environ[DURABLE] = "yes"
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR), cache_logger_on_first_use=True)
    return [asyncio.run(_sqlite()), asyncio.run(_postgres())]
