"""The width of a text in the shipped font. The only module that knows the font's files. Reads package data, nothing else.

The font is a subset of Inter (OFL, fonts/OFL.txt): Basic Latin, Latin-1, dashes, quotes, arrows. Widths come from its own table, never
from a font of the machine. So every machine draws the same.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path

REGULAR, MEDIUM, SEMIBOLD = 400, 500, 600
FAMILY = "Inter"
_FONTS = files("orderflow._diagrams") / "fonts"
_FILE_NAMES = ("Inter-Regular.ttf", "Inter-Medium.ttf", "Inter-SemiBold.ttf")
_UNKNOWN_ADVANCE = 1000  # of a character that the font lacks: another font draws it, at most one em wide


@cache
def _load_advances() -> dict[int, dict[str, int]]:
    """The widths of characters, in thousandths of an em, by weight and character."""
    advances = json.loads((_FONTS / "advances.json").read_text(encoding="ascii"))
    return {int(weight): table for weight, table in advances.items()}


def measure_width(text: str, size: float, weight: int = REGULAR) -> float:
    """Return the width in px of a line of text with font size ``size`` in px."""
    advances = _load_advances()[weight]
    return sum(advances.get(character, _UNKNOWN_ADVANCE) for character in text) * size / 1000


def wrap_text(text: str, limit: float, size: float, weight: int = REGULAR) -> tuple[str, ...]:
    """Return the lines of a text. No line is wider than ``limit`` px, except for a longer token without spaces."""
    lines: list[str] = []
    for token in text.split():
        longer = f"{lines[-1]} {token}" if lines else token
        if lines and measure_width(longer, size, weight) <= limit:
            lines[-1] = longer
        else:
            lines.append(token)
    return tuple(lines)


def find_missing(text: str) -> str:
    """Return the characters of a text that the shipped font lacks, each once, in order."""
    advances = _load_advances()[REGULAR]
    return "".join(dict.fromkeys(character for character in text if character not in advances))


def list_font_files() -> list[str]:
    """Return the paths of the font's files."""
    return [str(Path(str(_FONTS / name))) for name in _FILE_NAMES]
