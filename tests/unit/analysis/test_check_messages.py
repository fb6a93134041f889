"""The messages of ``check``, word for word, and what a refused or applied observation carries."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from attrs import evolve

from orderflow._analysis.check import Figures, Problem, check
from orderflow._lifecycle.decide import legal
from orderflow._lifecycle.observe import observe
from orderflow._lifecycle.table import Reading, Table
from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow.model import Applied, Observation, Origin, Reason, Refused, Snapshot

EXPLAINED: dict[str, tuple[str, set[tuple[str, str, str]]]] = {
    "a guard that is never true": (
        """
        a = State(initial=True)
        b = State()
        c = State(final=True)
        stage = Fact("early", "late")
        skip = e(command, a.to(b), cond=stage.is_("late"))
        finish = e(command, b.to(c), sets={"stage": "late"})
        leave = e(command, a.to(c))
        """,
        {
            ("unreachable", "b", "its edges are never enabled on any path to it"),
            ("never-enabled", "skip: a -> b", "no order ever stands in a with stage = late"),
            ("never-enabled", "finish: b -> c", "no order ever stands in b with any facts"),
        },
    ),
    "a trap under two of the facts": (
        """
        a = State(initial=True)
        b = State()
        c = State(final=True)
        rich = Flag()
        young = Flag()
        call = repeatable(successes=["answered"])
        ask = e(command, a.to(b), effects=[call])
        answered = e(reply, b.to(a))
        pay = e(command, a.to(c), cond=rich)
        """,
        {
            (
                "trap",
                state,
                "no settled state can be reached, under 2 of the reachable combinations of facts, for example rich = False, young = False",
            )
            for state in "ab"
        },
    ),
    "a trap without facts": (
        """
        a = State(initial=True)
        b = State()
        call = repeatable(successes=["answered"])
        ask = e(command, a.to(b), effects=[call])
        answered = e(reply, b.to(a))
        """,
        {
            ("trap", state, "no settled state can be reached, under 1 of the reachable combinations of facts, for example no facts")
            for state in "ab"
        },
    ),
    "a promise that is broken at once": (
        """
        a = State(initial=True)
        b = State(final=True)
        go = e(command, a.to(b))
        properties = {"never a": p.absence(p.at(a))}
        """,
        {("property-fails", "never a", "never at a: not so on the very start")},
    ),
    "two readings, the second without a proof": (
        """
        a = State(initial=True)
        b = State(final=True)
        c = State(final=True)
        closed = Fact("no", "yes")
        go = e(command, a.to(c))
        seen_b = e(observation, a.to(b), cond=closed.is_("no"))
        seen_c = e(observation, a.to(c), cond=closed.is_("no"))
        readings = {"open": reading(consistent=[a]), "there": reading(consistent=[a], proves=b)}
        """,
        {
            ("reading", "there", "it proves b, yet is inconsistent with it: a second poll would be an anomaly"),
            ("reading", "there", "no reachable order can be proven b by it"),
        },
    ),
    "what a consistent reading does is no proof of another": (
        """
        a = State(initial=True)
        b = State(final=True)
        c = State(final=True)
        shut = Fact("no", "yes")
        seen_unproven = e(observation, a.to(c))
        seen_b = e(observation, a.to(b), cond=shut.is_("yes"))
        reopen = e(command, a.to(a), cond=shut.is_("yes"), sets={"shut": "yes"})
        readings = {"there": reading(consistent=[a, b], proves=b)}
        """,
        {
            ("unreachable", "b", "its edges are never enabled on any path to it"),
            ("never-enabled", "seen_b: a -> b", "no order ever stands in a with shut = yes"),
            ("never-enabled", "reopen: a -> a", "no order ever stands in a with shut = yes"),
            ("reading", "there", "no reachable order can be proven b by it"),
        },
    ),
    "a poll that could be made, and would prove nothing": (
        """
        a = State(initial=True)
        b = State(final=True)
        c = State(final=True)
        shut = Fact("no", "yes")
        seen_b = e(observation, a.to(b), cond=shut.is_("yes"))
        seen_c = e(observation, a.to(c))
        stay = e(command, a.to(a), cond=shut.is_("yes"), sets={"shut": "yes"})
        readings = {"there": reading(consistent=[b], proves=b), "here": reading(consistent=[c], proves=c)}
        """,
        {
            ("unreachable", "b", "its edges are never enabled on any path to it"),
            ("never-enabled", "seen_b: a -> b", "no order ever stands in a with shut = yes"),
            ("never-enabled", "stay: a -> a", "no order ever stands in a with shut = yes"),
            ("reading", "there", "no reachable order can be proven b by it"),
        },
    ),
}


@pytest.mark.parametrize("fault", EXPLAINED)
def test_a_fault_is_explained(declare, fault):
    body, expected = EXPLAINED[fault]
    assert {(problem.rule, problem.where, problem.explanation) for problem in check(declare(body).table).problems} == expected


def without(table: Table, *events: str) -> Table:
    edges = tuple(edge for edge in table.edges if edge.event not in events)
    return evolve(table, edges=edges, out={state: tuple(edge for edge in edges if edge.source == state) for state in table.states})


def test_a_state_that_no_edge_enters_is_distinguished_from_one_that_no_order_can_enter(declare):
    table = without(declare(EXPLAINED["a trap under two of the facts"][0]).table, "ask")
    assert Problem("unreachable", "b", "no edge enters it") in check(table).problems


def test_every_unanswered_cell_is_named_not_only_the_first(declare):
    table = declare(EXPLAINED["a trap under two of the facts"][0]).table
    gone = {state: {event: cell for event, cell in row.items() if event != "ask"} for state, row in table.cells.items()}
    problems = check(evolve(table, cells=MappingProxyType(gone))).problems
    assert {problem.where for problem in problems if problem.rule == "unanswered"} == {"ask in a", "ask in b", "ask in c"}


def test_ambiguous_edges_and_claimed_ends_are_explained(declare):
    body = """
        a = State(initial=True)
        b = State(provisional=True)
        c = State(final=True)
        go = e(command, a.to(b))
        end = e(command, b.to(c))
        """
    table = declare(body).table
    go = table.edges[0]
    doubled = check(evolve(table, edges=(*table.edges, evolve(go, target="c"))))
    assert Problem("ambiguous", "go in a", "edges to b and c under {}") in doubled.problems
    claimed = evolve(table, edges=(evolve(go, origin=Origin.CLAIM), table.edges[1]))
    explanations = {problem.explanation for problem in check(claimed).problems if problem.rule == "unproven-entry"}
    assert explanations == {"a claim enters a provisional state: anyone could have sent it"}


def test_a_reading_without_a_proof_hides_no_later_one(declare):
    table = declare(EXPLAINED["a promise that is broken at once"][0]).table
    readings = {"open": Reading(frozenset({"a"}), None), "odd": Reading(frozenset({"nowhere"}), None)}
    problems = check(evolve(table, readings=MappingProxyType(readings))).problems
    assert {problem.where for problem in problems if problem.rule == "reading"} == {"odd"}


def test_the_figures_count_what_was_looked_at(declare):
    """`pay` reads a fact in a, so that its cell there has two answers; a and b are reached under four facts each, c under the rich two."""
    figures = check(declare(EXPLAINED["a trap under two of the facts"][0]).table).figures
    assert figures == Figures(states=3, events=3, edges=3, cells=9, answers=10, pairs=10)


# ── observations ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_refused_observation_says_where_the_order_stands_and_what_would_be_legal():
    table = ConnectLifecycle.table
    facts = {**table.defaults(), "url_allowed": True, "needs_user": True}
    for state, seen in (
        ("registered", Observation("preliminary", 0, mismatch="amount")),
        ("registered", Observation("?", 0)),
        ("fulfilled", Observation("preliminary", 0)),
    ):
        snapshot = Snapshot(state, facts, {}, 0)
        decision = observe(table, snapshot, seen)
        assert isinstance(decision, Refused)
        assert decision.state == state
        assert decision.legal == legal(table, snapshot)
        assert decision.legal


def test_an_unknown_status_is_quoted_up_to_sixty_characters():
    decision = observe(ConnectLifecycle.table, Snapshot("registered", ConnectLifecycle.table.defaults(), {}, 0), Observation("x" * 99, 0))
    assert isinstance(decision, Refused)
    assert decision.reason is Reason.UNKNOWN_STATUS
    assert decision.detail == f"{'x' * 60!r} is no status that connect declares"


def test_the_data_of_a_consistent_reading_is_kept_when_it_moves_the_order():
    table = ConnectLifecycle.table
    facts = {**table.defaults(), "claimed": "error"}
    decision = observe(table, Snapshot("confirming", facts, {"id": "7"}, 0), Observation("preliminary", 0, {"seen": "yes"}))
    assert isinstance(decision, Applied)
    assert decision.snapshot.data == {"id": "7", "seen": "yes"}


def test_no_state_is_passed_twice_and_the_facts_of_each_step_enable_the_next(declare):
    """a -> b -> a would never end; c can only be entered after b, which sets the fact."""
    table = declare(
        """
        a = State(initial=True)
        b = State()
        c = State(final=True)
        came = Flag()
        seen_b = e(observation, a.to(b), sets={"came": True})
        seen_a = e(observation, b.to(a))
        seen_c = e(observation, b.to(c), cond=came)
        readings = {status: reading(consistent=[state], proves=state) for status, state in (("a", a), ("b", b), ("c", c))}
        """
    ).table
    decision = observe(table, Snapshot("a", table.defaults(), {}, 0), Observation("c", 0))
    assert isinstance(decision, Applied)
    assert [step.target for step in decision.steps] == ["b", "c"]
