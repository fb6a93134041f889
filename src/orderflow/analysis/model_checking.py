"""Verifying properties over every path of a table: a monitor walks beside the reachable (state, facts) pairs. Pure.

Paths are of edges: what the provider did. A jump records only what was seen of a path, so it is no path of its own here.

A property holds, fails (with a shortest counterexample) or is vacuous: nothing that it speaks of can happen, so it promises nothing. One
that holds carries a shortest path on which what it speaks of happens. ``leans_on`` is the weakest evidence without whose edges it no
longer holds. A guard that could not be enumerated may be true or false at any time: what depends on it is unchecked, and never holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from attrs import define, evolve, field, frozen

from orderflow.analysis.monitors import Monitor, Phase, Seen
from orderflow.analysis.reachability import Moves, Pair, starts
from orderflow.lifecycle.conditions import Condition, Position, Uncertain
from orderflow.lifecycle.properties import Pattern, Property
from orderflow.lifecycle.table import Edge, Table
from orderflow.model import Strength

_DROPPED = ((Strength.ASSUMED,), (Strength.ASSUMED, Strength.INFERRED))
_AWAITING = (Pattern.EXISTENCE, Pattern.RESPONSE)
"""The patterns that wait for something. Fairness: an edge that is enabled again and again is taken at last."""


class Verdict(StrEnum):
    """What became of a property."""

    HOLDS = "holds"
    FAILS = "fails"
    VACUOUS = "vacuous"
    UNCHECKED = "unchecked"


@frozen
class PropertyResult:
    """A property's verdict. ``path``: the edges of the witness, or of the counterexample; empty where the property is unchecked or
    vacuous. ``missing``: what never happens, of a vacuous one. ``leans_on``: "", ``inferred`` or ``assumed``."""

    promise: Property
    verdict: Verdict
    path: tuple[Edge, ...]
    missing: str = ""
    leans_on: str = ""

    @property
    def steps(self) -> tuple[str, ...]:
        """The path as text, one a step."""
        return tuple(f"{edge.event}: {edge.source} -> {edge.target}" for edge in self.path)

    @property
    def unsure(self) -> tuple[str, ...]:
        """The evidence of the path's edges that is not documented."""
        weak = [edge.evidence for edge in self.path if edge.evidence.strength is not Strength.DOCUMENTED]
        return tuple(dict.fromkeys(f"{evidence.page} ({evidence.strength})" for evidence in weak))


def verify(table: Table, moves: Moves) -> tuple[PropertyResult, ...]:
    """Verify every property that the table declares over these moves."""
    if not table.properties:
        return ()
    space = _Space.of(table, moves)
    weaker = [(dropped[-1], _Space.of(table, _drop_edges(table, moves, dropped))) for dropped in _DROPPED]
    return tuple(_verify(promise, space, weaker) for promise in table.properties)


def combine(never: tuple[PropertyResult, ...], always: tuple[PropertyResult, ...]) -> tuple[PropertyResult, ...]:
    """The verdicts that stand whatever the opaque guards say: verified with these guards never true, and with them always true.

    What holds in both holds on every path between, for no opaque edge is counted on to bring an answer. What fails in both
    fails, unless it waits for something: then an opaque edge might have brought it.
    """
    return tuple(_combine(no, yes) for no, yes in zip(never, always, strict=True))


def _combine(no: PropertyResult, yes: PropertyResult) -> PropertyResult:
    waits = no.promise.pattern in _AWAITING
    if no.verdict is not yes.verdict or (waits and no.verdict is Verdict.FAILS):
        return PropertyResult(no.promise, Verdict.UNCHECKED, ())
    return no if no.leans_on == Strength.ASSUMED else evolve(no, leans_on=yes.leans_on or no.leans_on)


def _verify(promise: Property, space: _Space, weaker: list[tuple[Strength, _Space]]) -> PropertyResult:
    result = _decide(promise, space)
    if result.verdict is Verdict.HOLDS:
        for strength, fewer in weaker:
            if _decide(promise, fewer).verdict is not Verdict.HOLDS:
                return evolve(result, leans_on=str(strength))
    return result


def _decide(promise: Property, space: _Space) -> PropertyResult:
    walk = _Walk(space, promise)
    try:
        breach = walk.run() or walk.find_unanswered()
    except Uncertain:
        return PropertyResult(promise, Verdict.UNCHECKED, ())
    if breach is not None:
        return PropertyResult(promise, Verdict.FAILS, walk.path_to(breach))
    missing = [text for text, witness in walk.witnesses.items() if witness is None]
    if missing:
        return PropertyResult(promise, Verdict.VACUOUS, (), missing=" and ".join(missing))
    witness = next(iter(walk.witnesses.values()))
    assert witness is not None
    return PropertyResult(promise, Verdict.HOLDS, walk.path_to(witness))


# ── what is walked ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@frozen
class _Space:
    """The reachable pairs of a table, where an order begins, and each pair as properties ask about it."""

    starts: tuple[Pair, ...]
    moves: Moves
    positions: Mapping[Pair, Position]

    @classmethod
    def of(cls, table: Table, moves: Moves) -> _Space:
        opaque = {state: frozenset(edge.event for edge in edges if edge.unchecked) for state, edges in table.out.items()}
        marks = {
            state: frozenset(mark for mark in ("proven", "provisional", "final") if getattr(info, mark))
            for state, info in table.states.items()
        }
        positions = {
            pair: Position(
                state=pair.state,
                marks=marks[pair.state],
                facts=pair.facts(table),
                enabled=frozenset(edge.event for edge, _ in out if not edge.unchecked),
                uncertain=opaque[pair.state],
            )
            for pair, out in moves.items()
        }
        return cls(tuple(starts(table)), moves, positions)


