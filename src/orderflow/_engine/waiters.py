"""Waiting until an order is in a state: ``flow.wait``."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from orderflow._analysis.reachability import within_reach
from orderflow._lifecycle.table import Table
from orderflow._store.ports import Store
from orderflow.errors import OutOfReach, UnknownName, WaitTimeout
from orderflow.model import Order

_RECHECK_SECONDS = 0.5  # between two looks at the store: another process may move the order


class Waiters:
    """One ``asyncio.Event`` for each waiter, by order. Steps that another process takes do not set it."""

    def __init__(self) -> None:
        self._events: dict[str, set[asyncio.Event]] = {}

    def __len__(self) -> int:
        """How many orders are waited for."""
        return len(self._events)

    @contextmanager
    def watch(self, order_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever this process moves the order."""
        moved = asyncio.Event()
        self._events.setdefault(order_id, set()).add(moved)
        try:
            yield moved
        finally:
            self._events[order_id].discard(moved)
            if not self._events[order_id]:
                del self._events[order_id]

    def notify(self, order_id: str) -> None:
        """The order moved."""
        for moved in self._events.get(order_id, ()):
            moved.set()

    async def wait_for_state(self, store: Store, table: Table, order_id: str, states: Collection[str], timeout: float) -> Order:
        """Return when the order is in one of the states.

        Raises:
            UnknownName: no such order or state.
            WaitTimeout: it was in none of them for ``timeout`` seconds; OutOfReach, at once: no event leads there any more.
        """
        for state in states:
            if state not in table.states:
                raise UnknownName(f"state of {table.name}", state, tuple(table.states))
        awaited = " or ".join(sorted(states))
        now = asyncio.get_running_loop().time
        end = now() + timeout
        with self.watch(order_id) as moved:
            while True:
                moved.clear()
                order = await store.load(order_id)
                if order.state in states:
                    return order
                if not within_reach(table, order.snapshot, states):
                    raise OutOfReach(order_id, awaited, order.state)
                left = end - now()
                if left <= 0:
                    raise WaitTimeout(order_id, awaited, order.state, timeout)
                try:
                    async with asyncio.timeout(min(left, _RECHECK_SECONDS)):
                        await moved.wait()
                except TimeoutError:
                    continue
