"""A table as plain data, and its digest: what `orderflow lifecycles --json` prints. Pure.

The data holds everything that can change what the lifecycle does, guards as lists of valuations included. Two tables with the same
digest are the same lifecycle.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from attrs import asdict

from orderflow._lifecycle.facts import Choice
from orderflow._lifecycle.table import Edge, StateInfo, Table


def describe(table: Table) -> dict[str, Any]:
    """Return the table as JSON values, in declared order.

    Shape: ``{"lifecycle", "initial", "states": [{"value", "initial", "final", "provisional", "proven", "assumed",
    "deadlines": [{"event", "after"}], "budget"}], "events": {name: origin}, "facts": {name: [value]}, "guards":
    [{"guard", "reads": [fact], "holds": [[value]]}], "effects": {name: {"kind", "once"}}, "edges": [{"event",
    "source", "target", "origin", "guard", "sets", "effects": [name], "cause", "evidence": {"strength", "page"},
    "label", "recovery", "expects"}], "readings": {status: {"consistent": [state], "proves": state or null}}}``.
    ``after`` and ``budget`` are configuration keys. A missing text is ``""``.
    """
    return {
        "lifecycle": table.name,
        "initial": table.initial,
        "states": [_describe_state(info) for info in table.states.values()],
        "events": {name: str(origin) for name, origin in table.events.items()},
        "facts": {name: list(values) for name, values in table.facts.items()},
        "guards": _describe_guards(table),
        "effects": {name: {"kind": effect.kind, "once": effect.once, "safe": effect.safe} for name, effect in table.effects.items()},
        "edges": [_describe_edge(edge) for edge in table.edges],
        "readings": {
            status: {"consistent": [s for s in table.states if s in reading.consistent], "proves": reading.proves}
            for status, reading in table.readings.items()
        },
    }


def compute_digest(table: Table) -> str:
    """Return the SHA-256 of the table's data, in hex."""
    return sha256(json.dumps(describe(table), separators=(",", ":")).encode()).hexdigest()


def _describe_state(info: StateInfo) -> dict[str, Any]:
    deadlines = [{"event": event, "after": duration} for event, duration in info.deadlines]
    return asdict(info) | {"deadlines": deadlines}


def _describe_edge(edge: Edge) -> dict[str, Any]:
    return {
        "event": edge.event,
        "source": edge.source,
        "target": edge.target,
        "origin": str(edge.origin),
        "guard": edge.guard,
        "sets": dict(edge.sets),
        "effects": [effect.name for effect in edge.effects],
        "cause": str(edge.cause),
        "evidence": {"strength": str(edge.evidence.strength), "page": edge.evidence.page},
        "label": edge.label,
        "recovery": edge.recovery,
        "expects": edge.expects,
    }


def _describe_guards(table: Table) -> list[dict[str, Any]]:
    """Every guard and expectation once, with the valuations under which it holds. Two guards may have the same text."""
    guards: list[dict[str, Any]] = []
    for edge in table.edges:
        for text, choice in ((edge.guard, edge.holds), (edge.expects, edge.expected)):
            guard = _describe_guard(text, choice)
            if text and guard not in guards:
                guards.append(guard)
    return guards


def _describe_guard(text: str, choice: Choice[bool]) -> dict[str, Any]:
    return {"guard": text, "reads": list(choice.reads), "holds": [list(values) for values, holds in choice.picks.items() if holds]}
