"""``orderflow listeners``, as an operator uses it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.kit.stored_orders import stored
from tests.unit.cli.conftest import Orderflow

from orderflow.store.urls import make_store

WHO = ("--by", "olga", "--reason", "the shop does not ship any more")


@pytest.fixture
def db(tmp_path: Path) -> str:
    """One order entered a state that somebody listens to; of another state nobody was to be told yet."""

    async def listen(url: str) -> None:
        store = make_store(url)
        await store.open()
        await store.add_listeners({("ccv", "Completed"), ("gone", "anywhere")})
        await store.close()

    url, _ = stored(tmp_path)
    asyncio.run(listen(url))
    stored(tmp_path, ("ccv", "a", "Completed", {}))
    return url


def test_listeners_are_listed_and_one_is_forgotten(orderflow: Orderflow, db: str) -> None:
    listed = orderflow("listeners", "list", "--db", db)
    assert (listed.code, listed.out.splitlines()) == (0, ["provider  state      owed", "ccv       Completed  1", "gone      anywhere   0"])
    ran = orderflow("listeners", "forget", "ccv", "Completed", "--db", db, *WHO)
    assert (ran.code, ran.out, ran.err) == (0, "forgotten: ccv Completed; 1 owed telling ended\n", "")
    ran = orderflow("listeners", "forget", "gone", "anywhere", "--db", db, *WHO, "--json")  # of a provider that is not installed
    assert (ran.code, ran.json) == (0, {"provider": "gone", "state": "anywhere", "ended": 0})
    assert orderflow("listeners", "list", "--db", db, "--json").json == []
    assert orderflow("db", "prune", "--db", db, "--older-than", "0s").out == "deleted: 1 order\n"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("ccv", "Closed", *WHO), 3, "unknown listener: 'ccv Closed' (known: ccv Completed, gone anywhere)"),
        (("ccv", "Completed", "--by", "olga"), 2, "--reason"),
        (("ccv", "Completed", "--by", " ", "--reason", "gone"), 2, "--by: required, as non-empty text"),
        (("ccv",), 2, "STATE"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_forgotten(
    orderflow: Orderflow, db: str, words: tuple[str, ...], code: int, says: str
) -> None:
    ran = orderflow("listeners", "forget", *words, "--db", db)
    assert (ran.code, ran.out) == (code, "")
    assert says in ran.err
    listed = orderflow("listeners", "list", "--db", db, "--json").json
    assert listed == [{"provider": "ccv", "state": "Completed", "owed": 1}, {"provider": "gone", "state": "anywhere", "owed": 0}]


def test_a_database_that_is_not_there_is_not_made(orderflow: Orderflow, tmp_path: Path) -> None:
    ran = orderflow("listeners", "list", "--db", f"sqlite:///{tmp_path / 'none.db'}")
    assert (ran.code, ran.out) == (7, "")
    assert not (tmp_path / "none.db").exists()
