"""The automaton that a log's statuses run through: where an order may be after each of them. Pure; built only as far as it is used.

An order is watched from outside. Some statuses are missed, some states have no status, and some statuses stand for several states.
So after each status the order may be in any of a set of states. This is the subset construction of automata theory: a ``Node`` is
such a set together with the last status, and a ``Transition`` leads from one node to the next. Both are made when they are first
needed. Transitions are numbered, so that the history of a case is an array of numbers.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import Factory, field, frozen

from orderflow._analysis.audit.graph import Graph, iter_bits

if TYPE_CHECKING:
    _Numbers = array[int]
else:
    _Numbers = array  # Python 3.11 has no array[int]

NO_STATUS = -1
"""The code of a word that is not a status, and of the status before the first one."""


class Classification(StrEnum):
    """What an observed status is, given those before it."""

    STEP = "step"  # no state with another status lies between
    REPEAT = "repeat"  # the same status again
    JUMP = "jump"  # reachable, but another status was missed on the way
    ILLEGAL = "illegal"  # no life of an order shows this
    RESURRECTED = "resurrected"  # illegal, and the order had ended
    UNKNOWN = "unknown"  # not a status of the lifecycle


WRONG = (Classification.RESURRECTED, Classification.ILLEGAL, Classification.UNKNOWN)
"""What makes a case wrong, the worst first."""


class _Transitions(dict[str, "Transition"]):
    """The transitions from a node, by their status."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self._node = node

    def __missing__(self, status: str) -> Transition:
        automaton = self._node.automaton
        code = automaton.codes.get(status, NO_STATUS)
        transition = automaton.get_transition(self._node, code)
        if code != NO_STATUS:  # unknown words are not kept: a log may hold any number of them
            self[status] = transition
        return transition


@frozen(eq=False)
class Node:
    """Where an order may be: a set of states, and the code of its last known status.

    ``after``: the transition that each status makes from here. An entry is made when it is first asked for.
    """

    states: int
    status: int
    automaton: Automaton = field(repr=False)
    after: Mapping[str, Transition] = field(init=False, repr=False, default=Factory(_Transitions, takes_self=True))


@frozen(eq=False)
class Transition:
    """A status observed at ``source``. ``ends``: the order is in a final state after it."""

    number: int
    source: Node
    status: int
    classification: Classification
    target: Node
    wrong: bool
    ends: bool


@frozen
class Missed:
    """What a jump passed: states on every way, states on some ways, and the least number of observations missed."""

    certain: tuple[str, ...]
    possible: tuple[str, ...]
    at_least: int


class History(_Numbers):
    """The observations of one case so far: the number of each one's transition, four bytes each.

    Only the automaton that made a history can explain it. It is an array itself, and has no array: a log may have millions of cases,
    and a second object for each is slower to make and to collect.
    """

    __slots__ = ("node",)

    node: Node

    def add(self, status: str) -> Transition:
        """Add an observation, and return its transition."""
        transition = self.node.after[status]
        self.node = transition.target
        self.append(transition.number)
        return transition


class Automaton:
    """The nodes and transitions of one lifecycle, as far as they were needed.

    ``masks``: the states that each status stands for, by the status's code. ``codes``: the code of each word that is a status.
    """

    def __init__(self, graph: Graph, masks: Sequence[int], codes: Mapping[str, int]) -> None:
        self.transitions: list[Transition] = []
        self.wrong: set[int] = set()
        """The numbers of the transitions that are wrong."""
        self.codes = codes
        self._graph = graph
        self._masks = masks
        self._nodes: dict[tuple[int, int], Node] = {}
        self._numbers: dict[tuple[Node, int], int] = {}
        self._all_reachable = graph.reach_from_observed(graph.not_created)
        self._observable = 0
        for mask in masks:
            self._observable |= mask
        self.start: Node = self._get_node(graph.not_created, NO_STATUS)

    def start_history(self, data: bytes = b"") -> History:
        """Return the history of a new case, or of a case that was stored as ``bytes(history)``."""
        history = History("I", data)
        history.node = self.transitions[history[-1]].target if history else self.start
        return history

    def get_transition(self, node: Node, code: int) -> Transition:
        """Return the transition that a status makes from a node; it is made when it is first asked for."""
        number = self._numbers.get((node, code))
        if number is None:
            number = self._numbers[node, code] = len(self.transitions)
            transition = self._make_transition(number, node, code)
            self.transitions.append(transition)
            if transition.wrong:
                self.wrong.add(number)
        return self.transitions[number]

    def get_believed(self, code: int) -> int:
        """Return the states that a status stands for, when nothing but the status is known."""
        return self._masks[code] & self._all_reachable or self._masks[code]

    def find_missed(self, transition: Transition) -> Missed:
        """Return what a jump passed."""
        graph, start, goal = self._graph, transition.source.states, self._masks[transition.status]
        between = self._between(transition.source, transition.status)
        certain = possible = 0
        for number in iter_bits(graph.reach_from_observed(start) & between):
            state = 1 << number
            if not graph.reach_from_observed(start, ~state) & goal:
                certain |= state
            elif graph.reach(state) & goal and not state & graph.assumed:  # an order need not pass an assumed state
                possible |= state
        at_least, seen = 0, graph.reach_from_observed(start, ~between)
        while not seen & goal:
            at_least, seen = at_least + 1, graph.reach(seen, ~between)
        return Missed(graph.to_names(certain), graph.to_names(possible), at_least)

    def _get_node(self, states: int, status: int) -> Node:
        node = self._nodes.get((states, status))
        if node is None:
            node = self._nodes[states, status] = Node(states, status, self)
        return node

    def _make_transition(self, number: int, source: Node, code: int) -> Transition:
        classification, target = self._classify(source, code)
        ends = not target.states & ~self._graph.final
        return Transition(number, source, code, classification, target, classification in WRONG, ends)

    def _classify(self, node: Node, code: int) -> tuple[Classification, Node]:
        """What a status is at a node, and the node after it. A wrong status is believed; an unknown word changes nothing."""
        if code == NO_STATUS:
            return Classification.UNKNOWN, node
        mask = self._masks[code]
        states = self._graph.reach_from_observed(node.states) & mask
        if not states:
            ended = not node.states & ~self._graph.final
            wrong = Classification.RESURRECTED if ended else Classification.ILLEGAL
            return wrong, self._get_node(self.get_believed(code), code)
        target = self._get_node(states, code)
        if code == node.status:
            return Classification.REPEAT, target
        near = self._graph.reach_from_observed(node.states, ~self._between(node, code))
        return Classification.STEP if near & mask else Classification.JUMP, target

    def _between(self, node: Node, code: int) -> int:
        """The states in which an order would have shown another status than the last one or the new one."""
        own = self._masks[code] | (self._masks[node.status] if node.status != NO_STATUS else 0)
        return self._observable & ~own
