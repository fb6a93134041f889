"""A placed drawing as SVG. Pure text; the only place that knows what a state, an arrow and a group look like.

The drawing paints its own ground, so that it reads on any page. ``data-state`` on a state's group, ``data-arrow`` and
``data-label`` (an arrow's number) on those of lines and words, and titles on states and arrows (shown on hovering), are for pages
that build on it.
"""

from __future__ import annotations

from html import escape

from orderflow.diagrams import metrics
from orderflow.diagrams.captions import KINDS, Caption
from orderflow.diagrams.geometry import Box, Line, Placed, Point
from orderflow.diagrams.graph import STATE_SIZE, roundness
from orderflow.diagrams.labels import LABEL_GAP, LABEL_LINE, LABEL_SIZE, MARK_WIDTH, indent
from orderflow.diagrams.legend import legend, mark
from orderflow.diagrams.model import Arrow, Drawing, Node, NodeKind
from orderflow.diagrams.palette import Palette
from orderflow.diagrams.paper import Paper, text
from orderflow.diagrams.walk import Walk

MARGIN = 24.0
_FONTS = "Inter,'Segoe UI',system-ui,-apple-system,Roboto,sans-serif"
_HEADING, _HEADING_SIZE = 30.0, 15.0
_LEAST = 460.0  # the width of a legend that reads well
_DOUBLE = frozenset({NodeKind.PROVEN_END, NodeKind.END})


def svg(drawing: Drawing, placed: Placed, palette: Palette | None = None, walk: Walk | None = None) -> str:
    """The picture, ending with a newline. ``palette``: plain attributes in these colours; None: classes, light and dark by
    the reader's setting. ``walk``: an order on this very drawing."""
    paper = Paper(palette)
    top = MARGIN + (_HEADING if walk else 0.0)
    heading = _heading(walk) if walk else ""
    width = max(placed.width, _LEAST, metrics.width(heading, _HEADING_SIZE, metrics.SEMIBOLD))
    paper.open(transform=f"translate({text(MARGIN + (width - placed.width) / 2)} {text(top)})")
    _groups(paper, drawing, placed)
    order = sorted(range(len(placed.lines)), key=lambda n: bool(walk and n in walk.arrows))  # what was walked lies on top
    _first(paper, placed)
    for n in order:
        _arrow(paper, drawing.arrows[n], placed.lines[n], walk)
    for node in drawing.nodes:
        _state(paper, node, placed.states[node.value], walk)
    for n in order:
        _said(paper, placed.lines[n], walk)
    paper.close()
    paper.open(transform=f"translate({text(MARGIN)} {text(top + placed.height + 22)})")
    legend_height = legend(paper, drawing, width, walk)
    paper.close()
    if walk:
        paper.words("strong", heading, (MARGIN, MARGIN + 8), _HEADING_SIZE, weight=metrics.SEMIBOLD)
    return _document(paper, drawing, width + 2 * MARGIN, top + placed.height + 22 + legend_height + MARGIN, walk)


def _document(paper: Paper, drawing: Drawing, width: float, height: float, walk: Walk | None) -> str:
    ground = paper.markup("rect", "ground", x=0.5, y=0.5, width=width - 1, height=height - 1, rx=10)
    size = f'viewBox="0 0 {text(width)} {text(height)}" width="{text(width)}" height="{text(height)}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{drawing_id(drawing)}-t {drawing_id(drawing)}-d" {size} '
        f'font-family="{_FONTS}">'
    )
    titles = (
        f'<title id="{drawing_id(drawing)}-t">{escape(_heading(walk) if walk else f"The lifecycle of {drawing.lifecycle} orders")}</title>'
        f'<desc id="{drawing_id(drawing)}-d">{escape(_description(drawing))}</desc>'
    )
    return "\n".join([head, titles, paper.style(), ground, *paper.parts, "</svg>", ""])


