"""The dispatcher without an engine: the effect's row is the job, leased from the store. Right on both stores; refuses features."""

from __future__ import annotations

from collections.abc import Callable

from orderflow.store.ports import Store
from orderflow.store.quota import lease_within_quota
from orderflow.store.records import LeasedEffect, WorkerScope


class LocalDispatcher:
    """Leases due rows."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def open(self, wake: Callable[[], None]) -> None:
        """Nothing to prepare: commits of this process wake its worker, and the poll sees those of others."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def take(self, now: float, scope: WorkerScope, limit: int) -> list[LeasedEffect]:
        """See ``Dispatcher.take``."""
        return await lease_within_quota(scope, limit, lambda share, most: self._store.lease_effects(now, share, most))

    async def ended(self, effect: LeasedEffect, again_at: float | None = None) -> None:
        """The row says it all."""
