"""Callbacks and notifications, really sent over HTTP. What may live here: sending, what the test armed against it, and
the record of it. When to send what is the provider simulator's business."""

from __future__ import annotations

import asyncio
import random
from typing import Literal
from urllib.parse import urlsplit

import httpx
from attrs import define, frozen

from orderflow.simulators.clock import SimClock
from orderflow.simulators.faults import matches

DeliveryKind = Literal["drop", "duplicate", "delay"]
TIMEOUT_SECONDS = 5.0


@frozen
class Delivery:
    """One attempt. ``at`` is simulator time; ``answered`` is the receiver's status code, None when there was none."""

    n: int
    at: float
    method: str
    url: str
    outcome: Literal["sent", "dropped", "failed"]
    answered: int | None = None


@define
class _Armed:
    kind: DeliveryKind
    match: str
    times: int | None
    seconds: float
    chance: float


class Deliveries:
    """Sends body-less requests to the integrator, each at most once per call, never retried.

    ``client`` is any ``httpx.AsyncClient`` (default: an own one, closed by ``close``; no redirects, no proxies,
    5 s time limit). A receiver that refuses, hangs or is away never disturbs the simulator.
    """

    def __init__(self, clock: SimClock, client: httpx.AsyncClient | None = None, seed: int = 0) -> None:
        self._clock = clock
        self._given = client
        self._own: httpx.AsyncClient | None = None
        self._random = random.Random(seed)  # noqa: S311 - reproducible trouble, not a secret
        self._armed: list[_Armed] = []
        self._rows: list[Delivery] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def rows(self) -> tuple[Delivery, ...]:
        """What was attempted so far, in order of completion."""
        return tuple(self._rows)

    def sent(self, match: str = "") -> int:
        """How many matching requests went out and were answered; the pattern is matched against ``METHOD /path``."""
        return sum(row.outcome == "sent" and _meant(match, row.method, row.url) for row in self._rows)

    def arm(self, kind: DeliveryKind, match: str = "", times: int | None = 1, seconds: float = 0.0, chance: float = 1.0) -> None:
        """Lose, double or hold back (by ``seconds`` of simulator time) the next ``times`` matching deliveries."""
        self._armed.append(_Armed(kind, match, times, seconds, chance))

    @property
    def under_way(self) -> int:
        """How many background deliveries have not ended, held-back ones included."""
        return len(self._tasks)

    @property
    def armed(self) -> tuple[str, ...]:
        """What is still to happen, in words."""
        return tuple(f"{one.kind} {one.match or 'any'} x{'always' if one.times is None else one.times}" for one in self._armed)

    def clear(self) -> None:
        """Disarm everything."""
        self._armed.clear()

    def forget(self) -> None:
        """Disarm everything, give up what is under way, forget what was sent."""
        self._armed.clear()
        for task in tuple(self._tasks):
            task.cancel()
        self._rows.clear()

    async def send(self, method: str, url: str, *, patience: float = TIMEOUT_SECONDS) -> None:
        """Deliver now and return when the receiver has answered (or has not, for ``patience`` seconds of real time)."""
        armed = self._take(method, url)
        if armed is not None and armed.kind == "drop":
            self._note(method, url, "dropped", None)
            return
        if armed is not None and armed.kind == "delay":
            await self._clock.sleep(armed.seconds)
        for _ in range(2 if armed is not None and armed.kind == "duplicate" else 1):
            await self._post(method, url, patience)

    def start(self, method: str, url: str, *, patience: float = TIMEOUT_SECONDS) -> None:
        """Deliver in the background."""
        task = asyncio.get_running_loop().create_task(self.send(method, url, patience=patience))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Wait until nothing is under way. Held-back deliveries count: on a manual clock, advance first."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        """Give up what is under way and close the own client."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._own is not None:
            await self._own.aclose()
            self._own = None

    def _take(self, method: str, url: str) -> _Armed | None:
        for armed in self._armed:
            if not _meant(armed.match, method, url) or self._random.random() >= armed.chance:
                continue
            if armed.times is not None:
                armed.times -= 1
                if armed.times <= 0:
                    self._armed.remove(armed)
            return armed
        return None

    async def _post(self, method: str, url: str, patience: float) -> None:
        try:
            limits = httpx.Timeout(TIMEOUT_SECONDS, read=patience)
            answer = await self._client().request(method, url, follow_redirects=False, timeout=limits)
        except (httpx.HTTPError, httpx.InvalidURL):
            self._note(method, url, "failed", None)
        else:
            self._note(method, url, "sent", answer.status_code)

    def _client(self) -> httpx.AsyncClient:
        if self._given is not None:
            return self._given
        if self._own is None:
            # a fresh connection per delivery: a kept-alive one whose server has gone would count as a lost delivery
            limits = httpx.Limits(max_keepalive_connections=0)
            self._own = httpx.AsyncClient(trust_env=False, limits=limits)
        return self._own

    def _note(self, method: str, url: str, outcome: Literal["sent", "dropped", "failed"], answered: int | None) -> None:
        self._rows.append(Delivery(len(self._rows), self._clock.now(), method, url, outcome, answered))


def _meant(pattern: str, method: str, url: str) -> bool:
    return matches(pattern, method, urlsplit(url).path)
