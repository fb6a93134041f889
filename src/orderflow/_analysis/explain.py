"""Why an order may or may not take an event now, what is missing, and the shortest path on that could happen. Pure; decides nothing.

A reply can only happen where an effect that declares it was called and is not answered yet. A table does not ask for that, nor do
``check`` and ``decide``: whatever comes has its answer. A path that is shown to a person does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from attrs import frozen

from orderflow._analysis.owed import find_answered, name_call
from orderflow._analysis.reachability import MAX_LOOKS, Pair, moves_from, starts
from orderflow._lifecycle.decide import is_settled
from orderflow._lifecycle.facts import Value
from orderflow._lifecycle.table import Edge, Table
from orderflow.errors import UnknownName
from orderflow.model import Origin, Snapshot

Path = tuple[Edge, ...]
_ANSWER_LOST = "_answer_lost"  # after it, the answer may still come


@frozen
class Missing:
    """A fact in the way: its value, the value that the guard needs, and the edges that would set it (none: it is given at create)."""

    fact: str
    now: Value
    needed: Value
    setters: tuple[Edge, ...]


@frozen
class Explanation:
    """The answer for one event.

    ``target``: the state it leads to now ("": it is not legal). ``guard``: the first guard that is false here ("": no edge of the event
    leaves this state). ``missing``: the facts that guard lacks. ``sources``: the states that the event leaves.

    ``path`` of a legal event: the shortest path to a settled state; the event comes first. ``path`` of another event: the shortest path to
    a state where it is legal; the event comes last. None: there is no such path, or only one beyond very many places.
    """

    event: str
    origin: Origin
    target: str
    guard: str
    missing: tuple[Missing, ...]
    sources: tuple[str, ...]
    path: Path | None


def explain_event(table: Table, snapshot: Snapshot, event: str) -> Explanation:
    """Explain one event.

    Raises:
        UnknownName: the lifecycle has no such event, or (any more) no such state.
    """
    if snapshot.state not in table.states:
        raise UnknownName(f"state of {table.name}", snapshot.state, tuple(table.states))
    if event not in table.events:
        raise UnknownName(f"event of {table.name}", event, tuple(table.events))
    pair = pair_of(table, snapshot)
    place = _place_of(table, pair)
    origin = table.events[event]
    sources = tuple(dict.fromkeys(edge.source for edge in table.edges if edge.event == event))
    for edge, onward in moves_from(table, pair):
        if edge.event == event:
            after = _Place(onward, _update_called(table, edge, place.called))
            rest = _shortest_path(table, after, lambda each: _is_settled(table, each))
            return Explanation(event, origin, edge.target, "", (), sources, None if rest is None else (edge, *rest))
    path = _shortest_path_to_event(table, place, event)
    closed = next((edge for edge in table.out[pair.state] if edge.event == event), None)
    if closed is None:
        return Explanation(event, origin, "", "", (), sources, path)
    return Explanation(event, origin, "", closed.guard, _find_missing(table, closed, pair.facts(table)), sources, path)


def shortest_path_to_settled(table: Table, snapshot: Snapshot) -> Path | None:
    """The shortest path to a settled state; empty where the order is settled, None where no path leads to one."""
    return _shortest_path(table, _place_of(table, pair_of(table, snapshot)), lambda place: _is_settled(table, place))


def pair_of(table: Table, snapshot: Snapshot) -> Pair:
    """Where an order stands; facts that it was created without count as their first value."""
    facts = {**table.defaults(), **snapshot.facts}
    return Pair(snapshot.state, tuple(facts[name] for name in table.facts))


# ── paths that could happen ──────────────────────────────────────────────────────────────────────────────────────────────────


@frozen(cache_hash=True)
class _Place:
    """A pair, and the calls that were made on the way and whose answers may still come."""

    pair: Pair
    called: frozenset[str]


def _place_of(table: Table, pair: Pair) -> _Place:
    """An order that stands here, with every call that may be under way on some path from its create. With all calls where no path
    leads here: an operator put it here; and where there are too many places to know."""
    set_by_edges = {name for edge in table.edges for name in edge.sets}
    at_create = {name: value for name, value in pair.facts(table).items() if name not in set_by_edges}
    every_call = frozenset(name_call(effect) for effect in table.effects.values())
    declared = all(value in table.facts[name] for name, value in at_create.items())
    begins = islice(starts(table, at_create), MAX_LOOKS) if declared else ()
    waiting = [_Place(start, frozenset()) for start in begins]
    seen = set(waiting)
    for place in waiting:  # grows while it is walked
        new = [onward for _, onward in _moves(table, place) if onward not in seen]
        seen.update(new)
        waiting += new
        if len(seen) >= MAX_LOOKS:
            return _Place(pair, every_call)
    called = [place.called for place in waiting if place.pair == pair] or [every_call]
    return _Place(pair, frozenset[str]().union(*called))


def _moves(table: Table, place: _Place) -> Iterator[tuple[Edge, _Place]]:
    """The enabled edges, without replies to what was not called, and where each leads."""
    for edge, onward in moves_from(table, place.pair):
        answered = find_answered(table, edge)
        if not answered or answered & place.called:
            yield edge, _Place(onward, _update_called(table, edge, place.called))


def _update_called(table: Table, edge: Edge, called: frozenset[str]) -> frozenset[str]:
    """The calls that are under way after the edge. A lost answer may still come, and so may all where it is not known which came."""
    answered = find_answered(table, edge) & called
    ended = answered if len(answered) == 1 and not edge.event.endswith(_ANSWER_LOST) else frozenset[str]()
    return called - ended | {name_call(effect) for effect in edge.effects}


def _is_settled(table: Table, place: _Place) -> bool:
    return is_settled(table, place.pair.snapshot(table))


def _shortest_path_to_event(table: Table, start: _Place, event: str) -> Path | None:
    """The fewest edges to a place where the event is legal, and its edges there."""
    for place, path in _breadth_first(table, start):
        last = tuple(edge for edge, _ in _moves(table, place) if edge.event == event)
        if last:
            return path + last
    return None


def _shortest_path(table: Table, start: _Place, is_goal: Callable[[_Place], bool]) -> Path | None:
    """The fewest edges to a goal; None where no path leads to one."""
    return next((path for place, path in _breadth_first(table, start) if is_goal(place)), None)


def _breadth_first(table: Table, start: _Place) -> Iterator[tuple[_Place, Path]]:
    """Every place that can be reached, each with a shortest path to it: the nearest ``MAX_LOOKS``."""
    waiting: list[tuple[_Place, Path]] = [(start, ())]
    seen = {start}
    for place, path in waiting:  # grows while it is walked
        yield place, path
        for edge, onward in _moves(table, place):
            if onward not in seen and len(seen) < MAX_LOOKS:
                seen.add(onward)
                waiting.append((onward, (*path, edge)))


def _find_missing(table: Table, edge: Edge, facts: dict[str, Value]) -> tuple[Missing, ...]:
    """The fewest facts that would have to be otherwise for the edge's guard to be true."""
    reads = edge.holds.reads
    true_under = [values for values, holds in edge.holds.picks.items() if holds]
    if not true_under:
        return ()
    nearest = min(true_under, key=lambda values: sum(facts[name] != value for name, value in zip(reads, values, strict=True)))
    return tuple(
        Missing(name, facts[name], value, tuple(each for each in table.edges if each.sets.get(name) == value))
        for name, value in zip(reads, nearest, strict=True)
        if facts[name] != value
    )
