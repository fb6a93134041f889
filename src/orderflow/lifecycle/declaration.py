"""A declaration before it is compiled: what edge() was told, and a class body sorted by what its names are. Pure.

Only the refusals that need no table stand here; compile.py lists all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from attrs import define, field, frozen
from statemachine import StateMachine
from statemachine.transition import Transition
from statemachine.transition_list import TransitionList

from orderflow.errors import DeclarationError
from orderflow.lifecycle.facts import Fact, Guard, Value
from orderflow.lifecycle.properties import Property
from orderflow.model import Cause, Effect, Evidence, Origin

# what dir() does not show: names the library fills in as parameters, sets on the class later, or reads from the body
_FILLED_IN = ("model", "state", "source", "target", "transition", "event", "event_data", "machine", "error", "table")
_SET_LATER = ("initial_state", "final_states", "state_field", "start_value", "listeners", "delay", "internal")
_RESERVED = frozenset(dir(StateMachine)).union(_FILLED_IN, _SET_LATER)
_HOOKS = ("on_", "before_", "after_", "enter_", "exit_")
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


@define
class EdgeSpec:
    """What edge() was told, kept beside the library's transition."""

    origin: Origin
    cond: Guard | None
    sets: dict[str, Value]
    effects: tuple[EffectSpec, ...]
    cause: Cause
    evidence: Evidence
    label: str
    recovery: bool
    expects: Guard | None
    foreign: bool = False


class EffectSpec:
    """A declared effect; its name is the attribute's."""

    def __init__(self, kind: str, once: bool) -> None:
        self.kind = kind
        self.once = once
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def freeze(self) -> Effect:
        """The record that the table holds."""
        return Effect(self.name, self.kind, self.once)


@frozen
class ReadingSpec:
    """A declared reading, over state objects."""

    consistent: tuple[Any, ...]
    proves: Any | None


class Refusal:
    """Raises DeclarationErrors in the lifecycle's name."""

    def __init__(self, lifecycle: str) -> None:
        self.lifecycle = lifecycle

    def __call__(self, rule: str, explanation: str) -> NoReturn:
        """Refuse the declaration.

        Raises:
            DeclarationError: always.
        """
        raise DeclarationError(self.lifecycle, rule, explanation)

    def name(self, name: str) -> None:
        """Refuse a name that the library would misread."""
        if not _IDENTIFIER.match(name):
            self("bad-name", f"{name!r} is not a plain identifier")
        if name in _RESERVED or name.startswith(_HOOKS):
            self("reserved-name", f"{name!r} is a name of the state-machine library's own")


@define
class Declared:
    """A class body, sorted by what its names are."""

    name: str
    class_name: str
    states: dict[str, Any] = field(factory=dict)
    events: dict[str, tuple[Transition, ...]] = field(factory=dict)
    facts: dict[str, Fact] = field(factory=dict)
    effects: dict[str, EffectSpec] = field(factory=dict)
    readings: Mapping[str, ReadingSpec] = field(factory=dict)
    properties: Mapping[str, Property] = field(factory=dict)

    @classmethod
    def from_body(cls, name: str, class_name: str, bases: tuple[type, ...], body: Mapping[str, Any]) -> Declared:
        """Sort the class body.

        Raises:
            DeclarationError: a name or a value that has no place in a declaration.
        """
        refuse = Refusal(class_name)
        if any(getattr(base, "states", None) for base in bases):
            refuse("subclass", "a lifecycle cannot derive from another lifecycle: they would share state objects")
        declared = cls(name, class_name)
        for attribute, value in body.items():
            if attribute.startswith("__"):
                continue
            if attribute == "readings":
                declared.readings = value
                continue
            if attribute == "properties":
                declared.properties = value
                continue
            refuse.name(attribute)
            declared._sort(attribute, value, refuse)
        for attribute, state in declared.states.items():
            if state.final and state.transitions:
                refuse("final-edge", f"an edge leaves the final state {attribute!r}")
            if not state.final and not state.transitions:
                refuse("dead-end", f"no edge leaves {attribute!r}, and it is not final")
        return declared

    def _sort(self, attribute: str, value: Any, refuse: Refusal) -> None:
        if isinstance(value, Fact):
            self.facts[attribute] = value
        elif isinstance(value, EffectSpec):
            self.effects[attribute] = value
        elif isinstance(value, TransitionList):
            self.events[attribute] = tuple(value)
        elif hasattr(value, "provisional"):
            self.states[attribute] = value
        elif not isinstance(value, Guard):
            refuse("foreign-attribute", f"{attribute!r} is no state, edge, fact, guard, effect, reading or property")
