"""check, diagram and lifecycles, as a user sees them."""

from pathlib import Path

import pytest

HEAD = """
from enum import StrEnum
from orderflow._lifecycle.declare import Fact, Flag, Lifecycle, State, documented, edge, reading
from orderflow.model import Cause, Origin

command, reply, observation, claim, clock, operator = Origin
us = Cause.US
page = documented("P")


class Seeded(Lifecycle, name="seeded"):
    drafted = State(initial=True)
    waiting = State(deadlines={"time_over": "patience"})
    paid = State(proven=True)
    done = State(final=True)
    vip = Flag()
"""

SOUND = """
    submit = edge(command, drafted.to(waiting), cause=us, evidence=page, label="submit")
    time_over = edge(clock, waiting.to(done), cause=us, evidence=page, label="time over")
    seen_paid = edge(observation, waiting.to(paid), cause=us, evidence=page, label="paid")
    close = edge(command, paid.to(done), cause=us, evidence=page, label="close")
    readings = {"PAID": reading(consistent=[paid, done], proves=paid)}
"""

PAYS = 'seen_paid = edge(observation, waiting.to(paid), cause=us, evidence=page, label="paid")'

BROKEN = {
    "claim into proven": (
        SOUND + '    called = edge(claim, waiting.to(paid), cause=us, evidence=page, label="called back")\n',
        "unproven-entry",
        "called: waiting -> paid",
    ),
    "clock into proven": (
        SOUND.replace("clock, waiting.to(done)", "clock, waiting.to(paid)"),
        "unproven-entry",
        "time_over: waiting -> paid",
    ),
    "command into proven": (
        SOUND + '    pay = edge(command, waiting.to(paid), cause=us, evidence=page, label="pay")\n',
        "unproven-entry",
        "pay: waiting -> paid",
    ),
    "dead end": (
        SOUND + "    limbo = State()\n" + '    lose = edge(command, waiting.to(limbo), cause=us, evidence=page, label="lose")\n',
        "dead-end",
        "limbo",
    ),
    "ambiguous branch": (
        SOUND.replace(
            PAYS,
            PAYS.replace("to(paid), ", "to(paid), cond=vip, ")
            + ' | edge(observation, waiting.to(done), cause=us, evidence=page, label="also")',
        ),
        "ambiguous",
        "seen_paid",
    ),
    "origin without a default": (
        SOUND
        + "    class Rumour(StrEnum):\n        RUMOUR = 'rumour'\n"
        + '    rumoured = edge(Rumour.RUMOUR, waiting.to(done), cause=us, evidence=page, label="rumoured")\n',
        "edge-origin",
        "rumoured",
    ),
    "name used twice": (
        SOUND + '    close = edge(command, waiting.to(done), cause=us, evidence=page, label="close")\n',
        "name-twice",
        "close",
    ),
    "edge out of a final state": (
        SOUND + '    reopen = edge(command, done.to(waiting), cause=us, evidence=page, label="reopen")\n',
        "final-edge",
        "done",
    ),
}


def seed(directory: Path, body: str, head: str = HEAD) -> None:
    (directory / "seeded.py").write_text(head + body)


def test_both_lifecycles_are_sound(orderflow) -> None:
    ran = orderflow("check", "--json")
    assert ran.code == 0
    reports = {report["lifecycle"]: report for report in ran.json}
    assert {"ccv", "connect"} <= reports.keys()
    for each in reports.values():
        assert each["problems"] == []
        assert each["figures"]["edges"] > 50


def test_check_in_words(orderflow) -> None:
    ran = orderflow("check", "ccv")
    assert ran.code == 0
    assert ran.out.startswith("ccv: ok (")
    assert "\x1b" not in ran.out


@pytest.mark.parametrize("name", ["seeded:Seeded", "seeded.py:Seeded", "./seeded.py:Seeded"])
def test_the_seeded_copy_is_sound_before_it_is_broken(orderflow, tmp_path: Path, name: str) -> None:
    seed(tmp_path, SOUND)
    ran = orderflow("check", name, "--json")
    assert [each["problems"] for each in ran.json] == [[]]
    assert ran.code == 0


