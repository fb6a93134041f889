"""What is owed, and what is waited for: whether each call's outcome has an edge, and whether something still comes. Pure.

A table does not say which reply belongs to which call. It is taken from names and places: ``<kind>_...`` belongs to that kind of effect.
Any other reply belongs to the effects that edges into its sources owe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from orderflow._analysis.reachability import MAX_PAIRS, Moves, Pair, TooManyPairs
from orderflow._lifecycle.edges import STILL_UNPROVEN, Edge, is_proving
from orderflow._lifecycle.table import Table
from orderflow.model import Effect, Origin

_ANSWER_LOST = "_answer_lost"
_FAILURES = ("_refused", "_undelivered")


@frozen(cache_hash=True)
class Place:
    """A pair, with the calls that are under way, and those whose answer was lost: it may still come, and is not waited for."""

    pair: Pair
    under_way: frozenset[str]
    lost: frozenset[str]


def find_missing_replies(moves: Moves) -> Iterator[tuple[Edge, Effect, str, Pair]]:
    """Each edge that owes an effect, with a reply that the call may end with, and a pair where that reply has no edge that is enabled."""
    for out in moves.values():
        for edge, onward in out:
            for effect in edge.effects:
                enabled = {each.event for each, _ in moves[onward]}
                yield from ((edge, effect, reply, onward) for reply in _list_failures(effect) if reply not in enabled)


def _list_failures(effect: Effect) -> tuple[str, ...]:
    """The replies by which the engine reports that a call failed."""
    if not effect.kind:
        return ()
    endings = (*_FAILURES, _ANSWER_LOST) if effect.once else _FAILURES
    return tuple(effect.kind + ending for ending in endings)


def find_stranded(table: Table, moves: Moves, starts: tuple[Pair, ...]) -> Iterator[Pair]:
    """The pairs in which an order may stand that nothing leads on from: its edges belong to calls that have ended, or to no status.

    Raises:
        TooManyPairs: they are too many, with the calls that may be under way.
    """
    calls = _list_calls(table)
    brought = {id(edge) for edge in table.edges if _is_brought(table, edge)}
    waiting = [Place(pair, frozenset(), frozenset()) for pair in starts]
    seen = set(waiting)
    for place in waiting:  # grows while it is walked
        if moves[place.pair] and not any(_leads_on(edge, place, calls, brought) for edge, _ in moves[place.pair]):
            yield place.pair
        for edge, onward in moves[place.pair]:
            answered = calls.get(edge.event, frozenset())
            if edge.origin is Origin.REPLY and answered and not answered & (place.under_way | place.lost):
                continue
            after = _move(place, edge, onward, answered)
            if after not in seen:
                seen.add(after)
                waiting.append(after)
        if len(seen) > MAX_PAIRS:
            raise TooManyPairs


def _list_calls(table: Table) -> Mapping[str, frozenset[str]]:
    """By reply, the names of the calls that it may answer."""
    owed_into: dict[str, set[str]] = {state: set() for state in table.states}
    for edge in table.edges:
        owed_into[edge.target].update(_name_call(effect) for effect in edge.effects)
    without_kind = {effect.name for effect in table.effects.values() if not effect.kind}
    calls: dict[str, set[str]] = {}
    for edge in table.edges:
        if edge.origin is Origin.REPLY:
            kinds = (effect.kind for effect in table.effects.values() if effect.kind and edge.event.startswith(f"{effect.kind}_"))
            kind = max(kinds, key=len, default="")
            owed = owed_into[edge.source]
            calls.setdefault(edge.event, set()).update({kind} | owed & without_kind if kind else owed)
    return {event: frozenset(names) for event, names in calls.items()}


def _name_call(effect: Effect) -> str:
    return effect.kind or effect.name


def _move(place: Place, edge: Edge, onward: Pair, answered: frozenset[str]) -> Place:
    """Where an edge leads. A reply ends its call, if it is known which; effects begin calls."""
    ended = answered & place.under_way if edge.origin is Origin.REPLY else frozenset[str]()
    ended = ended if len(ended) == 1 else frozenset()
    lost = place.lost | ended if edge.event.endswith(_ANSWER_LOST) else place.lost
    return Place(onward, place.under_way - ended | {_name_call(effect) for effect in edge.effects}, lost)


def _leads_on(edge: Edge, place: Place, calls: Mapping[str, frozenset[str]], brought: set[int]) -> bool:
    """Whether something will bring the edge, or a person or a clock can."""
    if edge.origin is Origin.REPLY:
        answered = calls[edge.event]
        return not answered or bool(answered & place.under_way)
    return edge.origin is not Origin.OBSERVATION or id(edge) in brought


def _is_brought(table: Table, edge: Edge) -> bool:
    """Whether some status can bring an observation edge: alone, or as the first of a path."""
    if edge.origin is not Origin.OBSERVATION:
        return False
    if edge.event == STILL_UNPROVEN:
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
