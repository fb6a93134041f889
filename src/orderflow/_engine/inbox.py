"""The inbox: the one way in for events. Each is decided and committed here, idempotent by key.

The decider that the store gets is pure. The store calls it with the order as it stands, again after a lost race, so commands, replies
and claims are decided again. An observation carries the version that its poll started at, and is stale by then.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from functools import partial

from attrs import define, evolve

from orderflow._clock import Clock
from orderflow._engine.commit import STATUS_READ, CommitContext
from orderflow._engine.decider import (
    AdapterFault,
    Command,
    Override,
    Request,
    UnusableAnswer,
    decide_and_plan,
    decide_late_and_plan,
)
from orderflow._engine.listeners import Listeners
from orderflow._engine.recent_commits import RecentCommits
from orderflow._engine.waiters import Waiters
from orderflow._inputs import check_order_id
from orderflow._lifecycle.table import Table
from orderflow._provider.protocol import Provider
from orderflow._store.ports import Store
from orderflow._store.records import Commit, Decider, DueDeadline, InboxKey, LeasedEffect, Receipt, ReportedCall
from orderflow._telemetry.decisions import are_watched, report_decision
from orderflow._telemetry.log import get_logger
from orderflow._telemetry.ports import Telemetry
from orderflow.errors import UnknownName
from orderflow.model import Applied, Decision, Event, Message, Observation, Order, Origin, Reason, Refused

_log = get_logger(__name__)


def provider_of(providers: Mapping[str, Provider], order_id: str) -> Provider:
    """The provider with whose name an order's id begins.

    Raises:
        UnknownName: no order with this id can exist here; InvalidInput: it is not text.
    """
    provider = providers.get(check_order_id(order_id).rpartition("-")[0])
    if provider is None:
        raise UnknownName("order", order_id)
    return provider


def _with_decision_watchers(decider: Decider, table: Table, request: Request) -> Decider:
    """The decider itself; where tests watch decisions, one that also reports each decision."""
    if not are_watched() or isinstance(request, Override | UnusableAnswer | AdapterFault):
        return decider

    subject = request.event if isinstance(request, Command) else request

    def decide_and_report(order: Order) -> Commit:
        commit = decider(order)
        report_decision(table, order.snapshot, subject, commit.decision)
        return commit

    return decide_and_report


def _name_and_origin(request: Request) -> tuple[str, Origin]:
    """The event by which a request is named in the journal and in refusals, and its origin."""
    if isinstance(request, Command):
        request = request.event
    if isinstance(request, Event):
        return request.name, request.origin
    if isinstance(request, AdapterFault):
        return request.effect, Origin.REPLY
    return ("override", Origin.OPERATOR) if isinstance(request, Override) else (STATUS_READ, Origin.OBSERVATION)


def _data_of(request: Request) -> Mapping[str, object]:
    """What a request says beside its name: the data of its event or status."""
    if isinstance(request, Command):
        request = request.event
    return request.data if isinstance(request, Event | Observation) else {}


def _make_reported_call(context: CommitContext, event: Event, effect: LeasedEffect) -> ReportedCall:
    """The call whose end an event reports."""
    effects, called = context.table.effects, context.called
    assert called is not None
    kind = called.kind
    names = tuple(name for name, declared in effects.items() if kind and declared.kind == kind) or (effect.name,)
    return ReportedCall(effect.key, names, partial(decide_late_and_plan, context, called, event))


@define(eq=False, kw_only=True)
class Inbox:
    """Decides and commits events. ``wake`` is set after each decision: there may be new work for a worker of this process."""

    _store: Store
    _providers: Mapping[str, Provider]
    _listeners: Listeners
    _waiters: Waiters
    _recent_commits: RecentCommits
    _wake: asyncio.Event
    _clock: Clock
    _rng: random.Random
    _telemetry: Telemetry

    async def accept(
        self,
        order_id: str,
        event: Event,
        key: InboxKey | None = None,
        *,
        effect: LeasedEffect | None = None,
        deadline: DueDeadline | None = None,
        message: Message | None = None,
        anomaly: str = "",
        may_poll: bool = True,
    ) -> Receipt:
        """Decide and commit a reply, claim or clock event. A command enters by ``accept_command``.

        ``effect`` is the one that the event ends, ``deadline`` the one that brought it; either ends with the decision, whatever it is.
        The reply of an effect that ended before does not move the order if a later effect of the same kind was requested.
        ``message`` is the answer that brought the event. It is kept with the decision, but for a duplicate, which writes nothing.
        ``anomaly``: what a person should look at; it flags the order, whatever the decision is.
        ``may_poll``: whether a claim that is not applied brings the order's poll forward.

        Raises:
            UnknownName: no such order or event.
        """
        provider = provider_of(self._providers, order_id)
        if event.name not in provider.table.events:
            raise UnknownName(f"event of {provider.table.name}", event.name, tuple(provider.table.events))
        return await self._commit(
            order_id,
            provider,
            event,
            key=key,
            finished_effect=effect,
            deadline=deadline,
            message=message,
            anomaly=anomaly,
            may_poll=may_poll,
        )

    async def accept_command(self, order_id: str, provider: Provider, command: Command, key: InboxKey | None = None) -> Receipt:
        """Decide and commit a command or an operator's event, which the order's ``provider`` must have.

        Raises:
            UnknownName: no such order; what ``command.fit`` raises is passed on.
        """
        return await self._commit(order_id, provider, command, key=key)

    async def accept_observation(
        self, order_id: str, observation: Observation, without_news: int, started: float, message: Message | None = None
    ) -> Receipt:
        """Decide and commit a status read. ``without_news``: how many polls in a row had no news before it; ``started``: when it began;
        ``message``: as ``accept``.

        Raises:
            UnknownName: no such order.
        """
        provider = provider_of(self._providers, order_id)
        key = InboxKey(Origin.OBSERVATION.value, f"{order_id}:{started!r}")
        return await self._commit(
            order_id, provider, observation, key=key, without_news=without_news, poll_started=started, message=message
        )

    async def accept_unusable(
        self,
        order_id: str,
        answer: UnusableAnswer,
        without_news: int,
        started: float,
        message: Message | None = None,
    ) -> Receipt:
        """Record that a poll was answered and brought no status; the arguments are those of ``accept_observation``.

        Raises:
            UnknownName: no such order.
        """
        provider = provider_of(self._providers, order_id)
        key = InboxKey(Origin.OBSERVATION.value, f"{order_id}:{started!r}")
        poll_started = started if answer.by_provider else None
        return await self._commit(
            order_id, provider, answer, key=key, without_news=without_news, poll_started=poll_started, message=message
        )

    async def accept_fault(self, effect: LeasedEffect, why: str) -> Receipt:
        """Record that the adapter fails at an effect, which stays owed. It flags the order, which stays as it is.

        Raises:
            UnknownName: no such order.
        """
        order_id = effect.key.order_id
        return await self._commit(order_id, provider_of(self._providers, order_id), AdapterFault(effect.name, why))

    async def override(
        self, order_id: str, target: str, *, actor: str, reason: str, version: int, provider_id: str | None = None
    ) -> Receipt:
        """Move an order outside the table, from any state, if it is still at ``version``; a step of the kind ``override``.

        ``provider_id`` corrects the provider's id ("": it has none), until a poll has moved the order.

        Raises:
            UnknownName: no such order or state.
        """
        provider = provider_of(self._providers, order_id)
        if target not in provider.table.states:
            raise UnknownName(f"state of {provider.table.name}", target, tuple(provider.table.states))
        override = Override(target, version, f"by {actor}: {reason}", provider_id)
        if provider_id is not None:  # what is in the journal up to ``version`` does not change any more
            steps = await self._store.journal(order_id)
            is_confirmed = any(row.origin is Origin.OBSERVATION and row.version <= version for row in steps)
            override = evolve(override, is_id_confirmed=is_confirmed)
        return await self._commit(order_id, provider, override)

    async def _commit(
        self,
        order_id: str,
        provider: Provider,
        request: Request,
        *,
        key: InboxKey | None = None,
        finished_effect: LeasedEffect | None = None,
        without_news: int = 0,
        poll_started: float | None = None,
        deadline: DueDeadline | None = None,
        message: Message | None = None,
        anomaly: str = "",
        may_poll: bool = True,
    ) -> Receipt:
        name, origin = _name_and_origin(request)
        attributes = {"order_id": order_id, "lifecycle": provider.table.name, "trigger": name, "origin": origin._value_}
        with self._telemetry.span("decision", attributes) as span:
            context = CommitContext(
                table=provider.table,
                timing=provider.timing,
                notified_states=self._listeners.states_of(provider.name),
                now=self._clock.now(),
                jitter=self._rng.uniform(-1, 1),
                event=name,
                origin=origin,
                note="" if isinstance(request, UnusableAnswer | AdapterFault) else request.note,
                finished_effect=finished_effect.key if finished_effect else None,
                without_news=without_news,
                poll_started=poll_started,
                trace=span.traceparent,
                message=message,
                anomaly=anomaly,
                may_poll=may_poll,
                unpolled=deadline is not None and deadline.unpolled,
                called=provider.table.effects[finished_effect.name] if finished_effect else None,
                unusable=request.in_a_row if isinstance(request, UnusableAnswer) else 0,
                retry_after=request.retry_after if isinstance(request, UnusableAnswer) else 0.0,
                data=_data_of(request),
            )
            decider = _with_decision_watchers(partial(decide_and_plan, context, request), context.table, request)
            call = _make_reported_call(context, request, finished_effect) if finished_effect and isinstance(request, Event) else None
            receipt = await self._store.commit(order_id, key, decider, deadline, call)
            span.set(decision=type(receipt.decision).__name__, state=receipt.state)
            if not isinstance(receipt.decision, Applied):
                span.set(reason=receipt.decision.reason.value)
        if isinstance(receipt.decision, Applied):
            self._recent_commits.add(order_id, receipt.version, context.now)
        self._report(order_id, context, receipt.decision)
        return receipt

    def _report(self, order_id: str, context: CommitContext, decision: Decision) -> None:
        """Log and count the decision; notify waiters and the worker of this process."""
        if isinstance(decision, Applied):
            for step in decision.steps:
                origin, kind = step.origin._value_, step.kind._value_  # ``value`` is a descriptor in Python, and slow
                _log.info(
                    "order.transitioned",
                    order_id=order_id,
                    lifecycle=context.table.name,
                    trigger=step.event,
                    origin=origin,
                    source=step.source,
                    target=step.target,
                    kind=kind,
                )
                self._telemetry.count_transition(context.table.name, step.source, step.target, origin, kind)
            self._waiters.notify(order_id)
        elif decision.reason is not Reason.NO_NEWS:
            name = "event.refused" if isinstance(decision, Refused) else "event.ignored"
            _log.info(name, order_id=order_id, trigger=context.event, state=decision.state, reason=decision.reason.value)
        self._wake.set()
