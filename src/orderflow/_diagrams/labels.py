"""Where the texts of a picture stand: labels of arrows, titles of groups. Pure; knows the font's widths, but no format and no layout.

A label stands beside its arrow. It may be blocked by an arrow, a box, another label or a group's border; its own arrow may bend into
it. Then it moves along its arrow to the nearest free spot. If no spot is free, it moves to the spot with the least trouble.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import dist

from attrs import evolve, frozen

from orderflow._diagrams import font_metrics
from orderflow._diagrams.captions import Caption, build_captions
from orderflow._diagrams.drawing import Arrow, Drawing, GroupKind
from orderflow._diagrams.geometry import (
    Box,
    Placement,
    Point,
    Polyline,
    compute_bounds,
    contains,
    crosses_border,
    flatten,
    overlaps,
    passes_near,
)

LABEL_SIZE, LABEL_LINE = 12.0, 16.0
MARK_WIDTH = 12.0
LABEL_GAP = 7.0  # between an arrow and its label
_LINE_LIMIT = 96.0  # the width of a label's line
_STEPS = 8  # spots for each curve of an arrow
_PASSES = 2
_CLOSE = 7.0
_BLOCKED = 2  # with this score, a label has to move
_WORST = 99


def break_label(arrow: Arrow) -> tuple[Caption, ...]:
    """Return the lines of an arrow's label. Only the first line of a caption has causes."""
    lines: list[Caption] = []
    for caption in build_captions(arrow):
        first, *rest = font_metrics.wrap_text(caption.text, _LINE_LIMIT, LABEL_SIZE) or ("",)
        lines += [evolve(caption, text=first), *(evolve(caption, text=text, causes=()) for text in rest)]
    return tuple(lines)


def measure_indent(lines: Sequence[Caption]) -> float:
    """Return the distance of a label's text from the left edge of its box. The marks stand in between."""
    return LABEL_GAP + MARK_WIDTH * max((len(line.causes) for line in lines), default=0)


def measure_label(lines: Sequence[Caption]) -> Point:
    """Return the width and height of a label, with the gap to its arrow."""
    text_width = max(font_metrics.measure_width(line.text, LABEL_SIZE, font_metrics.SEMIBOLD) for line in lines)
    return measure_indent(lines) + text_width + 3, LABEL_LINE * len(lines) + 2


def get_text_box(box: Box) -> Box:
    """Return the part of a label's box that holds text and marks."""
    return Box(box.x + LABEL_GAP - 2, box.y, box.width - LABEL_GAP + 2, box.height)


# ── labels ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class Obstacles:
    """What may block a label. ``own``: its own line; ``boxes``: other labels, and states."""

    own: Polyline
    lines: Sequence[Polyline]
    boxes: Sequence[Box]
    placement: Placement

    def score(self, box: Box, limit: int) -> int:
        """Return how much blocks a label in this box; 0 if it is free. Stops counting at ``limit``.

        A line of another arrow that is only close also counts: the label would seem to belong to it.
        """
        text_box = get_text_box(box)
        score = 18 * (not contains(Box(0, 0, self.placement.width, self.placement.height), text_box))
        score += 8 * sum(overlaps(text_box, other) for other in self.boxes)
        score += 2 * sum(crosses_border(text_box, group) for group in self.placement.groups.values())
        if score < limit:
            score += 6 * passes_near(self.own, text_box, 1)
        for line in self.lines:
            if score >= limit:
                break
            if passes_near(line, text_box, _CLOSE):
                score += 7 if passes_near(line, text_box, 1) else 1
        return score


def move_labels(placement: Placement) -> Placement:
    """Return the placement with its blocked labels moved to better spots."""
    polylines = [flatten(line, _STEPS) for line in placement.lines]
    bounds = [compute_bounds((point for segment in polyline for point in segment), _CLOSE) for polyline in polylines]
    labels = {n: line.label for n, line in enumerate(placement.lines) if line.label}
    for _ in range(_PASSES):
        for n, label in labels.items():
            others = [get_text_box(other.box) for m, other in labels.items() if m != n]
            near = [polyline for m, polyline in enumerate(polylines) if m != n and overlaps(bounds[m], label.box)]
            surroundings = Obstacles(polylines[n], near, [*others, *placement.states.values()], placement)
            if surroundings.score(label.box, _BLOCKED) >= _BLOCKED:
                width, height = label.box.width + LABEL_GAP, label.box.height
                reach = Box(bounds[n].x - width, bounds[n].y - height, bounds[n].width + 2 * width, bounds[n].height + 2 * height)
                near = [polyline for m, polyline in enumerate(polylines) if m != n and overlaps(bounds[m], reach)]
                surroundings = evolve(surroundings, lines=[_clip(polyline, reach) for polyline in near])
                labels[n] = evolve(label, box=_find_spot(label.box, surroundings))
    return evolve(placement, lines=tuple(evolve(line, label=labels.get(n)) for n, line in enumerate(placement.lines)))


