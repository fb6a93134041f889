"""Where a process can die: a counting run lists every I/O boundary, then a crash is played at any one of them.

A boundary is a place just before or after something outside this process changes: a row, a provider, the host. ``Boundaries`` gives
back what an ``Orderflow`` is made of (store, HTTP client, provider, the host's function), watched. Each boundary has a label, the same
in every run: ``state | what is being done | where``, the state being that of the order last notifiable of: one order a run. Mere looks
(SELECT, ``load``) are no boundaries: a crash before one is a crash after what came before it.

``Boundaries(crash_at=...)`` raises ``Crash``, and for whoever died so every later boundary raises it too; forked.py runs a life in a
child and kills it. What may live here: the boundaries, and ending at one.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn, cast
from urllib.parse import urlsplit

from orderflow.app import Orderflow
from orderflow.engine.listeners import Handler
from orderflow.model import Applied, Order, StateEntered
from orderflow.provider.http import HttpClient, make_client
from orderflow.provider.outcomes import Outcome, ReadFailed, StatusRead
from orderflow.provider.protocol import Provider, PublicUrls
from orderflow.store.ports import Store
from orderflow.store.records import Commit, Decider, DueDeadline, InboxKey, LeasedEffect, Receipt
from orderflow.store.sqlite.store import SqliteStore
from orderflow.store.urls import make_store, parse_database_url

_WRITE = re.compile(r"\b(INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM) (of_\w+)")
_ID = re.compile(r"/(?:\d+|(?=[^/]*\d)[^/]{4,})(?=/|$)")
_LOOKS = (
    "load",
    "orders",
    "journal",
    "refusals",
    "pending",
    "list_inactive",
    "due_deadlines",
    "next_due",
    "listeners",
    "pending_notifications",
    "throttled_until",
)
_doing: ContextVar[tuple[str, str]] = ContextVar("doing", default=("", ""))  # what, and in which state if it knows better


class Crash(BaseException):
    """The process ended here. No ``except Exception`` catches it."""


def crash(label: str) -> NoReturn:
    """End by raising ``Crash``."""
    raise Crash(label)


def kill(label: str) -> NoReturn:
    """End as by a power cut: nothing is flushed, nobody is told."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise Crash(label)


