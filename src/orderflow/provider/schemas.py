"""JSON Schema of a wire class, for the simulators' OpenAPI. What may live here: this one translation."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs

from orderflow.provider.wire import EXTRA, spellings

Json = dict[str, Any]
_PLAIN: Mapping[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema_of(cls: Any) -> Json:
    """The schema of an attrs wire class, in the spelling that is written; what it does not name may come as well."""
    hints = get_type_hints(cls)
    names = {name: written[0] for name, written in spellings(cls).items()}
    required = [names[a.name] for a in attrs.fields(cls) if a.name != EXTRA and a.default is attrs.NOTHING]
    properties = {names[a.name]: _schema(hints[a.name]) for a in attrs.fields(cls) if a.name != EXTRA}
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _schema(hint: Any) -> Json:
    origin = get_origin(hint)
    if origin in {Union, UnionType}:
        return _union([part for part in get_args(hint) if part is not NoneType], NoneType in get_args(hint))
    if origin is tuple:
        return {"type": "array", "items": _schema(get_args(hint)[0])}
    if attrs.has(hint):
        return schema_of(hint)
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"type": "string", "enum": [word.value for word in hint]}
    return {} if hint is object else {"type": "object"}


def _union(parts: list[Any], nullable: bool) -> Json:
    """An open enum (``Kind | str``) is text with its known words as examples."""
    kinds = [part for part in parts if isinstance(part, type) and issubclass(part, Enum)]
    if kinds and str in parts:
        made: Json = {"type": "string", "examples": [word.value for word in kinds[0]]}
    elif len(parts) == 1:
        made = _schema(parts[0])
    else:
        return {"anyOf": [*(_schema(part) for part in parts), *([{"type": "null"}] if nullable else [])]}
    return {"anyOf": [made, {"type": "null"}]} if nullable else made