def _clip(polyline: Polyline, box: Box) -> Polyline:
    """The segments of a line that may come near a box."""
    left, top, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
    return [
        (a, b)
        for a, b in polyline
        if max(a[0], b[0]) > left and min(a[0], b[0]) < right and max(a[1], b[1]) > top and min(a[1], b[1]) < bottom
    ]


def _find_spot(box: Box, surroundings: Obstacles) -> Box:
    """The nearest free spot for a label, or the spot with the lowest score."""
    best, lowest = box, surroundings.score(box, _WORST)
    for spot in sorted(_list_spots(box, surroundings.own), key=lambda spot: dist(spot.centre, box.centre)):
        score = surroundings.score(spot, lowest)
        if score < lowest:
            best, lowest = spot, score
        if not lowest:
            break
    return best


def _list_spots(box: Box, polyline: Polyline) -> Iterator[Box]:
    """The spots right, left, above and below of each point of an arrow."""
    middle = box.width / 2 + LABEL_GAP / 2
    for (x, y), _ in polyline[2:-2]:
        yield Box(x, y - box.height / 2, box.width, box.height)
        yield Box(x - box.width - LABEL_GAP, y - box.height / 2, box.width, box.height)
        yield Box(x - middle, y - box.height - 2, box.width, box.height)
        yield Box(x - middle, y + 2, box.width, box.height)


def find_blocked(placement: Placement) -> frozenset[int]:
    """Return the arrows whose label is blocked."""
    polylines = [flatten(line, _STEPS) for line in placement.lines]
    labels = {n: get_text_box(line.label.box) for n, line in enumerate(placement.lines) if line.label}
    return frozenset(
        n for n, label in labels.items() if any(passes_near(line, label, 0) for line in polylines) or _is_blocked(n, labels, placement)
    )


def _is_blocked(n: int, labels: Mapping[int, Box], placement: Placement) -> bool:
    """Whether a label lies on another one, on a state, or on a group's border."""
    others = [label for m, label in labels.items() if m != n]
    on_border = any(crosses_border(labels[n], group) for group in placement.groups.values())
    return on_border or any(overlaps(labels[n], box) for box in (*others, *placement.states.values()))


# ── titles ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def place_titles(drawing: Drawing, placement: Placement) -> Placement:
    """Return the placement with titles of groups, each at the first free spot in its group.

    The upper and lower edges are tried first. If no spot is free, the title takes the spot that overlaps least.
    """
    occupied = [get_text_box(line.label.box) for line in placement.lines if line.label] + list(placement.states.values())
    polylines = [flatten(line, _STEPS) for line in placement.lines]
    titles: dict[GroupKind, Box] = {}
    for group in drawing.groups:
        best, lowest = None, 0
        width = font_metrics.measure_width(group.title, LABEL_SIZE, font_metrics.MEDIUM)
        for spot in _list_title_spots(placement.groups[group.kind], width):
            score = 2 * sum(overlaps(spot, box) for box in occupied) + sum(passes_near(line, spot, 3) for line in polylines)
            if best is None or score < lowest:
                best, lowest = spot, score
            if not score:
                break
        titles[group.kind] = best or placement.groups[group.kind]
        occupied.append(titles[group.kind])
    return evolve(placement, titles=titles)


def _list_title_spots(group: Box, width: float) -> Iterator[Box]:
    top, bottom = group.y + 6, group.y + group.height - LABEL_LINE - 6
    rows = [top, bottom, *(top + LABEL_LINE * n for n in range(1, int((bottom - top) / LABEL_LINE)))]
    for y in rows:
        for step in range(max(1, int((group.width - width - 24) / 8) + 1)):
            yield Box(group.x + 12 + 8 * step, y, width, LABEL_LINE)
