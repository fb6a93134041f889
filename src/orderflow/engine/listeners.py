"""Who in the host wants to be told of which entered state. Only registration and calling; when to call is effects.py."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

import structlog

from orderflow.errors import UnknownName
from orderflow.inputs import require_text
from orderflow.model import Listener, StateEntered
from orderflow.store.ports import Store

LISTENER_REFRESH_SECONDS = 10.0
"""Seconds between looks at whom other processes tell, in one that does not work."""

_BATCH = 1000  # pending_notifications that end in one transaction
_log = structlog.get_logger()

Handler = Callable[[StateEntered], Awaitable[None] | None]


class Listeners:
    """The host's subscriptions, by provider and state."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], list[Handler]] = {}
        self._elsewhere: frozenset[tuple[str, str]] = frozenset()
        self.unsaved: set[tuple[str, str]] = set()

    def add(self, provider: str, state: str, run: Handler) -> None:
        """Tell ``run`` whenever an order of the provider enters the state."""
        self._runs.setdefault((provider, state), []).append(run)
        self.unsaved.add((provider, state))

    def set_elsewhere(self, pairs: frozenset[tuple[str, str]]) -> None:
        """What other processes want to be told of."""
        self._elsewhere = pairs

    def notifiable(self) -> frozenset[tuple[str, str]]:
        """What this process can tell of."""
        return frozenset(self._runs)

    def is_listening(self, provider: str, state: str) -> bool:
        """Whether anyone, here or in another process, wants to be told."""
        return (provider, state) in self._runs or (provider, state) in self._elsewhere

    async def notify(self, told: StateEntered) -> None:
        """Tell everyone who listens; a plain function runs in a thread. All are told, then what the first one raised comes out."""
        raised: list[Exception] = []
        for run in self._runs.get((told.order.provider, told.state), ()):
            try:
                await _call(run, told)
            except Exception as error:  # noqa: BLE001  one listener's trouble must not deafen the others
                raised.append(error)
        if raised:
            raise raised[0]


async def _call(run: Handler, told: StateEntered) -> None:
    if inspect.iscoroutinefunction(run):
        await run(told)
    else:
        answer = await asyncio.to_thread(run, told)
        if answer is not None:
            await answer


async def list_listeners(store: Store) -> list[Listener]:
    """See ``Orderflow.listeners``."""
    owed = await store.pending_notifications()
    return [Listener(*pair, owed.get(pair, 0)) for pair in sorted(owed.keys() | await store.listeners())]


async def remove_listener(store: Store, provider: str, state: str, *, by: str, reason: str) -> int:
    """See ``Orderflow.remove_listener``."""
    why = f"forgotten by {require_text('by', by)}: {require_text('reason', reason)}"
    known = [(one.provider, one.state) for one in await list_listeners(store)]
    if (provider, state) not in known:
        raise UnknownName("listener", f"{provider} {state}", tuple(map(" ".join, known)))
    ended = 0
    while batch := await store.remove_listener(provider, state, why, _BATCH):
        ended += batch
    _log.info("listener.forgotten", provider=provider, state=state, ended=ended)
    return ended
