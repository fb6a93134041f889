"""Learning back: the engine and both simulators, learned from their answers alone, are what was declared; a difference gives a trace.

Reset is a fresh order. Up to n states on every run; one state more in the slow tests.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import structlog
from tests.kit.engine_from_outside import TIME, engine, expect_machine, outside_inputs
from tests.kit.subjects import ccv_simulator, connect_simulator

from orderflow._lifecycle.observe import observe
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._providers.ccv.simulator import MOVES
from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow._testing.learning import Nondeterministic, learn
from orderflow._testing.mealy import POLL, Machine, MachineSubject, Row, TableSubject, first_pair, machine_of, machines_of, minimise
from orderflow._testing.mutants import add_hidden_states, mutate_cells
from orderflow.model import Applied, Observation, Origin, Snapshot, StepKind

CCV = CcvLifecycle.table
CONNECT = ConnectLifecycle.table
START = first_pair(CCV)


@pytest.fixture
def quiet() -> Iterator[None]:
    """Thousands of orders without a line of log."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


# ── the engine ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_engine_learned_back_is_the_declaration_of_ccv(quiet, say):
    with engine("ccv") as (subject, pair):
        expected = expect_machine(CCV, pair)
        learned = learn(subject, expected)
    assert learned.verdict == "equal for all implementations with at most 20 states"
    assert len(learned.machine) == len(expected) == 20
    say(f"ccv engine from outside: {learned.verdict}; {learned.queries} orders, {learned.steps} inputs")


BROWSERS = ("returned_unclear", "returned_bare", "returned_error")
CONNECT_ORDERS = {
    "invoice": ({"method": "invoice"}, ()),
    "sms": ({"method": "sms"}, ()),
    "card, for a user": ({"method": "kco", "digital": True}, BROWSERS),  # each claim that moves an order once doubles its states
}


@pytest.mark.slow
@pytest.mark.parametrize(("request_", "without"), CONNECT_ORDERS.values(), ids=CONNECT_ORDERS)
def test_the_engine_learned_back_is_the_declaration_of_connect(request_, without, quiet, say):
    with engine("connect", **request_) as (subject, pair):
        learned = learn(subject, expect_machine(CONNECT, pair, without))
    assert learned.equal, learned.verdict
    say(f"connect engine from outside, {request_}: {learned.verdict}; {learned.queries} orders, {learned.steps} inputs")


@pytest.mark.slow
def test_the_engine_has_no_hidden_state(quiet, say):
    with engine("ccv") as (subject, pair):
        learned = learn(subject, expect_machine(CCV, pair), extra_states=1)
    assert learned.verdict == "equal for all implementations with at most 21 states"
    say(f"ccv engine from outside: {learned.verdict}; {learned.queries} orders, {learned.steps} inputs")


def test_connects_engine_answers_every_input_in_every_state(quiet):
    """A representative part: every cell of the machine once, after a shortest way there."""
    with engine("connect", method="invoice") as (subject, pair):
        expected = expect_machine(CONNECT, pair)
        for access in expected.access:
            for input_name in expected.inputs:
                inputs = (*access, input_name)
                subject.reset()
                assert tuple(map(subject.send, inputs)) == expected.answers(inputs)


def test_an_engine_on_another_table_gives_a_trace_that_shows_the_difference(quiet):
    """The engine has no edge by which a New order is canceled: it can only jump there."""
    mutant = next(mutant for mutant in mutate_cells(CCV) if str(mutant) == "dropped, seen_canceled: New -> Canceled")
    with engine("ccv") as (subject, pair):
        subject.provider.table = mutant.table
        learned = learn(subject, expect_machine(CCV, pair))
    assert not learned.equal
    assert learned.trace[-1] == POLL + "Canceled"
    assert learned.expected == "seen_canceled -> Canceled | Canceled; legal: "
    assert learned.answered == "seen_canceled -> Canceled (jump) | Canceled; legal: "


