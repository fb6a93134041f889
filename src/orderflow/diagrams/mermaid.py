"""A drawing as Mermaid. Pure text; the only place that knows Mermaid's syntax.

A ``flowchart``, not a ``stateDiagram-v2``: the latter has no dashed lines, and they carry meaning here. Only what
GitHub's Mermaid draws with its own layout (dagre) is used. Colours are dark text on light fills, so that they read on
a light and on a dark page alike; lines and labels keep the page's own colours.

Four things were found by looking at what dagre makes of it:

* an arrow that leaves a subgraph is hidden behind its label, so a group's arrows leave a node inside it that bears
  its title;
* that node must stand below the members, which an invisible link from the last of them sees to;
* an arrow that crosses a group's border is one rank longer, so that the group stands below what leads to it instead
  of beside it;
* the usual curve misses its own label where an arrow leads back up; ``monotoneY`` passes through it.
"""

from __future__ import annotations

import re

from orderflow.diagrams.captions import KINDS, captions, explained, identifier
from orderflow.diagrams.model import Arrow, Drawing, Group, GroupKind, Node, NodeKind
from orderflow.diagrams.walk import Walk
from orderflow.model import Strength

_INIT = '%%{init: {"flowchart": {"curve": "monotoneY", "nodeSpacing": 24, "rankSpacing": 36, "padding": 10, "wrappingWidth": 170}}}%%'
_INK = "color:#0f172a"
_STYLES = {
    NodeKind.INITIAL: f"fill:#f8fafc,stroke:#64748b,stroke-width:2px,{_INK}",
    NodeKind.OPEN: f"fill:#eef2ff,stroke:#6366f1,stroke-width:2px,{_INK}",
    NodeKind.ASSUMED: f"fill:#f8fafc,stroke:#94a3b8,stroke-width:2px,stroke-dasharray:5 4,{_INK}",
    NodeKind.PROVEN: f"fill:#ecfdf5,stroke:#059669,stroke-width:2px,{_INK}",
    NodeKind.PROVISIONAL: f"fill:#fff7ed,stroke:#d97706,stroke-width:2px,stroke-dasharray:5 4,{_INK}",
    NodeKind.PROVEN_END: f"fill:#d1fae5,stroke:#059669,stroke-width:4px,{_INK}",
    NodeKind.END: f"fill:#fef2f2,stroke:#dc2626,stroke-width:4px,{_INK}",
}
_GROUP_STYLE = "fill:none,stroke:#94a3b8,stroke-width:1px,stroke-dasharray:6 4"
_ANY_STYLE = f"fill:#f8fafc,stroke:#94a3b8,stroke-width:1px,stroke-dasharray:6 4,{_INK}"
_START_STYLE = "fill:#64748b,stroke:#64748b"
_CURRENT_STYLE = "fill:#4f46e5,stroke:#312e81,stroke-width:4px,color:#ffffff"
_ASSUMED_LINE = "stroke-dasharray:1.5 4.5"
_WALKED_LINE, _UNSEEN_LINE = "stroke:#4f46e5,stroke-width:4px", "stroke:#4f46e5,stroke-width:4px,stroke-dasharray:8 5"
_ROUND = frozenset({NodeKind.PROVISIONAL, NodeKind.PROVEN_END, NodeKind.END})
_MARKUP = re.compile(r"[^A-Za-z0-9 _.,:()+/'=-]")


def mermaid(drawing: Drawing, walk: Walk | None = None) -> str:
    """The picture, ending with a newline. ``walk``: an order on this very drawing."""
    nodes = {node.value: node for node in drawing.nodes}
    home = {member: group.kind for group in drawing.groups for member in group.members}
    lines = [_INIT, "flowchart TD", f'  start((" ")) --> {_end(drawing.initial)}']
    lines += [f"  {_node(node)}" for node in drawing.nodes if node.value not in home]
    for group in drawing.groups:
        lines.append(f'  subgraph g_{group.kind}[" "]')
        lines += [f"    {_node(nodes[member])}" for member in group.members]
        lines += [f'    {_end(group.kind)}{{{{"{escape(group.title)}"}}}}', "  end"]
    lines += [f"  {_arrow(arrow, home)}" for arrow in drawing.arrows]
    for group in drawing.groups:
        lines += [f"  {_end(member)} ~~~ {_end(group.kind)}" for member in _last(group, drawing.arrows)]
    return "\n".join(lines + _classes(drawing) + _links(drawing, walk)) + "\n"


