"""The drawing: what a picture of a lifecycle shows, in every format. Pure; contains no format.

A picture with one arrow per edge would be unreadable. So three things are merged:

* *Fans.* A group is a class of states: the open states (not an end, and a poll may move the order), or the provisional ends. Edges
  with the same event, target, label and kind of line are a fan. If they leave at least ``FAN_SHARE`` of a group of three or more
  states, one arrow from the group replaces them. Its label names the members that the event does not move. An edge of the same event
  with another label or kind of line keeps its own arrow. A fan's target is an end or a proven state, and never a member of the group.
* *Recovery.* A provisional state may recover, with one label, to at least ``FAN_SHARE`` of the states that the provider's statuses
  prove. Then one arrow to the group of open states replaces these edges. Its label names the exceptions.
* *Parallels.* Edges between the same two ends, with the same kind of line, are one arrow with all their labels.

Edges that stay in their state are not drawn; they are kept as ``stays``. Every edge of the table is in exactly one arrow or in ``stays``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from attrs import evolve, field, frozen

from orderflow._lifecycle.table import Edge, StateInfo, Table
from orderflow.model import Origin, Strength

FAN_SHARE = 0.6
"""The share of a group's states that a fan must leave to become an arrow from the group."""

_SMALLEST_GROUP = 3


class NodeKind(StrEnum):
    """How a state is shown."""

    INITIAL = "initial"
    OPEN = "open"
    ASSUMED = "assumed"  # open, and no document says when it is entered
    PROVEN = "proven"  # entered on proof, and more may come
    PROVISIONAL = "provisional"  # an end that proof may still overrule
    PROVEN_END = "proven end"
    END = "end"


class GroupKind(StrEnum):
    """A class of states that a fan may leave."""

    OPEN = "open"
    PROVISIONAL = "provisional"


@frozen
class Node:
    """A state, shown by its value."""

    value: str
    kind: NodeKind


@frozen
class Group:
    """States that share their fans."""

    kind: GroupKind
    title: str
    members: tuple[str, ...]


