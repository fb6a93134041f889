"""Waiting until an order is in a state, or has passed it: ``flow.wait``."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from attrs import field, frozen

from orderflow._analysis.reachability import within_reach
from orderflow._clock import Clock
from orderflow._engine.views import OrderView, build_view, describe_overdue
from orderflow._inputs import MAX_VERSION, check_name, check_seconds, check_whole
from orderflow._lifecycle.decide import is_in_doubt
from orderflow._lifecycle.table import Table
from orderflow._provider.protocol import Provider
from orderflow._store.ports import Store
from orderflow.errors import InvalidInput, OrderInDoubt, OutOfReach, UnknownName, WaitTimeout
from orderflow.model import Order

_RECHECK_SECONDS = 0.5  # between two looks at the store: another process may move the order


def _as_set(states: str | Collection[str]) -> frozenset[str]:
    names = (states,) if isinstance(states, str) else tuple(states) if isinstance(states, Collection) else ()
    if not names:
        raise InvalidInput("until", "must be a state, or several")
    return frozenset(check_name("until", "state", name) for name in names)


def _as_timeout(seconds: float) -> float:
    return check_seconds("timeout", seconds)


def _as_version(since: int) -> int:
    return check_whole("since", since, 0, MAX_VERSION)


@frozen
class Wanted:
    """What a caller waits for.

    Attributes:
        states: it is enough that the order entered one of them at the version ``since`` or later.
        timeout: for how many seconds.
        clock: by which a timeout finds what is overdue. None where this process has a worker, which says itself what stops it.
    """

    states: frozenset[str] = field(converter=_as_set)
    timeout: float = field(converter=_as_timeout)
    since: int = field(default=0, converter=_as_version)
    clock: Clock | None = None


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

    async def wait_for_state(self, store: Store, provider: Provider, order_id: str, wanted: Wanted) -> Order:
        """Return when the order is in one of the states, or has passed it.

        Raises:
            UnknownName: no such order or state.
            WaitTimeout: it did not within the timeout. OutOfReach, at once: no event leads there any more. OrderInDoubt, at once: only a
                person can move it.
        """
        table = provider.table
        for state in wanted.states - table.states.keys():
            raise UnknownName(f"state of {table.name}", state, tuple(table.states))
        now = asyncio.get_running_loop().time
        end = now() + wanted.timeout
        viewed_version = -1
        with self.watch(order_id) as moved:
            while True:
                moved.clear()
                order = await store.load(order_id)
                if order.state in wanted.states:
                    return order
                left = end - now()
                # what is still owed may change without a move; it matters in a doubt, and at the end
                if order.version != viewed_version or is_in_doubt(table, order.state) or left <= 0:
                    view = build_view(provider, await store.load_records(order_id))
                    viewed_version = view.order.version
                    if any(view.has_passed(state, wanted.since) for state in wanted.states):
                        return view.order
                    _raise_if_over(table, view, wanted, left)
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, _RECHECK_SECONDS)):
                        await moved.wait()


def _raise_if_over(table: Table, view: OrderView, wanted: Wanted, left: float) -> None:
    order, awaited = view.order, " or ".join(sorted(wanted.states))
    if not within_reach(table, order.snapshot, wanted.states):
        raise OutOfReach(order.id, awaited, order.state)
    if view.needs_person:
        raise OrderInDoubt(order.id, awaited, order.state, view.operator_events)
    if left <= 0:
        overdue = "" if wanted.clock is None else describe_overdue(view.pending, wanted.clock.now())
        raise WaitTimeout(order.id, awaited, order.state, wanted.timeout, overdue)