def legend(drawing: Drawing) -> str:
    """What the shapes, colours and lines of this picture mean, as a small picture of its own, ending with a newline."""
    kinds = [kind for kind in NodeKind if any(node.kind is kind for node in drawing.nodes)]
    lines = ["flowchart LR"]
    lines += [f"  k{n}{_box(KINDS[kind], kind)}:::{_class(kind)}" for n, kind in enumerate(kinds)]
    lines.append("  " + " ~~~ ".join(f"k{n}" for n in range(len(kinds))))
    lines.append('  a((" ")) -->|"documented"| b((" ")) -.->|"inferred"| c((" ")) -.->|"assumed"| d((" "))')
    lines.append(f'  m["{escape(explained(drawing))}"]')
    lines += [f"  classDef {_class(kind)} {_STYLES[kind]}" for kind in kinds]
    lines += ["  style m fill:none,stroke:none", f"  linkStyle {len(kinds) + 1} {_ASSUMED_LINE}"]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text for between double quotes: whatever Mermaid, Markdown or HTML could read as markup becomes a character
    entity.
    """
    return _MARKUP.sub(lambda found: f"#{ord(found[0])};", " ".join(text.split()))


def _node(node: Node) -> str:
    return f"{_end(node.value)}{_box(node.value, node.kind)}"


def _box(text: str, kind: NodeKind) -> str:
    return f'(["{escape(text)}"])' if kind in _ROUND else f'("{escape(text)}")'


def _end(end: str | GroupKind) -> str:
    """An identifier: prefixed, since Mermaid has reserved words; with a digest where the value had to be changed."""
    if isinstance(end, GroupKind):
        return f"any_{end}"
    return f"s_{identifier(end)}"


def _arrow(arrow: Arrow, home: dict[str, GroupKind]) -> str:
    inside = _home(arrow.source, home) is _home(arrow.target, home)
    line = ("-->" if inside else "--->") if arrow.solid else ("-.->" if inside else "-..->")
    label = "<br/>".join(escape(caption.marked) for caption in captions(arrow))
    return f'{_end(arrow.source)} {line}|"{label}"| {_end(arrow.target)}'


def _home(end: str | GroupKind, home: dict[str, GroupKind]) -> GroupKind | None:
    return end if isinstance(end, GroupKind) else home.get(end)


def _last(group: Group, arrows: tuple[Arrow, ...]) -> tuple[str, ...]:
    """The members from which no arrow leads on inside the group."""
    leading_on = {arrow.source for arrow in arrows if arrow.target in group.members and arrow.source in group.members}
    return tuple(member for member in group.members if member not in leading_on) or group.members[-1:]


def _classes(drawing: Drawing) -> list[str]:
    lines = [f"  style start {_START_STYLE}"]
    for kind in NodeKind:
        members = [_end(node.value) for node in drawing.nodes if node.kind is kind]
        if members:
            lines += [f"  classDef {_class(kind)} {_STYLES[kind]}", f"  class {','.join(members)} {_class(kind)}"]
    for group in drawing.groups:
        lines += [f"  style g_{group.kind} {_GROUP_STYLE}", f"  style {_end(group.kind)} {_ANY_STYLE}"]
    return lines


def _links(drawing: Drawing, walk: Walk | None) -> list[str]:
    """Lines are numbered as they were written; the one from the start is 0."""
    walked = walk.arrows if walk else {}
    looks = {
        _ASSUMED_LINE: [n for n, arrow in enumerate(drawing.arrows) if arrow.strength is Strength.ASSUMED and n not in walked],
        _WALKED_LINE: [n for n, seen in sorted(walked.items()) if seen],
        _UNSEEN_LINE: [n for n, seen in sorted(walked.items()) if not seen],
    }
    lines = [f"  linkStyle {','.join(str(n + 1) for n in links)} {look}" for look, links in looks.items() if links]
    return [*lines, f"  style {_end(walk.state)} {_CURRENT_STYLE}"] if walk and walk.state in walk.visited else lines


def _class(kind: NodeKind) -> str:
    return f"k_{kind.name.lower()}"
