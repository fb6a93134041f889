"""Nothing on a picture overlaps, is crossed or is cut off: read from the SVG of several lifecycles, and of orders on them.

An override is an arrow that no lifecycle has. The tests of all overrides between any two states are ``slow``.
"""

import re
from pathlib import Path

import pytest
from attrs import evolve
from tests.kit.journal_rows import JUMPED, Row, make_rows
from tests.kit.picture import list_defects, read_picture

from orderflow._cli import lifecycle_lookup
from orderflow._diagrams.geometry import Box, compute_point, count_faults
from orderflow._diagrams.labels import get_text_box
from orderflow._diagrams.layout import run_wasm_graphviz
from orderflow._diagrams.palette import DARK, LIGHT
from orderflow._diagrams.place import place_drawing
from orderflow._diagrams.svg import build_svg
from orderflow._lifecycle.table import Table
from orderflow.diagrams import build_drawing, render, trace_order

TESTS = Path(__file__).parents[2]
LIFECYCLES = {
    "ccv": "ccv",
    "connect": "connect",
    "fan": f"{TESTS}/kit/lifecycles.py:Fan",
    "hostile": f"{TESTS}/kit/lifecycles.py:Hostile",
    "parcels": f"{TESTS}/kit/audited_warehouse.py:Warehouse",
    "shelf": f"{TESTS}/kit/audited_warehouse.py:Shelf",
    "outside": f"{TESTS}/kit/packages/warehouse.py:WarehouseLifecycle",
    "toy": f"{TESTS}/kit/toy.py:ToyLifecycle",
}
ORDER = "0198f0a2-7c4e-7abc-9def-0123456789ab"


@pytest.fixture(params=LIFECYCLES)
def table(request: pytest.FixtureRequest) -> Table:
    return lifecycle_lookup.find(LIFECYCLES[request.param])


def test_the_picture_of_a_lifecycle_has_no_defects(table: Table) -> None:
    """Styled, and flat as for a png, light and dark."""
    drawing = build_drawing(table)
    placement = place_drawing(drawing, run_wasm_graphviz)
    for picture in (render(table, "svg"), build_svg(drawing, placement, LIGHT), build_svg(drawing, placement, DARK)):
        assert list_defects(read_picture(picture), drawing) == []


def test_a_picture_is_read_completely(table: Table) -> None:
    """The reader of pictures finds every state, arrow, label, mark and frame. Otherwise it could find no defects."""
    drawing = build_drawing(table)
    styled, flat = read_picture(render(table, "svg")), read_picture(build_svg(drawing, place_drawing(drawing, run_wasm_graphviz), DARK))
    for picture in (styled, flat):
        assert len(picture.states) == len(drawing.nodes)
        assert len(picture.frames) == len(drawing.groups)
        assert {stroke.arrow for stroke in picture.strokes} == set(range(len(drawing.arrows)))
        for n, arrow in enumerate(drawing.arrows):
            texts = [text.content for text in picture.texts if text.arrow == n]
            assert f"mark of {n}" in texts
            assert set(re.findall(r"\w+", " ".join(arrow.labels))) <= set(re.findall(r"\w+", " ".join(texts)))
    assert [(text.content, text.arrow) for text in styled.texts] == [(text.content, text.arrow) for text in flat.texts]


PATHS = {
    "ccv, new": ("ccv", "drafted", []),
    "ccv, jumped": ("ccv", "Canceled", JUMPED),
    "ccv, done": ("ccv", "Completed", make_rows("submit drafted configuring", "seen_completed New Completed")),
    "ccv, overridden": ("ccv", "abandoned", make_rows("override submitting abandoned override")),
    "connect, new": ("connect", "drafted", []),
    "connect, under way": ("connect", "fulfilling", make_rows("register drafted registering", "complete_by_url registered fulfilling")),
    "connect, jumped": ("connect", "fulfilled", make_rows("seen_fulfilled registered fulfilled jump")),
    "connect, overridden": ("connect", "abandoned", make_rows("override unknown abandoned override")),
}


@pytest.mark.parametrize("case", PATHS)
def test_the_picture_of_an_order_has_no_defects(case: str) -> None:
    """With its heading, which has an id of the usual length."""
    name, state, rows = PATHS[case]
    table = lifecycle_lookup.find(name)
    order_path = trace_order(build_drawing(table), f"{name}-{ORDER}", state, rows)
    picture = read_picture(render(table, "svg", path=order_path))
    assert any(ORDER in text.content for text in picture.texts)
    assert list_defects(picture, order_path.drawing) == []


def test_a_long_heading_is_not_cut_off() -> None:
    table = lifecycle_lookup.find(LIFECYCLES["outside"])
    for order in (f"warehouse-{ORDER}", f"warehouse-{'w' * 60}"):
        order_path = trace_order(build_drawing(table), order, "shipped", [])
        assert list_defects(read_picture(render(table, "svg", path=order_path)), order_path.drawing) == []


