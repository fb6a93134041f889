"""The question before what cannot be undone: asked on a terminal, refused with the remedy elsewhere, left out with --yes."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest
from tests.kit.stored_orders import stored
from tests.unit.cli.conftest import SCRIPT, Orderflow

WHO = ("--actor", "anna", "--reason", "ticket 7")
COMMANDS = [
    ("db", "prune", "--older-than", "0s"),
    ("orders", "redact", "{order}", *WHO),
    ("orders", "override", "{order}", "Closed", *WHO, "--version", "1"),
    ("listeners", "remove", "ccv", "Completed", *WHO),
]


@pytest.fixture
def settled(tmp_path: Path) -> tuple[str, str]:
    """A database with one settled order, and its id."""
    db, (order,) = stored(tmp_path, ("ccv", "a", "Completed", {}))
    return db, order


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_a_command_that_cannot_ask_is_refused_with_the_remedy(
    orderflow: Orderflow, settled: tuple[str, str], words: tuple[str, ...]
) -> None:
    db, order = settled
    ran = orderflow(*(word.format(order=order) for word in words), "--db", db)
    remedy = "orderflow: --yes: required, because standard input is not a terminal and this cannot be undone\n"
    assert (ran.code, ran.out, ran.err) == (2, "", remedy)
    assert [row["version"] for row in orderflow("orders", "list", "--db", db, "--json").json] == [1]


def answer(db: str, text: str, *words: str) -> tuple[int, str]:
    """Exit code and output of a command whose question gets this answer on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([str(SCRIPT), *words, "--db", db], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    os.close(theirs)
    os.write(ours, text.encode())
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    return process.returncode, out


@pytest.mark.parametrize(("text", "left"), [("\n", 1), ("no\n", 1), ("y\n", 0), ("YES\n", 0)])
def test_the_person_at_the_terminal_decides(orderflow: Orderflow, settled: tuple[str, str], text: str, left: int) -> None:
    db, _ = settled
    code, out = answer(db, text, "db", "prune", "--older-than", "0s")
    assert out.startswith("Delete these orders?")
    assert "[y/N]" in out
    assert (code, "not confirmed, nothing was changed" in out) == (left, bool(left))
    assert len(orderflow("orders", "list", "--db", db, "--json").json) == left


def test_a_dry_run_asks_nothing(orderflow: Orderflow, settled: tuple[str, str]) -> None:
    db, _ = settled
    ran = orderflow("db", "prune", "--older-than", "0s", "--dry-run", "--db", db)
    assert (ran.code, ran.out) == (0, "would be deleted: 1 order\n")
