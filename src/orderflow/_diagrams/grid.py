"""A placement without Graphviz, for drawings with very many arrows: states on a grid, arrows bent a little. Pure.

Graphviz needs minutes for some hundred arrows with labels, and such a picture cannot be made readable. This placement takes time in
proportion to states and arrows. Nothing is missing in it, but lines and labels may cross others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil, dist, sqrt

from orderflow._diagrams import font_metrics
from orderflow._diagrams.captions import Caption
from orderflow._diagrams.drawing import Drawing, GroupKind
from orderflow._diagrams.geometry import Box, Label, Line, Placement, Point, compute_point
from orderflow._diagrams.graphviz import BOX_HEIGHT, BOX_PADDING, HEAD, STATE_SIZE, LabelLines
from orderflow._diagrams.labels import measure_label

_MARGIN = 40.0  # around the picture, and around the states of a group
_ACROSS, _DOWN = 90.0, 70.0  # between neighbours
_START = 14.0
_BEND, _MAX_BEND = 0.15, 40.0  # how far an arrow bends to its left: a share of its length, and px
_SPOTS = (0.3, 0.5, 0.7, 0.4, 0.6)  # where on its arrow a label is, in turn


def place_on_grid(drawing: Drawing, lines: LabelLines) -> Placement:
    """Return a placement of a drawing; ``lines``: of each arrow's label. It has no titles yet."""
    states: dict[str, Box] = {}
    groups: dict[GroupKind, Box] = {}
    grouped = drawing.group_of
    top = _MARGIN
    ungrouped = [node.value for node in drawing.nodes if node.value not in grouped]
    for kind, members in [(None, ungrouped), *((group.kind, group.members) for group in drawing.groups)]:
        block = dict(_place_block(members, 2 * _MARGIN, top + _MARGIN))
        right, bottom = _measure(block, 2 * _MARGIN, top)
        if kind is not None:
            groups[kind] = Box(_MARGIN, top, right, bottom - top + _MARGIN)
        states.update(block)
        top = bottom + 2 * _MARGIN
    initial = states[drawing.initial]
    start = Box(initial.x - 2 * _START - HEAD, initial.centre[1] - _START / 2, _START, _START)

    def find_box(end: str | GroupKind) -> Box:
        return groups[end] if isinstance(end, GroupKind) else states[end]  # a state may be called as a group is

    arrows = tuple(
        _draw_line(n, (arrow.source, arrow.target), find_box(arrow.source), find_box(arrow.target), lines[n])
        for n, arrow in enumerate(drawing.arrows)
    )
    width = max(box.x + box.width for box in (*states.values(), *groups.values())) + _MARGIN
    width = max(width, *(line.label.box.x + line.label.box.width for line in arrows if line.label), 0.0)
    return Placement(width, top, start, _draw_line(-1, ("", drawing.initial), start, initial, ()), states, groups, {}, arrows)


def _place_block(values: Sequence[str], left: float, top: float) -> Iterator[tuple[str, Box]]:
    """States in rows, in declared order."""
    widths = [max(font_metrics.measure_width(value, STATE_SIZE, font_metrics.SEMIBOLD) + 2 * BOX_PADDING, 80) for value in values]
    columns = ceil(sqrt(len(values))) or 1
    for n, (value, width) in enumerate(zip(values, widths, strict=True)):
        row, column = divmod(n, columns)
        x = left + column * (max(widths) + _ACROSS) + (max(widths) - width) / 2
        yield value, Box(x, top + row * (BOX_HEIGHT + _DOWN), width, BOX_HEIGHT)


def _measure(block: Mapping[str, Box], left: float, top: float) -> Point:
    """The right and lower ends of a block."""
    return (
        max((box.x + box.width for box in block.values()), default=left),
        max((box.y + box.height for box in block.values()), default=top),
    )


def _draw_line(n: int, ends: tuple[str, str], source: Box, target: Box, lines: Sequence[Caption]) -> Line:
    """One curve from border to border, with its label."""
    (ax, ay), (bx, by) = _find_exit(source, target.centre), _find_exit(target, source.centre)
    length = dist((ax, ay), (bx, by)) or 1.0
    bend = min(_BEND * length, _MAX_BEND) / length
    across, down = (bx - ax), (by - ay)
    first = (ax + across / 3 + down * bend, ay + down / 3 - across * bend)
    second = (ax + 2 * across / 3 + down * bend, ay + 2 * down / 3 - across * bend)
    toward = dist(second, (bx, by)) or 1.0
    end = (bx - HEAD * (bx - second[0]) / toward, by - HEAD * (by - second[1]) / toward)
    points = ((ax, ay), first, second, end)
    label = None
    if lines:
        x, y = compute_point(points, _SPOTS[n % len(_SPOTS)])
        width, height = measure_label(lines)
        label = Label(Box(x, max(0.0, y - height / 2), width, height), tuple(lines))
    return Line(n, (str(ends[0]), str(ends[1])), points, (bx, by), label)


def _find_exit(box: Box, towards: Point) -> Point:
    """Where the line from the middle of a box to a point leaves the box."""
    x, y = box.centre
    across, down = towards[0] - x, towards[1] - y
    share = min(
        box.width / 2 / abs(across) if across else float("inf"),
        box.height / 2 / abs(down) if down else float("inf"),
        1.0,
    )
    return x + across * share, y + down * share
