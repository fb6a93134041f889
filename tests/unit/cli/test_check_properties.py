"""The properties that check judges, as a user sees them."""

from __future__ import annotations

from pathlib import Path

SEEDED = """
from orderflow._lifecycle.declare import Flag, Lifecycle, State, documented, edge, inferred
from orderflow._lifecycle.properties import absence, after, at, by, on, precedence
from orderflow.model import Cause, Origin

command, reply, observation, claim, clock, operator = Origin


class Warehouse(Lifecycle, name="warehouse"):
    ordered = State(initial=True)
    picked = State()
    sent = State(final=True)
    scrapped = State(final=True)
    pick = edge(command, ordered.to(picked), Cause.US, documented("P1"), "pick")
    ship = edge(command, picked.to(sent), Cause.US, inferred("P2"), "send"){shortcut}
    scrap = edge(operator, picked.to(scrapped), Cause.EMPLOYEE, documented("P3"), "scrap")
    properties = {{
        "picked before sent": precedence(at(picked), at(sent)),
        "scrapped is never sent": absence(at(sent), after(on("scrap"))),{more}
    }}
"""


def seed(where: Path, shortcut: str = "", more: str = "") -> str:
    (where / "warehouse.py").write_text(SEEDED.format(shortcut=shortcut, more=more))
    return "warehouse.py:Warehouse"


def test_what_holds_is_shown_with_its_path_and_its_weakest_evidence(orderflow, tmp_path) -> None:
    ran = orderflow("check", seed(tmp_path), "--json")
    assert ran.code == 0
    (report,) = ran.json
    first, second = report["properties"]
    assert first == {
        "property": "picked before sent",
        "pattern": "precedence",
        "says": "at sent: only after at picked",
        "verdict": "holds",
        "path": ["pick: ordered -> picked", "ship: picked -> sent"],
        "missing": "",
        "leans_on": "inferred",
        "unsure": ["P2 (inferred)"],
    }
    assert second["path"] == ["pick: ordered -> picked", "scrap: picked -> scrapped"]
    words = orderflow("check", "warehouse.py:Warehouse").out
    (line,) = (line for line in words.splitlines() if "picked before sent" in line)
    assert line.split() == ["warehouse", "picked", "before", "sent", "holds", "inferred", "pick", ">", "ship"]


def test_what_fails_is_a_problem_with_its_counterexample(orderflow, tmp_path) -> None:
    shortcut = ' | edge(command, ordered.to(sent), Cause.US, inferred("P4"), "at once")'
    ran = orderflow("check", seed(tmp_path, shortcut), "--json")
    assert ran.code == 1
    ((problem,),) = (report["problems"] for report in ran.json)
    assert (problem["rule"], problem["where"]) == ("property-fails", "picked before sent")
    assert "ship: ordered -> sent" in problem["explanation"]
    assert ran.json[0]["properties"][0]["verdict"] == "fails"
    assert "property-fails" in orderflow("check", "warehouse.py:Warehouse").out


def test_what_says_nothing_is_a_problem_too(orderflow, tmp_path) -> None:
    ran = orderflow("check", seed(tmp_path, more='\n        "no claim sends": absence(by(claim) & at(sent)),'), "--json")
    assert ran.code == 1
    ((problem,),) = (report["problems"] for report in ran.json)
    assert problem["rule"] == "property-vacuous"
    assert "by claim never happens" in problem["explanation"]


def test_a_guard_that_cannot_be_enumerated_is_never_passed(orderflow, tmp_path) -> None:
    shortcut = ' | edge(command, ordered.to(sent), Cause.US, inferred("P4"), "rich", cond=lambda order: order.rich)'
    ran = orderflow("check", seed(tmp_path, shortcut), "--json")
    assert ran.code == 1
    guard, hangs = ran.json[0]["problems"]
    assert (guard["rule"], guard["where"]) == ("guard-unresolved", "ship: ordered -> sent")
    assert guard["explanation"].endswith(": it raises AttributeError")
    assert (hangs["rule"], hangs["where"]) == ("property-unchecked", "picked before sent")
    first, second = ran.json[0]["properties"]
    assert (first["verdict"], first["path"]) == ("unchecked", [])
    assert (second["verdict"], second["path"]) == ("holds", ["pick: ordered -> picked", "scrap: picked -> scrapped"])
    words = orderflow("check", "warehouse.py:Warehouse")
    assert words.code == 1
    assert ["warehouse", "picked", "before", "sent", "unchecked"] in [line.split() for line in words.out.splitlines()]


def test_a_guard_that_is_a_function_of_the_facts_is_enumerated(orderflow, tmp_path) -> None:
    def with_guard(text: str) -> list[tuple[str, str]]:
        shortcut = f' | edge(command, ordered.to(sent), Cause.US, inferred("P4"), "rich", cond={text})\n    vip = Flag()'
        ran = orderflow("check", seed(tmp_path, shortcut), "--json")
        return [(problem["rule"], problem["explanation"][-30:]) for problem in ran.json[0]["problems"]]

    ((rule, path),) = with_guard('lambda facts: facts["vip"]')
    assert rule == "property-fails"
    assert path.endswith("ship: ordered -> sent")
    assert [rule for rule, _ in with_guard('lambda facts: facts["vip"] and not facts["vip"]')] == ["never-enabled"]


def test_every_installed_lifecycle_promises_something_and_keeps_it(orderflow) -> None:
    for report in orderflow("check", "--json").json:
        assert report["properties"]
        assert {(judged["verdict"], bool(judged["path"])) for judged in report["properties"]} == {("holds", True)}
