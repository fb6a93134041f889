"""Where a process can die: a first run lists every crash point, then a crash is played at any one of them.

A crash point is a moment just before or after something outside this process changes: a row, a provider, the application. ``CrashPoints``
wraps what an ``Orderflow`` is made of: store, HTTP client, provider, listener. Each point has a label, the same in every run: ``state |
action | where``. The state is that of the order that was last decided about: use one order a run. Mere reads (SELECT, ``load``) are not
crash points: a crash before one is a crash after what came before it.

``CrashPoints(crash_at=...)`` raises ``Crash``; every later point raises it too. crash_process.py runs and kills a process of its own.
Contains only: the points, and crashing at one. The wrappers are in crash_wrappers.py.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn, cast

from orderflow._app import Orderflow
from orderflow._engine.listeners import Handler
from orderflow._provider.http import HttpClient, make_client
from orderflow._provider.protocol import Provider
from orderflow._store.ports import Store
from orderflow._store.sqlite.store import SqliteStore
from orderflow._store.urls import make_store, parse_database_url
from orderflow._testing.crash_wrappers import ClientWrapper, ProviderWrapper, StoreWrapper, current_action
from orderflow.model import StateEntered

_WRITE = re.compile(r"\b(INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM) (of_\w+)")


class Crash(BaseException):
    """The process ended here. No ``except Exception`` catches it."""


def crash(label: str) -> NoReturn:
    """End by raising ``Crash``."""
    raise Crash(label)


def kill(label: str) -> NoReturn:
    """End this process as by a power cut: nothing is flushed, nothing is closed."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise Crash(label)


class CrashPoints:
    """The crash points that one run passes.

    Args:
        crash_at: the label at which to crash when it is first passed, or the number of the passing (1: the very first); None: never.
        by: how to crash: ``crash``, or ``kill`` for this whole process.
        report: called with every label as it is passed, before any crash.

    Attributes:
        passed: the labels that were passed, in order.
        crashed: whether there was a crash.
        state: the state of the order that was last decided about.
    """

    def __init__(
        self, crash_at: int | str | None = None, by: Callable[[str], None] = crash, report: Callable[[str], None] = lambda _: None
    ) -> None:
        self.passed: list[str] = []
        self.crashed: bool = False
        self.state = "none"
        self._crash_at = crash_at
        self._by = by
        self._report = report
        self._statement = ""  # the first write of the SQLite transaction in progress
        self._closing: list[Callable[[], Awaitable[None]]] = []

    def pass_point(self, action: str, where: str, state: str = "") -> None:
        """Pass a point. ``state`` is given where it is not that of the order that was last decided about.

        Raises:
            Crash: here, or at an earlier point.
        """
        self.check_alive()
        label = f"{state or self.state} | {action} | {where}"
        self.passed.append(label)
        self._report(label)
        if self._crash_at in (label, len(self.passed)):
            self.crashed = True
            self._by(label)

    def check_alive(self) -> None:
        """Go on only if there was no crash.

        Raises:
            Crash: there was one.
        """
        if self.crashed:
            raise Crash

    # ── what a flow is made of ───────────────────────────────────────────────────────────────────────────────────────────

    def store(self, db: str | Store, *, statements: bool = False) -> Store:
        """A store with points around every write: of a database URL, or a store of your own.

        ``statements`` adds points before each writing statement and each COMMIT. Inside a transaction, only a kill is a real crash.

        Raises:
            ValueError: ``statements`` without ``by=kill``, or for a store of your own.
        """
        if not statements:
            store = make_store(db) if isinstance(db, str) else db
        elif isinstance(db, str) and (self._crash_at is None or self._by is kill):
            store = self._store_with_statements(*parse_database_url(db))
        else:
            raise ValueError("statements: of a database URL only, and by=kill")
        self._closing.append(store.close)
        return cast(Store, StoreWrapper(self, store))

    def _store_with_statements(self, scheme: str, location: str) -> Store:
        if scheme == "sqlite":
            return SqliteStore(Path(location), boundary=self._before_sqlite_statement)
        from orderflow._store.postgres.store import PostgresStore  # noqa: PLC0415 - needs the extra

        return PostgresStore(location, boundary=self._before_postgres_statement)

    def client(self, client: HttpClient | None = None, timeout: float = 20.0) -> HttpClient:
        """An HTTP client (default: one of httpx) with three points a call: before it is sent; when the other side has acted and its
        answer is unread; when the answer is read."""
        client = client or make_client(timeout)
        self._closing.append(client.aclose)
        return ClientWrapper(self, client)

    def provider(self, provider: Provider) -> Provider:
        """The provider, so that the points of its client name the effect that they belong to."""
        return cast(Provider, ProviderWrapper(self, provider))

    def listener(self, handler: Handler) -> Handler:
        """A handler for ``flow.on_entered``, with a point before and after."""

        async def run_handler(entered: StateEntered) -> None:
            self.pass_point("notify_listener", "before the listener", entered.state)
            if inspect.iscoroutinefunction(handler):
                await handler(entered)
            else:
                await asyncio.to_thread(handler, entered)
            self.pass_point("notify_listener", "after the listener", entered.state)

        return run_handler

    async def run(self, flow: Orderflow, story: Callable[[Orderflow], Awaitable[object]]) -> bool:
        """``async with flow: await story(flow)``. A ``Crash`` ends both as a kill would, and is not raised.

        Returns whether the story came to its end.
        """
        loop = asyncio.get_running_loop()
        handler = loop.get_exception_handler()
        loop.set_exception_handler(_ignore_crashes)
        try:
            async with flow:
                await story(flow)
        except Crash:
            await flow.crash()
            for close in self._closing:
                await close()
        finally:
            loop.set_exception_handler(handler)
        return not self.crashed

    # ── statements ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _before_sqlite_statement(self, statement: str) -> None:
        """SQLite's writer thread is about to run a statement."""
        if statement.startswith("BEGIN"):
            current_action.set(("", ""))  # known once the decider runs
            self._statement = ""
        elif statement.startswith("COMMIT"):
            if self._statement:
                action, state = current_action.get()
                self.pass_point(action or self._statement, "before COMMIT", state)
        elif write := _WRITE.search(statement):
            self._statement = " ".join(write.groups())
            self._before_write(self._statement)

    async def _before_postgres_statement(self, statement: str) -> None:
        """A statement is about to be sent to PostgreSQL; it is its own transaction."""
        if write := _WRITE.search(statement):
            self._before_write(" ".join(write.groups()))

    def _before_write(self, write: str) -> None:
        action, state = current_action.get()
        self.pass_point(action or "store", f"before {write}", state)


def _ignore_crashes(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), Crash):  # a background task may have crashed as well
        loop.default_exception_handler(context)


__all__ = ["Crash", "CrashPoints", "crash", "kill"]
