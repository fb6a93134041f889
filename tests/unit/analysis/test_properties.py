"""Properties: each pattern and scope holds and fails where it should, and the eight definition faults are found."""

from __future__ import annotations

import re
from itertools import product

import pytest
from attrs import evolve
from tests.kit.definition_faults import FAULTS, SHOP, broken_rules, statemachine_refuses

from orderflow._analysis import monitors
from orderflow._analysis.check import check
from orderflow._analysis.model_checking import Verdict, verify
from orderflow._analysis.reachability import reachable
from orderflow._lifecycle.properties import Pattern
from orderflow.model import Origin

LINE = """
    a = State(initial=True)
    b = State()
    c = State()
    d = State(final=True)
    rich = Flag()
    ask = repeatable(successes=["goes_on"])
    finish = repeatable(successes=["back", "end"])
    go = e(command, a.to(b), effects=[ask])
    skip = e(command, a.to(c), cond=rich, effects=[finish])
    goes_on = e(reply, b.to(c), effects=[finish])
    back = e(reply, c.to(b), effects=[ask])
    end = e(reply, c.to(d))
"""

PATTERNS: list[tuple[str, str, str]] = [
    ("p.absence(p.at(d))", "fails", "skip end"),
    ("p.absence(p.at(d) & ~p.by(reply))", "holds", "skip end"),
    ("p.absence(p.at(a), p.after(p.at(b)))", "holds", "go"),
    ("p.absence(p.at(b), p.after(p.at(c)))", "fails", "skip back"),
    ("p.absence(p.at(b), p.before(p.at(c)))", "fails", "go"),
    ("p.absence(p.leaving(c), p.before(p.at(c)))", "holds", "skip back"),
    ("p.absence(p.at(d), p.between(p.on('back'), p.at(c)))", "holds", "skip back"),
    ("p.absence(p.at(b) & rich, p.between(p.at(c), p.at(d)))", "fails", "skip back"),
    ("p.universality(p.can('end'), where=p.at(c))", "holds", "skip"),
    ("p.universality(p.can('end'), where=p.at(b))", "fails", "go"),
    ("p.universality(p.under(rich), where=p.on('skip'))", "holds", "skip"),
    ("p.universality(~p.at(d), p.before(p.on('end')))", "holds", ""),
    ("p.existence(p.at(c))", "holds", "skip"),
    ("p.existence(p.at(b))", "fails", "skip end"),
    ("p.existence(p.at(b), p.before(p.at(c)))", "fails", "skip"),
    ("p.existence(p.at(d), p.after(p.at(b)))", "holds", "go goes_on end"),
    ("p.existence(p.at(b), p.after(p.on('skip')))", "fails", "skip end"),
    ("p.absence(p.on('back') & ~p.under(rich), p.between(p.at(b), p.at(c)))", "fails", "go goes_on back"),
    ("p.precedence(p.at(b), p.at(d))", "fails", "skip end"),
    ("p.precedence(p.at(b) | p.under(rich), p.at(d))", "holds", "skip end"),
    ("p.precedence(p.at(c), p.at(d))", "holds", "skip end"),
    ("p.precedence(p.at(b), p.at(d), p.after(p.at(c)))", "fails", "skip end"),
    ("p.response(p.at(b), p.at(c))", "holds", "go goes_on"),
    ("p.response(p.at(c), p.at(b))", "fails", "skip end"),
    ("p.response(p.at(c), p.at(d), p.between(p.at(c), p.at(b)))", "fails", "skip back"),
    ("p.absence(p.at(d), p.after(p.at(b) & p.on('skip')))", "vacuous", ""),
    ("p.absence(p.at(b) & p.on('skip'))", "holds", "go"),
    ("p.absence(p.at(b) & p.by(claim))", "vacuous", ""),
    ("p.precedence(p.at(b), p.at(d) & p.at(c))", "vacuous", ""),
    ("p.response(p.at(d) & p.at(b), p.at(c))", "vacuous", ""),
]


@pytest.mark.parametrize(("written", "verdict", "path"), PATTERNS)
def test_a_pattern_in_a_scope(declare, written, verdict, path):
    """The path is the witness's, or the counterexample's."""
    table = declare(LINE + f"\n    properties = {{'it': {written}}}").table
    (result,) = check(table).properties
    assert result.verdict == verdict, result
    if verdict != "vacuous":
        assert [edge.event for edge in result.path] == path.split()


def test_the_real_lifecycles_keep_their_promises_each_with_a_witness(table):
    results = check(table).properties
    assert len(results) >= 6
    for result in results:
        assert result.verdict is Verdict.HOLDS
        assert result.path, result.promise.name
        assert result.path[0].source == table.initial
        assert all(before.target == after.source for before, after in zip(result.path, result.path[1:], strict=False))


