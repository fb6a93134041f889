"""Notifications: running the application's listeners for a state that an order entered, or because it was flagged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from attrs import define, field

from orderflow._engine.attempt import Finish, Retry, retry_backoff
from orderflow._engine.calls import CallCancelled, RunningCalls
from orderflow._engine.flags import read_flag
from orderflow._engine.listeners import ListenerFailed, Listeners
from orderflow._flagged import ORDER_FLAGGED, OrderFlagged
from orderflow._provider.protocol import Provider
from orderflow._store.ports import Store
from orderflow._store.records import Lane, LeasedEffect
from orderflow._telemetry.exceptions import whole_exception
from orderflow._telemetry.log import get_logger
from orderflow.model import Order, StateEntered, StepKind

ListenerErrorHandler = Callable[[StateEntered | OrderFlagged, BaseException], None]
"""Called when a listener failed: with what it was notified of, and what it raised."""

KEEPS_FAILING = 3
"""From so many failures on, a notification counts as one that keeps failing: it is logged once, and listed for operators."""

_log = get_logger(__name__)


@define(eq=False, kw_only=True)
class Notifier:
    """Carries out the effect ``notify_listener``: at least once, with a stable key."""

    _store: Store
    _listeners: Listeners
    _calls: RunningCalls
    _on_error: ListenerErrorHandler | None = None
    _failures: Counter[Lane] = field(init=False, factory=Counter)  # in a row

    @property
    def failing(self) -> dict[str, int]:
        """The listeners that failed the last time, as "provider state", and how often in a row. May be read from any thread."""
        return {" ".join(lane): count for lane, count in self._failures.copy().items() if count}

    async def notify(self, provider: Provider, order: Order, effect: LeasedEffect, seconds: float) -> Finish | Retry:
        """Run the listeners of the effect, for ``seconds`` at most. Returns whether the effect is over or owed again."""
        is_flag = effect.entered_state == ORDER_FLAGGED
        notified = read_flag(effect, order) if is_flag else await self._read_entered(provider, order, effect)
        try:
            async with self._calls.limit(seconds):
                await self._listeners.notify(notified)
        except CallCancelled as cancelled:
            return Retry(0.0, str(cancelled), uncounted=True)
        except TimeoutError:
            return self._fail(provider, notified, effect, TimeoutError(f"the listener did not return within {seconds:.0f} s"))
        except ListenerFailed as failed:
            return self._fail(provider, notified, effect, failed.error)
        self._failures.pop(effect.lane, None)
        return Finish("")

    async def _read_entered(self, provider: Provider, order: Order, effect: LeasedEffect) -> StateEntered:
        rows = await self._store.journal(order.id)
        row = next(row for row in rows if row.version == effect.key.version)
        return StateEntered(
            key=str(effect.key),
            order=order,
            state=effect.entered_state,
            version=row.version,
            provisional=provider.table.states[effect.entered_state].provisional,
            inferred=row.kind in (StepKind.INFERRED, StepKind.JUMP),
        )

    def _fail(self, provider: Provider, notified: StateEntered | OrderFlagged, effect: LeasedEffect, error: BaseException) -> Retry:
        """Tell the application about a failure of its listener, which runs again later."""
        self._failures[effect.lane] += 1
        fields = {"order_id": effect.key.order_id, "state": effect.entered_state, "attempt": effect.attempt}
        _log.error("listener.failed", **fields, **whole_exception(error))
        failures = effect.attempt - effect.uncounted_attempts
        if failures == KEEPS_FAILING:
            _log.error("notification.keeps_failing", failures=failures, error=type(error).__name__, **fields)
        if self._on_error is not None:
            try:
                self._on_error(notified, error)
            except KeyboardInterrupt:  # a person's
                raise
            except BaseException as handler_error:  # noqa: BLE001  SystemExit too: what reports failures must not cause one
                _log.error("listener.error_handler_failed", **whole_exception(handler_error))
        return Retry(retry_backoff(provider.timing, effect.attempt), f"the listener raised {type(error).__name__}")
