"""Every rule of declarations: a class that breaks it is refused by that rule's name, and by no other."""

from __future__ import annotations

import pytest
from statemachine import StateChart, StateMachine

from orderflow._lifecycle.declare import Lifecycle
from orderflow._lifecycle.rules import RULES
from orderflow.errors import DeclarationError
from orderflow.model import Cause, Effect, Evidence, Origin, Step, StepKind, Strength

SOUND = """\
a = State(initial=True)
b = State(final=True)
go = e(command, a.to(b))
"""

CALL = "call = repeatable(successes=['called'])\ncalled = e(reply, a.to(b))\n"
"""An effect that is declared as it should be, and one with a kind."""

ASK = """\
ask = repeatable('ask', successes=['asked'])
asked = e(reply, a.to(b))
ask_refused = e(reply, a.to(b))
ask_undelivered = e(reply, a.to(b))
ask_answer_lost = e(reply, a.to(b))
"""

ELEVEN_FLAGS = "".join(f"f{n} = Flag()\n" for n in range(11))
"""One more than a guard may read."""

SEEDS: dict[str, tuple[str, ...]] = {
    "name-twice": (
        SOUND + "go = e(operator, a.to(b))",
        SOUND + "b = State(final=True)",
        SOUND + "flag = Flag()\nflag = Flag()",
    ),
    "bad-name": (
        SOUND + "locals()['pay.now'] = e(command, a.to(b))",
        SOUND + "locals()['pay now'] = e(command, a.to(b))",
        SOUND + "locals()['*'] = e(command, a.to(b))",
        SOUND + "_hidden = e(command, a.to(b))",
    ),
    "reserved-name": (
        SOUND + "send = e(command, a.to(b))",
        SOUND + "model = e(command, a.to(b))",
        SOUND + "initial_state = e(command, a.to(b))",
        SOUND + "def on_enter_a(self): ...",
        "opened = State(initial=True)\nb = State(final=True)\nstates = e(command, opened.to(b))",
    ),
    "name-clash": ("a = State('go', initial=True)\nb = State(final=True)\ngo = e(command, a.to(b))",),
    "foreign-attribute": (
        SOUND + "def helper(self): ...",
        SOUND + "limit = 3",
        SOUND + "pay = statemachine.Event(a.to(b))",
        "a = statemachine.State(initial=True)\nb = State(final=True)\ngo = e(command, a.to(b))",
    ),
    "bare-edge": (
        SOUND + "pay = a.to(b)",
        SOUND + "pay = b.from_.any()",
        SOUND + "e(command, a.to(b, event='pay'))",
        SOUND + "pay = e(command, a.to(b)) | a.to(a)",
    ),
    "eventless": (SOUND + "e(command, a.to(b))", SOUND + "a.to(b)"),
    "library-option": (
        SOUND + "pay = e(command, a.to(b, cond='ready'))",
        SOUND + "pay = e(command, a.to(b, validators=print))",
        SOUND + "pay = e(command, a.to(b, on='notify'))",
        SOUND + "pay = e(command, a.to(b, event='buy'))",
        SOUND + "pay = e(command, a.to(a, internal=True))",
        SOUND + "pay = e(command, a.to([b, a]))",
        SOUND + "pay = e(command, a.to(None))",
    ),
    "duplicate-value": (
        "a = State('x', initial=True)\nc = State('x')\nb = State(final=True)\ngo = e(command, a.to(c))\non = e(command, c.to(b))",
    ),
    "origin-mixed": (SOUND + "rich = Flag()\npay = e(command, a.to(b), cond=rich) | e(reply, a.to(a), cond=~rich)",),
    "no-state": ("pass", "rich = Flag()"),
    "no-initial": ("a = State()\nb = State(final=True)\ngo = e(command, a.to(b))",),
    "two-initials": ("a = State(initial=True)\nc = State(initial=True)\nb = State(final=True)\ngo = e(command, b.from_(a, c))",),
    "state-name": tuple(
        f"a = State({value}, initial=True)\nb = State(final=True)\ngo = e(command, a.to(b))"
        for value in ("1", "1.5", "True", "['a']", "object()", "''", "' a'", "'a\\nb'", "'a\\0b'", "'\\ud800'", "'x' * 121")
    ),
    "no-transition": (
        SOUND + "pay = e(command, a)",
        SOUND + "pay = e(command, a.to)",
        SOUND + "pay = e(command, a.from_)",
        SOUND + "pay = e(command, 'b')",
        SOUND + "pay = e(command, [a, b])",
        SOUND + "pay = e(command, None)",
        SOUND + "pay = e(command, a.to(a)) | e(command, b)",
    ),
    "no-target": (SOUND + "pay = e(command, a.to())", SOUND + "pay = e(command, b.from_())"),
    "state-unknown": (
        SOUND + "pay = e(command, a.to('b'))",
        SOUND + "pay = e(command, a.to(State('c')))",
        SOUND + "pay = e(command, b.from_.any())",
    ),
    "edge-origin": (
        SOUND + "pay = e('rumour', a.to(b))",
        SOUND + "pay = e('command', a.to(b))",
        SOUND + "pay = e(None, a.to(b))",
    ),
    "edge-cause": (SOUND + "pay = e(command, a.to(b), cause='customer')",),
    "edge-evidence": (SOUND + "pay = e(command, a.to(b), evidence='A1')", SOUND + "pay = e(command, a.to(b), evidence=assumed(5))"),
    "edge-label": (SOUND + "pay = e(command, a.to(b), label=None)", SOUND + "pay = e(command, a.to(b), label='\\x1b[31m')"),
    "edge-effects": (
        SOUND + "pay = e(command, a.to(b), effects='charge')",
        SOUND + "pay = e(command, a.to(b), effects=['charge'])",
        SOUND + CALL + "pay = e(command, a.to(b), effects=call)",
        SOUND + "pay = e(command, a.to(b), effects=[repeatable()])",
        SOUND + "pay = e(command, a.to(b), effects=5)",
    ),
    "edge-sets": (SOUND + "pay = e(command, a.to(b), sets='rich')",),
    "final-edge": (SOUND + "back = e(command, b.to(a))", SOUND + "again = e(command, b.to(b))"),
    "dead-end": (SOUND + "c = State()\nstop = e(command, a.to(c))",),
    "guard-unresolved": (
        SOUND + "pay = e(command, a.to(b), cond=elsewhere)",
        SOUND + "pay = e(command, a.to(b), cond='ready')",
        SOUND + "pay = e(command, a.to(b), cond=lambda model: True)",
        SOUND + "mood = Fact('good', 'bad')\npay = e(command, a.to(b), cond=mood)",
        SOUND + "pay = e(command, a.to(b), expects=elsewhere)",
    ),
    "fact-unknown": (
        SOUND + "pay = e(command, a.to(b), sets={'ghost': True})",
        SOUND + "rich = Flag()\npay = e(command, a.to(b), sets={'rich': 1})",
        SOUND + "mood = Fact('0', False)\npay = e(command, a.to(b), cond=mood.is_(0))",
        SOUND + "mood = Fact('good', 'bad')\npay = e(command, a.to(b), sets={'mood': 'odd'})",
        SOUND + "mood = Fact('good', 'bad')\npay = e(command, a.to(b), cond=~mood.is_('odd'))",
    ),
    "ambiguous": (
        SOUND + "pay = e(command, a.to(b)) | e(command, a.to(a))",
        SOUND + "rich = Flag()\nkind = Flag()\npay = e(command, a.to(b), cond=rich) | e(command, a.to(a), cond=kind)",
        SOUND + "rich = Flag()\npay = e(command, a.to(b), cond=rich) | e(command, a.to(a))",
    ),
    "once-unasked": tuple(
        f"""
            a = State(initial=True, deadlines={{"soon": "later"}} if "{origin}" == "clock" else {{}})
            b = State(final=True)
            call = once("call", successes=["called"])
            called = e(reply, a.to(b))
            soon = e({origin}, a.to(b), effects=[call])
            call_refused = e(reply, a.to(b))
            call_undelivered = e(reply, a.to(b))
            call_answer_lost = e(reply, a.to(b))
        """
        for origin in ("clock", "claim", "observation", "operator")
    ),
    "effect-unanswered": (
        SOUND + CALL.replace("repeatable(", "once('call', "),
        SOUND + CALL.replace("repeatable(", "repeatable('call', ") + "call_refused = e(reply, a.to(b))",
        SOUND + CALL.replace("repeatable(", "once('', "),
        SOUND
        + CALL.replace("repeatable(", "repeatable('call', ")
        + "call_refused = e(reply, a.to(b))\ncall_undelivered = e(command, a.to(b))",
        SOUND + ASK.replace("ask_answer_lost", "ask_lost").replace("['asked']", "['asked', 'ask_lost']"),
        SOUND + "call = repeatable()",
        SOUND + "call = repeatable(successes=[])\ncalled = e(reply, a.to(b))",
    ),
    "effect-successes": (
        SOUND + CALL.replace("['called']", "'called'"),
        SOUND + CALL.replace("['called']", "['called', 'called']"),
        SOUND + CALL.replace("['called']", "['called', 5]"),
        SOUND + CALL.replace("['called']", "[[]]"),
        SOUND + CALL.replace("['called']", "['']"),
        SOUND + CALL.replace("['called']", "7"),
        SOUND + CALL.replace("['called']", "{'called'}"),
        SOUND + CALL.replace("['called']", "['caled']"),
        SOUND + CALL.replace("['called']", "['called', 'go']"),
        SOUND + CALL.replace("['called']", "['called', 'ask_refused']") + ASK,
        SOUND + CALL + ASK.replace("['asked']", "['asked', 'ask_undelivered']"),
    ),
    "reply-undeclared": (
        SOUND + "called = e(reply, a.to(b))",
        SOUND + CALL + "caled = e(reply, a.to(b))",
        SOUND + CALL + "call_refused = e(reply, a.to(b))",
        SOUND + ASK.replace("['asked']", "['asked'], safe=True"),
    ),
    "effect-kind": (
        SOUND + CALL.replace("repeatable(", "once(5, "),
        SOUND + CALL.replace("repeatable(", "repeatable('to call', "),
    ),
    "effect-arguments": (
        SOUND + CALL.replace("repeatable(", "repeatable(arguments='amount', "),
        SOUND + CALL.replace("repeatable(", "repeatable(arguments=['amount', 'amount'], "),
        SOUND + CALL.replace("repeatable(", "repeatable(arguments=['amount', 5], "),
        SOUND + CALL.replace("repeatable(", "repeatable(arguments=[''], "),
        SOUND + CALL.replace("repeatable(", "repeatable(arguments=[[]], "),
        SOUND + CALL.replace("repeatable(", "repeatable(arguments=7, "),
    ),
    "fact-values": (
        SOUND + "mood = Fact()",
        SOUND + "mood = Fact('good')",
        SOUND + "mood = Fact('good', 'good')",
        SOUND + "mood = Fact(1, 2)",
        SOUND + "mood = Fact('good', None)\npay = e(command, a.to(a), cond=mood.is_('good'))",
        SOUND + "mood = Fact('good', '')",
        SOUND + "mood = Fact('good', '\\x00')",
    ),
    "guard-too-wide": (
        SOUND + ELEVEN_FLAGS + "pay = e(command, a.to(a), cond=lambda facts: all(facts.values()))",
        SOUND + ELEVEN_FLAGS + "pay = e(command, a.to(a), cond=" + "|".join(f"f{n}" for n in range(11)) + ")",
        SOUND + ELEVEN_FLAGS + "pay = e(command, a.to(a), expects=" + "|".join(f"f{n}" for n in range(11)) + ")",
        SOUND + ELEVEN_FLAGS + "pay = " + " | ".join(f"e(command, a.to(a), cond=f{n} & f{n + 1})" for n in range(10)),
        SOUND
        + ELEVEN_FLAGS
        + "c = State()\n"
        + "\n".join(f"seen{n} = e(observation, a.to(c), cond=f{n}) | e(observation, c.to(a), sets={{'f{n}': True}})" for n in range(11)),
    ),
    "duration-key": (
        "a = State(initial=True, deadlines={'late': 30})\nb = State(final=True)\nlate = e(clock, a.to(b))",
        "a = State(initial=True, budget=3600)\nb = State(final=True)\ngo = e(command, a.to(b))",
        "a = State(initial=True, deadlines=['late'])\nb = State(final=True)\ngo = e(command, a.to(b))",
    ),
    "deadline-unknown": (
        SOUND + "late = e(clock, a.to(b))",
        "a = State(initial=True, deadlines={'go': 'patience'})\nb = State(final=True)\ngo = e(command, a.to(b))",
        "a = State(initial=True, deadlines={'late': 'patience'})\nb = State(final=True)\ngo = e(command, a.to(b))",
    ),
    "reading-unknown": (
        SOUND + "readings = {'done': reading(consistent=[b], proves=b)}",
        SOUND + "readings = {'done': reading(consistent=[State('c')])}",
        SOUND + "readings = {b.value: reading(consistent=[b])}",  # None: a state has its value only once the class is made
        SOUND + "readings = {'done': reading(consistent=['b'])}",
        SOUND + "readings = {'done': reading(consistent=b)}",
        SOUND + "readings = {'done': reading(consistent='b')}",
        SOUND + "readings = {'done': [b]}",
        SOUND + "readings = ['done']",
    ),
    "property-unknown": (
        SOUND + "properties = {'x': p.absence(p.at(State('c')))}",
        SOUND + "properties = {'x': p.absence(p.at(b), p.after(p.on('fly')))}",
        SOUND + "properties = {'x': p.universality(p.can('fly') & ~p.at(b))}",
        SOUND + "properties = {'x': p.precedence(p.on('go'), p.at(b) & elsewhere)}",
        SOUND + "properties = {'x': p.at(b)}",
        SOUND + "properties = {'x': p.absence(p.at('b'))}",
        SOUND + "properties = {'x': p.absence(p.at(b), p.at(a))}",
        SOUND + "properties = {'x': p.absence(p.by('rumour'))}",
        SOUND + "properties = {5: p.absence(p.at(a))}",
        SOUND + "properties = [p.absence(p.at(a))]",
    ),
    "recovery-misplaced": (SOUND + "seen = e(observation, a.to(b), recovery=True)",),
    "unproven-entry": (
        *(
            f"""
                a = State(initial=True, deadlines={{"go": "later"}} if "{origin}" == "clock" else {{}})
                b = State(proven=True, final=True)
                go = e({origin}, a.to(b))
            """
            for origin in ("command", "claim", "clock")
        ),
        "a = State(initial=True)\nb = State(provisional=True, final=True)\ngo = e(claim, a.to(b))",
    ),
    "unreachable": (SOUND + "c = State()\nleave = e(command, c.to(b))",),
    "trap": (SOUND + "c = State()\nenter = e(command, a.to(c))\nstay = e(command, c.to(c))",),
}
ELSEWHERE = {"import", "class-body", "subclass", "lifecycle-name"}
"""Rules that no class body breaks alone: they have tests of their own."""


