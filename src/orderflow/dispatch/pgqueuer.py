"""The dispatcher by pgqueuer, for many machines on one PostgreSQL: a job in its queue points at an effect's row.

What may live here: how jobs come (in the commit that owes the effect, or by the sweep), are taken, and go. What pgqueuer offers is used
through its public ``Queries``, pulled by our worker, whose width, drain and clock so hold for both dispatchers. Its tables are
pgqueuer_tables.py's.

A job is worth nothing by itself. Whether an effect is carried out, and by whom, the row's lease alone decides. A job whose row cannot be
leased is dropped, unless the row still waits for its time: whoever has the row answers for it. A row that is due without a job is found
by the sweep. So a job may be lost at any moment, and none needs a heartbeat: one that was picked longer ago than the lease belongs to no
living worker. Nor need a job wait long: pgqueuer looks past all that wait, so a row that is not due for a while gets its job by the sweep.

Whoever enqueues also clears away, at twice the pace, jobs whose effect is not owed any more: where all workers are ``local`` nobody else
ever would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

import asyncpg
import structlog
from attrs import frozen
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.models import Job
from pgqueuer.ports.repository import EntrypointExecutionParameter

from orderflow.dispatch.pgqueuer_tables import drop_dead, prepare, queries
from orderflow.errors import ConfigurationError, OperationalError
from orderflow.model import EffectKey
from orderflow.store.ports import Store
from orderflow.store.postgres.commit import Write
from orderflow.store.postgres.pool import Session
from orderflow.store.postgres.store import PostgresStore
from orderflow.store.quota import lease_within_quota
from orderflow.store.records import LeasedEffect, WorkerScope
from orderflow.telemetry.exceptions import exception_fields

GRACE = 1.0
"""Seconds that a row may be due before the sweep gives it another job."""
SWEEP = 1.0
"""Seconds between two sweeps."""
_SWEPT = 500  # rows a sweep: the longest due come first, so what is left over has its turn
_SOON = 5.0  # seconds: what is due later than that waits without a job
_CLEARED = 500  # jobs enqueued by this process after which it clears away twice as many
_GATHER = 0.02  # seconds in which notices of other processes count as one
_AWAY = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError)
_UNLIMITED = EntrypointExecutionParameter(0)
_CHANNEL = "'orderflow_' || md5(current_schema())"  # channels belong to the whole database
_log = structlog.get_logger()


@frozen
class _Pointer:
    """A job to be: the effect, how many attempts it had, where it queues, when it is due (0: at once)."""

    key: EffectKey
    attempt: int
    queue: str
    at: float = 0.0


def _queue(provider: str, entered_state: str) -> str:
    """The name under which an effect's job queues: as a worker's scope tells effects apart, so that nobody picks what it cannot do."""
    return f"{provider}:{entered_state}" if entered_state else provider


def _queues(scope: WorkerScope) -> dict[QueueEntrypoint, EntrypointExecutionParameter]:
    names = [provider for provider in scope.leases if provider not in scope.paused]
    names += [_queue(provider, state) for provider, state in scope.notifiable if provider in scope.leases]
    return dict.fromkeys(map(QueueEntrypoint, names), _UNLIMITED)


class PgqueuerDispatcher:
    """Takes jobs from pgqueuer's queue in the orders' own database and schema.

    From the moment it is made, every commit of this store enqueues what it owes in its own transaction, in a process that works and in
    one that does not. An effect owed by a process without it is enqueued by the sweep.

    An effect whose worker was killed is carried out by another within lease + ``GRACE`` + ``SWEEP`` + poll.

    Raises:
        ConfigurationError: the store is not PostgreSQL.
    """

    def __init__(self, store: Store) -> None:
        if not isinstance(store, PostgresStore):
            raise ConfigurationError("pgqueuer needs a postgresql:// database", "dispatch")
        self._store = store
        self._id = QueueManagerId(uuid4())
        self._picked: list[Job] = []  # whose rows are to be leased
        self._refused: list[Job] = []  # whose rows could not be
        self._in_hand: WeakKeyDictionary[LeasedEffect, list[Job]] = WeakKeyDictionary()
        self._ended: list[tuple[list[Job], _Pointer | None]] = []  # jobs to go, and the one to come
        self._swept_at = float("-inf")
        self._enqueued = 0  # since this process last cleared away
        self._cleared_to = 0  # the id of the job that it looked at last
        self._channel = ""
        self._ear: Any = None
        self._stir: Callable[[], None] = lambda: None
        self._stirring: asyncio.TimerHandle | None = None
        store.set_commit_hook(self)

    # ── the store's commits ──────────────────────────────────────────────────────────────────────────────────────────────

    async def prepare(self, session: Session) -> None:
        """See ``pgqueuer_tables.prepare``."""
        changed = await prepare(session, self._store.pool.name)
        if changed.statements:
            _log.warning("dispatch.upgraded", statements=len(changed.statements), notes=changed.notes)
        self._channel = (await session.fetch(f"SELECT {_CHANNEL}"))[0][0]

    async def in_transaction(self, session: Session, writes: Sequence[Write]) -> None:
        """Enqueue what these commits owe, in their transaction."""
        pointers = [
            _Pointer(EffectKey(write.order.id, owed.version, owed.n), 0, _queue(write.order.provider, owed.entered_state))
            for write in writes
            for owed in write.commit.effects
        ]
        await _enqueue(session, pointers)
        self._enqueued += len(pointers)

    async def after_commit(self, session: Session) -> None:
        """Wake the other processes' workers, and clear away what nobody took; the commit is durable, and its callers are answered."""
        await session.fetch("SELECT pg_notify($1, $2)", self._channel, str(self._id))
        if self._enqueued >= _CLEARED:
            walk, self._enqueued = 2 * self._enqueued, 0
            self._cleared_to, gone = await drop_dead(session, self._cleared_to, walk)
            if gone:
                _log.debug("dispatch.jobs_cleared", count=gone)

    # ── the worker ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def open(self, wake: Callable[[], None]) -> None:
        """See ``Dispatcher.open``."""
        self._stir = wake

    async def close(self) -> None:
        """See ``Dispatcher.close``."""
        left = [*self._picked, *self._refused, *(job for jobs, _ in self._ended for job in jobs)]
        try:
            if left:
                await self._store.pool.run_once(lambda session: _forget(session, left))
        except Exception as error:  # noqa: BLE001  the database may be away; jobs left behind are dropped by who finds them
            _log.warning("dispatch.jobs_left", **exception_fields(error))
        if self._stirring is not None:
            self._stirring.cancel()
        await self._stop_listening()

    async def take(self, now: float, scope: WorkerScope, limit: int) -> list[LeasedEffect]:
        """See ``Dispatcher.take``."""
        await self._settle(now)
        if not 0 <= now - self._swept_at < SWEEP:
            await self._sweep(now, scope)
            self._swept_at = now
        return await lease_within_quota(scope, limit, lambda share, most: self._take(now, share, most))

    async def _take(self, now: float, scope: WorkerScope, limit: int) -> list[LeasedEffect]:
        queues = _queues(scope)
        stale = timedelta(seconds=max(scope.leases.values(), default=0.0) + GRACE)
        if queues and len(self._picked) < limit:
            want = limit - len(self._picked)
            self._picked += await self._store.pool.run(lambda session: queries(session).dequeue(want, queues, self._id, None, stale))
        if not self._picked or limit < 1:
            return []
        jobs: dict[EffectKey, list[Job]] = {}
        for job in self._picked:
            jobs.setdefault(_key(job), []).append(job)
        leased = await self._store.lease_effects(now, scope, limit, among=jobs)
        for effect in leased:
            self._in_hand[effect] = jobs.pop(effect.key)
        self._refused += [job for refused in jobs.values() for job in refused]
        self._picked.clear()
        return leased

    async def ended(self, effect: LeasedEffect, again_at: float | None = None) -> None:
        """See ``Dispatcher.ended``. The job goes, and the next one comes, with the next ``take``."""
        again = None if again_at is None else _Pointer(effect.key, effect.attempt, _queue(effect.provider, effect.entered_state), again_at)
        self._ended.append((self._in_hand.pop(effect, []), again))

    async def _settle(self, now: float) -> None:
        if self._refused:  # most are done, or in other hands; but a row may be due a moment later than its job
            waiting = await self._store.waiting([_key(job) for job in self._refused])
            self._ended += [([job], _again(job, *waiting.get(_key(job), (0, None)))) for job in self._refused]
            self._refused.clear()
        if not self._ended:
            return
        settled = list(self._ended)

        async def work(session: Session) -> None:
            await _forget(session, [job for jobs, _ in settled for job in jobs])
            await _enqueue(session, [again for _, again in settled if again is not None and again.at <= now + _SOON], now)

        await self._store.pool.run(work)
        del self._ended[: len(settled)]

    async def _sweep(self, now: float, scope: WorkerScope) -> None:
        """Give every row that is due for longer than the grace a job; one that has it already keeps it."""
        overdue = await self._store.overdue(now - GRACE, scope, _SWEPT)
        pointers = [_Pointer(key, attempt, _queue(provider, entered_state)) for key, attempt, provider, entered_state in overdue]
        found = await self._store.pool.run(lambda session: _enqueue(session, pointers))
        if found:
            _log.debug("dispatch.jobs_found", count=found)
        if self._ear is None or self._ear.is_closed():
            await self._listen()

    # ── what other processes commit ──────────────────────────────────────────────────────────────────────────────────────

    async def _listen(self) -> None:
        try:
            self._ear = await self._store.pool.connect()
            await self._ear.add_listener(self._channel, self._hear)
        except (OperationalError, *_AWAY):
            await self._stop_listening()  # the poll does, until the next sweep

    def _hear(self, _connection: object, _pid: int, _channel: str, sender: str) -> None:
        if sender != str(self._id) and self._stirring is None:
            self._stirring = asyncio.get_running_loop().call_later(_GATHER, self._heard)

    def _heard(self) -> None:
        self._stirring = None
        self._stir()

    async def _stop_listening(self) -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            with suppress(*_AWAY):
                await ear.close(timeout=1.0)


def _key(job: Job) -> EffectKey:
    order_id, version, n = (job.payload or b"").decode().rsplit(":", 2)
    return EffectKey(order_id, int(version), int(n))


def _again(job: Job, attempt: int, at: float | None) -> _Pointer | None:
    return None if at is None else _Pointer(_key(job), attempt, job.entrypoint, at)


async def _enqueue(session: Session, pointers: Sequence[_Pointer], now: float = 0.0) -> int:
    """Enqueue those that have no job yet; how many. Waits are told in seconds, so that our clock and the database's may differ."""
    if not pointers:
        return 0
    made = await queries(session).enqueue(
        [pointer.queue for pointer in pointers],
        [str(pointer.key).encode() for pointer in pointers],
        [0] * len(pointers),
        [timedelta(seconds=max(0.0, pointer.at - now)) for pointer in pointers],
        [f"{pointer.key}:{pointer.attempt}" for pointer in pointers],
        on_conflict="skip",
    )
    return sum(job is not None for job in made)


async def _forget(session: Session, jobs: Sequence[Job]) -> None:
    if jobs:
        await queries(session).log_jobs([(job, "successful", None) for job in jobs])