def _drop_edges(table: Table, moves: Moves, dropped: tuple[Strength, ...]) -> Moves:
    """What is still reachable without the edges of this evidence."""
    rest: dict[Pair, tuple[tuple[Edge, Pair], ...]] = {}
    waiting = list(starts(table))
    while waiting:
        pair = waiting.pop()
        if pair not in rest:
            rest[pair] = tuple(move for move in moves[pair] if move[0].evidence.strength not in dropped)
            waiting += [onward for _, onward in rest[pair]]
    return rest


Node = tuple[Pair, Phase]


@frozen
class _Arrival:
    """How a path came to a position: from which node, by which edge. Both are None at the start."""

    source: Node | None = None
    edge: Edge | None = None


@define
class _Walk:
    """One property's monitor beside the moves. Breadth-first: the first path to anything is a shortest one.

    ``arrivals``: each node with the arrival that found it. ``witnesses``: what the property speaks of, each with the first arrival at
    which it happens. A property none of whose witnesses is missing promises something."""

    space: _Space
    promise: Property
    monitor: Monitor = field(init=False)
    arrivals: dict[Node, _Arrival] = field(factory=dict)
    witnesses: dict[str, _Arrival | None] = field(factory=dict)
    wanted: dict[str, Condition] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.monitor = Monitor.of(self.promise)
        if self.promise.pattern is Pattern.ABSENCE:
            # an absence speaks of its scope and of each thing that is never to meet the others
            opens = self.promise.scope.opens
            conditions = (() if opens is None else (opens,)) + self.promise.then.conjuncts()
            self.wanted = {condition.text: condition for condition in conditions}
            self.witnesses = dict.fromkeys(self.wanted)
        else:
            self.witnesses = {self._subject(): None}

    def _subject(self) -> str:
        first, then = self.promise.first, self.promise.then
        asked = first if self.promise.pattern is Pattern.UNIVERSALITY and first is not None else then
        return f"{asked.text} in scope"

    def run(self) -> _Arrival | None:
        """Walk everything. Returns the first arrival that breaks the property, None where none does."""
        for pair in self.space.starts:
            node, seen = self._enter(pair, self.monitor.begin, _Arrival())
            if seen is Seen.BREACH:
                return _Arrival()
            self.arrivals.setdefault(node, _Arrival())
        waiting = list(self.arrivals)
        for node in waiting:  # grows while it is walked
            for edge, onward in self._moves(node):
                arrival = _Arrival(node, edge)
                reached, seen = self._enter(onward, node[1], arrival)
                if seen is Seen.BREACH:
                    return arrival
                if reached not in self.arrivals:
                    self.arrivals[reached] = arrival
                    waiting.append(reached)
        return None

    def _moves(self, node: Node) -> Iterator[tuple[Edge, Pair]]:
        """The edges taken here: where the property asks so, only those whose expectation holds."""
        pair, _ = node
        facts = self.space.positions[pair].facts
        for edge, onward in self.space.moves[pair]:
            if not self.promise.as_expected or not edge.expects or edge.expected.pick(facts):
                yield edge, onward

    def _enter(self, pair: Pair, phase: Phase, arrival: _Arrival) -> tuple[Node, Seen]:
        """The monitor's step; notes what is witnessed by it."""
        position = self.space.positions[pair]
        phase, seen = self.monitor.step(phase, arrival.edge, position)
        met = [text for text, condition in self.wanted.items() if condition.holds(arrival.edge, position)]
        if seen is Seen.WITNESS:
            met.append(self._subject())
        for text in met:
            self.wanted.pop(text, None)
            if self.witnesses[text] is None:
                self.witnesses[text] = arrival
        return (pair, phase), seen

    def find_unanswered(self) -> _Arrival | None:
        """The first node from which what is owed can never come, however the order moves on; None where there is none."""
        if self.promise.pattern not in _AWAITING:
            return None
        sources: dict[Node, list[Node]] = {}
        for node in self.arrivals:
            for edge, onward in self._moves(node):
                if not edge.unchecked:  # an opaque edge cannot be counted on
                    phase, _ = self.monitor.step(node[1], edge, self.space.positions[onward])
                    sources.setdefault((onward, phase), []).append(node)
        waiting = [node for node in self.arrivals if node[1] is not Phase.OWED]
        answered = set(waiting)
        while waiting:
            new = [node for node in sources.get(waiting.pop(), ()) if node not in answered]
            answered.update(new)
            waiting += new
        return next((self.arrivals[node] for node in self.arrivals if node not in answered), None)

    def path_to(self, arrival: _Arrival) -> tuple[Edge, ...]:
        """The edges to an arrival, first to last."""
        path: list[Edge] = []
        while arrival.edge is not None and arrival.source is not None:
            path.append(arrival.edge)
            arrival = self.arrivals[arrival.source]
        return tuple(reversed(path))
