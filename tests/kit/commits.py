"""Orders, deciders and commits to try a store with. Nothing here knows a lifecycle, because a store does not either."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from attrs import evolve

from orderflow._store.ports import Store
from orderflow._store.records import Commit, Decider, IdChange, OwedEffect, PollPlan, WorkerScope
from orderflow.model import (
    NOTIFY_LISTENER,
    PROVIDER_ID,
    Applied,
    Decision,
    Ignored,
    JournalRow,
    Order,
    Origin,
    Reason,
    RefusalRow,
    Refused,
    Snapshot,
    Step,
    StepKind,
)

NOW = 1_000_000.0
LEASE = 60.0
SCOPE = WorkerScope({"toy": LEASE}, frozenset())

Another = Callable[[], Awaitable[Store]]
"""The fixture that opens one more store on a test's database."""


def new_order(name: str = "a", *, provider: str = "toy", key: str = "", data: dict[str, object] | None = None) -> Order:
    """An order that no store knows yet."""
    snapshot = Snapshot("drafted", {"paid": False}, data or {}, 0)
    return Order(f"{provider}-{name}", provider, key or f"key-{name}", snapshot, NOW, NOW)


def move(
    *targets: str,
    at: float = NOW,
    effects: Iterable[str] = (),
    entered_state: str = "",
    facts: dict[str, bool | str] | None = None,
    data: dict[str, object] | None = None,
    poll: PollPlan | None = None,
    **more: Any,
) -> Decider:
    """Decides that the order takes these steps. The effects are owed by the last of them; ``entered_state`` is of notifications."""

    def decide(order: Order) -> Commit:
        sources = (order.state, *targets[:-1])
        steps = tuple(Step("moved", Origin.REPLY, *pair, StepKind.STEP) for pair in zip(sources, targets, strict=True))
        version = order.version + len(steps)
        before = order.snapshot  # what does not change is the same object, as with ``lifecycle.decide``
        facts_now = {**before.facts, **facts} if facts else before.facts
        snapshot = Snapshot(targets[-1], facts_now, {**before.data, **data} if data else before.data, version)
        journal = [
            JournalRow(order.id, order.version + n, step.event, step.origin, step.source, step.target, step.kind, at, facts={}, data={})
            for n, step in enumerate(steps, 1)
        ]
        journal[-1] = evolve(journal[-1], facts=facts or {}, data=data or {})
        owed = tuple(OwedEffect(version, n, name, entered_state if name == NOTIFY_LISTENER else "") for n, name in enumerate(effects))
        return Commit(Applied(steps, snapshot), at, journal=tuple(journal), effects=owed, poll=poll, **more)

    return decide


def learn(provider_id: str, *, target: str = "placed", **more: Any) -> Decider:
    """Decides that the order gets this id of the provider's. Where another order has it, the event is refused, and that order is named."""

    def decide(order: Order) -> Commit:
        def refuse(holder: str) -> Commit:
            commit = stay(Reason.NOT_OURS, event="learned")(order)
            assert commit.refusal is not None
            return evolve(commit, refusal=evolve(commit.refusal, detail=f"{provider_id} belongs to {holder}"))

        commit = move(target, data={PROVIDER_ID: provider_id}, **more)(order)
        return evolve(commit, id_change=IdChange(provider_id, order.provider_id or "", refuse))

    return decide


def stay(reason: Reason = Reason.LATE, *, at: float = NOW, event: str = "knocked", recorded: bool = True, **more: Any) -> Decider:
    """Decides that the order stays where it is."""

    def decide(order: Order) -> Commit:
        kind = Ignored if reason in (Reason.LATE, Reason.EARLY, Reason.STALE, Reason.NO_NEWS) else Refused
        decision: Decision = kind(reason, order.state)
        row = RefusalRow(order.id, event, Origin.CLAIM, order.state, reason, "", order.version, 1, at, at)
        return Commit(decision, at, refusal=row if recorded else None, **more)

    return decide


def scope(*providers: str, notifiable: Iterable[tuple[str, str]] = ()) -> WorkerScope:
    """A worker that has these providers and these listeners."""
    return evolve(SCOPE, leases=dict.fromkeys(providers or ("toy",), LEASE), notifiable=frozenset(notifiable))
