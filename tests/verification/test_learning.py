"""Learning it back: the engine and both simulators, learned from their answers alone, are what was declared; what is not gives a trace.

Reset is a fresh order. Up to n states on every run; one state more in the slow tests.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import structlog
from tests.kit.engine_from_outside import TIME, engine, from_outside, outside_words
from tests.kit.subjects import ccv_simulator, connect_simulator

from orderflow.analysis.reachability import Pair
from orderflow.lifecycle.observe import observe
from orderflow.model import Applied, Observation, Origin, Snapshot, StepKind
from orderflow.providers.ccv.lifecycle import CcvLifecycle
from orderflow.providers.ccv.simulator import MOVES
from orderflow.providers.connect.lifecycle import ConnectLifecycle
from orderflow.testing.learning import Nondeterministic, learn
from orderflow.testing.machine import READ, Machine, MachineSubject, TableSubject, folded, machine, machines
from orderflow.testing.mutants import hidden_state, single_cell

CCV = CcvLifecycle.table
CONNECT = ConnectLifecycle.table
START = Pair(CCV.initial, tuple(CCV.defaults().values()))


@pytest.fixture
def quiet() -> Iterator[None]:
    """Thousands of orders without a line of log."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


# ── the engine ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_engine_learned_back_is_the_declaration_of_ccv(quiet, say):
    with engine("ccv") as (subject, pair):
        expected = from_outside(CCV, pair)
        learned = learn(subject, expected)
    assert learned.verdict == "equal for all implementations with at most 19 states"
    assert len(learned.machine) == len(expected) == 19
    say(f"ccv engine from outside: {learned.verdict}; {learned.queries} orders, {learned.steps} words")


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
        learned = learn(subject, from_outside(CONNECT, pair, without))
    assert learned.equal, learned.verdict
    say(f"connect engine from outside, {request_}: {learned.verdict}; {learned.queries} orders, {learned.steps} words")


@pytest.mark.slow
def test_the_engine_has_no_hidden_state_either(quiet, say):
    with engine("ccv") as (subject, pair):
        learned = learn(subject, from_outside(CCV, pair), extra_states=1)
    assert learned.verdict == "equal for all implementations with at most 20 states"
    say(f"ccv engine from outside: {learned.verdict}; {learned.queries} orders, {learned.steps} words")


def test_connects_engine_answers_every_word_wherever_an_order_can_get(quiet):
    """The representative cut: every cell of the machine once, after a shortest way there."""
    with engine("connect", method="invoice") as (subject, pair):
        expected = from_outside(CONNECT, pair)
        for way in expected.access:
            for word in expected.words:
                subject.start()
                assert tuple(subject.say(said) for said in (*way, word)) == expected.answers((*way, word))


def test_an_engine_that_runs_another_table_is_found_out_by_a_trace_that_names_the_difference(quiet):
    """The engine has no edge by which a New order is canceled: it can only guess at a way over other states."""
    mutant = next(m for m in single_cell(CCV) if m.what == "seen_canceled: New -> Canceled" and m.fault == "dropped")
    with engine("ccv") as (subject, pair):
        subject.provider.table = mutant.table
        learned = learn(subject, from_outside(CCV, pair))
    assert not learned.equal
    assert learned.trace[-1] == "read Canceled"
    assert learned.expected == "seen_canceled -> Canceled | Canceled; legal: "
    assert learned.answered == "seen_canceled -> Canceled (jump) | Canceled; legal: "


# ── the method itself, on tables ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["W", "Wp"])
def test_every_way_of_creating_an_order_is_learned_back_from_the_table(table, method):
    for pair, expected in list(machines(table))[:: 1 if len(table.facts) < 5 else 9]:
        learned = learn(TableSubject(table, pair), expected, method=method)
        assert learned.equal, learned.verdict
        assert len(learned.machine) == len(expected)


def test_a_hidden_state_is_missed_up_to_n_states_and_found_with_one_more():
    """Canceled orders that a second late reply reopens: the verdict up to n is wrong, and says how far it goes."""
    expected = machine(CCV)
    canceled = expected.stands.index("Canceled")
    hidden = next(h for h in hidden_state(expected) if h.enters == (canceled, "order_configured") and h.word == "order_configured")
    assert learn(MachineSubject(hidden.moves), expected).verdict == "equal for all implementations with at most 19 states"
    found = learn(MachineSubject(hidden.moves), expected, extra_states=1)
    assert found.trace[-2:] == ("order_configured", "order_configured")
    assert found.answered == "applied, order_configured -> drafted"
    assert found.verdict.startswith("different after ")


def test_what_answers_the_same_words_in_two_ways_is_refused_and_ends_no_process():
    class Moody(TableSubject):
        count = itertools.count()

        def say(self, word: str) -> str:
            return f"{super().say(word)}{', tired' if next(self.count) > 400 else ''}"

    with pytest.raises(Nondeterministic):
        learn(Moody(CCV, START), machine(CCV))


