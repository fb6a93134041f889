"""``orderflow listeners``, as an operator uses it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.kit.stored_orders import stored
from tests.unit.cli.conftest import Orderflow

from orderflow._store.urls import make_store

WHO = ("--actor", "olga", "--reason", "the listener is gone from our code")


@pytest.fixture
def db(tmp_path: Path) -> str:
    """A listener that is owed a notification of one order, and one that is owed none, of a provider that is not installed."""

    async def add_listeners(url: str) -> None:
        store = make_store(url)
        await store.open()
        await store.add_listeners({("ccv", "Completed"), ("gone", "anywhere")})
        await store.close()

    url, _ = stored(tmp_path)
    asyncio.run(add_listeners(url))
    stored(tmp_path, ("ccv", "a", "Completed", {}))
    return url


def test_listeners_are_listed_and_removed(orderflow: Orderflow, db: str) -> None:
    listed = orderflow("listeners", "list", "--db", db)
    assert (listed.code, listed.out.splitlines()) == (0, ["PROVIDER  STATE      OWED", "ccv       Completed  1", "gone      anywhere   0"])
    ran = orderflow("listeners", "remove", "ccv", "Completed", "--db", db, "--yes", *WHO)
    assert (ran.code, ran.out, ran.err) == (0, "removed: ccv Completed; 1 owed notification ended\n", "")
    ran = orderflow("listeners", "remove", "gone", "anywhere", "--db", db, "--yes", *WHO, "--json")
    assert (ran.code, ran.json) == (0, {"provider": "gone", "state": "anywhere", "ended": 0})
    assert orderflow("listeners", "list", "--db", db, "--json").json == []
    assert orderflow("listeners", "list", "--db", db).out == "no listeners\n"
    assert orderflow("db", "prune", "--db", db, "--older-than", "0s", "--yes").out == "deleted: 1 order\n"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("ccv", "Closed", *WHO), 3, "unknown listener: 'ccv Closed'"),
        (("ccv", "Completed", "--actor", "olga"), 2, "--reason"),
        (("ccv", "Completed", "--actor", " ", "--reason", "gone"), 2, "--actor: required, as non-empty text"),
        (("ccv",), 2, "STATE"),
    ],
)
def test_a_mistake_is_reported_and_nothing_is_removed(
    orderflow: Orderflow, db: str, words: tuple[str, ...], code: int, message: str
) -> None:
    ran = orderflow("listeners", "remove", *words, "--db", db, "--yes")
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    listed = orderflow("listeners", "list", "--db", db, "--json").json
    assert listed == [{"provider": "ccv", "state": "Completed", "owed": 1}, {"provider": "gone", "state": "anywhere", "owed": 0}]


def test_a_database_that_is_not_there_is_not_made(orderflow: Orderflow, tmp_path: Path) -> None:
    ran = orderflow("listeners", "list", "--db", f"sqlite:///{tmp_path / 'none.db'}")
    assert (ran.code, ran.out) == (7, "")
    assert not (tmp_path / "none.db").exists()