def drawing_id(drawing: Drawing) -> str:
    """An identifier for elements that must be named."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in drawing.lifecycle)


def _heading(walk: Walk) -> str:
    return f"Order {walk.order}: {walk.state}"


def _description(drawing: Drawing) -> str:
    told = [f"{len(drawing.nodes)} states, starting in {drawing.initial}."]
    for arrow in drawing.arrows:
        titles = {group.kind: group.title for group in drawing.groups}
        source, target = titles.get(arrow.source, arrow.source), titles.get(arrow.target, arrow.target)  # type: ignore[call-overload]
        told.append(f"From {source} to {target}: {'; '.join(arrow.labels)} ({arrow.strength}).")
    return " ".join(told)


def _groups(paper: Paper, drawing: Drawing, placed: Placed) -> None:
    for group in drawing.groups:
        box = placed.groups[group.kind]
        paper.element("rect", "group", x=box.x, y=box.y, width=box.width, height=box.height, rx=12)
        title = placed.titles[group.kind]
        paper.words("title", group.title, (title.x, title.y + LABEL_LINE - 4), LABEL_SIZE, weight=metrics.MEDIUM)


def _state(paper: Paper, node: Node, box: Box, walk: Walk | None) -> None:
    kind = node.kind.name.lower()
    here = walk is not None and walk.state == node.value
    looks = f"k-{kind}" + (" current" if here else " visited" if walk and node.value in walk.visited else "")
    paper.open(data_state=node.value)
    paper.parts.append(f"<title>{escape(f'{node.value}: {KINDS[node.kind]}')}</title>")
    radius = roundness(node.kind)
    paper.element("rect", looks, x=box.x, y=box.y, width=box.width, height=box.height, rx=radius)
    if node.kind in _DOUBLE:
        paper.element("rect", f"{looks} inner", x=box.x + 4, y=box.y + 4, width=box.width - 8, height=box.height - 8, rx=radius - 4)
    x, y = box.centre
    weight = metrics.SEMIBOLD if here else metrics.MEDIUM
    paper.words(f"n-{kind}" + (" current-name" if here else ""), node.value, (x, y + 5.2), STATE_SIZE, weight=weight)
    paper.close()


def _first(paper: Paper, placed: Placed) -> None:
    x, y = placed.start.centre
    paper.element("circle", "dot", cx=x, cy=y, r=6.5)
    _curve(paper, placed.first, "line", "head")


def _arrow(paper: Paper, arrow: Arrow, line: Line, walk: Walk | None) -> None:
    paper.open(data_arrow=line.index)
    paper.parts.append(f"<title>{escape(_tip(arrow))}</title>")
    if walk is not None and line.index in walk.arrows:
        _curve(paper, line, "walked" if walk.arrows[line.index] else "walked unseen", "walked-head")
    else:
        faint = " faint" if walk else ""
        _curve(paper, line, f"line {arrow.strength}{faint}", f"head{faint}")
    paper.close()


def _tip(arrow: Arrow) -> str:
    events = ", ".join(dict.fromkeys(f"{edge.event} ({edge.origin})" for edge in arrow.edges))
    pages = "; ".join(dict.fromkeys(f"{edge.evidence.strength}: {edge.evidence.page}" for edge in arrow.edges))
    return f"{events} | {pages}" if arrow.edges else ", ".join(arrow.labels)


def _curve(paper: Paper, line: Line, looks: str, head: str) -> None:
    first, *rest = line.points
    path = f"M{text(first[0])} {text(first[1])}C" + " ".join(f"{text(x)} {text(y)}" for x, y in rest)
    paper.element("path", looks, d=path)
    (x, y), (to_x, to_y) = line.points[-1], line.tip
    long = ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5 or 1.0
    half = 4.6 if "walked" in looks else 3.6
    across = (-(to_y - y) / long * half, (to_x - x) / long * half)
    corners = ((to_x, to_y), (x + across[0], y + across[1]), (x - across[0], y - across[1]))
    paper.element("polygon", head, points=" ".join(f"{text(a)},{text(b)}" for a, b in corners))


def _said(paper: Paper, line: Line, walk: Walk | None) -> None:
    if line.label is None:
        return
    box, lines = line.label.box, line.label.lines
    for n, said in enumerate(lines):
        on_path = walk is not None and walk.holds(line.index, said.labels)
        paper.open(data_label=line.index, **({"opacity": 0.75} if walk and not on_path else {}))
        _label_line(paper, said, (box.x, box.y + 1 + LABEL_LINE * n), indent(lines), "said strong" if on_path else "said")
        paper.close()


def _label_line(paper: Paper, said: Caption, at: Point, words_at: float, looks: str) -> None:
    x, y = at
    for place, cause in enumerate(said.causes):
        mark(paper, cause, x + LABEL_GAP + MARK_WIDTH * place + 4, y + LABEL_LINE / 2)
    weight = metrics.SEMIBOLD if "strong" in looks else metrics.REGULAR
    paper.words(looks, said.text, (x + words_at, y + LABEL_LINE / 2 + 4.2), LABEL_SIZE, weight=weight)
