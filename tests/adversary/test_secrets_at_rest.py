"""Another account of the machine, and a reader of terminals and logs: what files and messages show."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from glob import glob
from pathlib import Path

import pytest
from tests.kit.world import EMAIL, ccv_at, ccv_request

from orderflow import Orderflow
from orderflow._cli.main import main
from orderflow._store.upgrade import upgrade
from orderflow.errors import ConfigurationError, OperationalError

pytestmark = pytest.mark.anyio
SECRET = "secret-canary"
URLS = (
    f"postgresql://app:12/{SECRET}@127.0.0.1:1/db",
    f"postgresql://app:[{SECRET}]@127.0.0.1:1/db",
    f"postgresql://app:[{SECRET}@127.0.0.1:1/db",
    f"postgresql://app:{SECRET}]@127.0.0.1:1/db",
    f"postgresql://app:x#{SECRET}@127.0.0.1:1/db",
    f"postgresql://app:x?{SECRET}@127.0.0.1:1/db",
    f"postgresql://app:12?a={SECRET}@127.0.0.1:1/db",
    f"postgresql://app:x@{SECRET}@127.0.0.1:1/db",
    f"postgresql://app:x@{SECRET}/y@127.0.0.1:1/db",
    f"postgresql://app:%zz{SECRET}@127.0.0.1:port/db",
    f"postgresql://app:{SECRET}@127.0.0.1:99999/db",
    f"postgresql+asyncpg://app:{SECRET}@127.0.0.1:1/db",
    f"postgres:app:{SECRET}@127.0.0.1:1/db",
    f"mysql://app:{SECRET}@127.0.0.1:1/db",
)


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
async def test_i_read_the_files_of_another_account(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    async with Orderflow(f"sqlite:///{path}", [ccv_at("http://127.0.0.1:1")]) as flow:
        await flow.create("ccv", key="k", **ccv_request())
        files = sorted(map(Path, await asyncio.to_thread(glob, f"{path}*")))
        assert any(EMAIL.encode() in file.read_bytes() for file in files)
        assert [file.name for file in files] == ["orders.db", "orders.db-shm", "orders.db-wal"]
        assert [file.name for file in files if file.stat().st_mode & 0o077] == []
    await upgrade(f"sqlite:///{tmp_path / 'upgraded.db'}")
    assert (tmp_path / "upgraded.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("open_umask")
async def test_a_file_that_the_application_made_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    path.touch(0o660)
    async with Orderflow(f"sqlite:///{path}", [ccv_at("http://127.0.0.1:1")]):
        assert path.stat().st_mode & 0o777 == 0o660


@pytest.mark.parametrize("url", URLS)
async def test_i_read_why_a_database_cannot_be_opened(url: str) -> None:
    with pytest.raises((ConfigurationError, OperationalError)) as raised:
        async with Orderflow(url, [ccv_at("http://127.0.0.1:1")]):
            pass
    error: BaseException | None = raised.value
    while error is not None:
        assert SECRET not in f"{error!r} {error} {getattr(error, '__notes__', '')}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("url", [*URLS, f"postgresql://app:{SECRET}@127.0.0.1:1/db"])
def test_i_look_at_the_terminal_of_an_operator(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ("db", "status", "--db", url),
        (url,),
        ("orders", url),
        ("orders", "show", url, "--db", "sqlite:///none.db"),
        ("find", url),
    ):
        assert main(arguments) != 0
        printed = "".join(capfd.readouterr())
        assert printed
        assert SECRET not in printed, arguments
        assert "Traceback" not in printed


def test_i_read_the_log_of_a_worker_that_does_not_start() -> None:
    settings = {"ORDERFLOW_DB": URLS[0], "ORDERFLOW_CCV_BASE_URL": "http://127.0.0.1:1", "ORDERFLOW_CCV_API_KEY": "k"}
    command = (sys.executable, "-c", "from orderflow._cli.main import run; run()", "worker", "--grace", "0")
    ended = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "percent-encode" in ended.stderr
    assert SECRET not in ended.stderr + ended.stdout
