"""Group commit on PostgreSQL: decisions that arrive while a commit is under way share the next one, as one statement.

Contains only: the pump that takes batches from ``OrderQueues``, and what it does with one: load, decide, write, answer. The SQL
is in commit.sql.

A process decides the events of an order in the order of their arrival. A decision that lost a race against another process is made
again. A statement that fails is taken apart, and each of its events is tried alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import Context
from functools import partial
from itertools import count
from typing import Any, Protocol

import asyncpg
from attrs import define, field

from orderflow._store import rows
from orderflow._store.order_queues import OrderQueues
from orderflow._store.postgres.backoff import Backoff
from orderflow._store.postgres.commit import Write, build_statement, load_statement, plan_write, to_storable
from orderflow._store.postgres.pool import (
    BorrowedConnection,
    ConnectionLost,
    PostgresPool,
    Session,
    is_collision,
    is_taken_id,
    translate_error,
)
from orderflow._store.postgres.queries import COMMIT_SQL
from orderflow._store.records import Decider, DueDeadline, InboxKey, Receipt, ReportedCall
from orderflow.errors import NotOpen, OperationalError, UnknownName
from orderflow.model import Applied, Ignored, Reason

_MAX_PER_COMMIT = 256
_BATCHES_PER_CONNECTION = 32


@define(eq=False)
class CommitRequest:
    """An event that waits for its decision and commit.

    ``give_up_at``: until when it waits for a database that is away, on the loop's clock. ``uncertain_writes``: those whose connection
    broke, so that nothing says whether they were committed.
    """

    order_id: str
    key: InboxKey | None
    decider: Decider
    deadline: DueDeadline | None
    call: ReportedCall | None
    answer: asyncio.Future[Receipt]
    give_up_at: float
    settled: bool = False
    uncertain_writes: list[Write] = field(factory=list)

    def settle(self, outcome: Receipt | BaseException) -> None:
        """Answer the caller, if it still waits. A caller that gave up does not undo its commit."""
        self.settled = True
        if self.answer.done():
            return
        if isinstance(outcome, BaseException):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class CommitHook(Protocol):
    """Writes something of its own together with each commit that owes effects."""

    async def prepare(self, session: Session) -> None:
        """The store is being opened: make the tables that are needed."""

    async def in_transaction(self, session: Session, writes: Sequence[Write]) -> None:
        """Inside the transaction of these writes, which have won their races."""

    async def after_commit(self, session: Session) -> None:
        """The writes are durable and their callers are answered."""


class GroupCommit:
    """Commits what is submitted, in at most ``width`` batches at a time."""

    def __init__(self, pool: PostgresPool, *, width: int) -> None:
        self.hook: CommitHook | None = None
        self._pool = pool
        self._width = width
        self._queues: OrderQueues[CommitRequest] = OrderQueues(batches=width, most=_MAX_PER_COMMIT)
        self._pumps: set[asyncio.Task[None]] = set()
        self._is_starting = False  # a pump will be started in a moment
        self._closed = True
        self._away: OperationalError | None = None  # why the database was not reachable the last time

    def open(self) -> None:
        """Accept requests from now on."""
        self._closed = False

    async def submit(
        self, order_id: str, key: InboxKey | None, decider: Decider, deadline: DueDeadline | None = None, call: ReportedCall | None = None
    ) -> Receipt:
        """Decide and commit. Returns once the decision is durable.

        Raises:
            UnknownName: no such order; OperationalError: the database is not reachable within the patience, or refused.
        """
        if self._closed:
            raise NotOpen
        loop = asyncio.get_running_loop()
        request = CommitRequest(order_id, key, decider, deadline, call, loop.create_future(), loop.time() + self._pool.patience)
        self._queues.submit(request)
        if not self._is_starting and len(self._pumps) < self._width:
            self._is_starting = True
            loop.call_soon(self._start_pump)  # not at once: a pump that has just answered takes the work first
        return await request.answer

    async def close(self) -> None:
        """Finish what was submitted, accept nothing new."""
        self._closed = True
        self._start_pump()
        while self._pumps:
            await asyncio.wait(self._pumps)

    def _start_pump(self) -> None:
        """Start one more pump, where there is work for it."""
        self._is_starting = False
        if self._queues.has_ready and len(self._pumps) < self._width:
            pump = asyncio.create_task(self._pump(), context=Context())  # it works for many: no caller's trace is its own
            self._pumps.add(pump)
            pump.add_done_callback(self._end_pump)

    def _end_pump(self, pump: asyncio.Task[None]) -> None:
        self._pumps.discard(pump)
        self._start_pump()

    async def _pump(self) -> None:
        """Commit batch after batch until nothing is ready."""
        connection = self._pool.borrow()
        try:
            for batches in count(1):
                batch = self._queues.next_batch()
                if not batch:
                    return
                self._start_pump()
                try:
                    await self._commit_batch(batch, connection)
                except BaseException as error:  # a bug of ours, or the loop ends: no caller may wait for ever
                    _settle_all(batch, error if isinstance(error, Exception) else NotOpen())
                    raise
                finally:
                    for request in batch:
                        (self._queues.release if request.settled else self._queues.requeue)(request)
                if batches % _BATCHES_PER_CONNECTION == 0:
                    await connection.release()  # others wait for a connection too
                await asyncio.sleep(0)  # callers that were answered may submit again at once, and share the next batch
        finally:
            await connection.release()

    async def _commit_batch(self, batch: Sequence[CommitRequest], connection: BorrowedConnection) -> None:
        """Settle the requests of a batch, but for those that lost a race. Each waits for its patience in all, however many waited
        before it."""
        backoff: Backoff | None = None
        looks_up_ids = False
        if self._away is not None:
            _give_up(batch, self._away)
        while batch := [request for request in batch if not request.settled]:
            try:
                await connection.run_once(partial(_commit, batch=batch, hook=self.hook, looks_up_ids=looks_up_ids))
            except (ConnectionLost, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                looks_up_ids = looks_up_ids or is_taken_id(error)
                if not (isinstance(error, ConnectionLost) or is_collision(error) or is_taken_id(error)):
                    await self._commit_alone(batch, connection, error)
                    return
                backoff = backoff or Backoff(self._pool.patience)
                is_over = not await backoff.wait()
                if isinstance(error, ConnectionLost):
                    self._away = OperationalError(str(error))
                    _give_up(batch, self._away)
                elif is_over:
                    _give_up(batch, error, all_of_them=True)
            else:
                self._away = None
                return

    async def _commit_alone(self, batch: Sequence[CommitRequest], connection: BorrowedConnection, error: Exception) -> None:
        """The database refused a batch: the request that is at fault gets the error, the others are committed."""
        if len(batch) == 1:
            _settle_all(batch, translate_error(self._pool.name, error))
            return
        for request in batch:
            if not request.settled:
                await self._commit_batch([request], connection)


def _settle_all(batch: Sequence[CommitRequest], error: Exception) -> None:
    for request in batch:
        if not request.settled:
            request.settle(error)


def _give_up(batch: Sequence[CommitRequest], error: Exception, *, all_of_them: bool = False) -> None:
    """Settle the requests whose patience is over, or all."""
    now = asyncio.get_running_loop().time()
    for request in batch:
        if not request.settled and (all_of_them or request.give_up_at <= now):
            unknown = "; whether it was committed is unknown: send it again, with the same key" if request.uncertain_writes else ""
            request.settle(OperationalError(f"{error}{unknown}"))


async def _commit(session: Session, batch: Sequence[CommitRequest], hook: CommitHook | None, looks_up_ids: bool) -> None:
    """Load, decide and write. A request that is not settled afterwards has lost a race.

    ``looks_up_ids``: a write of the batch failed, because it gave an order a provider's id that another order has.
    """
    for request in batch:
        if request.uncertain_writes:
            await settle_if_already_committed(session, request)
    planned = await _plan_writes(session, [request for request in batch if not request.settled])
    if looks_up_ids:
        planned = await _plan_taken_ids(session, planned)
    if planned:
        owes_effects = any(write.commit.effects for _, write in planned)
        await _write(session, planned, hook if owes_effects else None)


async def _plan_writes(session: Session, requests: Sequence[CommitRequest]) -> list[tuple[CommitRequest, Write]]:
    """What each request wants to write. Requests that want nothing, or that fail, are settled."""
    if not requests:
        return []
    planned: list[tuple[CommitRequest, Write]] = []
    for request, row in zip(requests, await _load(session, requests), strict=True):
        try:
            plan = _plan(request, row)
        except BaseException as error:  # noqa: BLE001  raised where the request was submitted
            request.settle(error)
            continue
        if isinstance(plan, Write):
            planned.append((request, plan))
        else:
            request.settle(plan)
    return planned


async def _plan_taken_ids(session: Session, planned: Sequence[tuple[CommitRequest, Write]]) -> list[tuple[CommitRequest, Write]]:
    """The same, planned anew where another order has the provider's id. Of two orders of the batch that learn one id, the second waits."""
    changes = [(write.order.provider, write.values["id_change"][0]) for _, write in planned if "id_change" in write.values]
    held = await session.fetch(COMMIT_SQL["provider_id_holders"], *map(list, zip(*changes, strict=True))) if changes else []
    holders = {(provider, provider_id): order_id for provider, provider_id, order_id in held}
    taken_here: set[tuple[str, str]] = set()
    checked: list[tuple[CommitRequest, Write]] = []
    for request, write in planned:
        change = write.commit.id_change
        taken = (write.order.provider, write.values["id_change"][0]) if change is not None and change.taken else None
        if change is None or taken is None:
            checked.append((request, write))
        elif taken in holders:
            instead = change.plan_taken(holders[taken])
            checked.append((request, plan_write(write.order, request.key, instead, request.deadline)))
        elif taken not in taken_here:
            taken_here.add(taken)
            checked.append((request, write))
    return checked


