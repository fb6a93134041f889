"""The records that pass between engine and store. All are frozen. All times are epoch seconds, all durations seconds.

The small ones that are made for each event are named tuples, which cost a third of an attrs class to make.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import NamedTuple, TypeVar

from attrs import field, frozen

from orderflow.errors import KeyReused
from orderflow.model import Decision, EffectKey, JournalRow, Message, Order, Pending, ProviderProblem, RefusalRow

MAX_MESSAGES = 100
"""The most messages that are kept of an order. With one more, the oldest goes of the source that has the most. So the last message of each
source stays, and with it the answer that led to a doubt."""


T = TypeVar("T")
Lane = tuple[str, str]
"""What is counted together: the calls of a provider, as (provider, ""), or the notifications of one of its states, as (provider, state)."""


@frozen
class LeasedEffect:
    """An effect that this process may carry out until the lease ends.

    ``previous_attempt_sent``: the request of an earlier attempt was about to be sent, and how it ended is unknown.
    ``previous_attempt_unended``: the attempt before was leased, and its end was never written.
    """

    key: EffectKey
    name: str
    provider: str
    attempt: int  # the number of this attempt; 1: the first
    previous_attempt_sent: bool
    entered_state: str = ""  # of a notification: the state that was entered
    uncounted_attempts: int = 0  # attempts that do not count against the budget: the provider was not to blame, or asked us to wait
    trace: str = ""  # as in ``OwedEffect``
    until: float = inf  # when the lease ends
    arguments: Mapping[str, object] | None = field(default=None, repr=False, hash=False)  # what the call is made with; None: none is stored
    previous_attempt_unended: bool = False

    @property
    def lane(self) -> Lane:
        """The lane that the effect belongs to."""
        return self.provider, self.entered_state


@frozen
class LeasedPoll:
    """A status poll that this process may make until the lease ends. ``without_news``: how many polls in a row brought no news."""

    order_id: str
    provider: str
    without_news: int
    until: float = inf  # when the lease ends
    unusable: int = 0  # as in ``PollAt``


@frozen
class DueDeadline:
    """A deadline that has come: the event that it brings, and the version of the order that armed it.

    ``state``: of the order. ``needs_poll``: the order can be polled, and the deadline has not waited for that yet. ``unpolled``: it has
    waited, and no poll was answered.
    """

    order_id: str
    name: str
    provider: str
    version: int
    state: str = ""
    needs_poll: bool = field(default=False, converter=bool)  # SQLite has no booleans
    unpolled: bool = field(default=False, converter=bool)


class OwedEffect(NamedTuple):
    """An effect to be stored with a commit, in the order of its columns."""

    version: int
    n: int
    name: str
    entered_state: str = ""  # of a notification: the state that was entered
    trace: str = ""  # W3C traceparent of the decision that owes it; "": it is not traced
    arguments: str = ""  # JSON object of what the call is made with; "": the effect declares none


@frozen
class WorkerScope:
    """What a worker can do. It leases nothing else: another process will.

    ``leases``: the providers that it has, and for how many seconds it leases work of each.
    ``notifiable``: the (provider, state) pairs for which it has a listener.
    ``paused``: providers that are not to be called now. Their deadlines come, and their notifications are sent, all the same.
    ``quotas``, ``poll_quotas``: how many effects of each lane, and how many polls of each provider, it takes now, where that is limited.
    """

    leases: Mapping[str, float]
    notifiable: frozenset[tuple[str, str]]
    paused: frozenset[str] = frozenset()
    quotas: Mapping[Lane, int] = field(factory=dict)
    poll_quotas: Mapping[str, int] = field(factory=dict)

    def effect_lanes(self, limit: int) -> dict[Lane, int]:
        """The lanes from which effects are leased now, and how many of each at most."""
        calls = {(provider, "") for provider in self.leases if provider not in self.paused}
        notifications = {pair for pair in self.notifiable if pair[0] in self.leases}
        return _find_open({lane: self.quotas.get(lane, limit) for lane in sorted(calls | notifications)}, limit)

    def providers_to_poll(self, limit: int) -> dict[str, int]:
        """The providers whose polls are leased now, and how many of each at most."""
        return _find_open({name: self.poll_quotas.get(name, limit) for name in self.leases if name not in self.paused}, limit)


def _find_open(quotas: Mapping[T, int], limit: int) -> dict[T, int]:
    return {lane: min(quota, limit) for lane, quota in quotas.items() if quota > 0 and limit > 0}


@frozen
class PollAt:
    """Poll at ``at``, or at once where a poll was requested meanwhile. Never within ``interval`` seconds of the last poll."""

    at: float
    without_news: int  # polls in a row without news so far
    interval: float
    unusable: int = 0  # polls that were answered and could not be used, in a row so far
    answered: float | None = None  # when a poll began that is answered now: deadlines that were due by then may be decided


@frozen
class PollSooner:
    """Poll as soon as ``interval`` seconds since the last poll allow. Where no poll is planned yet, the request is remembered."""

    interval: float


@frozen
class StopPolling:
    """No poll can move this order any more. ``remember``: keep the time of the last poll; a later one keeps its distance from it."""

    remember: bool = False


PollPlan = PollAt | PollSooner | StopPolling


@frozen(eq=False)
class IdChange:
    """The provider's id that an order gets with a commit, and the one that it gives up; "": none. An id belongs to one order of a provider.

    ``plan_taken``: what is written instead where another order has the id. It is given the id of that order. Pure.
    """

    taken: str
    released: str
    plan_taken: Callable[[str], Commit]


@frozen
class StoredStanding:
    """What all processes share about one provider. A time of 0: none; ``model.ProviderStanding`` explains the others."""

    provider: str
    throttled_until: float = 0.0  # it asked not to be called before, by any process
    problem: ProviderProblem | None = None
    status: int | None = None
    since: float = 0.0
    seen_at: float = 0.0  # without a problem: when an answer or an operator ended the last one
    held_until: float = 0.0  # until when the process that saw the problem last makes no calls
    lifted_at: float = 0.0
    lifted_by: str = ""


@frozen
class Commit:
    """Everything that one decision writes, whole or not at all."""

    decision: Decision
    at: float
    journal: tuple[JournalRow, ...] = ()  # each at ``at``
    effects: tuple[OwedEffect, ...] = ()
    refusal: RefusalRow | None = None
    deadlines: tuple[tuple[str, float], ...] | None = None  # these replace all deadlines; None: leave them as they are
    finished_effect: EffectKey | None = None
    cancel_effects: bool = False  # owed effects of the lifecycle are not wanted any more; notifications are
    poll: PollPlan | None = None
    keep_key: bool = True  # whether the inbox key is kept
    keep_fingerprint: bool = True  # and with it what stands for the content of the event; a redacted order keeps none
    message: Message | None = None  # the provider's answer that brought the event
    id_change: IdChange | None = None


class OrderRecords(NamedTuple):
    """An order, its steps (the oldest first) and what is still to come for it, all of one moment."""

    order: Order
    journal: tuple[JournalRow, ...]
    pending: Pending


PRUNED, RESTORED = "pruned", "restored"
"""The tasks of maintenance whose times are kept."""


class OpenWork(NamedTuple):
    """The calls that are owed, each as its latest attempt would know it, and the ids of the orders that are polled."""

    calls: tuple[LeasedEffect, ...]
    polled: tuple[str, ...]


class KeptCommits(NamedTuple):
    """What the database still has of some orders: their versions; and the latest time of each task of maintenance."""

    versions: Mapping[str, int]
    maintenance: Mapping[str, float]


class InboxKey(NamedTuple):
    """What makes an event unique: where two events have the same, the second is a duplicate.

    ``fingerprint`` stands for what the event says.
    """

    origin: str
    key: str
    fingerprint: str = ""

    def check_content(self, stored: str) -> None:
        """Compare with the fingerprint that is stored for this key. An empty one, on either side, matches any.

        Raises:
            KeyReused: the key was used for something else.
        """
        if self.fingerprint and stored not in ("", self.fingerprint):
            raise KeyReused(self.key)


class Receipt(NamedTuple):
    """What became of an event: the decision, and the state and version of the order after it."""

    decision: Decision
    state: str
    version: int


Decider = Callable[[Order], Commit]
"""From an order to what is written. Pure: the store calls it with the order as it stands, and again after a lost race. ``flagged`` is not
loaded for it."""


@frozen
class ReportedCall:
    """The call whose end an event reports.

    Attributes:
        effect: the effect that was called.
        names: the effects of its kind: two of them have the same replies.
        decide_late: decides where the effect ended before, and the order was given a later one of these. The reply must not be taken for
            the end of that one.
    """

    effect: EffectKey
    names: tuple[str, ...]
    decide_late: Decider
