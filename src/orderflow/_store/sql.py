"""Reads the SQL of the stores from .sql files. No statement and no connection lives here.

A file is a list of statements. Each begins with its name and with a line that says why it is there:

    -- load_order --
    -- One order as it stands.
    SELECT ... FROM of_orders WHERE id = $1

``{name}`` in a statement stands for an earlier statement of the same file: a part that several statements share.
A statement may have optional parts. Their marks stand on lines of their own: ``-- if <part>``, ``-- else``, ``-- end``. They do not nest.
All other comments are for readers of the file. The database never sees them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from importlib.resources import files

_NAME = re.compile(r"^-- (\w+) --\n", re.MULTILINE)
_MARK = re.compile(r"-- (?:(if) (\w+)|(else)|(end))")
_COMMENT = re.compile(r"\s*--.*")
_SHARED = re.compile(r"\{(\w+)\}")


def load_statements(package: str, file: str) -> dict[str, str]:
    """The statements of a file, by name.

    Raises:
        ValueError: a statement is given twice, or has no line that says why; KeyError: a shared part is not in the file before it is used.
    """
    _, *entries = _NAME.split(files(package).joinpath(file).read_text(encoding="utf-8"))
    statements: dict[str, str] = {}
    for name, text in zip(entries[::2], entries[1::2], strict=True):
        if name in statements or not text.startswith("-- "):
            raise ValueError(f"{file}: {name}: is given twice, or has no line that says why")
        statements[name] = "\n".join(_insert_shared(line, statements) for line in _remove_comments(text))
    return statements


def _remove_comments(text: str) -> list[str]:
    lines = (line if _MARK.fullmatch(line.strip()) else _COMMENT.sub("", line) for line in text.splitlines())
    return [line for line in lines if line.strip()]


def _insert_shared(line: str, statements: Mapping[str, str]) -> str:
    indentation = line[: len(line) - len(line.lstrip())]
    return _SHARED.sub(lambda shared: statements[shared[1]].replace("\n", f"\n{indentation}"), line)


def choose_parts(statement: str, parts: Collection[str]) -> str:
    """The statement with these optional parts, and without all others."""
    chosen: list[str] = []
    wanted = True
    for line in statement.splitlines():
        mark = _MARK.fullmatch(line.strip())
        if mark is None:
            if wanted:
                chosen.append(line)
        elif mark[1]:
            wanted = mark[2] in parts
        else:
            wanted = bool(mark[4]) or not wanted
    return "\n".join(chosen)
