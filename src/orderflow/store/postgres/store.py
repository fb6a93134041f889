"""The store on PostgreSQL: one statement a decision or batch of decisions, look-ups by key, leases that skip what others hold.

What may live here: the Store protocol's methods. How a commit is written is postgres_commit.py, who shares one postgres_group.py, the
way to the server postgres_link.py. Every statement is a transaction of its own, but for what an ``Enlister`` writes along; none notifies.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from orderflow.errors import KeyReused, UnknownName
from orderflow.model import NOTIFY_LISTENER, EffectKey, JournalRow, Order, Pending, RefusalRow
from orderflow.store import rows
from orderflow.store.postgres import retention
from orderflow.store.postgres.batched_lookup import BatchedLookup
from orderflow.store.postgres.commit import SHOW, carried, read_planned
from orderflow.store.postgres.group_commit import CommitHook, GroupCommit
from orderflow.store.postgres.pool import Boundary, PostgresPool, Session
from orderflow.store.postgres.schema import prepare
from orderflow.store.records import (
    Decider,
    DueDeadline,
    InboxKey,
    LeasedEffect,
    LeasedPoll,
    PollAt,
    PollPlan,
    PollSooner,
    Receipt,
    WorkerScope,
)

_CREATE = (
    "WITH i AS (INSERT INTO of_inbox (origin, key, order_id, fingerprint, at) VALUES ('create', $1, $2, $3, $4)"
    " ON CONFLICT DO NOTHING RETURNING order_id),"
    f" o AS (INSERT INTO of_orders ({rows.ORDER}) SELECT order_id, $5, $6, $7, $8, $9, $10, $4, $11 FROM i) SELECT order_id FROM i"
)
_CREATED = "SELECT order_id, fingerprint FROM of_inbox WHERE origin = 'create' AND key = $1"
_MINE = (  # $1: providers that may be called, $2: all of this process's, $3: the effect that needs a listener, $4, $5: its pairs
    "owed AND ((name <> $3 AND provider = ANY($1::text[])) OR (name = $3 AND provider = ANY($2::text[])"
    " AND EXISTS (SELECT FROM unnest($4::text[], $5::text[]) AS h (p, s) WHERE h.p = provider AND h.s = entered_state)))"
)
_LEASE = (
    "UPDATE of_effects x SET attempt = x.attempt + 1, in_flight = true,"
    " run_at = $6 + (SELECT s.lease FROM unnest($2::text[], $7::double precision[]) AS s (name, lease) WHERE s.name = x.provider) FROM due"
    " WHERE x.order_id = due.order_id AND x.version = due.version AND x.n = due.n"
    " RETURNING x.order_id, x.version, x.n, x.name, x.provider, x.attempt, due.in_flight, x.entered_state, x.uncounted_attempts, x.trace, x.run_at, due.run_at"
)
_LEASE_EFFECTS = (
    "WITH due AS MATERIALIZED (SELECT order_id, version, n, in_flight, run_at FROM of_effects"
    f" WHERE run_at <= $6 AND {_MINE} ORDER BY run_at LIMIT $8 FOR UPDATE SKIP LOCKED) {_LEASE}"
)
_LEASE_AMONG = (
    "WITH due AS MATERIALIZED (SELECT e.order_id, e.version, e.n, e.in_flight, e.run_at"
    " FROM (SELECT * FROM unnest($9::text[], $10::integer[], $11::integer[]) AS a (order_id, version, n) ORDER BY 1, 2, 3) a,"
    " LATERAL (SELECT * FROM of_effects e WHERE e.order_id = a.order_id AND e.version = a.version AND e.n = a.n"
    f" AND run_at <= $6 AND {_MINE} FOR UPDATE SKIP LOCKED) e LIMIT $8) {_LEASE}"
)
_OVERDUE = (
    f"SELECT order_id, version, n, attempt, provider, entered_state FROM of_effects WHERE run_at <= $6 AND {_MINE} ORDER BY run_at LIMIT $7"
)
_WAITING = (
    "SELECT order_id, version, n, attempt, run_at FROM unnest($1::text[], $2::integer[], $3::integer[]) AS a (order_id, version, n)"
    " JOIN of_effects USING (order_id, version, n) WHERE owed AND NOT in_flight"
)
_LEASE_READS = (
    "WITH due AS MATERIALIZED (SELECT order_id, next_at FROM of_polls WHERE next_at <= $1 AND provider = ANY($2::text[])"
    " ORDER BY next_at LIMIT $3 FOR UPDATE SKIP LOCKED)"
    " UPDATE of_polls x SET next_at = $1 +"
    " (SELECT s.lease FROM unnest($2::text[], $4::double precision[]) AS s (name, lease) WHERE s.name = x.provider),"
    " last_at = $1, requested = false FROM due"
    " WHERE x.order_id = due.order_id RETURNING x.order_id, x.provider, x.without_news, x.next_at, due.next_at"
)
_NOTICE = (
    "WITH oldest AS MATERIALIZED (SELECT order_id FROM of_polls WHERE provider = $1 AND next_at IS NOT NULL ORDER BY last_at LIMIT $2),"
    # by id, as commits do: both queue up instead of locking each other out
    " held AS MATERIALIZED (SELECT r.order_id FROM of_polls r JOIN oldest USING (order_id) ORDER BY r.order_id FOR UPDATE OF r)"
    " UPDATE of_polls x SET requested = true, next_at = least(x.next_at, greatest($3, least(x.last_at, $3) + $4)) FROM held"
    " WHERE x.order_id = held.order_id AND x.next_at IS NOT NULL RETURNING 1"
)
_NEXT_DUE = (
    "SELECT least("
    f" (SELECT run_at FROM of_effects WHERE {_MINE} ORDER BY run_at LIMIT 1),"
    " (SELECT next_at FROM of_polls WHERE next_at IS NOT NULL AND provider = ANY($1::text[]) ORDER BY next_at LIMIT 1),"
    " (SELECT due_at FROM of_deadlines WHERE provider = ANY($2::text[]) ORDER BY due_at LIMIT 1))"
)
# behind a lock on the order's row: what deletes the order must not miss the read
_PLAN = read_planned("SELECT id, provider, $2, $3, $4, $5, $6 FROM of_orders WHERE id = $1 FOR KEY SHARE") + " RETURNING 1"
_FORGET = (
    "WITH gone AS (DELETE FROM of_listeners WHERE provider = $1 AND state = $2), page AS MATERIALIZED"
    " (SELECT order_id, version, n FROM of_effects WHERE owed AND name = $4 AND provider = $1 AND entered_state = $2 LIMIT $5),"
    # locked by key, as commits do; not found by it, for that walk passes all effects that ever were
    " owed AS MATERIALIZED (SELECT e.order_id, e.version, e.n FROM of_effects e JOIN page USING (order_id, version, n)"
    " WHERE e.owed ORDER BY e.order_id, e.version, e.n FOR UPDATE OF e)"
    " UPDATE of_effects x SET owed = false, why = $3 FROM owed"
    " WHERE x.order_id = owed.order_id AND x.version = owed.version AND x.n = owed.n RETURNING 1"
)
_FOUND = (
    f"{SHOW} WHERE ($1 = '' OR provider = $1) AND ($2 = '' OR state = $2) AND ($3::double precision IS NULL OR entered_at < $3)"
    " ORDER BY CASE WHEN $3::float8 IS NULL THEN -created_at ELSE entered_at END, id LIMIT $4"
)


class PostgresStore:
    """A ``Store`` in a PostgreSQL database, shared by any number of processes.

    Args:
        url: ``postgresql://user:password@host/database``; ``?search_path=...`` chooses another schema than public.
        connections: the most connections this process opens.
        patience: for how many seconds a database that is away is waited for, before an OperationalError.
        width: how many batches of decisions this process has in flight.
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
        self.link = self._link = PostgresPool(url, connections=connections, patience=patience, boundary=boundary)
        self._loads = BatchedLookup(self._load)
        self._group = GroupCommit(self._link, width=width)

    async def open(self) -> None:
        """See ``Store.open``."""
        await self._link.open()
        try:
            await self._link.run(lambda session: prepare(session, self._link.name, create=self._create))
            if self._group.enlister is not None:
                await self._link.run(self._group.enlister.prepare)
        except BaseException:
            await self._link.close()
            raise
        self._group.open()

    async def close(self) -> None:
        """See ``Store.close``."""
        await self._group.close()
        await self._link.close()

    # ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def create(self, order: Order, fingerprint: str) -> Order:
        """See ``Store.create``."""
        identity, provider, key, state, version, facts, data, created_at, entered_at = rows.order_values(order)
        inbox_key = carried(f"{provider}:{key}")
        columns = (provider, carried(key), state, version, facts, data, entered_at)

        async def work(session: Session) -> Any:
            found: list[Any] = []
            while not found:  # between the two, retention may delete the order that held the key
                await session.fetch(_CREATE, inbox_key, identity, fingerprint, created_at, *columns)
                found = await session.fetch(_CREATED, inbox_key)
            return found[0]

        made, content = await self._link.run(work)
        if content not in ("", fingerprint):
            raise KeyReused(order.key)
        return order if made == order.id else await self.load(made)

    async def commit(self, order_id: str, key: InboxKey | None, judge: Decider, deadline: DueDeadline | None = None) -> Receipt:
        """See ``Store.commit``."""
        return await self._group.submit(order_id, key, judge, deadline)

    async def load(self, order_id: str) -> Order:
        """See ``Store.load``."""
        row = await self._loads.get(order_id)
        if row is None:
            raise UnknownName("order", order_id)
        return _order(row)

    async def _load(self, order_ids: Sequence[str]) -> dict[str, Any]:
        return {row[0]: row for row in await self._link.fetch(f"{SHOW} WHERE id = ANY($1)", order_ids)}

    async def orders(self, *, provider: str = "", state: str = "", entered_before: float | None = None, limit: int = 100) -> list[Order]:
        """See ``Store.orders``."""

        async def work(session: Session) -> list[Any]:
            async with session.connection.transaction(readonly=True):
                await session.connection.execute("SET LOCAL enable_seqscan = on")  # the one question that no index answers
                return await session.fetch(_FOUND, provider, state, entered_before, limit)

        return [_order(row) for row in await self._link.run(work)]

    async def journal(self, order_id: str) -> list[JournalRow]:
        """See ``Store.journal``."""
        found = await self._link.fetch(f"SELECT {rows.JOURNAL} FROM of_journal WHERE order_id = $1 ORDER BY version", order_id)
        return [rows.journal(row) for row in found]

    async def refusals(self, order_id: str) -> list[RefusalRow]:
        """See ``Store.refusals``."""
        found = await self._link.fetch(f"SELECT {rows.REFUSAL} FROM of_refusals WHERE order_id = $1 ORDER BY first_at, event", order_id)
        return [rows.refusal(row) for row in found]

    async def pending(self, order_id: str) -> Pending:
        """See ``Store.pending``."""
        effects = f"SELECT {rows.EFFECT} FROM of_effects WHERE order_id = $1 AND owed ORDER BY version, n"
        owed = tuple(rows.effect(row) for row in await self._link.fetch(effects, order_id))
        read = await self._link.fetch("SELECT next_at FROM of_polls WHERE order_id = $1", order_id)
        deadlines = await self._link.fetch("SELECT name, due_at FROM of_deadlines WHERE order_id = $1 ORDER BY due_at, name", order_id)
        return Pending(owed, read[0][0] if read else None, tuple((row[0], row[1]) for row in deadlines))

    # ── retention ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def list_inactive(self, before: float, after: str, limit: int, provider: str = "") -> tuple[list[Order], str]:
        """See ``Store.list_inactive``."""
        found, last = await self._link.run(lambda session: retention.list_inactive(session, before, after, limit, provider))
        return [_order(row) for row in found], last

    async def delete(self, orders: Sequence[Order], before: float) -> list[str]:
        """See ``Store.delete``."""
        return await self._link.run(lambda session: retention.delete(session, orders, before))

    async def sweep_inbox(self, after: tuple[str, str], limit: int) -> tuple[str, str] | None:
        """See ``Store.sweep_inbox``."""
        return await self._link.run(lambda session: retention.sweep_inbox(session, after, limit))

    async def redact(self, order: Order, row: JournalRow) -> str | None:
        """See ``Store.redact``."""
        return await self._link.run(lambda session: retention.redact(session, order, row))

    # ── effects ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def lease_effects(
        self, now: float, scope: WorkerScope, limit: int, among: Collection[EffectKey] | None = None
    ) -> list[LeasedEffect]:
        """See ``Store.lease_effects``."""
        values = (*_within(scope), now, list(scope.leases.values()), limit)
        if among is None:
            found = await self._link.fetch(_LEASE_EFFECTS, *values)
        else:
            keys = [key.order_id for key in among], [key.version for key in among], [key.n for key in among]
            found = await self._link.fetch(_LEASE_AMONG, *values, *keys)
        found.sort(key=lambda row: row[-1])
        return [LeasedEffect(EffectKey(*row[:3]), *row[3:-1]) for row in found]

    def enlist(self, enlister: CommitHook) -> None:
        """Before ``open``: from now on nothing that is owed is committed here without what the enlister writes along."""
        self._group.enlister = enlister

    async def overdue(self, before: float, scope: WorkerScope, limit: int) -> list[tuple[EffectKey, int, str, str]]:
        """Effects within the scope that are due since before that moment, the longest first: key, attempts, provider and ``entered_state``."""
        found = await self._link.fetch(_OVERDUE, *_within(scope), before, limit)
        return [(EffectKey(*row[:3]), *row[3:]) for row in found]

    async def waiting(self, keys: Collection[EffectKey]) -> dict[EffectKey, tuple[int, float]]:
        """Those of these effects that are owed and in nobody's hands: attempts, and when they are due."""
        columns = [key.order_id for key in keys], [key.version for key in keys], [key.n for key in keys]
        return {EffectKey(*row[:3]): (row[3], row[4]) for row in await self._link.fetch(_WAITING, *columns)}

    async def retry_effect(self, effect: LeasedEffect, at: float, why: str, uncounted: bool = False) -> None:
        """See ``Store.retry_effect``."""
        await self._answer_effect(
            effect, "run_at = $5, why = $6, uncounted_attempts = uncounted_attempts + $7", at, carried(why), int(uncounted)
        )

    async def finish_effect(self, effect: LeasedEffect, why: str = "") -> None:
        """See ``Store.finish_effect``."""
        await self._answer_effect(effect, "owed = false, why = $5", carried(why))

    async def _answer_effect(self, effect: LeasedEffect, change: str, *values: object) -> None:
        mine = "order_id = $1 AND version = $2 AND n = $3 AND attempt = $4 AND owed"
        update = f"UPDATE of_effects SET in_flight = false, {change} WHERE {mine}"
        await self._link.fetch(update, effect.key.order_id, effect.key.version, effect.key.n, effect.attempt, *values)

    # ── reads and deadlines ──────────────────────────────────────────────────────────────────────────────────────────────

    async def lease_polls(self, now: float, scope: WorkerScope, limit: int) -> list[LeasedPoll]:
        """See ``Store.lease_polls``."""
        leases = {name: lease for name, lease in scope.leases.items() if name not in scope.paused}
        found = await self._link.fetch(_LEASE_READS, now, list(leases), limit, list(leases.values()))
        found.sort(key=lambda row: row[-1])
        return [LeasedPoll(*row[:-1]) for row in found]

    async def throttle(self, provider: str, until: float) -> None:
        """See ``Store.throttle``."""
        insert = (
            "INSERT INTO of_providers AS p (provider, throttled_until) VALUES ($1, $2) ON CONFLICT (provider) DO UPDATE"
            " SET throttled_until = greatest(p.throttled_until, excluded.throttled_until)"
        )
        await self._link.fetch(insert, provider, until)

    async def throttled_until(self) -> dict[str, float]:
        """See ``Store.throttled_until``."""
        return {row[0]: row[1] for row in await self._link.fetch("SELECT provider, throttled_until FROM of_providers")}

    async def plan_poll(self, order_id: str, now: float, plan: PollPlan) -> None:
        """See ``Store.plan_poll``."""
        if isinstance(plan, PollAt):
            planned = await self._link.fetch(_PLAN, order_id, plan.at, False, plan.without_news, now, plan.interval)
        elif isinstance(plan, PollSooner):
            planned = await self._link.fetch(_PLAN, order_id, None, True, 0, now, plan.interval)
        else:
            await self._link.fetch("DELETE FROM of_polls WHERE order_id = $1", order_id)
            return
        if not planned:
            raise UnknownName("order", order_id)

    async def bring_polls_forward(self, provider: str, now: float, interval: float, limit: int) -> int:
        """See ``Store.bring_polls_forward``."""
        return len(await self._link.fetch(_NOTICE, provider, limit, now, interval))

    async def due_deadlines(self, now: float, scope: WorkerScope, limit: int) -> list[DueDeadline]:
        """See ``Store.due_deadlines``."""
        query = (
            "SELECT order_id, name, provider, version FROM of_deadlines WHERE due_at <= $1 AND provider = ANY($2::text[])"
            " ORDER BY due_at LIMIT $3"
        )
        return [DueDeadline(*row) for row in await self._link.fetch(query, now, list(scope.leases), limit)]

    async def next_due(self, scope: WorkerScope) -> float | None:
        """See ``Store.next_due``."""
        found: float | None = (await self._link.fetch(_NEXT_DUE, *_within(scope)))[0][0]
        return found

    async def add_listeners(self, pairs: Collection[tuple[str, str]]) -> None:
        """See ``Store.listen``."""
        insert = "INSERT INTO of_listeners (provider, state) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING"
        pairs = sorted(pairs)
        await self._link.fetch(insert, [provider for provider, _ in pairs], [state for _, state in pairs])

    async def listeners(self) -> frozenset[tuple[str, str]]:
        """See ``Store.listeners``."""
        return frozenset(tuple(row) for row in await self._link.fetch("SELECT provider, state FROM of_listeners"))

    async def pending_notifications(self) -> dict[tuple[str, str], int]:
        """See ``Store.pending_notifications``."""
        query = "SELECT provider, entered_state, count(*) FROM of_effects WHERE owed AND name = $1 GROUP BY 1, 2"
        return {(provider, state): count for provider, state, count in await self._link.fetch(query, NOTIFY_LISTENER)}

    async def remove_listener(self, provider: str, state: str, why: str, limit: int) -> int:
        """See ``Store.remove_listener``."""
        return len(await self._link.fetch(_FORGET, provider, state, carried(why), NOTIFY_LISTENER, limit))


def _order(row: Any) -> Order:
    return rows.order(tuple(row[:-1]), row[-1])


def _within(scope: WorkerScope) -> tuple[list[str], list[str], str, list[str], list[str]]:
    """What an effect's scope is tested against: see ``_MINE``."""
    notifiable = sorted(scope.notifiable)
    spoken = [name for name in scope.leases if name not in scope.paused]
    return spoken, list(scope.leases), NOTIFY_LISTENER, [provider for provider, _ in notifiable], [state for _, state in notifiable]
