"""The records that a world is made of: the stored order, what each worker is doing, and what a step changes for the other workers.

Equal records are one object (``Interned``). So worlds are compared and hashed by identity, in C, and no record needs a number.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
from attrs import define, field, frozen

from orderflow._lifecycle.facts import Value

if TYPE_CHECKING:
    from tests.verification.explorer.actions import Action


class Interned(type):
    """Metaclass of frozen records: constructing a record that exists already returns the existing one."""

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        cls._records: dict[tuple[object, ...], Any] = {}

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """The one record with these fields."""
        record = super().__call__(*args, **kwargs)
        fields = tuple([getattr(record, field.name) for field in attrs.fields(cls)])  # type: ignore[arg-type]  # its classes are attrs'
        return cls._records.setdefault(fields, record)


# ── the store ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Doubt(IntEnum):
    """What the row of an effect says about earlier attempts whose end is unknown."""

    NONE = 0  # there was none
    POSSIBLE = 1  # of a repeatable effect: it was leased, and its end was not written, or was in doubt
    MARKED = 2  # its request was about to be sent, or it was about to be reported as not executed


class OwedEffect(NamedTuple):
    """An effect in the outbox. Rows of one repeatable effect count as one."""

    name: str
    doubt: Doubt = Doubt.NONE


class DeadlinePhase(IntEnum):
    """How an armed deadline stands to the polls of its order."""

    ARMED = 0  # it has not come
    DUE = 1  # it has come, and waits for a poll
    POLLED = 2  # a poll was answered that began behind it
    RELEASED = 3  # the engine says so, and it is not true


class Deadline(NamedTuple):
    """An armed deadline: the event that it brings."""

    name: str
    phase: DeadlinePhase = DeadlinePhase.ARMED


@frozen(eq=False)
class StoredOrder(metaclass=Interned):
    """What the store holds of the order. ``accepted``: the commands whose key is in the inbox."""

    state: str
    facts: tuple[Value, ...]
    has_provider_id: bool = False
    poll_planned: bool = False
    deadlines: tuple[Deadline, ...] = ()
    owed: tuple[OwedEffect, ...] = ()
    accepted: tuple[str, ...] = ()


# ── the workers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Ownership(IntEnum):
    """How a worker's attempt stands to the effect's row. It only ever falls."""

    ROW_ENDED = 0
    TAKEN_OVER = 1  # by another worker, when the lease ended
    CURRENT = 2


class CallEnd(StrEnum):
    """How a call ends, as the worker sees it."""

    ANSWERED = "answered"
    REJECTED = "rejected"
    NOT_FOUND = "not found"
    ANSWER_LOST = "answer lost"
    NOT_SENT = "not sent"
    NOT_CALLED = "not called, how an earlier call ended is unknown"


ANY_STATUS = "any"
"""The status that a stale poll reports: which one it is makes no difference, so all of them are tried at the end."""


@frozen(eq=False)
class Idle(metaclass=Interned):
    """The worker holds nothing."""


@frozen(eq=False)
class Calling(metaclass=Interned):
    """The worker has leased an effect and is about to call. ``later_call``: the order was given one of its kind since. ``sent``: the
    moment of sending is behind it; a repeatable effect has none. ``in_doubt``: when it was leased, an earlier attempt was in doubt."""

    effect: str
    ownership: Ownership
    later_call: bool = False
    sent: bool = True
    in_doubt: bool = False


@frozen(eq=False)
class Reporting(metaclass=Interned):
    """The worker has the end of a call in hand and is about to report it. ``sent``: false if it was not, and is not marked either."""

    effect: str
    ownership: Ownership
    end: CallEnd
    later_call: bool = False
    sent: bool = True
    in_doubt: bool = False


@frozen(eq=False)
class Polling(metaclass=Interned):
    """The worker has loaded the order and reads its status. ``fresh``: the order has not moved since. ``loaded``: what the worker keeps
    of the order besides its version; the real engine keeps nothing. ``behind``: the deadlines that were due when the poll began."""

    loaded: StoredOrder | None
    fresh: bool = True
    behind: tuple[str, ...] = ()


@frozen(eq=False)
class Observing(metaclass=Interned):
    """The worker has a status in hand and is about to give it to the inbox."""

    loaded: StoredOrder | None
    fresh: bool
    status: str
    behind: tuple[str, ...] = ()


Activity = Idle | Calling | Reporting | Polling | Observing


@frozen(eq=False)
class Change(metaclass=Interned):
    """What a step changes for the other workers: the order moved, it was given effects (``requested``), an effect's row ended, one was
    taken over."""

    moved: bool = False
    requested: tuple[str, ...] = ()
    ended: str = ""
    taken: str = ""


# ── the world ────────────────────────────────────────────────────────────────────────────────────────────────────────────


Workers = tuple[Activity, ...]
"""What each worker does; sorted, because workers are alike."""

Parts = tuple[StoredOrder, str, frozenset[str], Workers]
"""The parts in which worlds differ: order, status, executed and workers of a ``World``. A plain tuple: it is made for each step."""


@define(eq=False)
class World:
    """Everything at one moment.

    Attributes:
        order: what the store holds.
        status: the provider's status of the order; empty: the provider has no such order.
        executed: the effects that the provider has carried out: those that change something there. No lifecycle asks for such a call
            again once it was carried out.
        workers: what each worker does.
        parent, action: the world from which it was first reached, and by what.
        quiet_from: the worlds from which it is reached by the engine and an answering provider alone.
        can_rest: whether the order can come to rest from here in that way.
    """

    order: StoredOrder
    status: str
    executed: frozenset[str]
    workers: Workers
    parent: World | None = None
    action: Action | None = None
    quiet_from: list[World] = field(factory=list)
    can_rest: bool = False
