"""Where everything of a picture stands: a drawing becomes boxes, curves and label boxes. Knows no format that is drawn.

Graphviz only gives coordinates. What it lays out are boxes whose sizes we know, labels included: a label is sent as a block
of letters of a fixed-width font, just as large as our own text will be. A group's arrows leave and enter through *ports*,
points without size below its members, so that they spread along its border.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from math import ceil, dist
from typing import Any

from attrs import evolve

from orderflow.diagrams import metrics
from orderflow.diagrams.captions import Caption, captions
from orderflow.diagrams.geometry import Box, Label, Line, Placed, Point, bounding, cost, outside, polyline, straddles, touching, within
from orderflow.diagrams.layout import Layout
from orderflow.diagrams.model import Arrow, Drawing, Group, GroupKind, NodeKind

STATE_SIZE, LABEL_SIZE, LABEL_LINE = 14.5, 12.0, 16.0
MARK_WIDTH = 12.0
LABEL_GAP = 7.0  # between an arrow and its words
_BOX_HEIGHT, _BOX_PADDING, _LABEL_LIMIT = 38.0, 16.0, 96.0
_START = 14.0
_INCH = 72.0  # of points; a point is our px
_HEAD = 9.0
_SPINES = (8, 2, 1)  # how hard the spine is pulled straight
ARRANGEMENTS = 6
"""How many arrangements are tried."""
_LATEST: dict[tuple[object, ...], Placed] = {}
_REMEMBERED = 8

_CELL = 2.0  # the font size of a label's stand-in: a letter is 1.2 wide, a line 2.4 high


def place(drawing: Drawing, layout: Layout) -> Placed:
    """Lay a drawing out: the best of a few arrangements. The same drawing and layout give the same numbers.

    Raises:
        ConfigurationError: the layout is not there.
    """
    lines = {n: label_lines(arrow) for n, arrow in enumerate(drawing.arrows)}
    first = _dot(drawing, lines, 0)
    key = (layout, first, drawing.nodes, drawing.groups, tuple(lines.values()))
    if key not in _LATEST:  # svg and png of one drawing follow each other
        told = [first, *(_dot(drawing, lines, n) for n in range(1, ARRANGEMENTS))]
        found = _titled(drawing, min((_cleared(_read(drawing, lines, layout(dot))) for dot in told), key=cost))
        while len(_LATEST) >= _REMEMBERED:
            del _LATEST[next(iter(_LATEST))]
        _LATEST[key] = found
    return _LATEST[key]


def forget() -> None:
    """Lay every drawing out anew, for whoever measures it."""
    _LATEST.clear()


def label_lines(arrow: Arrow) -> tuple[Caption, ...]:
    """An arrow's captions, broken into lines; what continues a line has no cause of its own."""
    found: list[Caption] = []
    for caption in captions(arrow):
        first, *rest = metrics.wrapped(caption.text, _LABEL_LIMIT, LABEL_SIZE) or ("",)
        found += [evolve(caption, text=first), *(evolve(caption, text=text, causes=()) for text in rest)]
    return tuple(found)


def indent(lines: Sequence[Caption]) -> float:
    """How far the words of a label stand from its left edge: behind the widest row of marks."""
    return LABEL_GAP + MARK_WIDTH * max((len(line.causes) for line in lines), default=0)


def _label_size(lines: Sequence[Caption]) -> Point:
    return indent(lines) + max(metrics.width(line.text, LABEL_SIZE, metrics.MEDIUM) for line in lines) + 3, LABEL_LINE * len(lines) + 2


# ── what Graphviz is told ───────────────────────────────────────────────────────────────────────────────────────────


