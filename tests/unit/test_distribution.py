"""One name on the package index, one set of extras: in pyproject.toml, source, README, docs and Makefile."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from orderflow._distribution import DISTRIBUTION, UNKNOWN_VERSION, describe_install, read_version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = set(PROJECT["optional-dependencies"])
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TEXTS = [
    *SOURCES,
    *sorted(path for folder in ("src", "docs") for path in (ROOT / folder).rglob("*.md")),
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Makefile", "pyproject.toml")),
]


def extras_of_calls(source: str) -> Iterator[str]:
    """The extra that each call of ``describe_install`` names."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="describe_install"), args=[ast.Constant(value=str(extra))]):
                yield extra


def test_the_constant_is_the_name_of_the_project() -> None:
    assert PROJECT["name"] == DISTRIBUTION


def test_only_one_module_spells_the_name() -> None:
    spelt = [path for path in SOURCES if DISTRIBUTION in path.read_text()]
    assert spelt == [ROOT / "src" / "orderflow" / "_distribution.py"]


def test_every_extra_that_is_named_exists() -> None:
    named = {
        (path.relative_to(ROOT).as_posix(), extra)
        for path in TEXTS
        for extras in re.findall(rf"(?:{DISTRIBUTION}|-e '?\.)\[([^\]]*)\]", path.read_text())
        for extra in re.split(r",\s*", extras)
    }
    assert {"README.md", "Makefile", "docs/how-to/draw-diagrams.md"} <= {path for path, _ in named}
    assert {(path, extra) for path, extra in named if extra not in EXTRAS} == set()


def test_every_extra_of_a_message_exists() -> None:
    named = {(path.name, extra) for path in SOURCES for extra in extras_of_calls(path.read_text())}
    assert {extra for _, extra in named} >= {"cli", "simulate", "worker", "postgres", "diagrams"}
    assert {(path, extra) for path, extra in named if extra not in EXTRAS} == set()
    calls = sum(path.read_text().count("describe_install(") for path in SOURCES)
    assert calls == 1 + sum(len(list(extras_of_calls(path.read_text()))) for path in SOURCES), "give the extra as a literal"


def test_the_readme_names_every_extra() -> None:
    readme = (ROOT / "README.md").read_text()
    assert {extra for extra in EXTRAS if not re.search(rf"\b{extra}\b", readme)} == set()


def test_the_name_that_belongs_to_another_project_is_never_installed() -> None:
    bare = re.compile(r"pip install\b[^\n|]*?(?<![-\w./])orderflow(?!-engine)\b|(?<![-\w])orderflow\[")
    found = [(path.relative_to(ROOT).as_posix(), match[0]) for path in TEXTS for match in bare.finditer(path.read_text())]
    assert found == []


def test_a_message_quotes_the_extra_for_every_shell() -> None:
    assert describe_install("cli") == "pip install 'orderflow-engine[cli]'"


def test_the_version_is_that_of_the_installed_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", {DISTRIBUTION: "7.0"}.__getitem__)
    assert read_version() == "7.0"


def test_a_source_tree_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", refuse)
    assert read_version() == UNKNOWN_VERSION
