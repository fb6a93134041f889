"""The words of the engine as frozen records and enums (DESIGN's vocabulary). No behaviour lives here."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen


class Origin(StrEnum):
    """Who says that something happened. It belongs to the event, and decides what the event may prove."""

    COMMAND = "command"  # our caller
    REPLY = "reply"  # the provider's authenticated answer to our own call
    OBSERVATION = "observation"  # an authenticated status read
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


class Kind(StrEnum):
    """What a journal row is."""

    STEP = "step"  # an edge, decided from an event
    INFERRED = "inferred"  # an edge passed on the only way to what was observed; not itself seen
    JUMP = "jump"  # an observation several edges ahead, by more than one possible way
    OVERRIDE = "override"  # an operator's move outside the table
    REDACTION = "redaction"  # no move: an operator had the personal data removed


class Reason(StrEnum):
    """Why an event was refused or ignored."""

    NOT_LEGAL_HERE = "not legal here"
    GUARD_SAID_NO = "guard said no"
    WRONG_ORIGIN = "wrong origin"
    ANOMALY = "anomaly"  # the provider's word contradicts the lifecycle
    UNKNOWN_STATUS = "unknown status"  # the provider's word is outside the vocabulary
    NOT_OURS = "not ours"  # a reply or read that names another order
    NO_NEWS = "no news"
    LATE = "late"
    EARLY = "early"
    DUPLICATE = "duplicate"
    STALE = "stale"


FLAGGED = frozenset({Reason.ANOMALY, Reason.UNKNOWN_STATUS, Reason.NOT_OURS})
"""Reasons that flag an order until its next transition: a person should look."""


@frozen
class Evidence:
    """What an edge rests on: how sure, and the page (tags as in the provider's dossier)."""

    strength: Strength
    page: str


@frozen
class Effect:
    """A named intention towards the outside. ``kind`` names its replies: ``<kind>_refused``,
    ``<kind>_undelivered`` and, for a once-effect, ``<kind>_answer_lost``; empty: it reports only success."""

    name: str
    kind: str
    once: bool


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
    """The provider's status word from an authenticated read that started at ``version``.
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


@frozen
class Step:
    """One move: a journal row and a version."""

    event: str
    origin: Origin
    source: str
    target: str
    kind: Kind
    effects: tuple[Effect, ...] = ()
    note: str = ""


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
