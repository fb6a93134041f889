"""Exploring a lifecycle with many facts: pairs that behave alike are taken together. Pure.

Two things keep the number of pairs small, and change no answer:

* A fact that no guard can read any more, before an edge sets it anew, is *forgotten*: it counts as its first value.
* A fact that is given at create, and that no guard has read yet, is left *open*: it has any of its values. Where a guard may read it, the
  pair becomes one pair for each value. An order had that value all along, and nothing before depended on it.

So what a pair stands for is what an order can come to, and every guard that is asked there has one answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import prod

from attrs import frozen

from orderflow._analysis.reachability import MAX_PAIRS, Explored, Pair, TooManyPairs, reachable, starts, values_at_create
from orderflow._lifecycle.facts import Value
from orderflow._lifecycle.liveness import Names, find_live_facts
from orderflow._lifecycle.table import Edge, Table

OPEN: Value = "\0open"
"""In place of a value: the fact was given at create, and nothing has depended on it yet. No declared value is unprintable."""

MAX_SINGLE = 2**12
"""The most pairs that are explored one by one, before pairs that behave alike are taken together."""


def explore(table: Table) -> Explored:
    """Every pair that an order can come to; condensed, if there are too many to look at each.

    Raises:
        TooManyPairs: condensed, there are still more than ``MAX_PAIRS``.
    """
    try:
        moves = reachable(table, MAX_SINGLE)
    except TooManyPairs:
        return _Condenser.of(table).explore()
    return Explored(tuple(starts(table)), moves)


@frozen
class _Condenser:
    """``live``: by state, the facts that can still matter. ``asked``: by state, those that guards of its edges read."""

    table: Table
    live: Mapping[str, Names]
    asked: Mapping[str, Names]
    at_create: Mapping[str, tuple[Value, ...]]

    @classmethod
    def of(cls, table: Table) -> _Condenser:
        promised = _read_properties(table)
        asked = {state: promised.union(*map(_read_edge, edges)) for state, edges in table.out.items()}
        return cls(table, find_readable_facts(table), asked, values_at_create(table))

    def explore(self) -> Explored:
        """Every pair, with its moves.

        Raises:
            TooManyPairs: they are more than ``MAX_PAIRS``.
        """
        given = tuple(OPEN if len(values) > 1 else values[0] for values in self.at_create.values())
        first = tuple(self._arrive(self.table.initial, given))
        moves: dict[Pair, tuple[tuple[Edge, Pair], ...]] = {}
        waiting = list(first)
        while waiting:
            pair = waiting.pop()
            if pair not in moves:
                moves[pair] = tuple(self._moves_from(pair))
                waiting += [onward for _, onward in moves[pair]]
                if len(moves) > MAX_PAIRS:
                    raise TooManyPairs
        return Explored(first, moves)

    def _moves_from(self, pair: Pair) -> Iterator[tuple[Edge, Pair]]:
        facts = pair.facts(self.table)
        for edge in self.table.out[pair.state]:
            if edge.holds.pick(facts):
                values = tuple(edge.sets.get(name, value) for name, value in facts.items())
                yield from ((edge, onward) for onward in self._arrive(edge.target, values))

    def _arrive(self, state: str, values: tuple[Value, ...]) -> Iterator[Pair]:
        """The pairs in which an order with these values arrives: what is dead is forgotten, what is asked for is open no more."""
        live, asked = self.live[state], self.asked[state]
        choices: list[tuple[Value, ...]] = []
        for (name, declared), value in zip(self.table.facts.items(), values, strict=True):
            if name not in live:
                choices.append(declared[:1])
            else:
                choices.append(self.at_create[name] if value is OPEN and name in asked else (value,))
        if prod(map(len, choices)) > MAX_PAIRS:
            raise TooManyPairs
        yield from (Pair(state, chosen) for chosen in product(*choices))


def find_readable_facts(table: Table) -> Mapping[str, Names]:
    """By state, the facts that can still be read there or later, before an edge sets them: by guards, expectations and properties."""
    promised = _read_properties(table)
    return {state: names | promised for state, names in find_live_facts(table.states, table.edges, _read_edge).items()}


def _read_properties(table: Table) -> Names:
    return frozenset(name for promise in table.properties for name in promise.facts())


def _read_edge(edge: Edge) -> Names:
    """The facts that the edge's guard and its expectation read."""
    return frozenset(edge.holds.reads) | frozenset(edge.expected.reads)
