"""Notifications: running the application's listeners for one state that an order entered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from attrs import define, field

from orderflow._engine.attempt import Finish, Retry, retry_backoff
from orderflow._engine.calls import CallCancelled, RunningCalls
from orderflow._engine.listeners import ListenerFailed, Listeners
from orderflow._provider.protocol import Provider
from orderflow._store.ports import Store
from orderflow._store.records import Lane, LeasedEffect
from orderflow._telemetry.exceptions import whole_exception
from orderflow._telemetry.log import get_logger
from orderflow.model import Order, StateEntered, StepKind

ListenerErrorHandler = Callable[[StateEntered, BaseException], None]
"""Called when a listener failed: with what it was notified of, and what it raised."""

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
        except TimeoutError:
            return self._fail(provider, entered, effect, TimeoutError(f"the listener did not return within {seconds:.0f} s"))
        except ListenerFailed as failed:
            return self._fail(provider, entered, effect, failed.error)
        self._failures.pop(effect.lane, None)
        return Finish("")

    def _fail(self, provider: Provider, entered: StateEntered, effect: LeasedEffect, error: BaseException) -> Retry:
        """Tell the application about a failure of its listener, which runs again later."""
        self._failures[effect.lane] += 1
        _log.error("listener.failed", order_id=entered.order.id, state=entered.state, attempt=effect.attempt, **whole_exception(error))
        if self._on_error is not None:
            try:
                self._on_error(entered, error)
            except KeyboardInterrupt:  # a person's
                raise
            except BaseException as handler_error:  # noqa: BLE001  SystemExit too: what reports failures must not cause one
                _log.error("listener.error_handler_failed", **whole_exception(handler_error))
        return Retry(retry_backoff(provider.timing, effect.attempt), f"the listener raised {type(error).__name__}")