def test_overrides_out_of_the_initial_state_have_no_defects() -> None:
    """A part of the slow test."""
    table = lifecycle_lookup.find("ccv")
    _assert_no_defects(table, [(table.initial, state) for state in list(table.states)[1::4]])


def test_an_override_for_which_the_first_arrangements_do_not_suffice_has_no_defects() -> None:
    """In the best of them, its line runs through the label of another arrow."""
    table = lifecycle_lookup.find("connect")
    _assert_no_defects(table, [(table.initial, "user_assigned")])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "source"), [(name, state) for name in ("ccv", "connect") for state in lifecycle_lookup.find(name).states])
def test_overrides_have_no_defects(name: str, source: str) -> None:
    table = lifecycle_lookup.find(name)
    _assert_no_defects(table, [(source, target) for target in table.states if target != source])


def _assert_no_defects(table: Table, moves: list[tuple[str, str]]) -> None:
    """Not strict: beside a long arrow, a label may have to stand on a dashed frame or on its own line."""
    drawing = build_drawing(table)
    defects = {}
    for source, target in moves:
        order_path = trace_order(drawing, ORDER, target, [Row("override", source, target, "override")])
        assert len(order_path.drawing.arrows) == len(drawing.arrows) + 1
        order_defects = list_defects(read_picture(render(table, "svg", path=order_path)), order_path.drawing, strict=False)
        if order_defects:
            defects[source, target] = order_defects
    assert defects == {}


# ── the defects: each is found in a picture that has it ─────────────────────────────────────────────────────────────────


def list_defects_after(arrow: int = 0, label: Box | None = None, state: Box | None = None) -> list[str]:
    """The defects of CCV's picture after a label, or the state ``New``, was moved."""
    drawing = build_drawing(lifecycle_lookup.find("ccv"))
    placement = place_drawing(drawing, run_wasm_graphviz)
    lines = list(placement.lines)
    if label and (old := lines[arrow].label):
        lines[arrow] = evolve(lines[arrow], label=evolve(old, box=evolve(old.box, x=label.x, y=label.y)))
    moved = evolve(placement, lines=tuple(lines), states={**placement.states, **({"New": state} if state else {})})
    assert count_faults(moved, get_text_box) > count_faults(placement, get_text_box) == 0 or state, "the cost of the picture counts it too"
    return list_defects(read_picture(build_svg(drawing, moved)), drawing)


def test_every_defect_is_found() -> None:
    drawing = build_drawing(lifecycle_lookup.find("ccv"))
    placement = place_drawing(drawing, run_wasm_graphviz)
    processing, frame = placement.states["Processing"], next(iter(placement.groups.values()))
    assert any("lies on the box Processing" in defect for defect in list_defects_after(label=processing))
    other = placement.lines[1].label
    assert other is not None
    assert any(" lies on " in defect for defect in list_defects_after(label=other.box))
    (x, y) = placement.lines[5].points[len(placement.lines[5].points) // 2]
    assert any(defect.startswith("arrow 5 runs through") for defect in list_defects_after(label=Box(x - 30, y - 8, 0, 0)))
    assert any("lies on a frame" in defect for defect in list_defects_after(label=Box(frame.x - 30, frame.y + frame.height / 3, 0, 0)))
    assert any("is cut off" in defect for defect in list_defects_after(label=Box(-60, 0, 0, 0)))
    assert any("runs through the box New" in defect for defect in list_defects_after(state=Box(x - 40, y - 20, 80, 40)))
    assert any("wider than its box" in defect for defect in list_defects_after(state=evolve(placement.states["New"], width=20)))


def test_a_label_on_its_own_arrow_or_on_a_frame_can_still_be_read() -> None:
    """Those faults count, but they are not serious: no further arrangements are tried for them."""
    drawing = build_drawing(lifecycle_lookup.find("ccv"))
    placement = place_drawing(drawing, run_wasm_graphviz)
    label, frame = placement.lines[0].label, next(iter(placement.groups.values()))
    assert label is not None

    def count_after(centre: tuple[float, float]) -> tuple[int, int]:
        box = Box(centre[0] - 12, centre[1] - 4, 20, 8)
        lines = (evolve(placement.lines[0], label=evolve(label, box=box)), *placement.lines[1:])
        moved = evolve(placement, lines=lines)
        return count_faults(moved, get_text_box), count_faults(moved, get_text_box, serious_only=True)

    own, other = (compute_point(placement.lines[n].points[:4], 0.5) for n in (0, 5))
    assert count_after(own) == (1, 0)
    assert count_after((frame.x, frame.y + frame.height / 3)) == (1, 0)
    assert count_after(other)[1] > 0
