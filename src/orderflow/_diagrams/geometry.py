"""Boxes and Bézier curves, and how good a picture they make. Pure geometry: x to the right, y down, in px."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from math import atan2, dist, remainder, tau

from attrs import frozen

from orderflow._diagrams.captions import Caption
from orderflow._diagrams.drawing import GroupKind

Point = tuple[float, float]
Polyline = Sequence[tuple[Point, Point]]
"""A line as straight segments."""

_TRIM_SAMPLES = 200  # points tried on each curve to find where it enters a box
_COARSE_STEPS, _FINE_STEPS = 5, 12  # segments for each curve
_CLOSE = 7.0  # px: closer than this, a line seems to belong to a box
_GRAZING = 2.5  # px: closer than this, a line seems to touch a box
_BORDER = 3.0  # px: half the width of a group's border, with its clearance


@frozen
class Weights:
    """The price of each defect of a picture. The cost of a picture is the sum; lower is better."""

    width: float = 1.3  # per px; a page limits the width
    height: float = 0.4  # per px; a page can be scrolled
    length: float = 0.02  # per px of an arrow; short arrows are easy to follow
    turning: float = 20.0  # per radian; straight arrows are easy to follow
    crossing: float = 30.0  # per pair of arrows that cross
    closeness: float = 25.0  # per box or label that an arrow of another one comes close to
    fault: float = 400.0  # per fault (``count_faults``): worse than any number of the others


_WEIGHTS = Weights()


@frozen
class Box:
    """A rectangle: its upper left corner and its size, in px."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> Point:
        """The point in the middle."""
        return self.x + self.width / 2, self.y + self.height / 2


@frozen
class Label:
    """The label of an arrow: a box, and its lines of text. Only the first line of a caption has marks."""

    box: Box
    lines: tuple[Caption, ...]


@frozen
class Line:
    """The line of an arrow.

    ``index``: the arrow's place in the drawing. ``ends``: the states or groups that it connects. ``points``: of cubic Bézier curves
    (1 + 3n). ``tip``: the tip of the arrowhead.
    """

    index: int
    ends: tuple[str, ...]
    points: tuple[Point, ...]
    tip: Point
    label: Label | None


@frozen
class Placement:
    """Where everything of a picture is, in px from its upper left corner."""

    width: float
    height: float
    start: Box
    first: Line
    states: Mapping[str, Box]
    groups: Mapping[GroupKind, Box]
    titles: Mapping[GroupKind, Box]
    lines: tuple[Line, ...]


# ── boxes ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def overlaps(box: Box, other: Box) -> bool:
    """Whether two boxes overlap."""
    across = box.x < other.x + other.width and other.x < box.x + box.width
    return across and box.y < other.y + other.height and other.y < box.y + box.height


def contains(outer: Box, inner: Box) -> bool:
    """Whether one box lies wholly inside another."""
    across = outer.x <= inner.x and inner.x + inner.width <= outer.x + outer.width
    return across and outer.y <= inner.y and inner.y + inner.height <= outer.y + outer.height


def crosses_border(label: Box, box: Box) -> bool:
    """Whether a label lies on the border of a box."""
    outer = Box(box.x - _BORDER, box.y - _BORDER, box.width + 2 * _BORDER, box.height + 2 * _BORDER)
    inner = Box(box.x + _BORDER, box.y + _BORDER, box.width - 2 * _BORDER, box.height - 2 * _BORDER)
    return overlaps(label, outer) and not contains(inner, label)


def compute_bounds(points: Iterable[Point], margin: float = 0.1) -> Box:
    """Return the smallest box around some points, with a margin."""
    xs, ys = zip(*points, strict=True)
    return Box(min(xs) - margin, min(ys) - margin, max(xs) - min(xs) + 2 * margin, max(ys) - min(ys) + 2 * margin)


