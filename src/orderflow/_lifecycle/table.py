"""The table: what a lifecycle is once compiled. Immutable records; nothing here decides, draws or checks.

Every use of a declaration (decide, observe, check, diagrams, tests) reads this and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import field, frozen

from orderflow._lifecycle.edges import Edge, StateInfo
from orderflow._lifecycle.facts import Answers, Choice, Value
from orderflow._lifecycle.properties import Property
from orderflow.model import Decision, Effect, Origin

__all__ = ["Cell", "Edge", "Reading", "StateInfo", "Table", "frozen_map"]


@frozen
class Cell:
    """What one event means in one state: the enabled edge for each combination of the facts that are read, else the default answer."""

    origin: Origin
    edges: tuple[Edge, ...]
    only: Edge | None  # the edge of an unguarded cell: deciding it looks up no facts
    choice: Choice[Edge | None]
    default: Decision


@frozen
class Reading:
    """What a provider's status says: the states it is consistent with, and the state it proves, if any."""

    consistent: frozenset[str]
    proves: str | None = None


@frozen
class Table:
    """A compiled lifecycle."""

    name: str
    states: Mapping[str, StateInfo]
    events: Mapping[str, Origin]
    facts: Mapping[str, tuple[Value, ...]]
    effects: Mapping[str, Effect]
    edges: tuple[Edge, ...]
    cells: Mapping[str, Mapping[str, Cell]] = field(repr=False)
    out: Mapping[str, tuple[Edge, ...]] = field(repr=False)  # the edges that leave each state, in declared order
    readings: Mapping[str, Reading]
    still_unproven_event: str  # the event that a consistent status brings, "" where the lifecycle declares none
    pollable: Mapping[str, Answers[bool]] = field(repr=False)
    settled: Mapping[str, Answers[bool]] = field(repr=False)
    legal: Mapping[str, Answers[tuple[str, ...]]] = field(repr=False)  # commands and operator events, in declared order
    tracked: Mapping[str, tuple[str, ...]] = field(factory=dict, repr=False)  # by state: facts that tell its places apart (paths.py)
    properties: tuple[Property, ...] = ()  # promises about every path; no decision depends on them

    @property
    def initial(self) -> str:
        """The state an order is created in."""
        return next(info.value for info in self.states.values() if info.initial)

    def defaults(self) -> dict[str, Value]:
        """Every fact at its first value."""
        return {name: values[0] for name, values in self.facts.items()}


def frozen_map(mapping: Mapping[str, Value]) -> Mapping[str, Value]:
    """A read-only copy."""
    return MappingProxyType(dict(mapping))