async def _load(session: Session, requests: Sequence[CommitRequest]) -> list[Any]:
    """One row of the statement ``load`` a request."""
    events: list[tuple[Any, ...]] = []
    for request in requests:
        key = (request.key.origin, to_storable(request.key.key)) if request.key else (None, None)
        deadline = (request.deadline.name, request.deadline.version) if request.deadline else (None, None)
        call: tuple[Any, ...] = (None, None, None)
        if request.call is not None:
            call = (request.call.effect.version, request.call.effect.n, ",".join(request.call.names))
        events.append((request.order_id, *key, *deadline, *call))
    batch = len(events) > 1
    statement = load_statement(
        batch=batch, deadline=any(request.deadline for request in requests), call=any(request.call for request in requests)
    )
    return await session.fetch(statement, *(map(_make_column, zip(*events, strict=True)) if batch else events[0]))


def _make_column(values: tuple[Any, ...]) -> Sequence[Any]:
    """An array of a batch. ``unnest`` fills one that is too short with NULLs, and each value that is sent costs time."""
    return () if values.count(None) == len(values) else values


def _plan(request: CommitRequest, row: Sequence[Any]) -> Write | Receipt:
    """What the request wants to write; a receipt where that is nothing."""
    *columns, stored_fingerprint, is_armed, is_superseded = row
    if columns[0] is None:
        raise UnknownName("order", request.order_id)
    order = rows.order(columns)
    if request.key is not None and stored_fingerprint is not None:
        request.key.check_content(stored_fingerprint)
        return Receipt(Ignored(Reason.DUPLICATE, order.state), order.state, order.version)
    if request.deadline is not None and not is_armed:
        ignored = Ignored(Reason.STALE, order.state, f"{request.deadline.name} was disarmed meanwhile")
        return Receipt(ignored, order.state, order.version)
    decide = request.call.decide_late if request.call is not None and is_superseded else request.decider
    write = plan_write(order, request.key, decide(order), request.deadline)
    return write if len(write.values) > 1 else write.receipt