# ── the simulators ───────────────────────────────────────────────────────────────────────────────────────────────────────


def tabled(rows: Mapping[str, Mapping[str, tuple[str, str]]]) -> Machine:
    """A machine from a table written by hand; the first row is the start."""
    names = list(rows)
    raw = [{word: (said, names.index(to)) for word, (said, to) in row.items()} for row in rows.values()]
    return folded(tuple(raw[0]), raw, tuple(names))


def ccv_documented() -> Machine:
    """CCV's simulator as its docstring and its table ``MOVES`` have it."""
    words = [f"move {status}" for status in MOVES]
    new = ("submitted", "Processing")
    rows = {"none": {"submit": new, "status": ("404", "none"), **dict.fromkeys(words, ("no order", "none"))}}
    for here, onward in MOVES.items():
        moves = {f"move {to}": ("moved", to) if to in onward else ("not so", here) for to in MOVES}
        rows[str(here)] = {"submit": new, "status": (str(here), str(here)), **{word: (a, str(to)) for word, (a, to) in moves.items()}}
    return tabled(rows)


@pytest.mark.parametrize("extra", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_ccvs_simulator_learned_back_is_its_documented_table(extra, say):
    with ccv_simulator() as subject:
        learned = learn(subject, ccv_documented(), extra)
    assert learned.equal, learned.verdict
    say(f"ccv simulator: {learned.verdict}; {learned.queries} orders, {learned.steps} words")


def test_what_ccvs_simulator_does_the_declaration_follows_and_what_it_does_not_is_no_single_step():
    """The two tables were written apart: every move of one is followed by the other, whose direct steps are all moves."""
    leaps = 0
    for here, onward in MOVES.items():
        for status in MOVES:
            decision = observe(CCV, Snapshot(here, CCV.defaults(), {}, 0), Observation(status, 0))
            applied = isinstance(decision, Applied)
            assert applied or status not in onward, (here, status)
            if applied and status not in onward:
                assert [step.kind for step in decision.steps] != [StepKind.STEP], (here, status)
                leaps += 1
    assert leaps == 17  # what is seen only when a read missed moves in between


PRESSES = {"cancel": "cancel", "fail": "error", "lose": "unknown"}


def connect_documented(method: str) -> Machine:
    """Connect's simulator for one method, from its README and the dossier: A1, A3, A4, A5, A9."""
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
        **{word: (said, "at the page") for word, said in pressed.items()},
    }
    fulfilled = {
        "register": ("registered", "registered"),
        "status": ("fulfilled", "fulfilled"),
        "complete by API": ("OK" if by_api else "ERROR", "fulfilled"),
        "assign": ("assigned", "fulfilled"),
        "open URL": ("success", "fulfilled"),
        "press pay": ("success", "fulfilled"),
        **{word: (said, "fulfilled") for word, said in pressed.items()},
    }
    unseen = {word: (said, "fulfilled, no page") if to == "fulfilled" else (said, to) for word, (said, to) in fulfilled.items()}
    unseen |= {**dict.fromkeys(presses, ("404", "fulfilled, no page")), "open URL": ("success", "fulfilled")}
    rows = {"none": none, "registered": registered, "at the page": page, "fulfilled": fulfilled, "fulfilled, no page": unseen}
    return tabled({name: {word: row[word] for word in none} for name, row in rows.items()})


@pytest.mark.parametrize("method", ["card", "invoice"])
@pytest.mark.parametrize("extra", [0, 1])
def test_connects_simulator_learned_back_is_its_documented_table(method, extra, say):
    with connect_simulator({"card": "nexi"}.get(method, method)) as subject:
        learned = learn(subject, connect_documented(method), extra)
    assert learned.equal, learned.verdict
    say(f"connect simulator, {method}: {learned.verdict}; {learned.queries} orders, {learned.steps} words")


def test_a_simulator_that_does_otherwise_gives_a_trace():
    class Generous:
        """Connect's simulator, were it to let unpaid orders be assigned."""

        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def start(self) -> None:
            self.inner.start()

        def say(self, word: str) -> str:
            said = self.inner.say(word)
            return "assigned" if word == "assign" and self.inner.say("status") == "preliminary" else said

    with connect_simulator("nexi") as subject:
        learned = learn(Generous(subject), connect_documented("card"))
    assert learned.trace == ("register", "assign")
    assert (learned.expected, learned.answered) == ("400", "assigned")


@pytest.mark.parametrize("declared", [CCV, CONNECT], ids=["ccv", "connect"])
def test_the_learner_says_all_that_an_engine_lets_in(declared):
    words = set(outside_words(declared))
    clock = {event for event, origin in declared.events.items() if origin is Origin.CLOCK}
    assert words >= {READ + status for status in declared.readings} | {TIME}
    assert {event for event, origin in declared.events.items() if origin is not Origin.OBSERVATION} - words == clock
