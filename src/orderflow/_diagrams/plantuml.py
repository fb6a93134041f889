"""A drawing as a PlantUML state diagram. Pure text; the only module that knows its syntax."""

from __future__ import annotations

import re

from orderflow._diagrams.captions import build_captions, explain_marks, list_kinds, make_identifier
from orderflow._diagrams.drawing import Arrow, Drawing, GroupKind, Node, NodeKind
from orderflow._diagrams.order_path import OrderPath
from orderflow._diagrams.palette import LIGHT
from orderflow.model import Strength

_LINES = {Strength.DOCUMENTED: "", Strength.INFERRED: "dashed", Strength.ASSUMED: "dotted"}
_FATAL = "$\\"  # PlantUML fails on these as &#36; and &#92;
_MARKUP = re.compile(r"[^A-Za-z0-9 _.,:()+'=-]")  # what Creole or HTML could read as markup, and ends of lines


def build_plantuml(drawing: Drawing, path: OrderPath | None = None) -> str:
    """Return the picture, with a newline at the end. ``path``: an order on this drawing."""
    nodes = {node.value: node for node in drawing.nodes}
    grouped = drawing.group_of
    lines = ["@startuml", "hide empty description", *(_build_style(kind) for kind in list_kinds(drawing))]
    lines += [_build_node(node, path) for node in drawing.nodes if node.value not in grouped]
    for group in drawing.groups:
        lines.append(f'state "{escape(group.title)}" as any_{group.kind} ##[dashed] {{')
        lines += [f"  {_build_node(nodes[member], path)}" for member in group.members]
        lines.append("}")
    lines.append(f"[*] --> {_make_name(drawing.initial)}")
    lines += [_build_arrow(n, arrow, path) for n, arrow in enumerate(drawing.arrows)]
    lines += [f"{_make_name(node.value)} --> [*]" for node in drawing.nodes if node.kind in (NodeKind.PROVEN_END, NodeKind.END)]
    lines += ["legend", "solid: documented, dashed: inferred, dotted: assumed", escape(explain_marks(drawing)), "endlegend", "@enduml"]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Return a text that PlantUML prints unchanged. Other characters become references that PlantUML can read."""
    return _MARKUP.sub(lambda match: _build_reference(match[0]), " ".join(text.split()))


def _build_reference(character: str) -> str:
    return f"<U+{ord(character):04X}>" if character in _FATAL else f"&#{ord(character)};"


def _build_style(kind: NodeKind) -> str:
    colours = LIGHT.states[kind]
    options = f"  BackgroundColor {colours.fill}\n  BorderColor {colours.stroke}\n  FontColor {colours.text}"
    return f"skinparam state<<{_make_stereotype(kind)}>> {{\n{options}\n}}"


def _make_stereotype(kind: NodeKind) -> str:
    """The stereotype of a state. PlantUML draws the stereotypes <<start>> and <<end>> as dots without a name, so these are not used."""
    return f"{kind} state"


def _make_name(end: str | GroupKind) -> str:
    return f"any_{end}" if isinstance(end, GroupKind) else f"s_{make_identifier(end)}"


def _build_node(node: Node, path: OrderPath | None) -> str:
    colours = LIGHT.current
    line, text = colours.stroke.removeprefix("#"), colours.text.removeprefix("#")  # a second # is a syntax error
    options = f" {colours.fill};line:{line};line.bold;text:{text}" if path and path.state == node.value else ""
    return f'state "{escape(node.value)}" as {_make_name(node.value)} <<{_make_stereotype(node.kind)}>>{options}'


def _build_arrow(n: int, arrow: Arrow, path: OrderPath | None) -> str:
    style = _LINES[arrow.strength]
    if path and n in path.arrows:
        style = f"{LIGHT.path},{'bold' if path.arrows[n] else 'dashed,thickness=3'}"
    line = f"-[{style}]->" if style else "-->"
    label = "\\n".join(escape(caption.marked) for caption in build_captions(arrow))
    return f"{_make_name(arrow.source)} {line} {_make_name(arrow.target)} : {label}"
