"""The laws of deciding: what no sequence of events, from any origin, can do to an order.

Where the (state, facts) pairs can be enumerated, they are, and the count is printed; sequences are drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orderflow._analysis.reachability import Pair
from orderflow._lifecycle.decide import decide, is_pollable, is_settled
from orderflow._lifecycle.observe import observe
from orderflow._lifecycle.table import Edge, Table
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow.model import Applied, Decision, Event, Observation, Origin, Reason, Refused, Snapshot, Step, StepKind


class Order:
    """The smallest engine: a snapshot and a journal, moved by Applied and by nothing else."""

    def __init__(self, table: Table, start: Pair) -> None:
        self.table = table
        self.snapshot = start.snapshot(table, version=10)
        self.journal: list[Step] = []

    def take(self, item: Event | Observation) -> Decision:
        decider = observe if isinstance(item, Observation) else decide
        decision = decider(self.table, self.snapshot, item)
        if isinstance(decision, Applied):
            self.journal += decision.steps
            self.snapshot = decision.snapshot
        return decision


def edges_behind(table: Table, step: Step, facts: dict) -> list[Edge]:
    """The edges that a step can be: same names, same origin, same effects, and a guard that is true."""
    return [
        edge
        for edge in table.edges
        if (edge.event, edge.origin, edge.source, edge.target) == (step.event, step.origin, step.source, step.target)
        and edge.effects == step.effects
        and edge.holds.pick(facts)
    ]


def provable(table: Table, pair: Pair, target: str) -> set[int]:
    """How long the paths of observation edges to a state may be. A search of its own: breadth-first, over states only."""
    facts = pair.facts(table)
    lengths, front = set(), {(pair.state, frozenset({pair.state}))}
    for length in range(1, len(table.states)):
        onward = {
            (edge.target, seen | {edge.target})
            for state, seen in front
            for edge in table.edges
            if edge.source == state
            and edge.origin is Origin.OBSERVATION
            and edge.event != table.still_unproven_event
            and edge.holds.pick(facts)
            and edge.target not in seen
            and not (edge.recovery and length > 1)
        }
        if any(state == target for state, _ in onward):
            lengths.add(length)
        front = {(state, seen) for state, seen in onward if state != target and not table.states[state].assumed}
    return lengths


def arrivals(table: Table, version: int) -> st.SearchStrategy[Event | Observation]:
    """Anything that may come in: events with their own or a false origin, observations fresh, stale, foreign, unknown."""
    names = sorted(table.events)
    data = st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 3), max_size=2)
    honest = st.sampled_from(names).flatmap(lambda name: st.builds(Event, st.just(name), st.just(table.events[name]), data))
    forged = st.builds(Event, st.sampled_from(names), st.sampled_from(list(Origin)), data)
    status = st.sampled_from([*table.readings, "Teleported", ""])
    seen = st.builds(
        Observation, status, st.sampled_from([version] * 5 + [version - 1, version + 1]), data, st.sampled_from([""] * 5 + ["amount"])
    )
    return st.one_of(honest, forged, seen)


def test_the_journal_is_a_path_of_edges_and_marked_jumps(material):
    table, pairs = material.table, sorted(material.moves, key=str)

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def law(data):
        order = Order(table, data.draw(st.sampled_from(pairs), label="start"))
        for _ in range(data.draw(st.integers(1, 12), label="how many")):
            before = order.snapshot
            written = len(order.journal)
            item = data.draw(arrivals(table, before.version), label="item")
            decision = order.take(item)
            new = order.journal[written:]
            assert order.snapshot.version == before.version + len(new)
            if not isinstance(decision, Applied):
                assert order.snapshot is before
                assert decision.state == before.state
                continue
            at, facts = before.state, dict(before.facts)
            for step in new:
                assert step.source == at
                assert step.origin is (Origin.OBSERVATION if isinstance(item, Observation) else item.origin)
                if step.kind is StepKind.JUMP:
                    assert min(provable(table, Pair(at, tuple(facts.values())), step.target)) > 1
                    assert step.note
                else:
                    (edge,) = edges_behind(table, step, facts)
                    facts.update(edge.sets)
                at = step.target
            assert order.snapshot == Snapshot(at, facts, {**before.data, **item.data}, before.version + len(new))
            assert all(step.kind is StepKind.INFERRED for step in new[:-1])
            # whatever happened, the order stands where the edges alone could have brought it
            assert Pair(at, tuple(facts[name] for name in table.facts)) in material.moves

    law()


def test_deciding_twice_gives_the_same_and_changes_nothing_it_was_given(material):
    table = material.table
    for pair in list(material.moves)[::7]:
        snapshot, copy = pair.snapshot(table), pair.snapshot(table)
        for name, origin in table.events.items():
            assert decide(table, snapshot, Event(name, origin)) == decide(table, snapshot, Event(name, origin))
        for status in table.readings:
            assert observe(table, snapshot, Observation(status, 0)) == observe(table, snapshot, Observation(status, 0))
        assert snapshot == copy


def claims(table: Table) -> Iterator[Event]:
    """Everything that anyone could send: the claims, and every other event's name with the origin claim."""
    for name in table.events:
        yield Event(name, Origin.CLAIM)


