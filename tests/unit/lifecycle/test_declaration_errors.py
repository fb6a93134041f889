"""What a beginner's mistake says: every problem at once, each with its line, what is wrong, and what to write instead."""

from __future__ import annotations

import textwrap
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from orderflow._lifecycle.class_body import explain_import_error
from orderflow._lifecycle.facts import MAX_VALUATIONS
from orderflow.errors import DeclarationError, DeclarationProblem

HEAD = """\
from orderflow.lifecycle import *
from orderflow.lifecycle import Lifecycle as Base

command, reply, observation, claim, clock, operator = Origin
us, page = Cause.US, assumed("A1")


class Parcel(Lifecycle, name="parcel"):
"""
NO_TRUTH_VALUE = (
    "TypeError: a guard is neither true nor false while the lifecycle is declared: combine guards with & | ~, not with and, or, not, if"
)
SOUND = """\
opened = State(initial=True)
sent = State()
closed = State(final=True)
paid = Flag()
vip = Flag()
mood = Fact("good", "bad")
post = edge(command, opened.to(sent), us, assumed("A1"), "post")
close = edge(command, sent.to(closed), us, assumed("A1"), "close")
"""


def import_file(path: Path, text: str) -> None:
    path.write_text(text)
    spec = spec_from_file_location("parcel_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(module_from_spec(spec))


def refuse(tmp_path: Path, body: str, head: str = HEAD) -> tuple[DeclarationProblem, ...]:
    """The problems of a class body that follows ``head``."""
    with pytest.raises(DeclarationError) as refused:
        import_file(tmp_path / "parcel.py", head + textwrap.indent(body, "    "))
    return refused.value.problems


def line_of(marker: str, text: str) -> int:
    (line,) = [n for n, each in enumerate(text.splitlines(), 1) if marker in each]
    return line


MISTAKES: dict[str, tuple[str, str, str, str]] = {
    "a misspelt success": (
        'ask = repeatable(successes=["asekd"]); asked = edge(reply, sent.to(sent), us, page, "ok")',
        "effect-successes",
        "its success 'asekd' is no event here",
        "did you mean 'asked'?",
    ),
    "an effect without a success": (
        'ask = repeatable(); asked = edge(reply, sent.to(sent), us, page, "ok")',
        "effect-unanswered",
        "it declares no success, so no reply could report that the provider acted",
        "write successes=['asked'], or those of them that its adapter reports",
    ),
    "a reply of no effect": (
        'asked = edge(reply, sent.to(sent), us, page, "ok")',
        "reply-undeclared",
        "it is a reply, and no effect declares it: no call can end with it",
        "write successes=['asked'] at the effect that reports it, or use another origin",
    ),
    "evidence as text": (
        'pay = edge(command, opened.to(closed), us, "A1", "pay")',
        "edge-evidence",
        "its evidence is 'A1'",
        "say how sure it is: documented('A1'), inferred('A1') or assumed('A1')",
    ),
    "origin as text": (
        'pay = edge("command", opened.to(closed), us, assumed("A1"), "pay")',
        "edge-origin",
        "its origin is 'command', not a member of Origin",
        "write Origin.COMMAND",
    ),
    "misspelt cause as text": (
        'pay = edge(command, opened.to(closed), "custmer", assumed("A1"), "pay")',
        "edge-cause",
        "its cause is 'custmer', not a member of Cause",
        "write Cause.CUSTOMER",
    ),
    "effect as text": (
        'pay = edge(command, opened.to(closed), us, assumed("A1"), "pay", effects=["charge"])',
        "edge-effects",
        "'charge' is no effect that is declared in the class body",
        "declare it in the class body, as in charge = once(kind='charge'), and write effects=[charge]",
    ),
    "an effect that is no list": (
        'ask = repeatable(successes=["asked"]); asked = edge(reply, sent.to(sent), us, page, "ok"); pay = edge(command, opened.to(closed), us, assumed("A1"), "pay", effects=ask)',
        "edge-effects",
        "its effects are a EffectSpec, not a list",
        "write effects=[ask]",
    ),
    "a number as state": (
        'odd = State(1); into = edge(command, opened.to(odd), us, page, "x"); out = edge(command, odd.to(closed), us, page, "x")',
        "state-name",
        "1 cannot be stored, drawn and printed as the name of a state",
        "use text: one line of 1 to 120 printable characters, no space at either end",
    ),
    "forgot .to": (
        'pay = edge(command, opened, us, assumed("A1"), "pay")',
        "no-transition",
        "edge() is given a State where it takes source.to(target)",
        "write opened.to(target)",
    ),
    "forgot the target": (
        'pay = edge(command, opened.to(), us, assumed("A1"), "pay")',
        "no-target",
        ".to() is called without a state: it leads nowhere",
        "name the target: .to(state)",
    ),
    "a target as text": (
        'pay = edge(command, opened.to("close"), us, assumed("A1"), "pay")',
        "state-unknown",
        "'close' is no state of this class body",
        "did you mean 'closed'?",
    ),
    "a misspelt fact": (
        'pay = edge(command, opened.to(closed), us, assumed("A1"), "pay", sets={"piad": True})',
        "fact-unknown",
        "it sets 'piad', which is no fact here",
        "did you mean 'paid'?",
    ),
    "a misspelt value": (
        'pay = edge(command, opened.to(closed), us, assumed("A1"), "pay", cond=mood.is_("goood"))',
        "fact-unknown",
        "it asks whether mood is 'goood', a value that the fact does not have",
        "did you mean 'good'?",
    ),
    "a comparison with ==": (
        'pay = edge(command, opened.to(closed), us, assumed("A1"), "pay", cond=mood == "good")',
        "guard-unresolved",
        "the guard False is no function of the facts: it is neither built of facts nor a function of them",
        "write cond=fact.is_(value): == compares while the class is made",
    ),
    "a duration in seconds": (
        'odd = State(budget=3600); into = edge(command, opened.to(odd), us, page, "x"); out = edge(command, odd.to(closed), us, page, "x")',
        "duration-key",
        "budget is 3600, and a duration is named by a configuration key",
        "write a key, as in 'patience'; its seconds are given in the provider's Timing",
    ),
    "a reserved name": (
        'send = edge(command, opened.to(closed), us, assumed("A1"), "send")',
        "reserved-name",
        "'send' is reserved: python-statemachine, which a lifecycle stands on, uses it for itself",
        "rename it, as in order_send",
    ),
    "a misspelt event in a property": (
        'properties = {"posted": precedence(on("psot"), at(sent))}',
        "property-unknown",
        "it names 'psot', which this lifecycle does not declare",
        "did you mean 'post'?",
    ),
    "a state as text in a reading": (
        'readings = {"SENT": reading(consistent=["sent"])}',
        "reading-unknown",
        "'sent' is no state of this lifecycle",
        "write the state itself, not its name",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_names_its_rule_its_line_and_its_remedy(tmp_path, mistake):
    body, rule, explanation, remedy = MISTAKES[mistake]
    (problem,) = refuse(tmp_path, SOUND + body + "\n")
    assert (problem.rule, problem.explanation, problem.remedy) == (rule, explanation, remedy)
    assert (problem.file, problem.line) == (str(tmp_path / "parcel.py"), HEAD.count("\n") + SOUND.count("\n") + 1)


def test_an_empty_class_and_a_class_without_an_initial_state_are_refused_at_the_class_statement(tmp_path):
    (empty,) = refuse(tmp_path, "pass\n")
    assert (empty.rule, empty.where, empty.line) == ("no-state", "Parcel", HEAD.count("\n"))
    (no_initial,) = refuse(tmp_path, SOUND.replace("State(initial=True)", "State()"))
    assert (no_initial.rule, no_initial.where, no_initial.line) == ("no-initial", "Parcel", HEAD.count("\n"))
    assert no_initial.remedy == "mark the state in which orders begin, as in opened = State(initial=True)"


def test_a_second_initial_state_is_refused_at_its_line(tmp_path):
    (problem,) = refuse(tmp_path, SOUND.replace("sent = State()", "sent = State(initial=True)"))
    assert (problem.rule, problem.where, problem.explanation) == ("two-initials", "sent", "it is initial, and so is opened")
    assert problem.line == HEAD.count("\n") + 2


def test_the_naming_of_replies_is_explained(tmp_path):
    body = SOUND + textwrap.dedent(
        """\
        charge_card = once(kind="charge", successes=["charged"])
        charged = edge(reply, sent.to(closed), us, assumed("A1"), "yes")
        charge_refused = edge(reply, sent.to(closed), us, assumed("A1"), "no")
        charge_undelivrd = edge(reply, sent.to(closed), us, assumed("A1"), "not sent")
        """
    )
    (problem,) = refuse(tmp_path, body)
    assert (problem.rule, problem.where) == ("effect-unanswered", "charge_card")
    assert problem.explanation == (
        "how a call of kind 'charge' fails is reported by events of origin reply: charge_refused (the provider said no), "
        "charge_undelivered (it was certainly not carried out), charge_answer_lost (it is unknown whether it was carried out); "
        "missing: charge_undelivered, charge_answer_lost"
    )
    assert problem.remedy == "did you mean 'charge_undelivrd'?"


def test_a_repeatable_effect_without_a_lost_answer_is_told_of_safe_ones(tmp_path):
    body = SOUND + textwrap.dedent(
        """\
        ask = repeatable(kind="ask", successes=["answered"])
        answered = edge(reply, sent.to(closed), us, assumed("A1"), "yes")
        ask_refused = edge(reply, sent.to(closed), us, assumed("A1"), "no")
        ask_undelivered = edge(reply, sent.to(opened), us, assumed("A1"), "not sent")
        """
    )
    (problem,) = refuse(tmp_path, body)
    assert problem.explanation.endswith("missing: ask_answer_lost")
    assert problem.remedy == (
        "declare ask_answer_lost = edge(reply, state.to(other), ...) and so on; or, if a call changes nothing at the provider, "
        "write repeatable(..., safe=True)"
    )


def test_a_reply_with_another_origin_is_named(tmp_path):
    body = SOUND + textwrap.dedent(
        """\
        ask = repeatable(kind="ask", successes=["answered"])
        answered = edge(reply, sent.to(closed), us, assumed("A1"), "yes")
        ask_refused = edge(reply, sent.to(closed), us, assumed("A1"), "no")
        ask_undelivered = edge(command, sent.to(closed), us, assumed("A1"), "not sent")
        """
    )
    (problem,) = refuse(tmp_path, body)
    assert problem.remedy == "ask_undelivered has the origin command: make it a reply"


def test_all_problems_are_reported_at_once_in_the_order_of_their_lines(tmp_path):
    body = textwrap.dedent(
        """\
        opened = State(1)
        limbo = State()
        closed = State(final=True)
        mood = Fact("good", "bad")
        close = edge("command", opened.to(closed), us, "A1", "close")
        stick = edge(command, opened.to(limbo), us, assumed("A1"), "stick", sets={"mod": "good"})
        close = edge(command, opened.to(closed), us, assumed("A1"), "close")
        """
    )
    with pytest.raises(DeclarationError) as refused:
        import_file(tmp_path / "parcel.py", HEAD + textwrap.indent(body, "    "))
    error = refused.value
    first = HEAD.count("\n")
    assert [(problem.rule, problem.line - first) for problem in error.problems] == [
        ("no-initial", 0),
        ("state-name", 1),
        ("edge-origin", 5),
        ("edge-evidence", 5),
        ("fact-unknown", 6),
        ("name-twice", 7),
    ]
    lines = str(error).splitlines()
    assert lines[0] == "Parcel: 6 problems in the declaration"
    assert lines[1:] == [f"  {problem}" for problem in error.problems]
    where = f"  {tmp_path / 'parcel.py'}:{first + 6}: fact-unknown: stick: opened -> limbo: "
    assert lines[5] == where + "it sets 'mod', which is no fact here; did you mean 'mood'?"


def test_the_message_of_one_problem_is_one_line(tmp_path):
    with pytest.raises(DeclarationError) as refused:
        import_file(tmp_path / "parcel.py", HEAD + textwrap.indent(SOUND + "pay = opened.to(closed)\n", "    "))
    assert str(refused.value) == f"Parcel: {refused.value.problems[0]}"
    assert "\n" not in str(refused.value)


def test_an_edge_made_by_a_helper_is_named_by_its_line_in_the_class_body(tmp_path):
    head = HEAD.replace("\n\nclass Parcel", '\n\ndef assumed_edge(*given):\n    return edge(*given, us, "A1", "x")\n\n\nclass Parcel')
    (problem,) = refuse(tmp_path, SOUND + "pay = assumed_edge(command, opened.to(closed))\n", head)
    assert (problem.rule, problem.line) == ("edge-evidence", line_of("pay = assumed_edge", (tmp_path / "parcel.py").read_text()))


def test_each_edge_of_an_event_has_its_own_line(tmp_path):
    body = SOUND + 'pay = (edge(command, opened.to(closed), us, assumed("A1"), "x")\n  | edge(command, sent.to(closed), us, "A1", "x"))\n'
    (problem,) = refuse(tmp_path, body)
    assert (problem.where, problem.line) == ("pay: sent -> closed", HEAD.count("\n") + SOUND.count("\n") + 2)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ('class Parcel(Lifecycle, name="../parcel"):', "'../parcel' is no name for a lifecycle"),
        ('class Parcel(Lifecycle, name=""):', "'' is no name for a lifecycle"),
        ("class Parcel(Lifecycle, name=5):", "5 is no name for a lifecycle"),
        ('class Parcel(Lifecycle, nmae="parcel"):', "a lifecycle has no such option"),
    ],
)
def test_a_lifecycle_needs_a_name_that_a_file_can_have(tmp_path, statement, problem):
    (refused,) = refuse(tmp_path, SOUND, HEAD.replace('class Parcel(Lifecycle, name="parcel"):', statement))
    assert (refused.rule, refused.explanation) == ("lifecycle-name", problem)


# ── guards of too many facts ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "guard",
    ["lambda facts: all(facts[name] for name in facts)", "lambda facts: len({**facts}) > 3", "f0 & f1 & f2 & f3 & f4 & f5 & f6 & f7"],
)
def test_a_guard_of_more_facts_than_are_enumerated_is_refused_quickly(tmp_path, guard):
    wide = "\n".join(f"f{n} = Fact('a', 'b', 'c', 'd')" if "lambda" in guard else f"x{n} = Fact('a', 'b', 'c', 'd')" for n in range(30))
    flags = "" if "lambda" in guard else "\n".join(f"f{n} = x{n}.is_('a')" for n in range(8)) + "\n"
    began = time.monotonic()
    (problem,) = refuse(tmp_path, f"{SOUND}{wide}\n{flags}pay = edge(command, opened.to(closed), us, assumed('A1'), 'x', cond={guard})\n")
    assert time.monotonic() - began < 5
    assert (problem.rule, problem.where) == ("guard-too-wide", "pay: opened -> closed")
    assert problem.remedy == "split the guard, or read fewer facts: at most 1024 combinations of values are enumerated, as ten flags have"
    assert (problem.file, problem.line > 0) == (str(tmp_path / "parcel.py"), True)


