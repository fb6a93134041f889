"""Which orders are stuck. Contains only: the search for them."""

from __future__ import annotations

from collections.abc import Iterable

from orderflow._provider.protocol import Provider
from orderflow._store.ports import Store
from orderflow.model import Order


async def find_stuck(store: Store, providers: Iterable[Provider], now: float, limit: int) -> list[Order]:
    """See ``Orderflow.stuck``."""
    stuck: list[Order] = []
    for provider in providers:
        for state in provider.table.states.values():
            if state.budget:
                before = now - provider.timing.durations[state.budget]
                stuck += await store.orders(provider=provider.name, state=state.value, entered_before=before, limit=limit)
    return sorted(stuck, key=lambda order: order.entered_at)[:limit]
