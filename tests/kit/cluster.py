"""A primary and a streaming standby of PostgreSQL on ports of this machine, for tests of fail-overs. No test lives here.

Replication is synchronous: what the primary confirmed, the standby has. Without that, a fail-over loses the last commits.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from attrs import frozen
from tests.kit.postgres import wheel

_SETTINGS = "fsync = off\nmax_connections = 100\nlisten_addresses = '127.0.0.1'\nshared_buffers = 32MB\n"
_SECONDS = 60.0


@frozen
class Node:
    """One server. ``user``: the system's user that it runs as; None: this one."""

    folder: Path
    port: int
    user: str | None

    @property
    def host(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The URL of its database, whether it is primary or not."""
        return f"postgresql://postgres@{self.host}/postgres?sslmode=disable"

    async def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs."""
        tools: Any = wheel()
        folder = tools.postgres_server.POSTGRES_VERSIONS[tools.postgres_server.TARGET_POSTGRES_VERSION]
        await asyncio.to_thread(tools.pgexec.pgexec, program, arguments, bin_path=folder, user=self.user, timeout=_SECONDS)

    async def control(self, *arguments: str) -> None:
        """``pg_ctl``: stop, promote."""
        await self.run("pg_ctl", "-w", "-D", str(self.folder), *arguments)

    async def start(self, *settings: str) -> None:
        """Start it, with settings that the command line gives."""
        options = " ".join([f"-p {self.port}", f"-k {self.folder}", *(f"-c {setting}" for setting in settings)])
        await self.control("-l", str(self.folder / "log"), "-o", options, "start")

    async def execute(self, *statements: str) -> list[Any]:
        """Run statements, one after the other. The rows of the last."""
        connection = await asyncpg.connect(self.url)
        try:
            return [await connection.fetch(statement) for statement in statements][-1]
        finally:
            await connection.close()

    async def wait_until(self, condition: str) -> None:
        """Wait until a condition in SQL is true."""
        async with asyncio.timeout(_SECONDS):
            while not (await self.execute(f"SELECT {condition}"))[0][0]:
                await asyncio.sleep(0.05)


@frozen
class Cluster:
    """A primary and its standby."""

    primary: Node
    standby: Node

    @property
    def url(self) -> str:
        """A URL that names both and leads to the one that takes writes."""
        hosts = f"{self.primary.host},{self.standby.host}"
        return f"postgresql://postgres@{hosts}/postgres?sslmode=disable&target_session_attrs=read-write"

    async def promote(self) -> None:
        """Make the standby the primary, once it has all that the old primary committed."""
        await self.standby.control("promote")
        await self.standby.wait_until("NOT pg_is_in_recovery()")

    async def make_primary_read_only(self) -> None:
        """The old primary goes on and takes no more writes. Connections to it stay open."""
        await self.primary.execute("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        await self.primary.wait_until("current_setting('default_transaction_read_only')::boolean")
        writing = "backend_xid IS NOT NULL AND pid <> pg_backend_pid()"
        await self.primary.wait_until(f"NOT EXISTS (SELECT 1 FROM pg_stat_activity WHERE {writing})")
        await self.standby.wait_until(
            f"pg_last_wal_replay_lsn() >= '{(await self.primary.execute('SELECT pg_current_wal_lsn()::text'))[0][0]}'"
        )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _make_folder(user: str | None) -> Path:
    """A folder in which the user may make data directories. Paths of sockets must be short."""
    tools: Any = wheel()
    folder = Path(tempfile.mkdtemp(prefix="orderflow-ha-"))
    if user is not None:
        binaries = tools.postgres_server.POSTGRES_VERSIONS[tools.postgres_server.TARGET_POSTGRES_VERSION]
        tools.utils.ensure_user_exists(user)
        tools.utils.ensure_prefix_permissions(binaries)
        tools.utils.ensure_folder_permissions(binaries.parent, 0o055)
        shutil.chown(folder, user, user)
    return folder


@asynccontextmanager
async def node(folder: Path, user: str | None, *settings: str) -> AsyncIterator[Node]:
    """A fresh server, until the block ends."""
    made = Node(folder / f"n{secrets.token_hex(2)}", _free_port(), user)
    await made.run("initdb", "-N", "-A", "trust", "-E", "utf8", "--locale", "C", "-U", "postgres", "-D", str(made.folder))
    with (made.folder / "postgresql.conf").open("a") as configuration:
        configuration.write(_SETTINGS)
    await made.start(*settings)
    try:
        yield made
    finally:
        await _stop(made)


async def _stop(stopped: Node) -> None:
    if (stopped.folder / "postmaster.pid").exists():
        await stopped.control("-m", "immediate", "stop")


@asynccontextmanager
async def own_folder() -> AsyncIterator[tuple[Path, str | None]]:
    """A folder for servers of a test's own, and the user that they run as; PostgreSQL refuses to run as root."""
    user = "pgserver" if os.geteuid() == 0 else None
    folder = _make_folder(user)
    try:
        yield folder, user
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    """A primary and a standby that streams from it, synchronously."""
    async with own_folder() as (folder, user), node(folder, user) as primary:
        standby = Node(folder / "standby", _free_port(), user)
        await standby.run("pg_basebackup", "-d", primary.url, "-D", str(standby.folder), "-R", "-c", "fast", "-X", "stream")
        await standby.start()
        try:
            await primary.wait_until("EXISTS (SELECT 1 FROM pg_stat_replication WHERE state = 'streaming')")
            await primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
            await primary.wait_until("EXISTS (SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync')")
            yield Cluster(primary, standby)
        finally:
            await _stop(standby)
