"""Why an order may or may not take an event now, what is missing, and the shortest way on that could happen. Pure; decides nothing.

A reply named after a kind of effect (``<kind>_...``) could only happen where such an effect was called and not answered yet. A table
does not ask for that, nor do ``check`` and ``decide``: whatever comes has its answer. A way that is shown to a person does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import frozen

from orderflow.analysis.reachability import Pair, moves_from, starts
from orderflow.errors import UnknownName
from orderflow.lifecycle.decide import settled
from orderflow.lifecycle.facts import Value
from orderflow.lifecycle.table import Edge, Table
from orderflow.model import Origin, Snapshot

Path = tuple[Edge, ...]
_ANSWER_LOST = "_answer_lost"  # after which the answer may still come


@frozen
class Missing:
    """A fact in the way: what it is, what the guard needs, and the edges that would set it (none: it is given at create)."""

    fact: str
    now: Value
    needed: Value
    setters: tuple[Edge, ...]


@frozen
class Why:
    """The answer for one event. ``target``: where it leads now ("": it is not legal). ``guard``: the first that fails here ("": no edge of
    the event leaves this state), ``missing`` what it lacks. ``sources``: the states that the event leaves. ``path``: for a legal event
    the shortest way on to a settled state, the event first; else the shortest way to where it is legal, the event last (None: there is
    none)."""

    event: str
    origin: Origin
    target: str
    guard: str
    missing: tuple[Missing, ...]
    sources: tuple[str, ...]
    path: Path | None


def pair_of(table: Table, snapshot: Snapshot) -> Pair:
    """Where an order stands; facts that it was created without count as their first value."""
    facts = {**table.defaults(), **snapshot.facts}
    return Pair(snapshot.state, tuple(facts[name] for name in table.facts))


def why(table: Table, snapshot: Snapshot, event: str) -> Why:
    """Explain one event.

    Raises:
        UnknownName: the lifecycle has no such event, or (any more) no such state.
    """
    if snapshot.state not in table.states:
        raise UnknownName(f"state of {table.name}", snapshot.state, tuple(table.states))
    if event not in table.events:
        raise UnknownName(f"event of {table.name}", event, tuple(table.events))
    here = pair_of(table, snapshot)
    facts = here.facts(table)
    mine = [edge for edge in table.out[here.state] if edge.event == event]
    legal = next(((edge, onward) for edge, onward in moves_from(table, here) if edge.event == event), None)
    sources = tuple(dict.fromkeys(edge.source for edge in table.edges if edge.event == event))
    place = _place_of(table, here)
    if legal is not None:
        edge, onward = legal
        rest = _shortest(table, _Place(onward, _called_after(table, edge, place.called)), lambda one: _settled(table, one))
        path = None if rest is None else (edge, *rest)
        return Why(event, edge.origin, edge.target, "", (), sources, path)
    guard = mine[0].guard if mine else ""
    missing = _missing(table, mine[0], facts) if mine else ()
    way = _shortest(table, place, lambda one: any(edge.event == event for edge, _ in _steps(table, one)), then=event)
    return Why(event, table.events[event], "", guard, missing, sources, way)


def to_settled(table: Table, snapshot: Snapshot) -> Path | None:
    """The shortest way to a settled state; empty where it is one, None where none can be reached."""
    return _shortest(table, _place_of(table, pair_of(table, snapshot)), lambda one: _settled(table, one))


# ── ways that could happen ───────────────────────────────────────────────────────────────────────────────────────────────


@frozen(cache_hash=True)
class _Place:
    """A pair, and the kinds of effects that were called there and whose answers may still come."""

    pair: Pair
    called: frozenset[str]


def _place_of(table: Table, here: Pair) -> _Place:
    """An order that stands here: with every kind under way that may be on some path from its create; on no path (somebody put it
    here), with all of them."""
    set_by_edges = {name for edge in table.edges for name in edge.sets}
    as_created = {name: value for name, value in here.facts(table).items() if name not in set_by_edges}
    front = [_Place(pair, frozenset()) for pair in starts(table) if as_created.items() <= pair.facts(table).items()]
    seen = set(front)
    for place in front:  # grows while it is walked
        new = [onward for _, onward in _steps(table, place) if onward not in seen]
        seen.update(new)
        front += new
    mine = [place.called for place in front if place.pair == here] or [frozenset(effect.kind for effect in table.effects.values())]
    return _Place(here, frozenset[str]().union(*mine))


def _steps(table: Table, place: _Place) -> Iterator[tuple[Edge, _Place]]:
    """The enabled edges but for replies to what was not called, and where each leads."""
    for edge, onward in moves_from(table, place.pair):
        kind = _answers(table, edge)
        if not kind or kind in place.called:
            yield edge, _Place(onward, _called_after(table, edge, place.called))


def _called_after(table: Table, edge: Edge, called: frozenset[str]) -> frozenset[str]:
    over = {_answers(table, edge)} if not edge.event.endswith(_ANSWER_LOST) else set()
    return called - over | {effect.kind for effect in edge.effects}


def _answers(table: Table, edge: Edge) -> str:
    """The kind of effect that the edge is an answer to; "" where its name does not tell."""
    kinds = (effect.kind for effect in table.effects.values() if edge.event.startswith(f"{effect.kind}_"))
    return max(kinds, key=len, default="") if edge.origin is Origin.REPLY else ""


def _settled(table: Table, place: _Place) -> bool:
    return settled(table, place.pair.snapshot(table))


def _shortest(table: Table, here: _Place, goal: Callable[[_Place], bool], *, then: str = "") -> Path | None:
    """The fewest edges from here to a place that is wanted, and the edge of the event ``then`` behind them."""
    front: list[tuple[_Place, Path]] = [(here, ())]
    seen = {here}
    for place, path in front:  # grows while it is walked
        if goal(place):
            return path + tuple(edge for edge, _ in _steps(table, place) if edge.event == then)
        for edge, onward in _steps(table, place):
            if onward not in seen:
                seen.add(onward)
                front.append((onward, (*path, edge)))
    return None


def _missing(table: Table, edge: Edge, facts: dict[str, Value]) -> tuple[Missing, ...]:
    """The fewest facts that would have to be otherwise for the edge's guard to say yes."""
    reads = edge.holds.reads
    ways = [values for values, yes in edge.holds.picks.items() if yes]
    if not ways:
        return ()
    nearest = min(ways, key=lambda values: sum(facts[name] != value for name, value in zip(reads, values, strict=True)))
    return tuple(
        Missing(name, facts[name], value, tuple(one for one in table.edges if one.sets.get(name) == value))
        for name, value in zip(reads, nearest, strict=True)
        if facts[name] != value
    )
