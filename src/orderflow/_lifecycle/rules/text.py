"""What counts as a name and as prose. A name is stored, drawn and printed in one line; prose is shown only."""

from __future__ import annotations

MAX_NAME = 120


def is_name(text: object) -> bool:
    """One line of 1 to ``MAX_NAME`` printable characters, no space at either end."""
    return isinstance(text, str) and 0 < len(text) <= MAX_NAME and text.isprintable() and text.strip() == text


def is_prose(text: object) -> bool:
    """Printable characters and line breaks."""
    return isinstance(text, str) and text.replace("\n", "").isprintable()


def describe(given: object) -> str:
    """What was given instead, in an explanation: text and numbers as they are, anything else by its type."""
    if isinstance(given, str | int | float | None):
        shown = repr(given)
        return shown if len(shown) <= MAX_NAME else f"{shown[:MAX_NAME]}..."
    return f"a {type(given).__name__}"
