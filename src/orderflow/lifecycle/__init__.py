"""How a lifecycle is declared, compiled and decided. Pure: no clock, randomness or I/O, and no provider.

What an author of a lifecycle needs is exported here. The other modules serve the rest of orderflow.
"""

from orderflow.lifecycle.declare import Fact, Flag, Lifecycle, State, assumed, documented, edge, inferred, once, reading, repeatable
from orderflow.lifecycle.properties import (
    ENTERS_FINAL,
    ENTERS_PROVEN,
    ENTERS_PROVISIONAL,
    absence,
    after,
    at,
    before,
    between,
    by,
    can,
    existence,
    globally,
    leaving,
    on,
    precedence,
    response,
    under,
    universality,
)
from orderflow.model import Cause, Origin

__all__ = [
    "ENTERS_FINAL",
    "ENTERS_PROVEN",
    "ENTERS_PROVISIONAL",
    "Cause",
    "Fact",
    "Flag",
    "Lifecycle",
    "Origin",
    "State",
    "absence",
    "after",
    "assumed",
    "at",
    "before",
    "between",
    "by",
    "can",
    "documented",
    "edge",
    "existence",
    "globally",
    "inferred",
    "leaving",
    "on",
    "once",
    "precedence",
    "reading",
    "repeatable",
    "response",
    "under",
    "universality",
]