def _dot(drawing: Drawing, lines: Mapping[int, tuple[Caption, ...]], arrangement: int) -> str:
    names = {node.value: f"n{n}" for n, node in enumerate(drawing.nodes)}
    home = {member: group.kind for group in drawing.groups for member in group.members}
    text = [
        "digraph {",
        "graph [nodesep=0.22, ranksep=0.2, compound=true]",
        'node [shape=box, fixedsize=true, label=""]',
        f"edge [fontname=Courier, fontsize={_CELL}, arrowsize=0.8]",
        f"start [width={_START / _INCH}, height={_START / _INCH}]",
    ]
    alone = [node.value for node in drawing.nodes if node.value not in home]
    text += [_node(names[alone[n]], alone[n]) for n in _order(len(alone), arrangement)]
    for group in drawing.groups:
        text += _cluster(group, drawing, names)
    text.append(f'start -> {names[drawing.initial]} [id="first", weight=9]')
    spine = _SPINES[arrangement % len(_SPINES)]
    text += [_edge(n, drawing, names, lines[n], spine) for n in _order(len(lines), arrangement)]
    return "\n".join([*text, "}"])


def _node(name: str, value: str) -> str:
    width = max(metrics.width(value, STATE_SIZE, metrics.SEMIBOLD) + 2 * _BOX_PADDING, 80)
    return f"{name} [width={width / _INCH:.4f}, height={_BOX_HEIGHT / _INCH:.4f}]"


def _cluster(group: Group, drawing: Drawing, names: Mapping[str, str]) -> list[str]:
    ports = [f"p{n}" for n, arrow in enumerate(drawing.arrows) if group.kind in (arrow.source, arrow.target)]
    leading_on = {a.source for a in drawing.arrows if a.target in group.members and a.source in group.members}
    last = [member for member in group.members if member not in leading_on] or list(group.members[-1:])
    return [
        f"subgraph cluster_{group.kind} {{",
        "graph [margin=16]",
        *(_node(names[member], member) for member in group.members),
        *(f"{port} [width=0.01, height=0.01]" for port in ports),
        *(f"{names[member]} -> {port} [style=invis, weight=0]" for member in last for port in ports),
        "}",
    ]


def _edge(n: int, drawing: Drawing, names: Mapping[str, str], lines: Sequence[Caption], spine: int) -> str:
    arrow = drawing.arrows[n]
    tail, head = (f"p{n}" if isinstance(end, GroupKind) else names[end] for end in (arrow.source, arrow.target))
    options = [f'id="e{n}"']
    if isinstance(arrow.target, GroupKind):  # it leads back up: laid out the other way round, so that ranks stay
        tail, head = head, tail
        options.append("dir=back")
    if not arrow.edges:
        options.append("constraint=false")
    elif _leads_on(arrow, drawing):
        options.append(f"weight={spine}")
    home = {member: group.kind for group in drawing.groups for member in group.members}
    if arrow.target in home and home.get(arrow.source) is not home[arrow.target]:
        options.append("minlen=2")
    if lines:
        options.append(f'label="{_stand_in(*_label_size(lines))}"')
    return f"{tail} -> {head} [{', '.join(options)}]"


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


def _read(drawing: Drawing, lines: Mapping[int, tuple[Caption, ...]], found: Mapping[str, Any]) -> Placed:
    _, _, width, height = _numbers(found["bb"])
    objects = {each["name"]: each for each in found["objects"]}
    edges = {each["id"]: each for each in found["edges"] if "id" in each}
    groups = {group.kind: _bounds(objects[f"cluster_{group.kind}"]["bb"], height) for group in drawing.groups}
    return Placed(
        width=width,
        height=height,
        start=_box(objects["start"], height),
        first=_line(-1, edges["first"], (), height),
        states={node.value: _box(objects[f"n{n}"], height) for n, node in enumerate(drawing.nodes)},
        groups=groups,
        titles={},
        lines=tuple(_cut(_line(n, edges[f"e{n}"], lines[n], height), arrow, groups) for n, arrow in enumerate(drawing.arrows)),
    )


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


def _bounds(text: str, height: float) -> Box:
    left, bottom, right, top = _numbers(text)
    return Box(left, height - top, right - left, top - bottom)


def _box(found: Mapping[str, Any], height: float) -> Box:
    x, y = _numbers(found["pos"])
    wide, high = float(found["width"]) * _INCH, float(found["height"]) * _INCH
    return Box(x - wide / 2, height - y - high / 2, wide, high)


