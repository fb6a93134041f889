"""The seams, as Protocols: what a provider brings, what the engine wants of a store, what the host passes in. No behaviour lives here.

The records that cross them are in records.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from orderflow.lifecycle.table import Table
from orderflow.records import (
    Draft,
    DueDeadline,
    EffectKey,
    InboxKey,
    Inlet,
    JournalRow,
    Judge,
    LeasedEffect,
    LeasedRead,
    Order,
    Outcome,
    Pending,
    ReadPlan,
    Receipt,
    RefusalRow,
    Scope,
    Seen,
    Timing,
    Unread,
)


class Clock(Protocol):
    """Time, passed in."""

    def now(self) -> float:
        """Epoch seconds."""

    async def sleep(self, seconds: float) -> None:
        """Return after this many seconds."""


class TokenSource(Protocol):
    """The host's: a user's access token at the moment of sending. Never stored by orderflow."""

    async def token(self, order_id: str) -> str | None:
        """The token, or None where the user is gone: the effect is then refused, fault caller."""


class Links(Protocol):
    """Our own public URLs, signed per order and purpose. They authorise a read and nothing else."""

    def url(self, provider: str, purpose: str, order_id: str = "") -> str | None:
        """The absolute URL of an inlet, for one order or shared; the same each time. None where we have no public URL."""


class Provider(Protocol):
    """A provider's manifest and adapter: one folder, or a package outside with an entry point in ``orderflow.providers``.

    It may have four things more: ``warnings`` (what its configuration cannot do, said at start-up), ``returning`` (commands after which
    a browser comes back to us: refused without a public URL), ``timeout`` (seconds of silence after which it gives a call up: refused
    where one silence could last as long as a whole call may take) and ``offline()`` (itself, unable to call, for the command line).
    """

    @property
    def name(self) -> str:
        """As in ``flow.create(name, ...)``."""

    @property
    def table(self) -> Table:
        """The compiled lifecycle."""

    @property
    def timing(self) -> Timing:
        """Deadlines, budgets, reads, retries."""

    @property
    def inlets(self) -> tuple[Inlet, ...]:
        """Where the receiver listens for it."""

    def draft(self, request: Mapping[str, object]) -> Draft:
        """Check a create request and derive its facts.

        Raises:
            InvalidInput, UnknownName: before anything is stored.
        """

    def command(self, command: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        """Check a command's (or operator event's) arguments; answers with the data to keep if it is applied
        (``PROVIDER_ID`` among them where an operator names the provider's order).

        Raises:
            InvalidInput: before anything is stored.
        """

    async def perform(self, effect: str, order: Order, links: Links) -> Outcome:
        """Carry out an effect: one call, no retries beyond one token refresh. Never raises for what the provider does."""

    def customer_url(self, order: Order, links: Links) -> str | None:
        """Where the customer's browser goes now; the same each time. None where it goes nowhere."""

    async def read(self, order: Order) -> Seen | Unread:
        """Read the order's status. Never raises for what the provider does."""

    async def close(self) -> None:
        """Release connections."""


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

    async def commit(self, order_id: str, key: InboxKey | None, judge: Judge, deadline: DueDeadline | None = None) -> Receipt:
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

    async def aged(self, before: float, after: str, limit: int, provider: str = "") -> tuple[list[Order], str]:
        """Walk the next ``limit`` ids behind ``after``. Answers with the orders among them to which nothing has happened since
        ``before``, nothing applied, refused, owed or under way, and with the last id walked ("": there are no more)."""

    async def delete(self, orders: Sequence[Order], before: float) -> list[str]:
        """Delete, in one transaction, those that have not moved and are still aged, with all their rows: journal, refusals, effects,
        deadlines, reads, the key that created them. Answers with the ids that are gone."""

    async def sweep_inbox(self, after: tuple[str, str], limit: int) -> tuple[str, str] | None:
        """Walk the next ``limit`` inbox rows behind ``after`` (origin, key) and delete those whose order is gone; the last one walked
        (None: there are no more)."""

    async def redact(self, order: Order, row: JournalRow) -> str | None:
        """Store the order as given, with this journal row, and empty what may be personal beside it: notes, refusals' details, why
        effects ended as they did, the create fingerprint. None once that is done. Else nothing is written, and the answer says why: the
        name of an effect that is owed, or whose call is under way (wanted or not, until its lease has ended, by the row's clock); ""
        where the order is not at the version before the row's."""

    async def lease_effects(self, now: float, scope: Scope, limit: int, among: Collection[EffectKey] | None = None) -> list[LeasedEffect]:
        """Take due effects within the scope, of these keys only where some are given; the attempt is committed before this returns."""

    async def retry_effect(self, effect: LeasedEffect, at: float, why: str, spare: bool = False) -> None:
        """The attempt was answered "not executed": owed again at ``at``. A superseded attempt changes nothing. ``spare``: it does
        not count against the budget."""

    async def finish_effect(self, effect: LeasedEffect, why: str = "") -> None:
        """Done without an event (the host was told, or the budget of an effect without replies is spent)."""

    async def lease_reads(self, now: float, scope: Scope, limit: int) -> list[LeasedRead]:
        """Take due reads within the scope."""

    async def block(self, provider: str, until: float) -> None:
        """The provider asked all of us to wait: none of our processes calls it before then. An earlier moment changes nothing."""

    async def blocked(self) -> Mapping[str, float]:
        """Until when each provider is not to be called; moments that have passed may be among them."""

    async def plan_read(self, order_id: str, now: float, plan: ReadPlan) -> None:
        """Plan a read outside a decision (a failed read, a notice without an event)."""

    async def notice(self, provider: str, now: float, interval: float, limit: int) -> int:
        """A shared notice: bring forward the ``limit`` orders of the provider that were read longest ago."""

    async def due_deadlines(self, now: float, scope: Scope, limit: int) -> list[DueDeadline]:
        """Deadlines within the scope that have come."""

    async def next_due(self, scope: Scope) -> float | None:
        """When the next effect, read or deadline within the scope is due."""

    async def listen(self, pairs: Collection[tuple[str, str]]) -> None:
        """Remember that some process wants to be told of these (provider, state) pairs."""

    async def listeners(self) -> frozenset[tuple[str, str]]:
        """What any process ever wanted to be told of, and nobody forgot."""

    async def tellings(self) -> Mapping[tuple[str, str], int]:
        """How often the host is still to be told, by (provider, state)."""

    async def forget(self, provider: str, state: str, why: str, limit: int) -> int:
        """Nobody is to be told of this pair any more: it is no listener, and at most ``limit`` of its owed tellings end, with
        ``why``, in one transaction. Answers with how many; a telling that is under way goes on, and is not made again."""


class Dispatcher(Protocol):
    """Brings owed effects to the worker of this process. One contract suite for every implementation.

    The effect's row stays the truth: its attempt is committed before the call, it alone schedules retries, it ends with its result.
    Whatever else a dispatcher keeps only points at the row; where that is lost, the row is found again within the lease.
    """

    async def open(self, stir: Callable[[], None]) -> None:
        """Begin; the store is open. ``stir`` may be called whenever there may be something to take.

        Raises:
            ConfigurationError: the store cannot serve it; OperationalError: its part of the database cannot be reached.
        """

    async def close(self) -> None:
        """Let go; what was taken has ended, or is left to its lease."""

    async def take(self, now: float, scope: Scope, limit: int) -> list[LeasedEffect]:
        """Effects to be carried out by this process now, leased: at most ``limit``, of each provider at most its room."""

    async def ended(self, effect: LeasedEffect, again_at: float | None = None) -> None:
        """It was carried out and its row written: done, or (``again_at``) owed again from that moment on."""


class Span(Protocol):
    """Something that is going on, watched."""

    @property
    def trace(self) -> str:
        """Its W3C traceparent, by which a later span can link to it; "" where nobody watches."""

    def note(self, **about: str | int) -> None:
        """Say more about it. Never an order's data, never an exception's message."""


class Telemetry(Protocol):
    """Who watches the engine at work."""

    def span(self, name: str, about: Mapping[str, str | int], cause: str | None = None) -> AbstractContextManager[Span]:
        """Watch a ``decision``, ``effect``, ``read`` or ``deadline``: part of what is going on here, or (``cause``: the traceparent
        of what led to it, "" where that is unknown) a trace of its own that links to it."""

    def stepped(self, lifecycle: str, source: str, target: str, origin: str, kind: str) -> None:
        """An order took a step."""
