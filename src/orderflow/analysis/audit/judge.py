"""The judge: what each observed status means after those before it. Pure; reads no file, remembers no case.

An order is watched from outside: some statuses are missed, some states say nothing, some statuses stand for several
states. So a log is right if a real life exists that shows these statuses in this order, with anything unseen between.
The judge keeps the set of states in which the order may be (the subset construction), one node per set and last status;
nodes and moves are made when first needed. A move is one character, so a case's history is a string and its last
character is all that the next observation needs: that is what makes judging fast and remembering cheap.

After a refused status the judge believes it and goes on from there; an unknown one leaves everything as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from attrs import frozen

from orderflow.analysis.audit.graph import Graph, bits, graph
from orderflow.errors import InvalidInput, UnknownName
from orderflow.lifecycle.facts import Value
from orderflow.lifecycle.table import Table


class Class(StrEnum):
    """What an observation is, given those before it."""

    STEP = "step"  # nothing with a status of its own lies between
    REPEAT = "repeat"  # the same status again
    JUMP = "jump"  # reachable, but another status was missed on the way
    ILLEGAL = "illegal"  # no life of an order shows this
    RESURRECTED = "resurrected"  # illegal, and the order had ended
    UNKNOWN = "unknown"  # a status outside the vocabulary


WRONG = (Class.RESURRECTED, Class.ILLEGAL, Class.UNKNOWN)
"""What makes a case wrong, the worst first. A case's verdict is its worst class, or ``legal``."""

LEGAL = "legal"


@frozen
class Judged:
    """One observation. ``certain`` and ``possible`` are the states that a jump missed, ``least`` how many at least;
    ``after`` is the last known status before it (``""``: none)."""

    status: str
    kind: Class
    after: str = ""
    certain: tuple[str, ...] = ()
    possible: tuple[str, ...] = ()
    least: int = 0


@frozen
class Power:
    """Of the ordered pairs of different statuses, how many the judge would refuse: what its silence is worth."""

    pairs: int
    refusable: int

    @property
    def share(self) -> float:
        """Between 0 (it can refuse nothing) and 1."""
        return self.refusable / self.pairs if self.pairs else 0.0


@frozen
class _Node:
    """Where the order may be, and the status last seen (-1: none)."""

    states: int
    word: int


@frozen
class _Move:
    """A node, the status heard there, and what it was (word -1: not in the vocabulary)."""

    source: _Node
    word: int
    kind: Class
    target: _Node


