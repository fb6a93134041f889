"""What a call to a provider came to, and what a status read brought."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen


class Signal(StrEnum):
    """What the end of a call says about the provider itself, beside what became of this call. Rate limiting and circuit breaker read it."""

    NONE = "none"  # an ordinary answer
    THROTTLED = "throttled"  # 429: all processes have to slow down
    UNREACHABLE = "unreachable"  # no connection, no whole answer, or a 5xx
    UNAUTHORIZED = "unauthorized"  # our credentials were refused
    NOT_CALLED = "not called"  # there was no call, because a user's token is missing: says nothing about the provider


@frozen
class Succeeded:
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
    signal: Signal = Signal.NONE


@frozen
class Rejected:
    """The provider answered no (400, 403, 404, 200 with ERROR), or was not asked: the user is gone."""

    why: str
    signal: Signal = Signal.NONE


@frozen
class InDoubt:
    """Nobody knows whether the provider acted (read timeout, reset, 5xx, an unusable 2xx)."""

    why: str


@frozen
class NoResult:
    """Asked and answered, with nothing to report (a search without a hit). Asked again until the budget is spent."""

    why: str


Outcome = Succeeded | NotExecuted | Rejected | InDoubt | NoResult


@frozen
class StatusRead:
    """A status read: the provider's word."""

    status: str
    data: Mapping[str, object] = field(factory=dict, repr=False)
    mismatch: str = ""  # a field of the answer that is not our order's
    note: str = ""  # kept in the journal if the order moves


@frozen
class ReadFailed:
    """A status read that brought no word."""

    why: str
    retry_after: float | None = None
    signal: Signal = Signal.NONE
