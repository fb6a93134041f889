"""Reading a drawn SVG back: where its texts, boxes and lines are, as a reader sees them. Knows nothing of how it was placed.

Lines become points a pixel or two apart; a text is as wide as the shipped font draws it and as high as its letters.
"""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from math import ceil, dist
from xml.etree import ElementTree

from attrs import field, frozen

from orderflow.diagrams import Drawing, metrics

SVG = "{http://www.w3.org/2000/svg}"
MARKS = ("polygon", "path", "circle", "rect")
Point = tuple[float, float]


@frozen
class Rect:
    """Some ground of a picture, in px."""

    left: float
    top: float
    right: float
    bottom: float

    def grown(self, by: float) -> Rect:
        return Rect(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def meets(self, other: Rect) -> bool:
        return self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom

    def covers(self, other: Rect) -> bool:
        return self.left <= other.left and self.top <= other.top and other.right <= self.right and other.bottom <= self.bottom

    def holds(self, point: Point) -> bool:
        return self.left < point[0] < self.right and self.top < point[1] < self.bottom


@frozen
class Words:
    """A line of text. ``arrow``: whose label it is, -1 for none; ``state``: whose name it is."""

    said: str
    at: Rect
    arrow: int = -1
    state: str = ""


@frozen
class Stroke:
    """An arrow's line."""

    arrow: int
    points: tuple[Point, ...] = field(repr=False)


@frozen
class Picture:
    """What is on a picture. ``frames``: the groups' dashed ones."""

    size: Rect
    words: tuple[Words, ...]
    states: dict[str, Rect]
    frames: tuple[Rect, ...]
    strokes: tuple[Stroke, ...]


def read(svg: str | bytes) -> Picture:
    """A styled or a flat drawing."""
    root = ElementTree.fromstring(svg)
    _, _, width, height = map(float, root.get("viewBox", "").split())
    words: list[Words] = []
    states: dict[str, Rect] = {}
    frames: list[Rect] = []
    strokes: list[Stroke] = []

    def look(element: ElementTree.Element, x: float, y: float, arrow: int, state: str, labelled: bool) -> None:
        if moved := re.match(r"translate\((\S+) (\S+)\)", element.get("transform", "")):
            x, y = x + float(moved[1]), y + float(moved[2])
        arrow = int(element.get("data-arrow", element.get("data-label", arrow)))
        labelled = labelled or "data-label" in element.attrib
        state = element.get("data-state", state)
        tag = element.tag.removeprefix(SVG)
        if tag == "text":
            words.append(Words(element.text or "", _ground(element, x, y), arrow, state))
        elif tag == "rect" and (state or _is_frame(element)):
            box = _rect(element, x, y)
            if state:
                states.setdefault(state, box)  # the outer of two
            else:
                frames.append(box)
        elif labelled and tag in MARKS:
            words.append(Words(f"mark of {arrow}", _mark(element, x, y), arrow))
        elif tag == "path" and arrow >= 0:
            strokes.append(Stroke(arrow, _drawn(element.get("d", ""), x, y)))
        for child in element:
            look(child, x, y, arrow, state, labelled)

    look(root, 0.0, 0.0, -1, "", labelled=False)
    return Picture(Rect(0, 0, width, height), tuple(words), states, tuple(frames), tuple(strokes))


def _is_frame(element: ElementTree.Element) -> bool:
    return element.get("class") == "group" or (element.get("stroke-dasharray") == "5 4" and element.get("rx") == "12")


def _mark(element: ElementTree.Element, x: float, y: float) -> Rect:
    """The middle of a cause's mark."""
    said = " ".join(element.get(name, "") for name in ("points", "d"))
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", said)]
    if element.tag == f"{SVG}polygon":
        xs, ys = numbers[::2], numbers[1::2]
        middle = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    elif element.tag == f"{SVG}path":
        middle = numbers[0] + 4, numbers[1]
    elif element.tag == f"{SVG}circle":
        middle = float(element.get("cx", "")), float(element.get("cy", ""))
    else:
        middle = float(element.get("x", "")) + 3.4, float(element.get("y", "")) + 3.4
    return Rect(x + middle[0], y + middle[1], x + middle[0], y + middle[1]).grown(3)


def _rect(element: ElementTree.Element, x: float, y: float) -> Rect:
    left, top, wide, high = (float(element.get(name, "")) for name in ("x", "y", "width", "height"))
    return Rect(x + left, y + top, x + left + wide, y + top + high)


def _ground(element: ElementTree.Element, x: float, y: float) -> Rect:
    size = float(element.get("font-size", ""))
    said = element.text or ""
    weight = 600 if re.search(r"strong|current", element.get("class", "")) else int(element.get("font-weight", "500"))
    wide = metrics.width(said, size, weight)
    middle = element.get("text-anchor") == "middle" or element.get("class", "").startswith("n-")
    left = x + float(element.get("x", "")) - (wide / 2 if middle else 0.0)
    base = y + float(element.get("y", ""))
    return Rect(left, base - 0.76 * size, left + wide, base + 0.22 * size)


def _drawn(d: str, x: float, y: float) -> tuple[Point, ...]:
    """The points of a path of one M and cubic Bézier curves."""
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", d)]
    corners = [(x + a, y + b) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
    points = [corners[0]]
    for n in range(0, len(corners) - 1, 3):
        piece = corners[n : n + 4]
        steps = ceil(sum(dist(a, b) for a, b in pairwise(piece)) / 1.5) or 1
        points += [_at(piece, step / steps) for step in range(1, steps + 1)]
    return tuple(points)


def _at(piece: list[Point], t: float) -> Point:
    weights = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3)
    return sum(w * p[0] for w, p in zip(weights, piece, strict=True)), sum(w * p[1] for w, p in zip(weights, piece, strict=True))


# ── what a reader would complain about ──────────────────────────────────────────────────────────────────────────────


def complaints(picture: Picture, drawing: Drawing, *, strict: bool = True) -> list[str]:
    """Everything overlapping, crossed or cut. ``strict``: also words that their own arrow strikes through, or that lie across a
    group's frame."""
    ends = {n: (arrow.source.replace("\n", " "), arrow.target.replace("\n", " ")) for n, arrow in enumerate(drawing.arrows)}  # as XML reads
    found = [*_cut(picture), *_overlapping(picture), *_struck(picture, strict=strict), *_pierced(picture, ends)]
    return [*found, *_torn(picture)] if strict else found


def _cut(picture: Picture) -> list[str]:
    inside = picture.size.grown(-4)
    found = [f"{words.said!r} is cut" for words in picture.words if not inside.covers(words.at)]
    found += [f"{state} is cut" for state, box in picture.states.items() if not inside.covers(box)]
    return found + [f"arrow {s.arrow} is cut" for s in picture.strokes if not all(map(inside.holds, s.points))]


def _overlapping(picture: Picture) -> list[str]:
    found = [f"{a.said!r} lies on {b.said!r}" for a, b in combinations(picture.words, 2) if a.at.meets(b.at)]
    for words in picture.words:
        for state, box in picture.states.items():
            if words.state == state and not box.grown(-4).covers(words.at):
                found.append(f"the name {words.said!r} is wider than its box")
            if words.state != state and words.at.meets(box):
                found.append(f"{words.said!r} lies on the box {state}")
    return found + [f"{a} lies on {b}" for (a, one), (b, other) in combinations(picture.states.items(), 2) if one.meets(other)]


def _struck(picture: Picture, *, strict: bool) -> list[str]:
    """Words that a line runs through; names of states are ``_pierced``'s."""
    return [
        f"arrow {stroke.arrow} runs through {words.said!r} of {words.arrow}"
        for words in picture.words
        for stroke in picture.strokes
        if not words.state and (strict or words.arrow != stroke.arrow) and any(map(words.at.holds, stroke.points))
    ]


def _pierced(picture: Picture, ends: dict[int, tuple[str, str]]) -> list[str]:
    """Boxes that a line runs through or along, any but its arrow's ends."""
    return [
        f"arrow {stroke.arrow} runs through the box {state}"
        for stroke in picture.strokes
        for state, box in picture.states.items()
        if state not in ends[stroke.arrow] and any(map(box.grown(1.5).holds, stroke.points))
    ]


def _torn(picture: Picture) -> list[str]:
    """Words across a group's frame."""
    return [
        f"{words.said!r} lies across a frame"
        for words in picture.words
        for frame in picture.frames
        if words.at.meets(frame) and not frame.covers(words.at)
    ]
