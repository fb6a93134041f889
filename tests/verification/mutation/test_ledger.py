"""The ledger is true: every fault in it makes its test fail, and every test passes without. Slow: each runs in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
LEDGER: dict[str, list[dict[str, Any]]] = tomllib.loads((Path(__file__).parent / "ledger.toml").read_text())
FAULTS = LEDGER["fault"]
PYTEST = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-k", "not postgres")


def copy_checkout(where: Path) -> Path:
    """Copy the sources and the tests of this checkout."""
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, where / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", where)
    return where


def run_tests(where: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run the named tests on the copy's source; the editable install must not win over it."""
    environment = {**os.environ, "PYTHONPATH": str(where / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    for name in [name for name in environment if name.startswith(("PYTEST_", "COV_"))]:
        del environment[name]
    return subprocess.run([*PYTEST, *tests], cwd=where, env=environment, capture_output=True, text=True, timeout=240, check=False)


def apply_fault(where: Path, fault: dict[str, Any]) -> None:
    """Put the fault into the copy."""
    path = where / "src/orderflow" / fault["file"]
    text = path.read_text()
    imports = "from __future__ import annotations\n"
    assert text.count(imports) == (path.suffix == ".py")  # a file of SQL imports nothing
    path.write_text(text.replace(fault["old"], fault["new"]).replace(imports, imports + fault.get("define", "")))


@pytest.mark.parametrize("entry", [*FAULTS, *LEDGER["survivor"]], ids=lambda entry: entry["name"])
def test_an_entry_names_a_line_and_a_test_that_are_there(entry):
    text = (ROOT / "src/orderflow" / entry["file"]).read_text()
    assert text.count(entry["old"]) == 1
    path, _, test = entry["test"].partition("::")
    assert (ROOT / path).exists()
    assert not test or f"def {test}(" in (ROOT / path).read_text()
    assert "reason" in entry or entry in FAULTS


def test_every_name_is_given_once():
    names = [entry["name"] for entry in (*FAULTS, *LEDGER["survivor"])]
    assert len(set(names)) == len(names) >= 25


@pytest.mark.slow
def test_without_a_fault_every_named_test_passes(tmp_path):
    result = run_tests(copy_checkout(tmp_path), *sorted({fault["test"] for fault in FAULTS}))
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["name"])
def test_a_fault_is_killed_by_the_test_that_is_named(fault, tmp_path):
    where = copy_checkout(tmp_path)
    apply_fault(where, fault)
    result = run_tests(where, fault["test"])
    assert result.returncode == 1, f"survived: {result.stdout}{result.stderr}"
    assert "passed" not in result.stdout.splitlines()[-1] or "failed" in result.stdout.splitlines()[-1]
    assert "ImportError" not in result.stdout
