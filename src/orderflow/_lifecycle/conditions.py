"""Conditions: what a property asks of a position on a path. Pure.

A position is the edge just taken (none at the start) and where the order stands after it. Each condition answers ``holds(edge, position)``
from these two alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, NoReturn

from attrs import frozen

from orderflow._lifecycle.edges import Edge
from orderflow._lifecycle.facts import Facts, Guard
from orderflow.model import Origin


@frozen
class Position:
    """Where an order stands. ``marks``: which of ``proven``, ``provisional`` and ``final`` the state is. ``enabled``: the events that an
    edge would apply here. ``uncertain``: those whose guard could not be enumerated (only while check looks at such a lifecycle)."""

    state: str
    marks: frozenset[str]
    facts: Facts
    enabled: frozenset[str]
    uncertain: frozenset[str] = frozenset()


@frozen
class Names:
    """What a lifecycle declares, by name: for finding a condition's unknown names."""

    states: frozenset[str]
    events: frozenset[str]
    facts: Mapping[str, object]


class Uncertain(Exception):
    """The answer depends on a guard that could not be enumerated."""


class Condition:
    """A yes/no about a position. Combine with ``&``, ``|``, ``~``; a guard over facts may stand on the right."""

    def __and__(self, other: Condition | Guard) -> Condition:
        return AllOf(self, as_condition(other))

    def __or__(self, other: Condition | Guard) -> Condition:
        return AnyOf(self, as_condition(other))

    def __invert__(self) -> Condition:
        return Not(self)

    def __bool__(self) -> NoReturn:
        # `at(paid) and by(reply)` would silently drop its first half
        raise TypeError("a condition is neither true nor false while it is declared: combine conditions with & | ~, not with and, or, not")

    def holds(self, edge: Edge | None, position: Position) -> bool:
        """Whether it is so, after taking ``edge`` to ``position``.

        Raises:
            Uncertain: the answer depends on a guard that could not be enumerated.
        """
        raise NotImplementedError

    @property
    def text(self) -> str:
        """As prose. Known once the class is made: a state has no name before."""
        raise NotImplementedError

    def conjuncts(self) -> tuple[Condition, ...]:
        """The conditions joined by ``&``."""
        return (self,)

    def facts(self) -> frozenset[str]:
        """The names of the facts that it reads."""
        return frozenset()

    def unknown_names(self, names: Names) -> list[object]:
        """The names it uses that the lifecycle does not declare."""
        raise NotImplementedError


@frozen(eq=False)
class _Joined(Condition):
    left: Condition
    right: Condition

    def facts(self) -> frozenset[str]:
        return self.left.facts() | self.right.facts()

    def unknown_names(self, names: Names) -> list[object]:
        return self.left.unknown_names(names) + self.right.unknown_names(names)


@frozen(eq=False)
class AllOf(_Joined):
    """Both hold."""

    def holds(self, edge: Edge | None, position: Position) -> bool:
        return self.left.holds(edge, position) and self.right.holds(edge, position)

    @property
    def text(self) -> str:
        return f"{self.left.text} and {self.right.text}"

    def conjuncts(self) -> tuple[Condition, ...]:
        return self.left.conjuncts() + self.right.conjuncts()


@frozen(eq=False)
class AnyOf(_Joined):
    """One of two holds."""

    def holds(self, edge: Edge | None, position: Position) -> bool:
        return self.left.holds(edge, position) or self.right.holds(edge, position)

    @property
    def text(self) -> str:
        return f"({self.left.text} or {self.right.text})"


@frozen(eq=False)
class Not(Condition):
    """It does not hold."""

    negated: Condition

    def holds(self, edge: Edge | None, position: Position) -> bool:
        return not self.negated.holds(edge, position)

    @property
    def text(self) -> str:
        return f"not ({self.negated.text})" if isinstance(self.negated, AllOf) else f"not {self.negated.text}"

    def facts(self) -> frozenset[str]:
        return self.negated.facts()

    def unknown_names(self, names: Names) -> list[object]:
        return self.negated.unknown_names(names)


@frozen(eq=False)
class Under(Condition):
    """The guard is true under the order's facts."""

    guard: Guard

    def holds(self, edge: Edge | None, position: Position) -> bool:
        return self.guard.holds(position.facts)

    @property
    def text(self) -> str:
        return self.guard.text

    def facts(self) -> frozenset[str]:
        return frozenset(fact.name for fact in self.guard.facts())

    def unknown_names(self, names: Names) -> list[object]:
        foreign = [fact.name for fact in self.guard.facts() if names.facts.get(fact.name) is not fact]
        return [*foreign, *(value for _, value in self.guard.unknown_values())]


@frozen(eq=False)
class _Listing(Condition):
    """A condition over several things, shown as a verb and their names."""

    verb: ClassVar[str]
    listed: tuple[Any, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """A state has its name once the class is made."""
        return tuple(getattr(each, "value", each) for each in self.listed)

    @property
    def text(self) -> str:
        return f"{self.verb} {'/'.join(self.names)}"


class _OverStates(_Listing):
    def unknown_names(self, names: Names) -> list[object]:
        unknown = [state for state in self.listed if getattr(state, "value", None) not in names.states]
        return [getattr(state, "value", state) for state in unknown]


class At(_OverStates):
    """The order stands in one of the states."""

    verb = "at"

    def holds(self, edge: Edge | None, position: Position) -> bool:
        return position.state in self.names


class Left(_OverStates):
    """The edge just taken led from one of the states to another state."""

    verb = "leaving"

    def holds(self, edge: Edge | None, position: Position) -> bool:
        return edge is not None and edge.source in self.names and edge.target != edge.source


class _OverEvents(_Listing):
    def unknown_names(self, names: Names) -> list[object]:
        return [event for event in self.listed if event not in names.events]


class On(_OverEvents):
    """The edge just taken was one of the events."""

    verb = "on"

    def holds(self, edge: Edge | None, position: Position) -> bool:
        return edge is not None and edge.event in self.names


class Can(_OverEvents):
    """An edge of one of the events is enabled here."""

    verb = "can"

    def holds(self, edge: Edge | None, position: Position) -> bool:
        if not position.enabled.isdisjoint(self.names):
            return True
        if not position.uncertain.isdisjoint(self.names):
            raise Uncertain
        return False


class By(_Listing):
    """The edge just taken had one of the origins."""

    verb = "by"

    def holds(self, edge: Edge | None, position: Position) -> bool:
        return edge is not None and edge.origin in self.names

    def unknown_names(self, names: Names) -> list[object]:
        return [origin for origin in self.listed if origin not in tuple(Origin)]


@frozen(eq=False)
class Enters(Condition):
    """The order enters a state with this mark (``proven``, ``provisional``, ``final``) from another state, or begins in one."""

    mark: str

    def holds(self, edge: Edge | None, position: Position) -> bool:
        return self.mark in position.marks and (edge is None or edge.source != edge.target)

    @property
    def text(self) -> str:
        return f"enters a {self.mark} state"

    def unknown_names(self, names: Names) -> list[object]:
        return []


def as_condition(given: Condition | Guard) -> Condition:
    """A guard as the condition that it is true; a condition as it is.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(given, Condition):
        return given
    if isinstance(given, Guard):
        return Under(given)
    raise TypeError(f"{given!r} is no condition: write at(...), leaving(...), on(...), by(...), can(...) or a guard over facts")
