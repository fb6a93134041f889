"""``orderflow worker`` as its user runs it: processes on one database, a provider on a socket, signals, probes, logs."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import define, field
from tests.kit import postgres
from tests.kit.world import (
    CANARIES,
    CCV_KEY,
    CONNECT_ID,
    CONNECT_SECRET,
    LINK_KEYS,
    ccv_request,
    ccv_sim,
    connect_request,
    connect_sim,
    eventually,
)

from orderflow._app import Orderflow
from orderflow._providers.ccv import Ccv
from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow._providers.ccv.wire import PREFIX
from orderflow._providers.connect import Connect
from orderflow._providers.connect.simulator import ConnectSimulator
from orderflow.model import Order
from orderflow.simulators import Fault, serve

pytestmark = pytest.mark.anyio

SCRIPT = Path(sys.executable).with_name("orderflow")
TIMEOUT = 60.0
CONFIGURE, SUBMIT, POLL = f"PATCH {PREFIX}", f"POST {PREFIX}/order", f"GET {PREFIX}"

APPLICATION = """
import asyncio, os, time
import orderflow

def provider(): return orderflow.Ccv(os.environ["CCV"], os.environ["CCV_KEY"], allow_http=True)
flow = orderflow.Orderflow(os.environ["APP_DB"], [provider()], fetch_interval=0.1, grace=0.2)

def note(entered):
    print(entered.key, entered.state, flush=True)

async def hang(entered):
    note(entered)
    await asyncio.Event().wait()

def block(entered):
    note(entered)
    time.sleep(600)

async def block_loop(entered):
    note(entered)
    time.sleep(600)

def fail(entered):
    secret = os.environ["CCV_KEY"], entered.order.snapshot.data  # a local variable
    raise RuntimeError("the mail server is away")

flow.on_entered("ccv", "Processing", {
    "timeout": hang, "block": block, "block loop": block_loop, "fail": fail, "note": note,
}[os.environ["LISTENER"]])
sync_flow = orderflow.sync(os.environ["APP_DB"], [provider()], fetch_interval=0.1)
sync_flow.on_entered("ccv", "Processing", note)
def make_flow(): return flow
"""
"""An application's module. The variable LISTENER names the handler of its listener."""


