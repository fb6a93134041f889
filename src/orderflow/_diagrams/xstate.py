"""A table as an XState (v5) machine in JSON, for Stately's editor and simulator. Pure text; the only module that knows XState.

No edges are merged: a machine is run, not looked at. Guards, effects and the facts that an edge sets appear as names. The program that
runs the machine provides them.
"""

from __future__ import annotations

import json
from typing import Any

from orderflow._diagrams.captions import make_identifier
from orderflow._lifecycle.table import Edge, StateInfo, Table


def build_xstate(table: Table, stamp: str) -> str:
    """Return the machine, with a newline at the end. ``stamp``: stands in the machine's ``meta``.

    XState splits paths at dots, so a state's key is its value as an identifier. The value itself is the state's ``description``.
    """
    machine = {
        "meta": {"generated": stamp},
        "id": make_identifier(table.name),
        "initial": make_identifier(table.initial),
        "context": table.defaults(),
        "states": {make_identifier(info.value): _build_state(info, table) for info in table.states.values()},
    }
    return json.dumps(machine, indent=2, ensure_ascii=False) + "\n"


def _build_state(info: StateInfo, table: Table) -> dict[str, Any]:
    flags = [flag for flag in ("initial", "final", "provisional", "proven", "assumed") if getattr(info, flag)]
    state: dict[str, Any] = {"description": info.value, "tags": flags}
    if info.final:
        return state | {"type": "final"}
    transitions: dict[str, list[dict[str, Any]]] = {}
    for edge in table.out[info.value]:
        transitions.setdefault(edge.event, []).append(_build_transition(edge))
    return state | {"on": transitions}


def _build_transition(edge: Edge) -> dict[str, Any]:
    transition: dict[str, Any] = {"target": make_identifier(edge.target)}
    if edge.guard:
        transition["guard"] = edge.guard
    actions = [*(effect.name for effect in edge.effects), *(f"set {fact} = {value}" for fact, value in edge.sets.items())]
    if actions:
        transition["actions"] = actions
    evidence = f"{edge.evidence.strength}: {edge.evidence.page}"
    meta = {"origin": str(edge.origin), "cause": str(edge.cause), "evidence": evidence}
    return transition | {"description": edge.label, "meta": meta}
