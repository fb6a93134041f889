"""A drawing as Graphviz's dot. Pure text; the only place that knows its syntax as a format to keep (place.py has its own use).

Plain labels and standard attributes only, so that every Graphviz and every reader of dot takes it.
"""

from __future__ import annotations

from orderflow.diagrams.captions import captions, explained, identifier
from orderflow.diagrams.model import Arrow, Drawing, Group, GroupKind, Node, NodeKind
from orderflow.diagrams.palette import LIGHT
from orderflow.diagrams.walk import Walk
from orderflow.model import Strength

_STYLES = {Strength.DOCUMENTED: "solid", Strength.INFERRED: "dashed", Strength.ASSUMED: "dotted"}
_ENDS = frozenset({NodeKind.PROVEN_END, NodeKind.END})


def dot(drawing: Drawing, walk: Walk | None = None) -> str:
    """The picture, ending with a newline. ``walk``: an order on this very drawing."""
    home = {member for group in drawing.groups for member in group.members}
    nodes = {node.value: node for node in drawing.nodes}
    lines = [
        f"digraph {quoted(drawing.lifecycle)} {{",
        f"  label={quoted(_legend(drawing))};",
        '  compound=true; fontname="Inter,Helvetica,Arial"; fontsize=11; nodesep=0.3; ranksep=0.35;',
        '  node [shape=box, style="rounded,filled", fontname="Inter,Helvetica,Arial", fontsize=13, penwidth=2];',
        f'  edge [fontname="Inter,Helvetica,Arial", fontsize=11, color="{LIGHT.line}", fontcolor="{LIGHT.words}"];',
        f'  start [shape=circle, label="", width=0.18, style=filled, fillcolor="{LIGHT.strong}"];',
        *(f"  {_node(node, walk)}" for node in drawing.nodes if node.value not in home),
    ]
    for group in drawing.groups:
        lines += [f"  subgraph cluster_{group.kind} {{", f'    label={quoted(group.title)}; style=dashed; color="{LIGHT.group}";']
        lines += [f"    {_node(nodes[member], walk)}" for member in group.members]
        lines.append("  }")
    lines.append(f"  start -> {_name(drawing.initial)};")
    lines += [f"  {_arrow(n, arrow, drawing, walk)}" for n, arrow in enumerate(drawing.arrows)]
    return "\n".join([*lines, "}"]) + "\n"


def quoted(text: str) -> str:
    """A text as dot takes it: nothing in it is an escape, an entity or the end."""
    plain = " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return f'"{plain}"'


def _legend(drawing: Drawing) -> str:
    return f"{drawing.lifecycle}: a solid line is documented, a dashed one inferred, a dotted one assumed.   {explained(drawing)}"


def _name(value: str) -> str:
    return f"s_{identifier(value)}"


def _node(node: Node, walk: Walk | None) -> str:
    ink = LIGHT.current if walk and walk.state == node.value else LIGHT.states[node.kind]
    options = [f"label={quoted(node.value)}", f'fillcolor="{ink.fill}"', f'color="{ink.stroke}"', f'fontcolor="{ink.text}"']
    if node.kind in _ENDS:
        options.append("peripheries=2")
    if node.kind in (NodeKind.ASSUMED, NodeKind.PROVISIONAL):
        options.append('style="rounded,filled,dashed"')
    return f"{_name(node.value)} [{', '.join(options)}];"


def _arrow(n: int, arrow: Arrow, drawing: Drawing, walk: Walk | None) -> str:
    groups = {group.kind: group for group in drawing.groups}
    label = "\\n".join(quoted(caption.marked)[1:-1] for caption in captions(arrow))
    options = [f'label="{label}"', f"style={_STYLES[arrow.strength]}"]
    for end, which in ((arrow.source, "ltail"), (arrow.target, "lhead")):
        if isinstance(end, GroupKind):
            options.append(f"{which}=cluster_{end}")
    if walk and n in walk.arrows:
        options[1] = f'style={"bold" if walk.arrows[n] else "dashed"}, penwidth=3, color="{LIGHT.walked}"'
    return f"{_end(arrow.source, groups)} -> {_end(arrow.target, groups)} [{', '.join(options)}];"


def _end(end: str | GroupKind, groups: dict[GroupKind, Group]) -> str:
    """dot has no arrows from a cluster: they are clipped at its border on their way from its last member."""
    return _name(groups[end].members[-1] if isinstance(end, GroupKind) else end)
