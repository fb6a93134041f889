"""``orderflow db restored``, as an operator uses it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.kit.stored_orders import stored
from tests.unit.cli.conftest import Orderflow

from orderflow._app import Orderflow as Flow
from orderflow._providers.connect import Connect

WHO = ("--actor", "anna", "--reason", "backup of 03:00")
LINES = ["ORDERS  WHAT", "1       put in doubt", "0       repeated, a minute later", "0       left to the worker that has the provider"]


@pytest.fixture
def owed(tmp_path: Path) -> tuple[str, str]:
    """A database, and an order that is owed a call which may be made only once."""
    db, (order_id, _) = stored(tmp_path, ("connect", "a", "", {}), ("ccv", "b", "", {}))

    async def register() -> None:
        async with Flow(db, [Connect.offline()]) as flow:
            await flow.send(order_id, "register")

    asyncio.run(register())
    return db, order_id


def state(orderflow: Orderflow, db: str, order_id: str) -> str:
    return next(row["state"] for row in orderflow("orders", "list", "--db", db, "--json").json if row["id"] == order_id)


def test_a_dry_run_counts_and_the_command_puts_in_doubt(orderflow: Orderflow, owed: tuple[str, str]) -> None:
    db, order_id = owed
    ran = orderflow("db", "restored", "--db", db, *WHO, "--dry-run")
    lines = ["nothing was changed; this would be done:", *LINES, "0       polled first"]
    assert (ran.code, ran.out.splitlines(), ran.err) == (0, lines, "")
    assert state(orderflow, db, order_id) == "registering"

    ran = orderflow("db", "restored", "--db", db, *WHO, "--yes", "--json")
    assert ran.code == 0
    assert ran.json == {"done": True, "in_doubt": [order_id], "repeatable": [], "undecided": [], "polled": []}
    assert state(orderflow, db, order_id) == "registration_in_doubt"
    assert "by anna: backup of 03:00" in orderflow("orders", "show", order_id, "--db", db).out.replace("\n", " ")
    assert orderflow("db", "restored", "--db", db, *WHO, "--yes").out.splitlines()[1] == "0       put in doubt"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (WHO, 2, "--yes: required, because standard input is not a terminal"),
        (("--actor", "anna", "--yes"), 2, "--reason"),
        (("--actor", " ", "--reason", "x", "--yes"), 2, "--actor: required, as non-empty text"),
    ],
)
def test_a_mistake_is_reported_and_changes_nothing(
    orderflow: Orderflow, owed: tuple[str, str], words: tuple[str, ...], code: int, message: str
) -> None:
    db, order_id = owed
    ran = orderflow("db", "restored", "--db", db, *words)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert state(orderflow, db, order_id) == "registering"


def test_a_database_that_is_not_there_is_not_made(orderflow: Orderflow, tmp_path: Path) -> None:
    ran = orderflow("db", "restored", "--db", "sqlite:///none.db", *WHO, "--yes")
    assert ran.code == 7
    assert not (tmp_path / "none.db").exists()
