"""``observe``: what a provider's status means for an order, once an authenticated poll has read it. Pure.

The rules are asked in this order:

1. A poll that began before the order's last move is stale: ignored.
2. An answer about another order, and a status that the lifecycle does not declare, are refused and flag the order.
3. A status that is consistent with the state is no news, or brings an event that the lifecycle declares for it: ``seen_unproven``, or
   ``seen_changed`` if its data differs from the order's.
4. A status that proves another state takes the direct edge; else the only path of observation edges, step by step; else one jump. What a
   path is, and what it costs to look for one, stands in paths.py.
5. A proof that no path leads to, or a status that proves nothing here, is an anomaly: refused, and flags the order.

A jump sets each fact on whose value all its paths agree. The others keep the value they have; ``check`` refuses a lifecycle in which a
guard could still read one. The note of the jump names the states that were missed, and these facts.

A jump owes the effects that the last edge of each of its paths owes. Those of edges on the way are not owed, for what they were for may be
over. ``check`` refuses a lifecycle in which a jump passes one. The note names them too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import evolve

from orderflow._lifecycle.decide import decide, find_enabled, legal
from orderflow._lifecycle.edges import CHANGED_DATA, is_proving
from orderflow._lifecycle.paths import Ways, find_ways
from orderflow._lifecycle.table import Table
from orderflow.model import Applied, Decision, Event, Ignored, Observation, Origin, Reason, Refused, Snapshot, Step, StepKind


def observe(table: Table, snapshot: Snapshot, observation: Observation) -> Decision:
    """Decide an observation."""
    state = snapshot.state
    if observation.version != snapshot.version:
        return Ignored(Reason.STALE, state, f"polled at version {observation.version}, now {snapshot.version}")
    if observation.mismatch:
        detail = f"the {observation.mismatch} of the answer is not this order's"
        return Refused(Reason.NOT_OURS, state, detail, legal(table, snapshot))
    reading = table.readings.get(observation.status)
    if reading is None:
        detail = f"{observation.status[:60]!r} is no status that {table.name} declares"
        return Refused(Reason.UNKNOWN_STATUS, state, detail, legal(table, snapshot))
    if state in reading.consistent:
        return _observe_consistent(table, snapshot, observation)
    return _observe_proof(table, snapshot, observation, reading.proves)


def _observe_consistent(table: Table, snapshot: Snapshot, observation: Observation) -> Decision:
    decision: Decision = Ignored(Reason.NO_NEWS, snapshot.state)
    if table.still_unproven_event:
        decision = decide(table, snapshot, Event(table.still_unproven_event, Origin.OBSERVATION, observation.data))
    if isinstance(decision, Applied) or CHANGED_DATA not in table.events or not _has_changed(snapshot, observation):
        return decision
    return decide(table, snapshot, Event(CHANGED_DATA, Origin.OBSERVATION, observation.data))


def _has_changed(snapshot: Snapshot, observation: Observation) -> bool:
    data, missing = snapshot.data, object()
    return any(data.get(name, missing) != value for name, value in observation.data.items())


def _observe_proof(table: Table, snapshot: Snapshot, observation: Observation, proves: str | None) -> Decision:
    steps = _find_steps(table, snapshot, proves) if proves else None
    if steps is None:
        detail = f"{observation.status!r} cannot follow {snapshot.state!r}"
        return Refused(Reason.ANOMALY, snapshot.state, detail, legal(table, snapshot))
    return _apply_steps(snapshot, steps, observation)


def _apply_steps(snapshot: Snapshot, steps: tuple[Step, ...], observation: Observation) -> Applied:
    facts = dict(snapshot.facts)
    for step in steps:
        facts.update(step.facts)
    data = {**snapshot.data, **observation.data} if observation.data else snapshot.data
    return Applied(steps, Snapshot(steps[-1].target, facts, data, snapshot.version + len(steps)))


def _find_steps(table: Table, snapshot: Snapshot, target: str) -> tuple[Step, ...] | None:
    """The steps to the proven state; None where no path leads there."""
    direct = next((edge for edge in find_enabled(table, snapshot) if edge.target == target and is_proving(edge)), None)
    if direct is not None:
        return (direct.step,)
    ways = find_ways(table, snapshot, target)
    if ways is None:
        return None
    if table.states[target].assumed or not ways.is_only_path():
        return (_jump(table, snapshot.state, target, ways),)
    *passed, last = ways.shortest
    return (*(evolve(edge.step, kind=StepKind.INFERRED) for edge in passed), last.step)


def _jump(table: Table, source: str, target: str, ways: Ways) -> Step:
    """One marked step over several. Its event is that of the last edge of a shortest path."""
    certain, possible = ways.find_passed()
    values = ways.find_values()
    owed, missed = ways.find_effects()
    agreed = {name: next(iter(among)) for name, among in values.items() if len(among) == 1}
    ordered = list(table.states)
    parts = {
        "certainly missed": sorted(certain, key=ordered.index),
        "possibly missed": sorted(possible, key=ordered.index),
        "facts set": [f"{name} = {agreed[name]}" for name in table.facts if name in agreed],
        "facts left as they were": [name for name in table.facts if name in values.keys() - agreed.keys()],
        "effects not owed": sorted(missed),
    }
    last = ways.shortest[-1]
    return Step(last.event, Origin.OBSERVATION, source, target, StepKind.JUMP, owed, _join(parts), agreed)


def _join(parts: Mapping[str, Iterable[str]]) -> str:
    """What there is to say, as one line."""
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts.items() if names)
