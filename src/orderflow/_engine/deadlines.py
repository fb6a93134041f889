"""Deadlines: clock events that are due."""

from __future__ import annotations

from attrs import define

from orderflow._clock import Clock
from orderflow._engine.inbox import Inbox
from orderflow._store.ports import Store
from orderflow._store.records import DueDeadline, InboxKey, WorkerScope
from orderflow._telemetry.ports import Telemetry
from orderflow.model import Event, Origin


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
