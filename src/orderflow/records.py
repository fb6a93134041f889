"""The frozen records that cross the seams between providers, engine, store and host. No behaviour lives here.

All times are epoch seconds (float), all durations seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from orderflow.vocabulary import Decision, Origin, Reason, Snapshot

if TYPE_CHECKING:
    from attrs import frozen as record
else:
    # Frozen for the type checker alone: these are made anew for each event, and to make a truly frozen one costs four times as much.
    record = partial(define, unsafe_hash=True)

PROVIDER_ID = "provider_id"
"""The key in an order's data under which the provider's id of the order stands."""

REDACTED = "redacted"
"""The key in the data of a redacted order: nothing personal is written to it any more. One redacted before this key existed lacks it."""

TELL_HOST = "tell_host"
"""The effect by which the host is told of an entered state; owed by the engine, not declared by lifecycles."""


@record
class Order:
    """An order as it stands. ``key`` is the caller's idempotency key, ``entered_at`` when it entered its state."""

    id: str
    provider: str
    key: str
    snapshot: Snapshot
    created_at: float
    entered_at: float
    flagged: bool = False  # the provider said something since the last transition that a person should look at

    @property
    def state(self) -> str:
        """The state it is in."""
        return self.snapshot.state

    @property
    def version(self) -> int:
        """How many steps it has taken."""
        return self.snapshot.version

    @property
    def provider_id(self) -> str | None:
        """The provider's id of this order, once known."""
        found = self.snapshot.data.get(PROVIDER_ID)
        return str(found) if found is not None else None


@frozen
class Draft:
    """What a provider makes of a create request: the facts that guards will read, the data that only it understands."""

    facts: Mapping[str, bool | str]
    data: Mapping[str, object] = field(repr=False)


@frozen
class Happened:
    """An effect's answer: the event it amounts to. ``provider_id`` where the answer names the order."""

    event: str
    data: Mapping[str, object] = field(factory=dict, repr=False)
    provider_id: str | None = None
    note: str = ""


@frozen
class NotExecuted:
    """The provider certainly did not act (connect failure, 401 after a refresh, 429). Sent again until the budget is spent."""

    why: str
    retry_after: float | None = None
    throttled: bool = False  # the provider asked all of us to slow down (429)
    unreachable: bool = False  # no connection, or nobody there who could answer (5xx)
    denied: bool = False  # our credentials were not taken (401)
    uncalled: bool = False  # nobody was called, for want of a user's token: no sign of how the provider is


@frozen
class Declined:
    """The provider answered no (400, 403, 404, 200 with ERROR), or was not asked: the user is gone."""

    why: str
    uncalled: bool = False  # as NotExecuted's


@frozen
class InDoubt:
    """Nobody knows whether the provider acted (read timeout, reset, 5xx, an unusable 2xx)."""

    why: str


@frozen
class Nothing:
    """Asked and answered, with nothing to report (a search without a hit). Asked again until the budget is spent."""

    why: str


Outcome = Happened | NotExecuted | Declined | InDoubt | Nothing


@frozen
class Seen:
    """A status read: the provider's word."""

    status: str
    data: Mapping[str, object] = field(factory=dict, repr=False)
    mismatch: str = ""  # a field of the answer that is not our order's
    note: str = ""  # kept in the journal if the order moves


@frozen
class Unread:
    """A status read that brought no word."""

    why: str
    retry_after: float | None = None
    throttled: bool = False  # as NotExecuted's
    unreachable: bool = False  # no connection, no whole answer, or a 5xx
    denied: bool = False  # as NotExecuted's


@frozen
class Told:
    """What the host is told when an order enters a state: at least once, with a stable ``key``."""

    key: str
    order: Order
    state: str
    version: int
    provisional: bool  # proof may still overrule this end
    inferred: bool  # passed on the way to what was observed, or reached by a jump


@frozen
class Listener:
    """A state that some process wants to be told of, or wanted; ``owed``: how many tellings are not carried out yet."""

    provider: str
    state: str
    owed: int


@frozen
class Claimed:
    """What an inlet understood of a request: the claim event (None: only bring the read forward) and the value that,
    with the token, makes it one of a kind."""

    event: str | None
    value: str = ""


@frozen
class Inlet:
    """A place where redirects, callbacks or notifications come in.

    ``purpose`` is its path segment and part of the token's signature; ``understand`` gets the raw query pairs.
    ``page`` is the key in the order's data of the shop's page that a browser is sent on to ("": no browser here).
    ``shared``: the URL names no order; one notice brings forward the oldest-read orders of the provider.
    """

    purpose: str
    methods: tuple[str, ...]
    understand: Callable[[Sequence[tuple[str, str]]], Claimed]
    page: str = ""
    shared: bool = False


