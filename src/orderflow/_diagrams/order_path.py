"""The path of one order on a drawing: which arrows it took, and where it is now. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from attrs import evolve, frozen

from orderflow._diagrams.drawing import Arrow, Drawing
from orderflow.model import StepKind


class Row(Protocol):
    """What is needed of a journal's row (``model.JournalRow``). ``kind``: a ``StepKind``."""

    @property
    def event(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def kind(self) -> str: ...


@frozen
class OrderPath:
    """An order on its drawing.

    ``arrows``: the arrows that it took, by their place in the drawing, and whether a move along the arrow was seen (False: it was
    only inferred, or is outside the table). ``labels``: which labels of these arrows it took.
    """

    drawing: Drawing
    order: str
    state: str
    visited: frozenset[str]
    arrows: Mapping[int, bool]
    labels: Mapping[int, frozenset[str]]

    @property
    def heading(self) -> str:
        """The order and its state, as a title: without characters that no title can hold, such as those of an id that came from outside."""
        heading = f"Order {self.order}: {self.state}"
        return "".join(letter if letter.isprintable() else "?" for letter in heading)

    def took_label(self, arrow: int, labels: Iterable[str]) -> bool:
        """Whether the order took one of these labels of an arrow."""
        return not self.labels.get(arrow, frozenset()).isdisjoint(labels)


def trace_order(drawing: Drawing, order: str, state: str, journal: Iterable[Row]) -> OrderPath:
    """Return the path of an order. ``order`` is its id, ``state`` its state now.

    A jump, an override and a move that the lifecycle does not have (any more) become arrows of their own. A state that it does not
    have (any more) is not drawn.
    """
    known = {node.value for node in drawing.nodes}
    rows = [row for row in journal if row.source != row.target and known.issuperset((row.source, row.target))]
    arrows = list(drawing.arrows)
    seen: dict[int, bool] = {}
    labels: dict[int, frozenset[str]] = {}
    for row in rows:
        n = _find_arrow(arrows, row)
        if n is None:
            n = len(arrows)
            arrows.append(Arrow(row.source, row.target, (_choose_label(row),), solid=False, edges=()))
        seen[n] = seen.get(n, False) or row.kind == StepKind.STEP
        labels[n] = labels.get(n, frozenset()) | _list_taken_labels(arrows[n], row)
    visited = {drawing.initial, state, *(row.source for row in rows), *(row.target for row in rows)}
    return OrderPath(evolve(drawing, arrows=tuple(arrows)), order, state, frozenset(visited & known), seen, labels)


def _find_arrow(arrows: Sequence[Arrow], row: Row) -> int | None:
    for n, arrow in enumerate(arrows):
        if row.kind in (StepKind.JUMP, StepKind.OVERRIDE) or not arrow.edges:
            if not arrow.edges and (arrow.source, arrow.target, arrow.labels) == (row.source, row.target, (_choose_label(row),)):
                return n
        elif any((edge.event, edge.source, edge.target) == (row.event, row.source, row.target) for edge in arrow.edges):
            return n
    return None


def _list_taken_labels(arrow: Arrow, row: Row) -> frozenset[str]:
    """The labels of the arrow's edges that this row took; all labels, if merging changed their words."""
    own = {edge.label for edge in arrow.edges if (edge.event, edge.source, edge.target) == (row.event, row.source, row.target)}
    return frozenset(own & set(arrow.labels)) or frozenset(arrow.labels)


def _choose_label(row: Row) -> str:
    return row.kind if row.kind in (StepKind.JUMP, StepKind.OVERRIDE) else row.event
