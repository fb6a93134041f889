"""Flows for tests of pruning and redaction. No test lives here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.kit.toy import Toy

from orderflow._app import Orderflow
from orderflow._engine.listeners import Handler
from orderflow.model import Applied, Order
from orderflow.simulators import SimClock


@asynccontextmanager
async def open_flow(url: str) -> AsyncIterator[tuple[Orderflow, SimClock]]:
    """A flow without a worker, and its clock, which stands still."""
    clock = SimClock(start=1_000_000.0, manual=True)
    async with Orderflow(url, [Toy()], clock=clock) as flow:
        yield flow, clock


async def put_order(flow: Orderflow, state: str, key: str = "k", **facts: bool | str) -> Order:
    """A new order that an operator moved to a state."""
    order = await flow.create("toy", key=key, facts=facts)
    if state != "drafted":
        decision = await flow.override(order.id, state, actor="kim", reason="a test", version=0)
        assert isinstance(decision, Applied)
    return await flow.order(order.id)


async def prune_all(flow: Orderflow, older_than: float = 10.0, **more: Any) -> list[str]:
    """The ids of all orders that one run deletes."""
    return [order_id for batch in [batch async for batch in flow.prune(older_than=older_than, **more)] for order_id in batch]


async def run_worker_until(
    url: str, clock: SimClock, done: Callable[[Orderflow], Awaitable[bool]], on_shipped: Handler | None = None
) -> None:
    """Run a worker on the database, and let time pass slowly, until something is done."""
    async with Orderflow(url, [Toy()], clock=clock, worker=True, fetch_interval=0.01) as flow:
        if on_shipped is not None:
            flow.on_entered("toy", "shipped", on_shipped)
        async with asyncio.timeout(60):
            while not await done(flow):
                clock.advance(0.01)
                await asyncio.sleep(0.005)
