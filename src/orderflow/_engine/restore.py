"""After a restore from a backup: what may have been carried out since the backup is not carried out again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from attrs import define, frozen

from orderflow._clock import Clock
from orderflow._engine.outbox import Outbox
from orderflow._inputs import require_text
from orderflow._provider.protocol import Provider
from orderflow._store.ports import Store
from orderflow._store.records import LeasedEffect
from orderflow._telemetry.log import get_logger
from orderflow.errors import UnknownName, UnreadableRow

_log = get_logger(__name__)
_AT_ONCE = 100
_HELD_BACK_SECONDS = 60.0
"""So long repeatable calls are held back, so that polls come first. To repeat them is harmless: they need not wait for an answer."""


@frozen
class RestoreReport:
    """What was done after a restore, as ids of orders.

    Attributes:
        in_doubt: a call was owed that may be made only once. It is not made: the order is in doubt.
        repeatable: a call is owed that may be repeated. It is made again with the same key, a minute later at the earliest.
        undecided: a call is owed, and this process does not have its provider or effect, or cannot read the order. It is not made if it
            may be made only once: the worker that has it puts the order in doubt.
        polled: the order is polled at once, and its deadlines wait for that.
    """

    in_doubt: tuple[str, ...] = ()
    repeatable: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    polled: tuple[str, ...] = ()


@define(eq=False, kw_only=True)
class Restore:
    """Declares that the database was restored from a backup."""

    _store: Store
    _providers: Mapping[str, Provider]
    _outbox: Outbox
    _clock: Clock

    async def declare(self, *, actor: str, reason: str, dry_run: bool) -> RestoreReport:
        """See ``Orderflow.declare_restored``.

        First every owed call is marked as sent, in one write. From then on no worker sends a once-effect of them, so it does not matter
        where this is interrupted. Then each is decided, as the worker would that takes such a call over.
        """
        by = f"{require_text('actor', actor)}: {require_text('reason', reason)}"
        if not dry_run:
            now = self._clock.now()
            await self._store.doubt_owed_calls(now, now + _HELD_BACK_SECONDS, by)
        work = await self._store.list_open_work()
        sorted_calls = self._sort(work.calls)
        undecided = {call.key.order_id for call in sorted_calls["undecided"]}
        if not dry_run:
            owed_once = sorted_calls["in_doubt"]
            for at in range(0, len(owed_once), _AT_ONCE):
                undecided.update(*await asyncio.gather(*(self._report_in_doubt(call, by) for call in owed_once[at : at + _AT_ONCE])))
            _log.warning("database.restored", by=by, **{name: len(calls) for name, calls in sorted_calls.items()}, polled=len(work.polled))
        in_doubt = [order_id for order_id in _list_orders(sorted_calls["in_doubt"]) if order_id not in undecided]
        return RestoreReport(tuple(in_doubt), _list_orders(sorted_calls["repeatable"]), tuple(sorted(undecided)), work.polled)

    def _sort(self, calls: Sequence[LeasedEffect]) -> dict[str, list[LeasedEffect]]:
        found: dict[str, list[LeasedEffect]] = {"in_doubt": [], "repeatable": [], "undecided": []}
        for call in calls:
            provider = self._providers.get(call.provider)
            declared = provider.table.effects.get(call.name) if provider is not None else None
            found["undecided" if declared is None else "in_doubt" if declared.once else "repeatable"].append(call)
        return found

    async def _report_in_doubt(self, call: LeasedEffect, by: str) -> tuple[str, ...]:
        """Returns the order if it could not be decided."""
        try:
            await self._outbox.report_in_doubt(call, f"the database was restored, and this may have been executed before; by {by}")
        except (UnknownName, UnreadableRow) as error:  # deleted meanwhile, or damaged: the other orders go on
            _log.error("restore.call_undecided", order_id=call.key.order_id, error=type(error).__name__)
            return (call.key.order_id,)
        return ()


def _list_orders(calls: Sequence[LeasedEffect]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(call.key.order_id for call in calls))
