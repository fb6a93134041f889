"""``orderflow db``: status and upgrade, on both databases."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.kit import version_0_1
from tests.kit.postgres import drop_schema, make_schema
from tests.unit.cli.conftest import Orderflow


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'orders.db'}"
        return
    name, url = asyncio.run(make_schema())
    yield url
    asyncio.run(drop_schema(name))


def test_an_empty_database_is_upgraded_once(orderflow: Orderflow, url: str) -> None:
    before = orderflow("db", "status", "--db", url, "--json")
    assert (before.code, before.json["found"], before.json["current"]) == (1, 0, False)
    known = before.json["known"]
    assert orderflow("db", "upgrade", "--db", url, "--json").json == {"before": 0, "now": known}
    assert orderflow("db", "upgrade", "--db", url).out == f"already up to date: schema version {known}\n"
    after = orderflow("db", "status", "--db", url)
    assert (after.code, after.out) == (0, f"up to date: schema version {known}\n")


def test_status_changes_nothing(orderflow: Orderflow, url: str, tmp_path: Path) -> None:
    for _ in range(2):
        ran = orderflow("db", "status", "--db", url)
        assert (ran.code, "has no tables of orderflow" in ran.out) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_version_0_1_is_upgraded(orderflow: Orderflow, url: str) -> None:
    asyncio.run(version_0_1.make(url))
    before = orderflow("db", "status", "--db", url)
    assert (before.code, before.out) == (1, "out of date: has schema version 2, this orderflow knows 6; run: orderflow db upgrade\n")
    assert orderflow("db", "upgrade", "--db", url).out == "upgraded: from schema version 2 to 5\n"
    after = orderflow("db", "status", "--db", url)
    assert (after.code, after.out) == (0, "up to date: schema version 5\n")


def test_a_newer_schema_is_shown_and_not_changed(orderflow: Orderflow, tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    orderflow("db", "upgrade", "--db", f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO of_schema (version) VALUES (99)")
    status = orderflow("db", "status", "--db", f"sqlite:///{path}")
    assert (status.code, status.out.startswith("too new: schema version 99")) == (1, True)
    refused = orderflow("db", "upgrade", "--db", f"sqlite:///{path}")
    assert (refused.code, "newer than this orderflow knows" in refused.err) == (7, True)


def test_a_url_that_names_no_database_is_a_configuration_error(orderflow: Orderflow) -> None:
    ran = orderflow("db", "status", "--db", "mysql://host/orders")
    assert (ran.code, ran.err.startswith("orderflow: --db: want sqlite:///")) == (7, True)


def test_a_password_is_never_shown(orderflow: Orderflow) -> None:
    ran = orderflow("db", "status", "--db", "postgresql://me:s3cret@127.0.0.1:1/orders")
    assert (ran.code, "not reachable" in ran.err, "s3cret" in ran.out + ran.err) == (7, True, False)
