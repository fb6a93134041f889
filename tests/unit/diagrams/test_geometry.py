"""Nothing overlaps, is crossed or cut: read back from the SVG itself, of every lifecycle there is to draw and of orders on them.

Every override of every state to every other is an arrow that no lifecycle has; all of them together are ``slow``.
"""

import re
from pathlib import Path

import pytest
from attrs import evolve
from tests.kit.picture import complaints, read
from tests.unit.diagrams.test_pictures import JUMPED, Row, path

from orderflow.cli import finding
from orderflow.diagrams import draw, render, walk
from orderflow.diagrams.geometry import Box, faults
from orderflow.diagrams.labels import inked
from orderflow.diagrams.layout import wasi
from orderflow.diagrams.palette import DARK, LIGHT
from orderflow.diagrams.place import place
from orderflow.diagrams.svg import svg
from orderflow.lifecycle.table import Table

TESTS = Path(__file__).parents[2]
LIFECYCLES = {
    "ccv": "ccv",
    "connect": "connect",
    "fan": f"{TESTS}/kit/lifecycles.py:Fan",
    "hostile": f"{TESTS}/kit/lifecycles.py:Hostile",
    "parcels": f"{TESTS}/kit/audited_warehouse.py:Warehouse",
    "shelf": f"{TESTS}/kit/audited_warehouse.py:Shelf",
    "outside": f"{TESTS}/integration/outside/warehouse.py:WarehouseLifecycle",
    "toy": f"{TESTS}/engine/toy.py:ToyLifecycle",
}
ORDER = "0198f0a2-7c4e-7abc-9def-0123456789ab"


@pytest.fixture(params=LIFECYCLES)
def table(request: pytest.FixtureRequest) -> Table:
    return finding.find(LIFECYCLES[request.param])


def test_a_lifecycles_picture_is_clean(table: Table) -> None:
    """As it is drawn: styled, and flat as a png has it, light and dark."""
    drawing = draw(table)
    placed = place(drawing, wasi)
    for picture in (render(table, "svg"), svg(drawing, placed, LIGHT), svg(drawing, placed, DARK)):
        assert complaints(read(picture), drawing) == []


def test_the_picture_was_read_as_drawn(table: Table) -> None:
    """The reader of pictures sees every state, arrow, label, mark and frame: else it would complain of nothing."""
    drawing = draw(table)
    styled, flat = read(render(table, "svg")), read(svg(drawing, place(drawing, wasi), DARK))
    for picture in (styled, flat):
        assert len(picture.states) == len(drawing.nodes)
        assert len(picture.frames) == len(drawing.groups)
        assert {stroke.arrow for stroke in picture.strokes} == set(range(len(drawing.arrows)))
        for n, arrow in enumerate(drawing.arrows):
            said = [words.said for words in picture.words if words.arrow == n]
            assert f"mark of {n}" in said
            assert set(re.findall(r"\w+", " ".join(arrow.labels))) <= set(re.findall(r"\w+", " ".join(said)))
    assert [(words.said, words.arrow) for words in styled.words] == [(words.said, words.arrow) for words in flat.words]


JOURNEYS = {
    "ccv, not begun": ("ccv", "drafted", []),
    "ccv, jumped": ("ccv", "Canceled", JUMPED),
    "ccv, done": ("ccv", "Completed", path("submit drafted configuring", "seen_completed New Completed")),
    "ccv, overridden": ("ccv", "abandoned", path("override submitting abandoned override")),
    "connect, not begun": ("connect", "drafted", []),
    "connect, on its way": ("connect", "fulfilling", path("register drafted registering", "complete_by_url registered fulfilling")),
    "connect, jumped": ("connect", "fulfilled", path("seen_fulfilled registered fulfilled jump")),
    "connect, overridden": ("connect", "abandoned", path("override unknown abandoned override")),
}


@pytest.mark.parametrize("journey", JOURNEYS)
def test_an_orders_picture_is_clean(journey: str) -> None:
    """Its heading, with an id as long as ours are, included."""
    name, state, rows = JOURNEYS[journey]
    table = finding.find(name)
    walked = walk(draw(table), f"{name}-{ORDER}", state, rows)
    picture = read(render(table, "svg", walk=walked))
    assert any(ORDER in words.said for words in picture.words)
    assert complaints(picture, walked.drawing) == []


def test_a_long_heading_is_not_cut() -> None:
    table = finding.find(LIFECYCLES["outside"])
    for order in (f"warehouse-{ORDER}", f"warehouse-{'w' * 60}"):
        walked = walk(draw(table), order, "shipped", [])
        assert complaints(read(render(table, "svg", walk=walked)), walked.drawing) == []


def test_the_fewest_of_overrides_are_clean() -> None:
    """A cut of the slow test: from the beginning to anywhere."""
    table = finding.find("ccv")
    _overridden(table, [(table.initial, state) for state in list(table.states)[1::4]])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "source"), [(name, state) for name in ("ccv", "connect") for state in finding.find(name).states])
def test_no_override_draws_a_line_through_what_is_not_its_own(name: str, source: str) -> None:
    table = finding.find(name)
    _overridden(table, [(source, target) for target in table.states if target != source])


def _overridden(table: Table, moves: list[tuple[str, str]]) -> None:
    """Not strict: with an arrow across everything, a label may have to stand on a dashed frame or its own line."""
    drawing = draw(table)
    found = {}
    for source, target in moves:
        walked = walk(drawing, ORDER, target, [Row("override", source, target, "override")])
        assert len(walked.drawing.arrows) == len(drawing.arrows) + 1
        said = complaints(read(render(table, "svg", walk=walked)), walked.drawing, strict=False)
        if said:
            found[source, target] = said
    assert found == {}


# ── the complaints themselves: each sees what is done to a clean picture ────────────────────────────────────────────


def spoilt(arrow: int = 0, label: Box | None = None, state: Box | None = None) -> list[str]:
    """Complaints of CCV's picture with one label or the state ``New`` put elsewhere."""
    drawing = draw(finding.find("ccv"))
    placed = place(drawing, wasi)
    lines = list(placed.lines)
    if label and (own := lines[arrow].label):
        lines[arrow] = evolve(lines[arrow], label=evolve(own, box=evolve(own.box, x=label.x, y=label.y)))
    moved = evolve(placed, lines=tuple(lines), states={**placed.states, **({"New": state} if state else {})})
    assert faults(moved, inked) > faults(placed, inked) == 0 or state, "what chooses pictures sees it too"
    return complaints(read(svg(drawing, moved)), drawing)


def test_complaints_are_heard() -> None:
    drawing = draw(finding.find("ccv"))
    placed = place(drawing, wasi)
    processing, frame = placed.states["Processing"], next(iter(placed.groups.values()))
    assert any("lies on the box Processing" in said for said in spoilt(label=processing))
    other = placed.lines[1].label
    assert other is not None
    assert any(" lies on " in said for said in spoilt(label=other.box))
    (x, y) = placed.lines[5].points[len(placed.lines[5].points) // 2]
    assert any(said.startswith("arrow 5 runs through") for said in spoilt(label=Box(x - 30, y - 8, 0, 0)))
    assert any("across a frame" in said for said in spoilt(label=Box(frame.x - 30, frame.y + frame.height / 3, 0, 0)))
    assert any("is cut" in said for said in spoilt(label=Box(-60, 0, 0, 0)))
    assert any("runs through the box New" in said for said in spoilt(state=Box(x - 40, y - 20, 80, 40)))
    assert any("wider than its box" in said for said in spoilt(state=evolve(placed.states["New"], width=20)))
