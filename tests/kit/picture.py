"""Reads an SVG picture: its texts, boxes and lines, where a reader sees them. Knows nothing of how they were placed.

A line becomes points that are one or two pixels apart. A text is as wide as the shipped font draws it, and as high as its letters.
"""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from math import ceil, dist
from xml.etree import ElementTree

from attrs import field, frozen

from orderflow._diagrams import font_metrics
from orderflow.diagrams import Drawing

SVG = "{http://www.w3.org/2000/svg}"
MARKS = ("polygon", "path", "circle", "rect")
Point = tuple[float, float]


@frozen
class Rect:
    """A rectangle on a picture, in px."""

    left: float
    top: float
    right: float
    bottom: float

    def grow(self, by: float) -> Rect:
        """Return this rectangle with a margin around it."""
        return Rect(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def overlaps(self, other: Rect) -> bool:
        """Whether two rectangles overlap."""
        return self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom

    def contains(self, other: Rect) -> bool:
        """Whether another rectangle lies inside this one."""
        return self.left <= other.left and self.top <= other.top and other.right <= self.right and other.bottom <= self.bottom

    def contains_point(self, point: Point) -> bool:
        """Whether a point lies inside this rectangle."""
        return self.left < point[0] < self.right and self.top < point[1] < self.bottom


@frozen
class Text:
    """A line of text. ``arrow``: it belongs to the label of this arrow (-1: of none). ``state``: it is the name of this state."""

    content: str
    box: Rect
    arrow: int = -1
    state: str = ""


@frozen
class Stroke:
    """The line of an arrow."""

    arrow: int
    points: tuple[Point, ...] = field(repr=False)


@frozen
class Picture:
    """All that is on a picture. ``frames``: the dashed frames of groups."""

    size: Rect
    texts: tuple[Text, ...]
    states: dict[str, Rect]
    frames: tuple[Rect, ...]
    strokes: tuple[Stroke, ...]


def read_picture(svg: str | bytes) -> Picture:
    """Return what is on a picture, styled or flat."""
    root = ElementTree.fromstring(svg)
    _, _, width, height = map(float, root.get("viewBox", "").split())
    texts: list[Text] = []
    states: dict[str, Rect] = {}
    frames: list[Rect] = []
    strokes: list[Stroke] = []

    def visit(element: ElementTree.Element, x: float, y: float, arrow: int, state: str, labelled: bool) -> None:
        if translation := re.match(r"translate\((\S+) (\S+)\)", element.get("transform", "")):
            x, y = x + float(translation[1]), y + float(translation[2])
        arrow = int(element.get("data-arrow", element.get("data-label", arrow)))
        labelled = labelled or "data-label" in element.attrib
        state = element.get("data-state", state)
        tag = element.tag.removeprefix(SVG)
        if tag == "text":
            texts.append(Text(element.text or "", _find_text_rect(element, x, y), arrow, state))
        elif tag == "rect" and (state or _is_frame(element)):
            box = _find_rect(element, x, y)
            if state:
                states.setdefault(state, box)  # of two rectangles, the outer one
            else:
                frames.append(box)
        elif labelled and tag in MARKS:
            texts.append(Text(f"mark of {arrow}", _find_mark(element, x, y), arrow))
        elif tag == "path" and arrow >= 0:
            strokes.append(Stroke(arrow, _read_points(element.get("d", ""), x, y)))
        for child in element:
            visit(child, x, y, arrow, state, labelled)

    visit(root, 0.0, 0.0, -1, "", labelled=False)
    return Picture(Rect(0, 0, width, height), tuple(texts), states, tuple(frames), tuple(strokes))


def _is_frame(element: ElementTree.Element) -> bool:
    return element.get("class") == "group" or (element.get("stroke-dasharray") == "5 4" and element.get("rx") == "12")


def _find_mark(element: ElementTree.Element, x: float, y: float) -> Rect:
    """The middle of a cause's mark."""
    shape = " ".join(element.get(name, "") for name in ("points", "d"))
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", shape)]
    if element.tag == f"{SVG}polygon":
        xs, ys = numbers[::2], numbers[1::2]
        middle = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    elif element.tag == f"{SVG}path":
        middle = numbers[0] + 4, numbers[1]
    elif element.tag == f"{SVG}circle":
        middle = float(element.get("cx", "")), float(element.get("cy", ""))
    else:
        middle = float(element.get("x", "")) + 3.4, float(element.get("y", "")) + 3.4
    return Rect(x + middle[0], y + middle[1], x + middle[0], y + middle[1]).grow(3)


def _find_rect(element: ElementTree.Element, x: float, y: float) -> Rect:
    left, top, width, height = (float(element.get(name, "")) for name in ("x", "y", "width", "height"))
    return Rect(x + left, y + top, x + left + width, y + top + height)


def _find_text_rect(element: ElementTree.Element, x: float, y: float) -> Rect:
    size = float(element.get("font-size", ""))
    content = element.text or ""
    weight = 600 if re.search(r"strong|current", element.get("class", "")) else int(element.get("font-weight", "500"))
    width = font_metrics.measure_width(content, size, weight)
    centred = element.get("text-anchor") == "middle" or element.get("class", "").startswith("n-")
    left = x + float(element.get("x", "")) - (width / 2 if centred else 0.0)
    base = y + float(element.get("y", ""))
    return Rect(left, base - 0.76 * size, left + width, base + 0.22 * size)


def _read_points(d: str, x: float, y: float) -> tuple[Point, ...]:
    """The points of a path that has one M and cubic Bézier curves."""
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", d)]
    corners = [(x + a, y + b) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
    points = [corners[0]]
    for n in range(0, len(corners) - 1, 3):
        curve = corners[n : n + 4]
        steps = ceil(sum(dist(a, b) for a, b in pairwise(curve)) / 1.5) or 1
        points += [_compute_point(curve, step / steps) for step in range(1, steps + 1)]
    return tuple(points)


def _compute_point(curve: list[Point], t: float) -> Point:
    weights = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3)
    return sum(w * p[0] for w, p in zip(weights, curve, strict=True)), sum(w * p[1] for w, p in zip(weights, curve, strict=True))


# ── defects ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def list_defects(picture: Picture, drawing: Drawing, *, strict: bool = True) -> list[str]:
    """Return all that overlaps, is crossed or is cut off.

    ``strict``: also labels that their own arrow crosses, and texts on a group's frame.
    """
    # an XML parser reads the end of a line in an attribute as a space
    ends = {n: (arrow.source.replace("\n", " "), arrow.target.replace("\n", " ")) for n, arrow in enumerate(drawing.arrows)}
    defects = [*_find_cut_off(picture), *_find_overlaps(picture), *_find_crossed_texts(picture, strict=strict)]
    defects += _find_crossed_states(picture, ends)
    return [*defects, *_find_texts_on_frames(picture)] if strict else defects


def _find_cut_off(picture: Picture) -> list[str]:
    inside = picture.size.grow(-4)
    defects = [f"{text.content!r} is cut off" for text in picture.texts if not inside.contains(text.box)]
    defects += [f"{state} is cut off" for state, box in picture.states.items() if not inside.contains(box)]
    return defects + [f"arrow {s.arrow} is cut off" for s in picture.strokes if not all(map(inside.contains_point, s.points))]


def _find_overlaps(picture: Picture) -> list[str]:
    defects = [f"{a.content!r} lies on {b.content!r}" for a, b in combinations(picture.texts, 2) if a.box.overlaps(b.box)]
    for text in picture.texts:
        for state, box in picture.states.items():
            if text.state == state and not box.grow(-4).contains(text.box):
                defects.append(f"the name {text.content!r} is wider than its box")
            if text.state != state and text.box.overlaps(box):
                defects.append(f"{text.content!r} lies on the box {state}")
    states = combinations(picture.states.items(), 2)
    return defects + [f"{a} lies on {b}" for (a, a_box), (b, b_box) in states if a_box.overlaps(b_box)]


def _find_crossed_texts(picture: Picture, *, strict: bool) -> list[str]:
    """Texts that a line runs through, except for names of states."""
    return [
        f"arrow {stroke.arrow} runs through {text.content!r} of {text.arrow}"
        for text in picture.texts
        for stroke in picture.strokes
        if not text.state and (strict or text.arrow != stroke.arrow) and any(map(text.box.contains_point, stroke.points))
    ]


def _find_crossed_states(picture: Picture, ends: dict[int, tuple[str, str]]) -> list[str]:
    """Boxes that a line runs through or along, except for those at its ends."""
    return [
        f"arrow {stroke.arrow} runs through the box {state}"
        for stroke in picture.strokes
        for state, box in picture.states.items()
        if state not in ends[stroke.arrow] and any(map(box.grow(1.5).contains_point, stroke.points))
    ]


def _find_texts_on_frames(picture: Picture) -> list[str]:
    """Texts on a group's frame."""
    return [
        f"{text.content!r} lies on a frame"
        for text in picture.texts
        for frame in picture.frames
        if text.box.overlaps(frame) and not frame.contains(text.box)
    ]
