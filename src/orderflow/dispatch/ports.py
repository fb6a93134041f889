"""What brings owed effects to a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from orderflow.store.records import LeasedEffect, WorkerScope


class Dispatcher(Protocol):
    """Brings owed effects to the worker of this process. One contract suite for every implementation.

    The effect's row stays the truth: its attempt is committed before the call, it alone schedules retries, it ends with its result.
    Whatever else a dispatcher keeps only points at the row; where that is lost, the row is found again within the lease.
    """

    async def open(self, wake: Callable[[], None]) -> None:
        """Begin; the store is open. ``wake`` may be called whenever there may be something to take.

        Raises:
            ConfigurationError: the store cannot serve it; OperationalError: its part of the database cannot be reached.
        """

    async def close(self) -> None:
        """Let go; what was taken has ended, or is left to its lease."""

    async def take(self, now: float, scope: WorkerScope, limit: int) -> list[LeasedEffect]:
        """Effects to be carried out by this process now, leased: at most ``limit``, of each provider at most its room."""

    async def ended(self, effect: LeasedEffect, again_at: float | None = None) -> None:
        """It was carried out and its row written: done, or (``again_at``) owed again from that moment on."""
