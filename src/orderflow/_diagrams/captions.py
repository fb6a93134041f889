"""The texts of a picture: captions of arrows, and what marks, lines and boxes mean. Pure; the same for every format.

A caption names what happened and who caused it. The cause is a mark before the text, so that colour is not needed to see it. The line
of an arrow shows how sure it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import TypeVar

from attrs import frozen

from orderflow._diagrams.drawing import Arrow, Drawing, NodeKind
from orderflow.model import Cause, Strength

T = TypeVar("T")

MARKS = {Cause.CUSTOMER: "●", Cause.PROVIDER: "■", Cause.EMPLOYEE: "◆", Cause.US: "▲", Cause.CLOCK: "○"}
"""One sign per cause, for formats that only have text."""

CAUSES = {
    Cause.CUSTOMER: "customer",
    Cause.PROVIDER: "provider",
    Cause.EMPLOYEE: "a person, theirs or ours",
    Cause.US: "our service",
    Cause.CLOCK: "a deadline of ours",
}
STRENGTHS = {Strength.DOCUMENTED: "documented", Strength.INFERRED: "inferred from the documents", Strength.ASSUMED: "assumed by us"}
KINDS = {
    NodeKind.INITIAL: "start",
    NodeKind.OPEN: "open",
    NodeKind.ASSUMED: "open, assumed",
    NodeKind.PROVEN: "proven, more may come",
    NodeKind.PROVISIONAL: "provisional end",
    NodeKind.PROVEN_END: "proven end",
    NodeKind.END: "end",
}


@frozen
class Caption:
    """A text on an arrow, its causes, and the labels of the arrow that it stands for."""

    text: str
    causes: tuple[Cause, ...]
    labels: tuple[str, ...]

    @property
    def marked(self) -> str:
        """The text behind the marks of its causes."""
        return f"{''.join(MARKS[cause] for cause in self.causes)} {self.text}".strip()


def build_captions(arrow: Arrow) -> tuple[Caption, ...]:
    """Return the captions of an arrow, in declared order.

    Labels with the same causes and the same beginning up to a colon share a caption: ``returned: success, cancel``.
    """
    shared: dict[tuple[str, tuple[Cause, ...]], list[str]] = {}
    for label in arrow.labels:
        head, colon, _ = label.partition(": ")
        shared.setdefault((head + colon, _find_causes(arrow, label)), []).append(label)
    return tuple(
        Caption(head + ", ".join(label.removeprefix(head) for label in labels), causes, tuple(labels))
        for (head, causes), labels in shared.items()
    )


def _find_causes(arrow: Arrow, label: str) -> tuple[Cause, ...]:
    """The causes of the edges with this label. Merging may have added words to it, in brackets or behind a colon."""
    causes = {edge.cause for edge in arrow.edges if label == edge.label or label.startswith((f"{edge.label} (", f"{edge.label}: "))}
    return tuple(cause for cause in Cause if cause in (causes or {edge.cause for edge in arrow.edges}))


def list_kinds(drawing: Drawing) -> tuple[NodeKind, ...]:
    """Return the kinds of state in a drawing."""
    return _sort_like(NodeKind, (node.kind for node in drawing.nodes))


def list_causes(drawing: Drawing) -> tuple[Cause, ...]:
    """Return the causes in a drawing."""
    return _sort_like(Cause, (edge.cause for arrow in drawing.arrows for edge in arrow.edges))


def list_strengths(drawing: Drawing) -> tuple[Strength, ...]:
    """Return the kinds of line in a drawing."""
    return _sort_like(Strength, (arrow.strength for arrow in drawing.arrows if arrow.edges))


def _sort_like(order: Iterable[T], values: Iterable[T]) -> tuple[T, ...]:
    present = set(values)
    return tuple(value for value in order if value in present)


def explain_marks(drawing: Drawing) -> str:
    """Return the meaning of a drawing's marks as one line of text, for formats that only have text."""
    return "   ".join(f"{MARKS[cause]} {CAUSES[cause]}" for cause in list_causes(drawing))


def make_identifier(value: str) -> str:
    """Return a state's value as an identifier for any format. If the value has other characters, a digest keeps it unique."""
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in value)
    return plain if plain == value else f"{plain}_{sha256(value.encode()).hexdigest()[:8]}"
