"""The .sql files of the stores: how they are read, and that code and files agree."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orderflow._store import sql
from orderflow._store.postgres.queries import COMMIT_SQL
from orderflow._store.postgres.queries import SQL as POSTGRES_SQL
from orderflow._store.sql import choose_parts, load_statements
from orderflow._store.sqlite.queries import SQL as SQLITE_SQL
from orderflow.model import FLAGGING_REASONS, NOTIFY_LISTENER

STORE = Path(sql.__file__).parent
FILES = {"sqlite SQL": SQLITE_SQL, "postgres SQL": POSTGRES_SQL, "postgres COMMIT_SQL": COMMIT_SQL}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of an importable package ``statements``."""
    folder = tmp_path / "statements"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    sys.modules.pop("statements", None)


def _load(package: Path, text: str) -> dict[str, str]:
    (package / "queries.sql").write_text(text)
    return load_statements("statements", "queries.sql")


def test_a_statement_is_its_text_without_comments(package: Path) -> None:
    text = """\
-- What this file is.

-- load --
-- Why it is there.
-- More about it.
SELECT a,  -- a comment at the end of a line
    -- a comment of its own
    b FROM t

-- store --
-- Why.
INSERT INTO t VALUES (1)
"""
    assert _load(package, text) == {"load": "SELECT a,\n    b FROM t", "store": "INSERT INTO t VALUES (1)"}


def test_a_shared_part_is_put_where_it_is_named(package: Path) -> None:
    statements = _load(package, "-- columns --\n-- Part.\na, b\n-- load --\n-- Why.\nSELECT {columns} FROM t\n")
    assert statements["load"] == "SELECT a, b FROM t"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("-- load --\nSELECT 1\n", ValueError),
        ("-- load --\n-- Why.\nSELECT 1\n-- load --\n-- Why.\nSELECT 2\n", ValueError),
        ("-- load --\n-- Why.\nSELECT {columns}\n", KeyError),
    ],
    ids=["without a reason", "twice", "an unknown part"],
)
def test_a_file_that_breaks_the_form_is_refused(package: Path, text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        _load(package, text)


TEMPLATE = """\
SELECT a
    -- if b
    , b
    -- else
    , c
    -- end
FROM t
    -- if where
WHERE d
    -- end"""


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), "SELECT a , c FROM t"),
        (("b",), "SELECT a , b FROM t"),
        (("where",), "SELECT a , c FROM t WHERE d"),
        (("b", "where"), "SELECT a , b FROM t WHERE d"),
    ],
)
def test_optional_parts_are_chosen_by_name(parts: tuple[str, ...], expected: str) -> None:
    assert " ".join(choose_parts(TEMPLATE, parts).split()) == expected


def test_the_marks_of_optional_parts_survive_reading(package: Path) -> None:
    assert _load(package, f"-- t --\n-- Why.\n{TEMPLATE}\n")["t"] == TEMPLATE


# ── code and files agree ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_every_statement_is_used_and_every_statement_that_is_used_is_there(database: str) -> None:
    code = "\n".join(path.read_text() for path in (STORE / database).glob("*.py"))
    files = "\n".join(path.read_text() for path in (STORE / database).glob("*.sql"))
    there = {name for file, statements in FILES.items() if file.startswith(database) for name in statements}
    shared = set(re.findall(r"\{(\w+)\}", files))
    named = {name for name in there if f'"{name}"' in code}
    assert there - named == shared
    assert set(re.findall(r'SQL\["(\w+)"\]', code)) - there == set()


@pytest.mark.parametrize("file", FILES)
def test_constants_in_the_statements_are_those_of_the_model(file: str) -> None:
    text = "\n".join(FILES[file].values())
    names = set(re.findall(r"name (?:<>|=) '(\w+)'", text))
    assert names == {NOTIFY_LISTENER}
    for reasons in re.findall(r"reason IN \(([^)]*)\)", text):
        assert {reason.strip().strip("'") for reason in reasons.split(",")} == {reason.value for reason in FLAGGING_REASONS}
    assert file == "postgres COMMIT_SQL" or "reason IN (" in text


@pytest.mark.parametrize("file", FILES)
def test_optional_parts_begin_and_end(file: str) -> None:
    for name, statement in FILES[file].items():
        marks = [line.split()[1] for line in map(str.strip, statement.splitlines()) if re.fullmatch(r"-- (if \w+|else|end)", line)]
        assert re.fullmatch(r"(if (else )?end )*", "".join(f"{mark} " for mark in marks)), name
