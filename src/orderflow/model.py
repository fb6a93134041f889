"""The records and enums that users see: orders, journal rows, decisions, events. No behaviour lives here.

All times are epoch seconds (float), all durations seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen


class Origin(StrEnum):
    """Who says that something happened. It belongs to the event, and decides what the event may prove."""

    COMMAND = "command"  # our caller
    REPLY = "reply"  # the provider's authenticated answer to our own call
    OBSERVATION = "observation"  # an authenticated status poll
    CLAIM = "claim"  # a redirect, callback or notification: anyone could have sent it
    CLOCK = "clock"  # a deadline of ours
    OPERATOR = "operator"  # a person, audited


class Cause(StrEnum):
    """Who made the transition happen in the world, as far as the documents say."""

    CUSTOMER = "customer"
    PROVIDER = "provider"
    EMPLOYEE = "employee"
    US = "us"
    CLOCK = "clock"


class Strength(StrEnum):
    """How sure an edge is: stated by the provider, concluded from its text, or our assumption."""

    DOCUMENTED = "documented"
    INFERRED = "inferred"
    ASSUMED = "assumed"


class StepKind(StrEnum):
    """What a journal row is."""

    STEP = "step"  # an edge, decided from an event
    INFERRED = "inferred"  # an edge passed on the only way to what was observed; not itself seen
    JUMP = "jump"  # an observation several edges ahead, by more than one possible way
    OVERRIDE = "override"  # an operator's move outside the table
    REDACTION = "redaction"  # no move: an operator had the personal data removed
    CREATED = "created"  # version 0: the order as it was created


class Reason(StrEnum):
    """Why an event was refused or ignored."""

    NOT_LEGAL_HERE = "not legal here"
    GUARD_FAILED = "guard failed"
    DOES_NOT_FIT = "does not fit the order"  # the provider's check of a command against the order as it stands
    WRONG_ORIGIN = "wrong origin"
    ANOMALY = "anomaly"  # what the provider reports contradicts the lifecycle
    UNKNOWN_STATUS = "unknown status"  # a status outside the provider's vocabulary
    NOT_OURS = "not ours"  # a reply or poll that names another order
    UNUSABLE = "unusable answer"  # a poll was answered, and the answer could not be used
    NO_USABLE_ANSWER = "no usable answer"  # so many polls in a row that a person should look
    NO_NEWS = "no news"
    LATE = "late"
    EARLY = "early"
    DUPLICATE = "duplicate"
    STALE = "stale"


FLAGGING_REASONS = frozenset({Reason.ANOMALY, Reason.UNKNOWN_STATUS, Reason.NOT_OURS, Reason.NO_USABLE_ANSWER})
"""Reasons that flag an order until its next transition: a person should look."""


class ProviderProblem(StrEnum):
    """What can be wrong with a provider, as far as its answers show."""

    DOES_NOT_ANSWER = "does not answer"  # no connection, no whole response, a 5xx, or a call that ended in doubt
    LOGIN_FAILS = "its login server fails"  # so there is no access token, and nothing is sent
    ANOTHER_SERVER = "another server answers in its place"  # a proxy or a firewall
    REFUSES_CREDENTIALS = "refuses our credentials"
    UNUSABLE_ANSWERS = "its answers cannot be used"  # those to status polls
    THROTTLED = "throttled"  # it answered 429


@frozen
class Evidence:
    """What an edge rests on: how sure, and the page (tags as in the provider's dossier)."""

    strength: Strength
    page: str


@frozen
class Effect:
    """A named intention towards the outside. ``kind`` names the replies that report a failure (see ``failures``); empty: it reports only
    success. ``arguments`` names the data that each of its calls gets a copy of: what the command that owes it gave, else the order's.
    ``successes``: the replies by which an adapter may report that the provider acted. ``safe``: a call changes nothing at the provider."""

    name: str
    kind: str
    once: bool
    arguments: tuple[str, ...] = ()
    successes: tuple[str, ...] = ()
    safe: bool = False

    @property
    def replies(self) -> tuple[str, ...]:
        """Every reply by which one of its calls may end."""
        return (*self.successes, *self.failures)

    @property
    def failures(self) -> tuple[str, ...]:
        """The replies by which the engine reports that a call failed; none where there is no kind."""
        if not self.kind:
            return ()
        endings = ("refused", "undelivered") if self.safe else ("refused", "undelivered", "answer_lost")
        return tuple(f"{self.kind}_{ending}" for ending in endings)

    @property
    def unknown_end(self) -> str:
        """The reply by which the engine reports that a call may have been executed, or not. Of a safe effect: that it was not."""
        return f"{self.kind}_undelivered" if self.safe else f"{self.kind}_answer_lost"


@frozen
class Event:
    """Something that happened or is wanted. ``data`` is merged into the order's data if it is applied;
    ``provider_id`` is the provider's id of the order that a reply speaks of, where it names one."""

    name: str
    origin: Origin
    data: Mapping[str, object] = field(factory=dict, repr=False)
    provider_id: str | None = None
    note: str = ""  # kept in the journal: who did it and why, for operator events


@frozen
class Observation:
    """The status that an authenticated poll found; the poll began when the order was at ``version``.
    ``mismatch`` names a field of the answer that is not our order's (``""``: none)."""

    status: str
    version: int
    data: Mapping[str, object] = field(factory=dict, repr=False)
    mismatch: str = ""
    note: str = ""  # kept in the journal if the order moves


@frozen
class Snapshot:
    """An order at one version: state, facts (readable by guards), data (opaque to them)."""

    state: str
    facts: Mapping[str, bool | str]
    data: Mapping[str, object] = field(repr=False)  # holds personal data
    version: int

    @property
    def provider_id(self) -> str | None:
        """The provider's id of the order, once known."""
        provider_id = self.data.get(PROVIDER_ID)
        return str(provider_id) if provider_id is not None else None


@frozen
class Step:
    """One move: a journal row and a version. ``facts``: those that it sets."""

    event: str
    origin: Origin
    source: str
    target: str
    kind: StepKind
    effects: tuple[Effect, ...] = ()
    note: str = ""
    facts: Mapping[str, bool | str] = field(factory=dict, hash=False)


@frozen
class Applied:
    """The order moves: 1..n steps, then stands at ``snapshot``."""

    steps: tuple[Step, ...]
    snapshot: Snapshot


@frozen
class Ignored:
    """The event was understood and changes nothing."""

    reason: Reason
    state: str
    detail: str = ""


@frozen
class Refused:
    """The event may not happen now; ``legal`` are the commands and operator events that may."""

    reason: Reason
    state: str
    detail: str = ""
    legal: tuple[str, ...] = ()


Decision = Applied | Ignored | Refused


PROVIDER_ID = "provider_id"
"""The key in an order's data under which the provider's id of the order stands."""


REDACTED = "redacted"
"""The key in the data of a redacted order: nothing personal is written to it any more. One redacted before this key existed lacks it."""


NOTIFY_LISTENER = "notify_listener"
"""The effect that notifies a listener of an entered state. The engine owes it; no lifecycle declares it."""


@frozen
class Order:
    """An order as it stands. ``key`` is the caller's idempotency key, ``entered_at`` when it entered its state."""

    id: str
    provider: str
    key: str
    snapshot: Snapshot
    created_at: float
    entered_at: float
    flagged: bool = False  # since the last transition the provider reported something that a person should look at

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
        return self.snapshot.provider_id


@frozen
class JournalRow:
    """One step of an order's path, and what it set: ``facts``, and values of the order's ``data``.

    Either is None where it was not recorded, as in rows of older versions. A redaction empties ``data`` in all rows.
    """

    order_id: str
    version: int
    event: str
    origin: Origin
    source: str
    target: str
    kind: str  # a ``StepKind``
    at: float
    note: str = ""
    facts: Mapping[str, bool | str] | None = field(default=None, hash=False)
    data: Mapping[str, object] | None = field(default=None, hash=False, repr=False)  # may hold personal data


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
class EffectKey:
    """The idempotency key of an effect: order, version, n."""

    order_id: str
    version: int
    n: int

    def __str__(self) -> str:
        return f"{self.order_id}:{self.version}:{self.n}"


@frozen
class PendingEffect:
    """An effect that is still owed.

    ``in_flight``: an attempt was begun and has not ended. ``run_at`` is then when its lease ends, else when the effect is due.
    ``why``: how the last attempt ended.
    """

    key: EffectKey
    name: str
    entered_state: str  # of a notification: the state that the order entered
    attempt: int
    in_flight: bool
    run_at: float
    why: str


@frozen
class Pending:
    """What is still to come for an order."""

    effects: tuple[PendingEffect, ...]
    next_poll_at: float | None  # when it is polled next; None: no poll is planned
    deadlines: tuple[tuple[str, float], ...]  # each event and when it comes, the soonest first


@frozen
class Message:
    """What a provider answered to a call for an order, as it came: evidence for the person who resolves a doubt. ``repr`` shows no body.

    Attributes:
        source: the effect whose call was answered, or ``poll``.
        status: the HTTP status code.
        body: as text in UTF-8. A byte that is none stands as U+FFFD.
        truncated: the body is not whole: it was longer than is kept, or the connection broke.
        at, last_at: when it came first, and last.
        count: how often it came: answers with the same source, status and body are one message.
    """

    order_id: str
    source: str
    status: int
    content_type: str
    body: str = field(repr=False)  # may hold personal data
    truncated: bool
    at: float
    last_at: float
    count: int = 1


@frozen
class OrderHistory:
    """Everything that is stored about an order and shown: what retention exports. ``journal`` begins with the row of its creation."""

    order: Order
    journal: tuple[JournalRow, ...]
    refusals: tuple[RefusalRow, ...]
    messages: tuple[Message, ...] = ()


@frozen
class Listener:
    """A state for which some process has, or had, a listener. ``owed``: how many of its notifications are still to be sent."""

    provider: str
    state: str
    owed: int


@frozen
class ProviderStanding:
    """What is wrong with a provider, as all processes see it.

    Attributes:
        problem: None: nothing is known to be wrong.
        status: the HTTP status code that was answered last; None: there was none.
        since, seen_at: when the problem began, and when a process last saw it. None without a problem, and while throttled.
        held_until: until when calls are held back; None: they are made, though one at a time while the provider does not answer.
        lifted_at, lifted_by: when an operator last lifted the standing, and who and why; None, "": it never was.
    """

    provider: str
    problem: ProviderProblem | None = None
    status: int | None = None
    since: float | None = None
    seen_at: float | None = None
    held_until: float | None = None
    lifted_at: float | None = None
    lifted_by: str = ""


@frozen
class StateEntered:
    """What a listener is given when an order enters a state: at least once, with a stable ``key``."""

    key: str
    order: Order
    state: str
    version: int
    provisional: bool  # proof may still overrule this end
    inferred: bool  # passed on the way to what was observed, or reached by a jump
