"""States and edges of a compiled lifecycle: immutable records. Nothing here decides."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from orderflow._lifecycle.facts import Choice, Reads, Value
from orderflow.model import Cause, Effect, Evidence, Origin, Step

STILL_UNPROVEN = "seen_unproven"
"""The event of origin observation that a status brings which is consistent with the state, where a lifecycle declares it."""

CHANGED_DATA = "seen_changed"
"""The event of origin observation that a consistent status brings where its data differs from the order's, if a lifecycle declares it."""


@frozen
class StateInfo:
    """A state. ``deadlines``: pairs of clock event and duration key, armed on entry from another state. ``budget``: the duration key
    after which an order here counts as stuck ("": never)."""

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
    """One source and one target of a declared line. ``guard`` and ``expects`` are prose; ``holds`` and ``expected`` are their answers
    for every combination of the facts that they read. ``reads`` are the facts of ``guard``."""

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
    unchecked: str = ""  # why the guard could not be enumerated: only in tables that check looks at, never in one that runs


def is_proving(edge: Edge) -> bool:
    """Whether a status that proves a state can take the edge, alone or as a part of a path."""
    return edge.origin is Origin.OBSERVATION and edge.event not in (STILL_UNPROVEN, CHANGED_DATA) and edge.source != edge.target
