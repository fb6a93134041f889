"""A declaration before it is compiled: what the author wrote, as plain records. Pure; knows nothing of python-statemachine.

Values are as they were given, right or wrong: the rules (rules/) look at them. Only ``DeclaredEdge`` is sure of its ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from attrs import define, field, frozen

from orderflow._lifecycle.class_body import DuplicateName, SourceLine
from orderflow._lifecycle.facts import Fact
from orderflow.errors import DeclarationError, DeclarationProblem
from orderflow.model import Effect


@frozen
class EdgeSpec:
    """What edge() was given."""

    line: SourceLine
    origin: Any
    cause: Any
    evidence: Any
    label: Any
    cond: Any
    sets: Any
    effects: Any
    recovery: Any
    expects: Any


class EffectSpec:
    """A declared effect; its name is the attribute's."""

    def __init__(self, kind: str, *, once: bool, successes: Sequence[str] = (), arguments: Sequence[str] = (), safe: bool = False) -> None:
        self.kind = kind
        self.once = once
        self.safe = safe
        self.successes = successes
        self.arguments = arguments
        self.name: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def freeze(self) -> Effect:
        """The record that the table holds."""
        arguments, successes = (tuple(names) if isinstance(names, list | tuple) else () for names in (self.arguments, self.successes))
        return Effect(self.name, self.kind, self.once, arguments, successes, self.safe)


@frozen
class ReadingSpec:
    """A declared reading, over state objects."""

    line: SourceLine
    consistent: Any
    proves: Any


class DeclaredState(Protocol):
    """A state of the class body. ``value`` is how the table calls it; ``given`` is what the author gave, None if nothing."""

    line: SourceLine
    value: Any
    given: Any
    provisional: bool
    proven: bool
    assumed: bool
    deadlines: Any
    budget: Any

    @property
    def initial(self) -> bool:
        """Where orders begin."""

    @property
    def final(self) -> bool:
        """No edge leaves it."""


@frozen
class DeclaredEdge:
    """One source and one target of an event, both states of the class body, with what edge() was given."""

    event: str
    source: str
    target: str
    spec: EdgeSpec

    @property
    def where(self) -> str:
        """The edge as problems name it."""
        return f"{self.event}: {self.source} -> {self.target}"


@define
class Declaration:
    """A class body, sorted by what its names are. ``problems``: those found while it was sorted. ``whole``: every edge is in ``edges``."""

    class_name: str
    name: Any
    line: SourceLine
    lines: Mapping[str, SourceLine]
    repeated: tuple[DuplicateName, ...] = ()
    states: dict[str, DeclaredState] = field(factory=dict)
    edges: list[DeclaredEdge] = field(factory=list)
    facts: dict[str, Fact] = field(factory=dict)
    effects: dict[str, EffectSpec] = field(factory=dict)
    readings: Any = field(factory=dict)
    properties: Any = field(factory=dict)
    problems: list[DeclarationProblem] = field(factory=list)
    whole: bool = True

    def report(self, rule: str, where: str, explanation: str, remedy: str = "", line: SourceLine | None = None) -> None:
        """Note a broken rule. Without a line: that of the name ``where``, else of the class."""
        line = line or self.lines.get(where, self.line)
        self.problems.append(DeclarationProblem(rule, where, explanation, remedy, line.file, line.line))

    def error(self, tables_for_check: tuple[Any, ...] = ()) -> DeclarationError:
        """The error that lists all problems, in the order of their lines."""
        return DeclarationError(self.class_name, tuple(sorted(self.problems, key=lambda problem: problem.line)), tables_for_check)
