"""A drawing as a PlantUML state diagram. Pure text; the only place that knows its syntax."""

from __future__ import annotations

import re

from orderflow.diagrams.captions import captions, explained, identifier, kinds
from orderflow.diagrams.model import Arrow, Drawing, GroupKind, Node, NodeKind
from orderflow.diagrams.palette import LIGHT
from orderflow.diagrams.walk import Walk
from orderflow.model import Strength

_LINES = {Strength.DOCUMENTED: "", Strength.INFERRED: "dashed", Strength.ASSUMED: "dotted"}
_UNREADABLE = "$\\"  # as &#36; and &#92; they make PlantUML fail
_MARKUP = re.compile(r"[^A-Za-z0-9 _.,:()+'=-]")  # what Creole, HTML or a line's end could take for markup


def plantuml(drawing: Drawing, walk: Walk | None = None) -> str:
    """The picture, ending with a newline. ``walk``: an order on this very drawing."""
    nodes = {node.value: node for node in drawing.nodes}
    home = {member for group in drawing.groups for member in group.members}
    lines = ["@startuml", "hide empty description", *(_style(kind) for kind in kinds(drawing))]
    lines += [_node(node, walk) for node in drawing.nodes if node.value not in home]
    for group in drawing.groups:
        lines.append(f'state "{escape(group.title)}" as any_{group.kind} ##[dashed] {{')
        lines += [f"  {_node(nodes[member], walk)}" for member in group.members]
        lines.append("}")
    lines.append(f"[*] --> {_end(drawing.initial)}")
    lines += [_arrow(n, arrow, walk) for n, arrow in enumerate(drawing.arrows)]
    lines += [f"{_end(node.value)} --> [*]" for node in drawing.nodes if node.kind in (NodeKind.PROVEN_END, NodeKind.END)]
    lines += ["legend", "solid: documented, dashed: inferred, dotted: assumed", escape(explained(drawing)), "endlegend", "@enduml"]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text that PlantUML prints as it is: anything else becomes a character reference, of the kind that it reads for it."""
    return _MARKUP.sub(lambda found: _reference(found[0]), " ".join(text.split()))


def _reference(character: str) -> str:
    return f"<U+{ord(character):04X}>" if character in _UNREADABLE else f"&#{ord(character)};"


def _style(kind: NodeKind) -> str:
    ink = LIGHT.states[kind]
    return (
        f"skinparam state<<{_stereotype(kind)}>> {{\n  BackgroundColor {ink.fill}\n  BorderColor {ink.stroke}\n  FontColor {ink.text}\n}}"
    )


def _stereotype(kind: NodeKind) -> str:
    """Not the bare words: PlantUML draws <<start>> and <<end>> as dots without a name."""
    return f"{kind} state"


def _end(end: str | GroupKind) -> str:
    return f"any_{end}" if isinstance(end, GroupKind) else f"s_{identifier(end)}"


def _node(node: Node, walk: Walk | None) -> str:
    ink = LIGHT.current
    line, words = ink.stroke.removeprefix("#"), ink.text.removeprefix("#")  # a second # is a syntax error
    here = f" {ink.fill};line:{line};line.bold;text:{words}" if walk and walk.state == node.value else ""
    return f'state "{escape(node.value)}" as {_end(node.value)} <<{_stereotype(node.kind)}>>{here}'


def _arrow(n: int, arrow: Arrow, walk: Walk | None) -> str:
    look = _LINES[arrow.strength]
    if walk and n in walk.arrows:
        look = f"{LIGHT.walked},{'bold' if walk.arrows[n] else 'dashed,thickness=3'}"
    line = f"-[{look}]->" if look else "-->"
    said = "\\n".join(escape(caption.marked) for caption in captions(arrow))
    return f"{_end(arrow.source)} {line} {_end(arrow.target)} : {said}"
