"""Checking what a caller gave: shared by the providers' manifests. Knows no provider."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from orderflow.errors import InvalidInput


def only(given: Mapping[str, object], known: Iterable[str]) -> None:
    """Refuse arguments that nobody would read.

    Raises:
        InvalidInput: names the first unknown argument.
    """
    allowed = tuple(known)
    for name in given:
        if name not in allowed:
            hint = f"known: {', '.join(allowed)}" if allowed else "none is taken"
            raise InvalidInput(name, f"unknown argument ({hint})")


def required_text(given: Mapping[str, object], name: str) -> str:
    """A non-empty text.

    Raises:
        InvalidInput: missing, empty or no text.
    """
    value = given.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(name, "required, as non-empty text")
    return value


def optional_flag(given: Mapping[str, object], name: str, default: bool = False) -> bool:
    """A bool.

    Raises:
        InvalidInput: neither true nor false.
    """
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise InvalidInput(name, "must be true or false")
    return value


def json_object(given: Mapping[str, object], name: str) -> Mapping[str, object]:
    """A JSON object.

    Raises:
        InvalidInput: missing, or something else.
    """
    value = given.get(name)
    if not isinstance(value, Mapping):
        raise InvalidInput(name, "required, as a JSON object")
    return value


_DEEPEST = 50


_NAME_SHOWN = 100


def check_json(name: str, value: object, depth: int = 0) -> None:
    """Check that a caller's value can be stored and sent: JSON (or Decimal), finite, text that UTF-8 can carry.

    Raises InvalidInput naming the part at fault by its path.
    """
    if depth > _DEEPEST:
        raise InvalidInput(name[:_NAME_SHOWN], f"nested more than {_DEEPEST} deep")
    if not isinstance(value, str) and isinstance(value, Mapping):
        for key, part in value.items():
            if not isinstance(key, str) or not _carried(key):
                raise InvalidInput(name, "has a name that is no text")
            check_json(f"{name}.{key}", part, depth + 1)
    elif isinstance(value, list | tuple):
        for n, part in enumerate(value):
            check_json(f"{name}[{n}]", part, depth + 1)
    elif problem := _leaf_problem(value):
        raise InvalidInput(name, problem)


def _leaf_problem(value: object) -> str:
    if isinstance(value, str):
        return "" if _carried(value) else "holds characters that no text can carry"
    if isinstance(value, float | Decimal):
        return "" if math.isfinite(value) else "must be a finite number"
    return "" if value is None or isinstance(value, int) else "is no JSON value"


def _carried(text: str) -> bool:
    """Whether text is without NUL (PostgreSQL stores none) and lone surrogates (UTF-8 has none)."""
    return "\0" not in text and (text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text))


def require_text(field: str, value: Any) -> str:
    """A text that must not be missing.

    Raises:
        InvalidInput: it is.
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(field, "required, as non-empty text")
    check_json(field, value)
    return value.strip()