def test_a_property_names_the_weak_evidence_that_it_leans_on(declare):
    body = """
        a = State(initial=True)
        b = State()
        c = State(final=True)
        go = e(command, a.to(b), evidence=documented("D"))
        seen = e(observation, b.to(c), evidence={strength}("S"))
        properties = {{"ends": p.response(p.at(b), p.at(c)), "starts": p.existence(p.at(b))}}
    """
    for strength in ("documented", "inferred", "assumed"):
        ends, starts = check(declare(body.format(strength=strength)).table).properties
        assert ends.leans_on == ("" if strength == "documented" else strength)
        assert ends.unsure == (() if strength == "documented" else (f"S ({strength})",))
        assert starts.leans_on == ""


def test_an_expectation_restricts_the_paths_only_where_asked(declare):
    body = """
        a = State(initial=True)
        b = State()
        c = State(final=True)
        owes = Flag()
        pay = e(observation, a.to(b))
        done = e(observation, c.from_(b)) | e(observation, a.to(c), expects=~owes)
        properties = {{"paid": p.precedence(p.at(b), p.at(c) & owes, as_expected={asked})}}
    """
    assert [check(declare(body.format(asked=asked)).table).properties[0].verdict for asked in (True, False)] == ["holds", "fails"]


def test_a_broken_promise_and_a_vacuous_one_are_problems_that_name_the_path(declare):
    table = declare(LINE + "\n    properties = {'never d': p.absence(p.at(d)), 'no claims': p.absence(p.by(claim))}").table
    fails, vacuous = check(table).problems
    assert (fails.rule, fails.where) == ("property-fails", "never d")
    assert "skip: a -> c, end: c -> d" in fails.explanation
    assert (vacuous.rule, vacuous.where) == ("property-vacuous", "no claims")
    assert "by claim never happens" in vacuous.explanation


@pytest.mark.parametrize("event", ["seen_fulfilled", "seen_unproven"])
def test_a_claim_in_place_of_a_proof_breaks_connects_promises(event):
    from orderflow._providers.connect.lifecycle import ConnectLifecycle

    table = ConnectLifecycle.table
    edges = tuple(evolve(edge, origin=Origin.CLAIM) if edge.event == event else edge for edge in table.edges)
    out = {state: tuple(edge for edge in edges if edge.source == state) for state in table.states}
    broken = evolve(table, edges=edges, out=out)
    failing = {result.promise.name for result in verify(broken, reachable(broken)) if result.verdict is Verdict.FAILS}
    assert "no claim proves or ends anything" in failing


def test_and_or_not_on_a_condition_raise_for_python_would_drop_half_of_it(declare):
    for written in ("p.at(a) and p.at(b)", "p.at(a) or p.at(b)", "not p.at(a)"):
        with pytest.raises(TypeError, match=re.escape("combine conditions with & | ~, not with and, or, not")):
            declare(LINE + f"\n    properties = {{'it': p.absence({written})}}")


def test_a_guard_may_stand_for_the_condition_that_it_is_true(declare):
    written = "p.universality(rich, where=p.on('skip'))"
    (result,) = check(declare(LINE + f"\n    properties = {{'it': {written}}}").table).properties
    assert (result.verdict, result.promise.text) == ("holds", "always rich, where on skip")


def test_what_is_no_condition_is_refused_at_once(declare):
    with pytest.raises(TypeError, match="'a' is no condition: write at"):
        declare(LINE + "\n    properties = {'it': p.absence('a')}")


def test_every_row_of_a_monitor_is_met_and_none_is_missing():
    """Each table is complete: it has a row for every phase that it leads to, and every pair of answers that its pattern can have."""
    for pattern, rows in monitors.ROWS.items():
        phases = {phase for phase, _, _ in rows}
        assert {phase for phase, _ in rows.values()} <= phases
        firsts = {first for _, first, _ in rows}
        assert firsts == ({False} if pattern in (Pattern.ABSENCE, Pattern.EXISTENCE) else {False, True})
        assert rows.keys() == set(product(phases, firsts, (False, True)))


# ── the eight definition faults ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_sound_shop_is_sound():
    assert broken_rules(SHOP) == ()
    assert not statemachine_refuses(SHOP)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_definition_fault_is_found(fault):
    seeded, rule = FAULTS[fault]
    assert rule in broken_rules(seeded)


def test_python_statemachine_alone_finds_four_of_the_eight():
    found = {fault for fault, (seeded, _) in FAULTS.items() if statemachine_refuses(seeded)}
    assert found == {"unreachable", "dead end", "trap", "edge out of a final state"}
    assert len(FAULTS) == 8
