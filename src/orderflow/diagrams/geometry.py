"""Boxes and Bézier curves, and how good a picture they make. Pure geometry: x to the right, y down, in px."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from math import atan2, dist, remainder, tau

from attrs import frozen

from orderflow.diagrams.captions import Caption
from orderflow.diagrams.model import GroupKind

Point = tuple[float, float]
Path = Sequence[tuple[Point, Point]]
"""A line as straight pieces."""

_SAMPLES, _STEPS, _FINE = 200, 5, 12
_CLOSE, _GRAZING = 7.0, 2.5


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
    """An arrow: cubic Bézier points (1 + 3n), the tip it points at last. ``index``: its place in the drawing's arrows;
    ``ends``: the states or groups it leads between."""

    index: int
    ends: tuple[str, ...]
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


def away(point: Point, box: Box, radius: float) -> tuple[float, Point]:
    """How far a point is from a box with rounded corners (negative: inside), and the box's point that is nearest to it."""
    x = min(max(point[0], box.x + radius), box.x + box.width - radius)
    y = min(max(point[1], box.y + radius), box.y + box.height - radius)
    far = dist(point, (x, y))
    share = min(1.0, radius / far) if far else 0.0
    return far - radius, (x + (point[0] - x) * share, y + (point[1] - y) * share)


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


def polyline(line: Line, steps: int = _STEPS) -> Path:
    """An arrow as straight pieces, ``steps`` for each of its curves and one for its head."""
    points = [along(line.points[n : n + 4], step / steps) for n in range(0, len(line.points) - 1, 3) for step in range(steps)]
    return list(pairwise((*points, line.points[-1], line.tip)))


def hits(path: Path, box: Box, margin: float) -> bool:
    """Whether a line comes closer to a box than ``margin``."""
    left, top, right, bottom = box.x - margin, box.y - margin, box.x + box.width + margin, box.y + box.height + margin
    for (ax, ay), (bx, by) in path:
        if (ax <= left and bx <= left) or (ax >= right and bx >= right) or (ay <= top and by <= top) or (ay >= bottom and by >= bottom):
            continue
        if (left < ax < right and top < ay < bottom) or (left < bx < right and top < by < bottom):
            return True
        across, down = bx - ax, by - ay
        sides = [across * (y - ay) - down * (x - ax) for x, y in ((left, top), (right, top), (left, bottom), (right, bottom))]
        if min(sides) < 0 < max(sides):
            return True
    return False


def faults(placed: Placed, words: Callable[[Box], Box]) -> int:
    """What makes a picture wrong: arrows through words or along a box that is not theirs, words on words, on a box, across a
    group's frame, beyond the paper. ``words``: the part of a label's box that they fill."""
    said = [words(line.label.box) for line in placed.lines if line.label]
    found = sum(touching(one, other) for one, other in combinations(said, 2))
    found += sum(not contains(Box(0, 0, placed.width, placed.height), box) for box in said)
    found += sum(touching(one, state) for one in said for state in placed.states.values())
    found += sum(straddles(box, group) for box in said for group in placed.groups.values())
    for n, line in enumerate(placed.lines):
        path = polyline(line, _FINE)
        bounds = _bounds(path)
        found += sum(hits(path, box, 0) for box in said if touching(bounds, box))
        found += sum(hits(path, box, _GRAZING) for box in _foreign(placed, n) if touching(bounds, box))
    return found


def cost(placed: Placed, words: Callable[[Box], Box]) -> float:
    """How bad a picture is: wide, high; long, winding arrows; arrows that cross or come close to what is not theirs; and far
    worse, its faults."""
    paths = [polyline(line, _STEPS) for line in placed.lines]
    bounds = [_bounds(path) for path in paths]
    long = sum(dist(a, b) for path in paths for a, b in path)
    crossings = sum(touching(bounds[i], bounds[j]) and _cross(paths[i], paths[j]) for i, j in combinations(range(len(paths)), 2))
    said = {n: words(line.label.box) for n, line in enumerate(placed.lines) if line.label}
    near = [(box, paths[m]) for n, box in said.items() for m in range(len(paths)) if m != n and touching(bounds[m], box)]
    near += [(box, path) for n, path in enumerate(paths) for box in _foreign(placed, n) if touching(bounds[n], box)]
    close = sum(hits(path, box, _CLOSE) for box, path in near)
    ways = 0.02 * long + 20.0 * sum(map(_winding, paths)) + 30.0 * crossings + 25.0 * close
    return 1.3 * placed.width + 0.4 * placed.height + ways + 400.0 * faults(placed, words)


def _bounds(path: Path) -> Box:
    return bounding((point for piece in path for point in piece), _CLOSE)


def _foreign(placed: Placed, n: int) -> Iterable[Box]:
    """The states that an arrow has nothing to do with."""
    return (box for value, box in placed.states.items() if value not in placed.lines[n].ends)


def _winding(path: Path) -> float:
    """By how many radians a line turns, all in all."""
    angles = [atan2(by - ay, bx - ax) for (ax, ay), (bx, by) in path if (ax, ay) != (bx, by)]
    return sum(abs(remainder(b - a, tau)) for a, b in pairwise(angles))


def bounding(points: Iterable[Point], margin: float = 0.1) -> Box:
    """The smallest box around points with a margin."""
    xs, ys = zip(*points, strict=True)
    return Box(min(xs) - margin, min(ys) - margin, max(xs) - min(xs) + 2 * margin, max(ys) - min(ys) + 2 * margin)


def straddles(label: Box, box: Box) -> bool:
    """Whether a label lies across the border of a box."""
    wider = Box(box.x - 3, box.y - 3, box.width + 6, box.height + 6)
    return touching(label, wider) and not contains(Box(box.x + 3, box.y + 3, box.width - 6, box.height - 6), label)


def contains(outer: Box, inner: Box) -> bool:
    """Whether all of a box is inside another."""
    across = outer.x <= inner.x and inner.x + inner.width <= outer.x + outer.width
    return across and outer.y <= inner.y and inner.y + inner.height <= outer.y + outer.height


def _cross(one: Path, other: Path) -> bool:
    return any(_meet(a, b, c, d) for a, b in one for c, d in other)


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = a, b, c, d
    if (ax < cx and ax < dx and bx < cx and bx < dx) or (ax > cx and ax > dx and bx > cx and bx > dx):
        return False  # most are: one lies left of the other
    first = ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) * ((bx - ax) * (dy - ay) - (by - ay) * (dx - ax))
    return first < 0 and ((dx - cx) * (ay - cy) - (dy - cy) * (ax - cx)) * ((dx - cx) * (by - cy) - (dy - cy) * (bx - cx)) < 0
