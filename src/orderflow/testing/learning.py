"""Learning a machine back from whatever answers, and holding it against a declaration. AALpy does the learning (extra ``testing``).

KV builds a hypothesis from answers; before every round of conformance tests (Wp) the hypothesis is held against the expected machine, and
a difference is asked of the subject itself: either the hypothesis was wrong, and learns from it, or the subject is different, and the
trace says where. The promise is bounded, and the verdict says so.
"""

from __future__ import annotations

from typing import Any

from aalpy import SUL, Oracle, bisimilar, run_KV
from attrs import field, frozen

from orderflow.errors import OrderflowError
from orderflow.testing.machine import Machine, Subject, Words, folded
from orderflow.testing.wmethod import ORACLES, to_aalpy


class Nondeterministic(OrderflowError):
    """The subject answered the same words in two ways: time, payload or another order leaks into its answers."""


@frozen
class Learned:
    """What was learned. ``trace`` is empty where the subject is equal to what was expected; ``bound`` is the number of states up to
    which that is certain. ``queries`` counts orders, ``steps`` words said."""

    machine: Machine = field(repr=False)
    bound: int
    queries: int
    steps: int
    trace: Words = ()
    expected: str = ""
    answered: str = ""

    @property
    def equal(self) -> bool:
        """Whether no difference was found."""
        return not self.trace

    @property
    def verdict(self) -> str:
        """What may be said now, and no more."""
        if self.equal:
            return f"equal for all implementations with at most {self.bound} states"
        return f"different after {', '.join(self.trace)}: expected {self.expected!r}, answered {self.answered!r}"


def learn(subject: Subject, expected: Machine, extra_states: int = 0, method: str = "Wp") -> Learned:
    """Learn the machine of ``subject`` over the words of ``expected``, and compare.

    ``extra_states``: how many states more than expected a faulty subject may have and still be found out. ``method``: ``Wp`` or ``W``.

    Raises:
        Nondeterministic: the same words were answered in two ways.
    """
    asked = _Asked(subject)
    oracle = _Against(asked, expected, extra_states, method)
    try:
        model = run_KV(list(expected.words), asked, oracle, "mealy", print_level=0)
    except SystemExit as error:  # AALpy ends the process when a subject contradicts itself
        raise Nondeterministic(str(error)) from None
    trace = oracle.trace
    return Learned(
        machine=_from_aalpy(model, expected.words),
        bound=max(len(expected), len(model.states)) + extra_states,
        queries=asked.begun,
        steps=asked.said,
        trace=trace,
        expected=expected.answers(trace)[-1] if trace else "",
        answered=asked.query(trace)[-1] if trace else "",
    )


def _from_aalpy(model: Any, words: Words) -> Machine:
    index = {state: n for n, state in enumerate([model.initial_state, *(s for s in model.states if s is not model.initial_state)])}
    raw = [{word: (state.output_fun[word], index[state.transitions[word]]) for word in words} for state in index]
    return folded(words, raw, tuple(str(state.state_id) for state in index))


class _Asked(SUL):  # type: ignore[misc]
    """A subject as AALpy asks it; counts what really reached it."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self._subject = subject
        self.begun = self.said = 0

    def pre(self) -> None:
        self.begun += 1
        self._subject.start()

    def post(self) -> None:
        """Nothing to put away: every query is a fresh order."""

    def step(self, letter: str) -> str:
        self.said += 1
        return self._subject.say(letter)


class _Against(Oracle):  # type: ignore[misc]
    """Finds what is wrong with a hypothesis: first where it differs from what is expected, then by conformance tests."""

    def __init__(self, sul: _Asked, expected: Machine, extra_states: int, method: str) -> None:
        super().__init__(list(expected.words), sul)
        self._expected = to_aalpy(expected)
        self._extra = extra_states
        self._tests = ORACLES[method](list(expected.words), sul, 0)
        self.trace: Words = ()

    def find_cex(self, hypothesis: Any) -> Words | None:
        apart = bisimilar(hypothesis, self._expected, return_cex=True)
        if apart is not None:
            said = self.sul.query(apart)
            if said != hypothesis.compute_output_seq(hypothesis.initial_state, apart):
                return tuple(apart)
            self.trace = tuple(apart)  # the subject says so itself
            return None
        hypothesis.compute_prefixes()
        self._tests.sul = self.sul
        self._tests.m = len(hypothesis.states) + self._extra
        found = self._tests.find_cex(hypothesis)
        return None if found is None else tuple(found)
