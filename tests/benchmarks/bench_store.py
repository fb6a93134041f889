"""Durable transitions per second through the public API, on both stores, against bare loops that make the same writes.

Every transition is the same: look the order and the inbox up, decide, move the order, write one journal row, one effect and one inbox
key, commit to disk. The bare loops are what one writes without orderflow. They read and write the JSON, decide by an ``if``, and make one
transition a commit, on 1 connection or on 8. They write the same rows, over as many orders in turn as there are callers.
``raw`` is the store's own batch of 64 with everything decided beforehand (PostgreSQL: and dumped): what deciding and the API cost is the
rest. Where making data durable is nearly free, sharing a commit gains little: its cost stands beside the figures.
PostgreSQL is the server of tests/kit/postgres.py: on this machine, over a Unix socket, fsync and synchronous_commit on.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

import asyncpg
import structlog
from attrs import evolve
from tests.benchmarks.bench_decide import result
from tests.kit.postgres import DURABLE, drop_schema, make_schema

from orderflow._app import Orderflow
from orderflow._lifecycle.declare import Lifecycle, State, assumed, edge, repeatable
from orderflow._lifecycle.table import Table
from orderflow._provider.call import Call
from orderflow._provider.endpoints import Endpoint
from orderflow._provider.outcomes import NoResult, Outcome, ReadFailed, StatusRead
from orderflow._provider.protocol import BaseProvider, Draft, PublicUrls
from orderflow._provider.timing import Timing
from orderflow._store import rows
from orderflow._store.postgres.commit import build_statement, load_statement, plan_write
from orderflow._store.records import Commit, InboxKey, OwedEffect
from orderflow._store.sqlite.commit import apply
from orderflow._store.sqlite.queries import SQL
from orderflow.model import Applied, Cause, JournalRow, Order, Origin, Snapshot, Step, StepKind

CALLERS = 64
SECONDS = 1.0
WARM = 0.2  # seconds before that
ROUNDS = 5
MOST = 60_000  # transitions that a sample with everything decided beforehand may make; PostgreSQL twice that
DATA = {"reference": "x" * 90}
ORDER = "id, provider, key, state, version, facts, data, created_at, entered_at"
JOURNAL = "order_id, version, event, origin, source, target, kind, at, note, facts, data"
US = Cause.US, assumed("a benchmark"), "moves"


class Bell(Lifecycle, name="bell"):
    """The smallest life that never ends."""

    silent = State(initial=True)
    ringing = State()
    ring = repeatable(successes=["rung"])
    press = edge(Origin.COMMAND, silent.to(ringing), *US, effects=[ring])
    rung = edge(Origin.REPLY, ringing.to(ringing), *US)
    release = edge(Origin.COMMAND, ringing.to(silent), *US, effects=[ring])


class BellProvider(BaseProvider):
    """A provider of bells; nothing is carried out."""

    name = "bell"
    table: Table = Bell.table
    timing = Timing(durations={})
    endpoints: tuple[Endpoint, ...] = ()

    def draft(self, request: Mapping[str, object]) -> Draft:
        return Draft({}, DATA)

    def command(self, command: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        return {}

    async def perform(self, call: Call, urls: PublicUrls) -> Outcome:
        return NoResult("a benchmark")

    def customer_url(self, order: Order, urls: PublicUrls) -> str | None:
        return None

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        return ReadFailed("a benchmark")

    async def close(self) -> None:
        """Nothing is open."""


def moves(order: Order) -> Iterator[Commit]:
    """What the API writes for ever, decided beforehand."""
    states = ("silent", "ringing")
    for version in count(1):
        source, target = states[(version - 1) % 2], states[version % 2]
        event = ("release", "press")[version % 2]
        step = Step(event, Origin.COMMAND, source, target, StepKind.STEP)
        at = 1e9 + version
        journal = JournalRow(order.id, version, event, Origin.COMMAND, source, target, "step", at, facts={}, data={})
        snapshot = Snapshot(target, {}, DATA, version)
        yield Commit(Applied((step,), snapshot), at, journal=(journal,), effects=(OwedEffect(version, 0, "ring"),))


def snapshot_of(commit: Commit) -> Snapshot:
    """Where it takes its order."""
    assert isinstance(commit.decision, Applied)
    return commit.decision.snapshot


def new_order() -> Order:
    """An order that no store knows yet."""
    identity = f"bell-{secrets.token_hex(10)}"
    return Order(identity, "bell", identity, Snapshot("silent", {}, DATA, 0), 1e9, 1e9)


async def rate(step: Callable[[int], Awaitable[int]], workers: int) -> float:
    """Transitions a second of so many loops side by side; ``step(n)`` makes loop n's next ones and says how many."""
    done = 0

    async def loop(n: int, until: float) -> None:
        nonlocal done
        while time.perf_counter() < until:
            made = await step(n)  # not ``done += await``: that reads ``done`` before it waits
            done += made

    await asyncio.gather(*(loop(n, time.perf_counter() + WARM) for n in range(workers)))
    done, begun = 0, time.perf_counter()
    await asyncio.gather(*(loop(n, begun + SECONDS) for n in range(workers)))
    return done / (time.perf_counter() - begun)