async def _write(session: Session, planned: Sequence[tuple[CommitRequest, Write]], hook: CommitHook | None) -> None:
    """Write these in one transaction, and settle those that won their races."""
    try:
        winners = await _execute(session, [write for _, write in planned], hook)
    except Exception as error:
        if session.is_lost(error):
            for request, write in planned:
                request.uncertain_writes.append(write)
        raise
    for request, write in planned:
        if request.order_id in winners:
            request.settle(write.receipt)
    if hook is not None:
        await hook.after_commit(session)


async def _execute(session: Session, writes: Sequence[Write], hook: CommitHook | None) -> set[str]:
    """Write in one statement; the ids of the orders that won. The statement is a transaction, unless a hook writes with it."""
    statement, values = build_statement(writes)
    if hook is None:
        return {row[0] for row in await session.fetch(statement, *values)}
    async with session.connection.transaction():
        winners = {row[0] for row in await session.fetch(statement, *values)}
        await hook.in_transaction(session, [write for write in writes if write.order.id in winners])
    return winners


async def settle_if_already_committed(session: Session, request: CommitRequest) -> None:
    """Settle a request one of whose uncertain writes was committed: the journal holds exactly the step that it wrote."""
    for write in request.uncertain_writes:
        if isinstance(write.commit.decision, Applied):
            step = write.commit.journal[0]
            stored = await session.fetch(COMMIT_SQL["journal_row"], step.order_id, step.version)
            if stored and tuple(stored[0]) == tuple(map(to_storable, rows.journal_values(step))):
                request.settle(write.receipt)
                return
