"""What ``check`` calls ok can be printed, drawn and run, however odd it is."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from orderflow._cli import lifecycle_lookup
from orderflow._cli.main import main
from orderflow._lifecycle.decide import decide
from orderflow._lifecycle.observe import observe
from orderflow.model import Applied, Event, Observation, Snapshot

HEAD = """\
from enum import Enum, StrEnum
from orderflow.lifecycle import *

command, reply, observation, claim, clock, operator = Origin
us, page = Cause.US, documented("P")
MARKUP = 'say "hi"]) --> x{|y|} <b>&amp; `z` %%{init} ``` #35; end | *bold* _it_ [l](u) ; \\\\ ~~~ $m$'


class Status(str, Enum):
    PAID = "PAID"


"""

ODD = {
    "markup as state, label, page and status": """
        a = State(MARKUP, initial=True)
        b = State(final=True)
        go = edge(command, a.to(b), us, documented(MARKUP), MARKUP + "\\n" + MARKUP)
        seen_b = edge(observation, a.to(b), us, page, "")
        readings = {MARKUP: reading(consistent=[b], proves=b)}
    """,
    "the longest name, other scripts, and words of other languages": """
        a = State("x" * 120, initial=True)
        b = State("بيع ← 注文 🛒 é")
        end = State("__proto__", final=True)
        constructor = edge(command, a.to(b), us, page, "constructor")
        toString = edge(command, b.to(end), us, page, "toString")
        subgraph = edge(operator, a.to(end), us, page, "subgraph")
    """,
    "a state that is an enum's member": """
        a = State(initial=True)
        paid = State(Status.PAID, final=True)
        go = edge(command, a.to(paid), us, page, "go")
    """,
    "one state": "a = State(initial=True, final=True)",
    "two states that differ in case": """
        a = State("open", initial=True)
        b = State("Open", final=True)
        go = edge(command, a.to(b), us, page, "go")
    """,
    "facts of odd values, and a guard without a name": """
        a = State(initial=True)
        b = State(final=True)
        mood = Fact(True, "true", "  ", "x" * 500)
        flag = Fact(False, True)
        go = (edge(command, a.to(b), us, page, "go", cond=lambda facts: facts["mood"] == "true" or facts["flag"] is True)
            | edge(command, a.to(a), us, page, "stay", cond=~(mood.is_("true") | flag.is_(True)), sets={"mood": "  "}))
        leave = edge(operator, a.to(b), us, page, "leave")
    """,
    "keys and statuses with spaces": """
        a = State(initial=True, budget="a long time", deadlines={"late": "ten days"})
        b = State(proven=True, final=True)
        late = edge(clock, a.to(a), us, page, "late")
        seen = edge(observation, a.to(b), us, page, "seen")
        readings = {"IN PROGRESS 50 %": reading(consistent=[a]), "DONE ✓": reading(consistent=[b], proves=b)}
    """,
    "every state leads to every other": "\n".join(
        ["s0 = State(initial=True)", "s1 = State()", "s2 = State()", "s3 = State()", "end = State(final=True)"]
        + [f"to_{m} = edge(command, s{m}.from_({', '.join(f's{n}' for n in range(4) if n != m)}), us, page, 'to {m}')" for m in range(4)]
        + ["stop = edge(operator, end.from_(s0, s1, s2, s3), us, page, 'stop')"]
    ),
    "an effect that reports only success": """
        a = State(initial=True)
        b = State()
        c = State(final=True)
        ask = repeatable(successes=["asked"])
        asked = edge(reply, b.to(c), us, page, "asked")
        go = edge(command, a.to(b), us, page, "go", effects=[ask, ask])
    """,
}
FORMATS = ("mermaid", "table", "svg", "dot", "plantuml", "xstate")


@pytest.fixture
def odd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The NAME of an odd lifecycle, in the current directory."""
    body = ODD[request.param]
    text = HEAD + 'class Odd(Lifecycle, name="Odd-1.x_y"):\n' + textwrap.indent(textwrap.dedent(body), "    ")
    (tmp_path / "odd.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return "odd.py:Odd"


@pytest.mark.parametrize("odd", ODD, indirect=True)
def test_what_check_accepts_can_be_printed_drawn_and_run(odd: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", odd]) == 0, capsys.readouterr()
    assert capsys.readouterr().out.startswith("Odd-1.x_y: ok")
    assert main(["lifecycles", odd]) == 0
    capsys.readouterr()
    assert main(["lifecycles", odd, "--json"]) == 0
    (described,) = json.loads(capsys.readouterr().out)
    for form in FORMATS:
        assert main(["diagram", odd, "--format", form, "--out", "drawn"]) == 0, capsys.readouterr()
    assert len(list(Path("drawn").iterdir())) == len(FORMATS)
    table = lifecycle_lookup.find(odd)
    assert [state["value"] for state in described["states"]] == list(table.states)
    snapshot = Snapshot(table.initial, table.defaults(), {}, 0)
    decisions = [decide(table, snapshot, Event(name, origin)) for name, origin in table.events.items()]
    decisions += [observe(table, snapshot, Observation(status, 0)) for status in table.readings]
    assert not table.events or any(isinstance(decision, Applied) for decision in decisions)
    for decision in decisions:
        assert (decision.snapshot.state if isinstance(decision, Applied) else decision.state) in table.states


UNUSABLE = {
    "a number": "1",
    "a character that no database stores": "'x\\0y'",
    "half a character": "'\\ud800'",
    "an escape sequence": "'\\x1b[31mred'",
    "two lines": "'a\\nb'",
    "too long": "'x' * 121",
    "nothing": "''",
}


@pytest.mark.parametrize("value", UNUSABLE)
def test_a_state_that_cannot_be_stored_drawn_or_printed_is_not_accepted(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = f"    a = State({UNUSABLE[value]}, initial=True)\n    b = State(final=True)\n    go = edge(command, a.to(b), us, page, 'go')\n"
    (tmp_path / "odd.py").write_text(HEAD + "class Odd(Lifecycle, name='odd'):\n" + body)
    monkeypatch.chdir(tmp_path)
    assert main(["check", "odd.py:Odd", "--json"]) == 1
    ((problem,),) = (report["problems"] for report in json.loads(capsys.readouterr().out))
    assert (problem["rule"], problem["where"], problem["line"]) == ("state-name", "a", HEAD.count("\n") + 2)
    assert main(["check", "odd.py:Odd"]) == 1
    printed = capsys.readouterr().out
    assert "state-name" in printed
    assert "\x1b" not in printed
    assert main(["diagram", "odd.py:Odd"]) == 1
