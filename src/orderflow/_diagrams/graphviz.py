"""Writes a drawing as a graph for Graphviz, and reads Graphviz's answer. The only module that knows its coordinates.

All boxes have sizes that we compute, labels included. Graphviz only gives them places.

* A label is sent as a block of letters in a fixed-width font, as large as our own text will be.
* A state is sent with a *clearance* around it, so that lines of others keep a distance. Its own lines are extended through it later.
* A group's arrows leave and enter through *ports*. These are points without size below its members, which spread the arrows along its
  border.

An *arrangement* is a number. Graphviz starts from the order and the distances in the graph, so each arrangement gives another picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from math import ceil, dist
from typing import Any

from attrs import evolve

from orderflow._diagrams import font_metrics
from orderflow._diagrams.captions import Caption
from orderflow._diagrams.drawing import Arrow, Drawing, Group, GroupKind, NodeKind
from orderflow._diagrams.geometry import Box, Label, Line, Placement, Point, find_nearest, trim_at_box
from orderflow._diagrams.labels import measure_label

STATE_SIZE = 14.5
BOX_HEIGHT, BOX_PADDING = 38.0, 16.0
_CLEARANCE = 4.0
_START = 14.0
_INCH = 72.0  # of points; a point is our px
HEAD = 9.0
_SPINE_WEIGHTS = (8, 2, 1)  # how straight the spine is, by arrangement
_LOOSE = 16  # from this arrangement on, a move outside the table may push states apart
_SPACINGS = (0.2, 0.25, 0.16)  # between neighbours, in inches, by arrangement
_EXTRA_WIDTH = 24.0  # of a label that was blocked
_LETTER_SIZE = 2.0  # the font size of a label's stand-in: a letter is 1.2 wide, a line 2.4 high

LabelLines = Mapping[int, tuple[Caption, ...]]
"""The lines of each arrow's label, by the arrow's place in the drawing."""
Shape = tuple[Box, float]
"""A state's box, and the radius of its corners."""


def choose_radius(kind: NodeKind) -> float:
    """Return the radius of a state's corners. Ends are round."""
    return BOX_HEIGHT / 2 if kind in (NodeKind.PROVEN_END, NodeKind.END, NodeKind.PROVISIONAL) else 10.0


# ── the graph ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def build_graph(drawing: Drawing, lines: LabelLines, arrangement: int, wide: frozenset[int]) -> str:
    """Return the graph as a dot text. ``wide``: the arrows whose labels get more space."""
    names = {node.value: f"n{n}" for n, node in enumerate(drawing.nodes)}
    grouped = drawing.group_of
    graph = [
        "digraph {",
        f"graph [nodesep={_SPACINGS[arrangement % len(_SPACINGS)]}, ranksep=0.05, compound=true]",
        'node [shape=box, fixedsize=true, label=""]',
        f"edge [fontname=Courier, fontsize={_LETTER_SIZE}, arrowsize=0.8]",
        f"start [width={_START / _INCH}, height={_START / _INCH}]",
    ]
    ungrouped = [node.value for node in drawing.nodes if node.value not in grouped]
    graph += [_build_node(names[ungrouped[n]], ungrouped[n]) for n in _shuffle(len(ungrouped), arrangement)]
    for group in drawing.groups:
        graph += _build_cluster(group, drawing, names, arrangement)
    graph.append(f'start -> {names[drawing.initial]} [id="first", weight=9]')
    graph += [_build_edge(n, drawing, names, _measure_space(lines[n], n in wide), arrangement) for n in _shuffle(len(lines), arrangement)]
    return "\n".join([*graph, "}"])


def _build_node(name: str, value: str) -> str:
    width = max(font_metrics.measure_width(value, STATE_SIZE, font_metrics.SEMIBOLD) + 2 * BOX_PADDING, 80)
    return f"{name} [width={(width + 2 * _CLEARANCE) / _INCH:.4f}, height={(BOX_HEIGHT + 2 * _CLEARANCE) / _INCH:.4f}]"


