"""The decider: from an order as it stands and a request to a planned commit. Pure; a store calls it again after a lost race.

A request is an ``Event``, a ``Command``, an ``Observation``, an ``Override``, an ``UnusableAnswer`` or an ``AdapterFault``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from attrs import evolve, frozen

from orderflow._engine.commit import CommitContext, flag_order, plan_commit
from orderflow._lifecycle.decide import decide, legal
from orderflow._lifecycle.observe import observe
from orderflow._lifecycle.table import Table
from orderflow._provider.protocol import DoesNotFit
from orderflow._store.records import Commit, IdChange
from orderflow.model import (
    PROVIDER_ID,
    Applied,
    Decision,
    Effect,
    Event,
    Ignored,
    Observation,
    Order,
    Origin,
    Reason,
    Refused,
    Snapshot,
    Step,
    StepKind,
)


@frozen
class Command:
    """A command or an operator's event, and how the provider fits it to the order as it stands.

    ``fit`` is pure. It returns the event with the data to keep, or ``DoesNotFit``.
    """

    event: Event
    fit: Callable[[Order], Event | DoesNotFit]

    @property
    def note(self) -> str:
        """The note of the event."""
        return self.event.note


@frozen
class Override:
    """An operator moves an order to ``target`` outside the table, after looking at ``version``.

    Attributes:
        note: who and why.
        provider_id: the provider's id of the order from now on ("": it has none); None: the one that it has.
        is_id_confirmed: a poll has moved the order at that version or before, so its provider's id is right.
    """

    target: str
    version: int
    note: str
    provider_id: str | None = None
    is_id_confirmed: bool = False


@frozen
class UnusableAnswer:
    """A poll that began at ``version`` was answered, and brought no status. ``detail``: who answered, and with which status code.

    ``in_a_row``: how many polls of the order in a row. ``retry_after``: the least seconds until the next. ``flags``: a person should look.
    ``by_provider``: the provider itself answered.
    """

    version: int
    detail: str
    in_a_row: int
    retry_after: float = 0.0
    flags: bool = False
    by_provider: bool = True


@frozen
class AdapterFault:
    """The adapter fails at an effect before it sends anything; ``why`` shows nothing that the provider wrote."""

    effect: str
    why: str


Request = Event | Command | Observation | Override | UnusableAnswer | AdapterFault


def decide_and_plan(context: CommitContext, request: Request, order: Order) -> Commit:
    """Everything that a request writes to an order."""
    decision, command = _decide_request(context.table, order, request)
    if not isinstance(decision, Applied):
        return _plan_not_ours(context, order, decision) if decision.reason is Reason.NOT_OURS else plan_commit(context, order, decision)
    commit = plan_commit(context, order, decision, command)
    taken, released = decision.snapshot.provider_id or "", order.provider_id or ""
    if taken == released:
        return commit
    return evolve(commit, id_change=IdChange(taken, released, partial(_plan_taken, context, order, taken)))


def _plan_taken(context: CommitContext, order: Order, provider_id: str, holder: str) -> Commit:
    """What is written instead of a step that gives the order a provider's id that belongs to another order of ours."""
    detail = f"{context.event} names the provider's order {provider_id}, which belongs to our order {holder}"
    return _plan_not_ours(context, order, _refuse(context.table, order, Reason.NOT_OURS, detail))


def _plan_not_ours(context: CommitContext, order: Order, refused: Decision) -> Commit:
    """What is written where the provider names another order: the refusal, which flags the order and keeps both ids.

    A success leaves the order in doubt: the call is over, and what it did for this order is not known.
    """
    commit, called = plan_commit(context, order, refused), context.called
    if called is None or not called.kind:
        return commit
    assert commit.refusal is not None
    lost = decide(context.table, order.snapshot, Event(called.unknown_end, Origin.REPLY))
    if not isinstance(lost, Applied):
        return commit
    noted = evolve(context, note=commit.refusal.detail)
    return flag_order(context, order, plan_commit(noted, order, lost), evolve(commit.refusal, version=lost.snapshot.version))


def decide_late_and_plan(context: CommitContext, effect: Effect, event: Event, order: Order) -> Commit:
    """What is written for the reply to a call that ended before, where a later call of the same kind was requested.

    The order stays as it is. Where a once-effect succeeded after all, the reply is refused, and so flagged: the later call may be its
    second execution.
    """
    detail = "it comes from a call that ended before; a later one was requested"
    if event.name in effect.failures or not effect.once:
        return plan_commit(context, order, Ignored(Reason.STALE, order.state, detail))
    named = "" if event.provider_id is None else f"; it names the provider's order {event.provider_id}"
    return plan_commit(context, order, _refuse(context.table, order, Reason.ANOMALY, f"{event.name}: {detail}{named}"))