@pytest.mark.parametrize(
    ("rule", "body"), [pytest.param(rule, body, id=f"{rule}-{n}") for rule, seeds in SEEDS.items() for n, body in enumerate(seeds)]
)
def test_a_seeded_declaration_is_refused_by_its_rule(declare, rule, body):
    with pytest.raises(DeclarationError) as refused:
        declare(body)
    assert {problem.rule for problem in refused.value.problems} == {rule}, refused.value
    for problem in refused.value.problems:
        assert problem.where
        assert problem.explanation
        assert problem.file == "<string>"
        assert 1 <= problem.line <= body.count("\n") + 2, "a line of the class statement or of its body"


def test_a_lifecycle_cannot_derive_from_another_and_the_parent_stays_whole(declare):
    parent = declare(SOUND)
    with pytest.raises(DeclarationError) as refused:

        class Child(parent, name="child"):
            pass

    assert [problem.rule for problem in refused.value.problems] == ["subclass"]
    assert [state.id for state in parent.states] == ["a", "b"]


def test_a_lifecycle_derives_from_lifecycle_alone():
    class Hooks:
        def on_enter_state(self):
            """The library would call it beside the table."""

    with pytest.raises(DeclarationError, match="subclass: Mixed: a lifecycle derives from Lifecycle alone, not from Hooks, Lifecycle"):

        class Mixed(Hooks, Lifecycle, name="mixed"):
            pass