class Boundaries:
    """The boundaries that one life passes.

    Args:
        crash_at: the label at whose first passing to end, or the number of the passing (1: the very first); None: never.
        by: what ends it: ``crash``, or ``kill`` for this whole process.
        report: told every label as it is passed, before anything ends there.
    """

    def __init__(
        self, crash_at: int | str | None = None, by: Callable[[str], None] = crash, report: Callable[[str], None] = lambda _: None
    ) -> None:
        self.passed: list[str] = []
        self.crashed = False
        self.state = "none"
        self._crash_at = crash_at
        self._by = by
        self._report = report
        self._written = ""  # by the SQLite transaction under way
        self._closing: list[Callable[[], Awaitable[None]]] = []

    def at(self, doing: str, where: str, state: str = "") -> None:
        """Pass a boundary; ``state`` where another one is meant than the order's last.

        Raises:
            Crash: here, or it was raised before.
        """
        self.alive()
        label = f"{state or self.state} | {doing} | {where}"
        self.passed.append(label)
        self._report(label)
        if self._crash_at in (label, len(self.passed)):
            self.crashed = True
            self._by(label)

    def alive(self) -> None:
        """Go on only if there was no crash: the dead ask nothing."""
        if self.crashed:
            raise Crash

    # ── what a flow is made of ───────────────────────────────────────────────────────────────────────────────────────────

    def store(self, db: str | Store, *, statements: bool = False) -> Store:
        """The store of a database URL, or a store of your own, with boundaries around everything it writes.

        ``statements``: before each statement that writes and each COMMIT as well, where a kill alone can end a process.

        Raises:
            ValueError: ``statements`` without ``by=kill``, or of a store of your own.
        """
        if not statements:
            store = make_store(db) if isinstance(db, str) else db
        elif isinstance(db, str) and (self._crash_at is None or self._by is kill):
            store = self._with_statements(*parse_database_url(db))
        else:
            raise ValueError("statements: of a database URL only, and by=kill")
        self._closing.append(store.close)
        return cast(Store, _WatchedStore(self, store))

    def _with_statements(self, scheme: str, where: str) -> Store:
        if scheme == "sqlite":
            return SqliteStore(Path(where), boundary=self._traced)
        from orderflow.store.postgres.store import PostgresStore  # noqa: PLC0415 - needs the extra

        return PostgresStore(where, boundary=self._awaited)

    def client(self, client: HttpClient | None = None, timeout: float = 20.0) -> HttpClient:
        """An HTTP client (default: one of httpx) with three boundaries a call: before it is sent, when the other side has acted
        and its answer is unread, when the answer is read."""
        client = client or make_client(timeout)
        self._closing.append(client.aclose)
        return _WatchedClient(self, client)

    def provider(self, provider: Provider) -> Provider:
        """The provider, so that the boundaries of its client say which effect they belong to."""
        return cast(Provider, _WatchedProvider(self, provider))

    def host(self, run: Handler) -> Handler:
        """A function for ``flow.on(..., run=...)``, with a boundary before and after."""

        async def watched(told: StateEntered) -> None:
            self.at("notify_listener", "before the host is told", told.state)
            if inspect.iscoroutinefunction(run):
                await run(told)
            else:
                await asyncio.to_thread(run, told)
            self.at("notify_listener", "after the host is told", told.state)

        return watched

    async def play(self, flow: Orderflow, story: Callable[[Orderflow], Awaitable[object]]) -> bool:
        """``async with flow: await story(flow)``, but a ``Crash`` ends both as a kill would, and goes no further than here. Whether
        the story came to its end."""
        loop = asyncio.get_running_loop()
        before = loop.get_exception_handler()
        loop.set_exception_handler(_but_for_crashes)
        try:
            async with flow:
                await story(flow)
        except Crash:
            await flow.crash()
            for close in self._closing:
                await close()
        finally:
            loop.set_exception_handler(before)
        return not self.crashed

    # ── statements ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _traced(self, statement: str) -> None:
        """SQLite's writer thread is about to run a statement."""
        if statement.startswith("BEGIN"):
            _doing.set(("", ""))  # whose transaction this is will be known when it is judged
            self._written = ""
        elif statement.startswith("COMMIT"):
            if self._written:
                doing, state = _doing.get()
                self.at(doing or self._written, "before COMMIT", state)
        elif write := _WRITE.search(statement):
            self._written = " ".join(write.groups())
            self._before_statement(self._written)

    async def _awaited(self, statement: str) -> None:
        """A statement is about to be sent to PostgreSQL; it is its own transaction."""
        if write := _WRITE.search(statement):
            self._before_statement(" ".join(write.groups()))

    def _before_statement(self, written: str) -> None:
        doing, state = _doing.get()
        self.at(doing or "store", f"before {written}", state)


def _but_for_crashes(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), Crash):  # a task that nobody awaits may well have died of it
        loop.default_exception_handler(context)


@contextmanager
def _during(doing: str, state: str = "") -> Iterator[None]:
    before = _doing.set((doing, state))
    try:
        yield
    finally:
        _doing.reset(before)


