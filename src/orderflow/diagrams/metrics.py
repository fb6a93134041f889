"""How wide a text is in the shipped font. The only place that knows the font's files. Reads package data, nothing else.

The drawings' font is a subset of Inter (OFL, fonts/OFL.txt): Basic Latin, Latin-1, dashes, quotes, arrows. Widths come
from its own table, never from a font of this machine, so that every machine draws the same.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path

REGULAR, MEDIUM, SEMIBOLD = 400, 500, 600
FAMILY = "Inter"
_FONTS = files("orderflow.diagrams") / "fonts"
_NAMES = ("Inter-Regular.ttf", "Inter-Medium.ttf", "Inter-SemiBold.ttf")
_UNKNOWN = 1000  # a character the font lacks: somebody else's font draws it, a full em wide at most


@cache
def _advances() -> dict[int, dict[str, int]]:
    """Thousandths of an em by weight and character."""
    read = json.loads((_FONTS / "advances.json").read_text(encoding="ascii"))
    return {int(weight): table for weight, table in read.items()}


def width(text: str, size: float, weight: int = REGULAR) -> float:
    """The width in px of a line of text at ``size`` px."""
    table = _advances()[weight]
    return sum(table.get(character, _UNKNOWN) for character in text) * size / 1000


def wrapped(text: str, limit: float, size: float, weight: int = REGULAR) -> tuple[str, ...]:
    """The lines of a text, none wider than ``limit`` px unless a single word is."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width(longer, size, weight) <= limit:
            lines[-1] = longer
        else:
            lines.append(word)
    return tuple(lines)


def missing(text: str) -> str:
    """The characters of a text that the shipped font cannot draw, each once, in order."""
    table = _advances()[REGULAR]
    return "".join(dict.fromkeys(character for character in text if character not in table))


def font_files() -> list[str]:
    """Where the fonts are on this disk."""
    return [str(Path(str(_FONTS / name))) for name in _NAMES]
