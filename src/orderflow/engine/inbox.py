"""The one inbox in: whatever is said about an order is judged and committed here, and nowhere else.

The judge handed to the store is pure; the store calls it with the order as it stands, again after a lost race. Commands, replies and
claims are so re-decided; an observation carries the version it was read at and is stale by then.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import structlog
from attrs import evolve

from orderflow.clock import Clock
from orderflow.engine.admission import Admission
from orderflow.engine.commit import STATUS_READ, CommitContext, plan_commit
from orderflow.engine.listeners import Listeners
from orderflow.errors import UnknownName
from orderflow.lifecycle.decide import decide, legal, settled
from orderflow.lifecycle.observe import observe
from orderflow.model import (
    PROVIDER_ID,
    Applied,
    Decision,
    EffectKey,
    Event,
    Observation,
    Order,
    Origin,
    Reason,
    Refused,
    Snapshot,
    Step,
    StepKind,
)
from orderflow.provider.protocol import Provider
from orderflow.store.ports import Store
from orderflow.store.records import Commit, DueDeadline, InboxKey, PollSooner, Receipt, WorkerScope
from orderflow.telemetry.decisions import report_decision
from orderflow.telemetry.none import NoTelemetry
from orderflow.telemetry.ports import Telemetry

_log = structlog.get_logger()


class Inbox:
    """Judges and commits. ``wake`` is set whenever there may be work, for the worker of this process."""

    def __init__(
        self,
        store: Store,
        providers: Mapping[str, Provider],
        listeners: Listeners,
        clock: Clock,
        rng: random.Random,
        *,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.store = store
        self.providers = providers
        self.listeners = listeners
        self.clock = clock
        self.telemetry: Telemetry = telemetry or NoTelemetry()
        self._dice = rng
        self.wake = asyncio.Event()
        self.admission = Admission({name: provider.timing for name, provider in providers.items()}, self.wake.set)
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._met_at = float("-inf")
        self._heeded_at = float("-inf")

    @property
    def scope(self) -> WorkerScope:
        """What this process can carry out now."""
        return self.scope_at(self.clock.now())

    def scope_at(self, now: float) -> WorkerScope:
        """What this process can carry out at a moment."""
        leases = {name: provider.timing.lease for name, provider in self.providers.items()}
        return WorkerScope(leases, self.listeners.notifiable(), self.admission.paused(now), self.admission.quotas(now))

    async def heed(self, every: float) -> None:
        """Learn which providers asked all of us to wait: at most once in ``every`` seconds."""
        now = self.clock.now()
        if not 0 <= now - self._heeded_at < every:
            self.admission.heed(await self.store.throttled_until(), now)
            self._heeded_at = now

    async def refresh_listeners(self, every: float = 0.0) -> None:
        """Save whom this process tells, and learn whom others tell: at most once in ``every`` seconds, at once for new ones."""
        now = self.clock.now()
        if not self.listeners.unsaved and 0 <= now - self._met_at < every:
            return
        if unsaved := set(self.listeners.unsaved):
            await self.store.add_listeners(unsaved)
            self.listeners.unsaved -= unsaved
        self.listeners.set_elsewhere(await self.store.listeners())
        self._met_at = now

    def provider_of(self, order_id: str) -> Provider:
        """The provider whose name an order's id begins with.

        Raises:
            UnknownName: no such order can exist here.
        """
        provider = self.providers.get(order_id.rpartition("-")[0])
        if provider is None:
            raise UnknownName("order", order_id)
        return provider

    @contextmanager
    def watching(self, order_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever this process moves the order; another process's moves it cannot see."""
        moved = asyncio.Event()
        self._watchers.setdefault(order_id, set()).add(moved)
        try:
            yield moved
        finally:
            self._watchers[order_id].discard(moved)
            if not self._watchers[order_id]:
                del self._watchers[order_id]

    async def accept(
        self,
        order_id: str,
        event: Event,
        key: InboxKey | None = None,
        *,
        effect: EffectKey | None = None,
        deadline: DueDeadline | None = None,
    ) -> Receipt:
        """Judge a command, reply, claim, clock or operator event.

        Raises:
            UnknownName: no such order or event.
        """
        provider = self.provider_of(order_id)
        if event.name not in provider.table.events:
            raise UnknownName(f"event of {provider.table.name}", event.name, tuple(provider.table.events))
        given = self._given(provider, event.name, event.origin, event.note, finished_effect=effect)
        return await self._commit(order_id, key, given, lambda order: _decide(provider, order, event), subject=event, deadline=deadline)

    async def accept_observation(self, order_id: str, observation: Observation, without_news: int, read_id: str) -> Receipt:
        """Judge what a status read brought; ``without_news`` reads before it brought no news."""
        provider = self.provider_of(order_id)
        given = self._given(provider, STATUS_READ, Origin.OBSERVATION, observation.note, without_news=without_news)
        key = InboxKey(Origin.OBSERVATION.value, read_id)
        return await self._commit(
            order_id, key, given, lambda order: observe(provider.table, order.snapshot, observation), subject=observation
        )

    async def bring_poll_forward(self, order_id: str) -> None:
        """Somebody says that there is news: bring the next read forward, believe nothing."""
        provider = self.provider_of(order_id)
        order = await self.store.load(order_id)
        if not settled(provider.table, order.snapshot):
            await self.store.plan_poll(order_id, self.clock.now(), PollSooner(provider.timing.poll_interval))
            self.wake.set()

    async def override(self, order_id: str, target: str, *, by: str, reason: str, version: int) -> Receipt:
        """An operator's move outside the table, from any state; a journal kind of its own.

        Raises:
            UnknownName: no such order or state.
        """
        provider = self.provider_of(order_id)
        if target not in provider.table.states:
            raise UnknownName(f"state of {provider.table.name}", target, tuple(provider.table.states))
        given = self._given(provider, "override", Origin.OPERATOR, f"by {by}: {reason}")
        return await self._commit(order_id, None, given, lambda order: _override(provider, order, target, version))

    def _given(
        self, provider: Provider, event: str, origin: Origin, note: str, *, finished_effect: EffectKey | None = None, without_news: int = 0
    ) -> CommitContext:
        return CommitContext(
            table=provider.table,
            timing=provider.timing,
            listens=lambda state: self.listeners.is_listening(provider.name, state),
            now=self.clock.now(),
            jitter=self._dice.uniform(-1, 1),
            event=event,
            origin=origin,
            note=note,
            finished_effect=finished_effect,
            without_news=without_news,
        )

    async def _commit(
        self,
        order_id: str,
        key: InboxKey | None,
        given: CommitContext,
        decide_on: Callable[[Order], Decision],
        *,
        subject: Event | Observation | None = None,
        deadline: DueDeadline | None = None,
    ) -> Receipt:
        about = {"order_id": order_id, "lifecycle": given.table.name, "trigger": given.event, "origin": given.origin._value_}
        with self.telemetry.span("decision", about) as span:
            traced = evolve(given, trace=span.trace) if span.trace else given

            def decider(order: Order) -> Commit:
                decision = decide_on(order)
                if subject is not None:
                    report_decision(traced.table, order.snapshot, subject, decision)
                return plan_commit(traced, order, decision)

            receipt = await self.store.commit(order_id, key, decider, deadline)
            span.note(decision=type(receipt.decision).__name__, state=receipt.state)
            if not isinstance(receipt.decision, Applied):
                span.note(reason=receipt.decision.reason.value)
        self._told(order_id, given, receipt.decision)
        return receipt

    def _told(self, order_id: str, given: CommitContext, decision: Decision) -> None:
        """Say what was decided: to the log, to who watches, to who waits for the order, to the worker."""
        if isinstance(decision, Applied):
            for step in decision.steps:
                origin, kind = step.origin._value_, step.kind._value_  # ``value`` is a descriptor in Python, and slow
                _log.info(
                    "order.transitioned",
                    order_id=order_id,
                    lifecycle=given.table.name,
                    trigger=step.event,
                    origin=origin,
                    source=step.source,
                    target=step.target,
                    kind=kind,
                )
                self.telemetry.stepped(given.table.name, step.source, step.target, origin, kind)
            for moved in self._watchers.get(order_id, ()):
                moved.set()
        elif decision.reason is not Reason.NO_NEWS:
            _log.info("order.unmoved", order_id=order_id, trigger=given.event, state=decision.state, reason=decision.reason.value)
        self.wake.set()


