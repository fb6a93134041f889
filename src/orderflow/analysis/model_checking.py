"""Judging properties over every path of a table: a monitor of a few states walks beside the reachable (state, facts) pairs. Pure.

Paths are of edges: what the provider did. A jump tells only what was seen of one, so it is no path of its own here.

A property holds, fails (with a shortest counterexample) or is vacuous: nothing that it speaks of can happen, so it says nothing. One
that holds carries a shortest path on which what it speaks of happens. ``leans_on`` is the weakest evidence without whose edges it no
longer holds. A guard that could not be enumerated may say anything at any time: what hangs on it is unchecked, and never holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from attrs import define, evolve, field, frozen

from orderflow.analysis.reachability import Moves, Pair, starts
from orderflow.lifecycle.properties import Bound, Pattern, Property, Unsure, Where
from orderflow.lifecycle.table import Edge, Table
from orderflow.model import Strength

Node = tuple[Pair, int, bool]
"""A pair, the scope (before, in, past) and the monitor's one bit: ``first`` was seen, or an answer is owed."""
BEFORE, IN, PAST = 0, 1, 2
_DROPPED = ((Strength.ASSUMED,), (Strength.ASSUMED, Strength.INFERRED))


class Verdict(StrEnum):
    """What became of a property."""

    HOLDS = "holds"
    FAILS = "fails"
    VACUOUS = "vacuous"
    UNCHECKED = "unchecked"


@frozen
class Judged:
    """A property's verdict. ``path``: the edges of the witness, or of the counterexample; empty where it is unchecked, or vacuous:
    ``missing`` then names what never happens. ``leans_on``: "", ``inferred`` or ``assumed``."""

    promised: Property
    verdict: Verdict
    path: tuple[Edge, ...]
    missing: str = ""
    leans_on: str = ""

    @property
    def steps(self) -> tuple[str, ...]:
        """The path as words, one a step."""
        return tuple(f"{edge.event}: {edge.source} -> {edge.target}" for edge in self.path)

    @property
    def unsure(self) -> tuple[str, ...]:
        """The pages of the path's edges that no page states outright."""
        weak = [edge.evidence for edge in self.path if edge.evidence.strength is not Strength.DOCUMENTED]
        return tuple(dict.fromkeys(f"{evidence.page} ({evidence.strength})" for evidence in weak))


def judge(table: Table, moves: Moves) -> tuple[Judged, ...]:
    """Judge every property that the table declares."""
    weaker = [(dropped[-1], _without(table, moves, dropped)) for dropped in _DROPPED] if table.properties else []
    return tuple(_judge(table, moves, promised, weaker) for promised in table.properties)


def agreed(never: tuple[Judged, ...], always: tuple[Judged, ...]) -> tuple[Judged, ...]:
    """The verdicts that stand whatever the unchecked guards say: judged with them saying always no, and always yes.

    What holds in both holds on every path between, for the walk counts on no unchecked edge to bring an answer. What fails in both
    fails, unless it waits for something: then an unchecked edge might have brought it.
    """
    return tuple(_agreed(no, yes) for no, yes in zip(never, always, strict=True))


def _agreed(no: Judged, yes: Judged) -> Judged:
    waits = no.promised.pattern in (Pattern.EXISTENCE, Pattern.RESPONSE)
    if no.verdict is not yes.verdict or (waits and no.verdict is Verdict.FAILS):
        return Judged(no.promised, Verdict.UNCHECKED, ())
    return no if no.leans_on == Strength.ASSUMED else evolve(no, leans_on=yes.leans_on or no.leans_on)


def _judge(table: Table, moves: Moves, promised: Property, weaker: list[tuple[Strength, Moves]]) -> Judged:
    first = _verdict(table, moves, promised)
    if first.verdict is not Verdict.HOLDS:
        return first
    for strength, fewer in weaker:
        if _verdict(table, fewer, promised).verdict is not Verdict.HOLDS:
            return Judged(promised, first.verdict, first.path, leans_on=str(strength))
    return first


def _without(table: Table, moves: Moves, dropped: tuple[Strength, ...]) -> Moves:
    kept: dict[Pair, tuple[tuple[Edge, Pair], ...]] = {}
    todo = list(starts(table))
    while todo:
        pair = todo.pop()
        if pair not in kept:
            kept[pair] = tuple(move for move in moves[pair] if move[0].evidence.strength not in dropped)
            todo += [onward for _, onward in kept[pair]]
    return kept


def _verdict(table: Table, moves: Moves, promised: Property) -> Judged:
    walk = _Walk(table, moves, promised)
    try:
        broken = walk.run() or walk.unanswered()
    except Unsure:
        return Judged(promised, Verdict.UNCHECKED, ())
    if broken is not None:
        return Judged(promised, Verdict.FAILS, walk.path_to(*broken))
    missing = [text for text, met in walk.premises.items() if met is None]
    if missing:
        return Judged(promised, Verdict.VACUOUS, (), missing=" and ".join(missing))
    witness = next(iter(walk.premises.values()))
    assert witness is not None
    return Judged(promised, Verdict.HOLDS, walk.path_to(*witness))


def _never(_edge: Edge | None, _pair: Pair) -> bool:
    return False


Arrival = tuple[Node, Edge | None]
"""A node, and the edge by which a path just came there."""


