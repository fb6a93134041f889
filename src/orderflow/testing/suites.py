"""Suites from a declaration: sequences of words with the answers that the lifecycle gives, and which faults each suite kills.

A suite runs against any ``Subject``: the table itself, a mutant of it, an engine, a provider's sandbox. ``all_cells`` stands here;
the suites that also find hidden states stand in wmethod.py and need the extra ``testing``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import field, frozen

from orderflow.analysis.reachability import Pair
from orderflow.lifecycle.table import Table
from orderflow.testing.machine import Subject, Words, machines, words_of

Maker = Callable[[Pair], Subject]


@frozen
class Case:
    """Create an order as ``pair``, say the ``words`` in turn, expect the ``answers``."""

    pair: Pair
    words: Words
    answers: Words


@frozen
class Difference:
    """Where a subject answered otherwise: the words up to there, and the last answers."""

    pair: Pair
    words: Words
    expected: str
    answered: str

    def __str__(self) -> str:
        return f"{', '.join(self.words)}: expected {self.expected!r}, answered {self.answered!r}"


@frozen
class Suite:
    """Cases, and in words which faults they kill."""

    name: str
    kills: str
    cases: tuple[Case, ...] = field(repr=False)

    @property
    def steps(self) -> int:
        """How many words are said in all."""
        return sum(len(case.words) for case in self.cases)

    def difference(self, make: Maker) -> Difference | None:
        """Run every case until one fails; ``make`` gives the subject for orders that are created as a pair."""
        return difference(self.cases, make)


def difference(cases: Iterable[Case], make: Maker) -> Difference | None:
    """The first difference, None where every case is answered as expected."""
    subjects: dict[Pair, Subject] = {}
    for case in cases:
        if case.pair not in subjects:
            subjects[case.pair] = make(case.pair)
        subject = subjects[case.pair]
        subject.start()
        for n, (word, expected) in enumerate(zip(case.words, case.answers, strict=True), 1):
            answered = subject.say(word)
            if answered != expected:
                return Difference(case.pair, case.words[:n], expected, answered)
    return None


def all_cells(table: Table, *, by_name: bool = True) -> Suite:
    """Every word in every state of every machine, each reached on a shortest way; what was said before is not said again.

    ``by_name`` says observation events too, which only a table hears; leave it out for an engine.
    """
    cases: dict[Words, Case] = {}
    known: set[object] = set()
    for pair, found in machines(table, words_of(table, by_name=by_name)):
        for here, row in enumerate(found.moves):
            guards = tuple(said for said, _ in row.values())
            for word in found.words:
                cell = (found.stands[here], guards, word)
                if cell not in known:
                    known.add(cell)
                    words = (*found.access[here], word)
                    cases[(str(pair.values), *words)] = Case(pair, words, found.answers(words))
    kills = "every fault that shows in the answer, or the state after it, to one word in one state"
    return Suite(f"all cells of {table.name}", kills, tuple(cases.values()))
