"""What Graphviz is told of a drawing, and what its answer says. The only place that knows its language and its coordinates.

What it lays out are boxes whose sizes we know, labels included: a label is sent as a block of letters of a fixed-width font, just
as large as our own text will be. States are sent with a *clearance* around them, so that a line of others keeps its distance; their
own lines are led through it afterwards. A group's arrows leave and enter through *ports*, points without size below its members, so
that they spread along its border.

An *arrangement* is a number: Graphviz starts from the order and the distances that it is told, and each gives another picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from math import ceil, dist
from typing import Any

from attrs import evolve

from orderflow.diagrams import metrics
from orderflow.diagrams.captions import Caption
from orderflow.diagrams.geometry import Box, Label, Line, Placed, Point, away, outside
from orderflow.diagrams.labels import label_size
from orderflow.diagrams.model import Arrow, Drawing, Group, GroupKind, NodeKind

STATE_SIZE = 14.5
_BOX_HEIGHT, _BOX_PADDING = 38.0, 16.0
_CLEARANCE = 4.0
_START = 14.0
_INCH = 72.0  # of points; a point is our px
_HEAD = 9.0
_SPINES = (8, 2, 1)  # how hard the spine is pulled straight
_LOOSE = 16  # from here on, a move outside the table may push states apart
_SPACINGS = (0.2, 0.25, 0.16)  # between neighbours, in inches
_ROOM = 24.0  # what a label without room is given on top of its width
_CELL = 2.0  # the font size of a label's stand-in: a letter is 1.2 wide, a line 2.4 high

Lines = Mapping[int, tuple[Caption, ...]]
"""The lines of every arrow's label."""
Shape = tuple[Box, float]
"""A state's box, and how round its corners are."""


def roundness(kind: NodeKind) -> float:
    """The radius of a state's corners: ends are round."""
    return _BOX_HEIGHT / 2 if kind in (NodeKind.PROVEN_END, NodeKind.END, NodeKind.PROVISIONAL) else 10.0


# ── what Graphviz is told ───────────────────────────────────────────────────────────────────────────────────────────


def told(drawing: Drawing, lines: Lines, arrangement: int, tight: frozenset[int]) -> str:
    """The graph in dot. ``tight``: arrows whose labels are given more room."""
    names = {node.value: f"n{n}" for n, node in enumerate(drawing.nodes)}
    home = {member: group.kind for group in drawing.groups for member in group.members}
    text = [
        "digraph {",
        f"graph [nodesep={_SPACINGS[arrangement % len(_SPACINGS)]}, ranksep=0.05, compound=true]",
        'node [shape=box, fixedsize=true, label=""]',
        f"edge [fontname=Courier, fontsize={_CELL}, arrowsize=0.8]",
        f"start [width={_START / _INCH}, height={_START / _INCH}]",
    ]
    alone = [node.value for node in drawing.nodes if node.value not in home]
    text += [_node(names[alone[n]], alone[n]) for n in _order(len(alone), arrangement)]
    for group in drawing.groups:
        text += _cluster(group, drawing, names, arrangement)
    text.append(f'start -> {names[drawing.initial]} [id="first", weight=9]')
    text += [_edge(n, drawing, names, _size(lines[n], n in tight), arrangement) for n in _order(len(lines), arrangement)]
    return "\n".join([*text, "}"])


def _node(name: str, value: str) -> str:
    width = max(metrics.width(value, STATE_SIZE, metrics.SEMIBOLD) + 2 * _BOX_PADDING, 80)
    return f"{name} [width={(width + 2 * _CLEARANCE) / _INCH:.4f}, height={(_BOX_HEIGHT + 2 * _CLEARANCE) / _INCH:.4f}]"


def _cluster(group: Group, drawing: Drawing, names: Mapping[str, str], arrangement: int) -> list[str]:
    ports = [f"p{n}" for n, arrow in enumerate(drawing.arrows) if group.kind in (arrow.source, arrow.target)]
    leading_on = {a.source for a in drawing.arrows if a.target in group.members and a.source in group.members}
    among = arrangement if group.kind is GroupKind.PROVISIONAL else 0  # the others' order is that of the life
    last = [member for member in group.members if member not in leading_on] or list(group.members[-1:])
    return [
        f"subgraph cluster_{group.kind} {{",
        "graph [margin=16]",
        *(_node(names[group.members[n]], group.members[n]) for n in _order(len(group.members), among)),
        *(f"{port} [width=0.01, height=0.01]" for port in ports),
        *(f"{names[member]} -> {port} [style=invis, weight=0]" for member in last for port in ports),
        "}",
    ]


def _edge(n: int, drawing: Drawing, names: Mapping[str, str], size: Point | None, arrangement: int) -> str:
    arrow = drawing.arrows[n]
    tail, head = (f"p{n}" if isinstance(end, GroupKind) else names[end] for end in (arrow.source, arrow.target))
    options = [f'id="e{n}"']
    if isinstance(arrow.target, GroupKind):  # it leads back up: laid out the other way round, so that ranks stay
        tail, head = head, tail
        options.append("dir=back")
    if not arrow.edges:
        options.append("constraint=false" if arrangement < _LOOSE else "weight=0")
    elif _leads_on(arrow, drawing):
        options.append(f"weight={_SPINES[arrangement % len(_SPINES)]}")
    home = {member: group.kind for group in drawing.groups for member in group.members}
    if arrow.target in home and home.get(arrow.source) is not home[arrow.target]:
        options.append("minlen=2")
    if size:
        options.append(f'label="{_stand_in(*size)}"')
    return f"{tail} -> {head} [{', '.join(options)}]"


