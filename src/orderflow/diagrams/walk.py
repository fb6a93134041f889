"""An order's path on a drawing: which arrows it walked, where it stands. Pure; knows a journal's rows by their shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from attrs import evolve, frozen

from orderflow.diagrams.model import Arrow, Drawing
from orderflow.model import StepKind


class Row(Protocol):
    """A row of a journal (``records.JournalRow``). ``kind``: a ``vocabulary.Kind``."""

    @property
    def event(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def kind(self) -> str: ...


@frozen
class Walk:
    """An order on its drawing. ``order`` names it; ``arrows``: for each arrow walked (its place in the drawing's arrows)
    whether it was seen (False: inferred, or a move outside the arrows). ``labels``: what was walked of it."""

    drawing: Drawing
    order: str
    state: str
    visited: frozenset[str]
    arrows: Mapping[int, bool]
    labels: Mapping[int, frozenset[str]]

    def holds(self, n: int, labels: Iterable[str]) -> bool:
        """Whether one of these labels of an arrow was walked."""
        return not self.labels.get(n, frozenset()).isdisjoint(labels)


def walk(drawing: Drawing, order: str, state: str, journal: Iterable[Row]) -> Walk:
    """The path of an order. A jump, an override and a move that the lifecycle no longer has are arrows of their own; a
    state that it no longer has is not drawn."""
    known = {node.value for node in drawing.nodes}
    rows = [row for row in journal if row.source != row.target and known.issuperset((row.source, row.target))]
    arrows = list(drawing.arrows)
    seen: dict[int, bool] = {}
    labels: dict[int, frozenset[str]] = {}
    for row in rows:
        n = _find(arrows, row)
        if n is None:
            n = len(arrows)
            arrows.append(Arrow(row.source, row.target, (_said(row),), solid=False, edges=()))
        seen[n] = seen.get(n, False) or row.kind == StepKind.STEP
        labels[n] = labels.get(n, frozenset()) | _labels(arrows[n], row)
    visited = {drawing.initial, state, *(row.source for row in rows), *(row.target for row in rows)}
    return Walk(evolve(drawing, arrows=tuple(arrows)), order, state, frozenset(visited & known), seen, labels)


def _find(arrows: Sequence[Arrow], row: Row) -> int | None:
    for n, arrow in enumerate(arrows):
        if row.kind in (StepKind.JUMP, StepKind.OVERRIDE) or not arrow.edges:
            if not arrow.edges and (arrow.source, arrow.target, arrow.labels) == (row.source, row.target, (_said(row),)):
                return n
        elif any((edge.event, edge.source, edge.target) == (row.event, row.source, row.target) for edge in arrow.edges):
            return n
    return None


def _labels(arrow: Arrow, row: Row) -> frozenset[str]:
    """The labels of an arrow's edges that this row walked; all, where folding changed the words."""
    own = {edge.label for edge in arrow.edges if (edge.event, edge.source, edge.target) == (row.event, row.source, row.target)}
    return frozenset(own & set(arrow.labels)) or frozenset(arrow.labels)


def _said(row: Row) -> str:
    return row.kind if row.kind in (StepKind.JUMP, StepKind.OVERRIDE) else row.event
