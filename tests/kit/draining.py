"""Workers that are stopped at a chosen place, and stores that hold up or refuse. No test lives here.

The toy of these workers has a lease of a minute and polls once in ten minutes. What the next worker does within seconds was given back
to it, and was not left to a lease.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from attrs import evolve
from tests.kit.toy import TIMING, Toy, toy_id

from orderflow._app import Orderflow
from orderflow._engine.listeners import Handler
from orderflow._provider.outcomes import Outcome, StatusRead, Succeeded
from orderflow._store.records import Decider, DueDeadline, InboxKey, LeasedEffect, Receipt, ReportedCall
from orderflow._store.sqlite.store import SqliteStore
from orderflow.errors import OperationalError
from orderflow.model import Message, Order

SLOW = evolve(TIMING, durations=dict.fromkeys(TIMING.durations, 600.0), poll_first=600.0, poll_cap=600.0, poll_interval=0.01)
SOON = 60.0
"""Seconds: far less than a lease."""


class Gate:
    """A place where a task waits until the gate is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    async def pass_through(self) -> None:
        self.reached.set()
        await self.opened.wait()

    async def call(self, order: Order) -> Outcome:
        """A call that succeeds once the gate is open."""
        await self.pass_through()
        return Succeeded("order_placed", provider_id=toy_id(order))

    async def fetch_status(self, order: Order) -> StatusRead:
        """A poll without news once the gate is open."""
        await self.pass_through()
        return StatusRead("new")


class GatedStore(SqliteStore):
    """A gate in ``loading`` holds up a worker that loads an order that is ``sending``; one in ``writing`` holds up every write."""

    loading: Gate | None = None
    writing: Gate | None = None

    async def load(self, order_id: str) -> Order:
        order = await super().load(order_id)
        if self.loading is not None and order.state == "sending":
            await self.loading.pass_through()
        return order

    async def commit(
        self, order_id: str, key: InboxKey | None, decider: Decider, deadline: DueDeadline | None = None, call: ReportedCall | None = None
    ) -> Receipt:
        if self.writing is not None:
            await self.writing.pass_through()
        return await super().commit(order_id, key, decider, deadline, call)

    async def retry_effect(
        self,
        effect: LeasedEffect,
        at: float,
        why: str,
        uncounted: bool = False,
        message: Message | None = None,
        *,
        may_be_executed: bool = False,
    ) -> None:
        if self.writing is not None:
            await self.writing.pass_through()
        await super().retry_effect(effect, at, why, uncounted, message, may_be_executed=may_be_executed)


class RefusingStore(SqliteStore):
    """Raises ``error`` when the method in ``refused`` is called for an order in the state in ``refused``."""

    refused: tuple[str, str] | None = None
    error: Exception = OperationalError("orders.db: away")
    refusals = 0

    async def load(self, order_id: str) -> Order:
        await self._check("load", order_id)
        return await super().load(order_id)

    async def commit(
        self, order_id: str, key: InboxKey | None, decider: Decider, deadline: DueDeadline | None = None, call: ReportedCall | None = None
    ) -> Receipt:
        await self._check("commit", order_id)
        return await super().commit(order_id, key, decider, deadline, call)

    async def finish_effect(self, effect: LeasedEffect, why: str = "", message: Message | None = None) -> None:
        await self._check("finish_effect", effect.key.order_id)
        await super().finish_effect(effect, why, message)

    async def retry_effect(
        self,
        effect: LeasedEffect,
        at: float,
        why: str,
        uncounted: bool = False,
        message: Message | None = None,
        *,
        may_be_executed: bool = False,
    ) -> None:
        await self._check("retry_effect", effect.key.order_id)
        await super().retry_effect(effect, at, why, uncounted, message, may_be_executed=may_be_executed)

    async def throttle(self, provider: str, until: float) -> None:
        self._refuse("throttle", "")
        await super().throttle(provider, until)

    async def _check(self, method: str, order_id: str) -> None:
        self._refuse(method, (await super().load(order_id)).state)

    def _refuse(self, method: str, state: str) -> None:
        if self.refused == (method, state):
            self.refusals += 1
            raise self.error


# ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def run_worker(store: SqliteStore, toy: Toy, *, on_placed: Handler | None = None, grace: float = 0.0) -> AsyncIterator[Orderflow]:
    """A flow with a worker. At the end it stops with this grace; ``on_placed`` is its listener."""
    flow = Orderflow(store, [toy], worker=True, fetch_interval=0.05, grace=grace)
    if on_placed is not None:
        flow.on_entered("toy", "placed", on_placed)
    async with flow:
        yield flow


async def wait_until_failed(flow: Orderflow) -> None:
    """Return when the worker runs nothing, and still holds something leased: its task failed."""
    async with asyncio.timeout(SOON):
        while flow._engine.worker._in_flight.running or not in_flight_of(flow):
            await asyncio.sleep(0.005)


async def wait_until_cancelled(flow: Orderflow) -> None:
    """Return when a worker that stops without grace has cancelled its calls."""
    async with asyncio.timeout(SOON):
        while not (flow.health and flow.health.draining):
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)


async def wait_for_refusals(store: RefusingStore, count: int) -> None:
    """Return when the store has refused so often."""
    async with asyncio.timeout(SOON):
        while store.refusals < count:
            await asyncio.sleep(0.005)


def in_flight_of(flow: Orderflow) -> int:
    """How much its worker holds leased."""
    assert flow.health is not None
    return flow.health.in_flight


# ── the database ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def leased_in(folder: Path, at: float | None = None) -> list[tuple[str, ...]]:
    """What no worker may take at this time (default: now) although it is owed: the effects' names, and ``poll``."""
    at = time.time() if at is None else at
    with closing(sqlite3.connect(folder / "orders.db", timeout=15)) as connection:
        effects = connection.execute("SELECT name FROM of_effects WHERE owed = 1 AND (in_flight = 1 OR run_at > ?)", (at,)).fetchall()
        polls = connection.execute("SELECT 'poll' FROM of_polls WHERE next_at BETWEEN ? AND ?", (at, at + 120.0)).fetchall()
    return effects + polls


def end_lease(folder: Path, effect: str) -> None:
    """Let the lease of an effect run out."""
    with closing(sqlite3.connect(folder / "orders.db", timeout=15)) as connection, connection:
        connection.execute("UPDATE of_effects SET run_at = 0 WHERE name = ?", (effect,))


async def send_order(flow: Orderflow, key: str = "k") -> Order:
    """A new order, with the command that starts it."""
    order = await flow.create("toy", key=key)
    await flow.send(order.id, "order_it")
    return order
