"""The legend below a drawing: what its boxes, lines and marks mean. Shows only what the drawing shows."""

from __future__ import annotations

from collections.abc import Callable

from orderflow.diagrams import metrics
from orderflow.diagrams.captions import CAUSES, KINDS, STRENGTHS, causes, kinds, strengths
from orderflow.diagrams.model import Drawing, NodeKind
from orderflow.diagrams.paper import Paper
from orderflow.diagrams.walk import Walk
from orderflow.model import Cause

_SIZE, _ROW, _GAP, _SAMPLE = 11.5, 23.0, 20.0, 30.0
_HEADS = 74.0  # the column of headings
Item = tuple[str, Callable[[Paper, float, float], None]]


def legend(paper: Paper, drawing: Drawing, width: float, walk: Walk | None = None) -> float:
    """Draw it from (0, 0), no wider than ``width`` px; answers with its height."""
    rows: list[tuple[str, list[Item]]] = [
        ("States", [(KINDS[kind], _box(kind)) for kind in kinds(drawing)]),
        ("Arrows", [(STRENGTHS[strength], _line(f"line {strength}")) for strength in strengths(drawing)]),
        ("Caused by", [(CAUSES[cause], _mark(cause)) for cause in causes(drawing)]),
    ]
    if walk:
        own: list[Item] = [("it is here", _current), ("seen", _line("walked")), ("inferred, jump or override", _line("walked unseen"))]
        rows.insert(0, ("This order", own))
    y = 0.0
    for head, items in rows:
        paper.words("title strong", head, (0.0, y + _ROW / 2 + 4), _SIZE, weight=metrics.SEMIBOLD)
        y = _flow(paper, items, y, width)
    return y


def mark(paper: Paper, cause: Cause, x: float, y: float) -> None:
    """The mark of a cause around (x, y): told apart by form and by colour."""
    looks = f"c-{cause}"
    if cause is Cause.CUSTOMER:
        paper.element("circle", looks, cx=x, cy=y, r=3.6)
    elif cause is Cause.PROVIDER:
        paper.element("rect", looks, x=x - 3.4, y=y - 3.4, width=6.8, height=6.8)
    elif cause is Cause.CLOCK:
        paper.element("path", f"{looks} hand", d=_clock(x, y))
    else:
        corners = ((0.0, -4.8), (4.8, 0.0), (0.0, 4.8), (-4.8, 0.0)) if cause is Cause.EMPLOYEE else ((0.0, -4.2), (4.4, 3.6), (-4.4, 3.6))
        paper.element("polygon", looks, points=" ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in corners))


def _clock(x: float, y: float) -> str:
    return f"M{x - 4:.1f} {y:.1f}a4 4 0 1 1 8 0a4 4 0 1 1 -8 0M{x:.1f} {y - 2.2:.1f}V{y:.1f}H{x + 1.8:.1f}"


def _flow(paper: Paper, items: list[Item], y: float, width: float) -> float:
    x = _HEADS
    for said, sample in items:
        long = _SAMPLE + 8 + metrics.width(said, _SIZE)
        if x > _HEADS and x + long > width:
            x, y = _HEADS, y + _ROW
        sample(paper, x, y + _ROW / 2)
        paper.words("title", said, (x + _SAMPLE + 8, y + _ROW / 2 + 4), _SIZE)
        x += long + _GAP
    return y + _ROW


def _box(kind: NodeKind) -> Callable[[Paper, float, float], None]:
    def sample(paper: Paper, x: float, y: float) -> None:
        looks = f"k-{kind.name.lower()}"
        ends = kind in (NodeKind.PROVEN_END, NodeKind.END)
        paper.element("rect", looks, x=x, y=y - 8, width=_SAMPLE, height=16, rx=8 if ends or kind is NodeKind.PROVISIONAL else 4)
        if ends:
            paper.element("rect", f"{looks} inner", x=x + 3, y=y - 5, width=_SAMPLE - 6, height=10, rx=5)

    return sample


def _line(looks: str) -> Callable[[Paper, float, float], None]:
    def sample(paper: Paper, x: float, y: float) -> None:
        paper.element("path", looks, d=f"M{x:.1f} {y:.1f}H{x + _SAMPLE:.1f}")

    return sample


def _mark(cause: Cause) -> Callable[[Paper, float, float], None]:
    def sample(paper: Paper, x: float, y: float) -> None:
        mark(paper, cause, x + _SAMPLE - 6, y)

    return sample


def _current(paper: Paper, x: float, y: float) -> None:
    paper.element("rect", "current", x=x, y=y - 8, width=_SAMPLE, height=16, rx=4)
