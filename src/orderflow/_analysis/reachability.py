"""Where an order can go: the (state, facts) pairs that the edges of a table can bring about. Pure.

Nothing is verified here: check.py, model_checking.py and the tests do that.

There may be exponentially many pairs, for facts multiply. So all exploring is bounded (``MAX_PAIRS``). Beyond that, pairs that behave alike
are taken together first (condensed.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import product
from types import MappingProxyType

from attrs import field, frozen

from orderflow._lifecycle.decide import is_declared
from orderflow._lifecycle.facts import Facts, Value, valuations
from orderflow._lifecycle.observe import observe
from orderflow._lifecycle.table import Edge, Table
from orderflow.model import Applied, Observation, Origin, Snapshot

MAX_PAIRS = 2**14
"""The most pairs that are explored of one lifecycle."""

MAX_LOOKS = 2**12
"""The most pairs and observations that are looked at for one answer about one order."""


class TooManyPairs(Exception):
    """A lifecycle has more pairs than are explored."""


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


@frozen
class Explored:
    """Every pair that an order can come to: those in which it begins, and the moves of each."""

    starts: tuple[Pair, ...]
    moves: Moves = field(repr=False)


def values_at_create(table: Table) -> dict[str, tuple[Value, ...]]:
    """The values with which an order can be created, by fact: the first, and any value that no edge sets.

    A value that some edge sets is history: no order is created with it.
    """
    history = {(name, value) for edge in table.edges for name, value in edge.sets.items()}
    return {
        name: tuple(value for n, value in enumerate(values) if n == 0 or (name, value) not in history)
        for name, values in table.facts.items()
    }


def starts(table: Table, given: Facts = MappingProxyType({})) -> Iterator[Pair]:
    """The pairs that an order can be created in, with these facts given."""
    choices = values_at_create(table)
    for values in product(*((given[name],) if name in given else choice for name, choice in choices.items())):
        yield Pair(table.initial, values)


def moves_from(table: Table, pair: Pair) -> tuple[tuple[Edge, Pair], ...]:
    """The enabled edges of a pair, in declared order, and where each leads."""
    facts = pair.facts(table)
    return tuple(
        (edge, Pair(edge.target, tuple([edge.sets.get(name, value) for name, value in facts.items()]) if edge.sets else pair.values))
        for edge in table.out[pair.state]
        if edge.holds.pick(facts)
    )


def reachable(table: Table, limit: int = MAX_PAIRS) -> Moves:
    """Every pair that edges of any origin lead to from the starts, with its moves.

    Raises:
        TooManyPairs: they are more than ``limit``.
    """
    moves: dict[Pair, tuple[tuple[Edge, Pair], ...]] = {}
    waiting: list[Pair] = []
    for pair in starts(table):
        waiting.append(pair)
        if len(waiting) > limit:
            raise TooManyPairs
    while waiting:
        pair = waiting.pop()
        if pair not in moves:
            moves[pair] = moves_from(table, pair)
            waiting += [onward for _, onward in moves[pair]]
            if len(moves) > limit:
                raise TooManyPairs
    return moves


# ── one order ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def may_hold(edge: Edge, known: Facts) -> bool:
    """Whether the edge's guard can be true, if nothing but these facts is known."""
    given = [(name, values if name not in known else (known[name],)) for name, values in edge.reads]
    return any(edge.holds.pick(facts) for facts in valuations(tuple(given)))


def within_reach(table: Table, snapshot: Snapshot, states: Collection[str]) -> bool:
    """Whether events, an operator's among them, can still bring the order to one of the states, or it stands in one.

    True where that is unknown: of an order in a state, or under facts, that this lifecycle does not declare; and where more than
    ``MAX_LOOKS`` would be needed to know.
    """
    if snapshot.state in states or not is_declared(table, snapshot):
        return True
    if not _edges_may_lead_to(table, snapshot, states):
        return False
    waiting = [Pair(snapshot.state, tuple(snapshot.facts[name] for name in table.facts))]
    seen = set(waiting)
    looks = 0
    for pair in waiting:  # grows while it is walked
        for onward in _pairs_after(table, pair):
            looks += 1
            if onward is None:
                continue
            if onward.state in states:
                return True
            if onward not in seen:
                seen.add(onward)
                waiting.append(onward)
        if looks > MAX_LOOKS:
            return True
    return False


def _edges_may_lead_to(table: Table, snapshot: Snapshot, states: Collection[str]) -> bool:
    """Whether the states are within reach if only facts that no edge sets were known: asks each edge once."""
    constant = table.facts.keys() - {name for edge in table.edges for name in edge.sets}
    known = {name: snapshot.facts[name] for name in constant}
    waiting = [snapshot.state]
    seen = set(waiting)
    while waiting:
        for edge in table.out[waiting.pop()]:
            if edge.target not in seen and may_hold(edge, known):
                seen.add(edge.target)
                waiting.append(edge.target)
    return not seen.isdisjoint(states)


def _pairs_after(table: Table, pair: Pair) -> Iterator[Pair | None]:
    """Where one event leads: an edge, or a jump of an observation. None: an observation that leads nowhere."""
    yield from (onward for _, onward in moves_from(table, pair))
    if any(edge.sets for edge in table.edges if edge.origin is Origin.OBSERVATION):
        # a jump leaves the facts as they are on which its paths disagree, so it may lead where no path does
        for status in table.readings:
            decision = observe(table, pair.snapshot(table), Observation(status, 0))
            if isinstance(decision, Applied):
                yield Pair(decision.snapshot.state, tuple(decision.snapshot.facts[name] for name in table.facts))
            else:
                yield None


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
