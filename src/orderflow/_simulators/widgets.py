"""The pieces of a simulator's pages, from values to HTML. Contains only: no route, no state."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from orderflow._simulators.markup import Html, el
from orderflow._simulators.views import Box, OrderView

MARKS: Final = {"current": "now here", "passed": "passed", "next": "possible next", "other": "not reached"}
NONE: Final = "-"


def alert(message: str) -> Html | None:
    """A message about what went wrong; None for no message."""
    return el("p", message, role="alert", class_="alert") if message else None


def button(label: str, name: str, value: str) -> Html:
    """A form of one button, which posts ``name=value`` to the page."""
    return el("form", el("button", label, name=name, value=value), method="post")


def table(heads: tuple[str, ...], rows: Iterable[tuple[object, ...]], caption: str) -> Html:
    """A table; the first cell of a row is its head. A narrow window shows a row as a block, each cell after its column's head."""
    head = el("thead", el("tr", [el("th", head, scope="col") for head in heads]))
    whole = el("table", el("caption", caption), head, el("tbody", [_row(heads, row) for row in rows]))
    return el("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def table_or_note(heads: tuple[str, ...], rows: list[tuple[object, ...]], caption: str) -> Html:
    """A table, or a note that there are no rows yet."""
    return table(heads, rows, caption) if rows else el("p", "None yet.", class_="quiet")


def _row(heads: tuple[str, ...], cells: tuple[object, ...]) -> Html:
    first, *rest = zip(heads, cells, strict=True)
    return el("tr", el("th", first[1], scope="row", data_head=first[0]), [el("td", cell, data_head=head) for head, cell in rest])


def flow(view: OrderView) -> Html:
    """The stages in rows. Each box has its mark in words too, not by colour alone."""
    rows = [el("ol", [_box(box) for box in row], class_="flow") for row in view.flow]
    legend = el("p", [el("span", MARKS[mark], class_=f"box small {mark}") for mark in MARKS], class_="legend", aria_hidden="true")
    return el("div", rows, legend, class_="flows")


def _box(box: Box) -> Html:
    mark = el("span", f" ({MARKS[box.mark]})", class_="unseen")
    current = "step" if box.mark == "current" else None
    return el("li", el("span", box.stage, mark, class_=f"box {box.mark}", data_state=box.stage, aria_current=current))


def moves(view: OrderView) -> list[Html]:
    """A button for each legal move, and a form for forced ones."""
    legal = [button(f"to {to}", "to", to) for to in view.legal]
    buttons = el("div", legal, class_="buttons") if legal else el("p", "The provider would not move this order any more.", class_="quiet")
    choices = [el("option", to, value=to) for to in view.forced]
    force = el(
        "form",
        el("p", "Makes a move the provider would never make; your service should notice."),
        el("label", "To ", el("select", choices, name="to")),
        el("input", type="hidden", name="force", value="yes"),
        el("button", "Force it", class_="danger"),
        method="post",
        class_="grid",
    )
    return [buttons, el("details", el("summary", "Force an illegal move"), force)]


def history(view: OrderView) -> Html:
    """What happened to an order, oldest first."""
    return el("ol", [el("li", el("time", format_time(at)), " ", what) for at, what in view.history], class_="history")


def time_cell(at: float) -> Html:
    """A time that does not wrap."""
    return el("time", format_time(at), class_="whole")


def format_time(at: float) -> str:
    """Epoch seconds as UTC text."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
