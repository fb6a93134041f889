"""The store on PostgreSQL, for any number of processes. Contains only: the methods of the ``Store`` protocol.

Most statements are transactions of their own. Leases skip what other workers lock. No statement notifies: a ``CommitHook`` may.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import asyncpg

from orderflow._flagged import FailingNotification
from orderflow._store import rows
from orderflow._store.batched_lookup import BatchedLookup
from orderflow._store.ports import make_used_id_error
from orderflow._store.postgres import restoring, retention
from orderflow._store.postgres.commit import to_storable
from orderflow._store.postgres.group_commit import CommitHook, GroupCommit
from orderflow._store.postgres.messages import write_with_message
from orderflow._store.postgres.pool import Boundary, PostgresPool, Session, is_taken_id
from orderflow._store.postgres.queries import COMMIT_SQL, SQL
from orderflow._store.postgres.schema import prepare
from orderflow._store.records import (
    Decider,
    DueDeadline,
    InboxKey,
    KeptCommits,
    LeasedEffect,
    LeasedPoll,
    OpenWork,
    OrderRecords,
    PollAt,
    PollPlan,
    PollSooner,
    Receipt,
    ReportedCall,
    StoredStanding,
    WorkerScope,
)
from orderflow.errors import InvalidInput, KeyReused, UnknownName
from orderflow.model import PROVIDER_ID, EffectKey, JournalRow, Message, Order, Pending, ProviderProblem, RefusalRow

MarkedAttempt = tuple[str, int, int, int, float]
"""An attempt whose request is about to be sent: order id, version, number, attempt, and when that is."""


class PostgresStore:
    """A ``Store`` in a PostgreSQL database, shared by any number of processes.

    Args:
        url: ``postgresql://user:password@host/database``; ``?search_path=...`` chooses another schema than public.
        create: make the tables where there are none; else they must be there.
        connections: the most connections that this process opens.
        patience: for how many seconds an unreachable database is waited for, before an OperationalError.
        width: how many batches of decisions this process commits at once.
        boundary: awaited before each statement; for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        create: bool = True,
        connections: int = 8,
        patience: float = 10.0,
        width: int = 2,
        boundary: Boundary | None = None,
    ) -> None:
        self._create = create
        self.pool = PostgresPool(url, connections=connections, patience=patience, boundary=boundary)
        self._loads = BatchedLookup(self._load)
        self._marks = BatchedLookup(self._mark_all)
        self._group = GroupCommit(self.pool, width=width)

    def set_commit_hook(self, hook: CommitHook) -> None:
        """Before ``open``: from now on, no commit of this store owes effects without what the hook writes with it."""
        self._group.hook = hook

    async def open(self) -> None:
        """See ``Store.open``."""
        await self.pool.open()
        try:
            await self.pool.run(lambda session: prepare(session, self.pool.name, create=self._create))
            if self._group.hook is not None:
                await self.pool.run(self._group.hook.prepare)
        except BaseException:
            await self.pool.close()
            raise
        self._group.open()

    async def close(self) -> None:
        """See ``Store.close``."""
        await self._group.close()
        await self.pool.close()

    # ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def create(self, order: Order, fingerprint: str, deadlines: Sequence[tuple[str, float]] = ()) -> Order:
        """See ``Store.create``."""
        order_id, provider, key, state, version, facts, data, created_at, entered_at = rows.order_values(order)
        create_key = to_storable(f"{provider}:{key}")
        provider_id = to_storable(order.provider_id)
        armed = [name for name, _ in deadlines], [due_at for _, due_at in deadlines]
        columns = (provider, to_storable(key), state, version, facts, data, entered_at, provider_id, *armed)

        async def work(session: Session) -> Any:
            created: list[Any] = []
            stored: list[Any] = []
            while not created:  # between the two statements, retention may delete the order that held the key
                try:
                    stored = await session.fetch(SQL["create_order"], create_key, order_id, fingerprint, created_at, *columns)
                except asyncpg.UniqueViolationError as error:
                    if error.constraint_name == "of_orders_pkey":
                        raise make_used_id_error() from None
                    if not is_taken_id(error):
                        raise
                    for _, _, holder in await session.fetch(COMMIT_SQL["provider_id_holders"], [provider], [provider_id]):
                        raise InvalidInput(PROVIDER_ID, f"belongs to the order {holder}") from None
                created = await session.fetch(SQL["created_order"], create_key)
            return *created[0], bool(stored)

        created_id, created_with, is_new = await self.pool.run(work)
        if created_with not in ("", fingerprint):
            raise KeyReused(order.key)
        return order if is_new else await self.load(created_id)

    async def commit(
        self, order_id: str, key: InboxKey | None, decider: Decider, deadline: DueDeadline | None = None, call: ReportedCall | None = None
    ) -> Receipt:
        """See ``Store.commit``."""
        return await self._group.submit(order_id, key, decider, deadline, call)

    async def load(self, order_id: str) -> Order:
        """See ``Store.load``."""
        row = await self._loads.get(order_id)
        if row is None:
            raise UnknownName("order", order_id)
        return rows.read_flagged_order(row)

    async def find_by_provider_id(self, provider: str, provider_id: str) -> Order:
        """See ``Store.find_by_provider_id``."""
        found = await self.pool.fetch(SQL["order_of_provider_id"], provider, to_storable(provider_id))
        if not found:
            raise UnknownName("order", provider_id)
        return rows.read_flagged_order(found[0])

    async def _load(self, order_ids: Sequence[str]) -> dict[str, Any]:
        return {row[0]: row for row in await self.pool.fetch(SQL["load_orders"], order_ids)}

    async def load_records(self, order_id: str) -> OrderRecords:
        """See ``Store.load_records``."""

        async def work(session: Session) -> OrderRecords:
            async with session.connection.transaction(isolation="repeatable_read", readonly=True):  # one snapshot for all statements
                found = await session.fetch(SQL["load_orders"], [order_id])
                if not found:
                    raise UnknownName("order", order_id)
                journal = await session.fetch(SQL["journal"], order_id, 1)
                return OrderRecords(rows.read_flagged_order(found[0]), tuple(map(rows.journal, journal)), await _pending(session, order_id))

        return await self.pool.run(work)

    async def orders(self, *, provider: str = "", state: str = "", entered_before: float | None = None, limit: int = 100) -> list[Order]:
        """See ``Store.orders``."""

        async def work(session: Session) -> list[Any]:
            async with session.connection.transaction(readonly=True):
                await session.connection.execute(SQL["allow_table_scan"])
                return await session.fetch(SQL["list_orders"], provider, state, entered_before, limit)

        return rows.keep_readable(rows.read_flagged_order, await self.pool.run(work))

    async def journal(self, order_id: str, *, creation: bool = False) -> list[JournalRow]:
        """See ``Store.journal``."""
        return [rows.journal(row) for row in await self.pool.fetch(SQL["journal"], order_id, 0 if creation else 1)]

    async def refusals(self, order_id: str) -> list[RefusalRow]:
        """See ``Store.refusals``."""
        return [rows.refusal(row) for row in await self.pool.fetch(SQL["refusals"], order_id)]

    async def messages(self, order_id: str) -> list[Message]:
        """See ``Store.messages``."""
        return [rows.message(row) for row in await self.pool.fetch(SQL["messages"], order_id)]

    async def add_message(self, message: Message) -> None:
        """See ``Store.add_message``."""
        await write_with_message(self.pool, message, "")

    async def pending(self, order_id: str) -> Pending:
        """See ``Store.pending``."""
        return await self.pool.run(lambda session: _pending(session, order_id))

    # ── retention ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_inactive(self, before: float, after: str, limit: int, provider: str = "") -> tuple[list[Order], str]:
        """See ``Store.list_inactive``."""
        return await self.pool.run(lambda session: retention.list_inactive(session, before, after, limit, provider))

    async def delete(self, orders: Sequence[Order], before: float) -> list[str]:
        """See ``Store.delete``."""
        return await self.pool.run(lambda session: retention.delete(session, orders, before))

    async def sweep_inbox(self, after: tuple[str, str], limit: int) -> tuple[str, str] | None:
        """See ``Store.sweep_inbox``."""
        return await self.pool.run(lambda session: retention.sweep_inbox(session, after, limit))

    async def redact(self, order: Order, row: JournalRow) -> str | None:
        """See ``Store.redact``."""
        return await self.pool.run(lambda session: retention.redact(session, order, row))

    async def doubt_owed_calls(self, now: float, until: float, by: str) -> None:
        """See ``Store.doubt_owed_calls``."""
        await restoring.doubt_owed_calls(self.pool, now, until, by)

    async def list_open_work(self) -> OpenWork:
        """See ``Store.list_open_work``."""
        return await restoring.list_open_work(self.pool)

    async def find_kept(self, order_ids: Sequence[str]) -> KeptCommits:
        """See ``Store.find_kept``."""
        return await restoring.find_kept(self.pool, order_ids)

    # ── effects ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def lease_effects(
        self, now: float, scope: WorkerScope, limit: int, among: Collection[EffectKey] | None = None
    ) -> list[LeasedEffect]:
        """See ``Store.lease_effects``."""
        values = (*_lane_columns(scope, limit), now, limit)
        if among is None:
            leased = await self.pool.fetch(SQL["lease_effects"], *values)
        else:
            leased = await self.pool.fetch(SQL["lease_effects_among"], *values, *_key_columns(among))
        leased.sort(key=lambda row: row[-1])
        return rows.keep_readable(_read_effect, leased)  # one that is damaged stays leased, so that it comes back seldom

    async def find_overdue(self, before: float, scope: WorkerScope, limit: int) -> list[tuple[EffectKey, int, str, str]]:
        """Effects within the scope that are due since before that moment, those due for longest first: the key, how many attempts were
        made, the provider, and for a notification the state that was entered."""
        effects = await self.pool.fetch(SQL["overdue_effects"], *_lane_columns(scope, limit), before, limit)
        return [(EffectKey(*row[:3]), *row[3:]) for row in effects]

    async def find_waiting(self, keys: Collection[EffectKey]) -> dict[EffectKey, tuple[int, float]]:
        """Those of these effects that are owed and not leased: how many attempts were made, and when each is due."""
        return {EffectKey(*row[:3]): (row[3], row[4]) for row in await self.pool.fetch(SQL["waiting_effects"], *_key_columns(keys))}

    async def mark_sending(self, effect: LeasedEffect, now: float) -> bool:
        """See ``Store.mark_sending``."""
        key = effect.key
        return await self._marks.get((key.order_id, key.version, key.n, effect.attempt, now)) is not None

    async def _mark_all(self, attempts: Sequence[MarkedAttempt]) -> dict[MarkedAttempt, bool]:
        marked = {tuple(row) for row in await self.pool.fetch(SQL["mark_sending"], *map(list, zip(*attempts, strict=True)))}
        return {attempt: True for attempt in attempts if attempt[:4] in marked}

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
        await self._end_attempt("retry_effect", effect, message, at, to_storable(why), int(uncounted), may_be_executed)

    async def finish_effect(self, effect: LeasedEffect, why: str = "", message: Message | None = None) -> None:
        """See ``Store.finish_effect``."""
        await self._end_attempt("finish_effect", effect, message, to_storable(why))

    async def _end_attempt(self, statement: str, effect: LeasedEffect, message: Message | None, *values: object) -> None:
        key = effect.key
        await write_with_message(self.pool, message, SQL[statement], key.order_id, key.version, key.n, effect.attempt, *values)

    # ── polls and deadlines ──────────────────────────────────────────────────────────────────────────────────────────────

    async def lease_polls(self, now: float, scope: WorkerScope, limit: int) -> list[LeasedPoll]:
        """See ``Store.lease_polls``."""
        polled = scope.providers_to_poll(limit)
        leases = [scope.leases[provider] for provider in polled]
        leased = await self.pool.fetch(SQL["lease_polls"], now, limit, list(polled), list(polled.values()), leases)
        leased.sort(key=lambda row: row[-1])
        return [LeasedPoll(*row[:-1]) for row in leased]

    async def throttle(self, provider: str, until: float) -> None:
        """See ``Store.throttle``."""
        await self.pool.fetch(SQL["throttle"], provider, until)

    async def read_standings(self) -> dict[str, StoredStanding]:
        """See ``Store.read_standings``."""
        return {row[0]: rows.standing(row) for row in await self.pool.fetch(SQL["read_standings"])}

    async def report_problem(self, provider: str, problem: ProviderProblem, status: int | None, at: float, held_until: float) -> bool:
        """See ``Store.report_problem``."""
        values = (provider, problem.value, status, at, held_until)
        began = bool(await self.pool.fetch(SQL["begin_problem"], *values))
        if not began:
            await self.pool.fetch(SQL["continue_problem"], *values)
        return began

    async def end_problem(self, provider: str, problem: ProviderProblem, at: float) -> bool:
        """See ``Store.end_problem``."""
        return bool(await self.pool.fetch(SQL["end_problem"], provider, problem.value, at))

    async def lift_standing(self, provider: str, at: float, by: str) -> None:
        """See ``Store.lift_standing``."""
        await self.pool.fetch(SQL["lift_standing"], provider, at, to_storable(by))

    async def plan_poll(self, order_id: str, now: float, plan: PollPlan, message: Message | None = None) -> None:
        """See ``Store.plan_poll``."""
        values: tuple[object, ...]
        if isinstance(plan, PollAt):
            values = (plan.at, False, plan.without_news, now, plan.interval, plan.unusable, plan.answered)
        elif isinstance(plan, PollSooner):
            values = (None, True, 0, now, plan.interval, 0, None)
        else:
            await write_with_message(self.pool, message, SQL["pause_polling" if plan.remember else "stop_polling"], order_id)
            return
        if not await write_with_message(self.pool, message, COMMIT_SQL["plan_poll"], order_id, *values):
            raise UnknownName("order", order_id)

    async def bring_polls_forward(self, provider: str, now: float, interval: float, limit: int) -> int:
        """See ``Store.bring_polls_forward``."""
        return len(await self.pool.fetch(SQL["bring_polls_forward"], provider, limit, now, interval))

    async def due_deadlines(self, now: float, scope: WorkerScope, limit: int) -> list[DueDeadline]:
        """See ``Store.due_deadlines``."""
        return [DueDeadline(*row) for row in await self.pool.fetch(SQL["due_deadlines"], now, list(scope.leases), limit)]

    async def poll_before_deadline(self, deadline: DueDeadline, now: float, until: float, interval: float) -> None:
        """See ``Store.poll_before_deadline``."""
        key = deadline.order_id, deadline.name, deadline.version
        await self.pool.fetch(SQL["poll_before_deadline"], *key, now, until, interval)

    async def postpone_deadline(self, deadline: DueDeadline, due_at: float) -> None:
        """See ``Store.postpone_deadline``."""
        await self.pool.fetch(SQL["postpone_deadline"], deadline.order_id, deadline.name, deadline.version, due_at)

    async def next_due(self, scope: WorkerScope) -> float | None:
        """See ``Store.next_due``."""
        lanes, polled = _pair_columns(scope.effect_lanes(1)), list(scope.providers_to_poll(1))
        values = (*_pair_columns(scope.notifiable), *lanes, polled, list(scope.leases))
        ((due_at,),) = await self.pool.fetch(SQL["next_due"], *values)
        return None if due_at is None else float(due_at)

    # ── listeners ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def add_listeners(self, pairs: Collection[tuple[str, str]]) -> None:
        """See ``Store.add_listeners``."""
        await self.pool.fetch(SQL["add_listeners"], *_pair_columns(pairs))

    async def listeners(self) -> frozenset[tuple[str, str]]:
        """See ``Store.listeners``."""
        return frozenset((provider, state) for provider, state in await self.pool.fetch(SQL["listeners"]))

    async def pending_notifications(self) -> dict[tuple[str, str], int]:
        """See ``Store.pending_notifications``."""
        return {(provider, state): owed for provider, state, owed in await self.pool.fetch(SQL["pending_notifications"])}

    async def failing_notifications(self, failures: int, limit: int) -> list[FailingNotification]:
        """See ``Store.failing_notifications``."""
        return rows.keep_readable(rows.failing_notification, await self.pool.fetch(SQL["failing_notifications"], failures, limit))

    async def remove_listener(self, provider: str, state: str, why: str, limit: int) -> int:
        """See ``Store.remove_listener``."""
        return len(await self.pool.fetch(SQL["remove_listener"], provider, state, to_storable(why), limit))


