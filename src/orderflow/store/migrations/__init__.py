"""The schema as numbered .sql files, one folder a database; forward only. What may live here: files, and reading them."""

from __future__ import annotations

from importlib.resources import files


def migrations(database: str) -> list[tuple[int, str]]:
    """(number, statements) of every migration of a database, in order."""
    folder = files(__name__) / database
    found = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    return [(int(entry.name.removesuffix(".sql")), entry.read_text(encoding="utf-8")) for entry in found]
