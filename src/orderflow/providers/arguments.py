"""Checking what a caller gave: shared by the providers' manifests. Knows no provider."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