# ── the method itself, on tables ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["W", "Wp"])
def test_every_way_of_creating_an_order_is_learned_back_from_the_table(table, method):
    for pair, expected in list(machines_of(table))[:: 1 if len(table.facts) < 5 else 9]:
        learned = learn(TableSubject(table, pair), expected, method=method)
        assert learned.equal, learned.verdict
        assert len(learned.machine) == len(expected)


def test_a_hidden_state_is_missed_up_to_n_states_and_found_with_one_more():
    """Canceled orders that a second late reply opens again: the verdict up to n is wrong, and states its bound."""
    expected = machine_of(CCV)
    canceled = expected.labels.index("Canceled")
    hidden = next(
        hidden
        for hidden in add_hidden_states(expected)
        if hidden.entered_by == (canceled, "order_configured") and hidden.input_name == "order_configured"
    )
    assert learn(MachineSubject(hidden.rows), expected).verdict == "equal for all implementations with at most 20 states"
    found = learn(MachineSubject(hidden.rows), expected, extra_states=1)
    assert found.trace[-2:] == ("order_configured", "order_configured")
    assert found.answered == "applied, order_configured -> drafted"
    assert found.verdict.startswith("different after ")


def test_a_subject_that_answers_the_same_inputs_in_two_ways_is_refused_and_ends_no_process():
    class ChangesItsAnswers(TableSubject):
        count = itertools.count()

        def send(self, input_name: str) -> str:
            return f"{super().send(input_name)}{', differently' if next(self.count) > 400 else ''}"

    with pytest.raises(Nondeterministic):
        learn(ChangesItsAnswers(CCV, START), machine_of(CCV))


# ── the simulators ───────────────────────────────────────────────────────────────────────────────────────────────────────


def machine_from_rows(rows: Mapping[str, Mapping[str, tuple[str, str]]]) -> Machine:
    """A machine from a table written by hand; the first row is the start."""
    names = list(rows)
    numbered: list[Row] = [{name: (answer, names.index(to)) for name, (answer, to) in row.items()} for row in rows.values()]
    return minimise(tuple(numbered[0]), numbered, tuple(names))


def ccv_documented() -> Machine:
    """CCV's simulator as its docstring and its table ``MOVES`` describe it."""
    inputs = [f"move {status}" for status in MOVES]
    submitted = ("submitted", "Processing")
    rows = {"none": {"submit": submitted, "status": ("404", "none"), **dict.fromkeys(inputs, ("no order", "none"))}}
    for state, possible in MOVES.items():
        moves = {f"move {to}": ("moved", str(to)) if to in possible else ("not possible", str(state)) for to in MOVES}
        rows[str(state)] = {"submit": submitted, "status": (str(state), str(state)), **moves}
    return machine_from_rows(rows)


