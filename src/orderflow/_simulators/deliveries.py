"""Callbacks and notifications, sent over HTTP. Contains only: sending them, the faults armed for them, and the record of them.

When to send which one is decided by the provider's simulator.
"""

from __future__ import annotations

import asyncio
import random
from typing import Literal
from urllib.parse import urlsplit

import httpx
from attrs import define, frozen

from orderflow._simulators.clock import SimClock
from orderflow._simulators.faults import matches

DeliveryFaultKind = Literal["drop", "duplicate", "delay"]
Outcome = Literal["sent", "dropped", "failed"]
TIMEOUT_SECONDS = 5.0


@frozen
class Delivery:
    """One attempt. ``at`` is simulator time; ``answered`` is the receiver's status code, None if there was no answer."""

    n: int
    at: float
    method: str
    url: str
    outcome: Outcome
    answered: int | None = None


@define
class _DeliveryFault:
    kind: DeliveryFaultKind
    match: str
    times: int | None
    seconds: float
    chance: float

    def __str__(self) -> str:
        return f"{self.kind} {self.match or 'any'} x{'always' if self.times is None else self.times}"


class Deliveries:
    """Sends requests without a body to the application. Each is sent at most once per call and never retried.

    ``client`` is any ``httpx.AsyncClient``; the default one is made here and closed by ``close`` (no redirects, no proxies, a limit of
    5 s). A receiver that refuses, hangs or is down does not disturb the simulator.
    """

    def __init__(self, clock: SimClock, client: httpx.AsyncClient | None = None, seed: int = 0) -> None:
        self._clock = clock
        self._given_client = client
        self._own_client: httpx.AsyncClient | None = None
        self._random = random.Random(seed)  # noqa: S311 - reproducible faults, not a secret
        self._faults: list[_DeliveryFault] = []
        self._rows: list[Delivery] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def rows(self) -> tuple[Delivery, ...]:
        """All attempts that have ended, in that order."""
        return tuple(self._rows)

    def count_sent(self, match: str = "") -> int:
        """How many matching requests were sent and answered; the pattern is matched against ``METHOD /path``."""
        return sum(row.outcome == "sent" and _matches_url(match, row.method, row.url) for row in self._rows)

    def arm(self, kind: DeliveryFaultKind, match: str = "", times: int | None = 1, seconds: float = 0.0, chance: float = 1.0) -> None:
        """Drop, duplicate or delay (by ``seconds`` of simulator time) the next ``times`` matching deliveries."""
        self._faults.append(_DeliveryFault(kind, match, times, seconds, chance))

    @property
    def pending(self) -> int:
        """The number of background deliveries that have not ended, delayed ones included."""
        return len(self._tasks)

    @property
    def armed(self) -> tuple[str, ...]:
        """The faults still to come, as text."""
        return tuple(map(str, self._faults))

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def reset(self) -> None:
        """Remove all faults, cancel what is pending, delete the record."""
        self._faults.clear()
        for task in tuple(self._tasks):
            task.cancel()
        self._rows.clear()

    async def send(self, method: str, url: str, *, timeout: float = TIMEOUT_SECONDS) -> None:
        """Deliver now; return when the receiver has answered, or has not within ``timeout`` real seconds."""
        fault = self._take_fault(method, url)
        if fault is not None and fault.kind == "drop":
            self._record(method, url, "dropped", None)
            return
        if fault is not None and fault.kind == "delay":
            await self._clock.sleep(fault.seconds)
        for _ in range(2 if fault is not None and fault.kind == "duplicate" else 1):
            await self._request(method, url, timeout)

    def send_in_background(self, method: str, url: str, *, timeout: float = TIMEOUT_SECONDS) -> None:
        """Start a delivery and return at once."""
        task = asyncio.get_running_loop().create_task(self.send(method, url, timeout=timeout))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Wait until no delivery is pending. Delayed ones count: with a manual clock, advance it first."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        """Cancel what is pending and close the own client."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._own_client is not None:
            await self._own_client.aclose()
            self._own_client = None

    def _take_fault(self, method: str, url: str) -> _DeliveryFault | None:
        for fault in self._faults:
            if not _matches_url(fault.match, method, url) or self._random.random() >= fault.chance:
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
            return fault
        return None

    async def _request(self, method: str, url: str, timeout: float) -> None:
        try:
            limits = httpx.Timeout(TIMEOUT_SECONDS, read=timeout)
            response = await self._client().request(method, url, follow_redirects=False, timeout=limits)
        except (httpx.HTTPError, httpx.InvalidURL):
            self._record(method, url, "failed", None)
        else:
            self._record(method, url, "sent", response.status_code)

    def _client(self) -> httpx.AsyncClient:
        if self._given_client is not None:
            return self._given_client
        if self._own_client is None:
            # a new connection per delivery: a kept-alive one whose server has stopped would count as a lost delivery
            limits = httpx.Limits(max_keepalive_connections=0)
            self._own_client = httpx.AsyncClient(trust_env=False, limits=limits)
        return self._own_client

    def _record(self, method: str, url: str, outcome: Outcome, answered: int | None) -> None:
        self._rows.append(Delivery(len(self._rows), self._clock.now(), method, url, outcome, answered))


def _matches_url(pattern: str, method: str, url: str) -> bool:
    return matches(pattern, method, urlsplit(url).path)
