"""The table: what a lifecycle is once compiled. Immutable records of strings; nothing here decides, draws or checks.

Every use of a declaration (decide, observe, check, diagrams, tests) reads this and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import field, frozen

from orderflow.lifecycle.facts import Choice, Value
from orderflow.lifecycle.properties import Property
from orderflow.model import Cause, Decision, Effect, Evidence, Origin, Step

Reads = tuple[tuple[str, tuple[Value, ...]], ...]
"""Facts by name with all their values: what a guard reads, enumerable."""


@frozen
class StateInfo:
    """A node. ``deadlines`` are (event, duration key), armed on entry from another state; ``budget`` is the duration
    key after which an order here counts as stuck (``""``: never)."""

    value: str
    initial: bool
    final: bool
    provisional: bool
    proven: bool
    assumed: bool
    deadlines: tuple[tuple[str, str], ...]
    budget: str


@frozen
class Edge:
    """One line of the declaration and one source. ``guard`` and ``expects`` are prose; ``reads``, ``holds`` and
    ``expected`` enumerate them."""

    event: str
    origin: Origin
    source: str
    target: str
    guard: str
    reads: Reads = field(repr=False)
    holds: Choice[bool] = field(repr=False, eq=False)
    sets: Mapping[str, Value]
    effects: tuple[Effect, ...]
    cause: Cause
    evidence: Evidence
    label: str
    recovery: bool
    expects: str
    expected: Choice[bool] = field(repr=False, eq=False)
    step: Step = field(repr=False)
    unchecked: str = ""  # why its guard is no function of the facts: only in what check looks at, never in a table that runs


@frozen
class Cell:
    """What one event means in one state: the enabled edge per valuation of the facts read, else the default answer."""

    origin: Origin
    edges: tuple[Edge, ...]
    only: Edge | None  # the edge of an unguarded cell: spares the look-up of facts
    choice: Choice[Edge | None]
    default: Decision


@frozen
class Reading:
    """What a provider status says: the states it is consistent with, and the state it proves, if any."""

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
    unproven: str  # the event by which a consistent reading is heard, "" where the lifecycle has none
    pollable: Mapping[str, Choice[bool]] = field(repr=False)
    settled: Mapping[str, Choice[bool]] = field(repr=False)
    legal: Mapping[str, Choice[tuple[str, ...]]] = field(repr=False)  # commands and operator events, in declared order
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
