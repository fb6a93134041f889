"""``orderflow demo`` as a process: every promised scenario, true journals, three stories, orders kept, nothing secret in the output."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from orderflow._cli.demo.play import SCENARIOS
from orderflow._cli.demo.show import print_endings
from orderflow._cli.demo.stories import STORIES, Story
from orderflow._cli.demo.world import Ending, Scenario
from orderflow._lifecycle.table import Table
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._providers.connect.lifecycle import ConnectLifecycle

PROMISED = {
    "connect": {
        "prepaid by API": "fulfilled",
        "prepaid by URL": "fulfilled",
        "invoice": "fulfilled",
        "free": "fulfilled",
        "logged-in user by URL": "fulfilled",
        "sms with callback success": "fulfilled",
        "sms without callback": "fulfilled",
        "429 then success": "fulfilled",
        "token expired mid-way": "fulfilled",
        "unknown, then proven by a later poll": "fulfilled",
        "card by URL, new user without password": "user_assigned",
        "cancel": "cancelled",
        "error": "error",
        "sms callback failed": "error",
        "API 200 with ERROR": "error",
        "success forged while unpaid": "unknown",
        "user never returns": "unknown",
        "cancel forged while paid": "fulfilled",
        "register answer lost": "registration_in_doubt",
        "login server down, then back": "fulfilled",
        "in doubt, then found by a person": "fulfilled",
        "in doubt, not found, sent again": "fulfilled",
        "refused, and the answer is read": "refused",
        "paid after the end": "abandoned",
    },
    "ccv": {
        "plain": "Completed",
        "long path: payment, screening, activation": "Completed",
        "notifications all lost": "Completed",
        "statuses skipped between polls": "Completed",
        "ErpInProgress passed": "Completed",
        "notification before the submit answer": "Completed",
        "screening rejected": "Closed",
        "payments failed": "Failed",
        "payments failed, then recovered": "Completed",
        "canceled": "Canceled",
        "regress from New": "New",
        "unknown status": "New",
        "submit answer lost": "submission_in_doubt",
    },
}
COUNT = sum(len(scenarios) for scenarios in PROMISED.values())
TABLES: dict[str, Table] = {"connect": ConnectLifecycle.table, "ccv": CcvLifecycle.table}


@frozen
class Demos:
    """Two demos on one file: the JSON of the first, the text of the second, and the stored orders after each."""

    document: list[dict[str, Any]]
    text: str
    other_output: str
    between: list[dict[str, Any]]
    after: list[dict[str, Any]]


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Demos:
    db = ("--db", f"sqlite:///{tmp_path_factory.mktemp('demo') / 'demo.db'}")
    listing = ("orders", "list", "--json", "--limit", "1000", *db)
    first = _run("demo", "--json", *db)
    between = _run(*listing)
    second = _run("demo", "--all", *db)
    after = _run(*listing)
    other_output = "".join((first.stdout, first.stderr, second.stderr, between.stdout))
    return Demos(json.loads(first.stdout), second.stdout, other_output, json.loads(between.stdout), json.loads(after.stdout))


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = Path(sys.executable).with_name("orderflow")
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run([str(script), *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_every_promised_scenario_ends_where_it_must(demos: Demos) -> None:
    assert all(list(row) == ["scenario", "provider", "expected", "reached", "ok", "why", "shown", "journal"] for row in demos.document)
    reached = {
        provider: {row["scenario"]: row["reached"] for row in demos.document if row["provider"] == provider} for provider in PROMISED
    }
    assert reached == PROMISED
    assert [row for row in demos.document if not row["ok"] or row["expected"] != row["reached"]] == []
    assert len(demos.document) == COUNT


def test_every_journal_is_a_path_and_jumps_are_marked(demos: Demos) -> None:
    for row in demos.document:
        _check_path(TABLES[row["provider"]], row["journal"], row["reached"])


def _check_path(table: Table, journal: list[dict[str, Any]], reached: str) -> None:
    edges = {(edge.event, edge.origin.value, edge.source, edge.target) for edge in table.edges}
    assert [step["version"] for step in journal] == list(range(1, len(journal) + 1))
    assert journal[0]["source"] == table.initial
    assert journal[-1]["target"] == reached
    assert all(before["target"] == after["source"] for before, after in pairwise(journal))
    for step in journal:
        is_edge = (step["event"], step["origin"], step["source"], step["target"]) in edges
        if step["kind"] == "jump":
            assert not is_edge
            assert step["origin"] == "observation"
            assert "missed: " in step["note"]
        elif step["kind"] == "override":
            assert (step["origin"], "by kim: " in step["note"]) == ("operator", True)
        else:
            assert step["kind"] in ("step", "inferred")
            assert is_edge, step


def test_the_journals_show_what_the_scenarios_are_named_for(demos: Demos) -> None:
    journals = {row["scenario"]: row["journal"] for row in demos.document}

    def states(scenario: str) -> list[str]:
        return [step["target"] for step in journals[scenario]]

    def events(scenario: str) -> list[str]:
        return [step["event"] for step in journals[scenario]]

    assert "jump" in [step["kind"] for step in journals["statuses skipped between polls"]]
    assert {"AwaitingPayment", "Screening", "FulfillmentInProgress"} <= set(states("long path: payment, screening, activation"))
    assert "ErpInProgress" in states("ErpInProgress passed")
    assert "Failed" in states("payments failed, then recovered")
    assert "returned_unclear" in events("unknown, then proven by a later poll")
    assert not {"paid", "fulfilled"} & set(states("success forged while unpaid"))
    assert "paid" not in states("prepaid by API") + states("invoice") + states("free")
    assert "returned_cancel" in events("cancel forged while paid")
    assert "called_back_success" not in events("sms without callback")


SHOWN = {
    "login server down, then back": [
        "its call is owed: no token: 503",
        "Nothing was sent, so nothing is in doubt.",
        "the same order goes on",
    ],
    "in doubt, then found by a person": ["The order is in doubt.", "Search Connect for the externalOrderId", "enters its orderId"],
    "in doubt, not found, sent again": ["The order is in doubt.", "registration_not_found", "the command can be sent again"],
    "refused, and the answer is read": ["What it answered is kept with it: 400", "payer.postalCode is unknown"],
    "paid after the end": ["the customer pays by the old URL", "'fulfilled' cannot follow 'abandoned'", "a person has to look"],
}
"""An outage survived, a doubt ended both ways, a message read, a late payment seen: what the text says of each, in this order."""


@pytest.mark.parametrize("scenario", SHOWN)
def test_what_happens_besides_the_steps_is_shown_in_plain_words(demos: Demos, scenario: str) -> None:
    text = " ".join(demos.text.split())
    part = text[text.index(f"connect: {scenario} -> ") :]
    part = part[: part.index(" STEP TIME ")]
    found = [part.index(words) for words in SHOWN[scenario]]
    assert found == sorted(found)


def test_orders_are_kept_and_a_second_demo_on_the_file_works(demos: Demos) -> None:
    assert sorted(order["state"] for order in demos.between) == sorted(row["reached"] for row in demos.document)
    final = {name for table in TABLES.values() for name, info in table.states.items() if info.final}
    states = {order["id"]: order["state"] for order in demos.after}
    assert len(states) == 2 * COUNT
    assert {order["id"] for order in demos.between} <= states.keys()
    assert all(states[order["id"]] == order["state"] for order in demos.between if order["state"] in final)


def test_the_text_has_three_stories_then_every_other_journal_then_the_totals(demos: Demos) -> None:
    lines = demos.text.rstrip().splitlines()
    assert [line for line in lines if re.match(r"\d\. ", line)] == [f"{n}. {story.title}" for n, story in enumerate(STORIES, 1)]
    explained = {story.scenario for story in STORIES}
    titles = re.findall(r"^(\w+): (.+) -> (\w+) \(ok\)$", demos.text, re.MULTILINE)
    assert titles == [(row["provider"], row["scenario"], row["reached"]) for row in demos.document if row["scenario"] not in explained]
    assert len(re.findall(r"^STEP +TIME +EVENT +ORIGIN +STATE$", demos.text, re.MULTILINE)) == COUNT
    assert re.fullmatch(rf"{COUNT} of {COUNT} scenarios ended as they must, in \d+\.\d s", lines[-1])
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.scenario)
def test_a_story_has_a_text_for_each_step_of_its_journal(demos: Demos, story: Story) -> None:
    (journal,) = (row["journal"] for row in demos.document if row["scenario"] == story.scenario)
    assert [step["target"] for step in journal] == list(story.steps)
    shown = " ".join(demos.text.split())
    for text in (story.opening, *story.steps.values(), story.closing):
        assert text in shown


TERMS = ("command", "reply", "claim", "poll", "clock", "in doubt", "provisional", "observation", "inferred")


def test_a_term_is_explained_where_it_first_appears() -> None:
    """Explanations are written by hand. Each must stand in the first text that uses the term."""
    texts = [text for story in STORIES for text in (story.opening, *story.steps.values(), story.closing)]
    explained = {term: next(text for text in texts if term in text) for term in TERMS}
    assert 'sends the command "register"' in explained["command"]
    assert "The answer to a call of ours is a reply." in explained["reply"]
    assert "this is a claim: it proves nothing" in explained["claim"]
    assert "poll sooner, which means: ask Connect itself" in explained["poll"]
    assert "A deadline is an event of the clock." in explained["clock"]
    assert "Connect may have the order or not: it is in doubt" in explained["in doubt"]
    assert '"unknown" is a provisional end: orderflow goes on polling' in explained["provisional"]
    assert "What Connect answers to a poll is an observation, and it is proof" in explained["observation"]
    assert "no poll saw it there, so this step is inferred" in explained["inferred"]


def test_without_all_only_the_stories_are_shown_and_a_failure_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    def ending(scenario: Scenario, *, ok: bool) -> Ending:
        return Ending(scenario, scenario.expected if ok else "", ok, "" if ok else "something broke", [], [], [])

    failed = next(scenario for scenario in SCENARIOS if scenario.name == "invoice")
    print_endings([ending(scenario, ok=scenario is not failed) for scenario in SCENARIOS], 1.0, everything=False, kept=False)
    out = capsys.readouterr().out
    assert "->" not in out
    assert f"{COUNT - 3} other scenarios were played too. To see their journals: orderflow demo --all" in out
    *_, failure, totals = out.splitlines()
    assert failure == "connect: invoice: FAILED, expected fulfilled, reached nothing: something broke"
    assert totals == f"{COUNT - 1} of {COUNT} scenarios ended as they must, in 1.0 s"


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(r"simulated-(secret|client|user)", id="Connect's credentials and tokens"),
        pytest.param(r"(?i)\b(basic|bearer) |ZGVtbz", id="authorization headers and CCV's key in one"),
        pytest.param(r"demo\.(connect|ccv)-", id="the tokens in our own URLs"),
        pytest.param(r"://", id="URLs"),
        pytest.param(r"@|Nordmann", id="e-mail addresses and names"),
        pytest.param(r"\+\d|99999999", id="phone numbers"),
    ],
)
def test_nothing_secret_is_printed(demos: Demos, secret: str) -> None:
    assert re.findall(secret, demos.text + demos.other_output) == []
