"""Every rule of compile.py: a declaration that breaks it is refused by that rule's name, and by no other."""

from __future__ import annotations

import re

import pytest
from statemachine import StateChart, StateMachine

from orderflow.errors import DeclarationError
from orderflow.lifecycle import compile as compile_module
from orderflow.lifecycle.declare import Lifecycle
from orderflow.model import Cause, Effect, Evidence, Origin, Step, StepKind, Strength

SOUND = """\
a = State(initial=True)
b = State(final=True)
go = e(command, a.to(b))
"""

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
        SOUND + "pay = e(command, b.from_.any())",
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
    "origin-mixed": (SOUND + "pay = e(command, a.to(b)) | e(reply, a.to(a))",),
    "origin-default": (SOUND + "pay = e('rumour', a.to(b))", SOUND + "pay = e('command', a.to(b))"),
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
            call = once("call")
            soon = e({origin}, a.to(b), effects=[call])
            call_refused = e(reply, a.to(b))
            call_undelivered = e(reply, a.to(b))
            call_answer_lost = e(reply, a.to(b))
        """
        for origin in ("clock", "claim", "observation", "operator")
    ),
    "effect-unanswered": (
        SOUND + "call = once('call')",
        SOUND + "call = repeatable('call')\ncall_refused = e(reply, a.to(b))",
        SOUND + "call = once('')",
        SOUND + "pay = e(command, a.to(b), effects=[repeatable()])",
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
    ),
    "property-unknown": (
        SOUND + "properties = {'x': p.absence(p.at(State('c')))}",
        SOUND + "properties = {'x': p.absence(p.at(b), p.after(p.on('fly')))}",
        SOUND + "properties = {'x': p.universality(p.can('fly') & ~p.at(b))}",
        SOUND + "properties = {'x': p.precedence(p.on('go'), p.at(b) & elsewhere)}",
        SOUND + "properties = {'x': p.at(b)}",
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
    "graph": (
        SOUND + "c = State()\nleave = e(command, c.to(b))",
        SOUND + "c = State()\nenter = e(command, a.to(c))\nstay = e(command, c.to(c))",
        "a = State(initial=True)\nc = State(initial=True)\nb = State(final=True)\ngo = e(command, b.from_(a, c))",
    ),
}


@pytest.mark.parametrize(
    ("rule", "body"), [pytest.param(rule, body, id=f"{rule}-{n}") for rule, seeds in SEEDS.items() for n, body in enumerate(seeds)]
)
def test_a_seeded_declaration_is_refused_by_its_rule(declare, rule, body):
    with pytest.raises(DeclarationError) as refused:
        declare(body)
    assert refused.value.rule == rule, refused.value
    assert str(refused.value) == f"Seeded: {rule}: {refused.value.explanation}"


def test_a_lifecycle_cannot_derive_from_another_and_the_parent_stays_whole(declare):
    parent = declare(SOUND)
    with pytest.raises(DeclarationError) as refused:

        class Child(parent, name="child"):
            pass

    assert refused.value.rule == "subclass"
    assert [state.id for state in parent.states] == ["a", "b"]


def test_every_documented_rule_has_a_seed_and_every_seed_is_documented():
    documented = re.findall(r"^    ([a-z]+(?:-[a-z]+)*) +\S", compile_module.__doc__, re.MULTILINE)
    assert sorted(documented) == sorted([*SEEDS, "subclass"])


def test_the_sound_declaration_compiles_into_a_table_of_records(declare):
    table = declare(
        """
        a = State(initial=True, budget="patience")
        b = State(final=True)
        rich = Flag()
        ask = repeatable()
        go = e(command, a.to(b), cond=rich, effects=[ask])
        """
    ).table
    assert (table.name, table.initial, table.unproven) == ("seeded", "a", "")
    assert table.states["a"].budget == "patience"
    assert dict(table.events) == {"go": Origin.COMMAND}
    (edge,) = table.edges
    assert (edge.guard, edge.cause, edge.evidence) == ("rich", Cause.US, Evidence(Strength.ASSUMED, "a test"))
    assert edge.step == Step("go", Origin.COMMAND, "a", "b", StepKind.STEP, (Effect("ask", "", once=False),))


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
