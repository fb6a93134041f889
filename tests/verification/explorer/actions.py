"""What happens from one world to the next, for counterexamples. Records only."""

from __future__ import annotations

from enum import Enum

from attrs import frozen
from tests.verification.explorer.worlds import Activity, Calling, Observing, Polling, Reporting


class Sender(Enum):
    """Who sends an event: the participant of the diagram, and the text before the event's name."""

    CALLER = ("Caller", "")
    REPEATING_CALLER = ("Caller", "the same key again: ")
    CLAIMANT = ("Anyone", "claims ")
    NOTIFIER = ("Anyone", "sends a notice")
    OPERATOR = ("Operator", "")
    CLOCK = ("Clock", "")
    IMPATIENT_CLOCK = ("Clock", "waits no longer: ")


@frozen
class SendEvent:
    """Somebody outside sends an event."""

    sender: Sender
    event: str
    state: str


@frozen
class ProviderMoves:
    """The provider moves its order to a status."""

    status: str


@frozen
class Lease:
    """An idle worker leases an effect."""

    effect: str
    may_call: bool
    activity: Activity


@frozen
class MarkSending:
    """A worker marks the moment of sending, or may not; ``onward``: what it does next."""

    activity: Calling | Reporting
    onward: Activity


@frozen
class Call:
    """A worker's call ends."""

    calling: Calling
    acts: bool
    reporting: Reporting


@frozen
class ReportOutcome:
    """A worker reports the end of a call."""

    reporting: Reporting
    state: str


@frozen
class BeginPoll:
    """An idle worker leases the poll and loads the order."""

    polling: Polling


@frozen
class PollAnswered:
    """The provider answers a poll."""

    polling: Polling
    observing: Observing


@frozen
class Observe:
    """A worker gives a polled status to the inbox."""

    observing: Observing
    state: str


@frozen
class Crash:
    """A worker dies."""

    activity: Activity


Action = SendEvent | ProviderMoves | Lease | MarkSending | Call | ReportOutcome | BeginPoll | PollAnswered | Observe | Crash
