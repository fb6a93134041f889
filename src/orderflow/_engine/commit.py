"""From a decision to everything that it writes. Pure: the time and the random jitter are parameters."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, evolve, field

from orderflow._engine.flags import plan_flag
from orderflow._flagged import ORDER_FLAGGED
from orderflow._lifecycle.decide import is_over_without_proof, is_pollable, is_settled
from orderflow._lifecycle.table import Table
from orderflow._provider.timing import Timing
from orderflow._store.records import Commit, OwedEffect, PollAt, PollPlan, PollSooner, StopPolling
from orderflow._store.rows import dump
from orderflow.model import (
    FLAGGING_REASONS,
    NOTIFY_LISTENER,
    PROVIDER_ID,
    REDACTED,
    Applied,
    Decision,
    Effect,
    EffectKey,
    Event,
    Ignored,
    JournalRow,
    Message,
    Order,
    Origin,
    Reason,
    RefusalRow,
    Refused,
    Snapshot,
    Step,
    StepKind,
)

STATUS_READ = "status_read"
"""The event name under which ignored and refused observations are recorded."""


@define
class CommitContext:
    """What a commit depends on beside the order and the decision.

    ``notified_states``: states for which some process has a listener; ``ORDER_FLAGGED`` is among them where some process listens to flags.
    ``data``: what the event says. ``jitter``: drawn from [-1, 1]. ``without_news``: polls in a row
    without news before this observation, ``poll_started``: when the poll began that brought it. ``trace``: W3C traceparent of the span
    of this decision. ``message``: the answer that brought the event. ``anomaly``: what flags the order, whatever is decided.
    ``called``: the effect whose call the event reports. ``unusable``: polls in a row that were answered and could not be used.
    ``retry_after``: the least seconds until the next poll. ``may_poll``: whether a claim that is not applied brings the poll forward.
    ``unpolled``: a deadline brings the event, and no poll was answered since it was due.
    """

    table: Table
    timing: Timing
    notified_states: frozenset[str]
    now: float
    jitter: float
    event: str
    origin: Origin
    note: str = ""
    finished_effect: EffectKey | None = None
    without_news: int = 0
    poll_started: float | None = None
    trace: str = ""
    message: Message | None = None
    anomaly: str = ""
    may_poll: bool = True
    unpolled: bool = False
    called: Effect | None = None
    unusable: int = 0
    retry_after: float = 0.0
    data: Mapping[str, object] = field(factory=dict)


def poll_backoff(timing: Timing, without_news: int, jitter: float) -> float:
    """Seconds until the next poll after this many polls without news: grows, up to a cap, with jitter."""
    grown = timing.poll_first * timing.poll_growth ** min(without_news, 60)
    return min(timing.poll_cap, grown) * (1 + timing.poll_jitter * jitter)


def plan_entry_deadlines(table: Table, timing: Timing, state: str, now: float) -> tuple[tuple[str, float], ...]:
    """The deadlines of an order that enters the state now: the events, and when each is due."""
    return tuple((event, now + timing.durations[key]) for event, key in table.states[state].deadlines)


def plan_requested_poll(table: Table, timing: Timing, snapshot: Snapshot, now: float) -> PollPlan | None:
    """The poll that a claim or a notice asks for; None: none is needed.

    An order that is over without proof is polled too, but rarely: a proof that comes late is refused, and so flagged.
    """
    if not is_settled(table, snapshot):
        return PollSooner(timing.poll_interval)
    if may_be_polled_late(table, snapshot):
        return PollAt(now, 0, timing.poll_cap)
    return None


def plan_no_poll(table: Table, snapshot: Snapshot) -> StopPolling:
    """No poll can move the order."""
    return StopPolling(remember=may_be_polled_late(table, snapshot))


def may_be_polled_late(table: Table, snapshot: Snapshot) -> bool:
    """Whether a claim, a notice or an unpolled deadline still brings a poll of the order, which is over without proof.

    A redacted order is not polled: an adapter compares what the provider answers with the order's data.
    """
    return PROVIDER_ID in snapshot.data and REDACTED not in snapshot.data and is_over_without_proof(table, snapshot)


def find_answered_poll(table: Table, snapshot: Snapshot, started: float | None) -> float | None:
    """``started``, the time at which a poll began that is answered now, where the order has deadlines that may wait for it."""
    info = table.states.get(snapshot.state)
    return started if info is not None and info.deadlines else None


def plan_commit(context: CommitContext, order: Order, decision: Decision, command: Event | None = None) -> Commit:
    """Everything that a decision about an order writes. ``command``: the command that was decided, as the provider fitted it."""
    if REDACTED in order.snapshot.data:
        context, decision = _strip_personal_data(context, decision)
    if isinstance(decision, Applied):
        commit = _plan_applied(context, order, decision, _find_given(decision.snapshot, command))
    else:
        commit = _plan_unchanged(context, order, decision)
    if context.anomaly:
        after = decision.snapshot if isinstance(decision, Applied) else order.snapshot  # an order is flagged at its version
        return flag_order(context, order, commit, _refusal_row(context, after, order.id, Reason.ANOMALY, context.anomaly))
    return commit if commit.refusal is None else flag_order(context, order, commit, commit.refusal)


def flag_order(context: CommitContext, order: Order, commit: Commit, refusal: RefusalRow) -> Commit:
    """The commit with this refusal. Where that flags the order and some process listens to flags, it owes their notification."""
    commit = evolve(commit, refusal=refusal)
    if refusal.reason not in FLAGGING_REASONS or ORDER_FLAGGED not in context.notified_states:
        return commit
    data = {} if REDACTED in order.snapshot.data else context.data
    return evolve(commit, effects=(*commit.effects, plan_flag(refusal, data, context.trace)))


def without_personal_data(data: Mapping[str, object]) -> dict[str, object]:
    """What a redaction keeps of an order's data: the provider's id, by which the order can be erased there too, and the mark itself."""
    return {key: data[key] for key in (PROVIDER_ID, REDACTED) if key in data}


def _strip_personal_data(context: CommitContext, decision: Decision) -> tuple[CommitContext, Decision]:
    """A redacted order stays redacted, also when a late answer arrives: neither its data nor its text is stored, nor the answer itself.

    An operator's note (who and why) is kept, and the detail of a refused reply, which may hold the provider's id and nothing else.
    """
    if context.origin is not Origin.OPERATOR:
        context = evolve(context, note="", message=None)
    if isinstance(decision, Applied):
        snapshot = evolve(decision.snapshot, data=without_personal_data(decision.snapshot.data))
        return context, evolve(decision, snapshot=snapshot)
    return context, evolve(decision, detail="") if context.origin is Origin.OBSERVATION else decision


# ── the order moves ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _plan_applied(context: CommitContext, order: Order, applied: Applied, given: Mapping[str, object]) -> Commit:
    journal: list[JournalRow] = []
    effects: list[OwedEffect] = []
    after = applied.snapshot
    for version, step in enumerate(applied.steps, order.snapshot.version + 1):
        data = _find_changes(order.snapshot.data, after.data) if version == after.version else {}  # the last step is what was reported
        journal.append(_journal_row(context, order, version, step, data))
        for n, effect in enumerate(step.effects):
            effects.append(OwedEffect(version, n, effect.name, "", context.trace, _dump_arguments(effect, given)))
        if step.source != step.target and step.target in context.notified_states:
            effects.append(OwedEffect(version, len(step.effects), NOTIFY_LISTENER, step.target, context.trace))
    overridden = applied.steps[0].kind is StepKind.OVERRIDE
    return Commit(
        applied,
        context.now,
        journal=tuple(journal),
        effects=tuple(effects),
        deadlines=_plan_deadlines(context, order, applied.snapshot, overridden),
        finished_effect=context.finished_effect,
        cancel_effects=overridden,
        poll=_plan_poll_after_step(context, order, applied.snapshot),
        keep_fingerprint=REDACTED not in order.snapshot.data,
        message=context.message,
    )


def _find_given(after: Snapshot, command: Event | None) -> Mapping[str, object]:
    """The data from which a step's calls take their arguments.

    A command gives them all itself: what it leaves out is not taken from the command before. Any other event takes them from the order.
    The provider's id is always the order's.
    """
    if command is None:
        return after.data
    return {name: after.data[name] for name in (*command.data, PROVIDER_ID) if name in after.data}


def _dump_arguments(effect: Effect, given: Mapping[str, object]) -> str:
    """The data that a call is made with: a copy, so that what comes later does not change it."""
    if not effect.arguments:
        return ""
    return dump({name: given[name] for name in effect.arguments if name in given})


def _find_changes(before: Mapping[str, object], after: Mapping[str, object]) -> Mapping[str, object]:
    """The values that are not the same object as before. What a decision leaves as it was is the same object: nothing is compared.

    None for a name that is gone: an override may take the provider's id away.
    """
    if after is before:
        return {}
    missing = object()
    changed = {name: value for name, value in after.items() if before.get(name, missing) is not value}
    return changed | dict.fromkeys(before.keys() - after.keys())


def _journal_row(context: CommitContext, order: Order, version: int, step: Step, data: Mapping[str, object]) -> JournalRow:
    note = "; ".join(filter(None, (step.note, context.note, _unmet_expectation(context.table, order, step))))
    kind = step.kind._value_
    return JournalRow(order.id, version, step.event, step.origin, step.source, step.target, kind, context.now, note, step.facts, data)


def _unmet_expectation(table: Table, order: Order, step: Step) -> str:
    """A note if the edge expected other facts. The edge is taken all the same: facts may have been derived wrongly."""
    cell = table.cells.get(step.source, {}).get(step.event)  # an override may lead out of a state that this version lacks
    for edge in cell.edges if cell else ():
        if edge.expects and edge.target == step.target and not edge.expected.pick(order.snapshot.facts):
            return f"unexpected: {edge.expects} was not so"
    return ""


def _plan_deadlines(context: CommitContext, order: Order, snapshot: Snapshot, overridden: bool) -> tuple[tuple[str, float], ...] | None:
    state_before = order.snapshot.state
    if snapshot.state == state_before and not overridden:
        return None
    armed = context.table.states[snapshot.state].deadlines
    before = context.table.states.get(state_before)  # None: this version lacks the state
    if not armed and before is not None and not before.deadlines:
        return None  # nothing to disarm, nothing to arm
    return plan_entry_deadlines(context.table, context.timing, snapshot.state, context.now)


def _plan_poll_after_step(context: CommitContext, order: Order, snapshot: Snapshot) -> PollPlan | None:
    if is_settled(context.table, snapshot):
        is_unknown = context.unpolled and may_be_polled_late(context.table, snapshot)  # once more, until it is answered
        return PollAt(context.now, 0, context.timing.poll_interval) if is_unknown else StopPolling()
    if PROVIDER_ID not in snapshot.data:  # nothing can be polled yet; a claim is remembered until it can
        return PollSooner(context.timing.poll_interval) if context.origin is Origin.CLAIM else None
    if not is_pollable(context.table, snapshot):
        return StopPolling()
    at_once = context.origin in (Origin.CLAIM, Origin.CLOCK)  # a claim asks for a poll; a deadline may have missed news
    wait = 0.0 if at_once else poll_backoff(context.timing, 0, context.jitter)
    answered = find_answered_poll(context.table, snapshot, context.poll_started) if snapshot.state == order.state else None
    return PollAt(context.now + wait, 0, context.timing.poll_interval, answered=answered)


# ── the order stays ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _plan_unchanged(context: CommitContext, order: Order, decision: Ignored | Refused) -> Commit:
    refusal = _refusal_row(context, order.snapshot, order.id, decision.reason, decision.detail)
    return Commit(
        decision,
        context.now,
        refusal=None if decision.reason is Reason.NO_NEWS else refusal,
        finished_effect=context.finished_effect,
        poll=_plan_poll_without_step(context, order, decision.reason),
        # a reply or a deadline is over once decided; anything else may come again and be applied then
        keep_key=context.origin in (Origin.REPLY, Origin.CLOCK),
        message=context.message,
    )


def _refusal_row(context: CommitContext, snapshot: Snapshot, order_id: str, reason: Reason, detail: str) -> RefusalRow:
    return RefusalRow(
        order_id=order_id,
        event=context.event,
        origin=context.origin,
        state=snapshot.state,
        reason=reason,
        detail=detail,
        version=snapshot.version,
        count=1,
        first_at=context.now,
        last_at=context.now,
    )


def _plan_poll_without_step(context: CommitContext, order: Order, reason: Reason) -> PollPlan | None:
    if context.origin is Origin.CLAIM:
        return plan_requested_poll(context.table, context.timing, order.snapshot, context.now) if context.may_poll else None
    if context.origin is not Origin.OBSERVATION:
        return None
    if not is_pollable(context.table, order.snapshot):
        if reason is Reason.STALE and may_be_polled_late(context.table, order.snapshot):
            return None  # the poll began before the end; one that was asked for since stays
        return plan_no_poll(context.table, order.snapshot)
    if reason is Reason.STALE:
        return PollSooner(context.timing.poll_interval)
    wait = max(poll_backoff(context.timing, context.without_news + 1, context.jitter), context.retry_after)
    answered = find_answered_poll(context.table, order.snapshot, context.poll_started)
    return PollAt(context.now + wait, context.without_news + 1, context.timing.poll_interval, context.unusable, answered)