def test_a_guard_may_read_as_many_facts_as_are_enumerated(declare):
    flags = "\n".join(f"f{n} = Flag()" for n in range(10))
    body = f"a = State(initial=True)\nb = State(final=True)\n{flags}\ngo = e(command, a.to(b), cond=lambda facts: all(facts.values()))"
    assert MAX_VALUATIONS == 2**10
    assert len(declare(body + "\nleave = e(operator, a.to(b))").table.edges[0].holds.picks) == MAX_VALUATIONS


# ── what Python raises while the class body runs ─────────────────────────────────────────────────────────────────────────────

RAISED: dict[str, tuple[str, str, str]] = {
    "a misspelt state": (
        'pay = edge(command, opened.to(closd), us, assumed("A1"), "pay")',
        "NameError: name 'closd' is not defined",
        "did you mean 'closed'?",
    ),
    "a misspelt origin": (
        'pay = edge(Origin.COMAND, opened.to(closed), us, assumed("A1"), "pay")',
        "AttributeError: COMAND",
        "did you mean 'COMMAND'?",
    ),
    "a misspelt method": (
        'pay = edge(command, opened.form_(closed), us, assumed("A1"), "pay")',
        "AttributeError: 'State' object has no attribute 'form_'",
        "did you mean 'from_'?",
    ),
    "a misspelt helper": (
        'pay = edeg(command, opened.to(closed), us, assumed("A1"), "pay")',
        "NameError: name 'edeg' is not defined",
        "did you mean 'edge'?",
    ),
    "and between guards": (
        'pay = edge(command, opened.to(closed), us, assumed("A1"), "pay", cond=paid and vip)',
        NO_TRUTH_VALUE,
        "",
    ),
    "or between guards": (
        'pay = edge(command, opened.to(closed), us, assumed("A1"), "pay", cond=paid or vip)',
        NO_TRUTH_VALUE,
        "",
    ),
    "arguments forgotten": (
        "pay = edge(command, opened.to(closed), us)",
        "TypeError: edge() missing 2 required positional arguments: 'evidence' and 'label'",
        "",
    ),
    "a misspelt option": ("odd = State(finl=True)", "TypeError: State.__init__() got an unexpected keyword argument 'finl'", ""),
}


