"""The JSON Schema of a record on the wire, for the OpenAPI documents of simulators. Only this translation lives here."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs

from orderflow._provider.wire import EXTRA, json_names

Json = dict[str, Any]
_PRIMITIVES: Mapping[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema_of(cls: Any) -> Json:
    """The schema of a record, by the names that are written. Other fields are allowed."""
    hints = get_type_hints(cls)
    names = {attribute: json_name for attribute, (json_name, *_) in json_names(cls).items()}
    fields = [field for field in attrs.fields(cls) if field.name != EXTRA]
    required = [names[field.name] for field in fields if field.default is attrs.NOTHING]
    properties = {names[field.name]: _schema_of_type(hints[field.name]) for field in fields}
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _schema_of_type(hint: Any) -> Json:
    origin = get_origin(hint)
    if origin in {Union, UnionType}:
        return _schema_of_union([member for member in get_args(hint) if member is not NoneType], NoneType in get_args(hint))
    if origin is tuple:
        return {"type": "array", "items": _schema_of_type(get_args(hint)[0])}
    if attrs.has(hint):
        return schema_of(hint)
    if hint in _PRIMITIVES:
        return {"type": _PRIMITIVES[hint]}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"type": "string", "enum": [member.value for member in hint]}
    return {} if hint is object else {"type": "object"}


def _schema_of_union(members: list[Any], nullable: bool) -> Json:
    """An open enum (``Kind | str``) is text, with its known values as examples."""
    null: list[Json] = [{"type": "null"}] if nullable else []
    enums = [member for member in members if isinstance(member, type) and issubclass(member, Enum)]
    if enums and str in members:
        schemas: list[Json] = [{"type": "string", "examples": [member.value for member in enums[0]]}]
    else:
        schemas = [_schema_of_type(member) for member in members]
    schemas += null
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
