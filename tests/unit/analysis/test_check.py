"""``check``: no problem in the real lifecycles, and every seeded fault is found and named."""

from __future__ import annotations

import re
from types import MappingProxyType

import pytest
from attrs import evolve

from orderflow._analysis import check as check_module
from orderflow._analysis.check import RULES, Problem, check
from orderflow._analysis.reachability import Pair, pairs_that_reach, reachable, starts
from orderflow._lifecycle.table import Reading, Table
from orderflow.model import Applied, Origin

DECLARED = {
    "unreachable": (
        """
        a = State(initial=True)
        b = State()
        c = State(final=True)
        stage = Fact("early", "late")
        skip = e(command, a.to(b), cond=stage.is_("late"))
        finish = e(command, b.to(c), sets={"stage": "late"})
        leave = e(command, a.to(c))
        """,
        {("unreachable", "b"), ("never-enabled", "skip: a -> b"), ("never-enabled", "finish: b -> c")},
    ),
    "never-enabled": (
        """
        a = State(initial=True)
        b = State(final=True)
        rich = Flag()
        young = Flag()
        go = e(command, a.to(b), cond=rich)
        leave = e(command, a.to(b))
        hope = e(command, a.to(b), cond=rich & ~rich)
        """,
        {("never-enabled", "hope: a -> b")},
    ),
    "dead-end": (
        """
        a = State(initial=True)
        b = State()
        c = State(final=True)
        rich = Flag()
        go = e(command, a.to(b))
        pay = e(command, b.to(c), cond=rich)
        """,
        {("dead-end", "b")},
    ),
    "trap": (
        """
        a = State(initial=True)
        b = State()
        c = State(final=True)
        rich = Flag()
        call = repeatable(successes=["answered"])
        ask = e(command, a.to(b), effects=[call])
        answered = e(reply, b.to(a))
        pay = e(command, a.to(c), cond=rich)
        """,
        {("trap", "a"), ("trap", "b")},
    ),
    "deadline": (
        """
        a = State(initial=True, deadlines={"overdue": "patience"})
        b = State()
        c = State(final=True)
        go = e(command, a.to(b))
        overdue = e(clock, b.to(c))
        """,
        {("deadline", "a"), ("deadline", "b")},
    ),
    "reading": (
        """
        a = State(initial=True)
        b = State(final=True)
        c = State(final=True)
        go = e(command, a.to(c))
        seen_b = e(observation, a.to(b))
        readings = {"there": reading(consistent=[a], proves=b)}
        """,
        {("reading", "there")},
    ),
    "jump-facts": (
        """
        created = State(initial=True)
        authorized = State(proven=True)
        captured = State(proven=True)
        refunded = State(final=True)
        amount = Fact("none", "part", "all")
        seen_authorized = e(observation, created.to(authorized))
        seen_captured = e(observation, authorized.to(captured), sets={"amount": "all"})
        seen_part_captured = e(observation, authorized.to(captured), sets={"amount": "part"})
        refund = e(command, captured.to(refunded), cond=amount.is_("all"))
        refund_part = e(command, captured.to(refunded), cond=amount.is_("part"))
        readings = {"captured": reading(consistent=[captured], proves=captured)}
        """,
        {("jump-facts", "captured in created")},
    ),
    "jump-effects": (
        """
        created = State(initial=True)
        packed = State()
        boxed = State()
        sent = State()
        done = State(final=True)
        mail = repeatable(successes=["mailed"])
        seen_packed = e(observation, created.to(packed))
        seen_boxed = e(observation, created.to(boxed))
        seen_sent = e(observation, packed.to(sent), effects=[mail]) | e(observation, boxed.to(sent))
        mailed = e(reply, sent.to(done))
        finish = e(command, sent.to(done))
        readings = {"sent": reading(consistent=[sent], proves=sent)}
        """,
        {("jump-effects", "sent in created")},
    ),
    "reply-missing": (
        """
        a = State(initial=True)
        b = State()
        c = State(final=True)
        insured = Flag()
        ship = once(kind="shipping", successes=["shipped"])
        order_it = e(command, a.to(b), effects=[ship])
        shipped = e(reply, b.to(c))
        shipping_refused = e(reply, b.to(c), cond=insured)
        shipping_undelivered = e(reply, b.to(a))
        shipping_answer_lost = e(reply, b.to(c))
        """,
        {("reply-missing", "order_it: a -> b")},
    ),
    "stranded": (
        """
        a = State(initial=True)
        b = State()
        parked = State()
        c = State(final=True)
        ship = once(kind="shipping", successes=["shipped"])
        order_it = e(command, a.to(b), effects=[ship])
        shipped = e(reply, c.from_(b, parked))
        shipping_refused = e(reply, b.to(c))
        shipping_undelivered = e(reply, b.to(a))
        shipping_answer_lost = e(reply, b.to(parked))
        """,
        {("stranded", "parked")},
    ),
}
"""Faults that a declaration may have, and that only exploring it under its facts can find."""


