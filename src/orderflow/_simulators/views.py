"""An order as the pages and control calls of any simulator show it. Contains only: these values; no HTML, no HTTP."""

from __future__ import annotations

from typing import Literal, Protocol

from attrs import frozen

Mark = Literal["current", "passed", "next", "other"]


@frozen
class Box:
    """A stage in the drawing of an order, and whether the order is there, was there or may go there next."""

    stage: str
    mark: Mark


@frozen
class OrderView:
    """One order.

    Attributes:
        status: what a status call answers now.
        stage: where the order really is.
        history: (simulator time, what happened), oldest first.
        legal: the stages to which it may be moved by hand.
        forced: the stages to which only force moves it.
        flow: rows of boxes; the first row is the usual way.
        notes: what is special about this order.
        link: a page of this order, as a path below the simulator's root.
    """

    id: str
    reference: str | None
    status: str
    stage: str
    since: float
    history: tuple[tuple[float, str], ...]
    legal: tuple[str, ...]
    forced: tuple[str, ...]
    flow: tuple[tuple[Box, ...], ...]
    notes: tuple[str, ...] = ()
    link: str = ""


@frozen
class Magic:
    """A magic value: what to write, where, what it makes happen, what it tests in the caller."""

    value: str
    carrier: str
    forces: str
    proves: str


class SimulatedOrders(Protocol):
    """The orders of a simulator, as pages and control calls use them."""

    def order_views(self) -> tuple[OrderView, ...]:
        """Every order, oldest first."""
        ...

    def transition(self, order_id: str, to: str, *, force: bool = False) -> None:
        """Move one order. Raises KeyError for an unknown order, ValueError for a move the provider would not make."""
        ...


def draw_flow(rows: tuple[tuple[str, ...], ...], current: str, passed: set[str], legal: tuple[str, ...]) -> tuple[tuple[Box, ...], ...]:
    """Rows of stages as boxes of one order. A current stage that is in no row gets a row of its own."""

    def mark(stage: str) -> Mark:
        if stage == current:
            return "current"
        return "passed" if stage in passed else "next" if stage in legal else "other"

    known = {stage for row in rows for stage in row}
    all_rows = rows if current in known else (*rows, (current,))
    return tuple(tuple(Box(stage, mark(stage)) for stage in row) for row in all_rows)
