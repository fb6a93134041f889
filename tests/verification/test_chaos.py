"""Whole orders over sockets while everything fails: workers are killed, PostgreSQL stops without warning, notices and answers are lost.

The simulators are the reference: what they executed, and how each order ended there.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from tests.kit import postgres
from tests.kit.chaos_app import FAST
from tests.kit.chaos_world import ENDS, LOST_CALL, World, count_executions, open_world, place_order, state_at_provider

from orderflow.model import Order
from orderflow.simulators import Fault

pytestmark = pytest.mark.anyio

CONCURRENT_ORDERS = 32


@frozen
class Chaos:
    """How much goes wrong."""

    orders: int
    workers: int
    notices_lost: float = 0.0
    notices_doubled: float = 0.0
    answers_lost: float = 0.0
    kill_every: float | None = None
    stops: int = 0
    patience: float = 120.0  # seconds for all orders to end once nothing goes wrong any more


def arm_faults(world: World, chaos: Chaos) -> None:
    for sim in (world.connect, world.ccv):
        if chaos.notices_lost:
            sim.deliveries.arm("drop", times=None, chance=chaos.notices_lost)
            sim.deliveries.arm("duplicate", times=None, chance=chaos.notices_doubled)
        if chaos.answers_lost:
            for kind in ("reset-after-commit", "reset"):
                for match in ("POST /capi", "GET /capi", "/api", "POST /user/oauth"):
                    sim.faults.arm(Fault(match, kind, times=None, chance=chaos.answers_lost / 2))  # type: ignore[arg-type]


async def kill_and_stop(world: World, chaos: Chaos, server: Any) -> None:
    """Kill workers and stop PostgreSQL until cancelled."""
    while chaos.kill_every is not None:
        await asyncio.sleep(chaos.kill_every)
        await world.kill_worker()
        if world.stops < chaos.stops and world.kills >= 1 + 8 * world.stops:
            await asyncio.to_thread(postgres.pg_ctl, server, "stop", "-m", "immediate")
            await asyncio.to_thread(server.ensure_postgres_running)
            world.stops += 1
    await asyncio.Event().wait()


async def run_chaos(world: World, chaos: Chaos, server: Any) -> list[Order]:
    """Place all orders while things go wrong, then let everything work, and wait until every order has ended. Returns the orders."""
    arm_faults(world, chaos)
    for _ in range(chaos.workers):
        await world.start_worker()
    killing = asyncio.create_task(kill_and_stop(world, chaos, server))
    semaphore = asyncio.Semaphore(CONCURRENT_ORDERS)

    async def place_in_turn(n: int) -> str:
        async with semaphore:
            return await place_order(world, n)

    async with asyncio.TaskGroup() as group:
        placed = [group.create_task(place_in_turn(n)) for n in range(chaos.orders)]
    while (world.stops < chaos.stops or len(await list_unfinished(world, chaos)) > chaos.orders // 20) and not killing.done():
        await asyncio.sleep(0.5)  # things go wrong while there is work
    killing.cancel()
    with suppress(asyncio.CancelledError):
        await killing
    for sim in (world.connect, world.ccv):
        sim.faults.clear()
        sim.deliveries.clear()
    deadline = time.monotonic() + chaos.patience
    while (unfinished := await list_unfinished(world, chaos)) and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
    assert not unfinished, Counter(order.state for order in unfinished)
    await world.stop_workers()
    return [await world.flow.order(task.result()) for task in placed]


async def list_unfinished(world: World, chaos: Chaos) -> list[Order]:
    """The orders that have not ended, and those in doubt that the next poll will find fulfilled."""
    orders = await world.flow.orders(limit=chaos.orders + 1)
    return [order for order in orders if order.state not in ENDS and order.state not in LOST_CALL] + [
        order for order in orders if order.state == "fulfillment_in_doubt" and state_at_provider(world, order) == "fulfilled"
    ]


def find_cut_calls(world: World) -> set[str]:
    """The orders with a call whose answer was cut: our references, and the order ids of Connect that the calls name."""
    cut: set[str] = set()
    for row in (*world.connect.journal.rows, *world.ccv.journal.rows):
        if "reset" in row.played and row.body.startswith(b"{"):
            body = json.loads(row.body)
            cut |= {str(body[name]) for name in ("externalOrderId", "externalReference", "orderId") if name in body}
    return cut


def may_be_in_doubt(world: World, order: Order, note: str, cut: set[str]) -> bool:
    """Whether its answer was cut, or its worker was killed during the call."""
    if "never answered" in note:
        return world.kills > 0
    return "no usable answer" in note and not cut.isdisjoint({order.key, order.provider_id})


async def check_orders(world: World, orders: list[Order]) -> Counter[str]:
    """Every order is in the provider's state, or in doubt because of a lost call. No once-effect was executed twice."""
    cut = find_cut_calls(world)
    for executed in count_executions(world):
        assert all(times <= 1 for times in executed.values()), executed.most_common(3)
    registered, submitted, _ = count_executions(world)
    for order in orders:
        reference = order.key
        if order.state in LOST_CALL:
            journal = await world.flow.journal(order.id)
            assert journal[-1].event == LOST_CALL[order.state], (order.id, journal[-1])
            assert may_be_in_doubt(world, order, journal[-1].note, cut), (order.id, journal[-1])
        else:
            assert order.state == state_at_provider(world, order), (order.id, order.state)
            assert registered[reference] + submitted[reference] == 1, order.id
    return Counter(order.state for order in orders)


async def run(folder: Path, chaos: Chaos, capsys: pytest.CaptureFixture[str], dispatch: str = "pgqueuer") -> Counter[str]:
    server = None
    name = f"orderflow-pg-chaos-{os.getpid()}-{random.randrange(10**6)}"
    if chaos.stops or not os.environ.get("DATABASE_URL"):
        server = postgres.server(name)
        db = server.get_uri()
    else:
        db = postgres.database_url()
    try:
        async with open_world(folder, db, dispatch) as world:
            began = time.monotonic()
            states = await check_orders(world, await run_chaos(world, chaos, server))
            took = time.monotonic() - began
            with capsys.disabled():
                faults = f"{world.kills} workers killed, PostgreSQL stopped {world.stops} times"
                print(f"\nchaos: {dict(states)}; {faults}, {took:.0f} s", file=sys.stderr)
            return states
    finally:
        if server is not None:
            server.cleanup()


async def test_without_faults_two_workers_bring_every_order_to_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    states = await run(tmp_path, Chaos(orders=40, workers=2), capsys)
    assert states == {"fulfilled": 24, "Completed": 16}


async def test_with_faults_every_order_ends_in_the_providers_state_or_in_doubt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chaos = Chaos(orders=100, workers=2, notices_lost=0.2, notices_doubled=0.1, answers_lost=0.05, kill_every=0.7, stops=1)
    states = await run(tmp_path, chaos, capsys)
    assert sum(states.values()) == 100


@pytest.mark.slow
async def test_two_thousand_orders_end_with_four_workers_and_all_faults_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chaos = Chaos(orders=2000, workers=4, notices_lost=0.2, notices_doubled=0.1, answers_lost=0.05, kill_every=1.0, stops=2, patience=300.0)
    states = await run(tmp_path, chaos, capsys)
    assert sum(states.values()) == 2000
    assert states["fulfilled"] + states["Completed"] > 1500, "most orders are fulfilled"


assert FAST.lease > FAST.timeout, "a lease must be longer than the time after which a call is given up"