@pytest.mark.parametrize("mistake", RAISED)
def test_an_exception_of_a_class_body_is_explained_with_its_line(tmp_path, mistake):
    body, explanation, remedy = RAISED[mistake]
    with pytest.raises((NameError, AttributeError, TypeError)) as raised:
        import_file(tmp_path / "parcel.py", HEAD + textwrap.indent(SOUND + body + "\n", "    "))
    problem = explain_import_error(raised.value, "parcel.py:Parcel")
    line = HEAD.count("\n") + SOUND.count("\n") + 1
    assert problem == DeclarationProblem("class-body", "Parcel", explanation, remedy, str(tmp_path / "parcel.py"), line)


@pytest.mark.parametrize(
    ("text", "explanation", "remedy", "line"),
    [
        ("x = 1\nfrom orderflow.model import Origin\ncommand = Origin.COMAND\n", "AttributeError: COMAND", "did you mean 'COMMAND'?", 3),
        ("def helper():\n    return undefined\n\n\nhelper()\n", "NameError: name 'undefined' is not defined", "", 5),
        ("import no_such_library\n", "ModuleNotFoundError: No module named 'no_such_library'", "", 1),
        ("\nx = (\n", "SyntaxError: '(' was never closed (parcel.py, line 2)", "", 2),
    ],
)
def test_an_exception_elsewhere_in_the_module_is_explained_with_its_line(tmp_path, text, explanation, remedy, line):
    with pytest.raises(Exception) as raised:  # noqa: PT011  each is another
        import_file(tmp_path / "parcel.py", text)
    problem = explain_import_error(raised.value, "parcel.py:Parcel")
    assert problem == DeclarationProblem("import", "parcel.py:Parcel", explanation, remedy, str(tmp_path / "parcel.py"), line)