def tampered(table: Table, fault: str) -> tuple[Table, str]:
    """A copy of a sound table with a fault that no declaration could have, and where it is."""
    proof = next(edge for edge in table.edges if table.states[edge.target].proven and edge.source != edge.target)
    where = f"{proof.event}: {proof.source} -> {proof.target}"
    if fault == "unproven-entry":
        edges = tuple(evolve(edge, origin=Origin.CLAIM) if edge is proof else edge for edge in table.edges)
        return evolve(table, edges=edges), where
    if fault == "final-edge":
        states = {**table.states, proof.source: evolve(table.states[proof.source], final=True)}
        return evolve(table, states=MappingProxyType(states)), where
    cell = f"{proof.event} in {proof.source}"
    if fault == "ambiguous":
        return evolve(table, edges=(*table.edges, evolve(proof, target=table.initial))), cell
    assert fault == "unanswered"
    rows = {**table.cells, proof.source: {n: c for n, c in table.cells[proof.source].items() if n != proof.event}}
    return evolve(table, cells=MappingProxyType(rows)), cell


def test_the_real_lifecycles_have_no_problems(table):
    report = check(table)
    assert report.problems == ()
    assert report.lifecycle == table.name
    assert report.figures.cells == len(table.states) * len(table.events)
    assert report.figures.answers > report.figures.cells


@pytest.mark.parametrize("fault", DECLARED)
def test_a_fault_under_the_facts_is_named(declare, fault):
    body, expected = DECLARED[fault]
    problems = check(declare(body).table).problems
    assert {(problem.rule, problem.where) for problem in problems} == expected
    assert fault in {problem.rule for problem in problems}
    assert all(problem.explanation for problem in problems)


@pytest.mark.parametrize("fault", sorted(RULES.keys() - DECLARED.keys()))
def test_a_fault_that_compiling_would_have_refused_is_found_on_the_table_too(table, fault):
    broken, where = tampered(table, fault)
    assert (fault, where) in {(problem.rule, problem.where) for problem in check(broken).problems}


@pytest.mark.parametrize("origin", [Origin.COMMAND, Origin.CLAIM, Origin.CLOCK])
def test_every_edge_into_a_proven_state_is_guarded_against_every_unproving_origin(table, origin):
    for edge in table.edges:
        proven = table.states[edge.target].proven and edge.source != edge.target
        provisional = table.states[edge.target].provisional and edge.source != edge.target
        broken = evolve(table, edges=tuple(evolve(e, origin=origin) if e is edge else e for e in table.edges))
        named = f"{edge.event}: {edge.source} -> {edge.target}"
        rule, material = RULES["unproven-entry"], check_module._Material(broken, {})  # the other rules would take a minute
        assert (named in {where for where, _ in rule(material)}) == (proven or (provisional and origin is Origin.CLAIM)), named


def test_a_cell_that_disagrees_with_the_edges_is_unanswered(table):
    """A table whose edge was dropped, but not its cell."""
    gone = next(edge for edge in table.edges if table.cells[edge.source][edge.event].only is edge)
    broken = evolve(table, edges=tuple(edge for edge in table.edges if edge is not gone))
    where = f"{gone.event} in {gone.source}"
    assert Problem("unanswered", where, "the answer under {} is not that of its edges") in check(broken).problems


def test_a_reading_over_an_unknown_state_is_named(table):
    broken = evolve(table, readings=MappingProxyType({**table.readings, "odd": Reading(frozenset({"nowhere"}), None)}))
    assert [(p.rule, p.where, "nowhere" in p.explanation) for p in check(broken).problems] == [("reading", "odd", True)]


def test_every_rule_is_documented_and_seeded(table):
    documented = re.findall(r"^    ([a-z]+(?:-[a-z]+)*) +\S", check_module.__doc__, re.MULTILINE)
    assert documented == list(RULES)
    for rule in RULES.keys() - DECLARED.keys():
        tampered(table, rule)


def test_a_problem_under_many_facts_is_reported_once_with_an_example(declare):
    (problem,) = check(declare(DECLARED["dead-end"][0]).table).problems
    assert (
        problem.explanation
        == "no edge is enabled, though it is no end, under 1 of the reachable combinations of facts, for example rich = False"
    )


def test_orders_start_with_facts_given_at_create_and_without_a_history(table):
    first = table.defaults()
    for edge in table.edges:
        for name in edge.sets:
            first.pop(name, None)
    for pair in starts(table):
        assert pair.state == table.initial
    assert len(list(starts(table))) >= 2 ** len(first)


def test_a_fact_that_an_edge_can_only_reset_is_given_at_create(declare):
    table = declare(
        """
        a = State(initial=True)
        b = State(final=True)
        needy = Flag()
        arrived = Flag()
        give_up = e(command, a.to(a), cond=needy, sets={"needy": False})
        arrive = e(command, a.to(b), sets={"arrived": True})
        """
    ).table
    assert set(starts(table)) == {Pair("a", (False, False)), Pair("a", (True, False))}
    moves = reachable(table)
    assert set(moves) == {Pair("a", (n, False)) for n in (False, True)} | {Pair("b", (n, True)) for n in (False, True)}
    assert pairs_that_reach(moves, [Pair("b", (True, True))]) == {Pair("a", (True, False)), Pair("b", (True, True))}


def test_the_moves_of_a_reachable_pair_are_what_decide_does(table):
    from orderflow._lifecycle.decide import decide
    from orderflow.model import Event

    for pair, out in reachable(table).items():
        for edge, onward in out:
            decision = decide(table, pair.snapshot(table), Event(edge.event, edge.origin))
            assert isinstance(decision, Applied)
            assert decision.snapshot == onward.snapshot(table, version=1)