async def api(url: str, callers: int) -> float:
    """Through ``flow.send``, each caller on an order of its own."""
    async with Orderflow(url, [BellProvider()]) as flow:
        orders = [await flow.create("bell", key=secrets.token_hex(8)) for _ in range(callers)]
        pressed = [0] * callers

        async def step(n: int) -> int:
            pressed[n] += 1
            await flow.send(orders[n].id, ("release", "press")[pressed[n] % 2], key=f"press {pressed[n]}")
            return 1

        return await rate(step, callers)


# ── SQLite ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


LOOK_SQLITE = f"SELECT {ORDER}, EXISTS (SELECT 1 FROM of_inbox WHERE origin = ? AND key = ?) FROM of_orders WHERE id = ?"
MOVE_SQLITE = "UPDATE of_orders SET state = ?, version = ?, facts = ?, data = ?, entered_at = ? WHERE id = ? AND version = ?"
JOURNAL_SQLITE = f"INSERT INTO of_journal ({JOURNAL}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', '')"
EFFECT_SQLITE = (
    "INSERT INTO of_effects (order_id, version, n, name, entered_state, provider, run_at) VALUES (?, ?, 0, 'ring', '', 'bell', ?)"
)
INBOX_SQLITE = "INSERT INTO of_inbox (origin, key, order_id, at) VALUES ('command', ?, ?, ?)"


async def sqlite_loop(url: str, among: int) -> float:
    """sqlite3 without anything around it, one transition a transaction, ``among`` so many orders in turn."""
    async with Orderflow(url, [BellProvider()]) as flow:
        orders = cycle([await flow._store.create(new_order(), "") for _ in range(among)])
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        run = connection.execute
        numbers = count(1)

        async def step(_: int) -> int:
            order = next(orders)
            key = f"{order.id}:press {next(numbers)}"
            now = time.time()
            run("BEGIN IMMEDIATE")
            found = run(LOOK_SQLITE, ("command", key, order.id)).fetchone()
            source, version, facts, data = found[3], found[4] + 1, json.loads(found[5]), json.loads(found[6])
            event, target = ("press", "ringing") if source == "silent" else ("release", "silent")
            moved = run(MOVE_SQLITE, (target, version, json.dumps(facts), json.dumps(data), now, order.id, version - 1))
            assert moved.rowcount == 1
            run(JOURNAL_SQLITE, (order.id, version, event, "command", source, target, "step", now, ""))
            run(EFFECT_SQLITE, (order.id, version, now))
            run(INBOX_SQLITE, (key, order.id, now))
            run("COMMIT")
            return 1

        return await rate(step, 1)


