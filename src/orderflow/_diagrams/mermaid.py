"""A drawing as Mermaid. Pure text; the only module that knows Mermaid's syntax.

It is a ``flowchart``. A ``stateDiagram-v2`` has no dashed lines, and lines have a meaning here. Only features that GitHub's Mermaid draws
with its own layout (dagre) are used. States are dark text on light fills, readable on a light and on a dark page. Lines and labels keep
the page's own colours.

dagre makes four things necessary:

* An arrow that leaves a subgraph is hidden behind its label. So a group's arrows leave a node inside the group, which has its title.
* That node must stand below the members. An invisible link from the last members to it does this.
* An arrow across a group's border is one rank longer. So the group stands below the states that lead to it, not beside them.
* The usual curve misses its own label if the arrow leads back up. The curve ``monotoneY`` passes through it.
"""

from __future__ import annotations

import re

from orderflow._diagrams.captions import KINDS, build_captions, explain_marks, list_kinds, make_identifier
from orderflow._diagrams.drawing import Arrow, Drawing, Group, GroupKind, Node, NodeKind
from orderflow._diagrams.order_path import OrderPath
from orderflow.model import Strength

_INIT = '%%{init: {"flowchart": {"curve": "monotoneY", "nodeSpacing": 24, "rankSpacing": 36, "padding": 10, "wrappingWidth": 170}}}%%'
_TEXT_COLOUR = "color:#0f172a"
_STYLES = {
    NodeKind.INITIAL: f"fill:#f8fafc,stroke:#64748b,stroke-width:2px,{_TEXT_COLOUR}",
    NodeKind.OPEN: f"fill:#eef2ff,stroke:#6366f1,stroke-width:2px,{_TEXT_COLOUR}",
    NodeKind.ASSUMED: f"fill:#f8fafc,stroke:#94a3b8,stroke-width:2px,stroke-dasharray:5 4,{_TEXT_COLOUR}",
    NodeKind.PROVEN: f"fill:#ecfdf5,stroke:#059669,stroke-width:2px,{_TEXT_COLOUR}",
    NodeKind.PROVISIONAL: f"fill:#fff7ed,stroke:#d97706,stroke-width:2px,stroke-dasharray:5 4,{_TEXT_COLOUR}",
    NodeKind.PROVEN_END: f"fill:#d1fae5,stroke:#059669,stroke-width:4px,{_TEXT_COLOUR}",
    NodeKind.END: f"fill:#fef2f2,stroke:#dc2626,stroke-width:4px,{_TEXT_COLOUR}",
}
_GROUP_STYLE = "fill:none,stroke:#94a3b8,stroke-width:1px,stroke-dasharray:6 4"
_ANY_STYLE = f"fill:#f8fafc,stroke:#94a3b8,stroke-width:1px,stroke-dasharray:6 4,{_TEXT_COLOUR}"
_START_STYLE = "fill:#64748b,stroke:#64748b"
_CURRENT_STYLE = "fill:#4f46e5,stroke:#312e81,stroke-width:4px,color:#ffffff"
_ASSUMED_LINE = "stroke-dasharray:1.5 4.5"
_PATH_LINE, _UNSEEN_LINE = "stroke:#4f46e5,stroke-width:4px", "stroke:#4f46e5,stroke-width:4px,stroke-dasharray:8 5"
_ROUND = frozenset({NodeKind.PROVISIONAL, NodeKind.PROVEN_END, NodeKind.END})
_MARKUP = re.compile(r"[^A-Za-z0-9 _.,:()+/'=-]")


def build_mermaid(drawing: Drawing, path: OrderPath | None = None) -> str:
    """Return the picture, with a newline at the end. ``path``: an order on this drawing."""
    nodes = {node.value: node for node in drawing.nodes}
    grouped = drawing.group_of
    lines = [_INIT, "flowchart TD", f'  start((" ")) --> {_make_name(drawing.initial)}']
    lines += [f"  {_build_node(node)}" for node in drawing.nodes if node.value not in grouped]
    for group in drawing.groups:
        lines.append(f'  subgraph g_{group.kind}[" "]')
        lines += [f"    {_build_node(nodes[member])}" for member in group.members]
        lines += [f'    {_make_name(group.kind)}{{{{"{escape(group.title)}"}}}}', "  end"]
    lines += [f"  {_build_arrow(arrow, grouped)}" for arrow in drawing.arrows]
    for group in drawing.groups:
        lines += [f"  {_make_name(member)} ~~~ {_make_name(group.kind)}" for member in _list_last_members(group, drawing.arrows)]
    return "\n".join(lines + _build_classes(drawing) + _build_link_styles(drawing, path)) + "\n"


