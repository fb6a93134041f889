"""Checks of what callers give: ids, names, numbers, keys, texts, JSON values. Knows no provider.

A check raises ``InvalidInput`` with the field and the reason, and quotes no value. What cannot exist is ``UnknownName``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal

from orderflow.errors import InvalidInput, UnknownName

MAX_COUNT = 1_000_000
"""The most orders that one call lists."""

MAX_SECONDS = 1e9
"""The longest time that a caller can give: 31 years."""

MAX_VERSION = 2**31 - 1
"""The highest version that a database can store."""

MAX_ID_LENGTH = 500
"""The most characters of a provider's id: ids are unique, and PostgreSQL's index takes no more than 2,704 bytes."""

MAX_NAME_LENGTH = 255
"""The most characters of an order's id, a state or a provider's name."""

_MAX_DEPTH = 50
_MAX_PATH_SHOWN = 100
_MAX_KEY_LENGTH = 200
_MAX_TEXT_LENGTH = 4000
_MAX_BITS = 1023  # a larger int is no float


def reject_unknown(given: Mapping[str, object], known: Iterable[str]) -> None:
    """Refuse a name that is not among the known ones: it would have no effect.

    Raises:
        InvalidInput: names the first unknown argument.
    """
    known = tuple(known)
    for name in given:
        if name not in known:
            hint = f"known: {', '.join(known)}" if known else "none is taken"
            raise InvalidInput(name, f"unknown argument ({hint})")


def get_text(given: Mapping[str, object], name: str) -> str:
    """A text that must be there, as it was given.

    Raises:
        InvalidInput: missing, blank or not text.
    """
    return _check_text(name, given.get(name))


def get_id(given: Mapping[str, object], name: str) -> str:
    """An id that a person may have typed or pasted, without white space at its ends.

    Raises:
        InvalidInput: missing, not text, too long, or holding white space or characters that cannot be seen.
    """
    return check_id(name, given.get(name))


def check_id(field: str, value: object) -> str:
    """``get_id`` for a value that is in hand."""
    text = require_text(field, value)
    if len(text) > MAX_ID_LENGTH:
        raise InvalidInput(field, f"must have at most {MAX_ID_LENGTH} characters")
    if not text.isprintable() or any(character.isspace() for character in text):
        raise InvalidInput(field, "must be one id, without white space or control characters in it")
    return text


def check_order_id(value: object) -> str:
    """The id of an order that is looked for, as it was given. It may be any text: applications take it from their URLs.

    Raises:
        InvalidInput: it is not text; UnknownName: no order can have it.
    """
    if not isinstance(value, str):
        raise InvalidInput("order_id", f"must be text, got {_type_name(value)}: pass order.id")
    return check_name("order_id", "order", value)


def check_name(field: str, kind: str, value: object) -> str:
    """The name of something that is looked for, such as a state, as it was given. ``kind``: of what, for the message.

    Raises:
        InvalidInput: it is not text; UnknownName: nothing can have it.
    """
    if not isinstance(value, str):
        raise InvalidInput(field, f"must be text, got {_type_name(value)}")
    if len(value) > MAX_NAME_LENGTH or not _is_storable(value):
        raise UnknownName(kind, value)
    return value


def check_key(value: object) -> str:
    """An idempotency key, as it was given.

    Raises:
        InvalidInput: not text, empty, too long, or holding characters that cannot be stored.
    """
    if not isinstance(value, str):
        raise InvalidInput("key", f"must be text, got {_type_name(value)}")
    if not 0 < len(value) <= _MAX_KEY_LENGTH:
        raise InvalidInput("key", f"required, as text of 1 to {_MAX_KEY_LENGTH} characters")
    check_json("key", value)
    return value


def check_whole(field: str, value: object, least: int, most: int) -> int:
    """A whole number within bounds.

    Raises:
        InvalidInput: something else was given. True and False are no numbers.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(field, f"must be a whole number, got {_type_name(value)}")
    if not least <= value <= most:
        raise InvalidInput(field, f"must be between {least} and {most}")
    return value


