"""Listeners: functions of the application that run when an order enters a state.

``Listeners`` holds those of this process and knows for which states other processes have some. ``ListenerDirectory`` keeps that knowledge
in the store. When a listener runs, and again after it failed, is decided in notifications.py.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from typing import Any, TypeVar

from attrs import define, field

from orderflow._clock import Clock
from orderflow._engine.listener_threads import ListenerThreads
from orderflow._flagged import ORDER_FLAGGED, OrderFlagged
from orderflow._inputs import require_text
from orderflow._store.ports import Store
from orderflow._store.records import Lane
from orderflow._telemetry.log import get_logger
from orderflow.errors import InvalidInput, UnknownName
from orderflow.model import Listener, StateEntered

Handler = Callable[[StateEntered], Awaitable[None] | None]
"""A listener: a coroutine function, or a plain function, which then runs in a thread."""

FlagHandler = Callable[[OrderFlagged], Awaitable[None] | None]
"""A listener of flagged orders, of the same kinds."""

LISTENER_REFRESH_SECONDS = 10.0
"""How long a process without a worker may not know of a listener that another process added."""

_REMOVED_PER_TRANSACTION = 1000
_H = TypeVar("_H", bound=Callable[..., object])
_log = get_logger(__name__)


class Listeners:
    """The listeners of this process by (provider, state), and the pairs for which other processes have listeners."""

    def __init__(self, threads: ListenerThreads) -> None:
        self._threads = threads
        self._handlers: dict[tuple[str, str], list[Callable[..., object]]] = {}
        self._elsewhere: frozenset[tuple[str, str]] = frozenset()
        self._states: dict[str, frozenset[str]] = {}  # by provider: here or elsewhere

    def add(self, provider: str, state: str, handler: _H) -> _H:
        """Run ``handler`` whenever an order of the provider enters the state. Returns it.

        Raises:
            InvalidInput: ``handler`` is not a function of one argument.
        """
        _check_handler(handler)
        self._handlers.setdefault((provider, state), []).append(handler)
        self._index()
        return handler

    def set_elsewhere(self, pairs: frozenset[tuple[str, str]]) -> None:
        """The (provider, state) pairs for which some process has, or had, a listener."""
        if pairs != self._elsewhere:
            self._elsewhere = pairs
            self._index()

    def pairs(self) -> frozenset[tuple[str, str]]:
        """The (provider, state) pairs for which this process has a listener."""
        return frozenset(self._handlers)

    def states_of(self, provider: str) -> frozenset[str]:
        """The states of a provider for which any process has a listener."""
        return self._states.get(provider, frozenset())

    async def notify(self, notified: StateEntered | OrderFlagged) -> None:
        """Run all listeners of this state, or of flagged orders; a plain function runs in a thread.

        Raises:
            ListenerFailed: a listener raised something, of any type. It holds the first failure. All listeners have run before.
        """
        lane = notified.order.provider, notified.state if isinstance(notified, StateEntered) else ORDER_FLAGGED
        failures: list[BaseException] = []
        for handler in self._handlers.get(lane, ()):
            try:
                await self._run(lane, handler, notified)
            except KeyboardInterrupt:  # a person's, not the listener's
                raise
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
                    raise
                failures.append(error)
        if failures:
            raise ListenerFailed(failures[0])

    async def _run(self, lane: Lane, handler: Callable[..., Any], notified: StateEntered | OrderFlagged) -> None:
        if inspect.iscoroutinefunction(handler):
            await handler(notified)
        else:
            result = await self._threads.run(lane, partial(handler, notified))
            if inspect.isawaitable(result):
                await result

    def _index(self) -> None:
        states: dict[str, set[str]] = {}
        for provider, state in (*self._handlers, *self._elsewhere):
            states.setdefault(provider, set()).add(state)
        self._states = {provider: frozenset(names) for provider, names in states.items()}


def _check_handler(handler: object) -> None:
    if not callable(handler):
        raise InvalidInput("handler", f"must be a function, got {type(handler).__name__}")
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):  # some functions that are written in C do not say what they take
        return
    try:
        signature.bind(None)
    except TypeError:
        taken = ", ".join(signature.parameters) or "nothing"  # their names only: a default may be a secret
        raise InvalidInput("handler", f"must take one argument, what it is notified of; it takes {taken}") from None


class ListenerFailed(Exception):
    """A listener failed. ``error`` is what it raised."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(type(error).__name__)
        self.error = error


def _is_being_cancelled() -> bool:
    """Whether it is this task that is being cancelled. Else a listener raised CancelledError, because something that it awaited was."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@define(eq=False, kw_only=True)
class ListenerDirectory:
    """Keeps in the store for which states there are listeners, so that every process owes the notifications of all."""

    _store: Store
    _listeners: Listeners
    _clock: Clock
    _saved: frozenset[tuple[str, str]] = field(init=False, default=frozenset())
    _refreshed_at: float = field(init=False, default=-inf)

    async def refresh(self, every: float = 0.0) -> None:
        """Save the listeners of this process and load those of others: at most once in ``every`` seconds, at once if there are new ones."""
        now, own = self._clock.now(), self._listeners.pairs()
        if own <= self._saved and 0 <= now - self._refreshed_at < every:
            return
        if unsaved := own - self._saved:
            await self._store.add_listeners(unsaved)
            self._saved |= unsaved
        self._listeners.set_elsewhere(await self._store.listeners())
        self._refreshed_at = now

    async def list(self) -> list[Listener]:
        """Every listener that any process has or had, with the number of its pending notifications."""
        pending = await self._store.pending_notifications()
        return [Listener(*pair, pending.get(pair, 0)) for pair in sorted(pending.keys() | await self._store.listeners())]

    async def remove(self, provider: str, state: str, *, actor: str, reason: str) -> int:
        """Remove a listener that the code no longer has, and end its pending notifications. Returns how many ended.

        Raises:
            UnknownName: there is no such listener; InvalidInput: ``actor`` or ``reason`` is empty.
        """
        why = f"removed by {require_text('actor', actor)}: {require_text('reason', reason)}"
        known = [(listener.provider, listener.state) for listener in await self.list()]
        if (provider, state) not in known:
            raise UnknownName("listener", f"{provider} {state}", tuple(map(" ".join, known)))
        ended = 0
        while batch := await self._store.remove_listener(provider, state, why, _REMOVED_PER_TRANSACTION):
            ended += batch
        _log.info("listener.removed", provider=provider, state=state, ended=ended)
        await self.refresh()
        return ended
