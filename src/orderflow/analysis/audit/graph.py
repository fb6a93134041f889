"""The graph that a log is judged against: a table's states as bits, its edges as masks. Pure; knows no log.

Sets of states are ints, one bit a state, in declared order; the last bit is *unborn*, where an order is before its
initial state. An edge counts whoever's event it is and whatever its guard reads: a log says neither who acted nor what
the facts were. A fact that is known can be given, and removes the edges whose guard then says no.

A recovery edge (out of a provisional state) counts as the first edge after an observation only, as in ``observe``: an order seen
in Failed may come back, one seen in New did not go through a Failed that nobody saw. ``missed_recovery`` lifts that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from orderflow.errors import InvalidInput, UnknownName
from orderflow.lifecycle.facts import Value, valuations
from orderflow.lifecycle.table import Edge, Table

EVERYWHERE = -1


@frozen
class Graph:
    """States and edges as masks. ``onward``: per state, where its ordinary edges lead; ``recovered``: its recovery edges."""

    states: tuple[str, ...]
    onward: tuple[int, ...]
    recovered: tuple[int, ...]
    final: int
    assumed: int

    @property
    def unborn(self) -> int:
        """The set of the one state that precedes the initial one."""
        return 1 << len(self.states)

    def reach(self, start: int, through: int = EVERYWHERE) -> int:
        """The states that an order observed in ``start`` can get to, passing only states of ``through`` on the way."""
        seen = start
        for state in bits(start):
            seen |= self.recovered[state]
        return self.follow(start | seen & through, through) | seen

    def follow(self, start: int, through: int = EVERYWHERE) -> int:
        """The same by ordinary edges alone: for an order that was not observed in ``start``."""
        seen = todo = start
        while todo:
            lowest = todo & -todo
            todo ^= lowest
            new = self.onward[lowest.bit_length() - 1] & ~seen
            seen |= new
            todo |= new & through
        return seen

    def mask(self, names: frozenset[str]) -> int:
        """States by name, as a set."""
        return sum(1 << n for n, state in enumerate(self.states) if state in names)

    def named(self, mask: int) -> tuple[str, ...]:
        """A set's names, in declared order."""
        return tuple(self.states[state] for state in bits(mask))


def bits(mask: int) -> Iterator[int]:
    """The numbers of the states in a set."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def graph(table: Table, facts: Mapping[str, Value], *, missed_recovery: bool) -> Graph:
    """The graph of a table under what is known of the facts.

    Raises:
        UnknownName: no such fact.
        InvalidInput: the fact has no such value, or an edge changes it, so that it cannot be given for a whole life.
    """
    _check(table, facts)
    number = {state: n for n, state in enumerate(table.states)}
    ordinary, recovering = [0] * len(number), [0] * len(number)
    for edge in table.edges:
        if _possible(edge, facts):
            kept = recovering if edge.recovery and not missed_recovery else ordinary
            kept[number[edge.source]] |= 1 << number[edge.target]
    return Graph(
        states=tuple(number),
        onward=(*ordinary, 1 << number[table.initial]),
        recovered=(*recovering, 0),
        final=sum(1 << number[state] for state, info in table.states.items() if info.final),
        assumed=sum(1 << number[state] for state, info in table.states.items() if info.assumed),
    )


def _check(table: Table, facts: Mapping[str, Value]) -> None:
    for name, value in facts.items():
        if name not in table.facts:
            raise UnknownName("fact", name, tuple(table.facts))
        if value not in table.facts[name]:
            raise InvalidInput(name, f"is one of {', '.join(map(str, table.facts[name]))}")
        if any(edge.sets.get(name, value) != value for edge in table.edges):
            raise InvalidInput(name, "changes during an order's life, so it cannot be given for the whole of it")


def _possible(edge: Edge, facts: Mapping[str, Value]) -> bool:
    """Whether the edge's guard says yes under some facts that agree with what is known."""
    return any(
        edge.holds.pick(given) for given in valuations(edge.reads) if all(facts.get(name, value) == value for name, value in given.items())
    )
