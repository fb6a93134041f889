"""Deadlines: clock events that are due, and orders whose time budget is spent."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define

from orderflow._clock import Clock
from orderflow._engine.inbox import Inbox
from orderflow._provider.protocol import Provider
from orderflow._store.ports import Store
from orderflow._store.records import DueDeadline, InboxKey, WorkerScope
from orderflow._telemetry.ports import Telemetry
from orderflow.model import Event, Order, Origin


@define(eq=False, kw_only=True)
class Deadlines:
    """Brings clock events to the inbox."""

    _inbox: Inbox
    _store: Store
    _clock: Clock
    _telemetry: Telemetry

    async def fetch(self, scope: WorkerScope, limit: int) -> list[DueDeadline]:
        """Deadlines that are due within the scope, at most ``limit``."""
        return await self._store.due_deadlines(self._clock.now(), scope, limit)

    async def run(self, deadline: DueDeadline) -> bool:
        """Let the inbox decide one clock event. The deadline ends with the decision, whatever it is. Returns True."""
        key = InboxKey(Origin.CLOCK.value, f"{deadline.order_id}:{deadline.name}:{deadline.version}")
        attributes = {"order_id": deadline.order_id, "provider": deadline.provider, "trigger": deadline.name}
        with self._telemetry.span("deadline", attributes, ""):
            await self._inbox.accept(deadline.order_id, Event(deadline.name, Origin.CLOCK), key, deadline=deadline)
        return True


async def find_stuck(store: Store, providers: Iterable[Provider], now: float, limit: int) -> list[Order]:
    """Up to ``limit`` orders that have been in their state for longer than its time budget, the longest first."""
    stuck: list[Order] = []
    for provider in providers:
        for state in provider.table.states.values():
            if state.budget:
                before = now - provider.timing.durations[state.budget]
                stuck += await store.orders(provider=provider.name, state=state.value, entered_before=before, limit=limit)
    return sorted(stuck, key=lambda order: order.entered_at)[:limit]
