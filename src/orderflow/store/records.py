"""The records that cross the seam between engine and store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from orderflow.model import Decision, EffectKey, JournalRow, Order, RefusalRow

if TYPE_CHECKING:
    from attrs import frozen as record
else:
    # Frozen for the type checker alone: these are made anew for each event, and to make a truly frozen one costs four times as much.
    record = partial(define, unsafe_hash=True)


@frozen
class LeasedEffect:
    """An effect in our hands until the lease ends. ``unanswered``: an earlier attempt was begun and never answered."""

    key: EffectKey
    name: str
    provider: str
    attempt: int
    previous_attempt_unknown: bool
    entered_state: str = ""  # the state that the host is to be told of
    uncounted_attempts: int = 0  # attempts that do not count against the budget: the provider had asked us to wait
    trace: str = ""  # as OwedEffect's
    until: float = inf  # when the lease ends


@frozen
class LeasedPoll:
    """A status read in our hands until the lease ends; ``without_news`` reads in a row brought no news."""

    order_id: str
    provider: str
    without_news: int
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
    entered_state: str = ""
    trace: str = ""  # W3C traceparent of the decision that owes it; "" where nobody watches


@frozen
class WorkerScope:
    """What a worker can do: the providers it has, each with its lease in seconds, and the (provider, state) pairs it can tell
    the host of. Nothing outside its scope is taken: another process will. ``paused``: providers that are not to be called now;
    their deadlines come and the host is told all the same. ``quotas``: how often those may be called now that are not paused, where
    that is limited; whoever takes for a worker keeps to it (``engine.shares``), the store does not count."""

    leases: Mapping[str, float]
    notifiable: frozenset[tuple[str, str]]
    paused: frozenset[str] = frozenset()
    quotas: Mapping[str, int] = field(factory=dict)


@frozen
class PollAt:
    """Plan the next read: at ``at``, or at once if one was asked for meanwhile; never within ``interval`` of the last."""

    at: float
    without_news: int
    interval: float


@frozen
class PollSooner:
    """Bring the next read forward to now, within the interval; remembered where none is planned yet."""

    interval: float


@frozen
class StopPolling:
    """No read can move this order any more."""


PollPlan = PollAt | PollSooner | StopPolling


@record
class Commit:
    """Everything that one decision writes; whole or not at all."""

    decision: Decision
    at: float
    journal: tuple[JournalRow, ...] = ()  # each at ``at``
    effects: tuple[OwedEffect, ...] = ()
    refusal: RefusalRow | None = None
    deadlines: tuple[tuple[str, float], ...] | None = None  # None: leave as they are; else these replace all
    finished_effect: EffectKey | None = None
    cancel_effects: bool = False  # what lifecycles still owe for this order is not wanted any more
    poll: PollPlan | None = None
    keep_key: bool = True  # whether the inbox key is kept


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


Decider = Callable[[Order], Commit]
"""Pure: called with the order as it stands (but for ``flagged``, which nothing is decided by), again after a lost race."""
