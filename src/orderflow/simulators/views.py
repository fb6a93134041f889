"""An order as any simulator's pages and control calls show it. What may live here: these values; no HTML, no HTTP."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

Mark = Literal["current", "passed", "next", "other"]


@frozen
class Box:
    """A status on the drawn flow: the word, and what it is to this order."""

    word: str
    mark: Mark


@frozen
class OrderView:
    """One order. ``status`` is what a status call would say now, ``stage`` where the order really is.

    ``history``: (simulator time, what happened), oldest first. ``legal``: the stages it may be moved to by hand, ``forced``
    those it may be forced to. ``flow``: rows of boxes, the straight life first. ``notes``: what the simulator was told about
    this order. ``link``: a page of this order's, as a path below the simulator's root.
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
    """A magic value: what to write, what it makes happen, what in the caller it proves."""

    value: str
    carrier: str
    forces: str
    proves: str


def flow(rows: tuple[tuple[str, ...], ...], current: str, passed: set[str], legal: tuple[str, ...]) -> tuple[tuple[Box, ...], ...]:
    """Rows of words as boxes of one order; a current word that is in no row gets a row of its own."""

    def mark(word: str) -> Mark:
        if word == current:
            return "current"
        return "passed" if word in passed else "next" if word in legal else "other"

    known = {word for row in rows for word in row}
    shown = rows if current in known else (*rows, (current,))
    return tuple(tuple(Box(word, mark(word)) for word in row) for row in shown)
