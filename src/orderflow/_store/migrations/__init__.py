"""The schema as numbered .sql files, one folder a database, forward only. What may live here: these files, and reading them.

A file that was released is not changed, but for its comments.
"""

from __future__ import annotations

from importlib.resources import files


def migrations(database: str) -> list[tuple[int, str]]:
    """(number, script) of every migration of a database, in order."""
    folder = files(__name__) / database
    scripts = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    return [(int(entry.name.removesuffix(".sql")), entry.read_text(encoding="utf-8")) for entry in scripts]
