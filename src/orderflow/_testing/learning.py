"""Learning a machine from whatever answers, and comparing it with a declaration. AALpy does the learning (extra ``testing``).

KV builds a hypothesis from answers. Before every round of conformance tests (Wp) the hypothesis is compared with the expected machine, and
the subject itself is asked about a difference. Either the hypothesis was wrong, and learns from it; or the subject is different, and the
trace shows where. The promise is bounded, and the verdict states the bound.
"""

from __future__ import annotations

from typing import Any

from aalpy import SUL, Oracle, bisimilar, run_KV
from attrs import field, frozen

from orderflow._testing.conformance import ORACLES, to_aalpy
from orderflow._testing.mealy import Inputs, Machine, Row, Subject, minimise
from orderflow.errors import OrderflowError


class Nondeterministic(OrderflowError):
    """The subject answered the same inputs in two ways: time, payload or another order shows in its answers."""


@frozen
class Learned:
    """What was learned.

    Attributes:
        machine: the machine that answers as the subject does.
        bound: the number of states up to which the verdict is certain.
        queries: how many orders were made.
        steps: how many inputs were sent.
        trace: inputs that show a difference; empty where the subject is as expected. ``expected``, ``answered``: its last answers.
    """

    machine: Machine = field(repr=False)
    bound: int
    queries: int
    steps: int
    trace: Inputs = ()
    expected: str = ""
    answered: str = ""

    @property
    def equal(self) -> bool:
        """Whether no difference was found."""
        return not self.trace

    @property
    def verdict(self) -> str:
        """What is certain now, as text."""
        if self.equal:
            return f"equal for all implementations with at most {self.bound} states"
        return f"different after {', '.join(self.trace)}: expected {self.expected!r}, answered {self.answered!r}"


def learn(subject: Subject, expected: Machine, extra_states: int = 0, method: str = "Wp") -> Learned:
    """Learn the machine of ``subject`` over the inputs of ``expected``, and compare.

    ``extra_states``: how many more states than expected a faulty subject may have and still be found. ``method``: ``Wp`` or ``W``.

    Raises:
        Nondeterministic: the same inputs were answered in two ways.
    """
    system = _CountingSubject(subject)
    oracle = _ExpectationOracle(system, expected, extra_states, method)
    try:
        model = run_KV(list(expected.inputs), system, oracle, "mealy", print_level=0)
    except SystemExit as error:  # AALpy ends the process when a subject contradicts itself
        raise Nondeterministic(str(error)) from None
    trace = oracle.trace
    return Learned(
        machine=_from_aalpy(model, expected.inputs),
        bound=max(len(expected), len(model.states)) + extra_states,
        queries=system.queries,
        steps=system.steps,
        trace=trace,
        expected=expected.answers(trace)[-1] if trace else "",
        answered=system.query(trace)[-1] if trace else "",
    )


def _from_aalpy(model: Any, inputs: Inputs) -> Machine:
    states = [model.initial_state, *(state for state in model.states if state is not model.initial_state)]
    number = {state: n for n, state in enumerate(states)}
    rows: list[Row] = [{name: (state.output_fun[name], number[state.transitions[name]]) for name in inputs} for state in states]
    return minimise(inputs, rows, tuple(str(state.state_id) for state in states))


class _CountingSubject(SUL):  # type: ignore[misc]
    """A subject in AALpy's form. It counts what really reaches the subject."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self._subject = subject
        self.queries = self.steps = 0

    def pre(self) -> None:
        self.queries += 1
        self._subject.reset()

    def post(self) -> None:
        """Nothing to clean up: every query has a fresh order."""

    def step(self, letter: str) -> str:
        self.steps += 1
        return self._subject.send(letter)


class _ExpectationOracle(Oracle):  # type: ignore[misc]
    """Finds what is wrong with a hypothesis: first where it differs from what is expected, then by conformance tests."""

    def __init__(self, sul: _CountingSubject, expected: Machine, extra_states: int, method: str) -> None:
        super().__init__(list(expected.inputs), sul)
        self._expected = to_aalpy(expected)
        self._extra_states = extra_states
        self._tests = ORACLES[method](list(expected.inputs), sul, 0)
        self.trace: Inputs = ()

    def find_cex(self, hypothesis: Any) -> Inputs | None:
        difference = bisimilar(hypothesis, self._expected, return_cex=True)
        if difference is not None:
            answers = self.sul.query(difference)
            if answers != hypothesis.compute_output_seq(hypothesis.initial_state, difference):
                return tuple(difference)
            self.trace = tuple(difference)  # the subject itself answers differently
            return None
        hypothesis.compute_prefixes()
        self._tests.sul = self.sul
        self._tests.m = len(hypothesis.states) + self._extra_states
        counterexample = self._tests.find_cex(hypothesis)
        return None if counterexample is None else tuple(counterexample)
