"""``orderflow diff``: what differs between two printed lifecycles, and which stored orders the new one would not carry on.

It works on what ``orderflow lifecycles --json`` printed, so the old lifecycle need not be importable any more.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from attrs import field, frozen
from cyclopts import Parameter

from orderflow.cli import show
from orderflow.cli.exits import Exit
from orderflow.cli.stored import ask_store
from orderflow.errors import InvalidInput
from orderflow.model import Order

Described = Mapping[str, Any]
Facts = Mapping[str, bool | str]
Db = Annotated[str | None, Parameter(help="Database URL: name the stored orders that would break.", env_var="ORDERFLOW_DB")]
Json = Annotated[bool, Parameter(name="--json", help="Print one JSON document.", negative="")]
_EXAMPLES = 20


def diff(old: Path, new: Path, /, *, db: Db = None, as_json: Json = False) -> Exit:
    """Compare two files that `orderflow lifecycles --json` printed.

    It compares states, events, facts, edges, and the target of every event in
    every state. With a database it finds the stored orders that would break: those
    in a removed state, and those that an event would no longer move.

    Example: orderflow diff old.json new.json --db sqlite:///orders.db

    Parameters
    ----------
    old:
        The file that the current version printed.
    new:
        The file that the next version printed.
    """
    before, after = _snapshot("OLD", old), _snapshot("NEW", new)
    changes = [_compared(name, before.get(name), after.get(name)) for name in dict.fromkeys([*before, *after])]
    broken = _broken(db, before, after) if db else []
    if as_json:
        show.document({"lifecycles": changes, "broken": broken})
    else:
        _print(changes, broken, asked=db is not None)
    return Exit.FAILED if broken else Exit.OK


def _snapshot(argument: str, path: Path) -> dict[str, _Machine]:
    """Every lifecycle of a file, by name.

    Raises:
        InvalidInput: there is no such file, or it is not what ``orderflow lifecycles --json`` prints.
    """
    if not path.is_file():
        raise InvalidInput(argument, f"{path} is no file; to write one: orderflow lifecycles NAME --json > FILE")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {one["lifecycle"]: _Machine(one) for one in (found if isinstance(found, list) else [found])}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidInput(argument, f"{path} is not what `orderflow lifecycles --json` prints") from None


# ── a printed lifecycle ──────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class _Rule:
    """An edge as it is decided by: the target, and the values of the facts read under which it holds (none read: always)."""

    target: str
    ways: tuple[tuple[tuple[str, ...], frozenset[tuple[bool | str, ...]]], ...]

    def holds(self, facts: Facts) -> bool:
        return not self.ways or any(tuple(facts.get(name, "") for name in reads) in yes for reads, yes in self.ways)


@frozen
class _Machine:
    """A printed lifecycle, ready to answer."""

    told: Described
    cells: Mapping[tuple[str, str], tuple[_Rule, ...]] = field(init=False)
    states: Mapping[str, Described] = field(init=False)

    def __attrs_post_init__(self) -> None:
        guards: dict[str, list[tuple[tuple[str, ...], frozenset[tuple[bool | str, ...]]]]] = defaultdict(list)
        for guard in self.told["guards"]:  # one text may stand for two guards
            guards[guard["guard"]].append((tuple(guard["reads"]), frozenset(tuple(values) for values in guard["holds"])))
        cells: dict[tuple[str, str], list[_Rule]] = defaultdict(list)
        for edge in self.told["edges"]:
            ways = tuple(guards[edge["guard"]]) if edge["guard"] else ()
            cells[edge["event"], edge["source"]].append(_Rule(edge["target"], ways))
        states = {state["value"]: state for state in self.told["states"]}
        for name in ("events", "facts", "effects", "readings"):
            self.told[name].items()  # of the right shape, or no snapshot
        object.__setattr__(self, "cells", {cell: tuple(rules) for cell, rules in cells.items()})
        object.__setattr__(self, "states", states)

    def target(self, event: str, state: str, facts: Facts) -> str | None:
        """Where the event leads from the state under the facts; None: nowhere."""
        return next((rule.target for rule in self.cells.get((event, state), ()) if rule.holds(facts)), None)

    def reads(self, event: str, state: str) -> set[str]:
        """The facts that the cell's guards read."""
        return {name for rule in self.cells.get((event, state), ()) for reads, _ in rule.ways for name in reads}


# ── what differs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _compared(name: str, old: _Machine | None, new: _Machine | None) -> dict[str, Any]:
    if old is None or new is None:
        return {"lifecycle": name, "change": "added" if old is None else "removed"}
    parts = {
        "states": _parts(old.states, new.states),
        **{part: _parts(old.told[part], new.told[part]) for part in ("events", "facts", "effects", "readings")},
        "edges": _parts(_edges(old), _edges(new)),
    }
    cells = list(_cells(old, new))
    illegal = sorted({str(cell["event"]) for cell in cells if cell["new"] is None})
    differs = cells or any(names for part in parts.values() for names in part.values())
    return {"lifecycle": name, "change": "changed" if differs else "none", **parts, "cells": cells, "illegal": illegal}


