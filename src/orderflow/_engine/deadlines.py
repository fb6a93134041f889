"""Deadlines: clock events that are due.

A deadline gives something up, and a poll could prove otherwise. So where the order can be polled, a deadline is decided only after a poll
that began behind it was answered. While the provider cannot be polled it waits, for ``Timing.deadline_patience`` at most. If it then ends
the order, one late poll stays planned (commit.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define

from orderflow._clock import Clock
from orderflow._engine.inbox import Inbox
from orderflow._provider.protocol import Provider
from orderflow._store.ports import Store
from orderflow._store.records import DueDeadline, InboxKey, WorkerScope
from orderflow._telemetry.log import get_logger
from orderflow._telemetry.ports import Telemetry
from orderflow.errors import UnreadableRow
from orderflow.model import Event, Origin

_UNPOLLED = "no poll was answered since it was due"
_log = get_logger(__name__)


@define(eq=False, kw_only=True)
class Deadlines:
    """Brings clock events to the inbox."""

    _inbox: Inbox
    _store: Store
    _providers: Mapping[str, Provider]
    _clock: Clock
    _telemetry: Telemetry

    async def fetch(self, scope: WorkerScope, limit: int) -> list[DueDeadline]:
        """Deadlines that are due within the scope and do not wait, at most ``limit``."""
        return await self._store.due_deadlines(self._clock.now(), scope, limit)

    async def run(self, deadline: DueDeadline) -> bool:
        """Decide one deadline, or let it wait for a poll. It ends with the decision, whatever that is. Returns True.

        Where this version of the lifecycle lacks the order's state or the event, another may know them: the deadline comes again later.
        So does that of an order which cannot be read.
        """
        provider, now = self._providers[deadline.provider], self._clock.now()
        table, timing = provider.table, provider.timing
        if deadline.state not in table.states or deadline.name not in table.events:
            await self._store.postpone_deadline(deadline, now + timing.poll_cap)
        elif deadline.needs_poll:
            _log.info("deadline.waits_for_poll", order_id=deadline.order_id, trigger=deadline.name)
            await self._store.poll_before_deadline(deadline, now, now + timing.deadline_patience, timing.poll_interval)
        else:
            try:
                await self._decide(deadline)
            except UnreadableRow as error:  # deadlines are not leased: this one would come back at once
                _log.error("order.unreadable", order_id=error.order_id, table=error.table)
                await self._store.postpone_deadline(deadline, now + timing.poll_cap)
        return True

    async def _decide(self, deadline: DueDeadline) -> None:
        event = Event(deadline.name, Origin.CLOCK, note=_UNPOLLED if deadline.unpolled else "")
        key = InboxKey(Origin.CLOCK.value, f"{deadline.order_id}:{deadline.name}:{deadline.version}")
        attributes = {"order_id": deadline.order_id, "provider": deadline.provider, "trigger": deadline.name}
        with self._telemetry.span("deadline", attributes, ""):
            await self._inbox.accept(deadline.order_id, event, key, deadline=deadline)
