"""What an error says about its cause, without looking at its text."""

from __future__ import annotations

import asyncpg
import pytest

from orderflow._store.postgres.pool import Session, database_name, is_collision, translate_error
from orderflow.errors import ConfigurationError, OperationalError


class Connection:
    """A connection that is open, closed, or taken back by its pool."""

    def __init__(self, state: str) -> None:
        self.state = state

    def is_closed(self) -> bool:
        if self.state == "taken back":
            raise asyncpg.InterfaceError("cannot call Connection.is_closed()")
        return self.state == "closed"


@pytest.mark.parametrize(
    ("error", "state", "expected"),
    [
        (asyncpg.InterfaceError("another operation is in progress"), "open", False),
        (asyncpg.InterfaceError("another operation is in progress"), "closed", True),
        (asyncpg.InterfaceError("another operation is in progress"), "taken back", True),
        (asyncpg.ConnectionDoesNotExistError("gone"), "open", True),
        (asyncpg.AdminShutdownError("terminating"), "open", True),
        (ConnectionResetError(), "open", True),
        (TimeoutError(), "open", True),
        (asyncpg.InternalClientError("got result for unknown protocol state"), "open", True),
        (asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"), "open", True),
        (asyncpg.FeatureNotSupportedError("cannot access temporary or unlogged relations during recovery"), "open", True),
        (asyncpg.UniqueViolationError("key"), "closed", False),
        (ZeroDivisionError(), "closed", False),
    ],
)
def test_whether_the_connection_is_the_cause_of_an_error(error: Exception, state: str, expected: bool) -> None:
    assert Session(Connection(state), None).is_lost(error) is expected


def test_which_errors_are_collisions() -> None:
    assert is_collision(asyncpg.DeadlockDetectedError("deadlock"))
    assert is_collision(asyncpg.LockNotAvailableError("canceling statement due to lock timeout"))
    assert not is_collision(asyncpg.UniqueViolationError("key"))


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (asyncpg.DataError("kari@example.org"), OperationalError, "db: a value does not fit its column (DataError)"),
        (asyncpg.UndefinedTableError("no such table"), OperationalError, "db: no such table"),
        (asyncpg.PostgresError(), OperationalError, "db: PostgresError"),
        (ConnectionRefusedError("to 10.0.0.1"), OperationalError, "db: the database is not reachable (ConnectionRefusedError)"),
        (TimeoutError(), OperationalError, "db: the database is not reachable (TimeoutError)"),
        (ValueError("port s3cret"), ConfigurationError, "db: the URL is malformed"),
        (asyncpg.InterfaceError("misuse"), OperationalError, "db: InterfaceError"),
    ],
)
def test_a_drivers_error_becomes_ours_without_its_details(error: Exception, kind: type[Exception], message: str) -> None:
    translated = translate_error("db", error)
    assert (type(translated), str(translated)) == (kind, message)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://me:s3cret@db.example:5432/orders?sslmode=require", "db.example/orders"),
        ("postgresql:///?host=/tmp", "postgresql/default"),
    ],
)
def test_of_a_url_only_host_and_database_are_shown(url: str, expected: str) -> None:
    assert database_name(url) == expected
