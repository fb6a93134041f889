"""From a decision to everything that it writes. Pure: the clock's reading and the drawn jitter are passed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import define, evolve

from orderflow.lifecycle.decide import pollable, settled
from orderflow.lifecycle.table import Table
from orderflow.model import (
    NOTIFY_LISTENER,
    PROVIDER_ID,
    REDACTED,
    Applied,
    Decision,
    EffectKey,
    JournalRow,
    Order,
    Origin,
    Reason,
    RefusalRow,
    Snapshot,
    Step,
    StepKind,
)
from orderflow.provider.timing import Timing
from orderflow.store.records import Commit, OwedEffect, PollAt, PollPlan, PollSooner, StopPolling

STATUS_READ = "status_read"
"""The event name under which refused or ignored observations are recorded."""


@define
class CommitContext:
    """What the inbox knows beside order and decision. ``jitter`` is drawn from [-1, 1]."""

    table: Table
    timing: Timing
    listens: Callable[[str], bool]  # whether the host wants to be told of a state
    now: float
    jitter: float
    event: str
    origin: Origin
    note: str = ""
    finished_effect: EffectKey | None = None
    without_news: int = 0  # reads in a row without news, before this observation
    trace: str = ""  # of the span that watches the decision


def poll_wait(timing: Timing, without_news: int, jitter: float) -> float:
    """Seconds until the next read after ``without_news`` without news: grown, capped, jittered."""
    grown = timing.poll_first * timing.poll_growth ** min(without_news, 60)
    return min(timing.poll_cap, grown) * (1 + timing.poll_jitter * jitter)


def plan_commit(given: CommitContext, order: Order, decision: Decision) -> Commit:
    """Everything that one decision writes."""
    if REDACTED in order.snapshot.data:
        given, decision = _redacted(given, decision)
    if isinstance(decision, Applied):
        return _moved(given, order, decision)
    news = decision.reason is not Reason.NO_NEWS
    refusal = RefusalRow(
        order_id=order.id,
        event=given.event,
        origin=given.origin,
        state=order.state,
        reason=decision.reason,
        detail=decision.detail,
        version=order.version,
        count=1,
        first_at=given.now,
        last_at=given.now,
    )
    return Commit(
        decision,
        given.now,
        refusal=refusal if news else None,
        finished_effect=given.finished_effect,
        poll=_read_unmoved(given, order, decision.reason),
        # what was not applied may be asked again and be applied then; a reply or deadline is over once judged
        keep_key=given.origin in (Origin.REPLY, Origin.CLOCK),
    )


def without_personal_data(data: Mapping[str, object]) -> dict[str, object]:
    """What of an order's data stays when it is redacted: the provider's id, by which it can be erased there too, and that it was."""
    return {key: data[key] for key in (PROVIDER_ID, REDACTED) if key in data}


def _redacted(given: CommitContext, decision: Decision) -> tuple[CommitContext, Decision]:
    """What arrives for a redacted order, such as the answer to a call that was under way, brings back none of what was removed: of
    what others say neither data nor a word is kept. Operators say who and why; a reply's detail may hold the provider's id, and no more."""
    if given.origin is not Origin.OPERATOR:
        given = evolve(given, note="")
    if isinstance(decision, Applied):
        return given, evolve(decision, snapshot=evolve(decision.snapshot, data=without_personal_data(decision.snapshot.data)))
    return given, evolve(decision, detail="") if given.origin is Origin.OBSERVATION else decision


def _moved(given: CommitContext, order: Order, applied: Applied) -> Commit:
    snapshot = applied.snapshot
    journal: list[JournalRow] = []
    effects: list[OwedEffect] = []
    for version, step in enumerate(applied.steps, order.version + 1):
        journal.append(_journal_row(given, order, version, step))
        for n, effect in enumerate(step.effects):
            effects.append(OwedEffect(version, n, effect.name, "", given.trace))
        if step.source != step.target and given.listens(step.target):
            effects.append(OwedEffect(version, len(step.effects), NOTIFY_LISTENER, step.target, given.trace))
    overridden = applied.steps[0].kind is StepKind.OVERRIDE
    return Commit(
        applied,
        given.now,
        journal=tuple(journal),
        effects=tuple(effects),
        deadlines=_deadlines(given, order, snapshot, overridden),
        finished_effect=given.finished_effect,
        cancel_effects=overridden,
        poll=_read_moved(given, snapshot),
    )


def _journal_row(given: CommitContext, order: Order, version: int, step: Step) -> JournalRow:
    note = "; ".join(filter(None, (step.note, given.note, _unexpected(given.table, order, step))))
    return JournalRow(order.id, version, step.event, step.origin, step.source, step.target, step.kind._value_, given.now, note)


def _unexpected(table: Table, order: Order, step: Step) -> str:
    """What an edge expected of the order's facts and did not find: the facts were derived wrongly, the edge stands."""
    cell = table.cells[step.source].get(step.event)
    for edge in cell.edges if cell else ():
        if edge.expects and edge.target == step.target and not edge.expected.pick(order.snapshot.facts):
            return f"unexpected: {edge.expects} was not so"
    return ""


def _deadlines(given: CommitContext, order: Order, snapshot: Snapshot, overridden: bool) -> tuple[tuple[str, float], ...] | None:
    if snapshot.state == order.state and not overridden:
        return None
    arms = given.table.states[snapshot.state].deadlines
    if not arms and not given.table.states[order.state].deadlines:
        return None  # nothing to disarm, nothing to arm
    return tuple((event, given.now + given.timing.durations[key]) for event, key in arms)


def _read_moved(given: CommitContext, snapshot: Snapshot) -> PollPlan | None:
    if settled(given.table, snapshot):
        return StopPolling()
    if PROVIDER_ID not in snapshot.data:  # nothing can be read yet: a claim is remembered, and an earlier one survives
        return PollSooner(given.timing.poll_interval) if given.origin is Origin.CLAIM else None
    if not pollable(given.table, snapshot):
        return StopPolling()
    soon = given.origin in (Origin.CLAIM, Origin.CLOCK)  # a claim brings the read forward; a deadline may have missed news
    wait = 0.0 if soon else poll_wait(given.timing, 0, given.jitter)
    return PollAt(given.now + wait, 0, given.timing.poll_interval)


def _read_unmoved(given: CommitContext, order: Order, reason: Reason) -> PollPlan | None:
    if given.origin is Origin.CLAIM:
        return None if settled(given.table, order.snapshot) else PollSooner(given.timing.poll_interval)
    if given.origin is not Origin.OBSERVATION:
        return None
    if not pollable(given.table, order.snapshot):
        return StopPolling()
    if reason is Reason.STALE:
        return PollSooner(given.timing.poll_interval)
    wait = poll_wait(given.timing, given.without_news + 1, given.jitter)
    return PollAt(given.now + wait, given.without_news + 1, given.timing.poll_interval)
