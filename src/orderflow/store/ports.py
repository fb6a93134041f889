"""What the engine wants of a store."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from orderflow.model import EffectKey, JournalRow, Order, Pending, RefusalRow
from orderflow.store.records import Decider, DueDeadline, InboxKey, LeasedEffect, LeasedPoll, PollPlan, Receipt, WorkerScope


class Store(Protocol):
    """Keeps orders, journal, refusals, effects, deadlines, reads and inbox. One contract suite for every implementation."""

    async def open(self) -> None:
        """Connect and bring the schema up to date.

        Raises:
            SchemaError: newer than this code, corrupt, or not ours; nothing was touched.
        """

    async def close(self) -> None:
        """Finish what is queued and let go."""

    async def create(self, order: Order, fingerprint: str) -> Order:
        """Store a new order, or answer with the one that this provider and key already made.

        Raises:
            KeyReused: the key made an order with another fingerprint (a redacted order has none).
        """

    async def commit(self, order_id: str, key: InboxKey | None, judge: Decider, deadline: DueDeadline | None = None) -> Receipt:
        """Load, judge, write: atomically, idempotent by key (a second time answers ``Ignored(DUPLICATE)``).

        ``deadline`` is the one that this decision is about: it is deleted with the decision, whatever that is. Where it was
        disarmed or armed anew meanwhile, nothing is judged or written, and the answer is ``Ignored(STALE)``.

        Raises:
            UnknownName: no such order.
        """

    async def load(self, order_id: str) -> Order:
        """The order as it stands.

        Raises:
            UnknownName: no such order.
        """

    async def orders(self, *, provider: str = "", state: str = "", entered_before: float | None = None, limit: int = 100) -> list[Order]:
        """Orders, the latest created first; with ``entered_before`` those in their state since before that moment, the longest first."""

    async def journal(self, order_id: str) -> list[JournalRow]:
        """The path, oldest first."""

    async def refusals(self, order_id: str) -> list[RefusalRow]:
        """What was refused or ignored, oldest first."""

    async def pending(self, order_id: str) -> Pending:
        """What is still owed, read and awaited for an order."""

    async def list_inactive(self, before: float, after: str, limit: int, provider: str = "") -> tuple[list[Order], str]:
        """Walk the next ``limit`` ids behind ``after``. Answers with the orders among them to which nothing has happened since
        ``before``, nothing applied, refused, owed or under way, and with the last id walked ("": there are no more)."""

    async def delete(self, orders: Sequence[Order], before: float) -> list[str]:
        """Delete, in one transaction, those that have not moved and are still inactive, with all their rows: journal, refusals, effects,
        deadlines, reads, the key that created them. Answers with the ids that are gone."""

    async def sweep_inbox(self, after: tuple[str, str], limit: int) -> tuple[str, str] | None:
        """Walk the next ``limit`` inbox rows behind ``after`` (origin, key) and delete those whose order is gone; the last one walked
        (None: there are no more)."""

    async def redact(self, order: Order, row: JournalRow) -> str | None:
        """Store the order as given, with this journal row, and empty what may be personal beside it: notes, refusals' details, why
        effects ended as they did, the create fingerprint. None once that is done. Else nothing is written, and the answer says why: the
        name of an effect that is owed, or whose call is under way (wanted or not, until its lease has ended, by the row's clock); ""
        where the order is not at the version before the row's."""

    async def lease_effects(
        self, now: float, scope: WorkerScope, limit: int, among: Collection[EffectKey] | None = None
    ) -> list[LeasedEffect]:
        """Take due effects within the scope, of these keys only where some are given; the attempt is committed before this returns."""

    async def retry_effect(self, effect: LeasedEffect, at: float, why: str, uncounted: bool = False) -> None:
        """The attempt was answered "not executed": owed again at ``at``. A superseded attempt changes nothing. ``uncounted``: it does
        not count against the budget."""

    async def finish_effect(self, effect: LeasedEffect, why: str = "") -> None:
        """Done without an event (the host was told, or the budget of an effect without replies is spent)."""

    async def lease_polls(self, now: float, scope: WorkerScope, limit: int) -> list[LeasedPoll]:
        """Take due reads within the scope."""

    async def throttle(self, provider: str, until: float) -> None:
        """The provider asked all of us to wait: none of our processes calls it before then. An earlier moment changes nothing."""

    async def throttled_until(self) -> Mapping[str, float]:
        """Until when each provider is not to be called; moments that have passed may be among them."""

    async def plan_poll(self, order_id: str, now: float, plan: PollPlan) -> None:
        """Plan a read outside a decision (a failed read, a notice without an event)."""

    async def bring_polls_forward(self, provider: str, now: float, interval: float, limit: int) -> int:
        """A shared notice: bring forward the ``limit`` orders of the provider that were read longest ago."""

    async def due_deadlines(self, now: float, scope: WorkerScope, limit: int) -> list[DueDeadline]:
        """Deadlines within the scope that have come."""

    async def next_due(self, scope: WorkerScope) -> float | None:
        """When the next effect, read or deadline within the scope is due."""

    async def add_listeners(self, pairs: Collection[tuple[str, str]]) -> None:
        """Remember that some process wants to be told of these (provider, state) pairs."""

    async def listeners(self) -> frozenset[tuple[str, str]]:
        """What any process ever wanted to be told of, and nobody forgot."""

    async def pending_notifications(self) -> Mapping[tuple[str, str], int]:
        """How often the host is still to be told, by (provider, state)."""

    async def remove_listener(self, provider: str, state: str, why: str, limit: int) -> int:
        """Nobody is to be told of this pair any more: it is no listener, and at most ``limit`` of its owed pending_notifications end, with
        ``why``, in one transaction. Answers with how many; a telling that is under way goes on, and is not made again."""
