"""The legend below a drawing: what its boxes, lines and marks mean. It explains only what the drawing has."""

from __future__ import annotations

from collections.abc import Callable

from orderflow._diagrams import font_metrics
from orderflow._diagrams.captions import CAUSES, KINDS, STRENGTHS, list_causes, list_kinds, list_strengths
from orderflow._diagrams.drawing import Drawing, NodeKind
from orderflow._diagrams.order_path import OrderPath
from orderflow._diagrams.svg_builder import SvgBuilder
from orderflow.model import Cause

_SIZE, _ROW, _GAP = 11.5, 23.0, 20.0
_SAMPLE = 30.0  # the width of a sample
_HEADINGS = 74.0  # the width of the column of headings
AddSample = Callable[[SvgBuilder, float, float], None]
"""Adds a sample with its left end at (x, y)."""
Item = tuple[str, AddSample]


def add_legend(svg: SvgBuilder, drawing: Drawing, width: float, path: OrderPath | None = None) -> float:
    """Add the legend at (0, 0), no wider than ``width`` px. Return its height."""
    rows: list[tuple[str, list[Item]]] = [
        ("States", [(KINDS[kind], _make_box_sample(kind)) for kind in list_kinds(drawing)]),
        ("Arrows", [(STRENGTHS[strength], _make_line_sample(f"line {strength}")) for strength in list_strengths(drawing)]),
        ("Caused by", [(CAUSES[cause], _make_mark_sample(cause)) for cause in list_causes(drawing)]),
    ]
    if path:
        items: list[Item] = [
            ("it is here", _add_current_sample),
            ("seen", _make_line_sample("walked")),
            ("inferred, jump or override", _make_line_sample("walked unseen")),
        ]
        rows.insert(0, ("This order", items))
    y = 0.0
    for heading, items in rows:
        svg.add_text("title strong", heading, (0.0, y + _ROW / 2 + 4), _SIZE, weight=font_metrics.SEMIBOLD)
        y = _add_items(svg, items, y, width)
    return y


def add_mark(svg: SvgBuilder, cause: Cause, x: float, y: float) -> None:
    """Add the mark of a cause around (x, y). Marks differ in form and in colour."""
    style = f"c-{cause}"
    if cause is Cause.CUSTOMER:
        svg.add_element("circle", style, cx=x, cy=y, r=3.6)
    elif cause is Cause.PROVIDER:
        svg.add_element("rect", style, x=x - 3.4, y=y - 3.4, width=6.8, height=6.8)
    elif cause is Cause.CLOCK:
        svg.add_element("path", f"{style} hand", d=_build_clock(x, y))
    else:
        diamond, triangle = ((0.0, -4.8), (4.8, 0.0), (0.0, 4.8), (-4.8, 0.0)), ((0.0, -4.2), (4.4, 3.6), (-4.4, 3.6))
        corners = diamond if cause is Cause.EMPLOYEE else triangle
        svg.add_element("polygon", style, points=" ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in corners))


def _build_clock(x: float, y: float) -> str:
    return f"M{x - 4:.1f} {y:.1f}a4 4 0 1 1 8 0a4 4 0 1 1 -8 0M{x:.1f} {y - 2.2:.1f}V{y:.1f}H{x + 1.8:.1f}"


def _add_items(svg: SvgBuilder, items: list[Item], y: float, width: float) -> float:
    """Add items in lines that start at ``y``. Return the lower end of the last line."""
    x = _HEADINGS
    for text, add_sample in items:
        item_width = _SAMPLE + 8 + font_metrics.measure_width(text, _SIZE)
        if x > _HEADINGS and x + item_width > width:
            x, y = _HEADINGS, y + _ROW
        add_sample(svg, x, y + _ROW / 2)
        svg.add_text("title", text, (x + _SAMPLE + 8, y + _ROW / 2 + 4), _SIZE)
        x += item_width + _GAP
    return y + _ROW


def _make_box_sample(kind: NodeKind) -> AddSample:
    def add_box(svg: SvgBuilder, x: float, y: float) -> None:
        style = f"k-{kind.name.lower()}"
        is_end = kind in (NodeKind.PROVEN_END, NodeKind.END)
        svg.add_element("rect", style, x=x, y=y - 8, width=_SAMPLE, height=16, rx=8 if is_end or kind is NodeKind.PROVISIONAL else 4)
        if is_end:
            svg.add_element("rect", f"{style} inner", x=x + 3, y=y - 5, width=_SAMPLE - 6, height=10, rx=5)

    return add_box


def _make_line_sample(styles: str) -> AddSample:
    def add_line(svg: SvgBuilder, x: float, y: float) -> None:
        svg.add_element("path", styles, d=f"M{x:.1f} {y:.1f}H{x + _SAMPLE:.1f}")

    return add_line


def _make_mark_sample(cause: Cause) -> AddSample:
    def add_mark_sample(svg: SvgBuilder, x: float, y: float) -> None:
        add_mark(svg, cause, x + _SAMPLE - 6, y)

    return add_mark_sample


def _add_current_sample(svg: SvgBuilder, x: float, y: float) -> None:
    svg.add_element("rect", "current", x=x, y=y - 8, width=_SAMPLE, height=16, rx=4)