def _read_effect(row: Sequence[Any]) -> LeasedEffect:
    values: Sequence[Any] = (*row[3:-3], rows.load_arguments(row[0], row[-3]), row[-2])
    return LeasedEffect(EffectKey(*row[:3]), *values)


async def _pending(session: Session, order_id: str) -> Pending:
    effects = await session.fetch(SQL["owed_effects"], order_id)
    poll = await session.fetch(SQL["next_poll"], order_id)
    deadlines = await session.fetch(SQL["armed_deadlines"], order_id)
    return Pending(tuple(map(rows.effect, effects)), poll[0][0] if poll else None, tuple(map(tuple, deadlines)))


def _lane_columns(scope: WorkerScope, limit: int) -> tuple[list[Any], ...]:
    """The first six values of what leases effects: the listeners of the worker, and its lanes."""
    lanes = scope.effect_lanes(limit)
    leases = [scope.leases[provider] for provider, _ in sorted(lanes)]
    return (*_pair_columns(scope.notifiable), *_pair_columns(lanes), [lanes[lane] for lane in sorted(lanes)], leases)


def _pair_columns(pairs: Collection[tuple[str, str]]) -> tuple[list[str], list[str]]:
    in_order = sorted(pairs)
    return [provider for provider, _ in in_order], [state for _, state in in_order]


def _key_columns(keys: Collection[EffectKey]) -> tuple[list[str], list[int], list[int]]:
    return [key.order_id for key in keys], [key.version for key in keys], [key.n for key in keys]
