"""The engine as the explorer drives it: the real deciders, over a model of the few rows that a store keeps for one order.

The model holds the order, its outbox, its armed deadlines, its planned poll and the keys in its inbox. It has no time: what is planned may
be due at once or never. So a deadline may come at any moment. Then it waits until a poll that begins behind it is answered, or until its
patience is over, which may be at any moment too. Left out are notifications of listeners, overrides (they are outside the table) and the
budget of attempts (it may end at any attempt). Answers are remembered: the deciders are pure.

``ModelOfEngine`` is the real engine; seeded_bugs.py breaks it on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from attrs import evolve, frozen
from tests.verification.explorer.environment import Environment
from tests.verification.explorer.real_engine import (
    VERSION,
    Finish,
    Mark,
    PollFirst,
    Request,
    Retry,
    order_at,
    real_engine,
    snapshot_at,
)
from tests.verification.explorer.worlds import (
    ANY_STATUS,
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

from orderflow._lifecycle.decide import is_pollable, is_settled
from orderflow._lifecycle.facts import Value
from orderflow._lifecycle.observe import observe
from orderflow._store.records import Commit, PollAt, StopPolling
from orderflow.model import PROVIDER_ID, Applied, Observation, Order, Origin, Refused

STALE_STEP = "a step on a poll that began before the last step"


class Rest(Enum):
    """Whether an order may be left as it is."""

    NO = "no"
    YES = "yes"
    GIVEN_UP = "given up"  # provisional, and its recovery window is closed: no proof is sought any more


@frozen
class Written:
    """What a commit leaves in the store.

    Attributes:
        order: the order after it.
        moved: whether the order took a step.
        requested: the effects that the step gave the order.
        ended: the effect whose row has ended.
        problem: what is wrong with the step; empty: nothing.
        undelivered: the effect that the step reports as not executed.
    """

    order: StoredOrder
    moved: bool = False
    requested: tuple[str, ...] = ()
    ended: str = ""
    problem: str = ""
    undelivered: str = ""


class ModelOfEngine:
    """The real engine over one order of ``environment`` that is created under ``facts``."""

    def __init__(self, environment: Environment, facts: Mapping[str, Value]) -> None:
        self.environment = environment
        self.table = environment.table
        self.engine = real_engine(environment)
        self.commands = self._events(Origin.COMMAND)
        self.claims = self._events(Origin.CLAIM)
        self.operator_events = self._events(Origin.OPERATOR)
        deadlines = tuple(Deadline(name) for name in self.engine.deadlines_at_create)
        self.start = StoredOrder(self.table.initial, tuple(facts[name] for name in self.table.facts), deadlines=deadlines)
        effects = self.table.effects.values()
        self.may_leave_doubt = {effect.name for effect in effects if effect.kind and not effect.safe} - self.engine.marks
        self._known: dict[tuple[object, ...], tuple[Written, ...]] = {}

    def _events(self, origin: Origin) -> list[str]:
        return [name for name, its_origin in self.table.events.items() if its_origin is origin]

    def _once(self, key: tuple[object, ...], compute: Callable[[], tuple[Written, ...]]) -> tuple[Written, ...]:
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = compute()
        return known

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def send_command(self, order: StoredOrder, name: str) -> tuple[Written, ...]:
        """A command with a key of its own."""
        return self._once(("command", order, name), lambda: self.accept(order, name, key=name))

    def resend_command(self, order: StoredOrder, name: str) -> tuple[Written, ...]:
        """A command with a key that is in the inbox: a duplicate."""
        return (Written(order),)

    def claim(self, order: StoredOrder, name: str) -> tuple[Written, ...]:
        """A redirect or callback, which anyone can send."""
        return self._once(("claim", order, name), lambda: self.accept(order, name))

    def notice(self, order: StoredOrder) -> tuple[Written, ...]:
        """A notification. It brings the poll forward, which changes nothing here: there is no time."""
        return (Written(order),)

    def resolve(self, order: StoredOrder, name: str) -> tuple[Written, ...]:
        """An operator's event."""
        named = name in self.environment.naming_events
        return self._once(("operator", order, name), lambda: self.accept(order, name, named=named))

    def reach_deadline(self, order: StoredOrder, deadline: Deadline) -> tuple[Written, ...]:
        """A deadline comes, or goes on: it begins to wait for a poll, or is decided. The decision deletes it."""
        name, phase = deadline
        if phase is DeadlinePhase.DUE:
            return ()
        if phase is DeadlinePhase.ARMED and isinstance(self.engine.deadlines[name, order.poll_planned], PollFirst):
            return (Written(_with_phase(order, name, DeadlinePhase.DUE)),)
        return self.decide_deadline(order, name)

    def decide_deadline(self, order: StoredOrder, name: str) -> tuple[Written, ...]:
        """A deadline is decided, behind a poll or because its patience is over."""
        return self._once(("deadline", order, name), lambda: self.accept(order, name, deadline=name))

    def release(self, order: StoredOrder, commit: Commit, behind: tuple[str, ...]) -> tuple[str, ...]:
        """The deadlines that the answer of a poll releases. ``behind``: those that were due when the poll began."""
        return behind if isinstance(commit.poll, PollAt) and commit.poll.answered is not None else ()

    def report(self, order: StoredOrder, reporting: Reporting) -> tuple[Written, ...]:
        """A worker reports how a call ended."""
        if self.is_without_effect(reporting):
            return (Written(order),)
        effect, ownership, in_doubt = reporting.effect, reporting.ownership, reporting.in_doubt
        requests = self.engine.ends[effect, reporting.end, in_doubt] if reporting.sent else self.engine.unsent[effect, in_doubt]
        return self._once(("report", order, effect, requests, ownership), lambda: self._report(order, effect, requests, ownership))

    def is_without_effect(self, activity: Activity) -> bool:
        """Whether what the worker holds moves no order: a call that is not its own any more and was not sent, or the reply to a call that
        ended before, when a later one was requested."""
        if isinstance(activity, Calling | Reporting) and not activity.sent and self._is_fenced(activity):
            return not self.may_mark(activity)
        return isinstance(activity, Reporting) and activity.ownership is Ownership.ROW_ENDED and activity.later_call

    def _is_fenced(self, activity: Calling | Reporting) -> bool:
        """Whether the store refuses all that may be asked for, where the attempt is not the latest, or its effect's row has ended."""
        asked = self.engine.unsent[activity.effect, activity.in_doubt]
        return all(isinstance(request, Mark | Retry | Finish) for request in asked)

    def is_later_call(self, effect: str, requested: tuple[str, ...]) -> bool:
        """Whether one of the effects that were requested has the same replies as the effect."""
        return not set(requested).isdisjoint(self.engine.same_kind[effect])

    def observe(self, order: StoredOrder, polled: Observing) -> tuple[Written, ...]:
        """A worker reports a status that it read."""
        if polled.status == ANY_STATUS:
            possible = (evolve(polled, status=status) for status in self.environment.status_moves)
            return tuple(dict.fromkeys(written for observing in possible for written in self.observe(order, observing)))
        return self._once(("observe", order, polled), lambda: self._observe(order, polled))

    # ── workers ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def may_call(self, effect: OwedEffect) -> bool:
        """Whether a worker that leases the effect may call the provider."""
        return self.engine.may_call[effect.name, effect.doubt]

    def lease(self, order: StoredOrder, effect: OwedEffect) -> StoredOrder:
        """The order once the effect is leased. What an earlier attempt sent stays marked. An effect that is not marked before its call is in
        doubt until the end of the attempt is written."""
        return _with_doubt(order, effect.name, max(effect.doubt, Doubt.POSSIBLE)) if effect.name in self.may_leave_doubt else order

    def marks(self, effect: str) -> bool:
        """Whether the moment of sending is marked in the store."""
        return effect in self.engine.marks

    def may_mark(self, activity: Calling | Reporting) -> bool:
        """Whether the store marks the moment of sending for this worker."""
        return activity.ownership is Ownership.CURRENT

    def mark(self, order: StoredOrder, effect: str) -> StoredOrder:
        """The order once the moment of sending is marked."""
        return _with_doubt(order, effect, Doubt.MARKED)

    def fences_failure(self, reporting: Reporting) -> bool:
        """Whether the outbox marks a call, too, before it reports that the call failed unsent."""
        return Mark() in self.engine.unsent[reporting.effect, reporting.in_doubt]

    def begin_poll(self, order: StoredOrder) -> tuple[StoredOrder, Polling]:
        """The order once a poll is leased (it stays planned, for when the lease ends), and what the worker holds."""
        return order, Polling(None)

    def overtake(self, polling: Polling | Observing) -> Polling | Observing:
        """What a polling worker holds once the order has moved. A stale poll moves nothing, whichever status it reports. So any
        status may come of it: if one were not dropped, its step would be found."""
        return Observing(polling.loaded, fresh=False, status=ANY_STATUS)

    # ── decisions ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def accept(
        self, order: StoredOrder, name: str, *, key: str = "", deadline: str = "", ended: str = "", named: bool = False
    ) -> tuple[Written, ...]:
        """The inbox decides on an event. ``named``: the event names the provider's order."""
        commit = self.engine.events[name, named](self._load(order))
        written = self.write(order, commit, key=key, deadline=deadline, ended=ended)
        return tuple(self._check_trust(one, self.table.events[name]) for one in written)

    def _check_trust(self, written: Written, origin: Origin) -> Written:
        """A proven or provisional end that was entered without evidence is wrong, whatever the table says."""
        info = self.table.states[written.order.state]
        if written.moved and info.proven and origin not in (Origin.REPLY, Origin.OPERATOR):
            return evolve(written, problem=f"a {origin} entered the proven state {info.value}")
        if written.moved and info.provisional and origin is Origin.CLAIM:
            return evolve(written, problem=f"a claim entered the provisional end {info.value}")
        return written

    def _observe(self, order: StoredOrder, polled: Observing) -> tuple[Written, ...]:
        written = self.write(order, self.engine.statuses[polled.status, polled.fresh](self._load(order)), behind=polled.behind)
        return written if polled.fresh else mark_steps(written, STALE_STEP)

    def _report(self, order: StoredOrder, effect: str, requests: tuple[Request, ...], ownership: Ownership) -> tuple[Written, ...]:
        written: list[Written] = []
        for request in requests:
            if isinstance(request, Mark | PollFirst):  # a step of its own
                continue
            if not isinstance(request, Retry | Finish):
                ended = effect if ownership is not Ownership.ROW_ENDED else ""
                commit = request(self._load(order))
                reported = commit.journal[0].event if commit.journal else ""
                undelivered = effect if reported == f"{self.table.effects[effect].kind}_undelivered" else ""
                replied = self.write(order, commit, ended=ended)
                written += [evolve(self._check_trust(one, Origin.REPLY), undelivered=undelivered) for one in replied]
            elif ownership is not Ownership.CURRENT:  # an attempt that was taken over changes nothing
                written.append(Written(order))
            else:
                others = [owed for owed in order.owed if owed.name != effect]
                if isinstance(request, Retry):
                    in_doubt = request.may_be_executed and effect in self.may_leave_doubt
                    owed = (*others, OwedEffect(effect, Doubt.POSSIBLE if in_doubt else Doubt.NONE))
                    written.append(Written(evolve(order, owed=tuple(sorted(owed)))))
                else:
                    written.append(Written(evolve(order, owed=tuple(others)), ended=effect))
        return tuple(dict.fromkeys(written))

    def _load(self, order: StoredOrder) -> Order:
        return order_at(snapshot_at(self.environment, order.state, order.facts, has_provider_id=order.has_provider_id))

    # ── the store ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def write(
        self, order: StoredOrder, commit: Commit, *, key: str = "", deadline: str = "", ended: str = "", behind: tuple[str, ...] = ()
    ) -> tuple[Written, ...]:
        """The commit, whole, or what is written instead where another order has the provider's id. ``deadline``: the deadline that is
        decided; ``ended``: the effect whose row ends with the commit; ``behind``: the deadlines that were due when the poll began that is
        answered."""
        commits = [commit]
        if commit.id_change is not None and commit.id_change.taken:
            commits.append(commit.id_change.plan_taken("another order"))
        possible = [self._write(order, one, key=key, deadline=deadline, ended=ended, behind=behind) for one in commits]
        return tuple(dict.fromkeys(written for each in possible for written in each))

    def _write(
        self, order: StoredOrder, commit: Commit, *, key: str, deadline: str, ended: str, behind: tuple[str, ...]
    ) -> tuple[Written, ...]:
        deadlines = tuple(armed for armed in order.deadlines if armed.name != deadline)
        if commit.deadlines is not None:
            deadlines = tuple(Deadline(name) for name in sorted(name for name, _ in commit.deadlines))
        for name in self.release(order, commit, behind):
            phase = DeadlinePhase.POLLED if name in behind else DeadlinePhase.RELEASED
            deadlines = tuple(Deadline(name, phase) if armed == (name, DeadlinePhase.DUE) else armed for armed in deadlines)
        kept = tuple(owed for owed in order.owed if owed.name != ended)
        order_before, order = order, evolve(order, poll_planned=self.plan_poll(order, commit), deadlines=deadlines, owed=kept)
        if not isinstance(commit.decision, Applied):
            return (Written(order, ended=ended),)
        problem = ""
        if commit.journal[0].source != order_before.state:
            problem = f"a step from {commit.journal[0].source} was written over {order_before.state}"
        owed = dict(order.owed)
        for effect in commit.effects:
            if effect.name in owed and self.table.effects[effect.name].once:
                problem = f"{effect.name} is owed twice"
            owed[effect.name] = Doubt.NONE
        snapshot = commit.decision.snapshot
        order = evolve(
            order,
            state=snapshot.state,
            facts=tuple(snapshot.facts[name] for name in self.table.facts),
            has_provider_id=PROVIDER_ID in snapshot.data,
            owed=tuple(sorted(OwedEffect(*row) for row in owed.items())),
            accepted=tuple(sorted({*order.accepted, key})) if key and commit.keep_key else order.accepted,
        )
        return (
            Written(order, moved=True, requested=tuple(sorted(effect.name for effect in commit.effects)), ended=ended, problem=problem),
        )

    def plan_poll(self, order: StoredOrder, commit: Commit) -> bool:
        """Whether a poll is planned once the commit is written."""
        return isinstance(commit.poll, PollAt) or (order.poll_planned and not isinstance(commit.poll, StopPolling))

    # ── rest ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def rest(self, order: StoredOrder, status: str) -> Rest:
        """Whether the order may be left as it is, while the provider's status is ``status`` (empty: it has no such order)."""
        snapshot = self._load(order).snapshot
        if self.table.states[order.state].provisional and is_settled(self.table, snapshot):
            return Rest.GIVEN_UP
        return Rest.YES if self._is_at_rest(order, status) else Rest.NO

    def _is_at_rest(self, order: StoredOrder, status: str) -> bool:
        """The order stands where the status allows it, and someone can still move it; or it is openly in doubt; or its next poll flags
        it."""
        snapshot = self._load(order).snapshot
        origins = {edge.origin for edge in self.table.out[order.state] if edge.holds.pick(snapshot.facts)}
        origins_into = {edge.origin for edge in self.table.edges if edge.target == order.state}
        over = is_settled(self.table, snapshot)
        if Origin.OPERATOR in origins or origins_into == {Origin.OPERATOR}:
            return True  # a person will decide, or has decided
        if not status:
            return over or Origin.COMMAND in origins
        polls = order.poll_planned and order.has_provider_id and is_pollable(self.table, snapshot)
        if Origin.REPLY in origins and not order.owed and not (origins & {Origin.COMMAND, Origin.CLOCK}):
            return False  # it waits for an answer that will never come
        if order.state in self.table.readings[status].consistent:
            return over or polls or bool(order.deadlines) or Origin.COMMAND in origins
        return polls and isinstance(observe(self.table, snapshot, Observation(status, VERSION)), Refused)


def _with_doubt(order: StoredOrder, effect: str, doubt: Doubt) -> StoredOrder:
    """The order, an effect's row with this doubt."""
    return evolve(order, owed=tuple(OwedEffect(effect, doubt) if owed.name == effect else owed for owed in order.owed))


def _with_phase(order: StoredOrder, name: str, phase: DeadlinePhase) -> StoredOrder:
    """The order, its deadline in this phase."""
    return evolve(order, deadlines=tuple(Deadline(name, phase) if armed.name == name else armed for armed in order.deadlines))


def mark_steps(written: tuple[Written, ...], problem: str) -> tuple[Written, ...]:
    """The same, each step marked as wrong."""
    return tuple(evolve(one, problem=problem) if one.moved else one for one in written)
