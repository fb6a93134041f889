"""What thousands say at once is heard once: a flood of notices must not become a flood of statements. Knows no order.

Whoever comes gets the result of a run that begins after it came, so nothing said is lost and nothing is answered before it is kept.
Runs of one key are a *beat* apart; all who come meanwhile share the next. A beat is paced by the event loop, as a timeout is: it
moves no order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs under way and to come, by key. It keeps a key for a beat and no longer."""

    def __init__(self) -> None:
        self._next: dict[Hashable, asyncio.Task[T]] = {}
        self._size: dict[Hashable, int] = {}  # how many share the run to come
        self._rest: dict[Hashable, float] = {}  # until when no other run of a key begins; the oldest first

    async def join(self, key: Hashable, beat: float, run: Callable[[int], Awaitable[T]]) -> T:
        """The result of the next ``run`` for this key, which is told how many share it; ``beat`` in seconds."""
        self._size[key] = self._size.get(key, 0) + 1
        coming = self._next.get(key)
        if coming is None:
            coming = self._next[key] = asyncio.create_task(self._run(key, beat, run))
        return await asyncio.shield(coming)  # one that hangs up must not take the others' answer along

    async def _run(self, key: Hashable, beat: float, run: Callable[[int], Awaitable[T]]) -> T:
        now = asyncio.get_running_loop().time
        if key in self._rest:
            await asyncio.sleep(max(0.0, self._rest[key] - now()))
        del self._next[key]
        while self._rest and (oldest := next(iter(self._rest.items())))[1] <= now():
            del self._rest[oldest[0]]
        self._rest.pop(key, None)
        self._rest[key] = now() + beat
        return await run(self._size.pop(key))