def _build_cluster(group: Group, drawing: Drawing, names: Mapping[str, str], arrangement: int) -> list[str]:
    ports = [f"p{n}" for n, arrow in enumerate(drawing.arrows) if group.kind in (arrow.source, arrow.target)]
    leading_on = {arrow.source for arrow in drawing.arrows if arrow.target in group.members and arrow.source in group.members}
    # open states keep their declared order: it is the usual order of an order's life
    seed = arrangement if group.kind is GroupKind.PROVISIONAL else 0
    last = [member for member in group.members if member not in leading_on] or list(group.members[-1:])
    return [
        f"subgraph cluster_{group.kind} {{",
        "graph [margin=16]",
        *(_build_node(names[group.members[n]], group.members[n]) for n in _shuffle(len(group.members), seed)),
        *(f"{port} [width=0.01, height=0.01]" for port in ports),
        *(f"{names[member]} -> {port} [style=invis, weight=0]" for member in last for port in ports),
        "}",
    ]


def _build_edge(n: int, drawing: Drawing, names: Mapping[str, str], label_size: Point | None, arrangement: int) -> str:
    arrow = drawing.arrows[n]
    tail, head = (f"p{n}" if isinstance(end, GroupKind) else names[end] for end in (arrow.source, arrow.target))
    options = [f'id="e{n}"']
    if isinstance(arrow.target, GroupKind):  # it leads back up: it is sent in the other direction, so that ranks stay
        tail, head = head, tail
        options.append("dir=back")
    if not arrow.edges:
        options.append("constraint=false" if arrangement < _LOOSE else "weight=0")
    elif _is_on_spine(arrow, drawing):
        options.append(f"weight={_SPINE_WEIGHTS[arrangement % len(_SPINE_WEIGHTS)]}")
    grouped = drawing.group_of
    if arrow.target in grouped and grouped.get(arrow.source) is not grouped[arrow.target]:
        options.append("minlen=2")
    if label_size:
        options.append(f'label="{_build_stand_in(*label_size)}"')
    return f"{tail} -> {head} [{', '.join(options)}]"


def _measure_space(lines: Sequence[Caption], wide: bool) -> Point | None:
    """The width and height that a label gets; None without a label."""
    if not lines:
        return None
    width, height = measure_label(lines)
    return width + _EXTRA_WIDTH * wide, height


def _shuffle(count: int, arrangement: int) -> list[int]:
    """The numbers below ``count``: in order for arrangement 0, in another fixed order for each other arrangement."""
    if not arrangement:
        return list(range(count))
    return sorted(range(count), key=lambda n: sha256(f"{arrangement}/{n}".encode()).digest())


def _is_on_spine(arrow: Arrow, drawing: Drawing) -> bool:
    """Whether this is the first arrow from its state to a state that is no end. These arrows form the spine of the picture."""
    ends = {node.value for node in drawing.nodes if node.kind in (NodeKind.END, NodeKind.PROVISIONAL)}
    first = next((other for other in drawing.arrows if other.source == arrow.source and other.target not in ends), None)
    return first is arrow and not isinstance(arrow.source, GroupKind)


def _build_stand_in(width: float, height: float) -> str:
    return "\\n".join(["M" * ceil(width / (0.6 * _LETTER_SIZE))] * ceil(height / (1.2 * _LETTER_SIZE)))


# ── the answer ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_answer(drawing: Drawing, lines: LabelLines, answer: Mapping[str, Any], wide: frozenset[int]) -> Placement:
    """Return the placement in Graphviz's answer to ``build_graph``. It has no titles yet."""
    _, _, width, height = _read_numbers(answer["bb"])
    objects = {node["name"]: node for node in answer["objects"]}
    edges = {edge["id"]: edge for edge in answer["edges"] if "id" in edge}
    groups = {group.kind: _read_cluster(objects[f"cluster_{group.kind}"]["bb"], height) for group in drawing.groups}
    states = {node.value: _read_box(objects[f"n{n}"], height, _CLEARANCE) for n, node in enumerate(drawing.nodes)}
    shapes = {node.value: (states[node.value], choose_radius(node.kind)) for node in drawing.nodes}

    def read_arrow(n: int, arrow: Arrow) -> Line:
        edge = edges[f"e{n}"]
        line = _read_line(n, (str(arrow.source), str(arrow.target)), edge, height)
        line = evolve(line, label=_read_label(edge, lines[n], n in wide, height))
        return _extend_to_states(_trim_at_group(line, arrow, groups), shapes)

    return Placement(
        width=width,
        height=height,
        start=_read_box(objects["start"], height),
        first=_extend_to_states(_read_line(-1, ("", drawing.initial), edges["first"], height), shapes),
        states=states,
        groups=groups,
        titles={},
        lines=tuple(read_arrow(n, arrow) for n, arrow in enumerate(drawing.arrows)),
    )


