"""What the wire modules share: JSON in, attrs objects out, and back, without losing a field.

What may live here: spelling, unknown fields, open enums, strict primitives and the error that names what was wrong.
No provider's field and no HTTP.

A wire class is a frozen attrs class in snake_case; its JSON name is the camelCase of that, unless the field carries
``metadata=spelled(...)``. A field called ``extra`` (``Mapping[str, object]``) collects what is not typed and is put
back by ``write``. An open enum is typed ``Kind | str`` (``Kind`` a StrEnum): a word outside it stays a plain str.
Lists are ``tuple[X, ...]``, free JSON is ``object`` or ``Mapping[str, object]``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from enum import Enum, StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import BaseValidationError, ClassValidationError, Converter, IterableValidationError
from cattrs.gen import make_dict_structure_fn, override

from orderflow.errors import InvalidInput, MalformedAnswer

T = TypeVar("T")

EXTRA = "extra"
# a key no JSON object of a provider has, so that a provider's own "extra" is not mistaken for ours
_EXTRA_KEY = "\0extra"
_SPELLED = "orderflow.spelled"
_PRIMITIVES: Mapping[Any, tuple[tuple[type, ...], str]] = {
    str: ((str,), "text"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    bool: ((bool,), "true or false"),
}


@attrs.frozen
class _Unfit:
    """Why a value was not read: (JSON path, reason), the path empty for the value itself."""

    problems: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "; ".join(f"{path}: {reason}" if path else reason for path, reason in self.problems)


class _Mismatch(Exception):
    """A value has not the documented shape; the message never quotes it."""


def spelled(name: str, *also: str) -> dict[str, Any]:
    """attrs metadata: the field is written as ``name``; ``also`` are spellings that are read as well."""
    return {_SPELLED: (name, *also)}


def loads(body: bytes | str) -> object:
    """JSON text as a value. Raises MalformedAnswer when it is not JSON (``NaN`` is not)."""
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise MalformedAnswer("not JSON") from None


def read(cls: type[T], value: object) -> T:
    """A provider's parsed JSON as a ``cls``; null means absent wherever the field has a default.

    Raises MalformedAnswer naming every field that is missing or of the wrong shape, by its JSON path, without values.
    """
    found = _structured(cls, value)
    if isinstance(found, _Unfit):
        raise MalformedAnswer(f"{cls.__name__}: {found}")
    return found


def read_input(cls: type[T], value: object) -> T:
    """What a caller gave us (parsed JSON) as a ``cls``, by the same rules as ``read``.

    Raises InvalidInput for the first field that is missing or of the wrong shape.
    """
    found = _structured(cls, value)
    if isinstance(found, _Unfit):
        path, reason = found.problems[0]
        raise InvalidInput(path or cls.__name__, reason)
    return found


def write(obj: object) -> dict[str, Any]:
    """A wire object as JSON: provider's spelling, fields that are None left out, ``extra`` put back."""
    written = _plain(obj)
    assert isinstance(written, dict), "write takes an attrs object or a mapping"
    return written


# ---------------------------------------------------------------- spelling


def spellings(cls: Any) -> Mapping[str, tuple[str, ...]]:
    """Attribute name to its JSON spellings, the one to write first; without ``extra``."""
    return _spellings(cls)


@cache
def _spellings(cls: Any) -> Mapping[str, tuple[str, ...]]:
    """Attribute name to its JSON spellings, the one to write first; without ``extra``."""
    return {a.name: a.metadata.get(_SPELLED) or (_camel(a.name),) for a in attrs.fields(attrs.resolve_types(cls)) if a.name != EXTRA}


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


# ---------------------------------------------------------------- out


def _plain(value: object) -> Any:
    kind: Any = type(value)
    if attrs.has(kind):
        typed = {names[0]: getattr(value, name) for name, names in _spellings(kind).items()}
        known = {name: _plain(part) for name, part in typed.items() if part is not None}
        return {**_plain(getattr(value, EXTRA, {})), **known}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, Decimal):  # JSON knows none
        return int(value) if value == value.to_integral_value() else float(value)
    return value


# ---------------------------------------------------------------- in


def _structured(cls: type[T], value: object) -> T | _Unfit:
    # problems are returned, not raised from here: a chained exception would carry the values
    try:
        return _CONVERTER.structure(value, cls)
    except (BaseValidationError, _Mismatch) as mismatch:
        return _Unfit(tuple(_problems(mismatch, "")))


