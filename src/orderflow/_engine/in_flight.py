"""What a worker holds: leased items whose tasks run, and items whose task failed before anything about them was written.

Draining waits for the tasks, then gives back what is still leased.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

from attrs import frozen

from orderflow._clock import Clock
from orderflow._engine.lanes import RunningLane
from orderflow._telemetry.exceptions import exception_fields
from orderflow._telemetry.log import get_logger
from orderflow.errors import OperationalError, UnreadableRow


class Item(Protocol):
    """What a worker holds: something of an order."""

    @property
    def order_id(self) -> str:
        """The order that it is about."""


T = TypeVar("T", bound=Item)
_RETRY_SECONDS = 0.2  # between two tries to give an item back
_log = get_logger(__name__)


@frozen(eq=False)
class _Held:
    """A leased item. ``give_back`` ends the lease; it returns False if the lease has to run out."""

    lane: RunningLane
    order_id: str
    lease_end: float
    give_back: Callable[[], Awaitable[bool]]


async def run_guarded(run: Callable[[T], Awaitable[bool]], item: T) -> bool:
    """Whether ``run`` succeeded and everything about the item is written. An exception is logged: one item must not stop the others."""
    try:
        return await run(item)
    except Exception as error:  # noqa: BLE001  its lease ends and it is leased again
        _log.error("worker.item_failed", order_id=item.order_id, **exception_fields(error))
        return False


class InFlight:
    """The leased items of one worker, by lane. ``on_end`` is called with the lane when a task has ended."""

    def __init__(self, clock: Clock, on_end: Callable[[RunningLane], None]) -> None:
        self._clock = clock
        self._on_end = on_end
        self._tasks: dict[asyncio.Task[bool], _Held] = {}
        self._running: Counter[RunningLane] = Counter()
        self._failed: list[_Held] = []

    def __len__(self) -> int:
        """How many items are running or still leased; may be asked from any thread."""
        return len(self._tasks) + len(self._still_leased())

    @property
    def running(self) -> int:
        """How many items are running."""
        return len(self._tasks)

    def by_lane(self) -> Counter[RunningLane]:
        """How many items are running in each lane."""
        return Counter(self._running)

    @property
    def tasks(self) -> set[asyncio.Task[Any]]:
        """The running tasks."""
        return set(self._tasks)

    def start(
        self,
        item: T,
        lane: RunningLane,
        lease_end: float,
        run: Callable[[T], Awaitable[bool]],
        give_back: Callable[[T], Awaitable[bool]],
    ) -> None:
        """Run an item in a task of its own."""
        self._failed = self._still_leased()
        task = asyncio.create_task(run_guarded(run, item))
        self._tasks[task] = _Held(lane, item.order_id, lease_end, partial(give_back, item))
        self._running[lane] += 1
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[bool]) -> None:
        held = self._tasks.pop(task)
        self._running[held.lane] -= 1
        if task.cancelled() or not task.result():
            self._failed.append(held)
        self._on_end(held.lane)

    def _still_leased(self) -> list[_Held]:
        now = self._clock.now()
        return [held for held in self._failed if held.lease_end > now]

    def abandon_leases(self) -> None:
        """Leave every lease to run out, as a killed process would."""
        self._failed.clear()

    async def give_back_failed(self) -> None:
        """Give back every failed item that is still leased. Cancel it to stop trying."""
        await asyncio.gather(*map(self._give_back, self._still_leased()))

    async def _give_back(self, held: _Held) -> None:
        given_back = None
        while given_back is None:
            try:
                given_back = await held.give_back()
            except Exception as error:  # noqa: BLE001  one item must not keep the others leased
                if isinstance(error, OperationalError) and not isinstance(error, UnreadableRow):
                    await asyncio.sleep(_RETRY_SECONDS)  # the database may come back
                else:
                    _log.error("worker.item_failed", order_id=held.order_id, **exception_fields(error))
                    given_back = False
        if given_back:
            self._failed.remove(held)