class _WatchedStore:
    """A ``Store`` with boundaries around everything that writes; whatever it gains later is watched as well."""

    def __init__(self, boundaries: Boundaries, store: Store) -> None:
        self._boundaries = boundaries
        self._store = store

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in ("open", "close") or not inspect.iscoroutinefunction(found):
            return found

        async def looking(*args: Any, **named: Any) -> Any:
            self._boundaries.alive()
            return await found(*args, **named)

        async def writing(*args: Any, **named: Any) -> Any:
            what, state = _what(args[0]) if args and isinstance(args[0], LeasedEffect) else (name, "")
            with _during(what, state):
                self._boundaries.at(what, f"before {name}", state)
                result = await found(*args, **named)
                self._boundaries.at(what, f"after {name}", state)
            return result

        return looking if name in _LOOKS else writing

    async def commit(self, order_id: str, key: InboxKey | None, judge: Decider, deadline: DueDeadline | None = None) -> Receipt:
        """See ``Store.commit``."""
        said, state = "nothing new", ""

        def judged(order: Order) -> Commit:
            nonlocal said, state
            commit = judge(order)
            said, state = _said(commit), order.state
            self._boundaries.state = state
            self._boundaries.at(said, "before commit")
            _doing.set((said, state))  # what this thread or task writes next
            return commit

        self._boundaries.alive()
        receipt = await self._store.commit(order_id, key, judged, deadline)
        self._boundaries.at(said, "after commit", state)
        self._boundaries.state = receipt.state
        return receipt

    async def lease_effects(self, *args: Any, **named: Any) -> list[LeasedEffect]:
        """See ``Store.lease_effects``."""
        return await self._leased("lease_effects", *args, **named)

    async def lease_polls(self, *args: Any, **named: Any) -> list[Any]:
        """See ``Store.lease_polls``."""
        return await self._leased("lease_polls", *args, **named)

    async def _leased(self, name: str, *args: Any, **named: Any) -> list[Any]:
        self._boundaries.alive()
        with _during(name):
            leased: Sequence[Any] = await getattr(self._store, name)(*args, **named)
        for one in leased:
            what, state = _what(one) if isinstance(one, LeasedEffect) else ("read", "")
            self._boundaries.at(what, "leased", state)
        return list(leased)


def _what(effect: LeasedEffect) -> tuple[str, str]:
    """An effect's name, and the state it speaks of, if it does."""
    return effect.name, effect.entered_state


def _said(commit: Commit) -> str:
    """What a commit is about: the event it applies, or why it applies none."""
    if isinstance(commit.decision, Applied):
        return commit.decision.steps[0].event
    event = commit.refusal.event if commit.refusal else "read"
    return f"{event} ({commit.decision.reason.value})"


class _WatchedProvider:
    """A ``Provider`` that says what it is about to do."""

    def __init__(self, boundaries: Boundaries, provider: Provider) -> None:
        self._boundaries = boundaries
        self._provider = provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    async def perform(self, effect: str, order: Order, links: PublicUrls) -> Outcome:
        """See ``Provider.perform``."""
        with _during(effect, order.state):
            return await self._provider.perform(effect, order, links)

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        """See ``Provider.read``."""
        with _during("read", order.state):
            return await self._provider.fetch_status(order)


class _WatchedClient:
    """An ``HttpClient`` with three boundaries a call."""

    def __init__(self, boundaries: Boundaries, client: HttpClient) -> None:
        self._boundaries = boundaries
        self._client = client

    def stream(self, method: str, url: str, **more: Any) -> AbstractAsyncContextManager[Any]:
        """As httpx's."""
        return self._streaming(method, url, more)

    @asynccontextmanager
    async def _streaming(self, method: str, url: str, more: dict[str, Any]) -> AsyncIterator[Any]:
        call = f"{method} {_ID.sub('/*', urlsplit(url).path)}"
        doing, state = _doing.get()
        doing = doing or "call"
        self._boundaries.at(doing, f"before {call}", state)
        async with self._client.stream(method, url, **more) as response:
            self._boundaries.at(doing, f"{call} acted on, answer unread", state)
            yield response
        self._boundaries.at(doing, f"after {call}", state)

    async def aclose(self) -> None:
        """As httpx's."""
        await self._client.aclose()


__all__ = ["Boundaries", "Crash", "crash", "kill"]
