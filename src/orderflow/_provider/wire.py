"""Records on the wire: JSON in, attrs objects out, and back, without losing a field.

A record is a frozen attrs class with fields in snake_case. Its JSON names are the camelCase of these, unless a field carries
``metadata=json_name(...)``. A field called ``extra`` (``Mapping[str, object]``) collects the JSON fields that the record does not
name; ``to_json`` puts them back. An open enum is typed ``Kind | str`` with ``Kind`` a StrEnum: an unknown value stays a plain str.
Lists are ``tuple[X, ...]``; free JSON is ``object`` or ``Mapping[str, object]``.

What a caller gives is checked whole (``parse_input``). Of a provider's answer only the fields that decide are checked
(``parse_record``): those without a default, and those marked ``strict()``. Any other field that does not have its type stays as it came,
in ``extra``, and the record has the default.

Contains only: names in JSON, unknown fields, open enums, strict primitive types, and errors that name the wrong field.
No field of a provider, and no HTTP.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from enum import Enum, StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import BaseValidationError, ClassValidationError, Converter, IterableValidationError
from cattrs.gen import make_dict_structure_fn, override

from orderflow.errors import InvalidInput, MalformedAnswer

T = TypeVar("T")

EXTRA = "extra"
_EXTRA_KEY = "\0extra"  # no provider uses this name, so a JSON field "extra" of theirs is not mistaken for ours
_LARGEST = 2**53
_JSON_NAME = "orderflow.json_name"
_MUST_FIT = "orderflow.strict"
_AS_TEXT = "orderflow.as_text"
_PRIMITIVES: Mapping[Any, tuple[tuple[type, ...], str]] = {
    str: ((str,), "text"),
    int: ((int,), "a whole number"),
    float: ((int, float, Decimal), "a number"),
    bool: ((bool,), "true or false"),
}


@attrs.frozen
class _Misfit:
    """Why a value is not a record: pairs of JSON path and reason. The path is empty for the value itself."""

    problems: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "; ".join(f"{path}: {reason}" if path else reason for path, reason in self.problems)


class _WrongShape(Exception):
    """A value does not have the documented shape. The message never quotes the value."""


def json_name(name: str, *aliases: str) -> dict[str, Any]:
    """attrs metadata: the field is written as ``name``, and is also read under the aliases."""
    return {_JSON_NAME: (name, *aliases)}


def strict() -> dict[str, Any]:
    """attrs metadata: the field decides. An answer in which it has the wrong type is malformed, although the field has a default."""
    return {_MUST_FIT: True}


def as_text() -> dict[str, Any]:
    """attrs metadata: a number is read as its text. For ids, which are compared as text, however the provider writes them."""
    return {_AS_TEXT: True}


def readable_id(shown: str | None) -> str | None:
    """An id of an answer without white space around it. None where it is absent, empty or not readable."""
    return None if shown is None or UNREADABLE in shown else shown.strip() or None


def is_other_text(shown: str | None, ours: str) -> bool:
    """Whether an id in an answer is certainly not ours. One that is absent, empty or not readable is compared with nothing."""
    return readable_id(shown) not in (None, ours.strip())


@cache
def json_names(cls: Any) -> Mapping[str, tuple[str, ...]]:
    """The JSON names of each attribute of a record, without ``extra``. The first is the one that is written."""
    fields = attrs.fields(attrs.resolve_types(cls))
    return {field.name: field.metadata.get(_JSON_NAME) or (camel_case(field.name),) for field in fields if field.name != EXTRA}


def camel_case(name: str) -> str:
    """``order_amount`` as ``orderAmount``."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


UNREADABLE: Final = "\ufffd"
"""Stands in a text for bytes that are not in its encoding. A text with it is no id, and is compared with nothing."""


def parse_json(body: bytes | str, *, is_exact: bool = False) -> object:
    """JSON text as a value. Bytes that are not in its encoding become ``UNREADABLE``; ``NaN`` and ``Infinity`` become null.

    ``is_exact``: neither is allowed. For what is passed on, and for what we are sent by others than a provider.

    Raises:
        MalformedAnswer: it is not JSON.
    """
    try:
        text = body if isinstance(body, str) else body.decode(json.detect_encoding(body), "strict" if is_exact else "replace")
        return json.loads(text, parse_constant=_refuse_constant if is_exact else _read_constant)
    except (ValueError, RecursionError):
        raise MalformedAnswer("not JSON") from None