class Judge:
    """A lifecycle made ready to judge logs.

    The statuses are the lifecycle's readings where it declares any (a reading stands for the states that it is
    consistent with, or proves), else its states; ``states=True`` takes the states in any case, for a log of our own journal.
    ``means`` gives more words for a status: ``{"DELIVERED": "fulfilled"}``.

    Raises:
        UnknownName: no such fact, or a meaning that is no status.
        InvalidInput: a fact's value, see ``graph``.
    """

    def __init__(
        self,
        table: Table,
        *,
        facts: Mapping[str, Value] | None = None,
        states: bool = False,
        missed_recovery: bool = False,
        means: Mapping[str, str] | None = None,
    ) -> None:
        self.name = table.name
        self.graph = graph(table, facts or {}, missed_recovery=missed_recovery)
        masks = _masks(table, self.graph, states=states)
        self.words = tuple(masks)
        self.index = _index(self.words, means or {})
        self._masks = tuple(masks.values())
        self._visible = 0
        for mask in self._masks:
            self._visible |= mask
        self._moves: list[_Move] = []
        self._known: dict[tuple[_Node, int], str] = {}
        self._told: dict[str, tuple[tuple[str, ...], tuple[str, ...], int]] = {}
        self._start = _Node(self.graph.unborn, -1)
        self._node_moves: dict[_Node, dict[str, str]] = {self._start: {}}
        self.kinds: dict[str, Class] = {}
        self.after: dict[str, dict[str, str]] = {"": self._node_moves[self._start]}
        """After a move ("" at first): the move that each status makes, as far as it was met. For loops that are in a hurry."""
        self.wrong: set[str] = set()
        self.ending: set[str] = set()
        """The moves that are wrong; those after which the order is in a final state."""

    def move(self, last: str, status: str) -> str:
        """The move that a status makes after another move ("" at first)."""
        made = self.after[last].get(status)
        if made is not None:
            return made
        word = self.index.get(status, -1)
        made = self._made(self._node(last), word)
        if word >= 0:  # what is unknown is not remembered: there may be any number of it
            self.after[last][status] = made
        return made

    def history(self, statuses: Iterable[str]) -> str:
        """The moves of a case."""
        made, last = [], ""
        for status in statuses:
            last = self.move(last, status)
            made.append(last)
        return "".join(made)

    def judge(self, statuses: Iterable[str]) -> list[Judged]:
        """Judge the statuses of one order, in the order in which they were seen."""
        heard = tuple(statuses)
        return self.explain(self.history(heard), {n: status for n, status in enumerate(heard) if status not in self.index})

    def explain(self, history: str, unknown: Mapping[int, str]) -> list[Judged]:
        """What each move of a history was; ``unknown`` are the words at the places where one was not in the vocabulary."""
        told = []
        for n, made in enumerate(history):
            move = self._moves[_number(made)]
            after = self.words[move.source.word] if move.source.word >= 0 else ""
            status = self.words[move.word] if move.word >= 0 else unknown.get(n, "")
            if move.kind is Class.JUMP:
                if made not in self._told:
                    self._told[made] = self._missed(move)
                told.append(Judged(status, move.kind, after, *self._told[made]))
            else:
                told.append(Judged(status, move.kind, after))
        return told

    def verdict(self, history: str) -> str:
        """The worst class of a history, or ``legal``."""
        if self.wrong.isdisjoint(history):
            return LEGAL
        found = {self.kinds[made] for made in history}
        return next(kind for kind in WRONG if kind in found)

    def follows(self, status: str) -> tuple[str, ...]:
        """The statuses that may be seen after one, missed ones allowed."""
        own = self.index[status]
        onward = self.graph.reach(self._believed(own))
        return tuple(word for n, word in enumerate(self.words) if onward & self._masks[n] and n != own)

    def power(self) -> Power:
        """What the judge can refuse at all."""
        count = len(self.words)
        allowed = sum(len(self.follows(word)) for word in self.words)
        return Power(count * (count - 1), count * (count - 1) - allowed)

    def pairs(self) -> tuple[tuple[Class, ...], ...] | None:
        """The class of each status (column) after each status (row; the last row: at first), if that is all there is to it.

        It is where every status stands for the same states whatever came before: then a log can be judged by pairs
        of neighbours. None where it is not.
        """
        onto: dict[int, _Node] = {}
        rows: dict[_Node, tuple[Class, ...]] = {}
        todo = [self._start]
        while todo:
            node = todo.pop()
            moves = [self._moves[_number(self._made(node, word))] for word in range(len(self.words))]
            rows[node] = tuple(move.kind for move in moves)
            for move in moves:
                if onto.setdefault(move.word, move.target) != move.target:
                    return None
                if move.target not in rows and move.target not in todo:
                    todo.append(move.target)
        return (*(rows[onto[word]] for word in range(len(self.words))), rows[self._start])

    def _node(self, last: str) -> _Node:
        return self._moves[_number(last)].target if last else self._start

    def _made(self, node: _Node, word: int) -> str:
        made = self._known.get((node, word))
        if made is None:
            move = self._judged(node, word)
            made = self._known[node, word] = _character(len(self._moves))
            self._moves.append(move)
            self.kinds[made] = move.kind
            self.after[made] = self._node_moves.setdefault(move.target, {})
            if move.kind in WRONG:
                self.wrong.add(made)
            if not move.target.states & ~self.graph.final:
                self.ending.add(made)
        return made

    def _judged(self, node: _Node, word: int) -> _Move:
        if word < 0:
            return _Move(node, word, Class.UNKNOWN, node)
        onto = self.graph.reach(node.states) & self._masks[word]
        if not onto:
            kind = Class.ILLEGAL if node.states & ~self.graph.final else Class.RESURRECTED
            return _Move(node, word, kind, _Node(self._believed(word), word))
        if word == node.word:
            kind = Class.REPEAT
        else:
            near = self.graph.reach(node.states, ~self._between(node, word))
            kind = Class.STEP if near & self._masks[word] else Class.JUMP
        return _Move(node, word, kind, _Node(onto, word))

    def _believed(self, word: int) -> int:
        """The states that a status stands for, when all that is known is the status."""
        ever = self.graph.reach(self.graph.unborn)
        return self._masks[word] & ever or self._masks[word]

    def _between(self, node: _Node, word: int) -> int:
        """The states in which an order would have shown another status than the last or the new one."""
        own = self._masks[word] | (self._masks[node.word] if node.word >= 0 else 0)
        return self._visible & ~own

    def _missed(self, move: _Move) -> tuple[tuple[str, ...], tuple[str, ...], int]:
        """Which states a jump passed for certain, and perhaps, and how many at least."""
        start, goal = move.source.states, self._masks[move.word]
        between = self._between(move.source, move.word)
        certain = possible = 0
        for state in bits(self.graph.reach(start) & between):
            one = 1 << state
            if not self.graph.reach(start, ~one) & goal:
                certain |= one
            elif self.graph.follow(one) & goal and not one & self.graph.assumed:  # an assumed state is not presumed on the way
                possible |= one
        least, seen = 0, self.graph.reach(start, ~between)
        while not seen & goal:
            least, seen = least + 1, self.graph.follow(seen, ~between)
        return self.graph.named(certain), self.graph.named(possible), least


def _masks(table: Table, on: Graph, *, states: bool) -> dict[str, int]:
    """The states that each status stands for."""
    if states or not table.readings:
        return {state: on.mask(frozenset({state})) for state in table.states}
    return {status: on.mask(reading.consistent | {reading.proves or ""}) for status, reading in table.readings.items()}


def _index(words: tuple[str, ...], means: Mapping[str, str]) -> dict[str, int]:
    index = {word: n for n, word in enumerate(words)}
    for word, status in means.items():
        if status not in words:
            raise UnknownName("status", status, words)
        if index.get(word, index[status]) != index[status]:
            raise InvalidInput(word, f"is a status itself, it cannot mean {status!r}")
        index[word] = words.index(status)
    return index


# A move's number as a character: one byte in a string for the first 256; surrogates are left out, they cannot be written.
_SURROGATES, _GAP = 0xD800, 0x800


def _character(number: int) -> str:
    return chr(number if number < _SURROGATES else number + _GAP)


def _number(character: str) -> int:
    code = ord(character)
    return code if code < _SURROGATES else code - _GAP