@frozen
class Arrow:
    """An arrow of the picture. Each end is a group or the value of a state. ``solid``: all its edges are documented."""

    source: str | GroupKind
    target: str | GroupKind
    labels: tuple[str, ...]
    solid: bool
    edges: tuple[Edge, ...] = field(repr=False)

    @property
    def strength(self) -> Strength:
        """How sure the arrow is: as sure as its weakest edge. A fan is as sure as the middle one of its edges.

        The edges of a fan are all documented, or all not.
        """
        if not self.edges:  # a move of an order outside the table
            return Strength.ASSUMED
        ranked = sorted((edge.evidence.strength for edge in self.edges), key=list(Strength).index)
        return ranked[len(ranked) // 2 if isinstance(self.source, GroupKind) else -1]


@frozen
class Drawing:
    """A whole picture, in declared order."""

    lifecycle: str
    initial: str
    nodes: tuple[Node, ...]
    groups: tuple[Group, ...]
    arrows: tuple[Arrow, ...]
    stays: tuple[Edge, ...]

    @property
    def group_of(self) -> dict[str, GroupKind]:
        """The group of each state that is in one."""
        return {member: group.kind for group in self.groups for member in group.members}


def build_drawing(table: Table) -> Drawing:
    """Return the drawing of a table."""
    moving = tuple(edge for edge in table.edges if edge.source != edge.target)
    outside = {info.value for info in table.states.values() if info.final or info.provisional or info.proven}
    leading_out = [edge for edge in moving if edge.target in outside]
    groups: list[Group] = []
    arrows: list[Arrow] = []
    for kind, title, candidates in _list_candidates(table):
        group, fans = _build_group(leading_out, kind, title, candidates)
        if group is not None:
            groups.append(group)
            arrows += fans
    if any(group.kind is GroupKind.OPEN for group in groups):
        arrows += _build_recoveries(table, _list_undrawn(moving, arrows))
    arrows += [_build_arrow(edge.source, edge.target, [edge]) for edge in _list_undrawn(moving, arrows)]
    rank = {id(edge): n for n, edge in enumerate(table.edges)}
    arrows.sort(key=lambda arrow: rank[id(arrow.edges[0])])
    return Drawing(
        lifecycle=table.name,
        initial=table.initial,
        nodes=tuple(Node(info.value, _choose_kind(info)) for info in table.states.values()),
        groups=tuple(groups),
        arrows=_merge_parallels(arrows),
        stays=tuple(edge for edge in table.edges if edge.source == edge.target),
    )


def _choose_kind(info: StateInfo) -> NodeKind:
    kinds = (
        (info.initial, NodeKind.INITIAL),
        (info.final and info.proven, NodeKind.PROVEN_END),
        (info.final, NodeKind.END),
        (info.provisional, NodeKind.PROVISIONAL),
        (info.proven, NodeKind.PROVEN),
        (info.assumed, NodeKind.ASSUMED),
    )
    return next((kind for applies, kind in kinds if applies), NodeKind.OPEN)


def _list_candidates(table: Table) -> list[tuple[GroupKind, str, list[str]]]:
    """The possible groups: kind, title, and the states that may be members."""
    observed = {edge.source for edge in table.edges if edge.origin is Origin.OBSERVATION}
    states = [info for info in table.states.values() if not info.final and info.value in observed]
    return [
        (GroupKind.OPEN, "any open state", [info.value for info in states if not info.provisional]),
        (GroupKind.PROVISIONAL, "any provisional end", [info.value for info in states if info.provisional]),
    ]


Fans = dict[tuple[object, ...], list[Edge]]


def _build_group(edges: Sequence[Edge], kind: GroupKind, title: str, candidates: list[str]) -> tuple[Group | None, list[Arrow]]:
    """The group and the arrows of its fans; None without fans.

    A fan's target leaves the group. The group is then smaller, so that more edges may become fans.
    """
    members = candidates
    fans: Fans = {}
    while len(members) >= _SMALLEST_GROUP:
        fans = _find_fans(edges, members)
        targets = {fan[0].target for fan in fans.values()}
        remaining = [state for state in members if state not in targets]
        if remaining == members:
            break
        members = remaining
    if not fans or len(members) < _SMALLEST_GROUP:
        return None, []
    return Group(kind, title, tuple(members)), [_build_fan_arrow(kind, fan, members, edges) for fan in fans.values()]


def _find_fans(edges: Sequence[Edge], members: list[str]) -> Fans:
    fans: Fans = {}
    for edge in edges:
        if edge.source in members:
            fans.setdefault((edge.event, edge.target, edge.label, _is_solid([edge])), []).append(edge)
    return {key: fan for key, fan in fans.items() if len({edge.source for edge in fan}) >= FAN_SHARE * len(members)}


def _build_fan_arrow(kind: GroupKind, fan: list[Edge], members: list[str], edges: Sequence[Edge]) -> Arrow:
    event, target, label = fan[0].event, fan[0].target, fan[0].label
    sources = {edge.source for edge in edges if (edge.event, edge.target) == (event, target)}
    exceptions = [state for state in members if state not in sources]
    arrow = _build_arrow(kind, target, fan)
    return evolve(arrow, labels=(f"{label} (not from {', '.join(exceptions)})",)) if exceptions else arrow


def _build_recoveries(table: Table, edges: Iterable[Edge]) -> list[Arrow]:
    proven = list(dict.fromkeys(reading.proves for reading in table.readings.values() if reading.proves is not None))
    fans: dict[tuple[str, str, bool], list[Edge]] = {}
    for edge in edges:
        if edge.recovery and edge.target in proven:
            fans.setdefault((edge.source, edge.label, _is_solid([edge])), []).append(edge)
    arrows = []
    for (source, label, _), fan in fans.items():
        targets = {edge.target for edge in fan}
        others = [state for state in proven if state != source]
        if len(targets) >= max(_SMALLEST_GROUP, FAN_SHARE * len(others)):
            missing = [state for state in others if state not in targets]
            reach = f"to any status but {', '.join(missing)}" if missing else "to any status"
            arrows.append(evolve(_build_arrow(source, GroupKind.OPEN, fan), labels=(f"{label}: {reach}",)))
    return arrows


def _list_undrawn(edges: Iterable[Edge], arrows: Iterable[Arrow]) -> tuple[Edge, ...]:
    drawn = {id(edge) for arrow in arrows for edge in arrow.edges}
    return tuple(edge for edge in edges if id(edge) not in drawn)


def _build_arrow(source: str | GroupKind, target: str | GroupKind, edges: Sequence[Edge]) -> Arrow:
    return Arrow(source, target, tuple(dict.fromkeys(edge.label for edge in edges)), _is_solid(edges), tuple(edges))


def _is_solid(edges: Iterable[Edge]) -> bool:
    return all(edge.evidence.strength is Strength.DOCUMENTED for edge in edges)


def _merge_parallels(arrows: Iterable[Arrow]) -> tuple[Arrow, ...]:
    """One arrow per pair of ends and kind of line. Solid and other lines stay apart: no edge may look better documented than it is."""
    merged: dict[tuple[bool, str, bool, str, bool], Arrow] = {}
    for arrow in arrows:
        ends = (isinstance(arrow.source, GroupKind), arrow.source, isinstance(arrow.target, GroupKind), arrow.target)
        key = (*ends, arrow.solid)
        known = merged.get(key)
        labels = arrow.labels if known is None else (*known.labels, *arrow.labels)
        edges = arrow.edges if known is None else (*known.edges, *arrow.edges)
        merged[key] = evolve(arrow, labels=tuple(dict.fromkeys(labels)), edges=edges)
    return tuple(merged.values())