@define
class Process:
    """A worker. ``lines``: what it logged so far; ``notified``: what its listener printed."""

    process: asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(factory=list)
    raw: list[str] = field(factory=list)
    notified: list[str] = field(factory=list)
    _output: asyncio.Event = field(factory=asyncio.Event)

    async def read_output(self) -> None:
        async def read_stdout() -> None:
            async for line in self.process.stdout:  # type: ignore[union-attr]
                self.notified.append(line.decode().strip())
                self._output.set()

        async def read_stderr() -> None:
            async for line in self.process.stderr:  # type: ignore[union-attr]
                self.raw.append(line.decode())
                self.lines.append(json.loads(line) if line.startswith(b"{") else {"event": "", "plain": line.decode()})
                self._output.set()

        await asyncio.gather(read_stdout(), read_stderr())
        self._output.set()

    async def wait_for_line(self, event: str) -> dict[str, Any]:
        """The first line of this event, once it is there."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                self._output.clear()
                if lines := [line for line in self.lines if line["event"] == event]:
                    return lines[0]
                assert self.process.returncode is None, self.raw
                await self._output.wait()

    async def has_notified(self, count: int) -> None:
        async with asyncio.timeout(TIMEOUT):
            while len(self.notified) < count:
                self._output.clear()
                await self._output.wait()

    async def end(self, *signals: signal.Signals) -> int:
        """Send these signals, each when the worker has reacted to the one before; its exit code."""
        for n, number in enumerate(signals):
            if n:
                await self.wait_for_line("worker.draining")
            self.process.send_signal(number)
        async with asyncio.timeout(TIMEOUT):
            return await self.process.wait()


@define
class World:
    """Simulators on sockets, worker processes, and ``flow``: an Orderflow without a worker, to send commands and to look."""

    folder: Path
    db: str
    ccv: CcvSimulator
    connect: ConnectSimulator
    bases: tuple[str, str]
    flow: Orderflow
    _stack: AsyncExitStack
    secrets: tuple[str, str] = (CCV_KEY, CONNECT_SECRET)

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a worker that is started without a module."""
        ccv, connect = self.bases
        return {
            "ORDERFLOW_DB": self.db,
            "ORDERFLOW_PUBLIC_URL": "https://app.example/orders",
            "ORDERFLOW_SIGNING_KEYS": f"k1={LINK_KEYS['k1']}",
            "ORDERFLOW_CCV_BASE_URL": ccv + PREFIX,
            "ORDERFLOW_CCV_API_KEY_FILE": str(self._secret("ccv", self.secrets[0])),
            "ORDERFLOW_CCV_ALLOW_HTTP": "yes",
            "ORDERFLOW_CCV_NOTIFICATIONS": "off",
            "ORDERFLOW_CONNECT_API": f"{connect}/capi",
            "ORDERFLOW_CONNECT_LOGIN": f"{connect}/user",
            "ORDERFLOW_CONNECT_CLIENT_ID": CONNECT_ID,
            "ORDERFLOW_CONNECT_CLIENT_SECRET_FILE": str(self._secret("connect", self.secrets[1])),
        }

    def _secret(self, name: str, text: str) -> Path:
        path = self.folder / f"{name}.secret"
        path.write_text(text + "\n")
        return path

    async def worker(self, *arguments: str, listener: str = "", module: str = "app:flow") -> Process:
        """A worker process that has started; with a ``listener``, one of the application's module."""
        if listener:
            (self.folder / "app.py").write_text(APPLICATION)
            environment = {"APP_DB": self.db, "CCV": self.bases[0] + PREFIX, "CCV_KEY": CCV_KEY, "LISTENER": listener}
            arguments = (module, *arguments)
        else:
            environment = self.environment
        process = await asyncio.create_subprocess_exec(
            str(SCRIPT),
            "worker",
            *arguments,
            cwd=self.folder,
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        worker = Process(process)
        reading = asyncio.create_task(worker.read_output())
        self._stack.push_async_callback(_kill, process, reading)
        await worker.wait_for_line("worker.started")
        return worker

    async def submit_order(self, key: str = "k") -> Order:
        order = await self.flow.create("ccv", key=key, **ccv_request())
        await self.flow.send(order.id, "submit")
        return order

    def rename(self, table: str, name: str) -> None:
        """Break the database, or repair it."""
        with closing(sqlite3.connect(self.folder / "orders.db", timeout=15)) as connection, connection:
            connection.execute(f"ALTER TABLE {table} RENAME TO {name}")

    def list_leased(self) -> list[tuple[str, ...]]:
        """What is owed and leased: effects, and polls whose lease of a minute has not ended."""
        with closing(sqlite3.connect(self.folder / "orders.db", timeout=15)) as connection:
            effects = "SELECT name FROM of_effects WHERE owed = 1 AND (in_flight = 1 OR run_at > ?)"
            polls = "SELECT 'poll' FROM of_polls WHERE abs(next_at - last_at - 60) < 0.001"
            return connection.execute(effects, (time.time(),)).fetchall() + connection.execute(polls).fetchall()


async def _kill(process: asyncio.subprocess.Process, reading: asyncio.Task[None]) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
    await reading


@asynccontextmanager
async def open_world(folder: Path, db: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        ccv, connect = await enter(ccv_sim()), await enter(connect_sim())
        ccv.script(None)  # submitted orders stay in Processing
        bases = await enter(serve(ccv.asgi)), await enter(serve(connect.asgi))
        flow = await enter(Orderflow(db, [Ccv.offline(), Connect.offline()]))
        yield World(folder, db, ccv, connect, bases, flow, stack)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, f"sqlite:///{tmp_path / 'orders.db'}") as opened:
        yield opened


async def probe(http: httpx.AsyncClient, path: str) -> tuple[int, str]:
    answer = await http.get(path)
    return answer.status_code, answer.json()["why"]


async def wait_for_probe(http: httpx.AsyncClient, path: str, expected: tuple[int, str]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while await probe(http, path) != expected:
            await asyncio.sleep(0.05)


# ── its work ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_environment_alone_configures_a_worker_for_both_providers(world: World) -> None:
    worker = await world.worker()
    order = await world.submit_order()
    other = await world.flow.create("connect", key="c", **connect_request())
    await world.flow.send(other.id, "register")
    order = await world.flow.wait(order.id, "Processing", TIMEOUT)
    await world.flow.wait(other.id, "registered", TIMEOUT)
    world.ccv.transition(str(order.provider_id), "Canceled")
    await world.flow.refresh(order.id)
    await world.flow.wait(order.id, "Canceled", TIMEOUT)
    assert await worker.end(signal.SIGTERM) == 0
    assert world.list_leased() == []
    assert [line["event"] for line in worker.lines][-2:] == ["worker.draining", "worker.ended"]
    assert all(line["level"] and line["timestamp"] for line in worker.lines)
    assert worker.notified == []


@pytest.mark.parametrize("name", [pytest.param("app:flow", marks=pytest.mark.slow), "app:make_flow", "app:sync_flow"])
async def test_the_flow_of_a_module_works_and_its_listener_is_notified(world: World, name: str) -> None:
    worker = await world.worker(module=name, listener="note")
    order = await world.submit_order()
    await worker.has_notified(1)
    assert worker.notified == [f"{order.id}:3:0 Processing"]
    assert await worker.end(signal.SIGINT) == 0


async def test_two_workers_on_one_database_send_each_order_once(world: World) -> None:
    workers = [await world.worker(), await world.worker()]
    orders = [await world.submit_order(str(n)) for n in range(20)]
    await asyncio.gather(*(world.flow.wait(order.id, "Processing", TIMEOUT) for order in orders))
    assert world.ccv.journal.count_executed(SUBMIT) == 20
    assert [await worker.end(signal.SIGTERM) for worker in workers] == [0, 0]
    assert world.list_leased() == []


# ── its end ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_call_that_is_answered_within_the_grace_ends_as_usual(world: World) -> None:
    world.ccv.faults.arm(Fault(SUBMIT, "delay", seconds=1.0))
    worker = await world.worker("--grace", "30")
    order = await world.submit_order()
    await eventually(lambda: world.ccv.journal.count_received(SUBMIT), TIMEOUT)
    assert await worker.end(signal.SIGTERM) == 0
    assert (await world.flow.order(order.id)).state == "Processing"
    assert world.list_leased() == []


async def test_a_submit_in_progress_at_the_end_of_the_grace_is_in_doubt_and_never_sent_again(world: World) -> None:
    world.ccv.faults.arm(Fault(SUBMIT, "timeout-after-commit"))
    worker = await world.worker("--grace", "0.2")
    order = await world.submit_order()
    await eventually(lambda: world.ccv.journal.count_received(SUBMIT), TIMEOUT)
    assert await worker.end(signal.SIGTERM) == 0
    assert (await world.flow.order(order.id)).state == "submission_in_doubt"
    last = (await world.flow.journal(order.id))[-1]
    assert (last.event, last.note) == ("submission_answer_lost", "the worker stopped before the answer came")
    assert world.list_leased() == []
    later = await world.worker()
    other = await world.submit_order("other")
    await world.flow.wait(other.id, "Processing", TIMEOUT)
    assert await later.end(signal.SIGTERM) == 0
    assert world.ccv.journal.count_executed(SUBMIT) == 2  # one each


async def test_a_configuration_in_progress_is_given_back_and_done_by_another_at_once(world: World) -> None:
    world.ccv.faults.arm(Fault(CONFIGURE, "timeout"))
    worker = await world.worker("--grace", "0.2")
    order = await world.submit_order()
    await eventually(lambda: world.ccv.journal.count_received(CONFIGURE), TIMEOUT)
    assert await worker.end(signal.SIGTERM) == 0
    assert world.list_leased() == []
    await world.worker()
    await world.flow.wait(order.id, "Processing", TIMEOUT / 2)  # the lease of the first would have lasted a minute
    assert world.ccv.journal.count_executed(SUBMIT) == 1


@pytest.mark.slow
async def test_a_poll_in_progress_is_planned_again(world: World) -> None:
    worker = await world.worker("--grace", "0.2")
    order = await world.submit_order()
    order = await world.flow.wait(order.id, "Processing", TIMEOUT)
    world.ccv.faults.arm(Fault(POLL, "timeout"))
    await world.flow.refresh(order.id)
    await eventually(lambda: world.ccv.journal.count_received(POLL), TIMEOUT)
    assert world.list_leased() == [("poll",)]
    assert await worker.end(signal.SIGTERM) == 0
    assert world.list_leased() == []


async def test_a_poll_that_failed_before_the_signal_is_planned_again(world: World) -> None:
    worker = await world.worker("--grace", "0.2")
    order = await world.submit_order()
    order = await world.flow.wait(order.id, "Processing", TIMEOUT)
    world.ccv.transition(str(order.provider_id), "Canceled")
    world.rename("of_journal", "of_elsewhere")  # the result of the poll cannot be written
    await world.flow.refresh(order.id)
    await worker.wait_for_line("worker.item_failed")
    world.rename("of_elsewhere", "of_journal")
    assert world.list_leased() == [("poll",)]
    assert await worker.end(signal.SIGTERM) == 0
    assert world.list_leased() == []


@pytest.mark.parametrize("listener", [pytest.param("timeout", marks=pytest.mark.slow), "block"])
async def test_a_listener_that_does_not_return_is_notified_again_by_another_worker(world: World, listener: str) -> None:
    worker = await world.worker(listener=listener)
    await world.submit_order()
    await worker.has_notified(1)
    assert await worker.end(signal.SIGTERM) == 0
    assert world.list_leased() == []
    later = await world.worker(listener="note")
    await later.has_notified(1)
    assert later.notified == worker.notified
    assert await later.end(signal.SIGTERM) == 0


async def test_a_listener_that_blocks_the_event_loop_does_not_keep_the_worker_from_ending(world: World) -> None:
    worker = await world.worker(listener="block loop")
    await world.submit_order()
    await worker.has_notified(1)
    start = time.monotonic()
    assert await worker.end(signal.SIGTERM) == 1
    assert time.monotonic() - start < 0.2 + 10 + TIMEOUT / 4  # grace, 10 s, and a slow machine


async def test_a_second_signal_ends_it_at_once(world: World) -> None:
    world.ccv.faults.arm(Fault(SUBMIT, "timeout"))
    worker = await world.worker("--grace", "600")
    await world.submit_order()
    await eventually(lambda: world.ccv.journal.count_received(SUBMIT), TIMEOUT)
    assert await worker.end(signal.SIGTERM, signal.SIGINT) == -signal.SIGINT
    assert world.list_leased() == [("submit_order",)]  # until the lease ends; then another worker reports it in doubt


# ── its health ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_it_is_not_ready_while_it_drains(world: World) -> None:
    world.ccv.faults.arm(Fault(SUBMIT, "timeout"))
    worker = await world.worker("--grace", "2", "--health", "127.0.0.1:0")
    await world.submit_order()
    async with httpx.AsyncClient(trust_env=False, base_url=(await worker.wait_for_line("worker.started"))["health"]) as http:
        await wait_for_probe(http, "/ready", (200, ""))
        await eventually(lambda: world.ccv.journal.count_received(SUBMIT), TIMEOUT)
        assert (await http.get("/live")).json()["in_flight"] == 1
        worker.process.send_signal(signal.SIGTERM)
        assert (await worker.wait_for_line("worker.draining"))["in_flight"] == 1
        assert (await probe(http, "/ready"), await probe(http, "/live")) == ((503, "draining"), (200, ""))
    assert await worker.process.wait() == 0


async def test_it_is_not_ready_while_its_database_is_broken(world: World) -> None:
    worker = await world.worker("--health", "127.0.0.1:0", listener="note")
    async with httpx.AsyncClient(trust_env=False, base_url=(await worker.wait_for_line("worker.started"))["health"]) as http:
        await wait_for_probe(http, "/ready", (200, ""))
        for name, new_name, expected in (
            ("of_effects", "of_elsewhere", (503, "the database is away")),
            ("of_elsewhere", "of_effects", (200, "")),
        ):
            world.rename(name, new_name)
            await wait_for_probe(http, "/ready", expected)
            assert await probe(http, "/live") == (200, "")
    order = await world.submit_order()
    await world.flow.wait(order.id, "Processing", TIMEOUT)
    assert await worker.end(signal.SIGTERM) == 0


async def test_refused_credentials_are_logged_once_and_named_by_the_probes(world: World) -> None:
    worker = await world.worker()
    orders = [await world.submit_order(str(n)) for n in range(6)]
    await asyncio.gather(*(world.flow.wait(order.id, "Processing", TIMEOUT) for order in orders))
    assert await worker.end(signal.SIGTERM) == 0
    world.secrets = ("another-key-canary", "another-secret-canary")
    worker = await world.worker("--health", "127.0.0.1:0")
    for n, order in enumerate(orders):
        await world.flow.refresh(order.id)
        other = await world.flow.create("connect", key=str(n), **connect_request())
        await world.flow.send(other.id, "register")
    async with httpx.AsyncClient(trust_env=False, base_url=(await worker.wait_for_line("worker.started"))["health"]) as http:
        async with asyncio.timeout(TIMEOUT):
            while len((response := await http.get("/ready")).json()["problems"]) < 2:
                await asyncio.sleep(0.05)
    assert response.json()["problems"] == dict.fromkeys(("ccv", "connect"), "refuses our credentials")
    assert (response.status_code, response.json()["why"]) == (200, "")  # it works for the other providers
    assert await worker.end(signal.SIGTERM) == 0
    logged = [(line["provider"], line["level"], line["why"]) for line in worker.lines if line["event"] == "provider.problem_began"]
    assert sorted(logged) == [(name, "warning", "refuses our credentials") for name in ("ccv", "connect")]
    assert not [line for line in worker.raw if "canary" in line]


@pytest.mark.slow
async def test_postgresql_goes_away_and_returns(tmp_path: Path) -> None:
    own = postgres.server(f"orderflow-pg-own-{secrets.token_hex(4)}")
    try:
        async with open_world(tmp_path, own.get_uri()) as world:
            worker = await world.worker("--health", "127.0.0.1:0")
            async with httpx.AsyncClient(trust_env=False, base_url=(await worker.wait_for_line("worker.started"))["health"]) as http:
                await wait_for_probe(http, "/ready", (200, ""))
                await asyncio.to_thread(postgres.pg_ctl, own, "-m", "immediate", "stop")
                await wait_for_probe(http, "/ready", (503, "the database is away"))
                assert await probe(http, "/live") == (200, "")
                await asyncio.to_thread(own.ensure_postgres_running)
                await wait_for_probe(http, "/ready", (200, ""))
            order = await world.submit_order()
            await world.flow.wait(order.id, "Processing", TIMEOUT)
            assert await worker.end(signal.SIGTERM) == 0
    finally:
        own.ensure_postgres_running()
        own.cleanup()


@pytest.mark.slow
async def test_it_ends_although_its_database_is_away_and_logs_what_stays_leased(tmp_path: Path) -> None:
    own = postgres.server(f"orderflow-pg-own-{secrets.token_hex(4)}")
    try:
        async with open_world(tmp_path, own.get_uri()) as world:
            world.ccv.faults.arm(Fault(SUBMIT, "timeout"))
            worker = await world.worker("--grace", "0.5")
            await world.submit_order()
            await eventually(lambda: world.ccv.journal.count_received(SUBMIT), TIMEOUT)
            await asyncio.to_thread(postgres.pg_ctl, own, "-m", "immediate", "stop")
            assert await worker.end(signal.SIGTERM) == 1
            assert (await worker.wait_for_line("worker.ended"))["left"] >= 1
            await asyncio.to_thread(own.ensure_postgres_running)
    finally:
        own.ensure_postgres_running()
        own.cleanup()


# ── its logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_line_is_json_and_shows_no_secret(world: World) -> None:
    world.ccv.faults.arm(Fault(SUBMIT, "garbage"))
    worker = await world.worker("--log-level", "debug", "--health", "127.0.0.1:0", listener="fail")
    lost = await world.submit_order("lost")
    await world.flow.wait(lost.id, "submission_in_doubt", TIMEOUT)
    order = await world.submit_order()
    await world.flow.wait(order.id, "Processing", TIMEOUT)
    failed = await worker.wait_for_line("listener.failed")
    assert "in fail" in failed["traceback"]
    assert failed["traceback"].endswith("RuntimeError: the mail server is away\n")
    async with httpx.AsyncClient(trust_env=False, base_url=(await worker.wait_for_line("worker.started"))["health"]) as http:
        bodies = [(await http.get(path)).text for path in ("/live", "/ready", "/nowhere")]
        assert (await http.get("/ready")).json()["failing_listeners"]["ccv Processing"] >= 1
    assert await worker.end(signal.SIGTERM) == 0
    assert [line for line in worker.lines if "plain" in line] == []
    shown = "".join([*worker.raw, *bodies])
    assert [canary for canary in (*CANARIES, *LINK_KEYS.values()) if canary in shown] == []


@pytest.mark.slow
async def test_less_is_logged_on_request(world: World) -> None:
    worker = await asyncio.create_subprocess_exec(
        str(SCRIPT), "worker", "--log-level", "error", env={**os.environ, **world.environment}, stderr=asyncio.subprocess.PIPE
    )
    order = await world.submit_order()
    await world.flow.wait(order.id, "Processing", TIMEOUT)
    worker.send_signal(signal.SIGTERM)
    _, logged = await worker.communicate()
    assert (worker.returncode, logged) == (0, b"")
