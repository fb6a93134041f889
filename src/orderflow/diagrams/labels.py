"""Where the words of a picture go: arrows' labels and groups' titles. Pure; knows the font's widths, no format and no layout.

A label stands beside its arrow. Where something is in its way (another arrow, its own where it bends, a box, another label, a
group's frame) it moves along its arrow to the nearest spot that is free, or has least in its way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import dist

from attrs import evolve, frozen

from orderflow.diagrams import metrics
from orderflow.diagrams.captions import Caption, captions
from orderflow.diagrams.geometry import Box, Path, Placed, Point, bounding, contains, hits, polyline, straddles, touching
from orderflow.diagrams.model import Arrow, Drawing, GroupKind

LABEL_SIZE, LABEL_LINE = 12.0, 16.0
MARK_WIDTH = 12.0
LABEL_GAP = 7.0  # between an arrow and its words
_LIMIT = 96.0
_STEPS = 8  # spots for each curve of an arrow
_PASSES = 2
_CLOSE = 7.0
_IN_THE_WAY = 2


def label_lines(arrow: Arrow) -> tuple[Caption, ...]:
    """An arrow's captions, broken into lines; what continues a line has no cause of its own."""
    found: list[Caption] = []
    for caption in captions(arrow):
        first, *rest = metrics.wrapped(caption.text, _LIMIT, LABEL_SIZE) or ("",)
        found += [evolve(caption, text=first), *(evolve(caption, text=text, causes=()) for text in rest)]
    return tuple(found)


def indent(lines: Sequence[Caption]) -> float:
    """How far the words of a label stand from its left edge: behind the widest row of marks."""
    return LABEL_GAP + MARK_WIDTH * max((len(line.causes) for line in lines), default=0)


def label_size(lines: Sequence[Caption]) -> Point:
    """The width and height of a label, the gap to its arrow included."""
    return indent(lines) + max(metrics.width(line.text, LABEL_SIZE, metrics.SEMIBOLD) for line in lines) + 3, LABEL_LINE * len(lines) + 2


def inked(box: Box) -> Box:
    """The part of a label's box that words and marks fill."""
    return Box(box.x + LABEL_GAP - 2, box.y, box.width - LABEL_GAP + 2, box.height)


def cleared(placed: Placed) -> Placed:
    """The picture with its labels moved out of the way."""
    paths = [polyline(line, _STEPS) for line in placed.lines]
    bounds = [bounding((point for piece in path for point in piece), _CLOSE) for path in paths]
    labels = {n: line.label for n, line in enumerate(placed.lines) if line.label}
    for _ in range(_PASSES):
        for n, label in labels.items():
            said = [inked(other.box) for m, other in labels.items() if m != n]
            near = [path for m, path in enumerate(paths) if m != n and touching(bounds[m], label.box)]
            here = Surroundings(paths[n], near, [*said, *placed.states.values()], placed)
            if here.trouble(label.box, _IN_THE_WAY) >= _IN_THE_WAY:
                wide, high = label.box.width + LABEL_GAP, label.box.height
                reach = Box(bounds[n].x - wide, bounds[n].y - high, bounds[n].width + 2 * wide, bounds[n].height + 2 * high)
                near = [path for m, path in enumerate(paths) if m != n and touching(bounds[m], reach)]
                labels[n] = evolve(label, box=_freed(label.box, evolve(here, lines=[_part(path, reach) for path in near])))
    return evolve(placed, lines=tuple(evolve(line, label=labels.get(n)) for n, line in enumerate(placed.lines)))


def _part(path: Path, box: Box) -> Path:
    """The pieces of a line that may come near a box."""
    left, top, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
    return [
        (a, b) for a, b in path if max(a[0], b[0]) > left and min(a[0], b[0]) < right and max(a[1], b[1]) > top and min(a[1], b[1]) < bottom
    ]


@frozen
class Surroundings:
    """What a label must keep clear of. ``own``: its own line; ``boxes``: other labels and states."""

    own: Path
    lines: Sequence[Path]
    boxes: Sequence[Box]
    placed: Placed

    def trouble(self, box: Box, enough: int) -> int:
        """How much is in the way of a label, or so close that it seems to be meant; counted up to ``enough``."""
        words = inked(box)
        found = 18 * (not contains(Box(0, 0, self.placed.width, self.placed.height), words))
        found += 8 * sum(touching(words, other) for other in self.boxes)
        found += 2 * sum(straddles(words, group) for group in self.placed.groups.values())
        if found < enough:
            found += 6 * hits(self.own, words, 1)
        for line in self.lines:
            if found >= enough:
                break
            if hits(line, words, _CLOSE):
                found += 7 if hits(line, words, 1) else 1
        return found


def troubled(placed: Placed) -> frozenset[int]:
    """The arrows whose label still has something in its way."""
    paths = [polyline(line, _STEPS) for line in placed.lines]
    labels = {n: inked(line.label.box) for n, line in enumerate(placed.lines) if line.label}
    return frozenset(n for n, box in labels.items() if any(hits(path, box, 0) for path in paths) or _covered(n, labels, placed))


def _covered(n: int, labels: Mapping[int, Box], placed: Placed) -> bool:
    others = [box for m, box in labels.items() if m != n]
    torn = any(straddles(labels[n], group) for group in placed.groups.values())
    return torn or any(touching(labels[n], box) for box in (*others, *placed.states.values()))


def _freed(box: Box, surroundings: Surroundings) -> Box:
    """The nearest spot without trouble, or the one with least."""
    best, least = box, surroundings.trouble(box, 99)
    for spot in sorted(_spots(box, surroundings.own), key=lambda spot: dist(spot.centre, box.centre)):
        found = surroundings.trouble(spot, least)
        if found < least:
            best, least = spot, found
        if not least:
            break
    return best


def _spots(box: Box, path: Path) -> Iterator[Box]:
    """Right, left, above and below of every point of an arrow."""
    middle = box.width / 2 + LABEL_GAP / 2
    for (x, y), _ in path[2:-2]:
        yield Box(x, y - box.height / 2, box.width, box.height)
        yield Box(x - box.width - LABEL_GAP, y - box.height / 2, box.width, box.height)
        yield Box(x - middle, y - box.height - 2, box.width, box.height)
        yield Box(x - middle, y + 2, box.width, box.height)


def titled(drawing: Drawing, placed: Placed) -> Placed:
    """Groups' titles at their upper or lower edge, or else anywhere inside, where nothing or as little as can be is."""
    taken = [inked(line.label.box) for line in placed.lines if line.label] + list(placed.states.values())
    paths = [polyline(line, _STEPS) for line in placed.lines]
    titles: dict[GroupKind, Box] = {}
    for group in drawing.groups:
        best, least = None, 0
        for spot in _titles(placed.groups[group.kind], metrics.width(group.title, LABEL_SIZE, metrics.MEDIUM)):
            met = 2 * sum(touching(spot, box) for box in taken) + sum(hits(path, spot, 3) for path in paths)
            if best is None or met < least:
                best, least = spot, met
            if not met:
                break
        titles[group.kind] = best or placed.groups[group.kind]
        taken.append(titles[group.kind])
    return evolve(placed, titles=titles)


def _titles(frame: Box, width: float) -> Iterator[Box]:
    top, bottom = frame.y + 6, frame.y + frame.height - LABEL_LINE - 6
    rows = [top, bottom, *(top + LABEL_LINE * n for n in range(1, int((bottom - top) / LABEL_LINE)))]
    for y in rows:
        for step in range(max(1, int((frame.width - width - 24) / 8) + 1)):
            yield Box(frame.x + 12 + 8 * step, y, width, LABEL_LINE)
