"""How a lifecycle is declared, compiled and decided. Pure: no clock, randomness or I/O, and no provider.

What an author of a lifecycle needs is exported here. The other modules serve the rest of orderflow.
"""

from orderflow._lifecycle.decide import decide, is_pollable, is_settled, legal
from orderflow._lifecycle.declare import Fact, Flag, Lifecycle, State, assumed, documented, edge, inferred, once, reading, repeatable
from orderflow._lifecycle.observe import observe
from orderflow._lifecycle.properties import (
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
from orderflow._lifecycle.table import Edge, Table
from orderflow.model import Cause, Origin

__all__ = [
    "ENTERS_FINAL",
    "ENTERS_PROVEN",
    "ENTERS_PROVISIONAL",
    "Cause",
    "Edge",
    "Fact",
    "Flag",
    "Lifecycle",
    "Origin",
    "State",
    "Table",
    "absence",
    "after",
    "assumed",
    "at",
    "before",
    "between",
    "by",
    "can",
    "decide",
    "documented",
    "edge",
    "existence",
    "globally",
    "inferred",
    "is_pollable",
    "is_settled",
    "leaving",
    "legal",
    "observe",
    "on",
    "once",
    "precedence",
    "reading",
    "repeatable",
    "response",
    "under",
    "universality",
]
