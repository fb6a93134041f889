"""Paths that were not seen: how an order may have gone from where it stands to a proven state. Pure.

A path is made of observation edges, each enabled where it is taken. It passes no assumed state, takes a recovery edge only as its first,
and ends where it first enters the proven state. It never comes to the same *place* twice. A place is a state, with the values of those
facts that observations set and that guards of later observations read.

Paths are never listed, for there may be exponentially many. Each question is answered by walking over places and the edges between them:

* Is there a path, and is it the only one? A second one would leave it somewhere, and come back to it further on.
* Which states are on every path? Those without which the proven state cannot be reached.
* Which states may be on a path, and which values may a fact have at its end? Here a path may come to a place again: the provider may have
  gone in circles. (To ask this of paths without circles is a problem for which no fast solution is known.)

A walk takes time in proportion to the edges between places. There is at most one for each fact, and for each state on a shortest path. A
lifecycle whose places have more than 4,000 edges (``MAX_MOVES`` in rules/guards.py) is not compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

from attrs import define

from orderflow._lifecycle.edges import Edge, is_proving
from orderflow._lifecycle.facts import Facts, Value
from orderflow._lifecycle.table import Table
from orderflow.model import Effect, Snapshot

Place = tuple[str, tuple[Value, ...]]
"""A state, and the values of its ``tracked`` facts."""
Onward = Mapping[Place, tuple[tuple[Edge, Place], ...]]
"""The edges that leave each place, in declared order, and where each leads."""
IsOpen = Callable[[Edge, Facts], bool]


@define(slots=False)
class Ways:
    """All places and edges on the way from an order to a proven state. ``shortest``: the edges of a shortest path."""

    start: Place
    end: Place
    facts: Facts
    onward: Onward
    shortest: tuple[Edge, ...]

    def is_only_path(self) -> bool:
        """Whether the shortest path is the only one: nothing that leaves it comes back to it further on."""
        places = [self.start]
        for taken in self.shortest:
            places.append(next(target for edge, target in self.onward[places[-1]] if edge is taken))
        rank = {place: number for number, place in enumerate(places)}
        seen: set[Place] = set()
        for number, taken in enumerate(self.shortest):
            waiting = [target for edge, target in self.onward[places[number]] if edge is not taken]
            while waiting:
                place = waiting.pop()
                if rank.get(place, -1) > number:
                    return False
                if place not in rank and place not in seen:
                    seen.add(place)
                    waiting += [target for _, target in self.onward[place]]
        return True

    def find_passed(self) -> tuple[frozenset[str], frozenset[str]]:
        """The states between that every path passes, and those that only some paths may pass."""
        between = frozenset(state for state, _ in self.onward) - {self.start[0]}
        on_shortest = {edge.target for edge in self.shortest[:-1]} & between  # what every path passes, the shortest passes too
        certain = frozenset(state for state in on_shortest if not self._reaches_end_without(state))
        return certain, between - certain

    def find_effects(self) -> tuple[tuple[Effect, ...], frozenset[str]]:
        """The effects that the last edge of every path owes, and the names of those that only some path or an earlier edge owes."""
        lasts = [edge for moves in self.onward.values() for edge, reached in moves if reached == self.end]
        earlier = [edge for moves in self.onward.values() for edge, reached in moves if reached != self.end]
        owed = tuple(effect for effect in self.shortest[-1].effects if all(effect in edge.effects for edge in lasts))
        unsure = {effect.name for edge in lasts for effect in edge.effects if effect not in owed}
        return owed, frozenset(unsure | {effect.name for edge in earlier for effect in edge.effects})

    def find_values(self) -> dict[str, frozenset[Value]]:
        """The values that each fact may have at the end, of the facts that some edge on the way sets."""
        names = dict.fromkeys(name for out in self.onward.values() for edge, _ in out for name in edge.sets)
        return {name: self._find_values_of(name) for name in names}

    def _reaches_end_without(self, state: str) -> bool:
        waiting, seen = [self.start], {self.start}
        while waiting:
            place = waiting.pop()
            if place == self.end:
                return True
            new = [target for _, target in self.onward[place] if target[0] != state and target not in seen]
            seen.update(new)
            waiting += new
        return False

    def _find_values_of(self, name: str) -> frozenset[Value]:
        """Backwards from the end, up to the last edge that sets the fact; the value it has now, if a path sets it nowhere."""
        values: set[Value] = set()
        waiting, seen = [self.end], {self.end}
        while waiting:
            for edge, source in self._before.get(waiting.pop(), ()):
                if name in edge.sets:
                    values.add(edge.sets[name])
                elif source not in seen:
                    seen.add(source)
                    waiting.append(source)
        return frozenset(values | {self.facts[name]} if self.start in seen else values)

    @cached_property
    def _before(self) -> Onward:
        """The edges that enter each place, and where each comes from."""
        return _turn_round(self.onward)


def is_enabled(edge: Edge, facts: Facts) -> bool:
    """Whether the edge's guard is true."""
    return edge.holds.pick(facts)