def parse_record(cls: type[T], value: object) -> T:
    """A provider's parsed JSON as a record. Null means absent wherever the field has a default.

    A field that has a default and is not ``strict()`` never makes the answer malformed. Of the wrong shape, it stays in ``extra``.

    Raises:
        MalformedAnswer: names every other field that is missing or of the wrong shape by its JSON path, without its value.
    """
    record = _structure(_LENIENT, cls, value)
    if isinstance(record, _Misfit):
        raise MalformedAnswer(f"{cls.__name__}: {record}")
    return record


def parse_input(cls: type[T], value: object) -> T:
    """A caller's parsed JSON as a record. Every field must have its type, and a number may also be a Decimal.

    Raises:
        InvalidInput: names the first field that is missing or of the wrong shape.
    """
    record = _structure(_STRICT, cls, value)
    if isinstance(record, _Misfit):
        path, reason = record.problems[0]
        raise InvalidInput(path or cls.__name__, reason)
    return record


def to_json(record: object) -> dict[str, Any]:
    """A record as JSON in the provider's spelling, without fields that are None, and with ``extra`` put back."""
    value = _unstructure(record)
    assert isinstance(value, dict), "to_json takes a record or a mapping"
    return value


# ── from records to JSON ───────────────────────────────────────────────────────────────────────────────────────────────


def _unstructure(value: object) -> Any:
    kind: Any = type(value)
    if attrs.has(kind):
        fields = {names[0]: getattr(value, attribute) for attribute, names in json_names(kind).items()}
        extra = _unstructure(getattr(value, EXTRA, {}))
        known = {name: _unstructure(part) for name, part in fields.items() if part is not None and name not in extra}
        return {**extra, **known}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _unstructure(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_unstructure(part) for part in value]
    if isinstance(value, Decimal):  # JSON has no decimals
        return int(value) if value == value.to_integral_value() else float(value)
    return value


# ── from JSON to records ───────────────────────────────────────────────────────────────────────────────────────────────


def _structure(converter: Converter, cls: type[T], value: object) -> T | _Misfit:
    # problems are returned, not raised here: a chained exception would carry the values
    try:
        return converter.structure(value, cls)
    except (BaseValidationError, _WrongShape) as error:
        return _Misfit(tuple(_list_problems(error, "")))


def _make_record_hook(cls: type, converter: Converter, *, is_lenient: bool) -> Callable[[Any, Any], Any]:
    names_of = json_names(cls)
    fields = attrs.fields_dict(cls)
    required = {name for name, field in fields.items() if field.default is attrs.NOTHING}
    decisive = required | {name for name, field in fields.items() if field.metadata.get(_MUST_FIT) or not is_lenient}
    read_as_text = {names[0] for name, names in names_of.items() if fields[name].metadata.get(_AS_TEXT)}
    renames: dict[str, Any] = {attribute: override(rename=names[0]) for attribute, names in names_of.items()}
    keeps_extra = EXTRA in fields
    if keeps_extra:
        renames[EXTRA] = override(rename=_EXTRA_KEY)
    structure: Callable[[Any, Any], Any] = make_dict_structure_fn(cls, converter, _cattrs_detailed_validation=True, **renames)

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _WrongShape("expected an object")
        unknown = dict(value)
        known: dict[str, Any] = {}
        for attribute, names in names_of.items():
            _take_field(unknown, known, names, required=attribute in required)
        known.update((name, _text_of(known[name])) for name in read_as_text & known.keys())
        if keeps_extra:
            known[_EXTRA_KEY] = unknown
        try:
            return structure(known, cls)
        except ClassValidationError as error:
            misfits = {note.name for _, note in error.group_exceptions()[0]} - decisive
            if not misfits:
                raise
        for attribute in misfits:
            del known[names_of[attribute][0]]
            unknown.update((name, value[name]) for name in names_of[attribute] if value.get(name) is not None)
        return structure(known, cls)

    return hook