@pytest.mark.parametrize("broken", BROKEN)
def test_every_seeded_fault_is_named(orderflow, tmp_path: Path, broken: str) -> None:
    body, rule, where = BROKEN[broken]
    if "Rumour" in body:  # a class is no part of a declaration: it stands before
        enum = "class Rumour(StrEnum):\n    RUMOUR = 'rumour'\n"
        body = body.replace("    class Rumour(StrEnum):\n        RUMOUR = 'rumour'\n", "")
        seed(tmp_path, body, HEAD.replace("\n\nclass Seeded", f"\n{enum}\n\nclass Seeded"))
    else:
        seed(tmp_path, body)
    ran = orderflow("check", "seeded:Seeded", "--json")
    assert ran.code == 1
    assert ran.err == ""
    (report,) = ran.json
    assert [problem["rule"] for problem in report["problems"]] == [rule]
    (problem,) = report["problems"]
    assert problem.keys() == {"rule", "where", "explanation", "remedy", "file", "line"}
    assert problem["file"].endswith("seeded.py")
    assert where in problem["where"] + problem["explanation"]

    words = orderflow("check", "seeded:Seeded")
    assert words.code == 1
    assert rule in words.out
    assert "Traceback" not in words.out + words.err


@pytest.mark.parametrize(
    ("text", "message"),
    [("import no_such_library", "no_such_library"), ("def (", "SyntaxError"), ("raise SystemExit(0)", "SystemExit")],
)
def test_a_module_that_does_not_import_is_a_problem_not_a_traceback(orderflow, tmp_path, text, message) -> None:
    seed(tmp_path, "", text)
    ran = orderflow("check", "seeded:Seeded", "--json")
    assert ran.code == 1
    ((problem,),) = (each["problems"] for each in ran.json)
    assert problem["rule"] == "import"
    assert message in problem["explanation"]
    for command in ("lifecycles", "diagram"):
        ran = orderflow(command, "seeded:Seeded")
        assert ran.code == 1
        assert ran.err.count("\n") == 1


def test_anything_with_a_table_can_be_named(orderflow, tmp_path: Path) -> None:
    seed(tmp_path, SOUND + "\n\nclass Provider:\n    table = Seeded.table\n")
    ran = orderflow("lifecycles", "seeded:Provider", "--json")
    assert [each["lifecycle"] for each in ran.json] == ["seeded"]


def test_texts_that_do_not_fit_their_lifecycle_are_problems_with_their_line(orderflow, tmp_path: Path) -> None:
    lines = (
        "from orderflow.provider import Guidance",
        "from orderflow._providers.ccv import CcvLifecycle",
        "",
        "class Partner:",
        "    table = CcvLifecycle.table",
        "    guidance = {state: Guidance('Wait.', 'Wait.') for state in table.states if state != 'New'}",
        "    guidance |= {'submission_in_doubt': Guidance('Wait.', 'submission_resolved, submission_not_found, submission_given_up')}",
        "    guidance |= {",
        "        'Closed': Guidance('Closed.', 'Try submission_resolved with {number}.'),",
        "    }",
    )
    (tmp_path / "partner.py").write_text("\n".join(lines) + "\n")
    ran = orderflow("check", "partner.py:Partner", COLUMNS="400")
    problems = orderflow("check", "partner.py:Partner", "--json").json[0]["problems"]
    assert ran.code == 1
    assert [(problem["rule"], problem["where"], problem["line"]) for problem in problems] == [
        ("guidance-missing", "New", 6),
        ("guidance-placeholder", "Closed", 9),
        ("guidance-event", "Closed", 9),
    ]
    assert f"submission_resolved is not legal here; legal are: none ({tmp_path / 'partner.py'}:9)" in ran.out


