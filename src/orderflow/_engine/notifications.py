"""Notifications: running the application's listeners for one state that an order entered."""

from __future__ import annotations

import structlog
from attrs import define

from orderflow._engine.attempt import Finish, Retry, retry_backoff
from orderflow._engine.calls import CallCancelled, RunningCalls
from orderflow._engine.listeners import Listeners
from orderflow._provider.protocol import Provider
from orderflow._store.ports import Store
from orderflow._store.records import LeasedEffect
from orderflow._telemetry.exceptions import exception_fields
from orderflow.model import Order, StateEntered, StepKind

_log = structlog.get_logger()


@define(eq=False, kw_only=True)
class Notifier:
    """Carries out the effect ``notify_listener``: at least once, with a stable key."""

    _store: Store
    _listeners: Listeners
    _calls: RunningCalls

    async def notify(self, provider: Provider, order: Order, effect: LeasedEffect, seconds: float) -> Finish | Retry:
        """Run the listeners of the entered state, for ``seconds`` at most. Returns whether the effect is over or owed again."""
        rows = await self._store.journal(order.id)
        row = next(row for row in rows if row.version == effect.key.version)
        entered = StateEntered(
            key=str(effect.key),
            order=order,
            state=effect.entered_state,
            version=row.version,
            provisional=provider.table.states[effect.entered_state].provisional,
            inferred=row.kind in (StepKind.INFERRED, StepKind.JUMP),
        )
        try:
            async with self._calls.limit(seconds):
                await self._listeners.notify(entered)
        except CallCancelled as cancelled:
            return Retry(0.0, str(cancelled), uncounted=True)
        except Exception as error:  # noqa: BLE001  a listener may raise anything; it runs again
            _log.error("listener.failed", order_id=order.id, state=effect.entered_state, **exception_fields(error))
            return Retry(retry_backoff(provider.timing, effect.attempt), f"the listener raised {type(error).__name__}")
        return Finish("")
