"""Retention: deleting and redacting old orders. Only settled orders to which nothing is owed; the store checks again, in its transaction,
that nothing has happened to them meanwhile.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from attrs import define, evolve

from orderflow._clock import Clock
from orderflow._engine.commit import without_personal_data
from orderflow._engine.export import JsonLines
from orderflow._engine.inbox import provider_of
from orderflow._inputs import check_seconds, check_whole
from orderflow._lifecycle.decide import is_settled, legal
from orderflow._lifecycle.table import Table
from orderflow._provider.protocol import Provider
from orderflow._store.ports import Store
from orderflow._store.records import Commit
from orderflow._telemetry.log import get_logger
from orderflow.errors import InvalidInput, UnknownName
from orderflow.model import (
    REDACTED,
    Applied,
    Decision,
    JournalRow,
    Order,
    OrderHistory,
    Origin,
    Reason,
    RefusalRow,
    Refused,
    Snapshot,
    Step,
    StepKind,
)

Export = Callable[[Sequence[OrderHistory]], Awaitable[None] | None]
"""Keeps orders elsewhere; they are deleted when it has returned. A plain function runs in a thread."""

_log = get_logger(__name__)
_MAX_PER_BATCH = 5000


@define(eq=False, kw_only=True)
class Retention:
    """Deletes and redacts orders."""

    _store: Store
    _providers: Mapping[str, Provider]
    _clock: Clock

    # ── deleting ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def prune(
        self, older_than: float, provider: str, batch: int, export: Path | Export | None, dry_run: bool
    ) -> AsyncGenerator[list[str], None]:
        """See ``Orderflow.prune``."""
        if provider and provider not in self._providers:
            raise UnknownName("provider", provider, tuple(self._providers))
        check_seconds("older_than", older_than)
        check_whole("batch", batch, 1, _MAX_PER_BATCH)
        if export is not None and not isinstance(export, Path) and not callable(export):
            raise InvalidInput("export", f"must be a path or a function, got {type(export).__name__}")
        keep = JsonLines(export) if isinstance(export, Path) else export
        return self._prune(self._clock.now() - older_than, provider, batch, keep, dry_run)

    async def _prune(
        self, before: float, provider: str, batch: int, export: Export | None, dry_run: bool
    ) -> AsyncGenerator[list[str], None]:
        last_id, deleted, more = "", 0, True
        while more:
            inactive, last_id = await self._store.list_inactive(before, last_id, batch, provider)
            more = bool(last_id)
            orders = [order for order in inactive if self._is_settled(order)]
            if not orders:
                continue
            if dry_run:
                yield [order.id for order in orders]
                continue
            if export is not None:
                await _run_export(export, [await self._history(order) for order in orders])
            deleted_ids = await self._store.delete(orders, before)
            deleted += len(deleted_ids)
            _log.info("orders.pruned", count=len(deleted_ids))
            yield deleted_ids
        if deleted:
            await self._sweep_inbox(batch)

    async def _sweep_inbox(self, batch: int) -> None:
        """Delete the inbox keys of deleted orders; no index leads to them."""
        last: tuple[str, str] | None = ("", "")
        while last is not None:
            last = await self._store.sweep_inbox(last, batch)

    async def _history(self, order: Order) -> OrderHistory:
        journal, refusals = await self._store.journal(order.id, creation=True), await self._store.refusals(order.id)
        return OrderHistory(order, tuple(journal), tuple(refusals), tuple(await self._store.messages(order.id)))

    def _is_settled(self, order: Order) -> bool:
        """Whether it is settled; False for a provider that this process does not know."""
        provider = self._providers.get(order.provider)
        if provider is None:
            return False
        return is_settled(provider.table, _with_default_facts(provider.table, order))

    # ── redacting ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def redact(self, order_id: str, *, actor: str, reason: str) -> Decision:
        """See ``Orderflow.redact``."""
        table = provider_of(self._providers, order_id).table
        while True:
            order = await self._store.load(order_id)
            if not self._is_settled(order):
                return await self._refuse(table, order, "it is not settled: what is still to come needs its data")
            redacted, step, row = make_redaction(order, self._clock.now(), f"by {actor}: {reason}")
            needed = await self._store.redact(redacted, row)
            if needed:
                return await self._refuse(table, order, f"{needed} is still owed, or its call is in progress, and needs its data")
            if needed is None:
                _log.info("order.redacted", order_id=order_id)
                return Applied((step,), redacted.snapshot)

    async def _refuse(self, table: Table, order: Order, why: str) -> Decision:
        receipt = await self._store.commit(order.id, None, partial(_plan_refusal, table, why, self._clock.now()))
        return receipt.decision


def _plan_refusal(table: Table, why: str, now: float, order: Order) -> Commit:
    refused = Refused(Reason.NOT_LEGAL_HERE, order.state, why, legal(table, _with_default_facts(table, order)))
    row = RefusalRow(order.id, "redact", Origin.OPERATOR, order.state, refused.reason, why, order.version, 1, now, now)
    return Commit(refused, now, refusal=row, keep_key=False)


def _with_default_facts(table: Table, order: Order) -> Snapshot:
    """An old order may lack facts that were declared later: they count as their first value."""
    return evolve(order.snapshot, facts={**table.defaults(), **order.snapshot.facts})


def make_redaction(order: Order, at: float, note: str) -> tuple[Order, Step, JournalRow]:
    """The order without its personal data, the step to it, and the journal row of that, which sets what data is left."""
    step = Step("redacted", Origin.OPERATOR, order.state, order.state, StepKind.REDACTION)
    data = without_personal_data({**order.snapshot.data, REDACTED: True})
    redacted = evolve(order, snapshot=evolve(order.snapshot, data=data, version=order.version + 1), flagged=False)
    row = JournalRow(
        order.id, redacted.version, step.event, step.origin, step.source, step.target, step.kind.value, at, note, step.facts, data
    )
    return redacted, step, row


async def _run_export(export: Export, orders: Sequence[OrderHistory]) -> None:
    result = export(orders) if inspect.iscoroutinefunction(export) else await asyncio.to_thread(export, orders)
    if result is not None:
        await result
