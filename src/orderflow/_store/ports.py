"""The interface between engine and store. All times are epoch seconds, all durations seconds.

Every method that reaches the database raises ``OperationalError`` where the database cannot be reached or refuses, and ``NotOpen`` (one
of these) before ``open`` and after ``close``. A method about one order raises ``UnreadableRow`` (another one) where a row of it is
damaged. Lists and leases leave such a row out and log its order. One suite of contract tests holds for every implementation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from orderflow._flagged import FailingNotification
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
from orderflow.errors import ConfigurationError
from orderflow.model import EffectKey, JournalRow, Message, Order, Pending, ProviderProblem, RefusalRow


def make_used_id_error() -> ConfigurationError:
    """What ``Store.create`` raises where another order has the new order's id."""
    return ConfigurationError("returned an id that another order has", "new_id")


class Store(Protocol):
    """Keeps orders, journals, refusals, owed effects, deadlines, polls, listeners and the inbox."""

    async def open(self) -> None:
        """Connect, and bring the schema up to date.

        Raises:
            SchemaError: the schema is newer than this code, damaged, or not ours. Nothing was changed.
        """

    async def close(self) -> None:
        """Finish what was submitted, and disconnect."""

    async def create(self, order: Order, fingerprint: str, deadlines: Sequence[tuple[str, float]] = ()) -> Order:
        """Store a new order, in its journal the row of its creation, and its ``deadlines``: events, and when each is due.

        Returns it, or the order that the same provider and key made before.

        ``fingerprint`` stands for the content of the request.

        Raises:
            KeyReused: the key made an order with another fingerprint. A redacted order has none, and matches any.
            InvalidInput: the order is created with a provider's id that another order has.
            ConfigurationError: another order has its id.
        """

    async def commit(
        self, order_id: str, key: InboxKey | None, decider: Decider, deadline: DueDeadline | None = None, call: ReportedCall | None = None
    ) -> Receipt:
        """Load the order, decide, write: whole or not at all. Returns once the commit is durable.

        ``key``: a second event with it is ``Ignored(DUPLICATE)``, and nothing is decided or written. Where its fingerprint is another,
        the key was used for something else.
        ``deadline``: the deadline that brings this event. It is deleted with the decision, whatever that is. Where it was disarmed or
        armed anew meanwhile, the event is ``Ignored(STALE)``, and nothing is decided or written.
        ``call``: the call whose end this event reports. Where that ended before, and the order was given a later call of the same kind,
        ``call.decide_late`` decides in place of ``decider``.
        Where the commit gives the order a provider's id that another order has, ``id_change.plan_taken`` says what is written instead.

        Raises:
            UnknownName: no such order. What ``decider`` raises is passed on.
            KeyReused: the event has the key of another. Keys that were stored without a fingerprint match any event.
        """

    async def load(self, order_id: str) -> Order:
        """The order as it stands.

        Raises:
            UnknownName: no such order.
        """

    async def find_by_provider_id(self, provider: str, provider_id: str) -> Order:
        """The order of a provider to which this id of the provider's belongs, as it stands.

        Raises:
            UnknownName: it belongs to none.
        """

    async def load_records(self, order_id: str) -> OrderRecords:
        """The order, its journal and what is still to come, in one snapshot of the database: no commit lies between them.

        Raises:
            UnknownName: no such order.
        """

    async def orders(self, *, provider: str = "", state: str = "", entered_before: float | None = None, limit: int = 100) -> list[Order]:
        """Up to ``limit`` orders, the newest first. ``provider`` and ``state``: only these ("": all).

        With ``entered_before``: those in their state since before that time, the longest first.
        """

    async def journal(self, order_id: str, *, creation: bool = False) -> list[JournalRow]:
        """The steps of an order, the oldest first; empty where there is no such order. ``creation``: before them the row of its creation,
        of version 0, if it has one: orders that older versions made have none."""

    async def refusals(self, order_id: str) -> list[RefusalRow]:
        """What was refused or ignored for an order, the oldest first."""

    async def messages(self, order_id: str) -> list[Message]:
        """What the provider answered for an order, the latest last; empty where there is no such order."""

    async def add_message(self, message: Message) -> None:
        """Keep a message outside a decision.

        It is not kept where the order is gone, or was redacted. An equal message (source, status, body) is counted, unless it did not
        come later than the one that is there: then it is the same answer, written again. At most ``MAX_MESSAGES`` are kept.
        The other methods that take a message keep it in the same way, in the transaction of what they write.
        """

    async def pending(self, order_id: str) -> Pending:
        """What is still to come for an order: owed effects, the next poll, deadlines."""

    async def list_inactive(self, before: float, after: str, limit: int, provider: str = "") -> tuple[list[Order], str]:
        """One page of a walk over all orders by id: the next ``limit`` ids behind ``after`` ("": from the start).

        Returns the orders of the page to which nothing has happened since ``before`` (nothing applied, refused, owed or under way), and
        the last id of the page ("": the walk is over).
        """

    async def delete(self, orders: Sequence[Order], before: float) -> list[str]:
        """Delete orders in one transaction, each with its journal, refusals, messages, effects, deadlines, poll and create key.

        An order stays where it has moved since it was loaded, or is no longer inactive since ``before``. ``before`` is kept: see
        ``find_kept``.
        Returns the ids of ``orders`` that do not exist any more.
        """

    async def sweep_inbox(self, after: tuple[str, str], limit: int) -> tuple[str, str] | None:
        """One page of a walk over the inbox: delete, of the next ``limit`` rows behind ``after`` (origin, key), those without an order.

        Returns the last row of the page; None: the walk is over.
        """

    async def redact(self, order: Order, row: JournalRow) -> str | None:
        """Store the order as given, with this journal row, and empty what may be personal beside it.

        That is: notes, the data of its steps, the details of refusals, why effects ended, and the fingerprints of its create key and of its
        commands' keys.
        Its messages are deleted, and none is kept for it from now on.

        Returns None once that is done. Otherwise nothing is written, and the result is the reason. The name of an effect: it is owed, or
        its call is in progress at ``row.at``. An empty text: the order is not at the version before the row's.
        """

    async def doubt_owed_calls(self, now: float, until: float, by: str) -> None:
        """The database was restored from a backup: no call that is owed may be taken for one that was never sent.

        Each counts as sent and never answered, no attempt holds it any more, and the next begins not before ``until``. Every planned poll
        is due now. Deadlines that were released are not. At the end it is kept that a restore was declared ``now``, ``by`` whom.
        May be called again, also after a call that failed.
        """

    async def list_open_work(self) -> OpenWork:
        """All calls that are owed, and all orders that are polled."""

    async def find_kept(self, order_ids: Sequence[str]) -> KeptCommits:
        """What there still is of orders that this process committed: those that are gone have no version.

        ``PRUNED`` is the latest ``before`` with which ``delete`` deleted an order, ``RESTORED`` when a restore was declared last.
        """

    async def lease_effects(
        self, now: float, scope: WorkerScope, limit: int, among: Collection[EffectKey] | None = None
    ) -> list[LeasedEffect]:
        """Lease up to ``limit`` due effects within the scope, those due for longest first; ``among``: only those with these keys.

        The attempt is committed before this returns. A lease lasts as long as the scope says for the provider.
        """

    async def mark_sending(self, effect: LeasedEffect, now: float) -> bool:
        """The request of this attempt is about to be sent. From now on its end is unknown, until ``retry_effect`` says that it was not
        executed. A later lease does not change that.

        Returns whether that was written. If not, nothing may be sent: another attempt began, the effect is not owed any more, or the
        lease is over.
        """

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
        """The attempt was not executed, or may be repeated: the effect is due again at ``at``. ``why`` is kept and shown to operators.

        ``may_be_executed``: it, or an attempt before it, was sent, and how that ended is unknown; later leases know it.
        ``uncounted``: the attempt does not count against the retry budget. Where the effect was leased again meanwhile, or is not owed any
        more, nothing changes but that ``message`` is kept.
        """

    async def finish_effect(self, effect: LeasedEffect, why: str = "", message: Message | None = None) -> None:
        """The effect ends without an event: the listener was notified, or the budget of an effect without replies is spent.

        As with ``retry_effect``, only the latest attempt changes anything.
        """

    async def lease_polls(self, now: float, scope: WorkerScope, limit: int) -> list[LeasedPoll]:
        """Lease up to ``limit`` due polls of the scope's providers that are not paused, those due for longest first."""

    async def throttle(self, provider: str, until: float) -> None:
        """The provider asked not to be called until then, by any process. A time before the one that is stored changes nothing."""

    async def read_standings(self) -> Mapping[str, StoredStanding]:
        """What all processes share about each provider. Times that have passed may be among it."""

    async def report_problem(self, provider: str, problem: ProviderProblem, status: int | None, at: float, held_until: float) -> bool:
        """A process saw a problem of a provider, last at ``at``. Returns whether it begins: no problem stood there, or another one.

        It does not begin where an answer that came after ``at`` has ended a problem, or an operator has lifted one.
        """

    async def end_problem(self, provider: str, problem: ProviderProblem, at: float) -> bool:
        """An answer that came at ``at`` has ended a problem. Returns whether it stood there."""

    async def lift_standing(self, provider: str, at: float, by: str) -> None:
        """An operator, ``by``, has calls tried at once: problem and throttle are cleared."""

    async def plan_poll(self, order_id: str, now: float, plan: PollPlan, message: Message | None = None) -> None:
        """Plan a poll outside a decision: after a poll that failed, with what it was answered, or for a notice without an event.

        Raises:
            UnknownName: no such order.
        """

    async def bring_polls_forward(self, provider: str, now: float, interval: float, limit: int) -> int:
        """The provider sent one notice for all its orders: bring forward the ``limit`` polls that were made longest ago, each not within
        ``interval`` of its last. Returns how many."""

    async def due_deadlines(self, now: float, scope: WorkerScope, limit: int) -> list[DueDeadline]:
        """Up to ``limit`` deadlines of the scope's providers that have come and do not wait, the oldest first. They are not leased."""

    async def poll_before_deadline(self, deadline: DueDeadline, now: float, until: float, interval: float) -> None:
        """Let a deadline wait until a poll that began after it is answered, at most ``until``; bring the order's poll forward, but not
        within ``interval`` of the last. Nothing changes where the deadline waited before or is gone, or no poll is planned."""

    async def postpone_deadline(self, deadline: DueDeadline, due_at: float) -> None:
        """The deadline comes again at ``due_at``, as if it had been armed for that time."""

    async def next_due(self, scope: WorkerScope) -> float | None:
        """When the next effect, poll or deadline within the scope is due; None: nothing is."""

    async def add_listeners(self, pairs: Collection[tuple[str, str]]) -> None:
        """Remember that some process has a listener for each of these (provider, state) pairs."""

    async def listeners(self) -> frozenset[tuple[str, str]]:
        """The (provider, state) pairs for which any process ever had a listener, but for those that were removed."""

    async def pending_notifications(self) -> Mapping[tuple[str, str], int]:
        """How many notifications are owed, by (provider, state)."""

    async def failing_notifications(self, failures: int, limit: int) -> list[FailingNotification]:
        """Up to ``limit`` notifications that are owed after that many failures or more, those owed for longest first."""

    async def remove_listener(self, provider: str, state: str, why: str, limit: int) -> int:
        """Remove a listener, and end up to ``limit`` of its owed notifications, in one transaction. ``why`` is kept with them.

        Returns how many were ended. A notification that is being sent goes on, and is not sent again.
        """