def _object_hook(cls: type, converter: Converter) -> Callable[[Any, Any], Any]:
    spellings = _spellings(cls)
    fields = attrs.fields_dict(cls)
    renames: dict[str, Any] = {name: override(rename=names[0]) for name, names in spellings.items()}
    keeps_extra = EXTRA in fields
    if keeps_extra:
        renames[EXTRA] = override(rename=_EXTRA_KEY)
    structure: Callable[[Any, Any], Any] = make_dict_structure_fn(cls, converter, _cattrs_detailed_validation=True, **renames)

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _Mismatch("expected an object")
        rest = dict(value)
        known: dict[str, Any] = {}
        for name, names in spellings.items():
            found = next((spelling for spelling in names if rest.get(spelling) is not None), None)
            if found is not None:
                known[names[0]] = rest.pop(found)
            else:
                _absent(rest, known, names, optional=fields[name].default is not attrs.NOTHING)
        if keeps_extra:
            known[_EXTRA_KEY] = rest
        return structure(known, cls)

    return hook


def _absent(rest: dict[str, Any], known: dict[str, Any], names: tuple[str, ...], *, optional: bool) -> None:
    """A field that is missing or null: null is no unknown field, and an error only where a value is required."""
    for spelling in names:
        if spelling in rest:
            rest.pop(spelling)
            if not optional:
                known[names[0]] = None


def _primitive_hook(value: Any, kind: Any) -> Any:
    accepted, shape = _PRIMITIVES[kind]
    # bool is an int to Python, and NaN a float; to JSON they are neither
    wrong = not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool)
    if wrong or (isinstance(value, float) and not math.isfinite(value)):
        raise _Mismatch(f"expected {shape}")
    return value


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in {Union, UnionType}


def _union_hook(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    """The first member that fits; a StrEnum beside str is open, since str takes the words the enum does not know."""
    members = sorted(get_args(kind), key=lambda member: member is str)

    def hook(value: Any, _: Any) -> Any:
        if value is None and NoneType in members:
            return None
        choices = [member for member in members if member is not NoneType]
        for member in choices[:-1]:
            try:
                return converter.structure(value, member)
            except (BaseValidationError, _Mismatch):
                continue
        return converter.structure(value, choices[-1])

    return hook


def _enum_hook(value: Any, kind: Any) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise _Mismatch("not a documented word") from None


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _list_hook(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    element = get_args(kind)[0]

    def hook(value: Any, _: Any) -> Any:
        # cattrs would iterate a text letter by letter
        if not isinstance(value, (list, tuple)):
            raise _Mismatch("expected a list")
        return tuple(converter.structure(value, list[element]))  # type: ignore[valid-type]

    return hook


def _is_free(kind: Any) -> bool:
    return kind is object or (get_origin(kind) or kind) in {Mapping, dict}


def _free_hook(value: Any, kind: Any) -> Any:
    if kind is not object and not isinstance(value, Mapping):
        raise _Mismatch("expected an object")
    return value


def _converter() -> Converter:
    converter = Converter(detailed_validation=True)
    converter.register_structure_hook_factory(attrs.has, _object_hook)
    for primitive in _PRIMITIVES:
        converter.register_structure_hook(primitive, _primitive_hook)
    converter.register_structure_hook(StrEnum, _enum_hook)
    converter.register_structure_hook_factory(_is_union, _union_hook)
    converter.register_structure_hook_factory(_is_list, _list_hook)
    converter.register_structure_hook_func(_is_free, _free_hook)
    return converter


_CONVERTER = _converter()


# ---------------------------------------------------------------- what was wrong


def _problems(error: BaseException, path: str) -> Iterator[tuple[str, str]]:
    """(JSON path, reason) of everything that did not fit."""
    if isinstance(error, ClassValidationError):
        spellings = _spellings(error.cl)
        noted, plain = error.group_exceptions()
        for part, note in noted:
            name = spellings.get(note.name, (note.name,))[0]
            yield from _problems(part, f"{path}.{name}" if path else name)
    elif isinstance(error, IterableValidationError):
        rows, plain = error.group_exceptions()
        for part, row in rows:
            yield from _problems(part, f"{path}[{row.index}]")
    else:
        plain = []
        yield path, _reason(error)
    for part in plain:
        yield from _problems(part, path)


def _reason(error: BaseException) -> str:
    if isinstance(error, _Mismatch):
        return str(error)
    return "missing" if isinstance(error, KeyError) else "not of the documented shape"


def _no_constant(_: str) -> object:
    raise ValueError
