"""A drawing as a Graphviz dot file. Pure text; the only module that writes dot as a format. (``graphviz`` writes it for the layout.)

Only plain labels and standard attributes are used, so that every version of Graphviz and every reader of dot accepts them.
"""

from __future__ import annotations

from orderflow._diagrams.captions import build_captions, explain_marks, make_identifier
from orderflow._diagrams.drawing import Arrow, Drawing, Group, GroupKind, Node, NodeKind
from orderflow._diagrams.order_path import OrderPath
from orderflow._diagrams.palette import LIGHT
from orderflow.model import Strength

_STYLES = {Strength.DOCUMENTED: "solid", Strength.INFERRED: "dashed", Strength.ASSUMED: "dotted"}
_ENDS = frozenset({NodeKind.PROVEN_END, NodeKind.END})


def build_dot(drawing: Drawing, path: OrderPath | None = None) -> str:
    """Return the dot file, with a newline at the end. ``path``: an order on this drawing."""
    grouped = drawing.group_of
    nodes = {node.value: node for node in drawing.nodes}
    lines = [
        f"digraph {quote(drawing.lifecycle)} {{",
        f"  label={quote(_build_legend(drawing))};",
        '  compound=true; fontname="Inter,Helvetica,Arial"; fontsize=11; nodesep=0.3; ranksep=0.35;',
        '  node [shape=box, style="rounded,filled", fontname="Inter,Helvetica,Arial", fontsize=13, penwidth=2];',
        f'  edge [fontname="Inter,Helvetica,Arial", fontsize=11, color="{LIGHT.line}", fontcolor="{LIGHT.text}"];',
        f'  start [shape=circle, label="", width=0.18, style=filled, fillcolor="{LIGHT.strong}"];',
        *(f"  {_build_node(node, path)}" for node in drawing.nodes if node.value not in grouped),
    ]
    for group in drawing.groups:
        lines += [f"  subgraph cluster_{group.kind} {{", f'    label={quote(group.title)}; style=dashed; color="{LIGHT.group}";']
        lines += [f"    {_build_node(nodes[member], path)}" for member in group.members]
        lines.append("  }")
    lines.append(f"  start -> {_make_name(drawing.initial)};")
    lines += [f"  {_build_arrow(n, arrow, drawing, path)}" for n, arrow in enumerate(drawing.arrows)]
    return "\n".join([*lines, "}"]) + "\n"


def quote(text: str) -> str:
    """Return a text as a dot string, on one line. No character in it is an escape, an entity or the end of the string."""
    plain = " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return f'"{plain}"'


def _build_legend(drawing: Drawing) -> str:
    return f"{drawing.lifecycle}: a solid line is documented, a dashed one inferred, a dotted one assumed.   {explain_marks(drawing)}"


def _make_name(value: str) -> str:
    return f"s_{make_identifier(value)}"


def _build_node(node: Node, path: OrderPath | None) -> str:
    colours = LIGHT.current if path and path.state == node.value else LIGHT.states[node.kind]
    options = [f"label={quote(node.value)}", f'fillcolor="{colours.fill}"', f'color="{colours.stroke}"', f'fontcolor="{colours.text}"']
    if node.kind in _ENDS:
        options.append("peripheries=2")
    if node.kind in (NodeKind.ASSUMED, NodeKind.PROVISIONAL):
        options.append('style="rounded,filled,dashed"')
    return f"{_make_name(node.value)} [{', '.join(options)}];"


def _build_arrow(n: int, arrow: Arrow, drawing: Drawing, path: OrderPath | None) -> str:
    groups = {group.kind: group for group in drawing.groups}
    label = "\\n".join(quote(caption.marked)[1:-1] for caption in build_captions(arrow))
    options = [f'label="{label}"', f"style={_STYLES[arrow.strength]}"]
    for end, option in ((arrow.source, "ltail"), (arrow.target, "lhead")):
        if isinstance(end, GroupKind):
            options.append(f"{option}=cluster_{end}")
    if path and n in path.arrows:
        options[1] = f'style={"bold" if path.arrows[n] else "dashed"}, penwidth=3, color="{LIGHT.path}"'
    return f"{_choose_end(arrow.source, groups)} -> {_choose_end(arrow.target, groups)} [{', '.join(options)}];"


def _choose_end(end: str | GroupKind, groups: dict[GroupKind, Group]) -> str:
    """The node at an arrow's end. dot has no arrows to a cluster: an arrow to its last member is cut off at the cluster's border."""
    return _make_name(groups[end].members[-1] if isinstance(end, GroupKind) else end)