def is_inside(point: Point, box: Box, margin: float) -> bool:
    """Whether a point lies inside a box, or within a margin around it."""
    x, y = point
    return box.x - margin <= x <= box.x + box.width + margin and box.y - margin <= y <= box.y + box.height + margin


def find_nearest(point: Point, box: Box, radius: float) -> tuple[float, Point]:
    """Return the distance of a point from a box with rounded corners, and the nearest point of the box.

    The distance is negative if the point is inside. ``radius``: of the corners.
    """
    x = min(max(point[0], box.x + radius), box.x + box.width - radius)
    y = min(max(point[1], box.y + radius), box.y + box.height - radius)
    distance = dist(point, (x, y))
    share = min(1.0, radius / distance) if distance else 0.0
    return distance - radius, (x + (point[0] - x) * share, y + (point[1] - y) * share)


# ── curves ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def compute_point(curve: Sequence[Point], t: float) -> Point:
    """Return the point of a cubic Bézier curve at ``t`` (0 to 1)."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = curve
    rest = 1 - t
    a, b, c, d = rest**3, 3 * rest * rest * t, 3 * rest * t * t, t**3
    return a * ax + b * bx + c * cx + d * dx, a * ay + b * by + c * cy + d * dy


def split_curve(curve: Sequence[Point], t: float) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """Return the two parts of a cubic Bézier curve, split at ``t`` (De Casteljau's algorithm)."""
    rows = [tuple(curve)]
    while len(rows[-1]) > 1:
        rows.append(tuple((p[0] + (q[0] - p[0]) * t, p[1] + (q[1] - p[1]) * t) for p, q in pairwise(rows[-1])))
    return tuple(row[0] for row in rows), tuple(row[-1] for row in reversed(rows))


def trim_at_box(points: Sequence[Point], box: Box, margin: float) -> tuple[Point, ...]:
    """Return the part of a line up to where it enters a box. ``points``: of cubic Bézier curves."""
    kept = [points[0]]
    for n in range(0, len(points) - 1, 3):
        curve = points[n : n + 4]
        for sample in range(_TRIM_SAMPLES + 1):
            if is_inside(compute_point(curve, sample / _TRIM_SAMPLES), box, margin):
                return (*kept, *split_curve(curve, sample / _TRIM_SAMPLES)[0][1:])
        kept += curve[1:]
    return tuple(kept)


def flatten(line: Line, steps: int = _COARSE_STEPS) -> Polyline:
    """Return an arrow as straight segments: ``steps`` for each of its curves, and one for its head."""
    curves = (line.points[n : n + 4] for n in range(0, len(line.points) - 1, 3))
    points = [compute_point(curve, step / steps) for curve in curves for step in range(steps)]
    return list(pairwise((*points, line.points[-1], line.tip)))


def passes_near(polyline: Polyline, box: Box, margin: float) -> bool:
    """Whether a line comes closer to a box than ``margin``."""
    left, top, right, bottom = box.x - margin, box.y - margin, box.x + box.width + margin, box.y + box.height + margin
    for (ax, ay), (bx, by) in polyline:
        if (ax <= left and bx <= left) or (ax >= right and bx >= right) or (ay <= top and by <= top) or (ay >= bottom and by >= bottom):
            continue
        if (left < ax < right and top < ay < bottom) or (left < bx < right and top < by < bottom):
            return True
        across, down = bx - ax, by - ay
        sides = [across * (y - ay) - down * (x - ax) for x, y in ((left, top), (right, top), (left, bottom), (right, bottom))]
        if min(sides) < 0 < max(sides):
            return True
    return False


# ── the cost of a picture ────────────────────────────────────────────────────────────────────────────────────────────────


def count_faults(placement: Placement, text_box: Callable[[Box], Box], *, serious_only: bool = False) -> int:
    """Return the number of faults of a picture.

    A fault is a label on a label, on a state, on a group's border or beyond the paper; or an arrow through a label, or along a state of
    another arrow. ``text_box``: returns the part of a label's box that holds its text. ``serious_only``: without labels that lie on a
    group's border or on their own arrow, which can still be read.
    """
    labels = {n: text_box(line.label.box) for n, line in enumerate(placement.lines) if line.label}
    faults = sum(overlaps(label, other) for label, other in combinations(labels.values(), 2))
    faults += sum(not contains(Box(0, 0, placement.width, placement.height), label) for label in labels.values())
    faults += sum(overlaps(label, state) for label in labels.values() for state in placement.states.values())
    if not serious_only:
        faults += sum(crosses_border(label, group) for label in labels.values() for group in placement.groups.values())
    for n, line in enumerate(placement.lines):
        polyline = flatten(line, _FINE_STEPS)
        bounds = _compute_reach(polyline)
        crossable = (label for m, label in labels.items() if not (serious_only and m == n))
        faults += sum(passes_near(polyline, label, 0) for label in crossable if overlaps(bounds, label))
        faults += sum(passes_near(polyline, state, _GRAZING) for state in _list_other_states(placement, n) if overlaps(bounds, state))
    return faults


def compute_cost(placement: Placement, text_box: Callable[[Box], Box], weights: Weights = _WEIGHTS) -> float:
    """Return the cost of a picture; lower is better. ``text_box``: as for ``count_faults``."""
    polylines = [flatten(line, _COARSE_STEPS) for line in placement.lines]
    bounds = [_compute_reach(polyline) for polyline in polylines]
    pairs = combinations(range(len(polylines)), 2)
    length = sum(dist(a, b) for polyline in polylines for a, b in polyline)
    crossings = sum(overlaps(bounds[i], bounds[j]) and _cross(polylines[i], polylines[j]) for i, j in pairs)
    labels = {n: text_box(line.label.box) for n, line in enumerate(placement.lines) if line.label}
    near = [(label, polylines[m]) for n, label in labels.items() for m in range(len(polylines)) if m != n and overlaps(bounds[m], label)]
    near += [(box, line) for n, line in enumerate(polylines) for box in _list_other_states(placement, n) if overlaps(bounds[n], box)]
    close = sum(passes_near(polyline, box, _CLOSE) for box, polyline in near)
    turning = sum(map(_measure_turning, polylines))
    arrows = weights.length * length + weights.turning * turning + weights.crossing * crossings + weights.closeness * close
    size = weights.width * placement.width + weights.height * placement.height
    return size + arrows + weights.fault * count_faults(placement, text_box)


def _compute_reach(polyline: Polyline) -> Box:
    """The box outside of which a line is close to nothing."""
    return compute_bounds((point for segment in polyline for point in segment), _CLOSE)


def _list_other_states(placement: Placement, n: int) -> Iterable[Box]:
    """The states that an arrow neither leaves nor enters."""
    return (box for value, box in placement.states.items() if value not in placement.lines[n].ends)


def _measure_turning(polyline: Polyline) -> float:
    """The sum of a line's turns, in radians."""
    angles = [atan2(by - ay, bx - ax) for (ax, ay), (bx, by) in polyline if (ax, ay) != (bx, by)]
    return sum(abs(remainder(b - a, tau)) for a, b in pairwise(angles))


def _cross(polyline: Polyline, other: Polyline) -> bool:
    return any(_segments_cross(a, b, c, d) for a, b in polyline for c, d in other)


def _segments_cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = a, b, c, d
    if (ax < cx and ax < dx and bx < cx and bx < dx) or (ax > cx and ax > dx and bx > cx and bx > dx):
        return False  # one lies left of the other, as most do
    first = ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) * ((bx - ax) * (dy - ay) - (by - ay) * (dx - ax))
    return first < 0 and ((dx - cx) * (ay - cy) - (dy - cy) * (ax - cx)) * ((dx - cx) * (by - cy) - (dy - cy) * (bx - cx)) < 0