@frozen
class Timing:
    """Configuration of one provider's clockwork. ``durations`` holds what the lifecycle's deadlines and budgets name."""

    durations: Mapping[str, float]
    read_first: float = 2.0  # from a transition to the next read
    read_growth: float = 2.0  # each read without news multiplies the wait
    read_cap: float = 3600.0
    read_jitter: float = 0.2  # share of the wait that is drawn at random
    read_interval: float = 1.0  # at most one read per order in this time
    effect_attempts: int = 6  # how often a not-executed effect is sent before it counts as undelivered
    effect_first: float = 1.0
    effect_cap: float = 300.0
    lease: float = 60.0  # silence after which another worker takes an effect or read over
    notice_fanout: int = 20  # how many orders one shared notice brings forward
    calls_per_second: float = inf  # what one process may begin, an effect or a read counting as one call; never less than one
    calls_per_minute: float = inf
    throttle: float = 30.0  # no process calls for so long after a 429 that does not say how long
    outage_after: int = 5  # calls in a row without a usable answer, after which this process makes a pause
    outage_pause: float = 10.0  # and this long it is; then one call at a time until one is answered


@record
class JournalRow:
    """One step of an order's path."""

    order_id: str
    version: int
    event: str
    origin: Origin
    source: str
    target: str
    kind: str  # vocabulary.Kind
    at: float
    note: str = ""


@frozen
class RefusalRow:
    """What was ignored or refused: one row per (order, event, state, reason), counted."""

    order_id: str
    event: str
    origin: Origin
    state: str
    reason: Reason
    detail: str
    version: int  # the order's when it last happened
    count: int
    first_at: float
    last_at: float


@frozen
class WholeOrder:
    """All that is told of an order: what retention exports."""

    order: Order
    journal: tuple[JournalRow, ...]
    refusals: tuple[RefusalRow, ...]


@frozen
class EffectKey:
    """The idempotency key of an effect: order, version, n."""

    order_id: str
    version: int
    n: int

    def __str__(self) -> str:
        return f"{self.order_id}:{self.version}:{self.n}"


@frozen
class EffectRow:
    """An effect that is still owed. ``in_flight``: an attempt was begun and has no answer yet; ``run_at`` is then when its lease
    ends, else when it is due. ``why``: how the last attempt ended."""

    key: EffectKey
    name: str
    about: str  # the state that the host is to be told of
    attempt: int
    in_flight: bool
    run_at: float
    why: str


@frozen
class Pending:
    """What is still to come for an order."""

    effects: tuple[EffectRow, ...]
    read_at: float | None  # when it is read next; None: no read is planned
    deadlines: tuple[tuple[str, float], ...]  # each event and when it comes, the soonest first


@frozen
class LeasedEffect:
    """An effect in our hands until the lease ends. ``unanswered``: an earlier attempt was begun and never answered."""

    key: EffectKey
    name: str
    provider: str
    attempt: int
    unanswered: bool
    about: str = ""  # the state that the host is to be told of
    spared: int = 0  # attempts that do not count against the budget: the provider had asked us to wait
    trace: str = ""  # as OwedEffect's
    until: float = inf  # when the lease ends


@frozen
class LeasedRead:
    """A status read in our hands until the lease ends; ``tries`` reads in a row brought no news."""

    order_id: str
    provider: str
    tries: int
    until: float = inf  # when the lease ends


@frozen
class DueDeadline:
    """A deadline that has come: the event it brings, and the version that armed it."""

    order_id: str
    name: str
    provider: str
    version: int


@record
class OwedEffect:
    """An effect to be written with a commit."""

    version: int
    n: int
    name: str
    about: str = ""
    trace: str = ""  # W3C traceparent of the decision that owes it; "" where nobody watches


@frozen
class Scope:
    """What a worker can do: the providers it has, each with its lease in seconds, and the (provider, state) pairs it can tell
    the host of. Nothing outside its scope is taken: another process will. ``silent``: providers that are not to be called now;
    their deadlines come and the host is told all the same. ``rooms``: how often those may be called now that are not silent, where
    that is limited; whoever takes for a worker keeps to it (``engine.shares``), the store does not count."""

    leases: Mapping[str, float]
    heard: frozenset[tuple[str, str]]
    silent: frozenset[str] = frozenset()
    rooms: Mapping[str, int] = field(factory=dict)


@frozen
class ReadAt:
    """Plan the next read: at ``at``, or at once if one was asked for meanwhile; never within ``interval`` of the last."""

    at: float
    tries: int
    interval: float


@frozen
class ReadForward:
    """Bring the next read forward to now, within the interval; remembered where none is planned yet."""

    interval: float


@frozen
class ReadStop:
    """No read can move this order any more."""


ReadPlan = ReadAt | ReadForward | ReadStop


@record
class Commit:
    """Everything that one decision writes; whole or not at all."""

    decision: Decision
    at: float
    journal: tuple[JournalRow, ...] = ()  # each at ``at``
    effects: tuple[OwedEffect, ...] = ()
    refusal: RefusalRow | None = None
    deadlines: tuple[tuple[str, float], ...] | None = None  # None: leave as they are; else these replace all
    effect_done: EffectKey | None = None
    drop_effects: bool = False  # what lifecycles still owe for this order is not wanted any more
    read: ReadPlan | None = None
    remember: bool = True  # whether the inbox key is kept


@record
class InboxKey:
    """What makes an event one of a kind."""

    origin: str
    key: str


@record
class Receipt:
    """What became of an event: the decision, and the state and version of the order after it."""

    decision: Decision
    state: str
    version: int


Judge = Callable[[Order], Commit]
"""Pure: called with the order as it stands (but for ``flagged``, which nothing is decided by), again after a lost race."""