def _decide(provider: Provider, order: Order, event: Event) -> Decision:
    known, named = order.provider_id, event.provider_id
    if known is not None and named is not None and known != named:
        detail = f"{event.name} names the provider's order {named}, ours is {known}"
        return Refused(Reason.NOT_OURS, order.state, detail, legal(provider.table, order.snapshot))
    if event.origin is Origin.OBSERVATION:
        detail = "observations enter through a read, never by name"
        return Refused(Reason.WRONG_ORIGIN, order.state, detail, legal(provider.table, order.snapshot))
    if named is not None:
        event = evolve(event, data={**event.data, PROVIDER_ID: named})
    decision = decide(provider.table, order.snapshot, event)
    if named is not None and known is None and event.origin is Origin.REPLY and not isinstance(decision, Applied):
        # something exists at the provider that this order will never look at: the id must not be lost
        detail = f"{event.name} names the provider's order {named}, and this order is {order.state}"
        return Refused(Reason.ANOMALY, order.state, detail, legal(provider.table, order.snapshot))
    return decision


def _override(provider: Provider, order: Order, target: str, version: int) -> Decision:
    if version != order.version:
        detail = f"asked at version {version}, the order is at {order.version}"
        return Refused(Reason.STALE, order.state, detail, legal(provider.table, order.snapshot))
    step = Step("override", Origin.OPERATOR, order.state, target, StepKind.OVERRIDE)
    snapshot = order.snapshot
    return Applied((step,), Snapshot(target, snapshot.facts, snapshot.data, snapshot.version + 1))
