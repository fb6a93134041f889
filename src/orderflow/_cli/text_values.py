"""From the text of a variable to the value of an argument. The conversion is cattrs'; which types text can give is decided here."""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from cattrs import Converter

_BOOLS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def takes_text(kind: Any) -> bool:
    """Whether text can give a value of this type: text, a number, a bool, a literal, a list of texts; or one of these or None."""
    if get_origin(kind) in (Union, UnionType):
        kinds = [part for part in get_args(kind) if part is not NoneType]
        return len(kinds) == 1 and takes_text(kinds[0])
    return kind in (str, int, float, bool) or _is_list(kind) or _is_literal(kind)


def parse_text(text: str, kind: Any) -> Any:
    """The value of this type that ``text`` gives.

    Raises:
        ValueError: there is none; the message says what the value must be, and does not show it.
    """
    return _CONVERTER.structure(text, kind)


def parse_list(text: str, _kind: Any = None) -> tuple[str, ...]:
    """The parts between commas or line ends, without white space around them; empty ones are left out."""
    return tuple(filter(None, (part.strip() for part in text.replace("\n", ",").split(","))))


def parse_keys(text: str) -> dict[str, str]:
    """Keys by their ids, from ``id=key,id=key``.

    Raises:
        ValueError: the text has another form.
    """
    pairs = [pair.partition("=") for pair in parse_list(text)]
    if not all(name and equals and key for name, equals, key in pairs):
        raise ValueError("must be id=key,id=key")
    return {name: key for name, _, key in pairs}


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is Sequence and get_args(kind) == (str,)


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _parse_literal(text: str, kind: Any) -> Any:
    if text not in get_args(kind):
        raise ValueError(f"must be one of {', '.join(map(str, get_args(kind)))}")
    return text


def _parse_bool(text: str, _kind: Any) -> bool:
    if text.lower() not in _BOOLS:
        raise ValueError(f"must be one of {', '.join(_BOOLS)}")
    return _BOOLS[text.lower()]


def _parse_number(text: str, kind: Any) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError("must be a number") from None  # the message of Python shows the text


def _make_converter() -> Converter:
    converter = Converter(detailed_validation=False)
    converter.register_structure_hook(bool, _parse_bool)
    converter.register_structure_hook(int, _parse_number)
    converter.register_structure_hook(float, _parse_number)
    converter.register_structure_hook_func(_is_list, parse_list)
    converter.register_structure_hook_func(_is_literal, _parse_literal)
    return converter


_CONVERTER = _make_converter()
