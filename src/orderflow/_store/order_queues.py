"""Which waiting work may share a transaction. Pure: no I/O, no clock, no tasks, no threads."""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar

_SPLIT_FROM = 16  # orders with work, from which on a batch leaves something for the other batches


class OrderWork(Protocol):
    """A piece of work about one order; "": about none, and so it waits for no other."""

    @property
    def order_id(self) -> str: ...


W = TypeVar("W", bound=OrderWork)


class OrderQueues(Generic[W]):
    """One queue an order. A batch holds at most one piece of work of an order, and no order is in two batches at once.

    Args:
        batches: how many batches may be under way at once.
        most: the most pieces of work in a batch.
    """

    def __init__(self, *, batches: int, most: int) -> None:
        self._batches = batches
        self._most = most
        self._ready: deque[W] = deque()
        self._waiting: dict[str, deque[W]] = {}  # by order: what waits behind the work that is ready or in a batch

    @property
    def has_ready(self) -> bool:
        """Whether the next batch would hold anything."""
        return bool(self._ready)

    def submit(self, work: W) -> None:
        """Put work behind all other work of its order."""
        if work.order_id in self._waiting:
            self._waiting[work.order_id].append(work)
            return
        if work.order_id:
            self._waiting[work.order_id] = deque()
        self._ready.append(work)

    def next_batch(self) -> list[W]:
        """Take what may be committed together now; empty where nothing is ready.

        Where many orders have work, a batch takes its share of all of them, those in other batches included. One batch can then be
        decided here while another is written there. With a share of the ready work alone, callers that submit again as soon as they are
        answered would all end up in one batch.
        """
        size = min(len(self._ready), self._most)
        if len(self._waiting) >= _SPLIT_FROM:
            size = min(size, -(-len(self._waiting) // self._batches))
        return [self._ready.popleft() for _ in range(size)]

    def release(self, work: W) -> None:
        """The work of a batch is finished: the next work of its order is ready."""
        if not work.order_id:
            return
        if waiting := self._waiting[work.order_id]:
            self._ready.append(waiting.popleft())
        else:
            del self._waiting[work.order_id]

    def requeue(self, work: W) -> None:
        """The work of a batch is not finished, because it lost a race: it is ready again, before all other work of its order."""
        self._ready.append(work)
