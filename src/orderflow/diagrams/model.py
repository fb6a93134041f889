"""The drawing: what a picture of a lifecycle shows, whatever it is drawn with. Pure; knows tables, no format.

Three things are folded, because drawn flat a lifecycle is a hairball:

* *Fan-in.* A group is a class of states (open: not an end, and a read could move it; provisional: an end that proof
  may overrule). Where edges that say the same (event, target, label, kind of line) leave at least ``SHARE`` of a
  group of three or more, they become one arrow from the group. An edge of that event with a label or a line of its
  own keeps its own arrow. A member that the event does not move is named on the arrow. A fan leads out: its target is
  an end or proven, and never a member.
* *Recovery.* Where a provisional state recovers, with one label, to at least ``SHARE`` of what the provider's
  statuses prove, that is one arrow to the open group which names the exceptions.
* *Parallels.* Edges between the same two ends with the same kind of line are one arrow with all their labels.

Edges that stay in their state move nothing: they are kept apart as ``stays``. Every edge of the table is in exactly
one arrow or in ``stays``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from attrs import evolve, field, frozen

from orderflow.lifecycle.table import Edge, StateInfo, Table
from orderflow.model import Origin, Strength

SHARE = 0.6
"""The share of a group from which a fan counts as "from any of them"."""

_SMALLEST_GROUP = 3


class NodeKind(StrEnum):
    """What a state is to somebody who looks at the picture."""

    INITIAL = "initial"
    OPEN = "open"
    ASSUMED = "assumed"  # open, and nobody documents when it is entered
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
    """A line of the picture. An end that is a ``GroupKind`` is that group, else it is a state's value.
    ``solid``: every edge behind it is documented."""

    source: str | GroupKind
    target: str | GroupKind
    labels: tuple[str, ...]
    solid: bool
    edges: tuple[Edge, ...] = field(repr=False)

    @property
    def strength(self) -> Strength:
        """How sure the arrow is: as its weakest edge; a fan: as most of its edges, which are all documented or all not."""
        order = list(Strength)
        if not self.edges:  # an order's move outside the table
            return Strength.ASSUMED
        ranked = sorted((edge.evidence.strength for edge in self.edges), key=order.index)
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


def draw(table: Table) -> Drawing:
    """Fold a table into its picture."""
    moving = tuple(edge for edge in table.edges if edge.source != edge.target)
    groups: list[Group] = []
    arrows: list[Arrow] = []
    outside = {info.value for info in table.states.values() if info.final or info.provisional or info.proven}
    leading_out = [edge for edge in moving if edge.target in outside]
    for kind, title, members in _classes(table):
        group, fans = _fan_in(leading_out, kind, title, members)
        if group is not None:
            groups.append(group)
            arrows += fans
    if any(group.kind is GroupKind.OPEN for group in groups):
        arrows += _recoveries(table, _undrawn(moving, arrows))
    arrows += [_arrow(edge.source, edge.target, [edge]) for edge in _undrawn(moving, arrows)]
    rank = {id(edge): n for n, edge in enumerate(table.edges)}
    arrows.sort(key=lambda arrow: rank[id(arrow.edges[0])])
    return Drawing(
        lifecycle=table.name,
        initial=table.initial,
        nodes=tuple(Node(info.value, _kind(info)) for info in table.states.values()),
        groups=tuple(groups),
        arrows=_merged(arrows),
        stays=tuple(edge for edge in table.edges if edge.source == edge.target),
    )


def _kind(info: StateInfo) -> NodeKind:
    asked = (
        (info.initial, NodeKind.INITIAL),
        (info.final and info.proven, NodeKind.PROVEN_END),
        (info.final, NodeKind.END),
        (info.provisional, NodeKind.PROVISIONAL),
        (info.proven, NodeKind.PROVEN),
        (info.assumed, NodeKind.ASSUMED),
    )
    return next((kind for yes, kind in asked if yes), NodeKind.OPEN)


def _classes(table: Table) -> list[tuple[GroupKind, str, list[str]]]:
    observed = {edge.source for edge in table.edges if edge.origin is Origin.OBSERVATION}
    lasting = [info for info in table.states.values() if not info.final and info.value in observed]
    return [
        (GroupKind.OPEN, "any open state", [info.value for info in lasting if not info.provisional]),
        (GroupKind.PROVISIONAL, "any provisional end", [info.value for info in lasting if info.provisional]),
    ]


Fans = dict[tuple[object, ...], list[Edge]]


def _fan_in(edges: Sequence[Edge], kind: GroupKind, title: str, candidates: list[str]) -> tuple[Group | None, list[Arrow]]:
    """The group, if it has fans, and their arrows. A fan's target leaves the group, which may let further states fan
    in.
    """
    members = candidates
    fans: Fans = {}
    while len(members) >= _SMALLEST_GROUP:
        fans = _fans(edges, members)
        inside = [state for state in members if state not in {fan[0].target for fan in fans.values()}]
        if inside == members:
            break
        members = inside
    if not fans or len(members) < _SMALLEST_GROUP:
        return None, []
    return Group(kind, title, tuple(members)), [_fan_arrow(kind, fan, members, edges) for fan in fans.values()]


def _fans(edges: Sequence[Edge], members: list[str]) -> Fans:
    fans: Fans = {}
    for edge in edges:
        if edge.source in members:
            fans.setdefault((edge.event, edge.target, edge.label, _solid([edge])), []).append(edge)
    return {key: fan for key, fan in fans.items() if len({e.source for e in fan}) >= SHARE * len(members)}


def _fan_arrow(kind: GroupKind, fan: list[Edge], members: list[str], edges: Sequence[Edge]) -> Arrow:
    event, target, label = fan[0].event, fan[0].target, fan[0].label
    moved = {edge.source for edge in edges if (edge.event, edge.target) == (event, target)}
    unmoved = [state for state in members if state not in moved]
    arrow = _arrow(kind, target, fan)
    return evolve(arrow, labels=(f"{label} (not from {', '.join(unmoved)})",)) if unmoved else arrow


def _recoveries(table: Table, edges: Iterable[Edge]) -> list[Arrow]:
    statuses = list(dict.fromkeys(r.proves for r in table.readings.values() if r.proves is not None))
    fans: dict[tuple[str, str, bool], list[Edge]] = {}
    for edge in edges:
        if edge.recovery and edge.target in statuses:
            fans.setdefault((edge.source, edge.label, _solid([edge])), []).append(edge)
    arrows = []
    for (source, label, _), fan in fans.items():
        reached = {edge.target for edge in fan}
        others = [status for status in statuses if status != source]
        if len(reached) >= max(_SMALLEST_GROUP, SHARE * len(others)):
            missing = [status for status in others if status not in reached]
            reach = f"to any status but {', '.join(missing)}" if missing else "to any status"
            arrows.append(evolve(_arrow(source, GroupKind.OPEN, fan), labels=(f"{label}: {reach}",)))
    return arrows


def _undrawn(edges: Iterable[Edge], arrows: Iterable[Arrow]) -> tuple[Edge, ...]:
    drawn = {id(edge) for arrow in arrows for edge in arrow.edges}
    return tuple(edge for edge in edges if id(edge) not in drawn)


def _arrow(source: str | GroupKind, target: str | GroupKind, edges: Sequence[Edge]) -> Arrow:
    return Arrow(source, target, tuple(dict.fromkeys(edge.label for edge in edges)), _solid(edges), tuple(edges))


def _solid(edges: Iterable[Edge]) -> bool:
    return all(edge.evidence.strength is Strength.DOCUMENTED for edge in edges)


def _merged(arrows: Iterable[Arrow]) -> tuple[Arrow, ...]:
    """One arrow per pair of ends and kind of line: no arrow may look better documented than an edge behind it is."""
    merged: dict[tuple[bool, str, bool, str, bool], Arrow] = {}
    for arrow in arrows:
        ends = (isinstance(arrow.source, GroupKind), arrow.source, isinstance(arrow.target, GroupKind), arrow.target)
        key = (*ends, arrow.solid)
        known = merged.get(key)
        labels = arrow.labels if known is None else (*known.labels, *arrow.labels)
        edges = arrow.edges if known is None else (*known.edges, *arrow.edges)
        merged[key] = evolve(arrow, labels=tuple(dict.fromkeys(labels)), edges=edges)
    return tuple(merged.values())
