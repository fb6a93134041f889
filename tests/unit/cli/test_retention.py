"""``orderflow db prune`` and ``orderflow orders redact``, as a user sees them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from tests.kit.stored_orders import stored
from tests.kit.world import CANARIES
from tests.unit.cli.conftest import SCRIPT, Orderflow

OLD = ("--older-than", "0s")


@pytest.fixture
def orders(tmp_path: Path) -> tuple[str, list[str]]:
    """Two settled orders, a provisional and an open one."""
    return stored(
        tmp_path,
        ("ccv", "a", "Completed", {}),
        ("connect", "b", "refused", {}),
        ("connect", "c", "cancelled", {}),
        ("ccv", "d", "", {}),
    )


def left(orderflow: Orderflow, db: str) -> set[str]:
    """The ids that are stored."""
    return {row["id"] for row in orderflow("orders", "list", "--db", db, "--json").json}


def test_old_settled_orders_are_deleted_and_are_in_the_export(orderflow: Orderflow, orders: tuple[str, list[str]], tmp_path: Path) -> None:
    db, (paid, refused, cancelled, drafted) = orders

    assert orderflow("db", "prune", "--db", db, *OLD, "--dry-run").out == "would be deleted: 2 orders\n"
    assert orderflow("db", "prune", "--db", db, "--older-than", "1d", "--yes").out == "deleted: 0 orders\n"
    assert len(left(orderflow, db)) == 4
    ran = orderflow("db", "prune", "--db", db, *OLD, "--yes", "--provider", "ccv", "--export", "old.jsonl")
    assert (ran.code, ran.out, ran.err) == (0, "deleted: 1 order, exported to old.jsonl\n", "")
    as_json = orderflow("db", "prune", "--db", db, *OLD, "--yes", "--export", "old.jsonl", "--json")
    assert as_json.json == {"orders": 1, "deleted": True, "export": "old.jsonl"}

    assert left(orderflow, db) == {cancelled, drafted}
    exported = [json.loads(line) for line in (tmp_path / "old.jsonl").read_text().splitlines()]
    assert [entry["order"]["id"] for entry in exported] == [paid, refused]
    assert [[row["event"] for row in entry["journal"]] for entry in exported] == [["create", "override"]] * 2


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--older-than", "5 parsecs"), 2, "--older-than"),
        ((), 2, "--older-than"),
        ((*OLD, "--provider", "acme"), 3, "unknown provider: 'acme' (known: ccv, connect)"),
        ((*OLD, "--batch", "0"), 2, "batch: must be between 1 and 5000"),
        ((*OLD, "--export", "nowhere/old.jsonl"), 2, "--export: the folder of nowhere/old.jsonl does not exist"),
        ((*OLD, "--export", "."), 7, "Is a directory"),
    ],
)
def test_what_cannot_be_done_deletes_nothing(
    orderflow: Orderflow, orders: tuple[str, list[str]], words: tuple[str, ...], code: int, message: str
) -> None:
    db, made = orders
    ran = orderflow("db", "prune", "--db", db, "--yes", *words)
    assert (ran.code, message in ran.err, ran.err.count("\n"), ran.out) == (code, True, 1, "")
    assert left(orderflow, db) == set(made)


def test_a_missing_database_is_not_made(orderflow: Orderflow, tmp_path: Path) -> None:
    assert orderflow("db", "prune", "--db", "sqlite:///nowhere.db", "--yes", *OLD).code == 7
    assert list(tmp_path.iterdir()) == []


def test_progress_is_shown_on_a_terminal(orders: tuple[str, list[str]]) -> None:
    db, _ = orders
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [SCRIPT, "db", "prune", "--db", db, *OLD, "--yes", "--batch", "1"], stdout=subprocess.PIPE, stderr=theirs, check=True
    )
    os.close(theirs)
    shown = os.read(ours, 1000)
    os.close(ours)
    assert (done.stdout, shown) == (b"deleted: 2 orders\n", b"\r1 orders\r2 orders\r\n")


def test_redaction_leaves_the_path_and_nothing_personal(orderflow: Orderflow, orders: tuple[str, list[str]], tmp_path: Path) -> None:
    db, (paid, _, cancelled, _) = orders
    words = ("--db", db, "--actor", "anna", "--reason", "ticket 7", "--yes")
    database = tmp_path / "orders.db"
    assert all(canary.encode() in database.read_bytes() for canary in CANARIES[:3])

    ran = orderflow("orders", "redact", paid, *words, "--json")

    assert (ran.code, ran.json) == (0, {"applied": True, "state": "Completed", "version": 2})
    shown = orderflow("orders", "show", paid, "--db", db, "--json").json
    assert [(row["event"], row["note"]) for row in shown["journal"]] == [("override", ""), ("redacted", "by anna: ticket 7")]
    refused = orderflow("orders", "redact", cancelled, *words)
    assert (refused.code, "it is not settled" in refused.out) == (4, True)
    orderflow("db", "prune", "--db", db, *OLD, "--yes", "--export", "old.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "old.jsonl").read_text().splitlines()]
    (whole,) = [entry for entry in lines if entry["order"]["id"] == paid]
    assert all(canary not in json.dumps(whole) for canary in CANARIES)
    assert whole["order"]["data"] == {"redacted": True}
