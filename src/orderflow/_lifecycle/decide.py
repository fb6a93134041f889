"""``decide``: what an event means for an order. Pure: table, snapshot and event in, a decision out.

Also what can be asked of a snapshot: which commands are legal, whether it is settled, pollable or in doubt.
"""

from __future__ import annotations

from orderflow._lifecycle.table import Edge, Table
from orderflow.errors import UnknownName
from orderflow.model import Applied, Decision, Event, Origin, Reason, Refused, Snapshot


def decide(table: Table, snapshot: Snapshot, event: Event) -> Decision:
    """Decide an event that is no observation.

    Raises:
        UnknownName: the lifecycle has no such event.
    """
    try:
        cell = table.cells[snapshot.state][event.name]
    except KeyError:
        raise _unknown(table, snapshot, event) from None
    if event.origin is not cell.origin:
        article = "an" if event.origin[0] in "aeiou" else "a"
        detail = f"not {article} {event.origin}: {event.name} has origin {cell.origin}"
        return Refused(Reason.WRONG_ORIGIN, snapshot.state, detail, legal(table, snapshot))
    edge = cell.only
    if edge is None and cell.edges:
        facts = snapshot.facts
        choice = cell.choice
        edge = choice.picks[tuple([facts[name] for name in choice.reads])]
    if edge is None:
        default = cell.default
        if isinstance(default, Refused):
            return Refused(default.reason, default.state, default.detail, legal(table, snapshot))
        return default
    return Applied(
        (edge.step,),
        Snapshot(
            edge.target,
            {**snapshot.facts, **edge.sets} if edge.sets else snapshot.facts,
            {**snapshot.data, **event.data} if event.data else snapshot.data,
            snapshot.version + 1,
        ),
    )


def _unknown(table: Table, snapshot: Snapshot, event: Event) -> UnknownName:
    if snapshot.state not in table.states:
        return UnknownName(f"state of {table.name}", snapshot.state, tuple(table.states))
    return UnknownName(f"event of {table.name}", event.name, tuple(table.events))


def find_enabled(table: Table, snapshot: Snapshot) -> tuple[Edge, ...]:
    """The edges that leave this snapshot's state and whose guards are true, in declared order."""
    return tuple(edge for edge in table.out[snapshot.state] if edge.holds.pick(snapshot.facts))


def legal(table: Table, snapshot: Snapshot) -> tuple[str, ...]:
    """The commands and operator events that would be applied now, in declared order; none where this version lacks the state."""
    return table.legal[snapshot.state].pick(snapshot.facts) if snapshot.state in table.states else ()


def is_settled(table: Table, snapshot: Snapshot) -> bool:
    """Whether only an operator can move the order any more. True where this version of the lifecycle lacks its state."""
    return snapshot.state not in table.states or table.settled[snapshot.state].pick(snapshot.facts)


def is_over_without_proof(table: Table, snapshot: Snapshot) -> bool:
    """Whether the order is settled in a state to which no proof led: what the provider says may yet be otherwise."""
    info = table.states.get(snapshot.state)
    return info is not None and not info.proven and is_settled(table, snapshot)


def is_pollable(table: Table, snapshot: Snapshot) -> bool:
    """Whether a status poll could move the order. True where this version lacks its state: another version may know it."""
    return snapshot.state not in table.states or table.pollable[snapshot.state].pick(snapshot.facts)


def is_declared(table: Table, snapshot: Snapshot) -> bool:
    """Whether this version of the lifecycle has the order's state, and its facts with their values."""
    return snapshot.state in table.states and all(snapshot.facts.get(name) in values for name, values in table.facts.items())


def is_in_doubt(table: Table, state: str) -> bool:
    """Whether the lost answer of a call leads to this state: it is unknown whether the provider acted."""
    lost = {f"{effect.kind}_answer_lost" for effect in table.effects.values() if effect.kind}
    return any(edge.target == state and edge.event in lost for edge in table.edges)


def is_left_by_person(table: Table, snapshot: Snapshot) -> bool:
    """Whether only an operator can move the order, or the reply of a call that it is still owed. False where that is not known."""
    if not is_declared(table, snapshot) or is_pollable(table, snapshot):
        return False
    return all(edge.origin in (Origin.OPERATOR, Origin.REPLY) for edge in find_enabled(table, snapshot))
