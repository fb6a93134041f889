"""Switches: what a simulator does where a provider's pages say nothing or contradict each other.

Contains only: a switch as a value, and setting one with its type checked. A provider lists its switches as ``Switch`` rows.
It declares each as an annotated class attribute of the same name, whose value is the default. So ``sim.id_shape`` is typed, and
the command line and ``/_sim`` know all switches.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from attrs import field, frozen

from orderflow.errors import InvalidInput, UnknownName

_UNSET: Final = object()
_TYPE_NAMES: Final[Mapping[Any, str]] = {bool: "true | false", int: "whole number", float: "number", str: "text", NoneType: "null"}


@frozen
class Switch:
    """One open question. ``source``: the pages that leave it open; ``lenient``: its value under ``--lenient``."""

    name: str
    question: str
    source: str
    lenient: Any = field(default=_UNSET)


class Switchboard:
    """Base class of what has switches."""

    SWITCHES: tuple[Switch, ...] = ()

    def set_switch(self, name: str, value: object) -> None:
        """Set a switch.

        Raises:
            UnknownName: no such switch.
            InvalidInput: the switch cannot have this value.
        """
        names = tuple(switch.name for switch in self.SWITCHES)
        if name not in names:
            raise UnknownName("switch", name, names)
        hint = get_type_hints(type(self))[name]
        if isinstance(value, list):
            value = tuple(value)
        if not _fits(hint, value):
            raise InvalidInput(name, f"must be {describe_type(hint)}")
        setattr(self, name, value)

    def set_switch_text(self, setting: str) -> None:
        """Set a switch by ``name=value``; the value is JSON or plain text. Raises as ``set_switch``."""
        name, equals, text = setting.partition("=")
        if not equals:
            raise InvalidInput("--set", f"{setting!r} is not name=value")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        try:
            self.set_switch(name, value)
        except InvalidInput:
            self.set_switch(name, text)

    def set_lenient(self) -> None:
        """Accept what the provider's pages print in contradiction to each other."""
        for switch in self.SWITCHES:
            if switch.lenient is not _UNSET:
                setattr(self, switch.name, switch.lenient)

    def switches(self) -> list[dict[str, object]]:
        """Every switch as JSON: name, values, default, its value now, the question, and where it is left open."""
        hints = get_type_hints(type(self))
        return [
            {
                "name": switch.name,
                "values": describe_type(hints[switch.name]),
                "default": getattr(type(self), switch.name),
                "now": getattr(self, switch.name),
                "question": switch.question,
                "source": switch.source,
            }
            for switch in self.SWITCHES
        ]


def describe_type(hint: Any) -> str:
    """A type as text for people, such as ``"new" | "same"``."""
    origin = get_origin(hint)
    if origin is Literal:
        return " | ".join(json.dumps(value) for value in get_args(hint))
    if origin in {Union, UnionType}:
        return " | ".join(describe_type(part) for part in get_args(hint))
    if origin is tuple:
        return "list of text"
    return _TYPE_NAMES.get(hint, str(hint))


def _fits(hint: Any, value: object) -> bool:
    origin = get_origin(hint)
    if origin is Literal:
        # True equals 1: the type decides as well
        return any(value == choice and type(value) is type(choice) for choice in get_args(hint))
    if origin in {Union, UnionType}:
        return any(_fits(part, value) for part in get_args(hint))
    if origin is tuple:
        return isinstance(value, tuple) and all(isinstance(part, str) for part in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)
