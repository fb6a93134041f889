"""What differs between two printed lifecycles, and which orders the new one would not carry on. Pure.

It works on what ``orderflow lifecycles --json`` prints, so the old lifecycle need not be importable any more.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from attrs import field, frozen

from orderflow._lifecycle.facts import Facts, Value
from orderflow.model import Order

EXAMPLES = 20
"""How many ids of broken orders are kept for each reason."""

Described = Mapping[str, Any]
_PARTS = ("events", "facts", "effects", "readings")


# ── a printed lifecycle ──────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class _PrintedGuard:
    """The facts that a guard reads, and their values under which it is true."""

    reads: tuple[str, ...]
    holds: frozenset[tuple[Value, ...]]


@frozen
class _PrintedEdge:
    """An edge as far as it decides. ``guards``: one text may stand for two guards; without any the edge is always enabled."""

    target: str
    guards: tuple[_PrintedGuard, ...]

    def is_enabled(self, facts: Facts) -> bool:
        return not self.guards or any(tuple(facts.get(name, "") for name in guard.reads) in guard.holds for guard in self.guards)


@frozen
class PrintedLifecycle:
    """A lifecycle as it was printed, ready to be asked."""

    described: Described
    states: Mapping[str, Described] = field(repr=False)
    cells: Mapping[tuple[str, str], tuple[_PrintedEdge, ...]] = field(repr=False)  # by event and state

    @classmethod
    def parse(cls, described: Described) -> PrintedLifecycle:
        """From one JSON document of a lifecycle.

        Raises:
            KeyError, TypeError, AttributeError: it is not what `orderflow lifecycles --json` prints.
        """
        guards: dict[str, list[_PrintedGuard]] = defaultdict(list)
        for guard in described["guards"]:
            holds = frozenset(tuple(values) for values in guard["holds"])
            guards[guard["guard"]].append(_PrintedGuard(tuple(guard["reads"]), holds))
        cells: dict[tuple[str, str], list[_PrintedEdge]] = defaultdict(list)
        for edge in described["edges"]:
            printed = _PrintedEdge(edge["target"], tuple(guards[edge["guard"]]) if edge["guard"] else ())
            cells[edge["event"], edge["source"]].append(printed)
        for part in _PARTS:
            described[part].items()  # raises if it is no mapping
        states = {state["value"]: state for state in described["states"]}
        return cls(described, states, {cell: tuple(edges) for cell, edges in cells.items()})

    def target(self, event: str, state: str, facts: Facts) -> str | None:
        """Where the event leads from the state under the facts; None: nowhere."""
        return next((edge.target for edge in self.cells.get((event, state), ()) if edge.is_enabled(facts)), None)

    def reads(self, event: str, state: str) -> set[str]:
        """The facts that the guards of one cell read."""
        return {name for edge in self.cells.get((event, state), ()) for guard in edge.guards for name in guard.reads}

    def edges(self) -> dict[str, Described]:
        """The edges by event, source, target and guard; a second one alike has a ' behind its name."""
        edges: dict[str, Described] = {}
        for edge in self.described["edges"]:
            name = f"{edge['event']}: {edge['source']} -> {edge['target']}" + (f" [{edge['guard']}]" if edge["guard"] else "")
            while name in edges:
                name += "'"
            edges[name] = edge
        return edges


# ── what differs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class PartDiff:
    """The names of one part that were removed, added and changed, the last with what changed."""

    removed: tuple[str, ...]
    added: tuple[str, ...]
    changed: tuple[str, ...]


@frozen
class CellDiff:
    """A cell whose answer differs. ``old`` and ``new``: where the event leads, None: nowhere. ``when``: the facts under which it is so,
    empty where it is always so."""

    event: str
    state: str
    old: str | None
    new: str | None
    when: tuple[Facts, ...]


@frozen
class LifecycleDiff:
    """``change``: ``added``, ``removed``, ``changed`` or ``none``; ``parts`` is empty for the first two. ``illegal``: the events that are
    nowhere legal any more where they were."""

    lifecycle: str
    change: str
    parts: Mapping[str, PartDiff] = field(factory=dict)
    cells: tuple[CellDiff, ...] = ()
    illegal: tuple[str, ...] = ()