@define
class _Walk:
    """One property beside the moves, breadth-first: the first path to anything is a shortest one."""

    table: Table
    moves: Moves
    promised: Property
    then: Bound = field(init=False)
    first: Bound = field(init=False)
    opens: Bound = field(init=False)
    closes: Bound = field(init=False)
    behind: dict[Node, tuple[Node | None, Edge | None]] = field(factory=dict)
    premises: dict[str, tuple[Node | None, Edge | None] | None] = field(factory=dict)
    wanted: dict[str, Bound] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        what, scope = self.promised, self.promised.scope
        bind = (self.table, self.moves)
        self.then = what.then.bind(*bind)
        self.first = what.first.bind(*bind) if what.first else _never
        self.opens = scope.opens.bind(*bind) if scope.opens else _never
        self.closes = scope.closes.bind(*bind) if scope.closes else _never
        if what.pattern is Pattern.ABSENCE:
            if scope.opens:
                self.premises[scope.opens.text] = None
            for part in what.then.conjuncts():
                self.premises[part.text] = None
                self.wanted[part.text] = part.bind(*bind)
        else:
            asked = what.first if what.pattern is Pattern.UNIVERSALITY and what.first else what.then
            self.premises[f"{asked.text} in scope"] = None

    def run(self) -> tuple[Node | None, Edge | None] | None:
        """Walk everything; answers with where the property broke first, if it did."""
        begin = IN if self.promised.scope.opens is None else BEFORE
        owed = self.promised.pattern is Pattern.EXISTENCE and begin == IN
        front: list[Node] = []
        for pair in starts(self.table):
            node, broken = self._enter(None, None, pair, begin, owed)
            if broken:
                return (None, None)
            front += self._new(node, None, None)
        for node in front:  # grows while it is walked
            pair, scope, bit = node
            for edge, onward in self.moves[pair]:
                if not self._taken(edge, pair):
                    continue
                reached, broken = self._enter(node, edge, onward, scope, bit)
                if broken:
                    return (node, edge)
                front += self._new(reached, node, edge)
        return None

    def _taken(self, edge: Edge, pair: Pair) -> bool:
        return not (self.promised.as_expected and edge.expects) or edge.expected.pick(pair.facts(self.table))

    def _new(self, node: Node, came: Node | None, edge: Edge | None) -> Iterable[Node]:
        if node in self.behind:
            return ()
        self.behind[node] = (came, edge)
        return (node,)

    def _enter(self, came: Node | None, edge: Edge | None, pair: Pair, scope: int, bit: bool) -> tuple[Node, bool]:
        """The monitor's step on taking ``edge`` to ``pair``; whether that breaks the property."""
        pattern = self.promised.pattern
        opened = False
        if scope == BEFORE and self.opens(edge, pair):
            scope, bit, opened = IN, pattern is Pattern.EXISTENCE, True
        elif scope == IN and self.closes(edge, pair):
            owed = bit and pattern in (Pattern.EXISTENCE, Pattern.RESPONSE)
            scope, bit = (BEFORE if self.promised.scope.where is Where.BETWEEN else PAST), False
            if owed:
                return (pair, scope, bit), True
        self._note(came, edge, pair, opened)
        if scope != IN:
            return (pair, scope, bit), False
        bit, broken = self._ask(came, edge, pair, bit)
        return (pair, scope, bit), broken

    def _note(self, came: Node | None, edge: Edge | None, pair: Pair, opened: bool) -> None:
        """An absence speaks of its scope and of each thing that is never to meet the others."""
        if opened and self.promised.pattern is Pattern.ABSENCE and self.promised.scope.opens:
            self._met(self.promised.scope.opens.text, came, edge)
        for text, bound in list(self.wanted.items()):
            if bound(edge, pair):
                self._met(text, came, edge)
                del self.wanted[text]

    def _ask(self, came: Node | None, edge: Edge | None, pair: Pair, bit: bool) -> tuple[bool, bool]:
        what = self.promised
        then = self.then(edge, pair)
        if what.pattern is Pattern.ABSENCE:
            return bit, then
        if what.pattern is Pattern.UNIVERSALITY:
            asked = what.first is None or self.first(edge, pair)
            if asked and then:
                self._met(f"{(what.first or what.then).text} in scope", came, edge)
            return bit, asked and not then
        if what.pattern is Pattern.EXISTENCE:
            if then:
                self._met(f"{what.then.text} in scope", came, edge)
            return bit and not then, False
        first = self.first(edge, pair)
        if what.pattern is Pattern.PRECEDENCE:
            bit = bit or first
            if then and bit:
                self._met(f"{what.then.text} in scope", came, edge)
            return bit, then and not bit
        if then and (bit or first):
            self._met(f"{what.then.text} in scope", came, edge)
        return (bit or first) and not then, False

    def _met(self, text: str, came: Node | None, edge: Edge | None) -> None:
        if self.premises[text] is None:
            self.premises[text] = (came, edge)

    def unanswered(self) -> tuple[Node | None, Edge | None] | None:
        """For existence and response: a node that owes an answer from which none can be reached any more."""
        if self.promised.pattern not in (Pattern.EXISTENCE, Pattern.RESPONSE):
            return None
        after: dict[Node, list[Node]] = {}
        todo: list[Node] = []
        for node in self.behind:
            for onward in self._onward(node):
                after.setdefault(onward, []).append(node)
            if not (node[1] == IN and node[2]):
                todo.append(node)
        fine = set(todo)
        while todo:
            new = [node for node in after.get(todo.pop(), ()) if node not in fine]
            fine.update(new)
            todo += new
        return next((self.behind[node] for node in self.behind if node not in fine), None)

    def _onward(self, node: Node) -> Iterator[Node]:
        pair, scope, bit = node
        for edge, onward in self.moves[pair]:
            if self._taken(edge, pair) and not edge.unchecked:
                yield self._enter(node, edge, onward, scope, bit)[0]

    def path_to(self, came: Node | None, edge: Edge | None) -> tuple[Edge, ...]:
        """The edges to an arrival, first to last."""
        path: list[Edge] = [] if edge is None else [edge]
        while came is not None:
            came, edge = self.behind[came]
            if edge is not None:
                path.append(edge)
        return tuple(reversed(path))
