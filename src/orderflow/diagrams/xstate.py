"""A table as an XState (v5) machine, in JSON, for Stately's editor and simulator. Pure text; the only place that knows XState.

Nothing is folded: a machine is run, not looked at. Guards, effects and the facts that an edge sets are named, not written out;
whoever runs the machine provides them.
"""

from __future__ import annotations

import json
from typing import Any

from orderflow.diagrams.captions import identifier
from orderflow.lifecycle.table import Edge, StateInfo, Table


def xstate(table: Table, generated: str) -> str:
    """The machine, ending with a newline. ``generated`` is said in its ``meta``. A state's value that XState could not take
    for a key (it splits paths at dots) is changed, and stands in the state's ``description``."""
    machine = {
        "meta": {"generated": generated},
        "id": identifier(table.name),
        "initial": identifier(table.initial),
        "context": table.defaults(),
        "states": {identifier(info.value): _state(info, table) for info in table.states.values()},
    }
    return json.dumps(machine, indent=2, ensure_ascii=False) + "\n"


def _state(info: StateInfo, table: Table) -> dict[str, Any]:
    flags = [flag for flag in ("initial", "final", "provisional", "proven", "assumed") if getattr(info, flag)]
    state: dict[str, Any] = {"description": info.value, "tags": flags}
    if info.final:
        return state | {"type": "final"}
    on: dict[str, list[dict[str, Any]]] = {}
    for edge in table.out[info.value]:
        on.setdefault(edge.event, []).append(_transition(edge))
    return state | {"on": on}


def _transition(edge: Edge) -> dict[str, Any]:
    transition: dict[str, Any] = {"target": identifier(edge.target)}
    if edge.guard:
        transition["guard"] = edge.guard
    actions = [*(effect.name for effect in edge.effects), *(f"set {fact} = {value}" for fact, value in edge.sets.items())]
    if actions:
        transition["actions"] = actions
    evidence = f"{edge.evidence.strength}: {edge.evidence.page}"
    meta = {"origin": str(edge.origin), "cause": str(edge.cause), "evidence": evidence}
    return transition | {"description": edge.label, "meta": meta}
