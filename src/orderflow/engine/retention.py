"""Old orders: which may go or be redacted, and in which order that is done. Only settled ones to whom nothing is owed; the store checks
again, in its transaction, that nothing has happened to them meanwhile. Once redacted, an order stays so: see ``commits.impersonal``.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path

import structlog
from attrs import evolve

from orderflow.engine.commit import without_personal_data
from orderflow.engine.export import JsonLines
from orderflow.engine.inbox import Inbox
from orderflow.errors import InvalidInput, UnknownName
from orderflow.lifecycle.decide import legal, settled
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
from orderflow.provider.protocol import Provider
from orderflow.store.records import Commit

Export = Callable[[Sequence[OrderHistory]], Awaitable[None] | None]
"""Keeps orders elsewhere; they are deleted when it has returned. A plain function runs in a thread."""

_log = structlog.get_logger()
_MOST_PER_BATCH = 5000
_REDACT = "redact"


class Retention:
    """Deletes and redacts, through the inbox's store and clock."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def prune(
        self, older_than: float, provider: str, batch: int, export: Path | Export | None, dry_run: bool
    ) -> AsyncGenerator[list[str], None]:
        """See ``Orderflow.prune``."""
        if provider and provider not in self._inbox.providers:
            raise UnknownName("provider", provider, tuple(self._inbox.providers))
        if not (math.isfinite(older_than) and older_than >= 0):
            raise InvalidInput("older_than", "must be a number of seconds, 0 or more")
        if not 1 <= batch <= _MOST_PER_BATCH:
            raise InvalidInput("batch", f"must be between 1 and {_MOST_PER_BATCH}")
        keep = JsonLines(export) if isinstance(export, Path) else export
        return self._prune(self._inbox.clock.now() - older_than, provider, batch, keep, dry_run)

    async def _prune(
        self, before: float, provider: str, batch: int, export: Export | None, dry_run: bool
    ) -> AsyncGenerator[list[str], None]:
        store = self._inbox.store
        walked, deleted, more = "", 0, True
        while more:
            list_inactive, walked = await store.list_inactive(before, walked, batch, provider)
            more = bool(walked)
            found = [order for order in list_inactive if self._is_settled(order)]
            if not found:
                continue
            if dry_run:
                yield [order.id for order in found]
                continue
            if export is not None:
                await _kept(export, [await self._whole(order) for order in found])
            gone = await store.delete(found, before)
            deleted += len(gone)
            _log.info("orders.pruned", count=len(gone))
            yield gone
        if deleted:
            await self._sweep(batch)

    async def _sweep(self, batch: int) -> None:
        """The keys of events that deleted orders took: no index leads to them."""
        last: tuple[str, str] | None = ("", "")
        while last is not None:
            last = await self._inbox.store.sweep_inbox(last, batch)

    async def _whole(self, order: Order) -> OrderHistory:
        store = self._inbox.store
        return OrderHistory(order, tuple(await store.journal(order.id)), tuple(await store.refusals(order.id)))

    def _is_settled(self, order: Order) -> bool:
        """Whether it is; an order of a provider or in a state that this process does not know is none of ours to judge."""
        provider = self._inbox.providers.get(order.provider)
        return provider is not None and order.state in provider.table.states and settled(provider.table, _with_defaults(provider, order))

    # ── redaction ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def redact(self, order_id: str, *, by: str, reason: str) -> Decision:
        """See ``Orderflow.redact``."""
        provider, store = self._inbox.provider_of(order_id), self._inbox.store
        while True:
            order = await store.load(order_id)
            if not self._is_settled(order):
                return await self._refused(provider, order, "it is not settled: what is still to come needs its data")
            step = Step("redacted", Origin.OPERATOR, order.state, order.state, StepKind.REDACTION)
            row = _row(order, step, self._inbox.clock.now(), f"by {by}: {reason}")
            after = _without_data(order)
            needed = await store.redact(after, row)
            if needed:
                return await self._refused(provider, order, f"{needed} is still owed, or its call is under way, and needs its data")
            if needed is None:
                _log.info("order.redacted", order_id=order_id)
                return Applied((step,), after.snapshot)

    async def _refused(self, provider: Provider, order: Order, why: str) -> Decision:
        now = self._inbox.clock.now()

        def judge(order: Order) -> Commit:
            may = legal(provider.table, _with_defaults(provider, order)) if order.state in provider.table.states else ()
            refused = Refused(Reason.NOT_LEGAL_HERE, order.state, why, may)
            row = RefusalRow(order.id, _REDACT, Origin.OPERATOR, order.state, refused.reason, why, order.version, 1, now, now)
            return Commit(refused, now, refusal=row, keep_key=False)

        return (await self._inbox.store.commit(order.id, None, judge)).decision


def _with_defaults(provider: Provider, order: Order) -> Snapshot:
    """Facts that it was created without count as their first value, as everywhere in looking at old orders."""
    return evolve(order.snapshot, facts={**provider.table.defaults(), **order.snapshot.facts})


def _without_data(order: Order) -> Order:
    data = without_personal_data({**order.snapshot.data, REDACTED: True})
    return evolve(order, snapshot=evolve(order.snapshot, data=data, version=order.version + 1), flagged=False)


def _row(order: Order, step: Step, at: float, note: str) -> JournalRow:
    return JournalRow(order.id, order.version + 1, step.event, step.origin, step.source, step.target, step.kind.value, at, note)


async def _kept(export: Export, orders: Sequence[OrderHistory]) -> None:
    answer = export(orders) if inspect.iscoroutinefunction(export) else await asyncio.to_thread(export, orders)
    if answer is not None:
        await answer