def _line(n: int, found: Mapping[str, Any], lines: tuple[Caption, ...], height: float) -> Line:
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
    label = None
    if lines:
        x, y = _numbers(found["lp"])
        wide, high = _label_size(lines)
        label = Label(Box(x - wide / 2, height - y - high / 2, wide, high), lines)
    return Line(n, tuple(points), ends.get("e") or ends.get("s") or points[-1], label)


def _cut(line: Line, arrow: Arrow, groups: Mapping[GroupKind, Box]) -> Line:
    """A group's arrow ends at the group's border, not at the port inside."""
    if isinstance(arrow.source, GroupKind):
        kept = outside(line.points[::-1], groups[arrow.source], 0)
        return evolve(line, points=kept[::-1])
    if isinstance(arrow.target, GroupKind):
        box = groups[arrow.target]
        return evolve(line, points=outside(line.points, box, _HEAD), tip=outside(line.points, box, 0)[-1])
    return line


def _cleared(placed: Placed) -> Placed:
    """Labels that another arrow runs through, or a group's border, move along their own arrow to the nearest free spot."""
    paths = [polyline(line, 10) for line in placed.lines]
    bounds = [bounding(path) for path in paths]
    labels = {n: line.label for n, line in enumerate(placed.lines) if line.label}
    for n, label in labels.items():
        near = [path for m, path in enumerate(paths) if m != n and touching(bounds[m], bounds[n])]
        if not _is_met(label.box, near, placed, -1):
            continue
        taken = [other.box for m, other in labels.items() if m != n] + list(placed.states.values())
        for spot in sorted(_spots(label.box, paths[n]), key=partial(_far, label.box)):
            inside = spot.x >= 0 and spot.x + spot.width <= placed.width
            if inside and not any(touching(spot, box) for box in taken) and not _is_met(spot, near, placed, 2):
                labels[n] = evolve(label, box=spot)
                break
    return evolve(placed, lines=tuple(evolve(line, label=labels.get(n)) for n, line in enumerate(placed.lines)))


def _far(box: Box, spot: Box) -> float:
    return dist(box.centre, spot.centre)


def _spots(box: Box, path: Sequence[Point]) -> list[Box]:
    """Right and left of an arrow, where it does not bend through the words."""
    right = [evolve(box, x=x, y=y - box.height / 2) for x, y in path]
    left = [evolve(box, x=x - box.width - LABEL_GAP, y=y - box.height / 2) for x, y in path]
    return [spot for spot in right + left if not any(within(point, _words(spot), 2) for point in path)]


def _words(box: Box) -> Box:
    return evolve(box, x=box.x + LABEL_GAP - 2, width=box.width - LABEL_GAP + 2)


def _is_met(spot: Box, paths: Sequence[Sequence[Point]], placed: Placed, margin: float) -> bool:
    if any(straddles(_words(spot), group) for group in placed.groups.values()):
        return True
    return any(within(point, _words(spot), margin) for path in paths for point in path)


def _titled(drawing: Drawing, placed: Placed) -> Placed:
    """Groups' titles at their lower or upper edge, where nothing else is."""
    taken = [line.label.box for line in placed.lines if line.label] + list(placed.states.values())
    points = [point for line in placed.lines for point in polyline(line, 24)]
    titles = {}
    for group in drawing.groups:
        frame = placed.groups[group.kind]
        wide = metrics.width(group.title, LABEL_SIZE, metrics.MEDIUM)
        spots = [
            Box(frame.x + 12 + 8 * step, y, wide, LABEL_LINE)
            for y in (frame.y + frame.height - LABEL_LINE - 6, frame.y + 6)
            for step in range(max(1, int((frame.width - wide - 24) / 8) + 1))
        ]
        free = (spot for spot in spots if not any(touching(spot, box) for box in taken) and not any(within(p, spot, 3) for p in points))
        titles[group.kind] = next(free, spots[0])
        taken.append(titles[group.kind])
    return evolve(placed, titles=titles)
