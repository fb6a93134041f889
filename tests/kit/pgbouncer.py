"""PgBouncer before the tests' PostgreSQL: a process of its own for each test. No test lives here."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlsplit

import asyncpg
from attrs import frozen
from tests.kit.postgres import database_url

PROGRAM = "/usr/sbin/pgbouncer"
STARTUP_PARAMETERS = (
    "extra_float_digits,plan_cache_mode,enable_seqscan,enable_hashjoin,enable_mergejoin,random_page_cost,jit,default_transaction_isolation"
)
_SECONDS = 20.0


@asynccontextmanager
async def pgbouncer(folder: Path, *, mode: str = "transaction", ignored: str = "") -> AsyncIterator[str]:
    """A fresh database behind PgBouncer; yields its URL. ``ignored``: startup parameters that PgBouncer accepts and ignores."""
    name = f"of_test_{secrets.token_hex(8)}"
    await _run(f"CREATE DATABASE {name}")
    host, parts = _server()
    password = f" password={parts.password}" if parts.password else ""
    server = f"host={host} port={parts.port or 5432} user={parts.username or 'postgres'}{password}"
    user = _owner(host) if host.startswith("/") else "nobody"  # the user who may open the server's socket
    try:
        async with bouncer(folder, server, name, user=user, mode=mode, ignored=ignored) as started:
            yield started.url
    finally:
        await _run(f"DROP DATABASE {name} WITH (FORCE)")


@frozen
class Bouncer:
    """A running PgBouncer. ``server``: what it leads to, as its configuration names it."""

    url: str
    process: asyncio.subprocess.Process
    configuration: Path
    server: str

    async def lead_to(self, port: int) -> None:
        """Lead to another server from now on, as after a fail-over: reload until it does."""
        server = re.sub(r"port=\d+", f"port={port}", self.server)
        self.configuration.write_text(self.configuration.read_text().replace(self.server, server))
        async with asyncio.timeout(60):
            while await self._find_port() != port:
                self.process.send_signal(signal.SIGHUP)
                await asyncio.sleep(1.0)

    async def _find_port(self) -> int | None:
        """The port of the server to which it leads; None: it does not answer."""
        try:
            connection = await asyncpg.connect(self.url, statement_cache_size=0, timeout=5.0)
            try:
                return int(await connection.fetchval("SELECT inet_server_port()"))
            finally:
                connection.terminate()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return None


@asynccontextmanager
async def bouncer(
    folder: Path, server: str, database: str, *, user: str = "nobody", mode: str = "transaction", ignored: str = ""
) -> AsyncIterator[Bouncer]:
    """PgBouncer before a server. ``user``: who it runs as where we are root, which it refuses to be."""
    if not os.access(PROGRAM, os.X_OK):
        raise RuntimeError("PgBouncer is not installed: `make test` installs it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = _write_configuration(folder, port, server, mode, ignored)
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        *(("-u", user) if os.geteuid() == 0 else ()),
        str(configuration),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _wait_for(port)
        yield Bouncer(f"postgresql://postgres@127.0.0.1:{port}/{database}?sslmode=disable", process, configuration, server)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _server() -> tuple[str, SplitResult]:
    """Host or folder of the server's socket, and its URL."""
    parts = urlsplit(database_url())
    return parts.hostname or parse_qs(parts.query)["host"][0], parts


def _owner(folder: str) -> str:
    return Path(folder).owner()


def _write_configuration(folder: Path, port: int, server: str, mode: str, ignored: str) -> Path:
    home = folder / f"pgbouncer-{port}"
    home.mkdir()
    for parent in (home, *home.parents):  # another user reads it
        if parent.owner() == home.owner() and len(parent.parts) > 2:
            parent.chmod(0o755)
    (home / "users.txt").write_text('"postgres" ""\n')
    lines = [
        "[databases]",
        f"* = {server}",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = trust" if "password=" in server else "auth_type = any",
        f"auth_file = {home / 'users.txt'}",
        f"pool_mode = {mode}",
        f"default_pool_size = {3 if mode == 'transaction' else 30}",  # in session mode each connection of ours keeps one
        *([f"ignore_startup_parameters = {ignored}"] if ignored else []),
    ]
    configuration = home / "pgbouncer.ini"
    configuration.write_text("\n".join(lines) + "\n")
    return configuration


async def _wait_for(port: int) -> None:
    async with asyncio.timeout(_SECONDS):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)


async def _run(statement: str) -> None:
    connection = await asyncpg.connect(database_url())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
