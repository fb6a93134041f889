"""The store in one SQLite file: WAL, synchronous=FULL, one writer thread with group commit, one reader thread.

Contains only: the methods of the ``Store`` protocol.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from orderflow._flagged import FailingNotification
from orderflow._store import rows
from orderflow._store.batched_lookup import BatchedLookup
from orderflow._store.records import (
    Decider,
    DueDeadline,
    InboxKey,
    KeptCommits,
    LeasedEffect,
    LeasedPoll,
    OpenWork,
    OrderRecords,
    PollPlan,
    Receipt,
    ReportedCall,
    StoredStanding,
    WorkerScope,
)
from orderflow._store.sqlite import leasing, reading, restoring, retention
from orderflow._store.sqlite.commit import add_message, apply, create_order, plan_poll, plan_taken_id
from orderflow._store.sqlite.open_file import OpenFile
from orderflow._store.sqlite.queries import SQL
from orderflow._store.sqlite.schema import connect, connect_to_look, connect_to_write, prepare
from orderflow._store.sqlite.writer import Writer
from orderflow.errors import NotOpen, OperationalError, UnknownName
from orderflow.model import EffectKey, Ignored, JournalRow, Message, Order, Pending, ProviderProblem, Reason, RefusalRow

T = TypeVar("T")


class SqliteStore:
    """A ``Store`` in one SQLite file. Several processes may share the file; each has its own group commit.

    Args:
        path: the file.
        create: make the file and its tables where there are none; else they must be there.
        patience: for how many seconds a write waits where another program holds the lock, before an OperationalError.
        boundary: called in the writer's thread before each statement, with its text; for tests.
    """

    def __init__(self, path: Path, *, create: bool = True, patience: float = 30.0, boundary: Callable[[str], None] | None = None) -> None:
        self._path = path
        self._create = create
        self._boundary = boundary
        self._writer = Writer(self._connect_writer, self._check_file, patience)
        self._patience = patience
        self._readers = ThreadPoolExecutor(1, "orderflow-reader")
        self._reader: sqlite3.Connection | None = None
        self._file: OpenFile | None = None
        self._loads = BatchedLookup(self._load)

    def _connect_writer(self) -> sqlite3.Connection:
        connection = connect_to_write(self._path, patience=self._patience, may_fail=not self._create)
        self._file = OpenFile(self._path)
        connection.set_trace_callback(self._boundary)
        return connection

    def _check_file(self) -> None:
        if self._file is not None:
            self._file.check()

    def _connect_reader(self) -> sqlite3.Connection:
        connection = connect(self._path) if self._create else connect_to_look(self._path)
        try:
            prepare(connection, self._path.name, create=self._create)
        except BaseException:
            connection.close()
            raise
        return connection

    async def open(self) -> None:
        """See ``Store.open``."""
        loop = asyncio.get_running_loop()
        try:
            self._reader = await loop.run_in_executor(self._readers, self._connect_reader)
            await loop.run_in_executor(self._readers, self._writer.start)
        except BaseException:
            self._reader = None
            self._readers.shutdown(wait=False)
            raise

    async def close(self) -> None:
        """See ``Store.close``."""
        if self._reader is not None:
            await self._writer.close()
            await asyncio.get_running_loop().run_in_executor(self._readers, self._reader.close)
            self._reader = None
        self._readers.shutdown()

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query in the reader's thread."""
        connection, file = self._reader, self._file
        if connection is None or file is None:
            raise NotOpen

        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, file.run, query, connection)
        except sqlite3.Error as error:
            raise OperationalError(f"{self._path.name}: {error}") from error

    async def _fetch(self, statement: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[Any]:
        """The rows of one statement."""
        return await self._read(lambda connection: connection.execute(SQL[statement], values).fetchall())

    async def _execute(self, statement: str, values: Sequence[object] | Mapping[str, object]) -> int:
        """Run one statement that writes; how many rows it changed."""
        return await self._writer.submit(lambda connection: connection.execute(SQL[statement], values).rowcount)

    # ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def create(self, order: Order, fingerprint: str, deadlines: Sequence[tuple[str, float]] = ()) -> Order:
        """See ``Store.create``."""
        return await self._writer.submit(lambda connection: create_order(connection, order, fingerprint, deadlines))

    async def commit(
        self, order_id: str, key: InboxKey | None, decider: Decider, deadline: DueDeadline | None = None, call: ReportedCall | None = None
    ) -> Receipt:
        """See ``Store.commit``."""
        inbox_values = (key.origin, key.key) if key else (None, None)

        def work(connection: sqlite3.Connection) -> Receipt:
            if deadline is None:
                row = connection.execute(SQL["load_for_event"], (*inbox_values, order_id)).fetchone()
            else:
                values = (*inbox_values, deadline.name, deadline.version, order_id)
                row = connection.execute(SQL["load_for_deadline"], values).fetchone()
            if row is None:
                raise UnknownName("order", order_id)
            order, stored_fingerprint = rows.order(row[:9]), row[9]
            if key is not None and stored_fingerprint is not None:
                key.check_content(stored_fingerprint)
                return Receipt(Ignored(Reason.DUPLICATE, order.state), order.state, order.version)
            if deadline is not None and not row[10]:
                detail = f"{deadline.name} was disarmed meanwhile"
                return Receipt(Ignored(Reason.STALE, order.state, detail), order.state, order.version)
            decide = call.decide_late if call is not None and _is_superseded(connection, call, order) else decider
            commit = plan_taken_id(connection, order, decide(order))
            return apply(connection, order, key, commit, deadline.name if deadline else "")

        return await self._writer.submit(work, order_id)

    async def load(self, order_id: str) -> Order:
        """See ``Store.load``."""
        row = await self._loads.get(order_id)
        if row is None:
            raise UnknownName("order", order_id)
        return rows.read_flagged_order(row)

    async def _load(self, order_ids: Sequence[str]) -> dict[str, Any]:
        return {row[0]: row for row in await self._fetch("load_orders", (rows.dump(order_ids),))}

    async def find_by_provider_id(self, provider: str, provider_id: str) -> Order:
        """See ``Store.find_by_provider_id``."""
        found = await self._fetch("order_of_provider_id", (provider, provider_id))
        if not found:
            raise UnknownName("order", provider_id)
        return rows.read_flagged_order(found[0])

    async def load_records(self, order_id: str) -> OrderRecords:
        """See ``Store.load_records``."""
        return await self._read(lambda connection: reading.load_records(connection, order_id))

    async def orders(self, *, provider: str = "", state: str = "", entered_before: float | None = None, limit: int = 100) -> list[Order]:
        """See ``Store.orders``."""
        values = {"provider": provider, "state": state, "before": entered_before, "limit": limit}
        return rows.keep_readable(rows.read_flagged_order, await self._fetch("list_orders", values))

    async def journal(self, order_id: str, *, creation: bool = False) -> list[JournalRow]:
        """See ``Store.journal``."""
        return [rows.journal(row) for row in await self._fetch("journal", (order_id, 0 if creation else 1))]

    async def refusals(self, order_id: str) -> list[RefusalRow]:
        """See ``Store.refusals``."""
        return [rows.refusal(row) for row in await self._fetch("refusals", (order_id,))]

    async def messages(self, order_id: str) -> list[Message]:
        """See ``Store.messages``."""
        return [rows.message(row) for row in await self._fetch("messages", (order_id,))]

    async def add_message(self, message: Message) -> None:
        """See ``Store.add_message``."""
        await self._writer.submit(lambda connection: add_message(connection, message), message.order_id)

    async def pending(self, order_id: str) -> Pending:
        """See ``Store.pending``."""
        return await self._read(lambda connection: reading.load_pending(connection, order_id))

    # ── retention ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_inactive(self, before: float, after: str, limit: int, provider: str = "") -> tuple[list[Order], str]:
        """See ``Store.list_inactive``."""
        return await self._read(lambda connection: retention.list_inactive(connection, before, after, limit, provider))

    async def delete(self, orders: Sequence[Order], before: float) -> list[str]:
        """See ``Store.delete``."""
        return await self._writer.submit(lambda connection: retention.delete(connection, orders, before))

    async def sweep_inbox(self, after: tuple[str, str], limit: int) -> tuple[str, str] | None:
        """See ``Store.sweep_inbox``."""
        return await self._writer.submit(lambda connection: retention.sweep_inbox(connection, after, limit))

    async def redact(self, order: Order, row: JournalRow) -> str | None:
        """See ``Store.redact``."""
        return await self._writer.submit(lambda connection: retention.redact(connection, order, row), order.id)

    async def doubt_owed_calls(self, now: float, until: float, by: str) -> None:
        """See ``Store.doubt_owed_calls``."""
        await self._writer.submit(lambda connection: restoring.doubt_owed_calls(connection, now, until, by))

    async def list_open_work(self) -> OpenWork:
        """See ``Store.list_open_work``."""
        return await self._read(restoring.list_open_work)

    async def find_kept(self, order_ids: Sequence[str]) -> KeptCommits:
        """See ``Store.find_kept``."""
        return await self._read(lambda connection: restoring.find_kept(connection, order_ids))

    # ── effects ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def lease_effects(
        self, now: float, scope: WorkerScope, limit: int, among: Collection[EffectKey] | None = None
    ) -> list[LeasedEffect]:
        """See ``Store.lease_effects``."""
        if not scope.effect_lanes(limit):
            return []
        return await self._writer.submit(lambda connection: leasing.lease_effects(connection, now, scope, limit, among))

    async def mark_sending(self, effect: LeasedEffect, now: float) -> bool:
        """See ``Store.mark_sending``."""
        key = effect.key
        return bool(await self._execute("mark_sending", (key.order_id, key.version, key.n, effect.attempt, now)))

    async def retry_effect(
        self,
        effect: LeasedEffect,
        at: float,
        why: str,
        uncounted: bool = False,
        message: Message | None = None,
        *,
        may_be_executed: bool = False,
    ) -> None:
        """See ``Store.retry_effect``."""
        await self._end_attempt("retry_effect", effect, message, int(may_be_executed), at, why, int(uncounted))

    async def finish_effect(self, effect: LeasedEffect, why: str = "", message: Message | None = None) -> None:
        """See ``Store.finish_effect``."""
        await self._end_attempt("finish_effect", effect, message, why)

    async def _end_attempt(self, statement: str, effect: LeasedEffect, message: Message | None, *values: object) -> None:
        key = effect.key

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(SQL[statement], (*values, key.order_id, key.version, key.n, effect.attempt))
            add_message(connection, message)

        await self._writer.submit(work)

    # ── polls and deadlines ──────────────────────────────────────────────────────────────────────────────────────────────

    async def lease_polls(self, now: float, scope: WorkerScope, limit: int) -> list[LeasedPoll]:
        """See ``Store.lease_polls``."""
        if not await self._read(lambda connection: leasing.is_poll_due(connection, now, scope)):
            return []  # without waiting for the writer
        return await self._writer.submit(lambda connection: leasing.lease_polls(connection, now, scope, limit))

    async def throttle(self, provider: str, until: float) -> None:
        """See ``Store.throttle``."""
        await self._execute("throttle", (provider, until))

    async def read_standings(self) -> dict[str, StoredStanding]:
        """See ``Store.read_standings``."""
        return {row[0]: rows.standing(row) for row in await self._fetch("read_standings")}

    async def report_problem(self, provider: str, problem: ProviderProblem, status: int | None, at: float, held_until: float) -> bool:
        """See ``Store.report_problem``."""
        values = {"provider": provider, "problem": problem.value, "status": status, "at": at, "held_until": held_until}

        def work(connection: sqlite3.Connection) -> bool:
            began = connection.execute(SQL["begin_problem"], values).rowcount > 0
            if not began:
                connection.execute(SQL["continue_problem"], values)
            return began

        return await self._writer.submit(work)

    async def end_problem(self, provider: str, problem: ProviderProblem, at: float) -> bool:
        """See ``Store.end_problem``."""
        return bool(await self._execute("end_problem", (at, provider, problem.value)))

    async def lift_standing(self, provider: str, at: float, by: str) -> None:
        """See ``Store.lift_standing``."""
        await self._execute("lift_standing", (provider, at, at, by))

    async def plan_poll(self, order_id: str, now: float, plan: PollPlan, message: Message | None = None) -> None:
        """See ``Store.plan_poll``."""

        def work(connection: sqlite3.Connection) -> None:
            plan_poll(connection, reading.load_order(connection, order_id), now, plan)
            add_message(connection, message)

        await self._writer.submit(work, order_id)

    async def bring_polls_forward(self, provider: str, now: float, interval: float, limit: int) -> int:
        """See ``Store.bring_polls_forward``."""
        return await self._execute("bring_polls_forward", {"provider": provider, "now": now, "interval": interval, "limit": limit})

    async def due_deadlines(self, now: float, scope: WorkerScope, limit: int) -> list[DueDeadline]:
        """See ``Store.due_deadlines``."""
        values = {"now": now, "providers": rows.dump(list(scope.leases)), "limit": limit}
        return [DueDeadline(*row) for row in await self._fetch("due_deadlines", values)]

    async def poll_before_deadline(self, deadline: DueDeadline, now: float, until: float, interval: float) -> None:
        """See ``Store.poll_before_deadline``."""
        key = {"order_id": deadline.order_id, "name": deadline.name, "version": deadline.version}

        def work(connection: sqlite3.Connection) -> None:
            values = {**key, "now": now, "interval": interval}
            if connection.execute(SQL["bring_poll_before_deadline_forward"], values).rowcount:
                connection.execute(SQL["let_deadline_wait"], {**key, "until": until})

        await self._writer.submit(work, deadline.order_id)

    async def postpone_deadline(self, deadline: DueDeadline, due_at: float) -> None:
        """See ``Store.postpone_deadline``."""
        await self._execute("postpone_deadline", (due_at, deadline.order_id, deadline.name, deadline.version))

    async def next_due(self, scope: WorkerScope) -> float | None:
        """See ``Store.next_due``."""
        return await self._read(lambda connection: leasing.find_next_due(connection, scope))

    # ── listeners ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def add_listeners(self, pairs: Collection[tuple[str, str]]) -> None:
        """See ``Store.add_listeners``."""
        await self._writer.submit(lambda connection: connection.executemany(SQL["add_listener"], sorted(pairs)))

    async def listeners(self) -> frozenset[tuple[str, str]]:
        """See ``Store.listeners``."""
        return frozenset(await self._fetch("listeners"))

    async def pending_notifications(self) -> dict[tuple[str, str], int]:
        """See ``Store.pending_notifications``."""
        return {(provider, state): owed for provider, state, owed in await self._fetch("pending_notifications")}

    async def failing_notifications(self, failures: int, limit: int) -> list[FailingNotification]:
        """See ``Store.failing_notifications``."""
        found = await self._fetch("failing_notifications", {"failures": failures, "limit": limit})
        return rows.keep_readable(rows.failing_notification, found)

    async def remove_listener(self, provider: str, state: str, why: str, limit: int) -> int:
        """See ``Store.remove_listener``."""
        values = {"provider": provider, "state": state, "why": why, "limit": limit}

        def work(connection: sqlite3.Connection) -> int:
            connection.execute(SQL["remove_listener"], (provider, state))
            return connection.execute(SQL["end_notifications"], values).rowcount

        return await self._writer.submit(work)


def _is_superseded(connection: sqlite3.Connection, call: ReportedCall, order: Order) -> bool:
    """Whether the call has ended before, and the order was given a later one of its kind."""
    effect = call.effect
    if effect.version == order.version:
        return False  # the order has not moved since, so it was given no later one
    values = {"order_id": effect.order_id, "version": effect.version, "n": effect.n, "names": rows.dump(call.names)}
    return bool(connection.execute(SQL["is_superseded"], values).fetchone()[0])
