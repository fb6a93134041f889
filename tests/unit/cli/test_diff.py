"""diff, as a user sees it: what changed between two printed lifecycles, and which stored orders would break."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.kit.stored_orders import stored

from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow.diagrams import describe


def printed() -> dict[str, dict[str, Any]]:
    """What `lifecycles --json` prints, by name, to be changed at will."""
    return {table.name: json.loads(json.dumps(describe(table))) for table in (CcvLifecycle.table, ConnectLifecycle.table)}


@pytest.fixture
def snapshots(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Writes OLD as it is, and NEW as ``change`` makes it."""

    def write(change: Callable[[dict[str, dict[str, Any]]], None]) -> tuple[str, str]:
        old, new = printed(), printed()
        change(new)
        for name, lifecycles in (("old", old), ("new", new)):
            (tmp_path / f"{name}.json").write_text(json.dumps(list(lifecycles.values())))
        return "old.json", "new.json"

    return write


def drop_edge(event: str, source: str) -> Callable[[dict[str, dict[str, Any]]], None]:
    """NEW has no such edge of CCV's."""

    def change(new: dict[str, dict[str, Any]]) -> None:
        new["ccv"]["edges"] = [edge for edge in new["ccv"]["edges"] if (edge["event"], edge["source"]) != (event, source)]

    return change


def drop_state(new: dict[str, dict[str, Any]]) -> None:
    """NEW's CCV knows no Screening."""
    ccv = new["ccv"]
    ccv["states"] = [state for state in ccv["states"] if state["value"] != "Screening"]
    ccv["edges"] = [edge for edge in ccv["edges"] if "Screening" not in (edge["source"], edge["target"])]


def test_what_is_printed_now_does_not_differ_from_itself(orderflow, tmp_path) -> None:
    for name in ("old", "new"):
        (tmp_path / f"{name}.json").write_text(orderflow("lifecycles", "--json").out)
    ran = orderflow("diff", "old.json", "new.json")
    assert (ran.code, ran.out) == (0, "ccv: no difference\nconnect: no difference\n")


def test_a_removed_edge_is_a_cell_that_becomes_illegal(orderflow, snapshots) -> None:
    files = snapshots(drop_edge("seen_canceled", "Screening"))
    ran = orderflow("diff", *files, "--json")
    assert ran.code == 0, "no stored orders were asked for"
    ccv, connect = ran.json["lifecycles"]
    assert (ccv["change"], connect["change"]) == ("changed", "none")
    assert ccv["edges"]["removed"] == ["seen_canceled: Screening -> Canceled"]
    assert ccv["cells"] == [{"event": "seen_canceled", "state": "Screening", "old": "Canceled", "new": None, "when": []}]
    assert ccv["illegal"] == ["seen_canceled"]
    assert "legal no more where they were: seen_canceled" in orderflow("diff", *files).out


def test_a_guard_that_is_narrowed_names_the_facts(orderflow, snapshots) -> None:
    def narrow(new):
        (edge,) = (edge for edge in new["connect"]["edges"] if edge["event"] == "complete_by_url")
        edge["guard"] = "url_allowed and api_allowed"
        guard = {"guard": edge["guard"], "reads": ["url_allowed", "api_allowed"], "holds": [[True, True]]}
        new["connect"]["guards"].append(guard)

    ran = orderflow("diff", *snapshots(narrow), "--json")
    (cell,) = ran.json["lifecycles"][1]["cells"]
    assert (cell["event"], cell["old"], cell["new"]) == ("complete_by_url", "fulfilling", None)
    assert cell["when"] == [{"api_allowed": False, "url_allowed": True}]


