"""Why an order may or may not take an event now, what is missing, and the shortest legal way on. Pure; decides nothing."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from orderflow.errors import UnknownName
from orderflow.lifecycle.decide import settled
from orderflow.lifecycle.explore import Pair, moves_from
from orderflow.lifecycle.facts import Value
from orderflow.lifecycle.table import Edge, Table
from orderflow.vocabulary import Origin, Snapshot

Path = tuple[Edge, ...]


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
    if legal is not None:
        edge, onward = legal
        rest = shortest(table, onward, lambda pair: settled(table, pair.snapshot(table)))
        path = None if rest is None else (edge, *rest)
        return Why(event, edge.origin, edge.target, "", (), sources, path)
    guard = mine[0].guard if mine else ""
    missing = _missing(table, mine[0], facts) if mine else ()
    way = shortest(table, here, lambda pair: any(edge.event == event for edge, _ in moves_from(table, pair)), then=event)
    return Why(event, table.events[event], "", guard, missing, sources, way)


def to_settled(table: Table, snapshot: Snapshot) -> Path | None:
    """The shortest way to a settled state; empty where it is one, None where none can be reached."""
    return shortest(table, pair_of(table, snapshot), lambda pair: settled(table, pair.snapshot(table)))


def shortest(table: Table, here: Pair, goal: Callable[[Pair], bool], *, then: str = "") -> Path | None:
    """The fewest edges from here to a pair that is wanted, and the edge of the event ``then`` behind them."""
    front: list[tuple[Pair, Path]] = [(here, ())]
    seen = {here}
    for pair, path in front:  # grows while it is walked
        if goal(pair):
            return path + tuple(edge for edge, _ in moves_from(table, pair) if edge.event == then)
        for edge, onward in moves_from(table, pair):
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
