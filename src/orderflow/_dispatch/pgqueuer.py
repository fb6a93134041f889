"""The dispatcher for many machines on one PostgreSQL: each job in pgqueuer's queue points at an effect's row.

Contains only: how jobs are enqueued, picked and deleted. Only pgqueuer's public ``Queries`` is used, and our worker pulls, so its
limits, its draining and its clock are the same for both dispatchers. The tables are pgqueuer_tables.py's, the jobs in memory jobs.py's.

The row decides whether an effect is carried out, and by which process; the job only points at it. So:

- A job may be lost. The sweep enqueues a new one for every row that is due.
- A job needs no heartbeat. One that was picked longer ago than the lease belongs to a dead worker and is picked again.
- A job whose row cannot be leased is deleted: another process has the row, or it is finished. A row that is only not due yet gets a new
  job.
- A row that is due much later waits without a job, because pgqueuer reads past all waiting jobs on every pick.

A process that enqueues also deletes jobs whose effects are not owed any more, twice as many as it enqueues. Where all workers use the
``local`` dispatcher, no other process deletes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
from pgqueuer.domain.types import QueueManagerId
from pgqueuer.models import Job

from orderflow._dispatch.jobs import JobLedger, NewJob, queue_name, queues_of
from orderflow._dispatch.pgqueuer_tables import drop_dead, prepare, queries
from orderflow._dispatch.quota import lease_within_quotas
from orderflow._store.ports import Store
from orderflow._store.postgres.commit import Write
from orderflow._store.postgres.pool import Session
from orderflow._store.postgres.store import PostgresStore
from orderflow._store.records import LeasedEffect, WorkerScope
from orderflow._telemetry.exceptions import exception_fields
from orderflow._telemetry.log import get_logger
from orderflow.errors import ConfigurationError, OperationalError
from orderflow.model import EffectKey

SWEEP_DELAY = 1.0
"""Seconds that a row may be due before the sweep enqueues another job for it."""
SWEEP_INTERVAL = 1.0
"""Seconds between two sweeps."""
_SWEEP_LIMIT = 500  # rows per sweep: those due longest come first, the others come with the next sweep
_ENQUEUE_HORIZON = 5.0  # seconds: a row that is due later waits without a job
_CLEAR_AFTER = 500  # jobs enqueued by this process after which it clears twice as many
_WAKE_DEBOUNCE = 0.02  # seconds in which notices of other processes count as one
_UNREACHABLE = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError)
_CHANNEL = "'orderflow_' || md5(current_schema())"  # channels belong to the whole database
_log = get_logger(__name__)


class PgqueuerDispatcher:
    """Picks jobs from pgqueuer's queue in the orders' own database and schema.

    From its creation on, every commit of this store enqueues its effects in its own transaction, with or without a worker in this process.
    The sweep enqueues the effects of processes that have no such dispatcher.

    An effect whose worker was killed is carried out by another within lease + ``SWEEP_DELAY`` + ``SWEEP_INTERVAL`` + fetch interval.

    Raises:
        ConfigurationError: the store is not PostgreSQL.
    """

    def __init__(self, store: Store) -> None:
        if not isinstance(store, PostgresStore):
            raise ConfigurationError("pgqueuer needs a postgresql:// database", "dispatch")
        self._store = store
        self._id = QueueManagerId(uuid4())
        self._jobs = JobLedger()
        self._last_sweep = float("-inf")
        self._enqueued = 0  # since this process last cleared
        self._cleared_to = 0  # the id of the last job that it looked at
        self._channel = ""
        self._listen_connection: Any = None  # the connection that listens for notices
        self._listen_generation = 0  # the pool's, when it was opened
        self._wake: Callable[[], None] = lambda: None
        self._wake_timer: asyncio.TimerHandle | None = None
        store.set_commit_hook(self)

    # ── the store's commits ──────────────────────────────────────────────────────────────────────────────────────────────

    async def prepare(self, session: Session) -> None:
        """See ``pgqueuer_tables.prepare``."""
        changed = await prepare(session, self._store.pool.name)
        if changed.statements:
            _log.warning("dispatch.upgraded", statements=len(changed.statements), notes=changed.notes)
        self._channel = (await session.fetch(f"SELECT {_CHANNEL}"))[0][0]

    async def in_transaction(self, session: Session, writes: Sequence[Write]) -> None:
        """Enqueue a job for each effect of these commits, in their transaction."""
        new = [
            NewJob(EffectKey(write.order.id, effect.version, effect.n), 0, queue_name(write.order.provider, effect.entered_state))
            for write in writes
            for effect in write.commit.effects
        ]
        await _enqueue(session, new)
        self._enqueued += len(new)

    async def after_commit(self, session: Session) -> None:
        """Wake the workers of other processes, and clear dead jobs. The commit is durable, and its callers have their answer."""
        await session.fetch("SELECT pg_notify($1, $2)", self._channel, str(self._id))
        if self._enqueued >= _CLEAR_AFTER:
            limit, self._enqueued = 2 * self._enqueued, 0
            self._cleared_to, count = await drop_dead(session, self._cleared_to, limit)
            if count:
                _log.debug("dispatch.jobs_cleared", count=count)

    # ── the worker ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def open(self, wake: Callable[[], None]) -> None:
        """See ``Dispatcher.open``."""
        self._wake = wake

    async def close(self) -> None:
        """See ``Dispatcher.close``."""
        unwritten = self._jobs.unwritten()
        try:
            if unwritten:
                await self._store.pool.run_once(lambda session: _delete(session, unwritten))
        except Exception as error:  # noqa: BLE001  the database may be down; any process drops these jobs later
            _log.warning("dispatch.jobs_left", **exception_fields(error))
        if self._wake_timer is not None:
            self._wake_timer.cancel()
        await self._stop_listening()

    async def take(self, now: float, scope: WorkerScope, limit: int) -> list[LeasedEffect]:
        """See ``Dispatcher.take``."""
        await self._write_finished(now)
        if not 0 <= now - self._last_sweep < SWEEP_INTERVAL:
            await self._sweep(now, scope)
            self._last_sweep = now
        return await lease_within_quotas(scope, limit, lambda share, most: self._lease(now, share, most))

    async def _lease(self, now: float, scope: WorkerScope, limit: int) -> list[LeasedEffect]:
        queues = queues_of(scope)
        stale = timedelta(seconds=max(scope.leases.values(), default=0.0) + SWEEP_DELAY)
        count = limit - len(self._jobs.picked)
        if queues and count > 0:
            self._jobs.picked += await self._store.pool.run(lambda session: queries(session).dequeue(count, queues, self._id, None, stale))
        if not self._jobs.picked or limit < 1:
            return []
        leased = await self._store.lease_effects(now, scope, limit, among=self._jobs.keys())
        self._jobs.lease(leased, now)
        return leased

    async def finish(self, effect: LeasedEffect, due_again_at: float | None = None) -> None:
        """See ``Dispatcher.finish``. The next ``take`` deletes its job, and enqueues the next one."""
        self._jobs.finish(effect, due_again_at)

    async def _write_finished(self, now: float) -> None:
        if self._jobs.not_leased:  # most are finished or another process has them; but a row may be due a moment later than its job
            self._jobs.drop_not_leased(await self._store.find_waiting(self._jobs.not_leased_keys()))
        finished, new = list(self._jobs.finished), list(self._jobs.new)
        if not finished and not new:
            return

        async def work(session: Session) -> None:
            await _delete(session, finished)
            await _enqueue(session, [job for job in new if job.due_at <= now + _ENQUEUE_HORIZON], now)

        await self._store.pool.run(work)
        self._jobs.discard_written(len(finished), len(new))

    async def _sweep(self, now: float, scope: WorkerScope) -> None:
        """Enqueue a job for every row that has been due for longer than the grace; a row that has one keeps it."""
        overdue = await self._store.find_overdue(now - SWEEP_DELAY, scope, _SWEEP_LIMIT)
        new = [NewJob(key, attempt, queue_name(provider, entered_state)) for key, attempt, provider, entered_state in overdue]
        count = await self._store.pool.run(lambda session: _enqueue(session, new))
        if count:
            _log.debug("dispatch.jobs_found", count=count)
        connection, is_outdated = self._listen_connection, self._listen_generation != self._store.pool.generation
        if connection is None or connection.is_closed() or is_outdated:
            await self._listen()

    # ── notices of other processes' commits ──────────────────────────────────────────────────────────────────────────────

    async def _listen(self) -> None:
        await self._stop_listening()
        self._listen_generation = self._store.pool.generation
        try:
            self._listen_connection = await self._store.pool.connect()
            await self._listen_connection.add_listener(self._channel, self._on_notice)
        except (OperationalError, *_UNREACHABLE):
            await self._stop_listening()  # until the next sweep, the worker finds jobs by polling

    def _on_notice(self, _connection: object, _pid: int, _channel: str, sender: str) -> None:
        if sender != str(self._id) and self._wake_timer is None:
            self._wake_timer = asyncio.get_running_loop().call_later(_WAKE_DEBOUNCE, self._wake_now)

    def _wake_now(self) -> None:
        self._wake_timer = None
        self._wake()

    async def _stop_listening(self) -> None:
        connection, self._listen_connection = self._listen_connection, None
        if connection is not None:
            with suppress(*_UNREACHABLE):
                await connection.close(timeout=1.0)


async def _enqueue(session: Session, jobs: Sequence[NewJob], now: float = 0.0) -> int:
    """Enqueue jobs that are not there yet. Returns how many. Waits are given in seconds: our clock and the database's may differ."""
    if not jobs:
        return 0
    enqueued = await queries(session).enqueue(
        [job.queue for job in jobs],
        [str(job.key).encode() for job in jobs],
        [0] * len(jobs),
        [timedelta(seconds=max(0.0, job.due_at - now)) for job in jobs],
        [f"{job.key}:{job.attempt}" for job in jobs],
        on_conflict="skip",
    )
    return sum(job is not None for job in enqueued)


async def _delete(session: Session, jobs: Sequence[Job]) -> None:
    if jobs:
        await queries(session).log_jobs([(job, "successful", None) for job in jobs])
