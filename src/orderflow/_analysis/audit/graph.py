"""The states of a lifecycle as bits, and its edges as bit masks. Pure; knows nothing of logs.

A set of states is an int with one bit per state, in declared order. One more bit, ``not_created``, stands for an order before its
initial state.

A log names no events and no facts. So every edge counts, whatever its event and its guard. A fact that is given removes the edges
whose guard is then false.

A recovery edge (out of a provisional state) counts only directly after an observation, as in ``observe``. An order that was
observed in Failed may come back. An order that was observed in New did not pass through a Failed that was never observed.
``missed_recovery`` lifts this rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from orderflow._lifecycle.facts import Value, valuations
from orderflow._lifecycle.table import Edge, Table
from orderflow.errors import InvalidInput, UnknownName

EVERYWHERE = -1
"""The set of all states."""


@frozen
class Graph:
    """States and edges as masks. ``ordinary`` and ``recovery`` hold, for each state, the set that these edges lead to."""

    states: tuple[str, ...]
    ordinary: tuple[int, ...]
    recovery: tuple[int, ...]
    final: int
    assumed: int

    @property
    def not_created(self) -> int:
        """The set of the one state that comes before the initial state."""
        return 1 << len(self.states)

    def reach_from_observed(self, start: int, through: int = EVERYWHERE) -> int:
        """The states that an order observed in ``start`` can get to. On the way it passes only states of ``through``."""
        seen = start
        for state in iter_bits(start):
            seen |= self.recovery[state]
        return self.reach(start | seen & through, through) | seen

    def reach(self, start: int, through: int = EVERYWHERE) -> int:
        """The same by ordinary edges alone, for an order that was not observed in ``start``."""
        seen = todo = start
        while todo:
            lowest = todo & -todo
            todo ^= lowest
            new = self.ordinary[lowest.bit_length() - 1] & ~seen
            seen |= new
            todo |= new & through
        return seen

    def to_mask(self, names: frozenset[str]) -> int:
        """Return the states of these names as a set."""
        return sum(1 << n for n, state in enumerate(self.states) if state in names)

    def to_names(self, mask: int) -> tuple[str, ...]:
        """Return the names of a set's states, in declared order."""
        return tuple(self.states[state] for state in iter_bits(mask))


def iter_bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the states in a set, in declared order."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def build_graph(table: Table, facts: Mapping[str, Value], *, missed_recovery: bool) -> Graph:
    """Return the graph of a table. ``facts`` are those that hold for every order of the log.

    Raises:
        UnknownName: no such fact.
        InvalidInput: the fact has no such value, or an edge changes it: then it cannot hold for an order's whole life.
    """
    _check_facts(table, facts)
    numbers = {state: n for n, state in enumerate(table.states)}
    ordinary, recovery = [0] * len(numbers), [0] * len(numbers)
    for edge in table.edges:
        if _is_possible(edge, facts):
            masks = recovery if edge.recovery and not missed_recovery else ordinary
            masks[numbers[edge.source]] |= 1 << numbers[edge.target]
    return Graph(
        states=tuple(numbers),
        ordinary=(*ordinary, 1 << numbers[table.initial]),
        recovery=(*recovery, 0),
        final=sum(1 << numbers[state] for state, info in table.states.items() if info.final),
        assumed=sum(1 << numbers[state] for state, info in table.states.items() if info.assumed),
    )


def _check_facts(table: Table, facts: Mapping[str, Value]) -> None:
    for name, value in facts.items():
        if name not in table.facts:
            raise UnknownName("fact", name, tuple(table.facts))
        if value not in table.facts[name]:
            raise InvalidInput(name, f"is one of {', '.join(map(str, table.facts[name]))}")
        if any(edge.sets.get(name, value) != value for edge in table.edges):
            raise InvalidInput(name, "changes during an order's life, so it cannot be given for the whole of it")


def _is_possible(edge: Edge, facts: Mapping[str, Value]) -> bool:
    """Whether the edge's guard holds under some valuation that agrees with the given facts."""
    return any(
        edge.holds.pick(valuation)
        for valuation in valuations(edge.reads)
        if all(facts.get(name, value) == value for name, value in valuation.items())
    )
