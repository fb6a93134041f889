"""A flood of requests to the real receiver, in virtual time: ten thousand a second, half of them forged, the others replayed.

At most one poll an order and interval, no more rows and objects than at the beginning, and few statements. A minute of it is slow.
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
from tests.kit.virtual_time import run_virtually
from tests.kit.world import ccv_request, connect_request
from tests.verification.simulation.faults import FaultRates
from tests.verification.simulation.world import PUBLIC_URL, SIGNING_KEYS, THANKS, TIMING, VirtualWorld, virtual_world

from orderflow._receiver.signed_urls import SignedUrls
from orderflow.model import Order

RATE = 10_000  # requests a second
TICK = 0.01
ORDERS = 10  # of each provider
URLS, FORGED_URLS = SignedUrls(PUBLIC_URL, SIGNING_KEYS), SignedUrls(PUBLIC_URL, {"r": "the-signing-key-of-a-forger"})
QUERIES = (b"fulfillmentStatus=success", b"fulfillmentStatus=cancel", b"fulfillmentStatus=%00", b"")
REACHING_PER_SECOND, STATEMENTS = 4, 8
"""How often equal requests may reach the database in a second, and the most statements that one of them may cost."""

Request = tuple[str, str, bytes]


@pytest.fixture(autouse=True)
def critical_log_lines_only() -> Iterator[None]:
    """The application decides about log lines of a flood."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@define
class Flood:
    """The measured flood. ``rows`` and ``blocks`` (of memory) are counted after its first second, and at its end."""

    seconds: int
    distinct: int = 0  # requests with a valid signature that differ
    answers: Counter[int] = field(factory=Counter)
    rows: list[dict[str, int]] = field(factory=list)
    blocks: list[int] = field(factory=list)
    waiting: int = 0
    statements: int = 0
    polls: dict[str, list[float]] = field(factory=lambda: defaultdict(list))
    cpu_seconds: float = 0.0

    def print(self) -> None:
        polls = sum(len(times) for times in self.polls.values())
        print(
            f"{self.answers.total()} requests in {self.seconds} s of virtual time: {polls} polls, {self.statements} statements,"
            f" at most {self.waiting} waiting, {self.blocks[1] - self.blocks[0]} blocks of memory more, {self.cpu_seconds:.1f} s of CPU"
        )


def count_rows(connection: sqlite3.Connection) -> dict[str, int]:
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}


async def make_orders(world: VirtualWorld) -> list[Order]:
    """Open orders at the providers, where nothing happens any more."""
    flow = await world.running_flow()
    world.ccv.script(None)
    world.connect.script("*", pay_outcome="never")
    orders = [await flow.create("ccv", key=str(n), **ccv_request()) for n in range(ORDERS)]
    for order in orders:
        await flow.send(order.id, "submit")
    for n in range(ORDERS):
        order = await flow.create("connect", key=str(n), **connect_request("creditcardPayex"))
        await flow.send(order.id, "register")
        await flow.wait(order.id, "registered", 60)
        await flow.send(order.id, "complete_by_url", return_url=THANKS)
        orders.append(order)
    for order in orders[:ORDERS]:
        await flow.wait(order.id, "Processing", 60)
    return [await flow.order(order.id) for order in orders]


def make_requests(orders: list[Order]) -> list[Request]:
    """One round: forged requests, and replays that anyone who saw the URL could send, in turn."""

    def path(urls: SignedUrls, order: Order, purpose: str) -> str:
        return str(urls.url(order.provider, purpose, order.id)).removeprefix(PUBLIC_URL)

    replays: list[Request] = []
    for order in orders:
        if order.provider == "ccv":
            replays.append(("POST", path(URLS, order, "notification"), b""))
        else:
            replays += [("GET", path(URLS, order, "return"), query) for query in QUERIES]
            replays += [("GET", path(URLS, order, "callback"), query) for query in QUERIES[:2]]
    endpoints = {"ccv": ("POST", "notification"), "connect": ("GET", "return")}
    forged = (
        (endpoints[order.provider][0], path(FORGED_URLS, order, endpoints[order.provider][1]), b"") for order in itertools.cycle(orders)
    )
    return [request for pair in zip(replays, forged, strict=False) for request in pair]


async def send_flood(world: VirtualWorld, flood: Flood) -> None:
    flow, orders = await world.running_flow(), await make_orders(world)
    await world.clock.sleep(60.0)
    requests = make_requests(orders)
    flood.distinct = len(set(requests[::2]))
    upcoming, handling = itertools.cycle(requests), set[asyncio.Task[None]]()
    begun_at, cpu = world.clock.now(), time.process_time()

    async def handle(method: str, path: str, query: bytes) -> None:
        flood.answers[(await flow.handle_request(method, path, query)).status] += 1

    def count_statement(_statement: str) -> None:
        flood.statements += 1

    world.connection.set_trace_callback(count_statement)
    for tick in range(1, int(flood.seconds / TICK) + 1):
        for _ in range(int(RATE * TICK)):
            task = asyncio.create_task(handle(*next(upcoming)))
            handling.add(task)
            task.add_done_callback(handling.discard)
        await world.clock.sleep(TICK)
        if tick * TICK in (1.0, flood.seconds):
            world.connection.set_trace_callback(None)
            flood.waiting = max(flood.waiting, len(handling))
            flood.rows.append(count_rows(world.connection))
            gc.collect()
            flood.blocks.append(sys.getallocatedblocks())
            world.connection.set_trace_callback(count_statement)
    world.connection.set_trace_callback(None)
    await asyncio.gather(*handling)
    flood.cpu_seconds = time.process_time() - cpu
    for row in (*world.ccv.journal.rows, *world.connect.journal.rows):
        if "/status" in row.path and row.at >= begun_at:
            flood.polls[row.path].append(row.at)


def run_flood(seconds: int) -> Flood:
    async def main() -> Flood:
        flood = Flood(seconds)
        async with virtual_world(1, FaultRates()) as world:
            await send_flood(world, flood)
        return flood

    return run_virtually(main())


def check_flood(flood: Flood) -> None:
    flood.print()
    requests = flood.answers.total()
    assert requests == RATE * flood.seconds
    assert flood.answers.keys() == {204, 303, 404}
    assert flood.answers[404] == requests / 2
    # every order was polled, none more often than its interval allows
    assert len(flood.polls) == 2 * ORDERS
    for times in flood.polls.values():
        assert 1 <= len(times) <= flood.seconds / TIMING.poll_interval + 1
        assert all(later - earlier >= TIMING.poll_interval - 0.02 for earlier, later in itertools.pairwise(times))
    assert flood.rows[0] == flood.rows[1]
    assert flood.waiting <= RATE * 0.3
    assert flood.blocks[1] - flood.blocks[0] < 5_000
    assert flood.statements <= REACHING_PER_SECOND * STATEMENTS * flood.distinct * (flood.seconds + 1)


def test_the_first_seconds_of_a_flood() -> None:
    check_flood(run_flood(3))


@pytest.mark.slow
def test_a_minute_of_flood() -> None:
    check_flood(run_flood(60))
