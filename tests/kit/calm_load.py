"""Orders that are placed, run and paid all the time while something is done to the database or to the workers; the provider is in good order.

So each order must end as its provider has it, no call may be made twice, and no order may ever have been in doubt. No test lives here.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import define, field
from tests.kit.chaos_app import PATIENT
from tests.kit.chaos_world import ENDS, LOST_CALL, World, count_executions, open_world, place_order, state_at_provider

from orderflow.errors import OperationalError
from orderflow.model import Order

CUSTOMERS = 16
_PATIENCE = 300.0  # seconds in which an order must end, whatever is done meanwhile
_PAUSE = 0.1


@define
class Load:
    """Customers who place one order after the other."""

    world: World
    placed: list[str] = field(factory=list)
    settled: int = 0
    unreachable: int = 0  # how often the service could not reach its database within its patience, or was refused
    closing: bool = False

    async def customer(self) -> None:
        """Place an order and wait for its end, again and again."""
        while not self.closing:
            n = len(self.placed)
            async with asyncio.timeout(_PATIENCE):
                await self.place_one()
                await self.wait_until_settled([self.placed[n]])
            self.settled += 1

    async def place_one(self) -> None:
        """Place one more order."""
        n = len(self.placed)
        self.placed.append("")
        self.placed[n] = await self._place(n)

    async def wait_until_settled(self, order_ids: list[str]) -> None:
        """Wait until these orders have ended, or are in doubt."""
        for order_id in order_ids:
            while (await self._read(order_id)).state not in (*ENDS, *LOST_CALL):
                await asyncio.sleep(_PAUSE)

    async def _place(self, n: int) -> str:
        while True:
            try:
                return await place_order(self.world, n)
            except OperationalError:  # the same keys again, as an application does
                await self._count_unreachable()

    async def _read(self, order_id: str) -> Order:
        while True:
            try:
                return await self.world.flow.order(order_id)
            except OperationalError:
                await self._count_unreachable()

    async def _count_unreachable(self) -> None:
        self.unreachable += 1
        await asyncio.sleep(_PAUSE)

    async def wait_for(self, orders: int) -> None:
        """Wait until so many more orders have been settled."""
        wanted = self.settled + orders
        async with asyncio.timeout(_PATIENCE):
            while self.settled < wanted:
                await asyncio.sleep(_PAUSE)

    async def check(self) -> Counter[str]:
        """Every order has ended as the provider has it, each call was made once, and no order was ever in doubt. Their states."""
        registered, submitted, by_sms = count_executions(self.world)
        for executed in (registered, submitted, by_sms):
            assert all(times <= 1 for times in executed.values()), executed.most_common(3)
        orders = [await self.world.flow.order(order_id) for order_id in self.placed]
        for order in orders:
            journal = [row.event for row in await self.world.flow.journal(order.id)]
            assert not set(LOST_CALL.values()) & set(journal), (order.id, journal)
            assert order.state in ENDS, (order.id, journal)
            assert order.state == state_at_provider(self.world, order), order.id
            assert registered[order.key] + submitted[order.key] == 1, order.id
        assert len(self.world.connect.orders) + len(self.world.ccv.orders) == len(orders)
        return Counter(order.state for order in orders)


@asynccontextmanager
async def load(folder: Path, db: str, dispatch: str, what: str, *, workers: int = 2) -> AsyncIterator[Load]:
    """Two worker processes and their customers. When the block ends, the last orders are waited for, and all are checked."""
    began = time.monotonic()
    async with open_world(folder, db, dispatch, PATIENT) as world:
        running = Load(world)
        for _ in range(workers):
            await world.start_worker()
        async with asyncio.TaskGroup() as group:
            for _ in range(CUSTOMERS):
                group.create_task(running.customer())
            await running.wait_for(CUSTOMERS)
            yield running
            await running.wait_for(CUSTOMERS)  # all is well again
            running.closing = True
        await world.stop_workers()
        states = await running.check()
        report = f"{what} ({dispatch}): {dict(states)}, none in doubt, in {time.monotonic() - began:.0f} s"
        print(f"{report}; {running.unreachable} calls of the service failed", file=sys.stderr)
