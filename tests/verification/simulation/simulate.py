"""``simulate(seed)``: one simulation from its beginning to the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from attrs import field, frozen
from tests.kit.inline_store import InlineStore
from tests.kit.virtual_time import run_virtually
from tests.verification.simulation.actors import buy_at_connect, kill_process, order_at_ccv, restart_process
from tests.verification.simulation.faults import NO_FAULTS, ONE_CALL_IN_EIGHT
from tests.verification.simulation.verdict import find_shared_ids, problems_of
from tests.verification.simulation.world import CONVERGENCE, DAY, StoreFactory, VirtualWorld, virtual_world

from orderflow.errors import OrderflowError
from orderflow.model import JournalRow, Order

_ORDERS = 4  # of each provider
_DAYS = 14.0


@frozen
class Simulated:
    """What came of a seed.

    Attributes:
        orders, journals: as they are at the end; journals by order id.
        crashes: how often the application's process was killed.
        notifications: how often listeners were notified.
        problems: empty where every promise was kept.
    """

    seed: int
    orders: tuple[Order, ...]
    journals: dict[str, list[JournalRow]] = field(repr=False)
    crashes: int
    notifications: int
    problems: tuple[str, ...]


def simulate(seed: int, *, make_store: StoreFactory = InlineStore) -> Simulated:
    """Simulate four orders of each provider over fourteen virtual days. ``make_store`` makes the store of each start of the process."""
    return run_virtually(_simulate(seed, make_store))


async def _simulate(seed: int, make_store: StoreFactory) -> Simulated:
    async with virtual_world(seed, ONE_CALL_IN_EIGHT, make_store) as world:
        failures = await _play_with_faults(world)
        await _let_converge(world)
        return await _result(seed, world, failures)


async def _play_with_faults(world: VirtualWorld) -> list[str]:
    """Let all actors act for fourteen days; returns their exceptions."""
    for kind in ("drop", "duplicate"):
        for deliveries in (world.connect.deliveries, world.ccv.deliveries):
            deliveries.arm(kind, times=None, chance=0.2)
    actors: list[Coroutine[object, object, None]] = [kill_process(world), restart_process(world)]
    for n in range(_ORDERS):
        actors += [buy_at_connect(world, n), order_at_ccv(world, n)]
    tasks = [asyncio.create_task(actor) for actor in actors]
    await world.clock.sleep(_DAYS * DAY)
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    return [f"an actor failed: {end!r}" for end in ends if isinstance(end, Exception)]


async def _let_converge(world: VirtualWorld) -> None:
    """Stop all faults and wait as long as convergence may take."""
    world.fault_rates = NO_FAULTS
    world.connect.deliveries.clear()
    world.ccv.deliveries.clear()
    if world.flow is None:
        await world.start()
    await world.clock.sleep(CONVERGENCE)


async def _result(seed: int, world: VirtualWorld, failures: list[str]) -> Simulated:
    flow = await world.running_flow()
    orders = await flow.orders(limit=10_000)
    journals: dict[str, list[JournalRow]] = {}
    problems = failures + [f"seed {seed}: {problem}" for problem in find_shared_ids(orders)]
    for order in sorted(orders, key=lambda order: order.id):
        journals[order.id] = await flow.journal(order.id)
        try:
            order_problems = problems_of(world, order, journals[order.id])
        except OrderflowError as error:
            order_problems = [str(error)]
        problems += [f"seed {seed}, {order.id} in {order.state}: {problem}" for problem in order_problems]
    return Simulated(seed, tuple(orders), journals, world.crashes, len(world.notified), tuple(problems))
