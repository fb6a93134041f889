"""A SQLite file that another program locks, that may only be read, or that is taken away while it is open."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.kit.stored_orders import stored
from tests.kit.toy import FAST, Toy
from tests.kit.world import eventually

from orderflow import Orderflow
from orderflow._cli.health import Limits, why_not_ready
from orderflow._cli.main import main
from orderflow._store.sqlite.store import SqliteStore
from orderflow.errors import OperationalError

pytestmark = pytest.mark.anyio
GONE = "^orders.db: the file was deleted, moved or replaced while it was open"


# ── locked ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The URL of a database whose lock for writing another program holds, and the id of an order in it."""
    db, (order_id,) = stored(tmp_path, ("ccv", "k", "", {}))
    with closing(sqlite3.connect(tmp_path / "orders.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield db, order_id
        other.execute("ROLLBACK")


def test_i_hold_the_lock_while_somebody_looks(locked: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    db, order_id = locked
    begun = time.monotonic()
    for command in (
        ["orders", "list"],
        ["orders", "show", order_id],
        ["why", order_id],
        ["providers"],
        ["listeners", "list"],
        ["db", "status"],
    ):
        assert main([*command, "--db", db]) == 0, capsys.readouterr().err
    assert time.monotonic() - begun < 15


async def test_i_hold_the_lock_while_a_service_starts_and_many_write(tmp_path: Path) -> None:
    """Each caller waits for one patience in all."""
    path, patience = tmp_path / "orders.db", 1.0
    async with Orderflow(f"sqlite:///{path}", [Toy()]) as flow:
        order = await flow.create("toy", key="k")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        async with Orderflow(SqliteStore(path, patience=patience), [Toy()]) as flow:
            assert (await flow.order(order.id)).id == order.id
            assert time.monotonic() - begun < patience
            sent = await asyncio.gather(*(flow.send(order.id, "order_it", key=str(n)) for n in range(5)), return_exceptions=True)
            assert {type(result) for result in sent} == {OperationalError}
            assert time.monotonic() - begun < 2.5 * patience
            other.execute("ROLLBACK")
            await flow.send(order.id, "order_it")


# ── to be read only ──────────────────────────────────────────────────────────────────────────────────────────────────────


def run_without_rights(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user who may read and not write."""
    drop = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    command = [*drop, sys.executable, "-c", "from orderflow._cli.main import run; run()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder in which everybody may read, made read-only by ``protect``."""
    folder = Path("/tmp") / f"orderflow-read-only-{os.getpid()}"
    folder.mkdir(mode=0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def protect(folder: Path) -> None:
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)


def copy_file(source: Path, target: Path) -> None:
    shutil.copy(source, target)


def copy_by_vacuum(source: Path, target: Path) -> None:
    """The copy has no write-ahead log."""
    with closing(sqlite3.connect(source)) as connection:
        connection.execute(f"VACUUM INTO '{target}'")


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="needs setpriv")
@pytest.mark.parametrize("copy", [copy_file, copy_by_vacuum])
def test_somebody_looks_at_a_copy_on_a_read_only_medium(tmp_path: Path, readable: Path, copy: Callable[[Path, Path], None]) -> None:
    _, (order_id,) = stored(tmp_path, ("ccv", "k", "", {}))
    copy(tmp_path / "orders.db", readable / "orders.db")
    protect(readable)
    db = f"sqlite:///{readable / 'orders.db'}"
    listed = run_without_rights("orders", "list", "--json", "--db", db)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert [order["id"] for order in json.loads(listed.stdout)] == [order_id]
    assert run_without_rights("orders", "show", order_id, "--db", db).returncode == 0
    assert run_without_rights("db", "status", "--db", db).returncode == 0
    refused = run_without_rights("orders", "redact", order_id, "--actor", "a", "--reason", "b", "-y", "--db", db)
    assert refused.returncode == 7
    assert "readonly database" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert [file.name for file in readable.iterdir()] == ["orders.db"]


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="needs setpriv")
async def test_a_read_only_copy_with_commits_in_its_log_is_refused(tmp_path: Path, readable: Path) -> None:
    """Without its log the copy would show an older state, and would not say so."""
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [Toy()]) as flow:
        await flow.create("toy", key="k")
        for name in ("orders.db", "orders.db-wal"):
            shutil.copy(tmp_path / name, readable / name)
    protect(readable)
    ran = await asyncio.to_thread(run_without_rights, "orders", "list", "--db", f"sqlite:///{readable / 'orders.db'}")
    assert (ran.returncode, ran.stdout) == (7, "")
    assert "copy both to a folder that can be written" in ran.stderr


# ── taken away ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def delete(path: Path) -> None:
    for file in path.parent.glob("orders.db*"):
        file.unlink()


def move_away(path: Path) -> None:
    path.rename(path.with_name("old.db"))


def replace(path: Path) -> None:
    """As a restore does: the copy takes the file's place."""
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    copy.rename(path)


def delete_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


@pytest.mark.parametrize("take_away", [delete, move_away, replace, delete_log])
async def test_i_take_the_file_away_while_a_service_runs(tmp_path: Path, take_away: Callable[[Path], None]) -> None:
    path = tmp_path / "orders.db"
    async with Orderflow(f"sqlite:///{path}", [Toy(timing=FAST)], worker=True, fetch_interval=0.05, grace=0.1) as flow:
        order = await flow.create("toy", key="a")
        await eventually(lambda: flow.health is not None and flow.health.database_ok)
        assert why_not_ready(flow.health, Limits()) == ""
        take_away(path)
        for ask in (flow.create("toy", key="b"), flow.send(order.id, "order_it"), flow.order(order.id)):
            with pytest.raises(OperationalError, match=GONE):
                await ask
        await eventually(lambda: why_not_ready(flow.health, Limits()) == "the database is away")


async def test_another_process_that_opens_and_closes_the_file_takes_nothing_away(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    async with Orderflow(f"sqlite:///{path}", [Toy()]) as flow:
        order = await flow.create("toy", key="a")
        async with Orderflow(f"sqlite:///{path}", [Toy()]) as other:
            await other.create("toy", key="b")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("VACUUM")
        await flow.send(order.id, "order_it")
    async with Orderflow(f"sqlite:///{path}", [Toy()]) as flow:
        assert (await flow.order(order.id)).state == "preparing"