@pytest.mark.parametrize("extra", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_ccvs_simulator_learned_back_is_its_documented_table(extra, say):
    with ccv_simulator() as subject:
        learned = learn(subject, ccv_documented(), extra)
    assert learned.equal, learned.verdict
    say(f"ccv simulator: {learned.verdict}; {learned.queries} orders, {learned.steps} inputs")


def test_the_declaration_follows_every_move_of_ccvs_simulator_and_takes_no_other_single_step():
    """The two tables were written apart: every move of the simulator is followed by the declaration, whose direct steps are all moves."""
    indirect = 0
    for state, possible in MOVES.items():
        for status in MOVES:
            decision = observe(CCV, Snapshot(state, CCV.defaults(), {}, 0), Observation(status, 0))
            applied = isinstance(decision, Applied)
            assert applied or status not in possible, (state, status)
            if applied and status not in possible:
                assert [step.kind for step in decision.steps] != [StepKind.STEP], (state, status)
                indirect += 1
    assert indirect == 17  # observed only when a poll missed the moves in between


PRESSES = {"cancel": "cancel", "fail": "error", "lose": "unknown"}


def connect_documented(method: str) -> Machine:
    """Connect's simulator for one method, as its README and the provider's pages describe it: A1, A3, A4, A5, A9."""
    by_api = {"card": False, "invoice": True}[method]
    presses = [f"press {what}" for what in (*PRESSES, "pay", "close")]
    none = {
        "register": ("registered", "registered"),
        "status": ("400", "none"),
        "complete by API": ("400", "none"),
        "assign": ("400", "none"),
        "open URL": ("400", "none"),
        **dict.fromkeys(presses, ("404", "none")),
    }
    pressed = {f"press {what}": claim for what, claim in PRESSES.items()} | {"press close": "200"}
    registered = {
        **none,
        "status": ("preliminary", "registered"),
        "complete by API": ("OK", "fulfilled, no page") if by_api else ("ERROR", "registered"),
        "assign": ("400", "registered"),
        "open URL": ("success", "fulfilled") if by_api else ("to the payment page", "at the page"),
        **dict.fromkeys(presses, ("404", "registered")),
    }
    page = {
        **registered,
        "status": ("preliminary", "at the page"),
        "complete by API": ("ERROR", "at the page"),
        "assign": ("400", "at the page"),
        "press pay": ("success", "fulfilled"),
        **{name: (answer, "at the page") for name, answer in pressed.items()},
    }
    fulfilled = {
        "register": ("registered", "registered"),
        "status": ("fulfilled", "fulfilled"),
        "complete by API": ("OK" if by_api else "ERROR", "fulfilled"),
        "assign": ("assigned", "fulfilled"),
        "open URL": ("success", "fulfilled"),
        "press pay": ("success", "fulfilled"),
        **{name: (answer, "fulfilled") for name, answer in pressed.items()},
    }
    no_page = {name: (answer, "fulfilled, no page") if to == "fulfilled" else (answer, to) for name, (answer, to) in fulfilled.items()}
    no_page |= {**dict.fromkeys(presses, ("404", "fulfilled, no page")), "open URL": ("success", "fulfilled")}
    rows = {"none": none, "registered": registered, "at the page": page, "fulfilled": fulfilled, "fulfilled, no page": no_page}
    return machine_from_rows({state: {name: row[name] for name in none} for state, row in rows.items()})


@pytest.mark.parametrize("method", ["card", "invoice"])
@pytest.mark.parametrize("extra", [0, 1])
def test_connects_simulator_learned_back_is_its_documented_table(method, extra, say):
    with connect_simulator({"card": "nexi"}.get(method, method)) as subject:
        learned = learn(subject, connect_documented(method), extra)
    assert learned.equal, learned.verdict
    say(f"connect simulator, {method}: {learned.verdict}; {learned.queries} orders, {learned.steps} inputs")


def test_a_simulator_that_behaves_differently_gives_a_trace():
    class AssignsUnpaid:
        """Connect's simulator, if it let unpaid orders be assigned."""

        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def reset(self) -> None:
            self.inner.reset()

        def send(self, input_name: str) -> str:
            answer = self.inner.send(input_name)
            return "assigned" if input_name == "assign" and self.inner.send("status") == "preliminary" else answer

    with connect_simulator("nexi") as subject:
        learned = learn(AssignsUnpaid(subject), connect_documented("card"))
    assert learned.trace == ("register", "assign")
    assert (learned.expected, learned.answered) == ("400", "assigned")


@pytest.mark.parametrize("declared", [CCV, CONNECT], ids=["ccv", "connect"])
def test_the_learner_sends_every_input_that_an_engine_accepts(declared):
    inputs = set(outside_inputs(declared))
    clock = {event for event, origin in declared.events.items() if origin is Origin.CLOCK}
    assert inputs >= {POLL + status for status in declared.readings} | {TIME}
    assert {event for event, origin in declared.events.items() if origin is not Origin.OBSERVATION} - inputs == clock
