"""Ties: observations of one case at the same time. A log cannot order them, so they accuse no order that can show them in another order.

Pure. The last tie of a case is looked at, and the few observations behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from attrs import frozen

from orderflow._analysis.audit.automaton import NO_STATUS, Automaton, History, Node

_MAX_SIZE = 8  # observations in a tie; more keep the order of the log
_MAX_BEHIND = 100  # observations between a tie and a wrong one that is due to it


@frozen
class Tie:
    """Where a tie begins in its case, and how many observations it has."""

    start: int
    size: int

    @classmethod
    def extend(cls, last: Tie | None, place: int) -> Tie:
        """The tie of an observation at ``place`` and of the one before it. ``last``: the last tie so far."""
        if last is not None and last.start + last.size == place:
            return cls(last.start, last.size + 1)
        return cls(place - 1, 2)

    def is_small(self, observations: int) -> bool:
        """Whether all its orders may be tried: it has few observations, and few stand behind it. ``observations``: of the case."""
        return self.size <= _MAX_SIZE and observations - self.start - self.size <= _MAX_BEHIND


def arrange(automaton: Automaton, history: History, tie: Tie) -> list[int] | None:
    """The numbers of the transitions from the tie on, in an order of the tie in which nothing is wrong; None: there is none.

    Takes long for a tie that is not small. A word behind the tie that is no status stays where it is; a tie with one has no such order.
    """
    codes = [automaton.transitions[number].status for number in history[tie.start :]]
    start = automaton.transitions[history[tie.start - 1]].target if tie.start else automaton.start
    return _Search(automaton, codes[tie.size :]).find(start, Counter(codes[: tie.size]))


class _Search:
    """Tries the orders of a tie, and none twice that leads to the same node."""

    def __init__(self, automaton: Automaton, behind: Sequence[int]) -> None:
        self._automaton = automaton
        self._behind = behind
        self._failed: set[tuple[Node, tuple[tuple[int, int], ...]]] = set()

    def find(self, node: Node, left: Counter[int]) -> list[int] | None:
        """The transitions of what is left of the tie, and of what is behind it; None: each order of it has a wrong one."""
        if not left:
            return self._follow(node)
        known = node, tuple(sorted(left.items()))
        if known in self._failed:
            return None
        for code in left:
            transition = self._automaton.get_transition(node, code)
            if not transition.wrong:
                rest = self.find(transition.target, left - Counter([code]))
                if rest is not None:
                    return [transition.number, *rest]
        self._failed.add(known)
        return None

    def _follow(self, node: Node) -> list[int] | None:
        numbers = []
        for code in self._behind:
            transition = self._automaton.get_transition(node, code)
            if transition.wrong and code != NO_STATUS:
                return None
            numbers.append(transition.number)
            node = transition.target
        return numbers