def _read_numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


def _read_cluster(text: str, height: float) -> Box:
    left, bottom, right, top = _read_numbers(text)
    return Box(left, height - top, right - left, top - bottom)


def _read_box(node: Mapping[str, Any], height: float, clearance: float = 0.0) -> Box:
    x, y = _read_numbers(node["pos"])
    box_width, box_height = float(node["width"]) * _INCH - 2 * clearance, float(node["height"]) * _INCH - 2 * clearance
    return Box(x - box_width / 2, height - y - box_height / 2, box_width, box_height)


def _read_line(n: int, ends: tuple[str, str], edge: Mapping[str, Any], height: float) -> Line:
    tips: dict[str, Point] = {}
    points: list[Point] = []
    for part in edge["pos"].split():
        x, y = _read_numbers(part.lstrip("es,"))
        if part[0] in "es":  # the tip of an arrowhead, at the end or at the start
            tips[part[0]] = (x, height - y)
        else:
            points.append((x, height - y))
    if "s" in tips:  # it was sent in the other direction
        points.reverse()
    return Line(n, ends, tuple(points), tips.get("e") or tips.get("s") or points[-1], None)


def _read_label(edge: Mapping[str, Any], lines: tuple[Caption, ...], wide: bool, height: float) -> Label | None:
    """The label, at the left of its space, next to its arrow."""
    space = _measure_space(lines, wide)
    if space is None:
        return None
    x, y = _read_numbers(edge["lp"])
    label_width, label_height = measure_label(lines)
    return Label(Box(x - space[0] / 2, height - y - label_height / 2, label_width, label_height), lines)


def _trim_at_group(line: Line, arrow: Arrow, groups: Mapping[GroupKind, Box]) -> Line:
    """The line of a group's arrow, cut off at the group's border. Graphviz leads it to the port inside."""
    if isinstance(arrow.source, GroupKind):
        kept = trim_at_box(line.points[::-1], groups[arrow.source], 0)
        return evolve(line, points=kept[::-1])
    if isinstance(arrow.target, GroupKind):
        box = groups[arrow.target]
        return evolve(line, points=trim_at_box(line.points, box, HEAD), tip=trim_at_box(line.points, box, 0)[-1])
    return line


def _extend_to_states(line: Line, shapes: Mapping[str, Shape]) -> Line:
    """The line, extended straight through the clearance around the states at its ends."""
    source, target = (shapes.get(end) for end in line.ends)
    points, tip = line.points, line.tip
    if target:
        tip = _find_border(points[-1], tip, *target)
        points = (*points[:-1], (points[-1][0] + tip[0] - line.tip[0], points[-1][1] + tip[1] - line.tip[1]))
    if source:
        points = (_find_border(points[1], points[0], *source), *points[1:])
    return evolve(line, points=points, tip=tip)


def _find_border(start: Point, end: Point, box: Box, radius: float) -> Point:
    """The point, close behind ``end``, where a line through ``start`` and ``end`` meets a rounded box.

    If the line passes by the box, this is the box's nearest point.
    """
    length = dist(start, end) or 1.0
    step = (end[0] - start[0]) / length / 4, (end[1] - start[1]) / length / 4
    candidates = ((end[0] + step[0] * n, end[1] + step[1] * n) for n in range(int(12 * _CLEARANCE)))
    return next((point for point in candidates if find_nearest(point, box, radius)[0] <= 0), find_nearest(end, box, radius)[1])
