"""Guards that are Python functions: enumerated where they are functions of the facts; else opaque, and what depends on one never passes."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from tests.unit.analysis.test_properties import LINE, PATTERNS

from orderflow._analysis.check import Report, check, check_sketches
from orderflow._lifecycle.decide import decide
from orderflow._lifecycle.declare import Flag, Lifecycle, State, assumed, edge
from orderflow._lifecycle.facts import valuations
from orderflow.errors import DeclarationError
from orderflow.model import Applied, Cause, Event, Origin, Snapshot

SHOP = """
    a = State(initial=True)
    b = State(final=True)
    rich = Flag()
    mood = Fact("good", "bad", "odd")
    vip = Flag()
    go = e(command, a.to(b), cond={guard})
    stay = e(command, a.to(a))
    leave = e(operator, a.to(b))
"""


def refused(declare, body: str) -> DeclarationError:
    with pytest.raises(DeclarationError) as refusal:
        declare(body)
    return refusal.value


def sketched(declare, body: str) -> Report:
    return check_sketches(*refused(declare, body).tables_for_check)


# ── functions of the facts ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("function", "expression", "reads"),
    [
        ("lambda facts: facts['rich'] and facts['mood'] != 'bad'", "rich & ~mood.is_('bad')", ("rich", "mood")),
        ("lambda facts: facts['mood'] in ('bad', 'odd') or facts.get('vip')", "mood.is_('bad', 'odd') | vip", ("mood", "vip")),
        ("lambda facts: {**facts}['rich']", "rich", ("rich", "mood", "vip")),
        ("vip.holds", "vip", ("vip",)),
    ],
)
def test_a_function_of_the_facts_decides_as_the_expression_that_it_stands_for(declare, function, expression, reads):
    by_function, by_expression = (declare(SHOP.format(guard=guard)).table for guard in (function, expression))
    for facts in valuations(tuple(by_function.facts.items())):
        decisions = [decide(table, Snapshot("a", facts, {}, 0), Event("go", Origin.COMMAND)) for table in (by_function, by_expression)]
        assert isinstance(decisions[0], Applied) == isinstance(decisions[1], Applied), facts
    assert by_function.cells["a"]["go"].choice.reads == reads
    assert check(by_function).problems == check(by_expression).problems == ()


def test_a_function_is_shown_by_its_name_and_never_called_once_the_class_is_made():
    calls: list[bool] = []

    def keen(facts):
        calls.append(True)
        return facts["rich"]

    class Shop(Lifecycle, name="shop"):
        a = State(initial=True)
        b = State(final=True)
        rich = Flag()
        go = edge(Origin.COMMAND, a.to(b), Cause.US, assumed("a test"), "goes", cond=keen)
        leave = edge(Origin.OPERATOR, a.to(b), Cause.US, assumed("a test"), "leaves")

    calls_while_made = len(calls)
    check(Shop.table)
    refusal = decide(Shop.table, Snapshot("a", {"rich": False}, {}, 0), Event("go", Origin.COMMAND))
    oracle = Shop(model=SimpleNamespace(state="a", facts={"rich": True}))
    oracle.send("go")
    assert oracle.b.is_active
    assert len(calls) == calls_while_made
    assert "needs keen" in repr(refusal)


# ── opaque guards ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("guard", "why"),
    [
        ("lambda order: order.rich", "raises AttributeError"),
        ("lambda facts: True", "reads no fact"),
        ("lambda facts: facts['amount'] > 100", "asks for 'amount'"),
        ("lambda facts: facts.get('amount', True) and facts['rich']", "asks for 'amount'"),
        ("lambda facts: facts['rich'] + 1", "neither True nor False"),
        ("lambda facts, calls=[]: calls.append(1) or facts['rich'] == len(calls) % 2", "two answers for the same facts"),
        ("lambda: True", "raises TypeError"),
        ("elsewhere", "not declared here"),
        ("'ready'", "neither built of facts"),
        ("mood", "neither built of facts"),
    ],
)
def test_what_is_no_function_of_the_facts_does_not_run_and_check_says_why(declare, guard, why):
    body = SHOP.format(guard=guard)
    refusal = refused(declare, body)
    (declared,) = refusal.problems
    (found,) = check_sketches(*refusal.tables_for_check).problems
    for problem in (declared, found):
        assert (problem.rule, problem.where) == ("guard-unresolved", "go: a -> b")
        assert why in problem.explanation
    assert declared.line == 8


def test_the_message_of_an_exception_is_not_shown(declare):
    assert "secret" not in str(refused(declare, SHOP.format(guard="lambda facts: int('secret')")))


def test_a_rule_that_depends_on_an_opaque_guard_is_neither_passed_nor_broken(declare):
    body = """
        a = State(initial=True)
        b = State()
        c = State(final=True)
        lost = State()
        rich = Flag()
        call = repeatable(successes=["done"])
        go = e(command, a.to(b), cond=lambda order: order.rich, effects=[call]) | e(command, a.to(c), cond=rich)
        leave = e(operator, a.to(c))
        done = e(reply, b.to(c))
        stray = e(command, lost.to(c)) | e(command, a.to(lost), cond=rich & ~rich)
    """
    explained = {(problem.rule, problem.where): problem.explanation for problem in sketched(declare, body).problems}
    assert explained.keys() == {
        ("guard-unresolved", "go: a -> b"),
        ("unchecked", "go in a"),  # two edges at once, if the guard is true under rich
        ("unchecked", "b"),
        ("unchecked", "done: b -> c"),
        ("unreachable", "lost"),  # whatever the guard is
        ("never-enabled", "stray: lost -> c"),
        ("never-enabled", "stray: a -> lost"),
    }
    assert explained["unchecked", "b"].startswith("unreachable, if the lambda of line ")


EDGES = ("a.to(b)", "a.to(c), cond=rich", "b.to(c)", "c.to(b)", "c.to(d)")
GUARDS = ("rich & ~rich", "rich", "~rich", "rich | ~rich")


def with_guard(written: str, edge_: str, guard: str) -> str:
    guarded = f"{edge_.partition(',')[0]}, cond={guard}"
    assert LINE.count(edge_) == 1
    return LINE.replace(edge_, guarded) + f"\n    properties = {{'it': {written}}}"


@pytest.mark.parametrize("edge_", EDGES)
def test_a_verdict_in_spite_of_an_opaque_guard_is_that_of_every_guard_it_could_be(declare, edge_):
    """Thirty properties, the guard of one edge unknown: where a verdict is given, all guards over the facts have it."""
    decided = unsure = 0
    for written, _, _ in PATTERNS:
        (opaque,) = sketched(declare, with_guard(written, edge_, "lambda order: order.rich")).properties
        verdicts = {check(declare(with_guard(written, edge_, guard)).table).properties[0].verdict for guard in GUARDS}
        if opaque.verdict == "unchecked":
            unsure += 1
            continue
        assert verdicts == {opaque.verdict}, written
        decided += 1
    assert decided
    assert unsure


def test_what_an_unchecked_edge_alone_could_answer_does_not_hold(declare):
    body = """
        a = State(initial=True)
        b = State()
        c = State(final=True)
        d = State(final=True)
        rich = Flag()
        call = repeatable(successes=["answer"])
        ask = e(command, a.to(b), cond=rich, effects=[call])
        skip = e(command, a.to(d))
        answer = e(reply, b.to(c), cond={guard})
        properties = {{"answered": p.response(p.at(b), p.at(c)), "can": p.universality(p.can("answer"), where=p.at(b)),
                      "skipped": p.response(p.on("skip"), p.at(d))}}
    """
    report = sketched(declare, body.format(guard="lambda order: order.rich"))
    assert [result.verdict for result in report.properties] == ["unchecked", "unchecked", "holds"]
    assert [result.verdict for result in check(declare(body.format(guard="rich")).table).properties] == ["holds", "holds", "holds"]


def test_of_two_opaque_guards_one_may_be_true_and_the_other_false(declare):
    """With both false, b is never reached; with both true, c is. Only the mixture is stuck without c."""
    body = """
        a = State(initial=True)
        b = State()
        c = State()
        d = State(final=True)
        straight = e(command, a.to(c))
        detour = e(command, a.to(b), cond=lambda order: order.rich)
        onward = e(command, b.to(c), cond=lambda order: order.vip)
        end = e(command, c.to(d))
        properties = {"c at last": p.response(p.at(a, b), p.at(c))}
    """
    report = sketched(declare, body)
    assert [result.verdict for result in report.properties] == ["unchecked"]
    stuck = next(problem for problem in report.problems if problem.where == "b" and "dead-end" in problem.explanation)
    assert (stuck.rule, "is sometimes true" in stuck.explanation) == ("unchecked", True)
    assert (report.lifecycle, report.figures.pairs) == ("seeded", 4)
    *_, unchecked = report.problems
    assert (unchecked.rule, unchecked.where) == ("property-unchecked", "c at last")
    assert re.search(r": depends on the lambda of line \d+ and the lambda of line \d+$", unchecked.explanation)
