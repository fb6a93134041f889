"""What the words, marks and lines of a picture mean, the same in every format. Pure; knows no format's syntax.

An arrow's caption says what happened and who caused it; the cause is a mark before the words, so that it is told apart
without colours. The line of an arrow says how sure it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import TypeVar

from attrs import frozen

from orderflow.diagrams.model import Arrow, Drawing, NodeKind
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
    """Some words on an arrow, who caused what they tell, and the labels of the arrow they stand for."""

    text: str
    causes: tuple[Cause, ...]
    labels: tuple[str, ...]

    @property
    def marked(self) -> str:
        """The words behind their marks."""
        return f"{''.join(MARKS[cause] for cause in self.causes)} {self.text}".strip()


def captions(arrow: Arrow) -> tuple[Caption, ...]:
    """The captions of an arrow, in declared order. Labels that begin alike up to a colon and have one cause share it."""
    said: dict[tuple[str, tuple[Cause, ...]], list[str]] = {}
    for label in arrow.labels:
        head, colon, _ = label.partition(": ")
        said.setdefault((head + colon, _causes(arrow, label)), []).append(label)
    return tuple(
        Caption(head + ", ".join(label.removeprefix(head) for label in labels), causes, tuple(labels))
        for (head, causes), labels in said.items()
    )


def _causes(arrow: Arrow, label: str) -> tuple[Cause, ...]:
    """Folding may have added words to a label, in brackets or behind a colon."""
    said = {edge.cause for edge in arrow.edges if label == edge.label or label.startswith((f"{edge.label} (", f"{edge.label}: "))}
    return tuple(cause for cause in Cause if cause in (said or {edge.cause for edge in arrow.edges}))


def kinds(drawing: Drawing) -> tuple[NodeKind, ...]:
    """The kinds of state that a drawing shows."""
    return _present(NodeKind, (node.kind for node in drawing.nodes))


def causes(drawing: Drawing) -> tuple[Cause, ...]:
    """The causes that a drawing shows."""
    return _present(Cause, (edge.cause for arrow in drawing.arrows for edge in arrow.edges))


def strengths(drawing: Drawing) -> tuple[Strength, ...]:
    """The kinds of line that a drawing shows."""
    return _present(Strength, (arrow.strength for arrow in drawing.arrows if arrow.edges))


def _present(every: Iterable[T], shown: Iterable[T]) -> tuple[T, ...]:
    seen = set(shown)
    return tuple(one for one in every if one in seen)


def explained(drawing: Drawing) -> str:
    """The marks of a drawing in words, for formats that only have text."""
    return "   ".join(f"{MARKS[cause]} {CAUSES[cause]}" for cause in causes(drawing))


def identifier(value: str) -> str:
    """A state's value as a word that any format takes: with a digest where the value had to be changed."""
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in value)
    return plain if plain == value else f"{plain}_{sha256(value.encode()).hexdigest()[:8]}"