def _text_of(value: Any) -> Any:
    """A number as its text, a whole one without a fraction; any other value as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _take_field(unknown: dict[str, Any], known: dict[str, Any], names: tuple[str, ...], *, required: bool) -> None:
    """Move one field from the unknown ones to the known ones, under the name that is written.

    A null counts as absent; it is an error only where a value is required.
    """
    present = [name for name in names if name in unknown]
    for name in present:
        if unknown[name] is None:  # kept as unknown, it would hide the value of an alias when it is written
            del unknown[name]
    filled = next((name for name in present if name in unknown), None)
    if filled is not None:
        known[names[0]] = unknown.pop(filled)
    elif present and required:
        known[names[0]] = None


def _structure_primitive(value: Any, kind: Any) -> Any:
    accepted, shape = _PRIMITIVES[kind]
    if kind is int:
        value = _whole_number(value)
    # Python's bool is an int, and its NaN a float; in JSON they are neither
    wrong = not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool)
    if wrong or not _is_finite(value):
        raise _WrongShape(f"expected {shape}")
    return value


def _whole_number(value: Any) -> Any:
    """A float or Decimal without a fraction as an int; any other value as it is. Above ``_LARGEST`` floats leave out whole numbers."""
    if isinstance(value, float | Decimal) and _is_finite(value) and -_LARGEST <= value <= _LARGEST and value == int(value):
        return int(value)
    return value


def _is_finite(value: object) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite()
    return not isinstance(value, float) or math.isfinite(value)


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in {Union, UnionType}


def _make_union_hook(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    """The first member that fits. ``str`` is tried last, so that it takes the values that a StrEnum beside it does not know."""
    members = sorted(get_args(kind), key=lambda member: member is str)
    choices = [member for member in members if member is not NoneType]

    def hook(value: Any, _: Any) -> Any:
        if value is None and NoneType in members:
            return None
        for member in choices[:-1]:
            try:
                return converter.structure(value, member)
            except (BaseValidationError, _WrongShape):
                continue
        return converter.structure(value, choices[-1])

    return hook


def _structure_enum(value: Any, kind: Any) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise _WrongShape("not a documented value") from None


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _make_list_hook(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    element = get_args(kind)[0]

    def hook(value: Any, _: Any) -> Any:
        # cattrs would take a text apart, letter by letter
        if not isinstance(value, (list, tuple)):
            raise _WrongShape("expected a list")
        return tuple(converter.structure(value, list[element]))  # type: ignore[valid-type]

    return hook


def _is_free_json(kind: Any) -> bool:
    return kind is object or (get_origin(kind) or kind) in {Mapping, dict}


def _structure_free_json(value: Any, kind: Any) -> Any:
    if kind is not object and not isinstance(value, Mapping):
        raise _WrongShape("expected an object")
    return value


def _make_converter(*, is_lenient: bool) -> Converter:
    converter = Converter(detailed_validation=True)

    def make_record_hook(cls: type, converter: Converter) -> Callable[[Any, Any], Any]:
        return _make_record_hook(cls, converter, is_lenient=is_lenient)

    converter.register_structure_hook_factory(attrs.has, make_record_hook)
    for primitive in _PRIMITIVES:
        converter.register_structure_hook(primitive, _structure_primitive)
    converter.register_structure_hook(StrEnum, _structure_enum)
    converter.register_structure_hook_factory(_is_union, _make_union_hook)
    converter.register_structure_hook_factory(_is_list, _make_list_hook)
    converter.register_structure_hook_func(_is_free_json, _structure_free_json)
    return converter


_STRICT = _make_converter(is_lenient=False)
_LENIENT = _make_converter(is_lenient=True)


# ── what was wrong ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _list_problems(error: BaseException, path: str) -> Iterator[tuple[str, str]]:
    """JSON path and reason of everything that did not fit."""
    if isinstance(error, ClassValidationError):
        names_of = json_names(error.cl)
        in_fields, elsewhere = error.group_exceptions()
        for part, note in in_fields:
            name = names_of.get(note.name, (note.name,))[0]
            yield from _list_problems(part, f"{path}.{name}" if path else name)
    elif isinstance(error, IterableValidationError):
        in_elements, elsewhere = error.group_exceptions()
        for part, element in in_elements:
            yield from _list_problems(part, f"{path}[{element.index}]")
    else:
        elsewhere = []
        yield path, _describe_problem(error)
    for part in elsewhere:
        yield from _list_problems(part, path)


def _describe_problem(error: BaseException) -> str:
    if isinstance(error, _WrongShape):
        return str(error)
    return "missing" if isinstance(error, KeyError) else "not of the documented shape"


def _refuse_constant(_: str) -> object:
    raise ValueError


def _read_constant(_: str) -> None:
    """``NaN`` and ``Infinity`` are no numbers of JSON, so their field has none."""