def build_legend(drawing: Drawing) -> str:
    """Return a small picture that explains the shapes, lines and marks of a drawing, with a newline at the end."""
    kinds = list_kinds(drawing)
    lines = ["flowchart LR"]
    lines += [f"  k{n}{_build_box(KINDS[kind], kind)}:::{_make_class(kind)}" for n, kind in enumerate(kinds)]
    lines.append("  " + " ~~~ ".join(f"k{n}" for n in range(len(kinds))))
    lines.append('  a((" ")) -->|"documented"| b((" ")) -.->|"inferred"| c((" ")) -.->|"assumed"| d((" "))')
    lines.append(f'  m["{escape(explain_marks(drawing))}"]')
    lines += [f"  classDef {_make_class(kind)} {_STYLES[kind]}" for kind in kinds]
    lines += ["  style m fill:none,stroke:none", f"  linkStyle {len(kinds) + 1} {_ASSUMED_LINE}"]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Return a text for use between double quotes. What Mermaid, Markdown or HTML could read as markup becomes a character entity."""
    return _MARKUP.sub(lambda match: f"#{ord(match[0])};", " ".join(text.split()))


def _build_node(node: Node) -> str:
    return f"{_make_name(node.value)}{_build_box(node.value, node.kind)}"


def _build_box(text: str, kind: NodeKind) -> str:
    return f'(["{escape(text)}"])' if kind in _ROUND else f'("{escape(text)}")'


def _make_name(end: str | GroupKind) -> str:
    """The identifier of a node. It has a prefix, because Mermaid has reserved words."""
    return f"any_{end}" if isinstance(end, GroupKind) else f"s_{make_identifier(end)}"


def _build_arrow(arrow: Arrow, grouped: dict[str, GroupKind]) -> str:
    inside = _find_group(arrow.source, grouped) is _find_group(arrow.target, grouped)
    line = ("-->" if inside else "--->") if arrow.solid else ("-.->" if inside else "-..->")
    label = "<br/>".join(escape(caption.marked) for caption in build_captions(arrow))
    return f'{_make_name(arrow.source)} {line}|"{label}"| {_make_name(arrow.target)}'


def _find_group(end: str | GroupKind, grouped: dict[str, GroupKind]) -> GroupKind | None:
    return end if isinstance(end, GroupKind) else grouped.get(end)


def _list_last_members(group: Group, arrows: tuple[Arrow, ...]) -> tuple[str, ...]:
    """The members without an arrow to another member."""
    leading_on = {arrow.source for arrow in arrows if arrow.target in group.members and arrow.source in group.members}
    return tuple(member for member in group.members if member not in leading_on) or group.members[-1:]


def _build_classes(drawing: Drawing) -> list[str]:
    lines = [f"  style start {_START_STYLE}"]
    for kind in NodeKind:
        members = [_make_name(node.value) for node in drawing.nodes if node.kind is kind]
        if members:
            lines += [f"  classDef {_make_class(kind)} {_STYLES[kind]}", f"  class {','.join(members)} {_make_class(kind)}"]
    for group in drawing.groups:
        lines += [f"  style g_{group.kind} {_GROUP_STYLE}", f"  style {_make_name(group.kind)} {_ANY_STYLE}"]
    return lines


def _build_link_styles(drawing: Drawing, path: OrderPath | None) -> list[str]:
    """The styles of lines, and of the current state. Mermaid numbers lines in the order of the text. Line 0 leaves the start."""
    on_path = path.arrows if path else {}
    styles = {
        _ASSUMED_LINE: [n for n, arrow in enumerate(drawing.arrows) if arrow.strength is Strength.ASSUMED and n not in on_path],
        _PATH_LINE: [n for n, seen in sorted(on_path.items()) if seen],
        _UNSEEN_LINE: [n for n, seen in sorted(on_path.items()) if not seen],
    }
    lines = [f"  linkStyle {','.join(str(n + 1) for n in links)} {style}" for style, links in styles.items() if links]
    return [*lines, f"  style {_make_name(path.state)} {_CURRENT_STYLE}"] if path and path.state in path.visited else lines


def _make_class(kind: NodeKind) -> str:
    return f"k_{kind.name.lower()}"