def check_seconds(field: str, value: object) -> float:
    """A number of seconds, from 0 to ``MAX_SECONDS``.

    Raises:
        InvalidInput: something else was given. True, False and NaN are no numbers.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(field, f"must be a number of seconds, got {_type_name(value)}")
    if not 0 <= value <= MAX_SECONDS:
        raise InvalidInput(field, f"must be a number of seconds between 0 and {MAX_SECONDS:.0f}")
    return float(value)


def get_flag(given: Mapping[str, object], name: str, default: bool = False) -> bool:
    """A bool, or the default where it is missing or null.

    Raises:
        InvalidInput: something else was given.
    """
    value = given.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InvalidInput(name, f"must be true or false, got {_type_name(value)}")
    return value


def get_object(given: Mapping[str, object], name: str) -> Mapping[str, object]:
    """A JSON object that must be there.

    Raises:
        InvalidInput: missing, or something else.
    """
    value = given.get(name)
    if value is None:
        raise InvalidInput(name, "required, as a JSON object")
    if not isinstance(value, Mapping):
        raise InvalidInput(name, f"must be a JSON object, got {_type_name(value)}")
    return value


def require_text(field: str, value: object) -> str:
    """A text that can be stored, without white space at its ends.

    Raises:
        InvalidInput: missing, blank, not text, too long, or holding characters that cannot be stored.
    """
    text = _check_text(field, value).strip()
    if len(text) > _MAX_TEXT_LENGTH:
        raise InvalidInput(field, f"must have at most {_MAX_TEXT_LENGTH} characters")
    check_json(field, text)
    return text


def check_json(name: str, value: object) -> None:
    """Check that a value can be stored and sent: JSON or Decimal, finite, text that UTF-8 can carry.

    Raises:
        InvalidInput: names the part at fault by its path.
    """
    _check_json(name, value, 0)


def to_json_data(data: Mapping[str, object]) -> dict[str, object]:
    """A provider's data as it is stored: a Decimal becomes a number, a tuple a list.

    Raises:
        InvalidInput: names a value that cannot be stored.
    """
    return {name: _to_json_value(name, value) for name, value in data.items()}


def _to_json_value(path: str, value: object) -> object:
    if not isinstance(value, str) and isinstance(value, Mapping):
        return {name: _to_json_value(f"{path}.{name}", part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json_value(path, part) for part in value]
    if problem := _leaf_problem(value):
        raise InvalidInput(path[:_MAX_PATH_SHOWN], problem)
    if isinstance(value, Decimal):
        return decimal_to_number(value)
    return value


def decimal_to_number(value: Decimal) -> float:
    """A Decimal as a JSON number.

    Raises:
        ValueError: it is not finite, or too large for one.
    """
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("no finite number")
    return int(value) if value == value.to_integral_value() else number


def _check_json(path: str, value: object, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise InvalidInput(path[:_MAX_PATH_SHOWN], f"nested more than {_MAX_DEPTH} deep")
    if not isinstance(value, str) and isinstance(value, Mapping):
        for key, part in value.items():
            if not isinstance(key, str) or not _is_storable(key):
                raise InvalidInput(path, "has a name that is no text")
            _check_json(f"{path}.{key}", part, depth + 1)
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            _check_json(f"{path}[{index}]", part, depth + 1)
    elif problem := _leaf_problem(value):
        raise InvalidInput(path, problem)


def _leaf_problem(value: object) -> str:
    if isinstance(value, str):
        return "" if _is_storable(value) else "holds characters that no text can carry"
    if isinstance(value, Decimal):
        return _decimal_problem(value)
    if isinstance(value, float):
        return "" if math.isfinite(value) else "must be a finite number"
    if isinstance(value, int):
        return "" if value.bit_length() <= _MAX_BITS else "is too large for a JSON number"
    return "" if value is None else "is no JSON value"


def _decimal_problem(value: Decimal) -> str:
    """JSON has no Decimal, and most programs read its numbers as floats."""
    if not value.is_finite():
        return "must be a finite number"
    return "" if Decimal(repr(float(value))) == value else "has more digits than a JSON number carries: round it"


def _is_storable(text: str) -> bool:
    """Whether a text is free of NUL (PostgreSQL stores none) and of lone surrogates (UTF-8 has none)."""
    return "\0" not in text and (text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text))


def _check_text(name: str, value: object) -> str:
    if value is not None and not isinstance(value, str):
        raise InvalidInput(name, f"must be text, got {_type_name(value)}")
    if value is None or not value.strip():
        raise InvalidInput(name, "required, as non-empty text")
    return value


def _type_name(value: object) -> str:
    return type(value).__name__
