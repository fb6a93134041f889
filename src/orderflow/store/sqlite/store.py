"""The store on SQLite: WAL, synchronous=FULL, one writer thread with group commit, one reader thread. Prepared SQL by hand.

What may live here: the Store protocol's methods. How a commit is written is sqlite_commit.py, how a file is opened sqlite_schema.py.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from orderflow.errors import KeyReused, NotOpen, OperationalError, UnknownName
from orderflow.model import FLAGGING_REASONS, NOTIFY_LISTENER, EffectKey, Ignored, JournalRow, Order, Pending, Reason, RefusalRow
from orderflow.store import rows
from orderflow.store.records import Decider, DueDeadline, InboxKey, LeasedEffect, LeasedPoll, PollPlan, Receipt, WorkerScope
from orderflow.store.sqlite import retention
from orderflow.store.sqlite.commit import apply, plan_poll
from orderflow.store.sqlite.schema import connect, prepare
from orderflow.store.sqlite.writer import Writer

T = TypeVar("T")
_FLAGGED = ", ".join(f"'{reason.value}'" for reason in sorted(FLAGGING_REASONS))
_COLUMNS = len(rows.ORDER.split(", "))
_IS_FLAGGED = f"EXISTS (SELECT 1 FROM of_refusals r WHERE r.order_id = o.id AND r.version = o.version AND r.reason IN ({_FLAGGED}))"
_SHOW = f"SELECT {rows.ORDER}, {_IS_FLAGGED} FROM of_orders o"
_LOAD = f"{_SHOW} WHERE id = ?"
_HEARD = "EXISTS (SELECT 1 FROM of_inbox i WHERE i.origin = ? AND i.key = ?)"
_ARMED = "EXISTS (SELECT 1 FROM of_deadlines d WHERE d.order_id = o.id AND d.name = ? AND d.version = ?)"
_LOOK = f"SELECT {rows.ORDER}, {_HEARD} FROM of_orders o WHERE id = ?"
_LOOK_ARMED = f"SELECT {rows.ORDER}, {_HEARD}, {_ARMED} FROM of_orders o WHERE id = ?"


class SqliteStore:
    """A ``Store`` in one SQLite file. Several processes may share the file; group commit is per process.

    ``boundary`` is called in the writer's thread before each statement, with it; for tests.
    """

    def __init__(self, path: Path, *, create: bool = True, boundary: Callable[[str], None] | None = None) -> None:
        self._path = path
        self._create = create
        self._boundary = boundary
        self._writer = Writer(lambda: self._connect(create=False))
        self._readers = ThreadPoolExecutor(1, "orderflow-reader")
        self._reader: sqlite3.Connection | None = None

    def _connect(self, *, create: bool) -> sqlite3.Connection:
        connection = connect(self._path, create=create)
        connection.execute("PRAGMA synchronous = FULL")
        connection.set_trace_callback(self._boundary)
        return connection

    async def open(self) -> None:
        """See ``Store.open``."""

        def prepared() -> sqlite3.Connection:
            connection = connect(self._path, create=self._create)
            try:
                prepare(connection, self._path.name, create=self._create)
            except BaseException:
                connection.close()
                raise
            return connection

        loop = asyncio.get_running_loop()
        try:
            self._reader = await loop.run_in_executor(self._readers, prepared)
            await loop.run_in_executor(self._readers, self._writer.start)
        except BaseException:
            self._readers.shutdown(wait=False)
            raise

    async def close(self) -> None:
        """See ``Store.close``."""
        if self._reader is not None:
            await self._writer.close()
            await self._read(lambda connection: connection.close())
            self._reader = None
        self._readers.shutdown()

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._reader
        if connection is None:
            raise NotOpen
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, query, connection)
        except sqlite3.Error as error:
            raise OperationalError(f"{self._path.name}: {error}") from error

    # ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def create(self, order: Order, fingerprint: str) -> Order:
        """See ``Store.create``."""

        def work(connection: sqlite3.Connection) -> Order:
            inbox_key = ("create", f"{order.provider}:{order.key}")
            query = "SELECT order_id, fingerprint FROM of_inbox WHERE origin = ? AND key = ?"
            found = connection.execute(query, inbox_key).fetchone()
            if found is None:
                insert = "INSERT INTO of_inbox (origin, key, order_id, fingerprint, at) VALUES (?, ?, ?, ?, ?)"
                connection.execute(insert, (*inbox_key, order.id, fingerprint, order.created_at))
                columns = f"INSERT INTO of_orders ({rows.ORDER}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                connection.execute(columns, rows.order_values(order))
                return order
            if found[1] not in ("", fingerprint):
                raise KeyReused(order.key)
            return _load(connection, found[0])

        return await self._writer.submit(work)

    async def commit(self, order_id: str, key: InboxKey | None, judge: Decider, deadline: DueDeadline | None = None) -> Receipt:
        """See ``Store.commit``."""

        query, values = _LOOK, (*((key.origin, key.key) if key else (None, None)), order_id)
        if deadline is not None:
            query, values = _LOOK_ARMED, (*values[:-1], deadline.name, deadline.version, order_id)

        def work(connection: sqlite3.Connection) -> Receipt:
            found = connection.execute(query, values).fetchone()
            if found is None:
                raise UnknownName("order", order_id)
            order = rows.order(found[:_COLUMNS])
            if found[_COLUMNS]:
                return Receipt(Ignored(Reason.DUPLICATE, order.state), order.state, order.version)
            if deadline is not None and not found[-1]:
                detail = f"{deadline.name} was disarmed meanwhile"
                return Receipt(Ignored(Reason.STALE, order.state, detail), order.state, order.version)
            return apply(connection, order, key, judge(order), deadline.name if deadline else "")

        return await self._writer.submit(work, order_id)

    async def load(self, order_id: str) -> Order:
        """See ``Store.load``."""
        return await self._read(lambda connection: _load(connection, order_id))

    async def orders(self, *, provider: str = "", state: str = "", entered_before: float | None = None, limit: int = 100) -> list[Order]:
        """See ``Store.orders``."""
        query = (
            f"{_SHOW} WHERE (:provider = '' OR provider = :provider) AND (:state = '' OR state = :state)"
            " AND (:before IS NULL OR entered_at < :before)"
            " ORDER BY CASE WHEN :before IS NULL THEN -created_at ELSE entered_at END, id LIMIT :limit"
        )
        values = {"provider": provider, "state": state, "before": entered_before, "limit": limit}
        found = await self._read(lambda connection: connection.execute(query, values).fetchall())
        return [rows.order(row[:-1], bool(row[-1])) for row in found]

    async def journal(self, order_id: str) -> list[JournalRow]:
        """See ``Store.journal``."""
        query = f"SELECT {rows.JOURNAL} FROM of_journal WHERE order_id = ? ORDER BY version"
        found = await self._read(lambda connection: connection.execute(query, (order_id,)).fetchall())
        return [rows.journal(row) for row in found]

    async def refusals(self, order_id: str) -> list[RefusalRow]:
        """See ``Store.refusals``."""
        query = f"SELECT {rows.REFUSAL} FROM of_refusals WHERE order_id = ? ORDER BY first_at, event"
        found = await self._read(lambda connection: connection.execute(query, (order_id,)).fetchall())
        return [rows.refusal(row) for row in found]

    async def pending(self, order_id: str) -> Pending:
        """See ``Store.pending``."""
        effects = f"SELECT {rows.EFFECT} FROM of_effects WHERE order_id = ? AND owed = 1 ORDER BY version, n"
        deadlines = "SELECT name, due_at FROM of_deadlines WHERE order_id = ? ORDER BY due_at, name"

        def look(connection: sqlite3.Connection) -> Pending:
            def ask(query: str) -> list[Any]:
                return connection.execute(query, (order_id,)).fetchall()

            read = ask("SELECT next_at FROM of_polls WHERE order_id = ?")
            return Pending(tuple(map(rows.effect, ask(effects))), read[0][0] if read else None, tuple(ask(deadlines)))

        return await self._read(look)

    # ── retention ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_inactive(self, before: float, after: str, limit: int, provider: str = "") -> tuple[list[Order], str]:
        """See ``Store.list_inactive``."""
        walk = "SELECT id FROM of_orders WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?"
        query = (
            f"{_SHOW} WHERE o.id > :after AND (:last = '' OR o.id <= :last) AND (:provider = '' OR o.provider = :provider)"
            f" AND {retention.AGED} ORDER BY o.id"
        )

        def look(connection: sqlite3.Connection) -> tuple[list[Order], str]:
            ((last,),) = connection.execute(walk, (after, limit - 1)).fetchall() or [("",)]
            values = {"after": after, "last": last, "provider": provider, "before": before}
            return [rows.order(row[:-1], bool(row[-1])) for row in connection.execute(query, values)], last

        return await self._read(look)

    async def delete(self, orders: Sequence[Order], before: float) -> list[str]:
        """See ``Store.delete``."""
        return await self._writer.submit(lambda connection: retention.delete(connection, orders, before))

    async def sweep_inbox(self, after: tuple[str, str], limit: int) -> tuple[str, str] | None:
        """See ``Store.sweep_inbox``."""
        return await self._writer.submit(lambda connection: retention.sweep_inbox(connection, after, limit))

    async def redact(self, order: Order, row: JournalRow) -> str | None:
        """See ``Store.redact``."""
        return await self._writer.submit(lambda connection: retention.redact(connection, order, row), order.id)

    # ── effects ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def lease_effects(
        self, now: float, scope: WorkerScope, limit: int, among: Collection[EffectKey] | None = None
    ) -> list[LeasedEffect]:
        """See ``Store.lease_effects``."""
        mine, values = _within(scope)
        if among is not None:
            mine += f" AND (order_id, version, n) IN (VALUES {', '.join(['(?, ?, ?)'] * len(among)) or '(NULL, NULL, NULL)'})"
            values += tuple(part for key in among for part in (key.order_id, key.version, key.n))
        query = (  # placeholders only
            "SELECT order_id, version, n, name, provider, attempt, in_flight, entered_state, uncounted_attempts, trace FROM of_effects"
            f" WHERE owed = 1 AND run_at <= ? AND {mine} ORDER BY run_at LIMIT ?"
        )
        take = "UPDATE of_effects SET attempt = attempt + 1, in_flight = 1, run_at = ? WHERE order_id = ? AND version = ? AND n = ?"

        def work(connection: sqlite3.Connection) -> list[LeasedEffect]:
            due = [(*row, now + scope.leases[row[4]]) for row in connection.execute(query, (now, *values, limit)).fetchall()]
            connection.executemany(take, [(row[-1], *row[:3]) for row in due])
            return [LeasedEffect(EffectKey(*row[:3]), row[3], row[4], row[5] + 1, bool(row[6]), *row[7:]) for row in due]

        return await self._writer.submit(work)

    async def retry_effect(self, effect: LeasedEffect, at: float, why: str, uncounted: bool = False) -> None:
        """See ``Store.retry_effect``."""
        await self._answer_effect(
            effect, "in_flight = 0, run_at = ?, why = ?, uncounted_attempts = uncounted_attempts + ?", (at, why, int(uncounted))
        )

    async def finish_effect(self, effect: LeasedEffect, why: str = "") -> None:
        """See ``Store.finish_effect``."""
        await self._answer_effect(effect, "in_flight = 0, owed = 0, why = ?", (why,))

    async def _answer_effect(self, effect: LeasedEffect, change: str, values: tuple[Any, ...]) -> None:
        key = effect.key
        update = f"UPDATE of_effects SET {change} WHERE order_id = ? AND version = ? AND n = ? AND attempt = ? AND owed = 1"
        args = (*values, key.order_id, key.version, key.n, effect.attempt)
        await self._writer.submit(lambda connection: connection.execute(update, args))

    # ── reads and deadlines ──────────────────────────────────────────────────────────────────────────────────────────────

    async def lease_polls(self, now: float, scope: WorkerScope, limit: int) -> list[LeasedPoll]:
        """See ``Store.lease_polls``."""
        spoken = _spoken(scope)
        query = (
            "SELECT order_id, provider, without_news FROM of_polls"  # +provider: by next_at, or all of a provider's reads would be looked at
            f" WHERE next_at <= ? AND +provider IN ({_marks(spoken)}) ORDER BY next_at, last_at LIMIT ?"
        )
        take = "UPDATE of_polls SET next_at = ?, last_at = ?, requested = 0 WHERE order_id = ?"

        def work(connection: sqlite3.Connection) -> list[LeasedPoll]:
            due = [(*row, now + scope.leases[row[1]]) for row in connection.execute(query, (now, *spoken, limit)).fetchall()]
            connection.executemany(take, [(row[-1], now, row[0]) for row in due])
            return [LeasedPoll(*row) for row in due]

        return await self._writer.submit(work)

    async def throttle(self, provider: str, until: float) -> None:
        """See ``Store.throttle``."""
        insert = (
            "INSERT INTO of_providers (provider, throttled_until) VALUES (?, ?) ON CONFLICT (provider) DO UPDATE"
            " SET throttled_until = max(throttled_until, excluded.throttled_until)"
        )
        await self._writer.submit(lambda connection: connection.execute(insert, (provider, until)))

    async def throttled_until(self) -> dict[str, float]:
        """See ``Store.throttled_until``."""
        query = "SELECT provider, throttled_until FROM of_providers"
        return dict(await self._read(lambda connection: connection.execute(query).fetchall()))

    async def plan_poll(self, order_id: str, now: float, plan: PollPlan) -> None:
        """See ``Store.plan_poll``."""

        def work(connection: sqlite3.Connection) -> None:
            plan_poll(connection, _load(connection, order_id), now, plan)

        await self._writer.submit(work, order_id)

    async def bring_polls_forward(self, provider: str, now: float, interval: float, limit: int) -> int:
        """See ``Store.bring_polls_forward``."""
        update = (
            "UPDATE of_polls SET requested = 1, next_at = min(next_at, max(?1, min(last_at, ?1) + ?2)) WHERE order_id IN"
            " (SELECT order_id FROM of_polls WHERE provider = ?3 AND next_at IS NOT NULL ORDER BY last_at LIMIT ?4)"
        )
        args = (now, interval, provider, limit)
        return await self._writer.submit(lambda connection: connection.execute(update, args).rowcount)

    async def due_deadlines(self, now: float, scope: WorkerScope, limit: int) -> list[DueDeadline]:
        """See ``Store.due_deadlines``."""
        query = (
            "SELECT order_id, name, provider, version FROM of_deadlines WHERE due_at <= ?"
            f" AND provider IN ({_marks(scope.leases)}) ORDER BY due_at LIMIT ?"
        )
        values = (now, *scope.leases, limit)
        found = await self._read(lambda connection: connection.execute(query, values).fetchall())
        return [DueDeadline(*row) for row in found]

    async def next_due(self, scope: WorkerScope) -> float | None:
        """See ``Store.next_due``."""
        mine, values = _within(scope)
        spoken, marks = _spoken(scope), _marks(scope.leases)
        query = (
            f"SELECT min(at) FROM (SELECT min(run_at) AS at FROM of_effects WHERE owed = 1 AND {mine}"
            f" UNION ALL SELECT min(next_at) FROM of_polls WHERE +provider IN ({_marks(spoken)})"
            f" UNION ALL SELECT min(due_at) FROM of_deadlines WHERE provider IN ({marks}))"
        )
        args = (*values, *spoken, *scope.leases)
        found = await self._read(lambda connection: connection.execute(query, args).fetchone())
        return None if found[0] is None else float(found[0])

    async def add_listeners(self, pairs: Collection[tuple[str, str]]) -> None:
        """See ``Store.listen``."""
        insert = "INSERT OR IGNORE INTO of_listeners (provider, state) VALUES (?, ?)"
        await self._writer.submit(lambda connection: connection.executemany(insert, sorted(pairs)))

    async def listeners(self) -> frozenset[tuple[str, str]]:
        """See ``Store.listeners``."""
        query = "SELECT provider, state FROM of_listeners"
        return frozenset(await self._read(lambda connection: connection.execute(query).fetchall()))

    async def pending_notifications(self) -> dict[tuple[str, str], int]:
        """See ``Store.pending_notifications``."""
        query = "SELECT provider, entered_state, count(*) FROM of_effects WHERE owed = 1 AND name = ? GROUP BY 1, 2"
        found = await self._read(lambda connection: connection.execute(query, (NOTIFY_LISTENER,)).fetchall())
        return {(provider, state): count for provider, state, count in found}

    async def remove_listener(self, provider: str, state: str, why: str, limit: int) -> int:
        """See ``Store.remove_listener``."""
        owed = "SELECT order_id, version, n FROM of_effects WHERE owed = 1 AND name = ? AND provider = ? AND entered_state = ? LIMIT ?"
        end = f"UPDATE of_effects SET owed = 0, why = ? WHERE (order_id, version, n) IN ({owed})"

        def work(connection: sqlite3.Connection) -> int:
            connection.execute("DELETE FROM of_listeners WHERE provider = ? AND state = ?", (provider, state))
            return connection.execute(end, (why, NOTIFY_LISTENER, provider, state, limit)).rowcount

        return await self._writer.submit(work)


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))


def _within(scope: WorkerScope) -> tuple[str, tuple[Any, ...]]:
    """The condition that an effect is within the scope, and its values."""
    spoken = _spoken(scope)
    told = "".join(" OR (provider = ? AND entered_state = ?)" for _ in scope.notifiable)
    called = f"name <> ? AND provider IN ({_marks(spoken)})"
    condition = f"(({called}) OR (name = ? AND provider IN ({_marks(scope.leases)}) AND (0{told})))"
    notifiable = tuple(value for pair in sorted(scope.notifiable) for value in pair)
    return condition, (NOTIFY_LISTENER, *spoken, NOTIFY_LISTENER, *scope.leases, *notifiable)


def _spoken(scope: WorkerScope) -> list[str]:
    """The providers that may be called now."""
    return [name for name in scope.leases if name not in scope.paused]


def _load(connection: sqlite3.Connection, order_id: str) -> Order:
    found = connection.execute(_LOAD, (order_id,)).fetchone()
    if found is None:
        raise UnknownName("order", order_id)
    return rows.order(found[:-1], bool(found[-1]))