async def sqlite_raw(url: str) -> float:
    """The store's own look-ups and batch of 64 in the store's own transaction, everything decided beforehand."""
    async with Orderflow(url, [BellProvider()]) as flow:
        orders = [await flow._store.create(new_order(), "") for _ in range(CALLERS)]
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, cached_statements=256)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        commits = [list(islice(moves(order), MOST // CALLERS)) for order in orders]
        numbers = count()

        async def step(_: int) -> int:
            n = next(numbers)
            connection.execute("BEGIN IMMEDIATE")
            for order, decided in zip(orders, commits, strict=True):
                key = InboxKey("command", f"{order.id}:press {n}")
                *columns, _ = connection.execute(SQL["load_for_event"], (key.origin, key.key, order.id)).fetchone()
                apply(connection, rows.order(columns), key, decided[n])
            connection.execute("COMMIT")
            return CALLERS

        return await rate(step, 1)


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────────────────────────────────

ONE = f"""WITH l AS (SELECT id FROM of_orders WHERE id = $1 AND version = $2 FOR UPDATE),
     i AS (INSERT INTO of_inbox (origin, key, order_id, at) SELECT $3, $4, id, $8 FROM l ON CONFLICT DO NOTHING RETURNING 1),
     u AS (UPDATE of_orders SET state = $5, version = version + 1, facts = $6, data = $7, entered_at = $8
            WHERE id = $1 AND version = $2 AND EXISTS (SELECT 1 FROM i) RETURNING id, version),
     h AS (INSERT INTO of_journal ({JOURNAL}) SELECT id, version, $9, $10, $11, $5, $12, $8, $13, '', '' FROM u),
     e AS (INSERT INTO of_effects (order_id, version, n, name, entered_state, provider, run_at) SELECT id, version, 0, $14, '', 'bell', $8 FROM u)
SELECT version FROM u"""
LOOK_ONE = f"SELECT {ORDER}, EXISTS (SELECT FROM of_inbox WHERE origin = $2 AND key = $3) FROM of_orders WHERE id = $1"


async def postgres_loop(url: str, connections: int, among: int) -> float:
    """asyncpg without anything around it: SELECT and one CTE for each transition, the inbox row included; each connection has its share of
    ``among`` so many orders."""
    async with Orderflow(url, [BellProvider()]) as flow:
        orders = [await flow._store.create(new_order(), "") for _ in range(among)]
    opened = [await asyncpg.connect(url) for _ in range(connections)]
    shares = [cycle(orders[n::connections]) for n in range(connections)]
    numbers = count(1)

    async def step(n: int) -> int:
        order_id, now = next(shares[n]).id, time.time()
        key = f"{order_id}:press {next(numbers)}"
        found = await opened[n].fetchrow(LOOK_ONE, order_id, "command", key)
        source, version, facts, data = found[3], found[4] + 1, json.loads(found[5]), json.loads(found[6])
        event, target = ("press", "ringing") if source == "silent" else ("release", "silent")
        moved = (target, json.dumps(facts), json.dumps(data), now, event, "command", source, "step", "", "ring")
        assert await opened[n].fetchval(ONE, order_id, version - 1, "command", key, *moved) == version
        return 1

    try:
        return await rate(step, connections)
    finally:
        for connection in opened:
            await connection.close()


async def postgres_raw(url: str) -> float:
    """The store's look-up and batch of 64, one after the other on one connection, everything dumped beforehand."""
    async with Orderflow(url, [BellProvider()]) as flow:
        orders = [await flow._store.create(new_order(), "") for _ in range(CALLERS)]
    connection = await asyncpg.connect(url, server_settings={"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"})
    commits = [moves(order) for order in orders]
    batches: list[Any] = []
    for _ in range(2 * MOST // CALLERS):
        asked, writes = [], []
        for n, order in enumerate(orders):
            commit = next(commits[n])
            key = InboxKey("command", f"{order.id}:press {commit.at}")
            asked.append((order.id, key.origin, key.key, *[None] * 5))
            writes.append(plan_write(order, key, commit, None))
            orders[n] = evolve(order, snapshot=snapshot_of(commit))
        batches.append((list(map(list, zip(*asked, strict=True))), *build_statement(writes)))
    following = iter(batches)

    async def step(_: int) -> int:
        asked, statement, values = next(following, (None, "", ()))
        if asked is None:
            raise AssertionError("prepare more batches")
        await connection.fetch(load_statement(batch=True, deadline=False, call=False), *asked)
        assert len(await connection.fetch(statement, *values)) == CALLERS
        return CALLERS

    try:
        return await rate(step, 1)
    finally:
        await connection.close()


# ── in turn ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def in_turn(database: str, samples: Mapping[str, Callable[[str], Awaitable[float]]]) -> dict[str, float]:
    """The median of several rounds, each sample on an empty database, taken in turn so that none has the quiet half."""
    found: dict[str, list[float]] = {name: [] for name in samples}
    for _ in range(ROUNDS):
        for name, sample in samples.items():
            found[name].append(asyncio.run(_fresh(database, sample)))
    return {name: statistics.median(rates) for name, rates in found.items()}


async def _fresh(database: str, sample: Callable[[str], Awaitable[float]]) -> float:
    if database == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            return await sample(f"sqlite:///{Path(folder) / 'bench.db'}")
    schema, url = await make_schema()
    try:
        return await sample(url)
    finally:
        await drop_schema(schema)


def _rows(database: str, got: Mapping[str, float], floors: tuple[str, str]) -> list[dict[str, object]]:
    one, many = got["api 1"] / got[floors[0]], got[f"api {CALLERS}"] / got[floors[1]]
    return [
        result(f"{database}: API, 1 caller / {floors[0]}", got["api 1"], "transitions/s", one, ">= 0.6x", ok=one >= 0.6),
        result(f"{database}: API, {CALLERS} callers / {floors[1]}", got[f"api {CALLERS}"], "transitions/s", many, ">= 2x", ok=many >= 2),
        *(result(f"{database}: {floor}", got[floor], "transitions/s", None, "floor", ok=True) for floor in dict.fromkeys(floors)),
        result(
            f"{database}: API, {CALLERS} callers / raw group commit",
            got["raw"],
            "transitions/s",
            got[f"api {CALLERS}"] / got["raw"],
            "shown",
            ok=True,
        ),
    ]


def sync_cost() -> float:
    """Microseconds that making 8 kB durable takes where the databases of these samples lie (as pg_test_fsync measures it)."""
    with tempfile.TemporaryFile() as file:
        file.write(bytes(8192))
        file.flush()
        taken: list[float] = []
        for _ in range(500):
            file.seek(0)
            file.write(bytes(8192))
            file.flush()
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * 1e6


def run() -> list[dict[str, object]]:
    """Every measurement of this area."""
    os.environ[DURABLE] = "yes"
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR), cache_logger_on_first_use=True)
    through_api: dict[str, Callable[[str], Awaitable[float]]] = {
        "api 1": lambda url: api(url, 1),
        f"api {CALLERS}": lambda url: api(url, CALLERS),
    }
    bare, bare_many = "bare sqlite3", f"bare sqlite3, {CALLERS} orders"
    sqlite = {bare: lambda url: sqlite_loop(url, 1), bare_many: lambda url: sqlite_loop(url, CALLERS), **through_api, "raw": sqlite_raw}
    bare_1, bare_8 = "bare asyncpg, 1 connection", "bare asyncpg, 8 connections"
    postgres = {
        bare_1: lambda url: postgres_loop(url, 1, 1),
        bare_8: lambda url: postgres_loop(url, 8, CALLERS),
        **through_api,
        "raw": postgres_raw,
    }
    return [
        result("fdatasync of 8 kB beside the databases", sync_cost(), "µs", None, "shown", ok=True),
        *_rows("SQLite FULL", in_turn("sqlite", sqlite), (bare, bare_many)),
        *_rows("PostgreSQL", in_turn("postgres", postgres), (bare_1, bare_8)),
    ]
