"""What is owed, and what is waited for: whether each call's outcome has an edge, and whether something still comes. Pure.

Which calls a reply may end, the effects declare. Effects of one kind are one call: its failures do not say which of them failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import field, frozen

from orderflow._analysis.reachability import MAX_PAIRS, Moves, Pair, TooManyPairs
from orderflow._lifecycle.edges import CHANGED_DATA, STILL_UNPROVEN, Edge, is_proving
from orderflow._lifecycle.table import Table
from orderflow.model import Effect, Origin

_ANSWER_LOST = "_answer_lost"


@frozen(cache_hash=True)
class Calls:
    """The calls that are under way, and those whose answer was lost: it may still come, and is not waited for."""

    under_way: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()

    def keep(self, awaited: frozenset[str]) -> Calls:
        """Those of them that are ``awaited``."""
        return self if self.under_way | self.lost <= awaited else Calls(self.under_way & awaited, self.lost & awaited)


def find_missing_replies(moves: Moves) -> Iterator[tuple[Edge, Effect, str, Pair]]:
    """Each edge that owes an effect, with a reply that the call may end with, and a pair where that reply has no edge that is enabled."""
    for out in moves.values():
        for edge, onward in out:
            for effect in edge.effects:
                enabled = {each.event for each, _ in moves[onward]}
                yield from ((edge, effect, reply, onward) for reply in effect.replies if reply not in enabled)


def find_stranded(table: Table, moves: Moves, starts: tuple[Pair, ...]) -> Iterator[Pair]:
    """The pairs in which an order may stand that nothing leads on from: its edges belong to calls that have ended, or to no status.

    Raises:
        TooManyPairs: they are too many, with the calls that may be under way.
    """
    guide = _Guide(table, {id(edge) for edge in table.edges if _is_brought(table, edge)})
    numbers = {pair: number for number, pair in enumerate(moves)}
    onward = [tuple((edge, numbers[target], target.state) for edge, target in out) for out in moves.values()]
    awaited = _find_awaited(table, moves)
    waiting = [(numbers[pair], Calls()) for pair in starts]
    seen = set(waiting)
    stranded: set[int] = set()
    for number, calls in waiting:  # grows while it is walked
        stuck = bool(onward[number])
        for edge, target, state in onward[number]:
            after, leads_on = guide.follow(edge, calls)
            stuck = stuck and not leads_on
            if after is None:
                continue
            place = target, after.keep(awaited[state])
            if place not in seen:
                seen.add(place)
                waiting.append(place)
        if stuck:
            stranded.add(number)
        if len(seen) > MAX_PAIRS:
            raise TooManyPairs
    yield from (pair for pair, number in numbers.items() if number in stranded)


@frozen
class _Guide:
    """What an edge does to the calls that are under way. ``brought``: the ids of the observation edges that some status brings.
    ``followed``: the answers so far."""

    table: Table
    brought: set[int]
    followed: dict[tuple[int, Calls], tuple[Calls | None, bool]] = field(factory=dict)

    def follow(self, edge: Edge, calls: Calls) -> tuple[Calls | None, bool]:
        """The calls after the edge (None: it cannot happen), and whether something will bring it, or a person or a clock can."""
        key = id(edge), calls
        if key not in self.followed:
            self.followed[key] = self._move(edge, calls), self._leads_on(edge, calls)
        return self.followed[key]

    def _move(self, edge: Edge, calls: Calls) -> Calls | None:
        begun = {name_call(effect) for effect in edge.effects}
        if edge.origin is not Origin.REPLY:
            return Calls(calls.under_way | begun, calls.lost)
        answered = find_answered(self.table, edge)
        if answered and not answered & (calls.under_way | calls.lost):
            return None
        ended = answered & calls.under_way
        ended = ended if len(ended) == 1 else frozenset()  # it is not known which
        lost = calls.lost | ended if edge.event.endswith(_ANSWER_LOST) else calls.lost
        return Calls(calls.under_way - ended | begun, lost)

    def _leads_on(self, edge: Edge, calls: Calls) -> bool:
        if edge.origin is Origin.REPLY:
            answered = find_answered(self.table, edge)
            return not answered or bool(answered & calls.under_way)
        return edge.origin is not Origin.OBSERVATION or id(edge) in self.brought


def find_answered(table: Table, edge: Edge) -> frozenset[str]:
    """The calls that the edge may be the end of; none where it is no reply."""
    if edge.origin is not Origin.REPLY:
        return frozenset()
    return frozenset(name_call(effect) for effect in table.effects.values() if edge.event in effect.replies)


def _find_awaited(table: Table, moves: Moves) -> Mapping[str, frozenset[str]]:
    """By state, the calls that an edge from there on may be the end of. The others make no difference any more."""
    steps = {(pair.state, target.state, find_answered(table, edge)) for pair, out in moves.items() for edge, target in out}
    awaited: dict[str, frozenset[str]] = dict.fromkeys(table.states, frozenset())
    changed = True
    while changed:
        changed = False
        for source, target, answered in steps:
            found = awaited[source] | answered | awaited[target]
            if found != awaited[source]:
                awaited[source] = found
                changed = True
    return awaited


def name_call(effect: Effect) -> str:
    """What calls of this effect are called here."""
    return effect.kind or effect.name


def _is_brought(table: Table, edge: Edge) -> bool:
    """Whether some status can bring an observation edge: alone, or as the first of a path."""
    if edge.origin is not Origin.OBSERVATION:
        return False
    if edge.event in (STILL_UNPROVEN, CHANGED_DATA):
        return any(edge.source in reading.consistent for reading in table.readings.values())
    proven = {reading.proves for reading in table.readings.values() if edge.source not in reading.consistent}
    reached, waiting = {edge.target}, [edge.target]
    while waiting:
        state = waiting.pop()
        if state in proven:
            return True
        if not table.states[state].assumed:
            new = {each.target for each in table.out[state] if is_proving(each) and not each.recovery} - reached
            reached |= new
            waiting += new
    return False
