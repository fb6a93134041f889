"""What has happened in a simulator, as a feed that may be followed. What may live here: the log and its followers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping

from attrs import frozen

KEPT = 1000


@frozen
class Event:
    """One happening. ``n`` rises by one and never restarts; ``at`` is simulator time; ``data`` is JSON."""

    n: int
    at: float
    kind: str
    data: Mapping[str, object]


class EventLog:
    """The newest ``KEPT`` events, and whoever waits for the next."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._next = 1
        self._waiting: set[asyncio.Event] = set()

    @property
    def rows(self) -> tuple[Event, ...]:
        """What is kept, oldest first."""
        return tuple(self._events)

    def add(self, at: float, kind: str, **data: object) -> None:
        """Write one down and wake those who follow."""
        self._events.append(Event(self._next, at, kind, data))
        self._next += 1
        for waiting in self._waiting:
            waiting.set()

    async def follow(self, after: int = 0) -> AsyncGenerator[Event, None]:
        """Every event with a number above ``after``, past ones at once, then each as it comes; never ends."""
        news = asyncio.Event()
        self._waiting.add(news)
        try:
            while True:
                news.clear()
                for event in tuple(self._events):
                    if event.n > after:
                        after = event.n
                        yield event
                await news.wait()
        finally:
            self._waiting.discard(news)