def test_a_changed_effect_target_or_label_is_reported(orderflow, snapshots) -> None:
    def change(new):
        (edge,) = (edge for edge in new["ccv"]["edges"] if edge["event"] == "order_configured")
        edge["effects"], edge["label"] = [], "ready"
        (edge,) = (edge for edge in new["ccv"]["edges"] if edge["event"] == "submission_given_up")
        edge["target"] = "refused"
        new["ccv"]["facts"]["window"].append("ajar")

    ccv = orderflow("diff", *snapshots(change), "--json").json["lifecycles"][0]
    (changed,) = ccv["edges"]["changed"]
    assert 'effects ["submit_order"] -> []' in changed
    assert 'label "configured" -> "ready"' in changed
    assert ccv["facts"]["changed"] == ['window: ["open", "closed"] -> ["open", "closed", "ajar"]']
    assert [(cell["event"], cell["old"], cell["new"]) for cell in ccv["cells"]] == [("submission_given_up", "abandoned", "refused")]
    assert ccv["illegal"] == []


def test_stored_orders_that_would_break_are_named_and_fail(orderflow, snapshots, tmp_path) -> None:
    db, (screening, _new, failed) = stored(tmp_path, ("ccv", "a", "Screening", {}), ("ccv", "b", "New", {}), ("ccv", "c", "Failed", {}))
    ran = orderflow("diff", *snapshots(drop_state), "--db", db, "--json")
    assert ran.code == 1
    broken = {(one["state"], one["why"]): one for one in ran.json["broken"]}
    assert broken.keys() == {
        ("Screening", "its state is removed"),
        ("Failed", "seen_screening would be refused; it led to Screening"),
    }
    assert broken["Screening", "its state is removed"]["orders"] == [screening]
    assert broken["Failed", "seen_screening would be refused; it led to Screening"]["orders"] == [failed]
    words = orderflow("diff", *snapshots(drop_state), "--db", db)
    assert words.code == 1
    assert screening in words.out


def test_a_change_that_no_stored_order_meets_is_no_failure(orderflow, snapshots, tmp_path) -> None:
    db, _ = stored(tmp_path, ("ccv", "a", "Completed", {}), ("connect", "b", "", {}))
    ran = orderflow("diff", *snapshots(drop_state), "--db", db)
    assert ran.code == 0
    assert "stored orders: none is broken" in ran.out


def test_facts_that_orders_were_created_without_break_them(orderflow, snapshots, tmp_path) -> None:
    def demand(new):
        new["ccv"]["facts"] |= {"vip": [False, True], "window": ["ajar"]}
        (edge,) = (edge for edge in new["ccv"]["edges"] if edge["event"] == "submit")
        edge["guard"] = "vip"
        new["ccv"]["guards"].append({"guard": "vip", "reads": ["vip"], "holds": [[True]]})

    db, _ = stored(tmp_path, ("ccv", "a", "", {}))
    ran = orderflow("diff", *snapshots(demand), "--db", db, "--json")
    assert ran.code == 1
    reasons = {one["why"] for one in ran.json["broken"]}
    assert "guards read the fact vip, which it was created without" in reasons
    assert "its fact window is 'open', which is not declared any more" in reasons


def test_a_removed_lifecycle_breaks_all_its_orders(orderflow, snapshots, tmp_path) -> None:
    db, (order,) = stored(tmp_path, ("ccv", "a", "", {}))
    ran = orderflow("diff", *snapshots(lambda new: new.pop("ccv")), "--db", db, "--json")
    assert ran.code == 1
    assert ran.json["lifecycles"][0] == {"lifecycle": "ccv", "change": "removed"}
    assert ran.json["broken"][0]["orders"] == [order]


@pytest.mark.parametrize("text", ["", "[1]", "{}", '[{"lifecycle": "x"}]', "not json"])
def test_what_is_no_snapshot_is_a_usage_error(orderflow, snapshots, tmp_path, text) -> None:
    snapshots(lambda new: None)
    (tmp_path / "old.json").write_text(text)
    ran = orderflow("diff", "old.json", "new.json")
    assert ran.code == 2
    assert "OLD" in ran.err
    assert ran.err.count("\n") == 1
    assert orderflow("diff", "nowhere.json", "new.json").code != 0
