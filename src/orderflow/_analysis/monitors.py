"""Monitors: each pattern of a property as a small automaton that reads the positions of a path. Pure.

A monitor's table has a row for each phase, whether ``first`` holds at the position, and whether ``then`` does. It says the phase that
follows and what was seen. Scopes are the same for all patterns, so they stand beside the tables, in ``Monitor.step``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, auto

from attrs import frozen

from orderflow._lifecycle.conditions import Position
from orderflow._lifecycle.edges import Edge
from orderflow._lifecycle.properties import Pattern, Property


class Phase(StrEnum):
    """What a monitor remembers of a path."""

    OUTSIDE = auto()  # the scope has not opened, or is closed and may open again
    OVER = auto()  # the scope is closed for ever
    QUIET = auto()  # in scope, nothing to remember
    SEEN = auto()  # in scope, `first` was seen
    OWED = auto()  # in scope, `then` has to come


class Seen(StrEnum):
    """What a position means for the property."""

    NOTHING = auto()
    WITNESS = auto()  # what the property speaks of happens here, as it should
    BREACH = auto()


Rows = Mapping[tuple[Phase, bool, bool], tuple[Phase, Seen]]
"""(phase, ``first`` holds, ``then`` holds) -> (next phase, what was seen)."""

_QUIET, _SEEN, _OWED = Phase.QUIET, Phase.SEEN, Phase.OWED
_NOTHING, _WITNESS, _BREACH = Seen.NOTHING, Seen.WITNESS, Seen.BREACH

ABSENCE: Rows = {
    (_QUIET, False, False): (_QUIET, _NOTHING),
    (_QUIET, False, True): (_QUIET, _BREACH),
}
UNIVERSALITY: Rows = {  # `first` is where it is asked: everywhere, if the property names no place
    (_QUIET, False, False): (_QUIET, _NOTHING),
    (_QUIET, False, True): (_QUIET, _NOTHING),
    (_QUIET, True, False): (_QUIET, _BREACH),
    (_QUIET, True, True): (_QUIET, _WITNESS),
}
EXISTENCE: Rows = {
    (_OWED, False, False): (_OWED, _NOTHING),
    (_OWED, False, True): (_QUIET, _WITNESS),
    (_QUIET, False, False): (_QUIET, _NOTHING),
    (_QUIET, False, True): (_QUIET, _WITNESS),
}
PRECEDENCE: Rows = {
    (_QUIET, False, False): (_QUIET, _NOTHING),
    (_QUIET, False, True): (_QUIET, _BREACH),
    (_QUIET, True, False): (_SEEN, _NOTHING),
    (_QUIET, True, True): (_SEEN, _WITNESS),
    (_SEEN, False, False): (_SEEN, _NOTHING),
    (_SEEN, False, True): (_SEEN, _WITNESS),
    (_SEEN, True, False): (_SEEN, _NOTHING),
    (_SEEN, True, True): (_SEEN, _WITNESS),
}
RESPONSE: Rows = {
    (_QUIET, False, False): (_QUIET, _NOTHING),
    (_QUIET, False, True): (_QUIET, _NOTHING),
    (_QUIET, True, False): (_OWED, _NOTHING),
    (_QUIET, True, True): (_QUIET, _WITNESS),
    (_OWED, False, False): (_OWED, _NOTHING),
    (_OWED, False, True): (_QUIET, _WITNESS),
    (_OWED, True, False): (_OWED, _NOTHING),
    (_OWED, True, True): (_QUIET, _WITNESS),
}
ROWS = {
    Pattern.ABSENCE: ABSENCE,
    Pattern.UNIVERSALITY: UNIVERSALITY,
    Pattern.EXISTENCE: EXISTENCE,
    Pattern.PRECEDENCE: PRECEDENCE,
    Pattern.RESPONSE: RESPONSE,
}


@frozen
class Monitor:
    """A property's automaton. ``in_scope``: the phase in which its scope opens. ``begin``: the phase before the first position."""

    promise: Property
    rows: Rows
    in_scope: Phase
    begin: Phase

    @classmethod
    def of(cls, promise: Property) -> Monitor:
        """The monitor of a property."""
        in_scope = Phase.OWED if promise.pattern is Pattern.EXISTENCE else Phase.QUIET
        return cls(promise, ROWS[promise.pattern], in_scope, in_scope if promise.scope.opens is None else Phase.OUTSIDE)

    def step(self, phase: Phase, edge: Edge | None, position: Position) -> tuple[Phase, Seen]:
        """The next phase, after taking ``edge`` to ``position``, and what was seen.

        Raises:
            Uncertain: it depends on a guard that could not be enumerated.
        """
        scope = self.promise.scope
        if phase is Phase.OUTSIDE:
            if scope.opens is None or not scope.opens.holds(edge, position):
                return Phase.OUTSIDE, Seen.NOTHING
            phase = self.in_scope
        elif phase is Phase.OVER:
            return Phase.OVER, Seen.NOTHING
        elif scope.closes is not None and scope.closes.holds(edge, position):
            after = Phase.OUTSIDE if scope.repeats else Phase.OVER
            return after, Seen.BREACH if phase is Phase.OWED else Seen.NOTHING
        first = self.promise.first
        asked = self.promise.pattern is Pattern.UNIVERSALITY if first is None else first.holds(edge, position)
        return self.rows[phase, asked, self.promise.then.holds(edge, position)]