def test_every_rule_has_a_seed_and_every_seed_a_rule():
    assert SEEDS.keys() | ELSEWHERE == RULES.keys()
    assert all(SEEDS.values())


def test_the_sound_declaration_compiles_into_a_table_of_records(declare):
    table = declare(
        """
        a = State(initial=True, budget="patience")
        b = State(final=True)
        rich = Flag()
        ask = repeatable(successes=["answered"])
        go = e(command, a.to(b), cond=rich, effects=[ask])
        answered = e(reply, a.to(b))
        """
    ).table
    assert (table.name, table.initial, table.still_unproven_event) == ("seeded", "a", "")
    assert table.states["a"].budget == "patience"
    assert dict(table.events) == {"go": Origin.COMMAND, "answered": Origin.REPLY}
    edge, _ = table.edges
    assert (edge.guard, edge.cause, edge.evidence) == ("rich", Cause.US, Evidence(Strength.ASSUMED, "a test"))
    assert edge.step == Step("go", Origin.COMMAND, "a", "b", StepKind.STEP, (Effect("ask", "", once=False, successes=("answered",)),))


def test_the_table_cannot_be_changed(table):
    with pytest.raises(AttributeError):
        table.name = "other"
    for mapping in (table.states, table.events, table.cells, table.cells[table.initial], table.out, table.edges[0].sets):
        with pytest.raises(TypeError):
            mapping["x"] = None


def test_lifecycles_stand_on_the_strict_engine(declare):
    assert Lifecycle.__bases__ == (StateMachine,)
    assert StateMachine is not StateChart
    lifecycle = declare(SOUND)
    assert lifecycle.allow_event_without_transition is False
    assert lifecycle.catch_errors_as_events is False
    with pytest.raises(StateMachine.TransitionNotAllowed):
        lifecycle().send("no_such_event")
