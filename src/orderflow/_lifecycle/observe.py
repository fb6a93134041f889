"""``observe``: what a provider's status means for an order, once an authenticated poll has read it. Pure.

The rules are asked in this order:

1. A poll that began before the order's last move is stale: ignored.
2. An answer about another order, and a status that the lifecycle does not declare, are refused and flag the order.
3. A status that is consistent with the state is no news, or brings the event that the lifecycle declares for it.
4. A status that proves another state walks the observation edges that are enabled: the direct edge; else the only path, step by step; else
   one jump, whose note names the states that were missed.
5. A proof that no path leads to, or a status that proves nothing here, is an anomaly: refused, and flags the order.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from orderflow._lifecycle.decide import decide, find_enabled, legal
from orderflow._lifecycle.table import Edge, Table
from orderflow.model import Applied, Decision, Event, Ignored, Observation, Origin, Reason, Refused, Snapshot, Step, StepKind

Path = tuple[Edge, ...]


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
    if not table.still_unproven_event:
        return Ignored(Reason.NO_NEWS, snapshot.state)
    return decide(table, snapshot, Event(table.still_unproven_event, Origin.OBSERVATION, observation.data))


def _observe_proof(table: Table, snapshot: Snapshot, observation: Observation, proves: str | None) -> Decision:
    steps = _find_steps(table, snapshot, proves) if proves else None
    if steps is None:
        detail = f"{observation.status!r} cannot follow {snapshot.state!r}"
        return Refused(Reason.ANOMALY, snapshot.state, detail, legal(table, snapshot))
    return _apply_steps(snapshot, steps, observation)


def _apply_steps(snapshot: Snapshot, walked: tuple[tuple[Step, Path], ...], observation: Observation) -> Applied:
    facts = dict(snapshot.facts)
    for _, edges in walked:
        for edge in edges:
            facts.update(edge.sets)
    steps = tuple(step for step, _ in walked)
    data = {**snapshot.data, **observation.data} if observation.data else snapshot.data
    return Applied(steps, Snapshot(steps[-1].target, facts, data, snapshot.version + len(steps)))


def _find_steps(table: Table, snapshot: Snapshot, target: str) -> tuple[tuple[Step, Path], ...] | None:
    """The steps to the proven state, each with the edges whose facts it sets; None where no path leads there."""
    paths = list(_find_paths(table, snapshot, target))
    direct = [path[0] for path in paths if len(path) == 1]
    if direct:
        return ((direct[0].step, (direct[0],)),)
    if not paths:
        return None
    if len(paths) == 1 and not table.states[target].assumed:
        *passed, last = paths[0]
        inferred = [(evolve(edge.step, kind=StepKind.INFERRED), (edge,)) for edge in passed]
        return (*inferred, (last.step, (last,)))
    return (_jump(table, snapshot.state, target, paths),)


def _jump(table: Table, source: str, target: str, paths: list[Path]) -> tuple[Step, Path]:
    """One marked step over several: it sets the facts of the edges that every path shares."""
    passed = [{edge.target for edge in path[:-1]} for path in paths]
    certain = set.intersection(*passed)
    possible = set.union(*passed) - certain
    ordered = list(table.states)
    note = "; ".join(
        f"{certainty} missed: {', '.join(sorted(states, key=ordered.index))}"
        for certainty, states in (("certainly", certain), ("possibly", possible))
        if states
    )
    last = paths[0][-1]
    common = tuple(edge for edge in paths[0] if all(edge in path for path in paths))
    return Step(last.event, Origin.OBSERVATION, source, target, StepKind.JUMP, last.effects, note), common


def _find_paths(table: Table, snapshot: Snapshot, target: str, walked: Path = ()) -> Iterator[Path]:
    """Every simple path of enabled observation edges. Assumed states are not passed; a recovery edge can only be the first."""
    seen = {edge.source for edge in walked} | {snapshot.state}
    for edge in find_enabled(table, snapshot):
        proving = edge.origin is Origin.OBSERVATION and edge.event != table.still_unproven_event
        if not proving or edge.target in seen or (edge.recovery and walked):
            continue
        if edge.target == target:
            yield (*walked, edge)
        elif not table.states[edge.target].assumed:
            onward = evolve(snapshot, state=edge.target, facts={**snapshot.facts, **edge.sets})
            yield from _find_paths(table, onward, target, (*walked, edge))