def _decide_request(table: Table, order: Order, request: Request) -> tuple[Decision, Event | None]:
    """The decision; of a command also the event that was decided."""
    if isinstance(request, Event):
        return decide_event(table, order, request), None
    if isinstance(request, Command):
        decision, fitted = _decide_command(table, order, request)
        return decision, fitted if fitted.origin is Origin.COMMAND else None
    if isinstance(request, Observation):
        return observe(table, order.snapshot, request), None
    if isinstance(request, UnusableAnswer):
        return _decide_unusable(table, order, request), None
    if isinstance(request, AdapterFault):
        return _refuse(table, order, Reason.ANOMALY, request.why), None
    return _decide_override(table, order, request), None


def decide_event(table: Table, order: Order, event: Event) -> Decision:
    """``decide``, after the provider's id that the event names was compared with the order's.

    Returns ``Refused(NOT_OURS)`` if they differ, and ``Refused(ANOMALY)`` if a reply names an id for an order that does not take it:
    something exists at the provider then, and its id must not be lost.

    Raises:
        UnknownName: the lifecycle has no such event.
    """
    known, named = order.provider_id, event.provider_id
    if known is not None and named is not None and known != named:
        return _refuse(table, order, Reason.NOT_OURS, f"{event.name} names the provider's order {named}, ours is {known}")
    if event.origin is Origin.OBSERVATION:
        return _refuse(table, order, Reason.WRONG_ORIGIN, "observations enter through a poll, never by name")
    if named is not None:
        event = evolve(event, data={**event.data, PROVIDER_ID: named})
    decision = decide(table, order.snapshot, event)
    if named is not None and known is None and event.origin is Origin.REPLY and not isinstance(decision, Applied):
        detail = f"{event.name} names the provider's order {named}, and this order is {order.state}"
        return _refuse(table, order, Reason.ANOMALY, detail)
    return decision


def _decide_command(table: Table, order: Order, command: Command) -> tuple[Decision, Event]:
    """The decision, and the event that was decided. The lifecycle decides first, so that a provider sees only orders to which the command
    may be sent."""
    event = command.event
    decision = decide_event(table, order, event)
    if not isinstance(decision, Applied):
        return decision, event
    fitted = command.fit(order)
    if isinstance(fitted, DoesNotFit):
        return _refuse(table, order, Reason.DOES_NOT_FIT, fitted.why), event
    return (decision, event) if fitted is event else (decide_event(table, order, fitted), fitted)


def _decide_override(table: Table, order: Order, override: Override) -> Decision:
    if override.version != order.version:
        return _refuse(table, order, Reason.STALE, f"asked for at version {override.version}, the order is at {order.version}")
    snapshot, note = order.snapshot, ""
    if override.provider_id is not None:
        if override.is_id_confirmed:
            return _refuse(table, order, Reason.LATE, f"a poll has confirmed the provider's id {order.provider_id}")
        data = {name: value for name, value in snapshot.data.items() if name != PROVIDER_ID}
        if override.provider_id:
            data[PROVIDER_ID] = override.provider_id
        snapshot = evolve(snapshot, data=data)
        note = f"the provider's id is {override.provider_id or 'not known'}, it was {order.provider_id or 'not known'}"
    step = Step("override", Origin.OPERATOR, order.state, override.target, StepKind.OVERRIDE, note=note)
    return Applied((step,), Snapshot(override.target, snapshot.facts, snapshot.data, snapshot.version + 1))


def _decide_unusable(table: Table, order: Order, answer: UnusableAnswer) -> Decision:
    if answer.version != order.version:
        return Ignored(Reason.STALE, order.state, f"polled at version {answer.version}, now {order.version}")
    if answer.flags:
        return _refuse(table, order, Reason.NO_USABLE_ANSWER, f"{answer.detail}; {answer.in_a_row} polls in a row brought no status")
    return Ignored(Reason.UNUSABLE, order.state, answer.detail)


def _refuse(table: Table, order: Order, reason: Reason, detail: str) -> Refused:
    return Refused(reason, order.state, detail, legal(table, order.snapshot))
