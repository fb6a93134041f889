"""Wrappers of store, provider and HTTP client that pass crash points. Internal; crash_points.py is the interface."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol
from urllib.parse import urlsplit

from orderflow._provider.call import Call
from orderflow._provider.http import HttpClient
from orderflow._provider.outcomes import Outcome, ReadFailed, StatusRead
from orderflow._provider.protocol import Provider, PublicUrls
from orderflow._store.ports import Store
from orderflow._store.records import Commit, Decider, DueDeadline, InboxKey, LeasedEffect, Receipt, ReportedCall
from orderflow.model import Applied, Order

_READS = frozenset(
    {
        "load",
        "orders",
        "journal",
        "load_records",
        "refusals",
        "messages",
        "pending",
        "list_inactive",
        "list_open_work",
        "find_kept",
        "due_deadlines",
        "next_due",
        "listeners",
        "pending_notifications",
        "failing_notifications",
        "read_standings",
    }
)
_ID = re.compile(r"/(?:\d+|(?=[^/]*\d)[^/]{4,})(?=/|$)")

current_action: ContextVar[tuple[str, str]] = ContextVar("current_action", default=("", ""))
"""What this task or thread is doing, and the order's state where it is known better than by the last decision."""


class Points(Protocol):
    """What wrappers need of ``CrashPoints``."""

    state: str

    def pass_point(self, action: str, where: str, state: str = "") -> None:
        """See ``CrashPoints.pass_point``."""

    def check_alive(self) -> None:
        """See ``CrashPoints.check_alive``."""


@contextmanager
def _doing(action: str, state: str = "") -> Iterator[None]:
    token = current_action.set((action, state))
    try:
        yield
    finally:
        current_action.reset(token)


class StoreWrapper:
    """A ``Store`` with points around everything that writes, methods of later versions included."""

    def __init__(self, points: Points, store: Store) -> None:
        self._points = points
        self._store = store

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name in ("open", "close") or not inspect.iscoroutinefunction(method):
            return method

        async def read(*args: Any, **kwargs: Any) -> Any:
            self._points.check_alive()
            return await method(*args, **kwargs)

        async def write(*args: Any, **kwargs: Any) -> Any:
            action, state = _effect_and_state(args[0]) if args and isinstance(args[0], LeasedEffect) else (name, "")
            with _doing(action, state):
                self._points.pass_point(action, f"before {name}", state)
                result = await method(*args, **kwargs)
                self._points.pass_point(action, f"after {name}", state)
            return result

        return read if name in _READS else write

    async def commit(
        self, order_id: str, key: InboxKey | None, decider: Decider, deadline: DueDeadline | None = None, call: ReportedCall | None = None
    ) -> Receipt:
        """See ``Store.commit``."""
        action, state = "nothing new", ""

        def decide(order: Order) -> Commit:
            nonlocal action, state
            commit = decider(order)
            action, state = _describe(commit), order.state
            self._points.state = state
            self._points.pass_point(action, "before commit")
            current_action.set((action, state))  # what this thread or task writes next
            return commit

        self._points.check_alive()
        receipt = await self._store.commit(order_id, key, decide, deadline, call)
        self._points.pass_point(action, "after commit", state)
        self._points.state = receipt.state
        return receipt

    async def lease_effects(self, *args: Any, **kwargs: Any) -> list[LeasedEffect]:
        """See ``Store.lease_effects``."""
        return await self._lease("lease_effects", *args, **kwargs)

    async def lease_polls(self, *args: Any, **kwargs: Any) -> list[Any]:
        """See ``Store.lease_polls``."""
        return await self._lease("lease_polls", *args, **kwargs)

    async def _lease(self, name: str, *args: Any, **kwargs: Any) -> list[Any]:
        self._points.check_alive()
        with _doing(name):
            leased: Sequence[Any] = await getattr(self._store, name)(*args, **kwargs)
        for item in leased:
            action, state = _effect_and_state(item) if isinstance(item, LeasedEffect) else ("poll", "")
            self._points.pass_point(action, "leased", state)
        return list(leased)


def _effect_and_state(effect: LeasedEffect) -> tuple[str, str]:
    """An effect's name, and the state of which it notifies, if it is a notification."""
    return effect.name, effect.entered_state


def _describe(commit: Commit) -> str:
    """The event that a commit applies, or why it applies none."""
    if isinstance(commit.decision, Applied):
        return commit.decision.steps[0].event
    event = commit.refusal.event if commit.refusal else "poll"
    return f"{event} ({commit.decision.reason.value})"


class ProviderWrapper:
    """A ``Provider`` that notes what it is about to do."""

    def __init__(self, points: Points, provider: Provider) -> None:
        self._points = points
        self._provider = provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def perform(self, call: Call, urls: PublicUrls) -> Outcome:
        """See ``Provider.perform``."""
        with _doing(call.effect, call.order.state):
            return await self._provider.perform(call, urls)

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        """See ``Provider.fetch_status``."""
        with _doing("poll", order.state):
            return await self._provider.fetch_status(order)


class ClientWrapper:
    """An ``HttpClient`` with three points a call."""

    def __init__(self, points: Points, client: HttpClient) -> None:
        self._points = points
        self._client = client

    def stream(self, method: str, url: str, **options: Any) -> AbstractAsyncContextManager[Any]:
        """As httpx's."""
        return self._stream(method, url, options)

    @asynccontextmanager
    async def _stream(self, method: str, url: str, options: dict[str, Any]) -> AsyncIterator[Any]:
        call = f"{method} {_ID.sub('/*', urlsplit(url).path)}"
        action, state = current_action.get()
        action = action or "call"
        self._points.pass_point(action, f"before {call}", state)
        async with self._client.stream(method, url, **options) as response:
            self._points.pass_point(action, f"{call} acted on, answer unread", state)
            yield response
        self._points.pass_point(action, f"after {call}", state)

    async def aclose(self) -> None:
        """As httpx's."""
        await self._client.aclose()