def _size(lines: Sequence[Caption], tight: bool) -> Point | None:
    """How much room a label is given."""
    wide, high = label_size(lines) if lines else (0.0, 0.0)
    return (wide + _ROOM * tight, high) if lines else None


def _order(count: int, arrangement: int) -> list[int]:
    """As declared, then in other orders: Graphviz starts from the order that it is told."""
    if not arrangement:
        return list(range(count))
    return sorted(range(count), key=lambda n: sha256(f"{arrangement}/{n}".encode()).digest())


def _leads_on(arrow: Arrow, drawing: Drawing) -> bool:
    """The first arrow from a state to one that is no end: together they are the spine of the picture."""
    ends = {node.value for node in drawing.nodes if node.kind in (NodeKind.END, NodeKind.PROVISIONAL)}
    first = next((other for other in drawing.arrows if other.source == arrow.source and other.target not in ends), None)
    return first is arrow and not isinstance(arrow.source, GroupKind)


def _stand_in(width: float, height: float) -> str:
    return "\\n".join(["M" * ceil(width / (0.6 * _CELL))] * ceil(height / (1.2 * _CELL)))


# ── what Graphviz answers ───────────────────────────────────────────────────────────────────────────────────────────


def read(drawing: Drawing, lines: Lines, found: Mapping[str, Any], tight: frozenset[int]) -> Placed:
    """The answer to what was ``told``; the groups' titles stand nowhere yet."""
    _, _, width, height = _numbers(found["bb"])
    objects = {each["name"]: each for each in found["objects"]}
    edges = {each["id"]: each for each in found["edges"] if "id" in each}
    groups = {group.kind: _bounds(objects[f"cluster_{group.kind}"]["bb"], height) for group in drawing.groups}
    states = {node.value: _box(objects[f"n{n}"], height, _CLEARANCE) for n, node in enumerate(drawing.nodes)}
    shapes = {node.value: (states[node.value], roundness(node.kind)) for node in drawing.nodes}
    ends = {n: (str(arrow.source), str(arrow.target)) for n, arrow in enumerate(drawing.arrows)}
    drawn = {n: evolve(_line(n, ends[n], edges[f"e{n}"], height), label=_label(edges[f"e{n}"], lines[n], n in tight, height)) for n in ends}
    return Placed(
        width=width,
        height=height,
        start=_box(objects["start"], height),
        first=_reaching(_line(-1, ("", drawing.initial), edges["first"], height), shapes),
        states=states,
        groups=groups,
        titles={},
        lines=tuple(_reaching(_cut(drawn[n], arrow, groups), shapes) for n, arrow in enumerate(drawing.arrows)),
    )


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


def _bounds(text: str, height: float) -> Box:
    left, bottom, right, top = _numbers(text)
    return Box(left, height - top, right - left, top - bottom)


def _box(found: Mapping[str, Any], height: float, less: float = 0.0) -> Box:
    x, y = _numbers(found["pos"])
    wide, high = float(found["width"]) * _INCH - 2 * less, float(found["height"]) * _INCH - 2 * less
    return Box(x - wide / 2, height - y - high / 2, wide, high)


def _line(n: int, between: tuple[str, str], found: Mapping[str, Any], height: float) -> Line:
    ends: dict[str, Point] = {}
    points: list[Point] = []
    for part in found["pos"].split():
        x, y = _numbers(part.lstrip("es,"))
        if part[0] in "es":  # where an arrowhead points, at the end or at the start
            ends[part[0]] = (x, height - y)
        else:
            points.append((x, height - y))
    if "s" in ends:  # laid out the other way round
        points.reverse()
    return Line(n, between, tuple(points), ends.get("e") or ends.get("s") or points[-1], None)


def _label(found: Mapping[str, Any], lines: tuple[Caption, ...], tight: bool, height: float) -> Label | None:
    """At the left of the room that it was given, next to its arrow."""
    given = _size(lines, tight)
    if given is None:
        return None
    x, y = _numbers(found["lp"])
    wide, high = label_size(lines)
    return Label(Box(x - given[0] / 2, height - y - high / 2, wide, high), lines)


def _cut(line: Line, arrow: Arrow, groups: Mapping[GroupKind, Box]) -> Line:
    """A group's arrow ends at the group's border, not at the port inside."""
    if isinstance(arrow.source, GroupKind):
        kept = outside(line.points[::-1], groups[arrow.source], 0)
        return evolve(line, points=kept[::-1])
    if isinstance(arrow.target, GroupKind):
        box = groups[arrow.target]
        return evolve(line, points=outside(line.points, box, _HEAD), tip=outside(line.points, box, 0)[-1])
    return line


def _reaching(line: Line, shapes: Mapping[str, Shape]) -> Line:
    """An arrow led on, straight, through the clearance around the states it leads between."""
    source, target = (shapes.get(end) for end in line.ends)
    points, tip = line.points, line.tip
    if target:
        tip = _to(points[-1], tip, *target)
        points = (*points[:-1], (points[-1][0] + tip[0] - line.tip[0], points[-1][1] + tip[1] - line.tip[1]))
    if source:
        points = (_to(points[1], points[0], *source), *points[1:])
    return evolve(line, points=points, tip=tip)


def _to(start: Point, end: Point, box: Box, radius: float) -> Point:
    """Where a line through ``start`` and ``end`` meets a rounded box not far behind ``end``; if it would pass by, the box's
    nearest point."""
    long = dist(start, end) or 1.0
    step = (end[0] - start[0]) / long / 4, (end[1] - start[1]) / long / 4
    on_its_way = ((end[0] + step[0] * n, end[1] + step[1] * n) for n in range(int(12 * _CLEARANCE)))
    return next((point for point in on_its_way if away(point, box, radius)[0] <= 0), away(end, box, radius)[1])
