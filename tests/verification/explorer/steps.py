"""What can happen next in a world, and what of it must never happen. Successors only; explore.py walks them.

A step depends on the stored order, the provider's status and the one worker that takes it. So steps are computed once for each such
combination, and remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import define, evolve, field, frozen
from tests.verification.explorer.actions import (
    Action,
    BeginPoll,
    Call,
    Crash,
    Lease,
    MarkSending,
    Observe,
    PollAnswered,
    ProviderMoves,
    ReportOutcome,
    Sender,
    SendEvent,
)
from tests.verification.explorer.environment import Environment
from tests.verification.explorer.model_of_engine import ModelOfEngine, Written
from tests.verification.explorer.worlds import (
    Activity,
    CallEnd,
    Calling,
    Change,
    Deadline,
    DeadlinePhase,
    Doubt,
    Idle,
    Observing,
    Ownership,
    Parts,
    Polling,
    Reporting,
    StoredOrder,
    Workers,
    World,
)

from orderflow._lifecycle.table import Table

IDLE = Idle()
NO_CHANGE = Change()


@frozen(eq=False)
class Step:
    """One thing that can happen.

    Attributes:
        action: what happens.
        order: the stored order after it.
        status: the provider's status after it.
        activity: what the acting worker does next; None: no worker acts.
        executes: the effect that the provider carries out; empty: none, or one that changes nothing there.
        change: what it changes for the other workers.
        problem: what is wrong with it; empty: nothing.
        quiet: it needs only the engine and a provider that answers: no caller, no forger, no crash.
        denies: the effects that a person says were not carried out.
        undelivered: the effect that the engine says was not carried out.
    """

    action: Action
    order: StoredOrder
    status: str
    activity: Activity | None = None
    executes: str = ""
    change: Change = NO_CHANGE
    problem: str = ""
    quiet: bool = False
    denies: tuple[str, ...] = ()
    undelivered: str = ""


@define
class Steps:
    """The steps of one order in an environment."""

    environment: Environment
    engine: ModelOfEngine
    _of_others: dict[tuple[StoredOrder, str], tuple[Step, ...]] = field(init=False, factory=dict)
    _of_worker: dict[tuple[StoredOrder, str, Activity], tuple[Step, ...]] = field(init=False, factory=dict)
    _workers_after: dict[tuple[Workers, Change, Activity | None], Workers] = field(init=False, factory=dict)
    _supporting: dict[str, frozenset[str]] = field(init=False, factory=dict)

    def after(self, world: World) -> Iterator[tuple[Step, Parts, str]]:
        """Every step that changes anything, the parts of the world after it, and what is wrong with the step (empty: nothing)."""
        order, status, executed, workers = world.order, world.status, world.executed, world.workers
        known = self._workers_after
        for step in self._steps_of_others(order, status):
            if step.denies and not _is_true(step.denies, executed, workers):
                continue
            key: tuple[Workers, Change, Activity | None] = (workers, step.change, None)
            workers_after = known.get(key) or self._change(*key)
            yield step, (step.order, step.status, executed, workers_after), step.problem
        previous = None
        for n, activity in enumerate(workers):
            if activity is previous:  # two workers that do the same: their steps lead to the same worlds
                continue
            previous = activity
            others = workers[:n] + workers[n + 1 :]
            for step in self._steps_of_worker(order, status, activity):
                problem, executed_after = step.problem, executed
                if step.undelivered in executed:
                    problem = f"{step.undelivered} was reported undelivered, and was carried out"
                if step.executes:
                    if step.executes in executed and self.environment.table.effects[step.executes].once:
                        problem = f"{step.executes} was carried out twice"
                    executed_after = executed | {step.executes}
                key = (others, step.change, step.activity)
                workers_after = known.get(key) or self._change(*key)
                yield step, (step.order, step.status, executed_after, workers_after), problem

    # ── callers, forgers, operators, clocks, the provider ────────────────────────────────────────────────────────────────

    def _steps_of_others(self, order: StoredOrder, status: str) -> tuple[Step, ...]:
        known = self._of_others.get((order, status))
        if known is None:
            events = [
                step for step in self._events(order, status) if step.order is not order or step.change is not NO_CHANGE or step.problem
            ]
            moves = [Step(ProviderMoves(onward), order, onward) for onward in self.environment.status_moves.get(status, ())]
            known = self._of_others[order, status] = (*events, *moves)
        return known

    def _events(self, order: StoredOrder, status: str) -> Iterator[Step]:
        engine = self.engine
        for name in engine.commands:
            yield from self._send(Sender.CALLER, name, engine.send_command(order, name), status)
        for name in order.accepted:
            yield from self._send(Sender.REPEATING_CALLER, name, engine.resend_command(order, name), status)
        for name in engine.claims:
            yield from self._send(Sender.CLAIMANT, name, engine.claim(order, name), status)
        yield from self._send(Sender.NOTIFIER, "", engine.notice(order), status)
        for name in engine.operator_events:
            if status or name not in self.environment.naming_events:
                for step in self._send(Sender.OPERATOR, name, engine.resolve(order, name), status):
                    yield evolve(step, denies=self.environment.denials.get(name, ()))
        for deadline in order.deadlines:
            yield from self._reach(order, deadline, status)

    def _reach(self, order: StoredOrder, deadline: Deadline, status: str) -> Iterator[Step]:
        """A deadline comes, is decided behind a poll, or because its patience is over."""
        name, phase = deadline
        for written in self.engine.reach_deadline(order, deadline):
            for step in self._send(Sender.CLOCK, name, (written,), status):
                is_early = written.moved and order.poll_planned and phase is not DeadlinePhase.POLLED
                yield evolve(step, problem=f"{name} was decided, and no poll behind it was answered") if is_early else step
        if phase is DeadlinePhase.DUE:
            for step in self._send(Sender.IMPATIENT_CLOCK, name, self.engine.decide_deadline(order, name), status):
                yield evolve(step, quiet=False)

    def _send(self, sender: Sender, event: str, written: Iterable[Written], status: str) -> Iterator[Step]:
        for one in written:
            yield self._step(SendEvent(sender, event, one.order.state), one, status, quiet=sender is Sender.CLOCK)

    def _step(self, action: Action, written: Written, status: str, *, activity: Activity | None = None, quiet: bool) -> Step:
        problem = written.problem or (self._ahead_of_provider(written.order.state, status) if written.moved else "")
        change = Change(written.moved, written.requested, written.ended)
        return Step(action, written.order, status, activity, change=change, problem=problem, quiet=quiet, undelivered=written.undelivered)

    # ── a worker ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _steps_of_worker(self, order: StoredOrder, status: str, activity: Activity) -> tuple[Step, ...]:
        known = self._of_worker.get((order, status, activity))
        if known is None:
            known = self._of_worker[order, status, activity] = tuple(self._work(order, status, activity))
        return known

    def _work(self, order: StoredOrder, status: str, activity: Activity) -> Iterator[Step]:
        if isinstance(activity, Idle):
            yield from self._lease(order, status)
            return
        yield Step(Crash(activity), order, status, IDLE)
        match activity:
            case Calling(sent=False):
                yield self._mark(order, status, activity)
                unsent = Reporting(
                    activity.effect, activity.ownership, CallEnd.NOT_SENT, activity.later_call, sent=False, in_doubt=activity.in_doubt
                )
                yield Step(Call(activity, False, unsent), order, status, unsent, quiet=True)
            case Calling():
                yield from self._call(order, status, activity)
            case Reporting():
                if not activity.sent and self.engine.fences_failure(activity):
                    yield self._mark(order, status, activity)
                for written in self.engine.report(order, activity):
                    yield self._step(ReportOutcome(activity, written.order.state), written, status, activity=IDLE, quiet=True)
            case Polling(loaded, fresh, behind):
                observing = Observing(loaded, fresh, status, behind)
                yield Step(PollAnswered(activity, observing), order, status, observing, quiet=True)
            case Observing():
                for written in self.engine.observe(order, activity):
                    yield self._step(Observe(activity, written.order.state), written, status, activity=IDLE, quiet=True)

    def _lease(self, order: StoredOrder, status: str) -> Iterator[Step]:
        """An idle worker leases an effect or a poll."""
        for effect in order.owed:
            may_call = self.engine.may_call(effect)
            activity: Activity = Calling(
                effect.name, Ownership.CURRENT, sent=not self.engine.marks(effect.name), in_doubt=effect.doubt is not Doubt.NONE
            )
            if not may_call:
                activity = Reporting(effect.name, Ownership.CURRENT, CallEnd.NOT_CALLED)
            change = Change(taken=effect.name)
            yield Step(
                Lease(effect.name, may_call, activity), self.engine.lease(order, effect), status, activity, change=change, quiet=True
            )
        if order.poll_planned and order.has_provider_id and status:
            leased, polling = self.engine.begin_poll(order)
            polling = evolve(polling, behind=tuple(name for name, phase in order.deadlines if phase is DeadlinePhase.DUE))
            yield Step(BeginPoll(polling), leased, status, polling, quiet=True)

    def _mark(self, order: StoredOrder, status: str, activity: Calling | Reporting) -> Step:
        """The moment of sending is marked. A worker that may not mark it drops the call."""
        if not self.engine.may_mark(activity):
            return Step(MarkSending(activity, IDLE), order, status, IDLE, quiet=True)
        onward = evolve(activity, sent=True)
        return Step(MarkSending(activity, onward), self.engine.mark(order, activity.effect), status, onward, quiet=True)

    def _call(self, order: StoredOrder, status: str, calling: Calling) -> Iterator[Step]:
        """The call is sent or not, the provider acts or not, and the answer comes or not."""
        effect = calling.effect
        call = self.environment.calls[effect]
        ends = [
            (False, CallEnd.NOT_SENT),
            (False, CallEnd.ANSWER_LOST),
            (False, CallEnd.NOT_FOUND if call.searches else CallEnd.REJECTED),
        ]
        if not call.needs or status in call.needs:
            ends = [(True, CallEnd.ANSWERED), (True, CallEnd.ANSWER_LOST), *ends]
        for acts, end in ends:
            marked = end is not CallEnd.NOT_SENT or effect not in self.engine.may_leave_doubt
            reporting = Reporting(effect, calling.ownership, end, calling.later_call, marked, calling.in_doubt)
            status_after = call.creates if acts and call.creates and not status else status
            declared = self.environment.table.effects[effect]
            executes = effect if acts and declared.kind and not declared.safe else ""
            yield Step(Call(calling, acts, reporting), order, status_after, reporting, executes, quiet=True)

    # ── what a step changes for the other workers ────────────────────────────────────────────────────────────────────────

    def _change(self, others: Workers, change: Change, activity: Activity | None) -> Workers:
        """All workers after a step: the others as the change leaves them, and the acting worker; remembered."""
        workers = [self._apply_change(other, change) for other in others]
        if activity is not None:
            workers.append(activity)
        after = self._workers_after[others, change, activity] = tuple(sorted(workers, key=repr))
        return after

    def _apply_change(self, activity: Activity, change: Change) -> Activity:
        if isinstance(activity, Calling | Reporting) and self.engine.is_later_call(activity.effect, change.requested):
            activity = evolve(activity, later_call=True)
        match activity:
            case Polling() | Observing() if change.moved:
                return self.engine.overtake(activity)
            case Calling(effect=change.ended) | Reporting(effect=change.ended):
                activity = evolve(activity, ownership=Ownership.ROW_ENDED)
            case Calling(effect=change.taken) | Reporting(effect=change.taken):
                return evolve(activity, ownership=min(activity.ownership, Ownership.TAKEN_OVER))
        return IDLE if self.engine.is_without_effect(activity) else activity

    # ── never ahead of the provider ──────────────────────────────────────────────────────────────────────────────────────

    def _ahead_of_provider(self, state: str, status: str) -> str:
        if state not in self._supporting:
            self._supporting[state] = self._statuses_supporting(state)
        if status in self._supporting[state]:
            return ""
        return f"{state} is ahead of the provider, whose status is {status or 'none'}"

    def _statuses_supporting(self, state: str) -> frozenset[str]:
        """The statuses under which an order may stand in the state: those that prove it, and all that may follow these."""
        table, moves = self.environment.table, self.environment.status_moves
        proven = {reading.proves for reading in table.readings.values()} | {name for name, info in table.states.items() if info.proven}
        if state not in proven:
            return frozenset(("", *moves))
        supporting = [status for status in moves if _supports(table, status, state)]
        for status in supporting:  # grows while it is walked
            supporting += [onward for onward in moves[status] if onward not in supporting]
        return frozenset(supporting)


def _is_true(denied: tuple[str, ...], executed: frozenset[str], workers: Workers) -> bool:
    """Whether none of the effects was carried out, and no worker can still send one."""
    return executed.isdisjoint(denied) and not any(isinstance(activity, Calling) and activity.effect in denied for activity in workers)


def _supports(table: Table, status: str, state: str) -> bool:
    """Whether the status is consistent with the state; where no status is (``paid``), whether it proves a state that follows."""
    if any(state in reading.consistent for reading in table.readings.values()):
        return state in table.readings[status].consistent
    return table.readings[status].proves in {edge.target for edge in table.out[state]}
