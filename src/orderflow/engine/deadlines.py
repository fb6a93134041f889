"""Deadlines: clock events that are due."""

from __future__ import annotations

from orderflow.engine.inbox import Inbox
from orderflow.model import Event, Origin
from orderflow.store.records import DueDeadline, InboxKey


class Deadlines:
    """Brings clock events."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def due(self, limit: int) -> list[DueDeadline]:
        """What has come."""
        return await self._inbox.store.due_deadlines(self._inbox.clock.now(), self._inbox.scope, limit)

    async def bring(self, deadline: DueDeadline) -> bool:
        """Let the inbox judge one clock event; whatever it decides, the deadline is gone with it: True."""
        key = InboxKey(Origin.CLOCK.value, f"{deadline.order_id}:{deadline.name}:{deadline.version}")
        event = Event(deadline.name, Origin.CLOCK)
        about = {"order_id": deadline.order_id, "provider": deadline.provider, "trigger": deadline.name}
        with self._inbox.telemetry.span("deadline", about, ""):
            await self._inbox.accept(deadline.order_id, event, key, deadline=deadline)
        return True