def test_no_sequence_of_claims_reaches_a_proven_or_provisional_state(material, say):
    """From every reachable pair every claim is tried; each leads to a pair that is tried too: so every sequence is."""
    table = material.table
    tried = moved = 0
    for pair in material.moves:
        snapshot = pair.snapshot(table)
        for claim in claims(table):
            decision = decide(table, snapshot, claim)
            tried += 1
            if not isinstance(decision, Applied):
                continue
            moved += 1
            after = decision.snapshot
            assert Pair(after.state, tuple(after.facts[name] for name in table.facts)) in material.moves
            if after.state != pair.state:
                info = table.states[after.state]
                assert not info.proven, (pair, claim.name)
                assert not info.provisional, (pair, claim.name)
    say(f"{table.name}: {len(material.moves)} (state, facts) pairs, {tried} claims tried, {moved} moved, none proved anything")


def test_only_a_path_of_observation_edges_lets_a_status_move_an_order(material, say):
    """For every reachable pair and every status, against a search of its own; without a path it is refused and moves nothing."""
    table = material.table
    kinds: Counter[str] = Counter()
    for pair in material.moves:
        snapshot = pair.snapshot(table)
        for status, reading in table.readings.items():
            decision = observe(table, snapshot, Observation(status, 0))
            if pair.state in reading.consistent:
                assert not isinstance(decision, Applied) or [s.event for s in decision.steps] == [table.still_unproven_event]
                kinds["consistent"] += 1
                continue
            lengths = provable(table, pair, reading.proves) if reading.proves else set()
            if not lengths:
                assert isinstance(decision, Refused)
                assert decision.reason is Reason.ANOMALY
                kinds["refused"] += 1
                continue
            assert isinstance(decision, Applied), (pair, status)
            assert decision.snapshot.state == reading.proves
            assert (1 in lengths) == (len(decision.steps) == 1 and decision.steps[0].kind is StepKind.STEP)
            kinds["direct" if 1 in lengths else "longer"] += 1
    say(f"{table.name}: {dict(kinds)} of {sum(kinds.values())} (state, facts, status)")


def test_a_stale_observation_never_moves_an_order(material, say):
    table = material.table
    tried = 0
    for pair in material.moves:
        for status in table.readings:
            for version in (2, 4):
                decision = observe(table, pair.snapshot(table, version=3), Observation(status, version))
                assert decision.reason is Reason.STALE
                tried += 1
    say(f"{table.name}: {tried} stale observations, none moved anything")


def test_steps_after_the_first_never_leave_a_provisional_end_and_never_pass_an_assumed_state(material):
    table = material.table
    for pair in material.moves:
        for status in table.readings:
            decision = observe(table, pair.snapshot(table), Observation(status, 0))
            if isinstance(decision, Applied):
                assert not any(table.states[step.source].provisional for step in decision.steps[1:])
                assert not any(table.states[step.target].assumed for step in decision.steps[:-1])
                assert not any(f" {name}" in step.note.replace(",", "") + " " for step in decision.steps for name in list_assumed(table))