def compare(name: str, old: PrintedLifecycle | None, new: PrintedLifecycle | None) -> LifecycleDiff:
    """Compare two versions of a lifecycle; None: there is no such version."""
    if old is None or new is None:
        return LifecycleDiff(name, "added" if old is None else "removed")
    parts = {
        "states": _compare_part(old.states, new.states),
        **{part: _compare_part(old.described[part], new.described[part]) for part in _PARTS},
        "edges": _compare_part(old.edges(), new.edges()),
    }
    cells = tuple(_compare_cells(old, new))
    illegal = tuple(sorted({cell.event for cell in cells if cell.new is None}))
    differs = cells or any(part.removed or part.added or part.changed for part in parts.values())
    return LifecycleDiff(name, "changed" if differs else "none", parts, cells, illegal)


def _compare_part(old: Mapping[str, Any], new: Mapping[str, Any]) -> PartDiff:
    return PartDiff(
        removed=tuple(name for name in old if name not in new),
        added=tuple(name for name in new if name not in old),
        changed=tuple(f"{name}: {_describe_change(old[name], new[name])}" for name in old if name in new and old[name] != new[name]),
    )


def _describe_change(old: Any, new: Any) -> str:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return f"{json.dumps(old)} -> {json.dumps(new)}"
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return ", ".join(f"{key} {json.dumps(old.get(key))} -> {json.dumps(new.get(key))}" for key in keys)


def _compare_cells(old: PrintedLifecycle, new: PrintedLifecycle) -> Iterator[CellDiff]:
    """The cells whose answer differs, in states that both have: once for each pair of targets."""
    events = dict.fromkeys([*old.described["events"], *new.described["events"]])
    for state, event in product((state for state in old.states if state in new.states), events):
        targets: dict[tuple[str | None, str | None], list[Facts]] = defaultdict(list)
        for facts in _valuations(old, new, old.reads(event, state) | new.reads(event, state)):
            targets[old.target(event, state, facts), new.target(event, state, facts)].append(facts)
        for (before, after), when in targets.items():
            if before != after:
                yield CellDiff(event, state, before, after, tuple(when) if len(targets) > 1 else ())


def _valuations(old: PrintedLifecycle, new: PrintedLifecycle, reads: set[str]) -> Iterator[Facts]:
    """Every combination of the facts' values, of both versions."""
    facts = (old.described["facts"], new.described["facts"])
    values = {name: dict.fromkeys(value for declared in facts for value in declared.get(name, ())) for name in sorted(reads)}
    for combination in product(*values.values()):
        yield dict(zip(values, combination, strict=True))


# ── stored orders ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class BrokenOrders:
    """Orders in one state that the new version would not carry on, for one reason: how many, and the ids of the first."""

    lifecycle: str
    state: str
    why: str
    count: int
    orders: tuple[str, ...]


def find_broken(name: str, orders: Iterable[Order], old: PrintedLifecycle, new: PrintedLifecycle | None) -> list[BrokenOrders]:
    """The orders that the new version would not carry on, by state and reason. An order can be broken for several reasons."""
    broken: dict[tuple[str, str], list[str]] = defaultdict(list)
    for order in orders:
        for why in _why_broken(order, old, new):
            broken[order.state, why].append(order.id)
    return [BrokenOrders(name, state, why, len(ids), tuple(ids[:EXAMPLES])) for (state, why), ids in sorted(broken.items())]


def _why_broken(order: Order, old: PrintedLifecycle, new: PrintedLifecycle | None) -> Iterator[str]:
    if new is None:
        yield "its lifecycle is removed"
        return
    if order.state not in new.states:
        yield "its state is removed"
        return
    facts = order.snapshot.facts
    declared = new.described["facts"]
    read = {name for event in new.described["events"] for name in new.reads(event, order.state)}
    for name in sorted(read - facts.keys()):
        yield f"guards read the fact {name}, which it was created without"
    for name, value in facts.items():
        if name in declared and value not in declared[name]:
            yield f"its fact {name} is {value!r}, which is not declared any more"
    for event in old.described["events"]:
        before = old.target(event, order.state, facts)
        if before is not None and new.target(event, order.state, facts) is None:
            yield f"{event} would be refused; it led to {before}"
