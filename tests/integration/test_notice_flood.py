"""A flood of notices through the real receiver, in virtual time: ten thousand a second, forged ones and replayed ones of both providers.

At most one read per order and interval, no row and no object more than at its beginning, and few statements: it must not eat the
database either. The cut is the first seconds; the whole minute is slow.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import sqlite3
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest
import structlog
from attrs import define, field
from orderflow.testing.faulty import Weather
from orderflow.testing.stage import TIMING, Stage, stage
from tests.kit.virtual_time import run_virtually
from tests.kit.world import ccv_request, connect_request

from orderflow.model import Order
from orderflow.receiver.signed_urls import SignedUrls

RATE = 10_000
TICK = 0.01
EACH = 10  # orders per provider
PUBLIC = "http://shop/orders"
OURS, FORGED = SignedUrls(PUBLIC, {"r": "rehearsal-link-key"}), SignedUrls(PUBLIC, {"r": "a-forgers-link-key"})
QUERIES = (b"fulfillmentStatus=success", b"fulfillmentStatus=cancel", b"fulfillmentStatus=%00", b"")
STATUS_READ = "/status"
HEARD_PER_SECOND, STATEMENTS = 4, 8
"""How often the same words reach the database, and the most that hearing them costs it, whatever the flood."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Log lines of a flood are a matter of the host's configuration."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@define
class Flood:
    """What came of it. ``rows`` and ``blocks`` (of memory) once all had been heard for a second, and at the end."""

    seconds: int
    keys: int = 0  # that differ, of what is not forged
    answers: Counter[int] = field(factory=Counter)
    rows: list[dict[str, int]] = field(factory=list)
    blocks: list[int] = field(factory=list)
    waiting: int = 0
    statements: int = 0
    reads: dict[str, list[float]] = field(factory=lambda: defaultdict(list))
    spent: float = 0.0


def rows(connection: sqlite3.Connection) -> dict[str, int]:
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}


async def orders(here: Stage) -> list[Order]:
    """Open orders at the providers, where nothing happens any more."""
    flow = await here.up()
    here.ccv.script(None)
    here.connect.script("*", pay_outcome="never")
    made = [await flow.create("ccv", key=str(n), **ccv_request()) for n in range(EACH)]
    for order in made:
        await flow.send(order.id, "submit")
    for n in range(EACH):
        order = await flow.create("connect", key=str(n), **connect_request("creditcardPayex"))
        await flow.send(order.id, "register")
        await flow.wait(order.id, "registered", 60)
        await flow.send(order.id, "complete_by_url", return_url="http://shop/thanks")
        made.append(order)
    for order in made[:EACH]:
        await flow.wait(order.id, "Processing", 60)
    return [await flow.order(order.id) for order in made]


def notices(made: list[Order]) -> list[tuple[str, str, bytes]]:
    """One round of requests: half of them forged, the rest replays that anyone who saw the URL could make."""

    def path(links: SignedUrls, order: Order, purpose: str) -> str:
        return str(links.url(order.provider, purpose, order.id)).removeprefix(PUBLIC)

    genuine: list[tuple[str, str, bytes]] = []
    for order in made:
        if order.provider == "ccv":
            genuine += [("POST", path(OURS, order, "notification"), b""), ("POST", "/ccv/notifications", b"")]
        else:
            genuine += [("GET", path(OURS, order, "return"), query) for query in QUERIES]
            genuine += [("GET", path(OURS, order, "callback"), query) for query in QUERIES[:2]]
    endpoints = {"ccv": ("POST", "notification"), "connect": ("GET", "return")}
    forged = ((endpoints[order.provider][0], path(FORGED, order, endpoints[order.provider][1]), b"") for order in itertools.cycle(made))
    return [one for pair in zip(genuine, forged, strict=False) for one in pair]


async def pour(here: Stage, found: Flood) -> None:
    flow, made = await here.up(), await orders(here)
    await here.clock.sleep(60.0)
    said = notices(made)
    found.keys = len(set(said[::2]))
    coming, heard = itertools.cycle(said), set[asyncio.Task[None]]()
    began, cpu = here.clock.now(), time.process_time()

    async def hear(method: str, path: str, query: bytes) -> None:
        found.answers[(await flow.handle_request(method, path, query)).status] += 1

    def count(_statement: str) -> None:
        found.statements += 1

    here.connection.set_trace_callback(count)
    for tick in range(1, int(found.seconds / TICK) + 1):
        for _ in range(int(RATE * TICK)):
            task = asyncio.create_task(hear(*next(coming)))
            heard.add(task)
            task.add_done_callback(heard.discard)
        await here.clock.sleep(TICK)
        if tick * TICK in (1.0, found.seconds):
            here.connection.set_trace_callback(None)
            found.waiting = max(found.waiting, len(heard))
            found.rows.append(rows(here.connection))
            gc.collect()
            found.blocks.append(sys.getallocatedblocks())
            here.connection.set_trace_callback(count)
    here.connection.set_trace_callback(None)
    await asyncio.gather(*heard)
    found.spent = time.process_time() - cpu
    for row in (*here.ccv.journal.rows, *here.connect.journal.rows):
        if STATUS_READ in row.path and row.at >= began:
            found.reads[row.path].append(row.at)


def flooded(seconds: int) -> Flood:
    async def main() -> Flood:
        found = Flood(seconds)
        async with stage(1, Weather()) as here:
            await pour(here, found)
        return found

    return run_virtually(main())


def judge(found: Flood) -> None:
    heard = found.answers.total()
    reads = sum(len(at) for at in found.reads.values())
    print(
        f"{heard} notices in {found.seconds} s of virtual time: {reads} reads, {found.statements} statements,"
        f" at most {found.waiting} waiting, {found.blocks[1] - found.blocks[0]} blocks of memory more, {found.spent:.1f} s of CPU"
    )
    assert heard == RATE * found.seconds
    assert found.answers.keys() == {204, 303, 404}
    assert found.answers[404] == heard / 2
    # every order was read, none more often than its interval allows
    assert len(found.reads) == 2 * EACH
    for at in found.reads.values():
        assert 1 <= len(at) <= found.seconds / TIMING.poll_interval + 1
        assert all(later - earlier >= TIMING.poll_interval - 0.02 for earlier, later in itertools.pairwise(at))
    assert found.rows[0] == found.rows[1]
    assert found.waiting <= RATE * 0.3
    assert found.blocks[1] - found.blocks[0] < 5_000
    assert found.statements <= HEARD_PER_SECOND * STATEMENTS * found.keys * (found.seconds + 1)


def test_the_first_seconds_of_a_flood() -> None:
    judge(flooded(3))


@pytest.mark.slow
def test_a_minute_of_flood() -> None:
    judge(flooded(60))
