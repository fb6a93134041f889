"""Where an order can go: every (state, facts) pair that the edges of a table can bring about. Pure.

Nothing is verified here: check.py, model_checking.py and the tests do that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import product

from attrs import frozen

from orderflow._lifecycle.facts import Value
from orderflow._lifecycle.observe import observe
from orderflow._lifecycle.table import Edge, Table
from orderflow.model import Applied, Observation, Origin, Snapshot


@frozen(cache_hash=True)
class Pair:
    """A state under facts; ``values`` are those of the table's facts, in declared order."""

    state: str
    values: tuple[Value, ...]

    def facts(self, table: Table) -> dict[str, Value]:
        """The facts by name."""
        return dict(zip(table.facts, self.values, strict=True))

    def snapshot(self, table: Table, version: int = 0) -> Snapshot:
        """An order standing here, without data."""
        return Snapshot(self.state, self.facts(table), {}, version)


Moves = Mapping[Pair, tuple[tuple[Edge, Pair], ...]]
"""The enabled edges of every reachable pair, and where each leads."""


def starts(table: Table) -> Iterator[Pair]:
    """The pairs an order can be created in: a fact has its first value, or any value that no edge sets.

    A value that some edge sets is history: no order is created with it.
    """
    history = {(name, value) for edge in table.edges for name, value in edge.sets.items()}
    at_create = (
        tuple(value for n, value in enumerate(values) if n == 0 or (name, value) not in history) for name, values in table.facts.items()
    )
    for values in product(*at_create):
        yield Pair(table.initial, values)


def moves_from(table: Table, pair: Pair) -> tuple[tuple[Edge, Pair], ...]:
    """The enabled edges of a pair, in declared order, and where each leads."""
    facts = pair.facts(table)
    return tuple(
        (edge, Pair(edge.target, tuple(edge.sets.get(name, value) for name, value in facts.items())))
        for edge in table.out[pair.state]
        if edge.holds.pick(facts)
    )


def reachable(table: Table) -> Moves:
    """Every pair that edges of any origin lead to from the starts, with its moves."""
    moves: dict[Pair, tuple[tuple[Edge, Pair], ...]] = {}
    waiting = list(starts(table))
    while waiting:
        pair = waiting.pop()
        if pair not in moves:
            moves[pair] = moves_from(table, pair)
            waiting += [onward for _, onward in moves[pair]]
    return moves


def within_reach(table: Table, snapshot: Snapshot, states: Collection[str]) -> bool:
    """Whether events, an operator's among them, can still bring the order to one of the states, or it stands in one.

    True where that is unknown: of an order in a state, or under facts, that this lifecycle does not declare.
    """
    if snapshot.state in states or snapshot.state not in table.states:
        return True
    if any(snapshot.facts.get(name) not in values for name, values in table.facts.items()):
        return True
    waiting = [Pair(snapshot.state, tuple(snapshot.facts[name] for name in table.facts))]
    seen = set(waiting)
    for pair in waiting:  # grows while it is walked
        for onward in _pairs_after(table, pair):
            if onward.state in states:
                return True
            if onward not in seen:
                seen.add(onward)
                waiting.append(onward)
    return False


def _pairs_after(table: Table, pair: Pair) -> Iterator[Pair]:
    """Where one event leads: an edge, or a jump of an observation."""
    yield from (onward for _, onward in moves_from(table, pair))
    if any(edge.sets for edge in table.edges if edge.origin is Origin.OBSERVATION):
        # a jump sets only the facts that all its paths set, so it may lead where no path does
        for status in table.readings:
            decision = observe(table, pair.snapshot(table), Observation(status, 0))
            if isinstance(decision, Applied):
                yield Pair(decision.snapshot.state, tuple(decision.snapshot.facts[name] for name in table.facts))


def pairs_that_reach(moves: Moves, ends: Iterable[Pair]) -> frozenset[Pair]:
    """The pairs from which one of the ends can be reached, the ends included."""
    before: dict[Pair, list[Pair]] = {}
    for pair, out in moves.items():
        for _, onward in out:
            before.setdefault(onward, []).append(pair)
    waiting = list(ends)
    reached = set(waiting)
    while waiting:
        new = [pair for pair in before.get(waiting.pop(), ()) if pair not in reached]
        reached.update(new)
        waiting += new
    return frozenset(reached)
