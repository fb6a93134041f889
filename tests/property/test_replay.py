"""Random walks over the tables: whatever happened to an order, its journal rebuilds every version of it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from attrs import define, evolve, field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orderflow._analysis.reachability import Pair, starts
from orderflow._engine.commit import CommitContext
from orderflow._engine.decider import Override, Request, decide_and_plan
from orderflow._engine.replay import replay
from orderflow._engine.retention import make_redaction
from orderflow._lifecycle.decide import find_enabled
from orderflow._lifecycle.observe import observe
from orderflow._lifecycle.table import Table
from orderflow._provider.timing import Timing
from orderflow._store import rows
from orderflow.model import Applied, Event, JournalRow, Observation, Order, Origin, Snapshot, Step, StepKind

DATA = st.dictionaries(st.sampled_from(["a", "b", "provider_id"]), st.sampled_from([0, 1, True, False, 1.0, None, "x", [1]]), max_size=3)


def as_stored(snapshot: Snapshot) -> str:
    """As JSON, in which 1, 1.0 and true differ."""
    return json.dumps([snapshot.state, snapshot.facts, snapshot.data, snapshot.version], sort_keys=True)


@define
class Walk:
    """An order with its journal, as a store keeps them, and how it stood at each version."""

    table: Table
    order: Order
    journal: list[JournalRow]
    seen: dict[int, str]
    kinds: Counter[str] = field(factory=Counter)

    @classmethod
    def begin(cls, table: Table, start: Pair, data: dict[str, Any]) -> Walk:
        snapshot = evolve(start.snapshot(table), data=data)
        facts = snapshot.facts
        created = JournalRow("x-1", 0, "create", Origin.COMMAND, "", table.initial, StepKind.CREATED, 0.0, "", facts, data)
        return cls(table, Order("x-1", "x", "k", snapshot, 0.0, 0.0), [created], {0: as_stored(snapshot)})

    def take(self, request: Request) -> None:
        """Decide and keep what a store would."""
        context = CommitContext(self.table, timing_of(self.table), frozenset(), 0.0, 0.0, "anything", Origin.COMMAND)
        commit = decide_and_plan(context, request, self.order)
        if not isinstance(commit.decision, Applied):
            return
        before, after = self.order.snapshot, commit.decision.snapshot
        facts = dict(before.facts)
        for version, step in enumerate(commit.decision.steps, before.version + 1):
            facts.update(self._facts_set_by(step, facts, after))
            self.seen[version] = as_stored(Snapshot(step.target, facts, before.data, version))
            self.kinds[step.kind.value] += 1
        self._keep(commit.journal, after)

    def redact(self) -> None:
        redacted, _, row = make_redaction(self.order, 0.0, "by kim: 7")
        self.journal = [evolve(row, data={}) for row in self.journal]
        for version, seen in self.seen.items():
            state, facts, _, _ = json.loads(seen)
            self.seen[version] = as_stored(Snapshot(state, facts, {}, version))
        self.kinds[row.kind] += 1
        self._keep((row,), redacted.snapshot)

    def _keep(self, journal: tuple[JournalRow, ...], after: Snapshot) -> None:
        self.journal += [rows.journal(rows.journal_values(row)) for row in journal]
        self.seen[after.version] = as_stored(after)
        self.order = evolve(self.order, snapshot=after)

    def _facts_set_by(self, step: Step, facts: dict[str, Any], after: Snapshot) -> dict[str, Any]:
        """By the table; those of a jump, the one step of its decision, by how the order stands after it."""
        if step.kind in (StepKind.JUMP, StepKind.OVERRIDE):
            return dict(after.facts)
        edges = [edge for edge in self.table.out[step.source] if (edge.event, edge.target) == (step.event, step.target)]
        return next(dict(edge.sets) for edge in edges if edge.holds.pick(facts))


def timing_of(table: Table) -> Timing:
    return Timing(durations={key: 1.0 for info in table.states.values() for _, key in info.deadlines})


def requests(walk: Walk) -> st.SearchStrategy[Request | None]:
    """What would be applied now: an enabled edge, a status, an override; None: a redaction."""
    table, order = walk.table, walk.order
    events = [(edge.event, edge.origin) for edge in find_enabled(table, order.snapshot) if edge.origin is not Origin.OBSERVATION]
    statuses: dict[str, list[str]] = {}  # by the kind of the first step that they bring
    for status in sorted(table.readings):
        decision = observe(table, order.snapshot, Observation(status, order.version))
        if isinstance(decision, Applied):
            statuses.setdefault(decision.steps[0].kind, []).append(status)
    choices: list[st.SearchStrategy[Request | None]] = [
        st.builds(Override, st.sampled_from(sorted(table.states)), st.just(order.version), st.just("by kim: 7")),
        *(st.builds(Observation, st.sampled_from(among), st.just(order.version), DATA) for among in statuses.values()),
    ]
    if events:
        choices.append(st.sampled_from(events).flatmap(lambda named: st.builds(Event, st.just(named[0]), st.just(named[1]), DATA)))
    return st.one_of(*choices, st.just(None))


def test_the_journal_rebuilds_every_version(material, say):
    table, kinds = material.table, Counter[str]()

    @settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def law(data):
        walk = Walk.begin(table, data.draw(st.sampled_from(list(starts(table))), label="start"), data.draw(DATA, label="data"))
        for _ in range(data.draw(st.integers(1, 12), label="how many")):
            request = data.draw(requests(walk), label="request")
            if request is None:
                walk.redact()
            else:
                walk.take(request)
        assert sorted(walk.seen) == list(range(walk.order.version + 1))
        for version, seen in walk.seen.items():
            assert as_stored(replay("x-1", walk.journal, version)) == seen
        assert as_stored(replay("x-1", walk.journal)) == as_stored(walk.order.snapshot)
        kinds.update(walk.kinds)

    law()
    decisions = [observe(table, pair.snapshot(table), Observation(status, 0)) for pair in material.moves for status in table.readings]
    observable = {step.kind for decision in decisions if isinstance(decision, Applied) for step in decision.steps}
    assert kinds.keys() >= observable | {StepKind.STEP, StepKind.OVERRIDE, StepKind.REDACTION}
    say(f"{table.name}: every version rebuilt, of walks with {dict(kinds)}")
