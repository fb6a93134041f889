"""A worker in virtual time, whose fetches are counted and whose provider notes when each call began. No test lives here.

A minute of rate limits takes no minute. Virtual time knows no threads, so listeners must be coroutine functions.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from attrs import define, field
from tests.kit.inline_store import InlineStore
from tests.kit.toy import Toy
from tests.kit.virtual_time import VirtualClock, run_virtually

from orderflow._app import Orderflow
from orderflow._provider.call import Call
from orderflow._provider.outcomes import Outcome, ReadFailed, StatusRead
from orderflow._provider.protocol import PublicUrls
from orderflow._provider.timing import Timing
from orderflow._store.records import DueDeadline, StoredStanding, WorkerScope
from orderflow.model import Order

__all__ = ["CountingStore", "InlineStore", "TimedToy", "VirtualClock", "open_flow", "order_many", "run_virtually", "run_with_worker"]

T = TypeVar("T")
DAY = 86400.0
CALL_SECONDS = 0.05


class CountingStore(InlineStore):
    """Counts how often the worker fetched, and how often it read the standings."""

    fetches = 0
    standing_fetches = 0

    async def due_deadlines(self, now: float, scope: WorkerScope, limit: int) -> list[DueDeadline]:
        self.fetches += 1
        return await super().due_deadlines(now, scope, limit)

    async def read_standings(self) -> Mapping[str, StoredStanding]:
        self.standing_fetches += 1
        return await super().read_standings()

    async def throttle(self, provider: str, until: float) -> None:
        await asyncio.sleep(0.01)  # other tasks go on meanwhile, as with a real database
        await super().throttle(provider, until)


@define(eq=False)
class TimedToy(Toy):
    """Each call takes ``CALL_SECONDS``. ``begun``: when each call began; ``most``: how many were in progress at once."""

    clock: VirtualClock = field(factory=VirtualClock)
    begun: list[float] = field(factory=list)
    most: int = 0
    _in_progress: int = 0

    async def perform(self, call: Call, urls: PublicUrls) -> Outcome:
        return await self._take_time(super().perform(call, urls))

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        return await self._take_time(super().fetch_status(order))

    async def _take_time(self, call: Awaitable[T]) -> T:
        self.begun.append(self.clock.now())
        self._in_progress += 1
        self.most = max(self.most, self._in_progress)
        await self.clock.sleep(CALL_SECONDS)
        self._in_progress -= 1
        return await call

    def count_most_within(self, seconds: float) -> int:
        """The largest number of calls that began within any ``seconds``."""
        return max(sum(start <= other < start + seconds for other in self.begun) for start in self.begun)


def open_flow(store: InlineStore, *toys: TimedToy, worker: bool = True, fetch_interval: float = DAY) -> Orderflow:
    """A flow in virtual time. By default it fetches once a day, so that only a wake or something due moves an order."""
    return Orderflow(store, toys, worker=worker, fetch_interval=fetch_interval, clock=toys[0].clock, rng=random.Random(1))


def run_with_worker(timing: Timing, story: Callable[[Orderflow, TimedToy, CountingStore], Awaitable[None]]) -> None:
    """Run a story in virtual time with a worker."""

    async def main() -> None:
        store, toy = CountingStore(), TimedToy(timing=timing)
        async with open_flow(store, toy) as flow:
            await story(flow, toy, store)
        store.connection.close()

    run_virtually(main())


async def order_many(flow: Orderflow, count: int, provider: str = "toy") -> list[Order]:
    """So many new orders, each with the command that starts it."""
    orders = [await flow.create(provider, key=str(n)) for n in range(count)]
    for order in orders:
        await flow.send(order.id, "order_it")
    return orders