def find_ways(table: Table, snapshot: Snapshot, target: str, is_open: IsOpen = is_enabled) -> Ways | None:
    """The ways from an order to a proven state; None where no path leads there. ``is_open``: whether an edge can be taken under facts."""
    facts = {**table.defaults(), **snapshot.facts}
    start, end = _place_of(table, snapshot.state, facts), (target, ())
    if snapshot.state == target:
        return None
    onward: dict[Place, tuple[tuple[Edge, Place], ...]] = {}
    arrivals: dict[Place, tuple[Place, Edge]] = {}
    waiting = [start]
    for place in waiting:  # grows while it is walked: breadth first
        here = facts if place == start else {**facts, **dict(zip(table.tracked.get(place[0], ()), place[1], strict=False))}
        allowed = is_open if place == start else _without_recovery(is_open)
        onward[place] = tuple(move for move in _moves(table, place, here, end, allowed) if move[1] != start)
        for edge, reached in onward[place]:
            if reached not in arrivals:
                arrivals[reached] = place, edge
                waiting += [reached] if reached != end else []
    if end not in arrivals:
        return None
    return Ways(start, end, facts, _keep_leading_to(end, onward), _trace_back(start, end, arrivals))


def _place_of(table: Table, state: str, facts: Facts) -> Place:
    return state, tuple(facts[name] for name in table.tracked.get(state, ()))


def _without_recovery(is_open: IsOpen) -> IsOpen:
    return lambda edge, facts: not edge.recovery and is_open(edge, facts)


def _moves(table: Table, place: Place, facts: Facts, end: Place, is_open: IsOpen) -> Iterator[tuple[Edge, Place]]:
    for edge in table.out[place[0]]:
        if not is_proving(edge) or not is_open(edge, facts):
            continue
        if edge.target == end[0]:
            yield edge, end
        elif not table.states[edge.target].assumed:
            yield edge, _place_of(table, edge.target, {**facts, **edge.sets})


def _keep_leading_to(end: Place, onward: Onward) -> Onward:
    """Without the places and edges from which the end is not reached."""
    before = _turn_round(onward)
    waiting, leading = [end], {end}
    while waiting:
        new = [source for _, source in before.get(waiting.pop(), ()) if source not in leading]
        leading.update(new)
        waiting += new
    return {place: tuple(move for move in moves if move[1] in leading) for place, moves in onward.items() if place in leading}


def _turn_round(onward: Onward) -> Onward:
    before: dict[Place, list[tuple[Edge, Place]]] = {}
    for place, moves in onward.items():
        for edge, reached in moves:
            before.setdefault(reached, []).append((edge, place))
    return {place: tuple(moves) for place, moves in before.items()}


def _trace_back(start: Place, end: Place, arrivals: Mapping[Place, tuple[Place, Edge]]) -> tuple[Edge, ...]:
    path: list[Edge] = []
    place = end
    while place != start:
        place, edge = arrivals[place]
        path.append(edge)
    return tuple(reversed(path))
