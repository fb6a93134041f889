"""``orderflow demo`` as a process: every promised scenario, honest journals, orders kept, nothing secret in the output."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from orderflow.lifecycle.table import Table
from orderflow.providers.ccv.lifecycle import CcvLifecycle
from orderflow.providers.connect.lifecycle import ConnectLifecycle

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
        "unknown that a later read proves": "fulfilled",
        "card by URL, new user without password": "user_assigned",
        "cancel": "cancelled",
        "error": "error",
        "sms callback failed": "error",
        "API 200 with ERROR": "error",
        "success forged while unpaid": "unknown",
        "user never returns": "unknown",
        "cancel forged while paid": "fulfilled",
        "register answer lost": "registration_in_doubt",
    },
    "ccv": {
        "plain": "Completed",
        "long path: payment, screening, activation": "Completed",
        "notifications all lost": "Completed",
        "statuses skipped between reads": "Completed",
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
    """Two demos on one file, the first one's orders as they stood between them, and all orders after both."""

    document: list[dict[str, Any]]
    text: str
    said: str  # whatever else came out
    between: list[dict[str, Any]]
    after: list[dict[str, Any]]


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Demos:
    db = ("--db", f"sqlite:///{tmp_path_factory.mktemp('demo') / 'demo.db'}")
    listing = ("orders", "list", "--json", "--limit", "1000", *db)
    first = _ran("demo", "--json", *db)
    between = _ran(*listing)
    second = _ran("demo", *db)
    after = _ran(*listing)
    said = "".join((first.stdout, first.stderr, second.stderr, between.stdout))
    return Demos(json.loads(first.stdout), second.stdout, said, json.loads(between.stdout), json.loads(after.stdout))


def _ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = Path(sys.executable).with_name("orderflow")
    done = subprocess.run([str(script), *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_every_promised_scenario_ends_where_it_must(demos: Demos) -> None:
    assert all(list(row) == ["scenario", "provider", "expected", "reached", "ok", "why", "journal"] for row in demos.document)
    reached = {provider: {r["scenario"]: r["reached"] for r in demos.document if r["provider"] == provider} for provider in PROMISED}
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
        else:
            assert step["kind"] in ("step", "inferred")
            assert is_edge, step


def test_what_the_scenarios_are_named_for_is_in_their_journals(demos: Demos) -> None:
    journals = {row["scenario"]: row["journal"] for row in demos.document}

    def passed(scenario: str) -> list[str]:
        return [step["target"] for step in journals[scenario]]

    def events(scenario: str) -> list[str]:
        return [step["event"] for step in journals[scenario]]

    assert "jump" in [step["kind"] for step in journals["statuses skipped between reads"]]
    assert {"AwaitingPayment", "Screening", "FulfillmentInProgress"} <= set(passed("long path: payment, screening, activation"))
    assert "ErpInProgress" in passed("ErpInProgress passed")
    assert "Failed" in passed("payments failed, then recovered")
    assert "returned_unclear" in events("unknown that a later read proves")
    assert not {"paid", "fulfilled"} & set(passed("success forged while unpaid"))
    assert "paid" not in passed("prepaid by API") + passed("invoice") + passed("free")
    assert "returned_cancel" in events("cancel forged while paid")
    assert "called_back_success" not in events("sms without callback")


def test_orders_are_kept_and_a_second_demo_on_the_file_works(demos: Demos) -> None:
    assert sorted(order["state"] for order in demos.between) == sorted(row["reached"] for row in demos.document)
    final = {name for table in TABLES.values() for name, info in table.states.items() if info.final}
    states = {order["id"]: order["state"] for order in demos.after}
    assert len(states) == 2 * COUNT
    assert {order["id"] for order in demos.between} <= states.keys()
    assert all(states[order["id"]] == order["state"] for order in demos.between if order["state"] in final)


def test_people_get_a_table_for_each_journal_and_the_count(demos: Demos) -> None:
    titles = re.findall(r"^(\w+): (.+) → (\w+)  \(ok\)$", demos.text, re.MULTILINE)
    assert titles == [(row["provider"], row["scenario"], row["reached"]) for row in demos.document]
    assert len(re.findall(r"^version +at +event +origin +source +target +kind", demos.text, re.MULTILINE)) == COUNT
    last = demos.text.rstrip().splitlines()[-1]
    assert re.fullmatch(rf"{COUNT} of {COUNT} scenarios ended where they must, in \d+\.\d s", last)


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
    assert re.findall(secret, demos.text + demos.said) == []
