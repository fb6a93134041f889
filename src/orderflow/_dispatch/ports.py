"""The interface between the worker and what brings effects to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from orderflow._store.records import LeasedEffect, WorkerScope


class Dispatcher(Protocol):
    """Brings owed effects to the worker of this process. One contract suite holds for every implementation.

    The effect's row decides: its attempt is committed before the call, only the row schedules retries, and the row ends with the result.
    Anything else that a dispatcher keeps only points at the row. If that is lost, the row is found again within the lease.
    """

    async def open(self, wake: Callable[[], None]) -> None:
        """Begin; the store is open. The dispatcher may call ``wake`` whenever there may be something to take.

        Raises:
            ConfigurationError: the store cannot serve it; OperationalError: its part of the database cannot be reached.
        """

    async def close(self) -> None:
        """End. Effects still leased are left to their leases."""

    async def take(self, now: float, scope: WorkerScope, limit: int) -> list[LeasedEffect]:
        """Lease effects for this process: at most ``limit``, and of each provider at most as many as the scope allows."""

    async def finish(self, effect: LeasedEffect, due_again_at: float | None = None) -> None:
        """The attempt is over and its row is written: finished, or (``due_again_at``) owed again from then on."""
