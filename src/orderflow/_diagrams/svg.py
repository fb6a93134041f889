"""A placed drawing as SVG. Pure text; the only module that knows the look of states, arrows and groups in SVG.

The drawing has its own background, so that it is readable on any page. Pages can build on these attributes:

* ``data-state``: the value of a state, on its group
* ``data-arrow``, ``data-label``: the number of an arrow, on the groups of its line and of its label
* titles on states and arrows, shown on hovering
"""

from __future__ import annotations

from html import escape

from orderflow._diagrams import font_metrics
from orderflow._diagrams.captions import KINDS, Caption
from orderflow._diagrams.drawing import Arrow, Drawing, Node, NodeKind
from orderflow._diagrams.geometry import Box, Line, Placement, Point
from orderflow._diagrams.graphviz import STATE_SIZE, choose_radius
from orderflow._diagrams.labels import LABEL_GAP, LABEL_LINE, LABEL_SIZE, MARK_WIDTH, measure_indent
from orderflow._diagrams.legend import add_legend, add_mark
from orderflow._diagrams.order_path import OrderPath
from orderflow._diagrams.palette import Palette
from orderflow._diagrams.svg_builder import SvgBuilder, format_value

MARGIN = 24.0
_FONTS = "Inter,'Segoe UI',system-ui,-apple-system,Roboto,sans-serif"
_HEADING_HEIGHT, _HEADING_SIZE = 30.0, 15.0
_LEGEND_GAP = 22
_LEGEND_WIDTH = 460.0  # at least
_DOUBLE = frozenset({NodeKind.PROVEN_END, NodeKind.END})


def build_svg(drawing: Drawing, placement: Placement, palette: Palette | None = None, path: OrderPath | None = None) -> str:
    """Return the picture, with a newline at the end.

    Args:
        drawing: what is drawn
        placement: where everything is
        palette: the colours of a flat picture; if None, the picture is styled and follows the reader's setting
        path: an order on this drawing
    """
    svg = SvgBuilder(palette)
    top = MARGIN + (_HEADING_HEIGHT if path else 0.0)
    heading = path.heading if path else ""
    width = max(placement.width, _LEGEND_WIDTH, font_metrics.measure_width(heading, _HEADING_SIZE, font_metrics.SEMIBOLD))
    svg.open_group(transform=f"translate({format_value(MARGIN + (width - placement.width) / 2)} {format_value(top)})")
    _add_groups(svg, drawing, placement)
    order = sorted(range(len(placement.lines)), key=lambda n: bool(path and n in path.arrows))  # the path lies on top
    _add_start(svg, placement)
    for n in order:
        _add_arrow(svg, drawing.arrows[n], placement.lines[n], path)
    for node in drawing.nodes:
        _add_state(svg, node, placement.states[node.value], path)
    for n in order:
        _add_label(svg, placement.lines[n], path)
    svg.close_group()
    svg.open_group(transform=f"translate({format_value(MARGIN)} {format_value(top + placement.height + _LEGEND_GAP)})")
    legend_height = add_legend(svg, drawing, width, path)
    svg.close_group()
    if path:
        svg.add_text("strong", heading, (MARGIN, MARGIN + 8), _HEADING_SIZE, weight=font_metrics.SEMIBOLD)
    return _build_document(svg, drawing, width + 2 * MARGIN, top + placement.height + _LEGEND_GAP + legend_height + MARGIN, path)


def _build_document(svg: SvgBuilder, drawing: Drawing, width: float, height: float, path: OrderPath | None) -> str:
    background = svg.build_element("rect", "ground", x=0.5, y=0.5, width=width - 1, height=height - 1, rx=10)
    size = f'viewBox="0 0 {format_value(width)} {format_value(height)}" width="{format_value(width)}" height="{format_value(height)}"'
    identifier = make_drawing_id(drawing)
    title = path.heading if path else f"The lifecycle of {drawing.lifecycle} orders"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{identifier}-t {identifier}-d" {size} font-family="{_FONTS}">'
    )
    titles = f'<title id="{identifier}-t">{escape(title)}</title><desc id="{identifier}-d">{escape(_write_description(drawing))}</desc>'
    return "\n".join([head, titles, svg.build_style_sheet(), background, *svg.parts, "</svg>", ""])


