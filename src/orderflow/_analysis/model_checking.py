"""Verifying properties over every path of a table: a monitor walks beside the reachable (state, facts) pairs. Pure.

Paths are of edges: what the provider did. A jump records only what was seen of a path, so it is no path of its own here. It needs none: the
rule ``jump-facts`` of check.py makes sure that all facts that can still be read are, after a jump, those of each path that it stands for.

A property holds, fails (with a shortest counterexample) or is vacuous: nothing that it speaks of can happen, so it promises nothing. One
that holds carries a shortest path on which what it speaks of happens. ``leans_on`` is the weakest evidence without whose edges it no
longer holds. A guard that could not be enumerated may be true or false at any time: what depends on it is unchecked, and never holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum

from attrs import define, evolve, field, frozen

from orderflow._analysis.monitors import Monitor, Phase, Seen
from orderflow._analysis.reachability import Moves, Pair, starts
from orderflow._lifecycle.conditions import Condition, Position, Uncertain
from orderflow._lifecycle.properties import Pattern, Property
from orderflow._lifecycle.table import Edge, Table
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


def verify(table: Table, moves: Moves, first: Collection[Pair] = ()) -> tuple[PropertyResult, ...]:
    """Verify every property that the table declares over these moves. ``first``: where orders begin, if not in ``starts``."""
    if not table.properties:
        return ()
    first = first or tuple(starts(table))
    space = _Space.of(table, moves, first)
    weaker = [(dropped[-1], _Space.of(table, _drop_edges(moves, dropped, first), first)) for dropped in _DROPPED]
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
    premises = _premises(promise)
    walk = _Walk(space, promise, dict(premises))
    try:
        breach = walk.run() or walk.find_unanswered()
    except Uncertain:
        return PropertyResult(promise, Verdict.UNCHECKED, ())
    if breach is not None:
        return PropertyResult(promise, Verdict.FAILS, walk.path_to(breach))
    if walk.missing:
        return PropertyResult(promise, Verdict.VACUOUS, (), missing=" and ".join(walk.missing))
    return PropertyResult(promise, Verdict.HOLDS, walk.path_to(walk.witnesses[next(iter(premises))]))


# ── what is walked ───────────────────────────────────────────────────────────────────────────────────────────────────────────


Onward = tuple[tuple[Edge, int], ...]
"""The edges that leave a position, each with the number of the position it leads to."""


@frozen
class _Space:
    """The reachable pairs of a table by number, as properties ask about them, and those in which an order begins."""

    starts: tuple[int, ...]
    positions: tuple[Position, ...]
    onward: tuple[Onward, ...]

    @classmethod
    def of(cls, table: Table, moves: Moves, first: Iterable[Pair]) -> _Space:
        numbers = {pair: number for number, pair in enumerate(moves)}
        opaque = {state: frozenset(edge.event for edge in edges if edge.unchecked) for state, edges in table.out.items()}
        marks = {
            state: frozenset(mark for mark in ("proven", "provisional", "final") if getattr(info, mark))
            for state, info in table.states.items()
        }
        positions = tuple(
            Position(
                state=pair.state,
                marks=marks[pair.state],
                facts=pair.facts(table),
                enabled=frozenset(edge.event for edge, _ in out if not edge.unchecked),
                uncertain=opaque[pair.state],
            )
            for pair, out in moves.items()
        )
        onward = tuple(tuple((edge, numbers[pair]) for edge, pair in out) for out in moves.values())
        return cls(tuple(numbers[pair] for pair in first), positions, onward)

    def as_expected(self) -> tuple[Onward, ...]:
        """The same moves without the edges whose expectation does not hold."""
        return tuple(
            tuple((edge, number) for edge, number in out if edge.expected.pick(position.facts))
            for position, out in zip(self.positions, self.onward, strict=True)
        )


def _drop_edges(moves: Moves, dropped: tuple[Strength, ...], first: Iterable[Pair]) -> Moves:
    """What is still reachable without the edges of this evidence."""
    rest: dict[Pair, tuple[tuple[Edge, Pair], ...]] = {}
    waiting = list(first)
    while waiting:
        pair = waiting.pop()
        if pair not in rest:
            rest[pair] = tuple(move for move in moves[pair] if move[0].evidence.strength not in dropped)
            waiting += [onward for _, onward in rest[pair]]
    return rest


Node = tuple[int, Phase]
"""The number of a position, and the phase of the monitor there."""
Arrival = tuple[Node | None, Edge | None]
"""How a path came to a position: from which node, by which edge."""
START: Arrival = (None, None)


def _premises(promise: Property) -> dict[str, Condition | None]:
    """What has to happen somewhere for the property to promise anything: by its text the condition, None: a witness of the monitor."""
    if promise.pattern is not Pattern.ABSENCE:
        asked = promise.first if promise.pattern is Pattern.UNIVERSALITY and promise.first is not None else promise.then
        return {f"{asked.text} in scope": None}
    # an absence speaks of its scope, and of each thing that is never to meet the others
    opens = promise.scope.opens
    conditions = (() if opens is None else (opens,)) + promise.then.conjuncts()
    return {condition.text: condition for condition in conditions}


@define
class _Walk:
    """One property's monitor beside the moves. Breadth-first: the first path to anything is a shortest one.

    ``arrivals``: each node with the arrival that found it. ``sources``: the nodes from which a node is entered, by edges that can be
    counted on. ``witnesses``: the first arrival at which each premise happens; ``missing``: the premises that did not happen.
    """

    space: _Space
    promise: Property
    missing: dict[str, Condition | None]
    arrivals: dict[Node, Arrival] = field(factory=dict)
    sources: dict[Node, list[Node]] = field(factory=dict)
    witnesses: dict[str, Arrival] = field(factory=dict)

    def run(self) -> Arrival | None:
        """Walk everything. Returns the first arrival that breaks the property, None where none does."""
        monitor, positions = Monitor.of(self.promise), self.space.positions
        onward = self.space.as_expected() if self.promise.as_expected else self.space.onward
        awaiting = self.promise.pattern in _AWAITING
        waiting: list[Node] = []
        for number in self.space.starts:
            phase, seen = monitor.step(monitor.begin, None, positions[number])
            if seen is Seen.BREACH:
                return START
            self._note(seen, START, positions[number])
            if self.arrivals.setdefault((number, phase), START) is START:
                waiting.append((number, phase))
        for node in waiting:  # grows while it is walked
            for edge, number in onward[node[0]]:
                phase, seen = monitor.step(node[1], edge, positions[number])
                arrival = (node, edge)
                if seen is Seen.BREACH:
                    return arrival
                if self.missing:
                    self._note(seen, arrival, positions[number])
                reached = (number, phase)
                if self.arrivals.setdefault(reached, arrival) is arrival:
                    waiting.append(reached)
                if awaiting and not edge.unchecked:
                    self.sources.setdefault(reached, []).append(node)
        return None

    def _note(self, seen: Seen, arrival: Arrival, position: Position) -> None:
        """Keep the arrival of every premise that happens for the first time."""
        for text, condition in tuple(self.missing.items()):
            if seen is Seen.WITNESS if condition is None else condition.holds(arrival[1], position):
                self.witnesses[text] = arrival
                del self.missing[text]

    def find_unanswered(self) -> Arrival | None:
        """The first node from which what is owed can never come, however the order moves on; None where there is none."""
        if self.promise.pattern not in _AWAITING:
            return None
        waiting = [node for node in self.arrivals if node[1] is not Phase.OWED]
        answered = set(waiting)
        while waiting:
            new = [node for node in self.sources.get(waiting.pop(), ()) if node not in answered]
            answered.update(new)
            waiting += new
        return next((arrival for node, arrival in self.arrivals.items() if node not in answered), None)

    def path_to(self, arrival: Arrival) -> tuple[Edge, ...]:
        """The edges to an arrival, first to last."""
        path: list[Edge] = []
        node, edge = arrival
        while edge is not None:
            path.append(edge)
            assert node is not None
            node, edge = self.arrivals[node]
        return tuple(reversed(path))
