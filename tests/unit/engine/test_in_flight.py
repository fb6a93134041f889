"""What a worker holds: running items, failed items until their lease ends, and how failed ones are given back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import structlog
from attrs import define, field, frozen
from structlog.testing import capture_logs

from orderflow._engine.in_flight import InFlight
from orderflow._engine.lanes import RunningLane, effect_lane
from orderflow.errors import OperationalError, UnreadableRow
from orderflow.simulators import SimClock

pytestmark = pytest.mark.anyio
LEASE_END = 60.0
LANE = effect_lane("toy", "")


@frozen
class Item:
    """Something of an order."""

    order_id: str


@define
class Items:
    """An ``InFlight`` under a clock that stands still, what was given back, and how often a task ended."""

    clock: SimClock = field(factory=lambda: SimClock(start=0.0, manual=True))
    given_back: list[str] = field(factory=list)
    ends: int = 0
    in_flight: InFlight = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.in_flight = InFlight(self.clock, self._count_end)

    def _count_end(self, lane: RunningLane) -> None:
        assert lane == LANE
        self.ends += 1

    async def run(self, item: Item, run: Callable[[Item], Awaitable[bool]], lease_end: float = LEASE_END) -> None:
        """Start an item and wait for its end."""
        self.start(item, run, lease_end)
        await asyncio.wait(self.in_flight.tasks)

    def start(self, item: Item, run: Callable[[Item], Awaitable[bool]], lease_end: float = LEASE_END) -> None:
        self.in_flight.start(item, LANE, lease_end, run, self.give_back)

    async def give_back(self, item: Item) -> bool:
        self.given_back.append(item.order_id)
        return True


async def succeed(item: Item) -> bool:
    return True


async def leave_to_lease(item: Item) -> bool:
    return False


async def fail(item: Item) -> bool:
    raise ZeroDivisionError


async def hang(item: Item) -> bool:
    await asyncio.Event().wait()
    return True


async def test_an_item_is_held_while_it_runs_and_no_longer_if_it_succeeds() -> None:
    items = Items()
    items.start(Item("a"), succeed)
    assert (len(items.in_flight), items.in_flight.running, items.ends) == (1, 1, 0)
    await asyncio.wait(items.in_flight.tasks)
    assert (len(items.in_flight), items.in_flight.running, items.ends) == (0, 0, 1)
    await items.in_flight.give_back_failed()
    assert items.given_back == []


@pytest.mark.parametrize("run", [fail, leave_to_lease], ids=["raises", "left to its lease"])
async def test_an_item_that_failed_is_held_until_its_lease_ends_or_it_is_given_back(run: Callable[[Item], Awaitable[bool]]) -> None:
    items = Items()
    await items.run(Item("a"), run)
    await items.run(Item("b"), run, lease_end=10.0)
    assert (len(items.in_flight), items.in_flight.running, items.ends) == (2, 0, 2)
    items.clock.advance(10.0)
    assert len(items.in_flight) == 1
    await items.in_flight.give_back_failed()
    assert (items.given_back, len(items.in_flight)) == (["a"], 0)


async def test_a_cancelled_item_is_given_back() -> None:
    items = Items()
    items.start(Item("a"), hang)
    await asyncio.sleep(0)
    (task,) = items.in_flight.tasks
    task.cancel()
    await asyncio.wait({task})
    await items.in_flight.give_back_failed()
    assert (items.given_back, len(items.in_flight)) == (["a"], 0)


async def test_giving_back_is_tried_again_while_the_database_is_away() -> None:
    items = Items()
    tries: list[str] = []

    async def give_back(item: Item) -> bool:
        tries.append(item.order_id)
        if len(tries) < 3:
            raise OperationalError("away")
        return True

    items.in_flight.start(Item("a"), LANE, LEASE_END, fail, give_back)
    await asyncio.wait(items.in_flight.tasks)
    await items.in_flight.give_back_failed()
    assert (tries, len(items.in_flight)) == (["a"] * 3, 0)


async def test_an_order_that_cannot_be_read_is_named_and_not_tried_again() -> None:
    items = Items()
    tries: list[str] = []

    async def raise_unreadable(item: Item) -> bool:
        tries.append(item.order_id)
        raise UnreadableRow(item.order_id, "of_orders")

    structlog.reset_defaults()
    with capture_logs() as logs:
        items.in_flight.start(Item("a"), LANE, LEASE_END, raise_unreadable, raise_unreadable)
        await asyncio.wait(items.in_flight.tasks)
        await items.in_flight.give_back_failed()
    assert (tries, len(items.in_flight)) == (["a"] * 2, 1)
    assert [(entry["event"], entry["order_id"]) for entry in logs] == [("worker.item_failed", "a")] * 2


async def test_an_item_that_cannot_be_given_back_keeps_no_other_leased() -> None:
    items = Items()
    items.in_flight.start(Item("a"), LANE, LEASE_END, fail, fail)
    items.in_flight.start(Item("b"), LANE, LEASE_END, fail, leave_to_lease)
    await items.run(Item("c"), fail)
    await items.in_flight.give_back_failed()
    assert (items.given_back, len(items.in_flight)) == (["c"], 2)


async def test_forgotten_items_are_left_to_their_leases() -> None:
    items = Items()
    await items.run(Item("a"), fail)
    items.in_flight.abandon_leases()
    assert len(items.in_flight) == 0
    await items.in_flight.give_back_failed()
    assert items.given_back == []
