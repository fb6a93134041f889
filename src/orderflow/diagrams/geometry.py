"""Boxes and Bézier curves, and how good a picture they make. Pure geometry: x to the right, y down, in px."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from math import dist

from attrs import frozen

from orderflow.diagrams.captions import Caption
from orderflow.diagrams.model import GroupKind

Point = tuple[float, float]

_SAMPLES, _STEPS = 200, 3


@frozen
class Box:
    """A rectangle: its upper left corner and its size, in px."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> Point:
        """Its middle."""
        return self.x + self.width / 2, self.y + self.height / 2


@frozen
class Label:
    """The words of an arrow: a box, and a line of text with marks for each of its lines (only the first line of a caption
    has marks)."""

    box: Box
    lines: tuple[Caption, ...]


@frozen
class Line:
    """An arrow: cubic Bézier points (1 + 3n), the tip it points at last. ``index``: its place in the drawing's arrows."""

    index: int
    points: tuple[Point, ...]
    tip: Point
    label: Label | None


@frozen
class Placed:
    """A whole picture's geometry, in px from its upper left corner."""

    width: float
    height: float
    start: Box
    first: Line
    states: Mapping[str, Box]
    groups: Mapping[GroupKind, Box]
    titles: Mapping[GroupKind, Box]
    lines: tuple[Line, ...]


def touching(one: Box, other: Box) -> bool:
    """Whether two boxes share some ground."""
    across = one.x < other.x + other.width and other.x < one.x + one.width
    return across and one.y < other.y + other.height and other.y < one.y + one.height


def outside(points: Sequence[Point], box: Box, margin: float) -> tuple[Point, ...]:
    """A curve that ends in a box, up to where it enters it."""
    kept = [points[0]]
    for n in range(0, len(points) - 1, 3):
        piece = points[n : n + 4]
        inside = [at for at in range(_SAMPLES + 1) if within(along(piece, at / _SAMPLES), box, margin)]
        if inside:
            return (*kept, *halves(piece, inside[0] / _SAMPLES)[0][1:])
        kept += piece[1:]
    return tuple(kept)


def within(point: Point, box: Box, margin: float) -> bool:
    x, y = point
    return box.x - margin <= x <= box.x + box.width + margin and box.y - margin <= y <= box.y + box.height + margin


def halves(piece: Sequence[Point], at: float) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """De Casteljau: a cubic Bézier split in two."""
    rows = [tuple(piece)]
    while len(rows[-1]) > 1:
        rows.append(tuple((p[0] + (q[0] - p[0]) * at, p[1] + (q[1] - p[1]) * at) for p, q in pairwise(rows[-1])))
    return tuple(row[0] for row in rows), tuple(row[-1] for row in reversed(rows))


def along(piece: Sequence[Point], at: float) -> Point:
    """A point on a cubic Bézier."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = piece
    rest = 1 - at
    a, b, c, d = rest**3, 3 * rest * rest * at, 3 * rest * at * at, at**3
    return a * ax + b * bx + c * cx + d * dx, a * ay + b * by + c * cy + d * dy


def polyline(line: Line, steps: int = _STEPS) -> list[Point]:
    """Points along an arrow, ``steps`` for each of its curves, its tip last."""
    points = [along(line.points[n : n + 4], step / steps) for n in range(0, len(line.points) - 1, 3) for step in range(steps)]
    return [*points, line.points[-1], line.tip]


def cost(placed: Placed) -> float:
    """How bad a picture is: wide, high, long arrows; arrows that cross, run through another's words or a box."""
    paths = [polyline(line) for line in placed.lines]
    bounds = [bounding(path) for path in paths]
    long = sum(dist(a, b) for path in paths for a, b in pairwise(path))
    crossings = sum(touching(bounds[i], bounds[j]) and _cross(paths[i], paths[j]) for i, j in combinations(range(len(paths)), 2))
    hidden = sum(
        any(within(point, line.label.box, -2) for point in path)
        for n, line in enumerate(placed.lines)
        for m, path in enumerate(paths)
        if n != m and line.label is not None and touching(bounds[m], line.label.box)
    )
    blocked = sum(
        touching(bounds[n], box) and any(within(point, box, 4) for point in path) and not (_near(path[0], box) or _near(path[-1], box))
        for n, path in enumerate(paths)
        for box in placed.states.values()
    )
    torn = sum(straddles(line.label.box, box) for line in placed.lines if line.label for box in placed.groups.values())
    return 1.3 * placed.width + 0.4 * placed.height + 0.02 * long + 30.0 * crossings + 80.0 * (hidden + blocked) + 50.0 * torn


def _near(point: Point, box: Box) -> bool:
    return within(point, box, 12)


def bounding(points: Iterable[Point]) -> Box:
    """The smallest box around points."""
    xs, ys = zip(*points, strict=True)
    return Box(min(xs), min(ys), max(xs) - min(xs) + 0.1, max(ys) - min(ys) + 0.1)


def straddles(label: Box, box: Box) -> bool:
    """Whether a label lies across the border of a box."""
    corners = ((label.x, label.y), (label.x + label.width, label.y + label.height))
    wider = Box(box.x - 3, box.y - 3, box.width + 6, box.height + 6)
    return touching(label, wider) and not all(within(corner, box, -3) for corner in corners)


def _cross(one: Sequence[Point], other: Sequence[Point]) -> bool:
    return any(_meet(a, b, c, d) for a, b in pairwise(one) for c, d in pairwise(other))


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = a, b, c, d
    if (ax < cx and ax < dx and bx < cx and bx < dx) or (ax > cx and ax > dx and bx > cx and bx > dx):
        return False  # most are: one lies left of the other
    first = ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) * ((bx - ax) * (dy - ay) - (by - ay) * (dx - ax))
    return first < 0 and ((dx - cx) * (ay - cy) - (dy - cy) * (ax - cx)) * ((dx - cx) * (by - cy) - (dy - cy) * (bx - cx)) < 0