def list_assumed(table: Table) -> list[str]:
    return [info.value for info in table.states.values() if info.assumed]


def test_once_effects_are_owed_only_on_commands_and_replies(material):
    for out in material.moves.values():
        for edge, _ in out:
            assert not any(effect.once for effect in edge.effects) or edge.origin in (Origin.COMMAND, Origin.REPLY)


def test_a_settled_order_is_moved_by_an_operator_only_and_an_unpollable_one_by_no_poll(material, say):
    table = material.table
    count = Counter()
    for pair in material.moves:
        snapshot = pair.snapshot(table)
        decisions = [decide(table, snapshot, Event(name, origin)) for name, origin in table.events.items()]
        origins = {d.steps[0].origin for d in decisions if isinstance(d, Applied)}
        polls = [observe(table, snapshot, Observation(status, 0)) for status in table.readings]
        assert is_settled(table, snapshot) == (origins <= {Origin.OPERATOR})
        assert is_pollable(table, snapshot) == (Origin.OBSERVATION in origins) == any(isinstance(d, Applied) for d in polls)
        count["settled"] += is_settled(table, snapshot)
        count["pollable"] += is_pollable(table, snapshot)
    say(f"{table.name}: of {len(material.moves)} pairs {count['settled']} are settled, {count['pollable']} pollable")


# What CCV's page D1 says of the statuses of two polls in a row, worked out by hand from its text before there was a table:
# = unchanged, s one step, j several steps, r recovery, x against the text, ? about the reserved ErpInProgress
CCV_PAIRS = """
                       PR IN AP SC NW ER FP FD CO CL CA FA
Processing              =  s  j  j  j  ?  j  j  j  s  s  s
Incomplete              x  =  s  s  s  ?  j  j  j  s  s  s
AwaitingPayment         x  x  =  s  s  ?  j  j  j  s  s  s
Screening               x  x  x  =  s  ?  j  j  j  s  s  s
New                     x  x  x  x  =  ?  s  s  s  s  s  s
ErpInProgress           ?  ?  ?  ?  ?  =  ?  ?  ?  ?  ?  ?
FulfillmentInProgress   x  x  x  x  x  ?  =  s  j  s  s  s
FulfillmentDone         x  x  x  x  x  ?  x  =  s  s  s  s
Completed               x  x  x  x  x  ?  x  x  =  x  x  x
Closed                  x  x  x  x  x  ?  x  x  x  =  x  x
Canceled                x  x  x  x  x  ?  x  x  x  x  =  x
Failed                  r  r  r  r  r  ?  r  r  r  r  r  =
"""


def test_the_132_pairs_of_ccv_statuses_are_those_of_its_page(say):
    table = CcvLifecycle.table
    statuses = list(table.readings)
    rows = [line.split() for line in CCV_PAIRS.strip().splitlines()[1:]]
    assert [row[0] for row in rows] == statuses
    kinds: Counter[str] = Counter()
    for source, *expected in rows:
        for status, letter in zip(statuses, expected, strict=True):
            decision = observe(table, Snapshot(source, table.defaults(), {}, 0), Observation(status, 0))
            kind = letter_of(table, decision)
            assert kind[0] == letter or letter == "?" or (letter, kind[0]) == ("r", "s"), (source, status, kind)
            kinds[kind] += source != status
    assert kinds == {"s": 50, "j inferred": 3, "j jump": 18, "x": 61, "=": 0}
    say("ccv: 132 pairs of statuses: 50 direct, 3 unique paths, 18 jumps, 61 refused")


def letter_of(table: Table, decision: Decision) -> str:
    """The letter of the matrix for what observe decided."""
    if isinstance(decision, Refused):
        assert decision.reason is Reason.ANOMALY
        return "x"
    if not isinstance(decision, Applied):
        assert decision.reason is Reason.NO_NEWS
        return "="
    if decision.steps[-1].kind is StepKind.JUMP:
        return "j jump"
    return "j inferred" if len(decision.steps) > 1 else "s"
