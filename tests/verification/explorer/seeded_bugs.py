"""Engines broken on purpose, each in one rule: an explorer that does not find these proves nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve
from tests.verification.explorer.model_of_engine import STALE_STEP, ModelOfEngine, Written, mark_steps
from tests.verification.explorer.worlds import (
    Activity,
    Calling,
    Deadline,
    DeadlinePhase,
    Doubt,
    Observing,
    OwedEffect,
    Ownership,
    Polling,
    Reporting,
    StoredOrder,
)

from orderflow._lifecycle.decide import is_settled
from orderflow._store.records import Commit, PollAt, StopPolling


class _KeepsStatus(ModelOfEngine):
    """A poll that began before the last step keeps its status, and the status still matters."""

    def overtake(self, polling: Polling | Observing) -> Polling | Observing:
        """Only the freshness changes."""
        return evolve(polling, fresh=False)


class NoVersionCheck(_KeepsStatus):
    """A poll decides on the order as it was loaded, and is written over whatever the order is by then."""

    def begin_poll(self, order: StoredOrder) -> tuple[StoredOrder, Polling]:
        """The worker keeps the loaded order."""
        return order, Polling(order)

    def _observe(self, order: StoredOrder, polled: Observing) -> tuple[Written, ...]:
        assert polled.loaded is not None
        return self.write(order, self.engine.statuses[polled.status, True](self._load(polled.loaded)))


class EffectOutsideCommit(ModelOfEngine):
    """Effects are written after the commit: a crash between the two loses them."""

    def write(self, order: StoredOrder, commit: Commit, **more: Any) -> tuple[Written, ...]:
        """With the effects, or without."""
        whole = super().write(order, commit, **more)
        return whole + super().write(order, evolve(commit, effects=()), **more) if commit.effects else whole


class NoDeduplication(ModelOfEngine):
    """The inbox keeps no keys: a command that is sent again is decided again."""

    def resend_command(self, order: StoredOrder, name: str) -> tuple[Written, ...]:
        """Decided like the first time."""
        return mark_steps(self.send_command(order, name), "one key moved the order twice")


class NoPollSchedule(ModelOfEngine):
    """No poll is planned after a commit. Only a claim or a notice brings one, once."""

    def plan_poll(self, order: StoredOrder, commit: Commit) -> bool:
        """Nothing plans a poll; one that was asked for waits on."""
        return order.poll_planned and not isinstance(commit.poll, StopPolling)

    def notice(self, order: StoredOrder) -> tuple[Written, ...]:
        """Asks for a poll."""
        is_open = order.has_provider_id and not is_settled(self.table, self._load(order).snapshot)
        return (Written(evolve(order, poll_planned=True) if is_open else order),)

    def begin_poll(self, order: StoredOrder) -> tuple[StoredOrder, Polling]:
        """The request for a poll is used up."""
        return evolve(order, poll_planned=False), Polling(None)


class ClaimTrusted(ModelOfEngine):
    """A redirect or callback that says success is believed like a poll."""

    def claim(self, order: StoredOrder, name: str) -> tuple[Written, ...]:
        """The claim is taken for the status that would prove it."""
        if "success" not in name or not order.has_provider_id:
            return super().claim(order, name)
        states = self.table.states
        proof = next((status for status, reading in self.table.readings.items() if reading.proves and states[reading.proves].proven), "")
        return self._observe(order, Observing(None, fresh=True, status=proof))


class StalePollApplied(_KeepsStatus):
    """A poll counts as fresh whenever it ends."""

    def _observe(self, order: StoredOrder, polled: Observing) -> tuple[Written, ...]:
        written = super()._observe(order, evolve(polled, fresh=True))
        return written if polled.fresh else mark_steps(written, STALE_STEP)


class BlindRetry(ModelOfEngine):
    """A once-effect that was sent and never answered is called again."""

    def may_call(self, effect: OwedEffect) -> bool:
        """Always."""
        return True


class NoMark(ModelOfEngine):
    """The moment of sending is not marked: a once-effect whose worker died is called again."""

    def marks(self, effect: str) -> bool:
        """Nothing is."""
        return False


class MarkWithoutFence(ModelOfEngine):
    """A worker marks a call that another one has taken over, and sends it."""

    def may_mark(self, activity: Calling | Reporting) -> bool:
        """Unless the effect's row has ended."""
        return activity.ownership is not Ownership.ROW_ENDED


class MarkForgotten(ModelOfEngine):
    """The next lease of an effect removes the mark."""

    def lease(self, order: StoredOrder, effect: OwedEffect) -> StoredOrder:
        """Without the mark."""
        return evolve(order, owed=tuple(owed._replace(doubt=Doubt.NONE) if owed == effect else owed for owed in order.owed))


class FailureWithoutFence(ModelOfEngine):
    """A call that failed unsent is reported undelivered, though another worker may be sending it by now."""

    def fences_failure(self, reporting: Reporting) -> bool:
        """Nothing is marked before."""
        return False

    def is_without_effect(self, activity: Activity) -> bool:
        """A worker that was taken over reports all the same."""
        return isinstance(activity, Reporting) and activity.sent and super().is_without_effect(activity)

    def report(self, order: StoredOrder, reporting: Reporting) -> tuple[Written, ...]:
        """As if it was sent."""
        return super().report(order, evolve(reporting, sent=True))


class DoubtForgotten(ModelOfEngine):
    """A repeatable effect whose worker died counts as not sent."""

    def lease(self, order: StoredOrder, effect: OwedEffect) -> StoredOrder:
        """As it was."""
        return order


class DeadlineWithoutPoll(ModelOfEngine):
    """A deadline is decided when it comes, whatever a poll would bring."""

    def reach_deadline(self, order: StoredOrder, deadline: Deadline) -> tuple[Written, ...]:
        """At once."""
        return self.decide_deadline(order, deadline.name)


class DeadlineBehindOldPoll(ModelOfEngine):
    """The answer of any poll releases a deadline, also of one that began before it was due."""

    def release(self, order: StoredOrder, commit: Commit, behind: tuple[str, ...]) -> tuple[str, ...]:
        """All that are due."""
        is_answered = isinstance(commit.poll, PollAt) and commit.poll.answered is not None
        return tuple(name for name, phase in order.deadlines if phase is DeadlinePhase.DUE) if is_answered else ()


BUGS: Mapping[str, type[ModelOfEngine]] = {
    "no version check": NoVersionCheck,
    "effect outside the commit": EffectOutsideCommit,
    "no deduplication": NoDeduplication,
    "no poll schedule": NoPollSchedule,
    "claim trusted": ClaimTrusted,
    "stale poll applied": StalePollApplied,
    "blind retry": BlindRetry,
    "no mark": NoMark,
    "mark without fence": MarkWithoutFence,
    "mark forgotten": MarkForgotten,
    "failure without fence": FailureWithoutFence,
    "doubt forgotten": DoubtForgotten,
    "deadline without a poll": DeadlineWithoutPoll,
    "deadline behind an old poll": DeadlineBehindOldPoll,
}
"""Every seeded bug by its name."""