def test_lifecycles_as_json(orderflow) -> None:
    ran = orderflow("lifecycles", "--json")
    assert ran.code == 0
    connect = next(lifecycle for lifecycle in ran.json if lifecycle["lifecycle"] == "connect")
    assert {"value": "unknown", "initial": False, "final": False, "provisional": True}.items() <= next(
        state for state in connect["states"] if state["value"] == "unknown"
    ).items()
    assert connect["events"]["returned_cancel"] == "claim"
    assert connect["facts"]["way"] == ["none", "url", "api"]
    assert connect["readings"]["fulfilled"]["proves"] == "fulfilled"
    edge = next(edge for edge in connect["edges"] if edge["event"] == "complete_by_url")
    assert edge == {
        "event": "complete_by_url",
        "source": "registered",
        "target": "fulfilling",
        "origin": "command",
        "guard": "url_allowed",
        "sets": {"way": "url"},
        "effects": [],
        "cause": "us",
        "evidence": {"strength": "documented", "page": "A1 step 6"},
        "label": "browser sent to the URL",
        "recovery": False,
        "expects": "",
    }


def test_lifecycles_in_words(orderflow) -> None:
    ran = orderflow("lifecycles", "ccv")
    assert ran.code == 0
    assert "\x1b" not in ran.out
    lines = ran.out.splitlines()
    event = lines.index("seen_closed (observation)")
    edge = next(n for n in range(event, len(lines)) if "rejected" in lines[n])
    assert [line.strip() for line in lines[edge - 1 : edge + 1]] == [
        "Screening -> Closed",
        "employee; documented: D1 #10, #17: screening rejected, or closed by an employee",
    ]
    assert "window: open, closed" in [line.strip() for line in lines]
    assert "Closed: proves Closed; consistent with Closed" in [line.strip() for line in lines]


def test_diagram_writes_then_checks(orderflow, tmp_path: Path) -> None:
    stale = orderflow("diagram", "--check")
    assert stale.code == 6
    assert "ccv.diagram.md: missing" in stale.out
    assert not (tmp_path / "diagrams").exists(), "--check writes nothing"

    assert orderflow("diagram").code == 0
    assert orderflow("diagram", "--check").code == 0

    (tmp_path / "diagrams" / "connect.table.md").unlink()
    (tmp_path / "diagrams" / "old.table.md").write_text("")
    again = orderflow("diagram", "--check")
    assert again.code == 6
    assert "connect.table.md: missing" in again.out
    assert "old.table.md: unknown" in again.out
    assert "ccv" not in again.out


def test_diagram_of_one_lifecycle_in_one_format(orderflow, tmp_path: Path) -> None:
    ran = orderflow("diagram", "ccv", "--format", "table", "--out", "here/and/there")
    assert ran.code == 0
    assert [path.name for path in (tmp_path / "here/and/there").iterdir()] == ["ccv.table.md"]
    assert orderflow("diagram", "ccv", "--format", "table", "--out", "here/and/there", "--check").code == 0
    assert orderflow("diagram", "ccv", "--out", "here/and/there", "--check").code == 6


def test_diagram_into_a_file_is_refused(orderflow, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    ran = orderflow("diagram", "--out", "taken")
    assert ran.code == 2
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("command", [("lifecycles",), ("check",), ("simulate", "--switches"), ("simulate", "--scenarios")], ids=" ".join)
def test_80_columns_are_enough_and_no_word_is_cut(orderflow, command: tuple[str, ...]) -> None:
    narrow, wide = (orderflow(*command, COLUMNS=columns).out for columns in ("80", "1000"))
    assert max(map(len, narrow.splitlines())) <= 80
    assert set(narrow.lower().split()) - {f"{label}:" for label in LABELS} <= set(wide.lower().split()), "only words that were there"


LABELS = ("path", "explanation", "deadlines", "values", "default", "question", "source", "happen", "in", "on")  # of columns below their row
