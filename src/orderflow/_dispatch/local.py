"""The dispatcher without a queue: it leases the effects' rows from the store. It works on both stores."""

from __future__ import annotations

from collections.abc import Callable

from orderflow._store.ports import Store
from orderflow._store.records import LeasedEffect, WorkerScope


class LocalDispatcher:
    """Leases due rows."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def open(self, wake: Callable[[], None]) -> None:
        """Nothing to do: commits of this process wake its worker, and it finds those of other processes by polling."""

    async def close(self) -> None:
        """Nothing to do."""

    async def take(self, now: float, scope: WorkerScope, limit: int) -> list[LeasedEffect]:
        """See ``Dispatcher.take``."""
        return await self._store.lease_effects(now, scope, limit)

    async def finish(self, effect: LeasedEffect, due_again_at: float | None = None) -> None:
        """Nothing to do: the row is already written."""