def make_drawing_id(drawing: Drawing) -> str:
    """Return the beginning of the identifiers of a drawing's elements."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in drawing.lifecycle)


def _write_description(drawing: Drawing) -> str:
    sentences = [f"{len(drawing.nodes)} states, starting in {drawing.initial}."]
    titles: dict[str, str] = {group.kind: group.title for group in drawing.groups}
    for arrow in drawing.arrows:
        source, target = titles.get(arrow.source, arrow.source), titles.get(arrow.target, arrow.target)
        sentences.append(f"From {source} to {target}: {'; '.join(arrow.labels)} ({arrow.strength}).")
    return " ".join(sentences)


def _add_groups(svg: SvgBuilder, drawing: Drawing, placement: Placement) -> None:
    for group in drawing.groups:
        box = placement.groups[group.kind]
        svg.add_element("rect", "group", x=box.x, y=box.y, width=box.width, height=box.height, rx=12)
        title = placement.titles[group.kind]
        svg.add_text("title", group.title, (title.x, title.y + LABEL_LINE - 4), LABEL_SIZE, weight=font_metrics.MEDIUM)


def _add_state(svg: SvgBuilder, node: Node, box: Box, path: OrderPath | None) -> None:
    kind = node.kind.name.lower()
    is_current = path is not None and path.state == node.value
    styles = f"k-{kind}" + (" current" if is_current else " visited" if path and node.value in path.visited else "")
    svg.open_group(data_state=node.value)
    svg.parts.append(f"<title>{escape(f'{node.value}: {KINDS[node.kind]}')}</title>")
    radius = choose_radius(node.kind)
    svg.add_element("rect", styles, x=box.x, y=box.y, width=box.width, height=box.height, rx=radius)
    if node.kind in _DOUBLE:
        svg.add_element("rect", f"{styles} inner", x=box.x + 4, y=box.y + 4, width=box.width - 8, height=box.height - 8, rx=radius - 4)
    x, y = box.centre
    weight = font_metrics.SEMIBOLD if is_current else font_metrics.MEDIUM
    svg.add_text(f"n-{kind}" + (" current-name" if is_current else ""), node.value, (x, y + 5.2), STATE_SIZE, weight=weight)
    svg.close_group()


def _add_start(svg: SvgBuilder, placement: Placement) -> None:
    x, y = placement.start.centre
    svg.add_element("circle", "dot", cx=x, cy=y, r=6.5)
    _add_line(svg, placement.first, "line", "head")


def _add_arrow(svg: SvgBuilder, arrow: Arrow, line: Line, path: OrderPath | None) -> None:
    svg.open_group(data_arrow=line.index)
    svg.parts.append(f"<title>{escape(_write_hover_title(arrow))}</title>")
    if path is not None and line.index in path.arrows:
        _add_line(svg, line, "walked" if path.arrows[line.index] else "walked unseen", "walked-head")
    else:
        faint = " faint" if path else ""
        _add_line(svg, line, f"line {arrow.strength}{faint}", f"head{faint}")
    svg.close_group()


def _write_hover_title(arrow: Arrow) -> str:
    events = ", ".join(dict.fromkeys(f"{edge.event} ({edge.origin})" for edge in arrow.edges))
    pages = "; ".join(dict.fromkeys(f"{edge.evidence.strength}: {edge.evidence.page}" for edge in arrow.edges))
    return f"{events} | {pages}" if arrow.edges else ", ".join(arrow.labels)


def _add_line(svg: SvgBuilder, line: Line, line_styles: str, head_styles: str) -> None:
    """Add the line and the head of an arrow."""
    first, *rest = line.points
    curves = " ".join(f"{format_value(x)} {format_value(y)}" for x, y in rest)
    svg.add_element("path", line_styles, d=f"M{format_value(first[0])} {format_value(first[1])}C{curves}")
    (x, y), (tip_x, tip_y) = line.points[-1], line.tip
    length = ((tip_x - x) ** 2 + (tip_y - y) ** 2) ** 0.5 or 1.0
    half = 4.6 if "walked" in line_styles else 3.6
    across = (-(tip_y - y) / length * half, (tip_x - x) / length * half)
    corners = ((tip_x, tip_y), (x + across[0], y + across[1]), (x - across[0], y - across[1]))
    svg.add_element("polygon", head_styles, points=" ".join(f"{format_value(a)},{format_value(b)}" for a, b in corners))


def _add_label(svg: SvgBuilder, line: Line, path: OrderPath | None) -> None:
    if line.label is None:
        return
    box, captions = line.label.box, line.label.lines
    for n, caption in enumerate(captions):
        on_path = path is not None and path.took_label(line.index, caption.labels)
        svg.open_group(data_label=line.index, **({"opacity": 0.75} if path and not on_path else {}))
        _add_label_line(svg, caption, (box.x, box.y + 1 + LABEL_LINE * n), measure_indent(captions), strong=on_path)
        svg.close_group()


def _add_label_line(svg: SvgBuilder, caption: Caption, at: Point, indent: float, *, strong: bool) -> None:
    x, y = at
    for n, cause in enumerate(caption.causes):
        add_mark(svg, cause, x + LABEL_GAP + MARK_WIDTH * n + 4, y + LABEL_LINE / 2)
    styles, weight = ("text strong", font_metrics.SEMIBOLD) if strong else ("text", font_metrics.REGULAR)
    svg.add_text(styles, caption.text, (x + indent, y + LABEL_LINE / 2 + 4.2), LABEL_SIZE, weight=weight)