def _edges(machine: _Machine) -> dict[str, Described]:
    """By what makes an edge that edge; a second alike counts up."""
    edges: dict[str, Described] = {}
    for edge in machine.told["edges"]:
        name = f"{edge['event']}: {edge['source']} -> {edge['target']}" + (f" [{edge['guard']}]" if edge["guard"] else "")
        while name in edges:
            name += "'"
        edges[name] = edge
    return edges


def _parts(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        "removed": [name for name in old if name not in new],
        "added": [name for name in new if name not in old],
        "changed": [f"{name}: {_how(old[name], new[name])}" for name in old if name in new and old[name] != new[name]],
    }


def _how(old: Any, new: Any) -> str:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return f"{json.dumps(old)} -> {json.dumps(new)}"
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return ", ".join(f"{key} {json.dumps(old.get(key))} -> {json.dumps(new.get(key))}" for key in keys)


def _cells(old: _Machine, new: _Machine) -> Iterator[dict[str, Any]]:
    """The cells whose answer differs, in states that both have: once for each pair of targets, with the facts under which it is so."""
    for state in old.states:
        if state not in new.states:
            continue
        for event in dict.fromkeys([*old.told["events"], *new.told["events"]]):
            found: dict[tuple[str | None, str | None], list[Facts]] = defaultdict(list)
            reads = old.reads(event, state) | new.reads(event, state)
            for facts in _valuations(old, new, reads):
                found[old.target(event, state, facts), new.target(event, state, facts)].append(facts)
            for (was, now), when in found.items():
                if was != now:
                    yield {"event": event, "state": state, "old": was, "new": now, "when": when if len(found) > 1 else []}


def _valuations(old: _Machine, new: _Machine, reads: set[str]) -> Iterator[Facts]:
    values = {name: dict.fromkeys([*old.told["facts"].get(name, ()), *new.told["facts"].get(name, ())]) for name in sorted(reads)}
    for chosen in product(*values.values()):
        yield dict(zip(values, chosen, strict=True))


# ── stored orders ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _broken(db: str, old: Mapping[str, _Machine], new: Mapping[str, _Machine]) -> list[dict[str, Any]]:
    """What the new lifecycles would not carry on, by state and reason, with some of the orders."""
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for name, machine in old.items():
        for order in ask_store(db, lambda store, name=name: store.orders(provider=name, limit=2**62)):  # type: ignore[misc]
            for why in _reasons(order, machine, new.get(name)):
                found[name, order.state, why].append(order.id)
    return [
        {"lifecycle": name, "state": state, "why": why, "count": len(orders), "orders": orders[:_EXAMPLES]}
        for (name, state, why), orders in sorted(found.items())
    ]


def _reasons(order: Order, old: _Machine, new: _Machine | None) -> Iterator[str]:
    if new is None:
        yield "its lifecycle is removed"
        return
    if order.state not in new.states:
        yield "its state is removed"
        return
    facts = order.snapshot.facts
    declared = new.told["facts"]
    here = {name for event in new.told["events"] for name in new.reads(event, order.state)}
    for name in sorted(here - facts.keys()):
        yield f"guards read the fact {name}, which it was created without"
    for name, value in facts.items():
        if name in declared and value not in declared[name]:
            yield f"its fact {name} is {value!r}, which is not declared any more"
    for event in old.told["events"]:
        was, now = old.target(event, order.state, facts), new.target(event, order.state, facts)
        if was is not None and now is None:
            yield f"{event} would be refused; it led to {was}"


# ── printing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _print(changes: list[dict[str, Any]], broken: list[dict[str, Any]], *, asked: bool) -> None:
    for each in changes:
        show.line(f"{each['lifecycle']}: {'no difference' if each['change'] == 'none' else each['change']}")
        rows = [
            (part, how, one)
            for part in ("states", "events", "facts", "effects", "readings", "edges")
            for how, names in each.get(part, {}).items()
            for one in names
        ]
        if rows:
            show.table(("part", "change", "which"), rows)
        cells = [
            (cell["event"], cell["state"], cell["old"] or "no", cell["new"] or "no", _when(cell["when"])) for cell in each.get("cells", ())
        ]
        if cells:
            show.table(("event", "in", "was", "is", "under"), cells)
        if each.get("illegal"):
            show.line(f"legal no more where they were: {', '.join(each['illegal'])}")
    if broken:
        show.table(
            ("lifecycle", "state", "orders", "why", "e.g."),
            [(one["lifecycle"], one["state"], str(one["count"]), one["why"], one["orders"][0]) for one in broken],
        )
    elif asked:
        show.line("stored orders: none is broken")


def _when(when: list[Facts]) -> str:
    if not when:
        return ""
    first = ", ".join(f"{name} = {str(value).lower()}" for name, value in when[0].items())
    return first if len(when) == 1 else f"{first}, or {len(when) - 1} more"
