"""How long an order waits for its first call beside neighbours that want everything, against the same order alone.

One process serves all: the application, the receiver and the worker. The neighbours are a backlog of calls of another provider, each of
which takes 0.1 s; a backlog of notifications to a listener that takes as long; and 100 return URLs that are called as fast as they answer,
with the same query or with another one each time. Alone and beside are measured in turn on fresh databases. The figure is the median time
from ``flow.send`` to the provider's call.
"""

from __future__ import annotations

import asyncio
import logging
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path

import structlog
from attrs import define, evolve, field
from tests.benchmarks.bench_decide import result
from tests.kit.postgres import DURABLE, drop_schema, make_schema
from tests.kit.toy import TIMING, Toy

from orderflow._app import Orderflow
from orderflow._provider.call import Call
from orderflow._provider.outcomes import Outcome
from orderflow._provider.protocol import PublicUrls
from orderflow._receiver.signed_urls import SignedUrls
from orderflow.model import Order, StateEntered

BACKLOG = 10_000
URLS = 100
SAMPLES = 60
ROUNDS = 3
SLOW_SECONDS = 0.1
GOAL = 2.0
PUBLIC, KEYS = "https://shop.example/orders", {"k1": "a-key-of-benchmarks"}
CALM = evolve(TIMING, durations=dict.fromkeys(TIMING.durations, 36_000.0), poll_first=3600.0, poll_cap=3600.0, poll_interval=1.0)

Neighbours = Callable[[Orderflow, "Slow"], AbstractAsyncContextManager[None]]


@define(eq=False)
class Quick(Toy):
    """A provider that answers at once, and says when an order's first call comes."""

    timing = CALM
    called: dict[str, asyncio.Event] = field(factory=dict)

    async def perform(self, call: Call, urls: PublicUrls) -> Outcome:
        if call.order.id in self.called:
            self.called[call.order.id].set()
        return await super().perform(call, urls)


@define(eq=False)
class Slow(Toy):
    """Another provider, each of whose calls takes a while, once it is busy."""

    name: str = "other"
    timing = CALM
    is_busy: bool = False

    async def perform(self, call: Call, urls: PublicUrls) -> Outcome:
        if self.is_busy:
            await asyncio.sleep(SLOW_SECONDS)
        return await super().perform(call, urls)


# ── the neighbours ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def make_orders(flow: Orderflow, provider: str, names: Iterable[str]) -> list[Order]:
    """Orders whose first call is owed."""

    async def make(name: str) -> Order:
        order = await flow.create(provider, key=name)
        await flow.send(order.id, "order_it")
        return order

    keys = list(names)
    return [order for n in range(0, len(keys), 100) for order in await asyncio.gather(*map(make, keys[n : n + 100]))]


@asynccontextmanager
async def alone(_flow: Orderflow, _slow: Slow) -> AsyncIterator[None]:
    """No neighbour."""
    yield


@asynccontextmanager
async def backlog_of_calls(flow: Orderflow, slow: Slow) -> AsyncIterator[None]:
    """So many calls of another provider are owed."""
    slow.is_busy = True
    await make_orders(flow, "other", map(str, range(BACKLOG)))
    yield
    assert len(slow.calls) < BACKLOG, "the backlog was never over"


@asynccontextmanager
async def backlog_of_notifications(flow: Orderflow, slow: Slow) -> AsyncIterator[None]:
    """So many notifications are owed to a listener that takes its time."""
    notified = 0

    async def take_time(_entered: StateEntered) -> None:
        nonlocal notified
        await asyncio.sleep(SLOW_SECONDS)
        notified += 1

    flow.on_entered("other", "preparing", take_time)
    await make_orders(flow, "other", map(str, range(BACKLOG)))
    while len(slow.calls) < 2 * BACKLOG:  # the provider's calls are over, the listener's are not
        await asyncio.sleep(0.1)
    yield
    assert notified < BACKLOG, "the backlog was never over"


def call_urls(*, differ: bool) -> Neighbours:
    """Customers who call their return URL again and again. ``differ``: each time with another query."""

    @asynccontextmanager
    async def neighbours(flow: Orderflow, _slow: Slow) -> AsyncIterator[None]:
        orders = await make_orders(flow, "other", (str(n) for n in range(URLS)))
        for order in orders:
            await flow.wait(order.id, "placed", 60)
        numbers, stopping = count(), False

        async def call(order: Order) -> None:
            path = str(SignedUrls(PUBLIC, KEYS).url("other", "came", order.id)).removeprefix(PUBLIC)
            while not stopping:
                reply = await flow.handle_request("GET", path, b"who=%d" % (next(numbers) if differ else 0))
                assert reply.status == 204
                await asyncio.sleep(0)

        calling = [asyncio.create_task(call(order)) for order in orders]
        yield
        stopping = True
        await asyncio.gather(*calling)

    return neighbours


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def measure(url: str, neighbours: Neighbours) -> float:
    """The median milliseconds from a command to its call."""
    quick, slow = Quick(), Slow()
    options = {"public_url": PUBLIC, "signing_keys": KEYS}
    async with Orderflow(url, [quick, slow], worker=True, grace=1.0, **options) as flow, neighbours(flow, slow):  # type: ignore[arg-type]
        taken = []
        for n in range(SAMPLES):
            order = await flow.create("toy", key=f"honest {n}")
            called = quick.called[order.id] = asyncio.Event()
            begun = time.perf_counter()
            await flow.send(order.id, "order_it")
            await called.wait()
            taken.append(1000 * (time.perf_counter() - begun))
            await asyncio.sleep(0.02)
        return statistics.median(taken)


async def _fresh(database: str, neighbours: Neighbours) -> float:
    if database == "SQLite FULL":
        with tempfile.TemporaryDirectory() as folder:
            return await measure(f"sqlite:///{Path(folder) / 'bench.db'}", neighbours)
    schema, url = await make_schema()
    try:
        return await measure(url, neighbours)
    finally:
        await drop_schema(schema)


def run() -> list[dict[str, object]]:
    """Every measurement of this area."""
    os.environ[DURABLE] = "yes"
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=True)
    samples: dict[str, Neighbours] = {
        "alone": alone,
        f"beside {BACKLOG:,} calls of another provider": backlog_of_calls,
        f"beside {BACKLOG:,} notifications of a slow listener": backlog_of_notifications,
        f"beside {URLS} return URLs, the same query": call_urls(differ=False),
        f"beside {URLS} return URLs, another query each time": call_urls(differ=True),
    }
    rows = []
    for database in ("SQLite FULL", "PostgreSQL"):
        found: dict[str, list[float]] = {name: [] for name in samples}
        for _ in range(ROUNDS):
            for name, neighbours in samples.items():
                found[name].append(asyncio.run(_fresh(database, neighbours)))
        taken = {name: statistics.median(rounds) for name, rounds in found.items()}
        rows.append(result(f"{database}: an order's first call, alone", taken.pop("alone"), "ms", None, "floor", ok=True))
        floor = float(str(rows[-1]["value"]))
        for name, milliseconds in taken.items():
            ratio = milliseconds / floor
            rows.append(result(f"{database}: an order's first call, {name}", milliseconds, "ms", ratio, f"<= {GOAL:g}x", ok=ratio <= GOAL))
    return rows
