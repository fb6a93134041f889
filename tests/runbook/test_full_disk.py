"""The disk of the database is full while orders run, and has room again.

The tables lie on a small file system of their own. Where the machine gives no right to mount one, the server may write no file beyond a
size, and the tables are filled up to it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from attrs import frozen
from tests.kit.calm_load import load
from tests.kit.cluster import Node, node, own_folder

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
DISK_BYTES = 160_000_000
FILE_BYTES = 24_000_000  # more than a segment of the write-ahead log
FULL_SECONDS = 6.0
FILL = (
    "INSERT INTO of_journal (order_id, version, event, origin, source, target, kind, at, note, facts, data)"
    f" SELECT 'ballast', n, '', '', '', '', '', 0, repeat('x', 1000), '', '' FROM generate_series(1, {FILE_BYTES // 1000 + 1000}) n"
)


@frozen
class Disk:
    """The disk of a database. ``fill``: leave no room. ``clear``: make room again."""

    server: Node
    url: str
    fill: Callable[[], None]
    clear: Callable[[], None]
    is_mounted: bool


@asynccontextmanager
async def small_disk() -> AsyncIterator[Disk]:
    async with own_folder() as (folder, user), node(folder, user) as server:
        disk = folder / "disk"
        disk.mkdir()
        if not mount(disk):
            yield Disk(server, server.url, lambda: limit_files(server, str(FILE_BYTES)), lambda: limit_files(server, "unlimited"), False)
            return
        try:
            (disk / "data").mkdir()
            if user is not None:
                shutil.chown(disk / "data", user, user)
            await server.execute(f"CREATE TABLESPACE small LOCATION '{disk / 'data'}'", "CREATE DATABASE shop TABLESPACE small")
            ballast = disk / "ballast"
            url = server.url.replace("/postgres?", "/shop?")
            yield Disk(server, url, lambda: use_up(ballast), ballast.unlink, True)
            await server.control("-m", "immediate", "stop")
        finally:
            unmount(disk)


def mount(disk: Path) -> bool:
    """Mount a small file system. False: the machine gives no right to do so."""
    command = ("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0777", "tmpfs", str(disk))
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def unmount(disk: Path) -> None:
    """Take it away, even if files are open."""
    subprocess.run(("umount", "-l", str(disk)), check=True)


def use_up(ballast: Path) -> None:
    """Write until there is no room."""
    with ballast.open("wb", buffering=0) as file:
        for size in (1_000_000, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    assert os.statvfs(ballast).f_bavail == 0


def limit_files(server: Node, size: str) -> None:
    """No process of the server writes a file beyond this size, as with a quota."""
    postmaster = psutil.Process(int((server.folder / "postmaster.pid").read_text().split()[0]))
    for process in (postmaster, *postmaster.children()):
        subprocess.run(("prlimit", f"--pid={process.pid}", f"--fsize={size}:"), user=server.user, check=process == postmaster)


async def test_the_disk_is_full_for_a_while(tmp_path: Path, dispatch: str) -> None:
    async with small_disk() as disk, load(tmp_path, disk.url, dispatch, "full disk") as running:
        if not disk.is_mounted:
            await disk.server.execute(FILL)
        await asyncio.to_thread(disk.fill)
        settled, failed = running.settled, running.unreachable
        async with asyncio.timeout(120), asyncio.TaskGroup() as more:  # those who wait for an order only read
            while running.unreachable == failed:
                more.create_task(running.place_one())
                await asyncio.sleep(0.1)
            await asyncio.sleep(FULL_SECONDS)
            await asyncio.to_thread(disk.clear)
        await running.wait_for(20)
        assert running.settled >= settled + 20
