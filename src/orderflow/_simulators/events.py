"""What has happened in a simulator, as a feed that clients can follow. Contains only: the log and its events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping

from attrs import frozen

from orderflow._simulators.clock import SimClock

KEPT = 1000


@frozen
class SimulatorEvent:
    """One event. ``n`` rises by one and never restarts; ``at`` is simulator time; ``data`` is JSON."""

    n: int
    at: float
    kind: str
    data: Mapping[str, object]


class EventLog:
    """The newest ``KEPT`` events; ``follow`` waits for the next ones."""

    def __init__(self, clock: SimClock) -> None:
        self._clock = clock
        self._events: deque[SimulatorEvent] = deque(maxlen=KEPT)
        self._next = 1
        self._followers: set[asyncio.Event] = set()

    @property
    def rows(self) -> tuple[SimulatorEvent, ...]:
        """The kept events, oldest first."""
        return tuple(self._events)

    def record(self, kind: str, **data: object) -> None:
        """Add an event and wake all followers."""
        self._events.append(SimulatorEvent(self._next, self._clock.now(), kind, data))
        self._next += 1
        for follower in self._followers:
            follower.set()

    async def follow(self, after: int = 0) -> AsyncGenerator[SimulatorEvent, None]:
        """Yield each event with a number above ``after``: first the kept ones, then new ones. Never ends."""
        changed = asyncio.Event()
        self._followers.add(changed)
        try:
            while True:
                changed.clear()
                for event in tuple(self._events):
                    if event.n > after:
                        after = event.n
                        yield event
                await changed.wait()
        finally:
            self._followers.discard(changed)
