"""Which orders have been in their state for longer than its time budget."""

from __future__ import annotations

from collections.abc import Mapping

from orderflow._provider.protocol import Provider
from orderflow._store.ports import Store
from orderflow.model import Order


async def find_stuck(store: Store, providers: Mapping[str, Provider], now: float, limit: int) -> list[Order]:
    """Up to ``limit`` such orders, the longest in their state first."""
    stuck: list[Order] = []
    for provider in providers.values():
        for state in provider.table.states.values():
            if state.budget:
                before = now - provider.timing.durations[state.budget]
                stuck += await store.orders(provider=provider.name, state=state.value, entered_before=before, limit=limit)
    return sorted(stuck, key=lambda order: order.entered_at)[:limit]
