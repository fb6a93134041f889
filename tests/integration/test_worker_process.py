"""``orderflow work`` as its user runs it: processes on one database, a provider on a socket, signals, probes, logs."""

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

from orderflow.app import Orderflow
from orderflow.model import Order
from orderflow.providers.ccv import Ccv
from orderflow.providers.ccv.simulator import CcvSimulator
from orderflow.providers.ccv.wire import PREFIX
from orderflow.providers.connect import Connect
from orderflow.providers.connect.simulator import ConnectSimulator
from orderflow.simulators import Fault, serve

pytestmark = pytest.mark.anyio

SCRIPT = Path(sys.executable).with_name("orderflow")
PATIENCE = 60.0
CONFIGURE, SUBMIT, READ = f"PATCH {PREFIX}", f"POST {PREFIX}/order", f"GET {PREFIX}"

SHOP = """
import asyncio, os, time
import orderflow
from orderflow.providers.ccv import TIMING

flow = orderflow.Orderflow(
    os.environ["SHOP_DB"], [orderflow.Ccv(os.environ["CCV"], os.environ["CCV_KEY"], allow_http=True)], fetch_interval=0.1, grace=0.2
)

def note(told):
    print(told.key, told.state, flush=True)

async def hang(told):
    note(told)
    await asyncio.Event().wait()

def block(told):
    note(told)
    time.sleep(600)

def raising(told):
    raise RuntimeError(f"{os.environ['CCV_KEY']} {told.order.snapshot.data}")

flow.on_entered("ccv", "Processing", {"hang": hang, "block": block, "raise": raising, "": note}[os.environ["HOST"]])
async_flow = orderflow.sync(os.environ["SHOP_DB"], [orderflow.Ccv(os.environ["CCV"], os.environ["CCV_KEY"], allow_http=True)], fetch_interval=0.1)
async_flow.on_entered("ccv", "Processing", note)
def made(): return flow
"""
"""A service's module: what it lets the worker do when it is told is the environment's HOST."""


@define
class Process:
    """A worker. ``lines``: what it logged so far; ``told``: what its host printed."""

    process: asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(factory=list)
    raw: list[str] = field(factory=list)
    told: list[str] = field(factory=list)
    _news: asyncio.Event = field(factory=asyncio.Event)

    async def add_listeners(self) -> None:
        async def out() -> None:
            async for line in self.process.stdout:  # type: ignore[union-attr]
                self.told.append(line.decode().strip())
                self._news.set()

        async def err() -> None:
            async for line in self.process.stderr:  # type: ignore[union-attr]
                self.raw.append(line.decode())
                self.lines.append(json.loads(line) if line.startswith(b"{") else {"event": "", "plain": line.decode()})
                self._news.set()

        await asyncio.gather(out(), err())
        self._news.set()

    async def logged(self, event: str) -> dict[str, Any]:
        """The first line of this event, once it is there."""
        async with asyncio.timeout(PATIENCE):
            while True:
                self._news.clear()
                if found := [line for line in self.lines if line["event"] == event]:
                    return found[0]
                assert self.process.returncode is None, self.raw
                await self._news.wait()

    async def has_told(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.told) < count:
                self._news.clear()
                await self._news.wait()

    async def end(self, *signals: signal.Signals) -> int:
        """Send these, one when the one before has been understood; its exit code."""
        for n, one in enumerate(signals):
            if n:
                await self.logged("work.draining")
            self.process.send_signal(one)
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@define
class Yard:
    """Simulators on sockets, a flow that does not work (to order with and to look), and worker processes."""

    folder: Path
    db: str
    ccv: CcvSimulator
    connect: ConnectSimulator
    bases: tuple[str, str]
    desk: Orderflow
    _stack: AsyncExitStack
    secrets: tuple[str, str] = (CCV_KEY, CONNECT_SECRET)

    @property
    def environment(self) -> dict[str, str]:
        """All that a worker without a module needs."""
        ccv, connect = self.bases
        return {
            "ORDERFLOW_DB": self.db,
            "ORDERFLOW_PUBLIC_URL": "https://shop.example/orders",
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

    async def worker(self, *arguments: str, host: str | None = None) -> Process:
        """A worker process that has started; with a ``host`` that of the module's flow, which does this when it is told."""
        if host is None:
            environment = self.environment
        else:
            (self.folder / "shop.py").write_text(SHOP)
            environment = {"SHOP_DB": self.db, "CCV": self.bases[0] + PREFIX, "CCV_KEY": CCV_KEY, "HOST": host}
            arguments = arguments if any(":" in one[:8] for one in arguments) else ("shop:flow", *arguments)
        process = await asyncio.create_subprocess_exec(
            str(SCRIPT),
            "work",
            *arguments,
            cwd=self.folder,
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        worker = Process(process)
        listening = asyncio.create_task(worker.add_listeners())
        self._stack.push_async_callback(_put_down, process, listening)
        await worker.logged("work.started")
        return worker

    async def ordered(self, key: str = "k") -> Order:
        order = await self.desk.create("ccv", key=key, **ccv_request())
        await self.desk.send(order.id, "submit")
        return order

    def rename(self, table: str, name: str) -> None:
        """Bring the database into trouble, or out of it."""
        with closing(sqlite3.connect(self.folder / "orders.db", timeout=15)) as connection, connection:
            connection.execute(f"ALTER TABLE {table} RENAME TO {name}")

    def leased(self) -> list[tuple[str, ...]]:
        """What nobody may take now although it is owed, for somebody has it: effects, and reads whose lease of a minute runs."""
        with closing(sqlite3.connect(self.folder / "orders.db", timeout=15)) as connection:
            effects = "SELECT name FROM of_effects WHERE owed = 1 AND (in_flight = 1 OR run_at > ?)"
            reads = "SELECT 'read' FROM of_polls WHERE abs(next_at - last_at - 60) < 0.001"
            return connection.execute(effects, (time.time(),)).fetchall() + connection.execute(reads).fetchall()


async def _put_down(process: asyncio.subprocess.Process, listening: asyncio.Task[None]) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
    await listening


@asynccontextmanager
async def opened(folder: Path, db: str) -> AsyncIterator[Yard]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        ccv, connect = await enter(ccv_sim()), await enter(connect_sim())
        ccv.script(None)  # submitted orders stay in Processing
        bases = await enter(serve(ccv.asgi)), await enter(serve(connect.asgi))
        desk = await enter(Orderflow(db, [Ccv.offline(), Connect.offline()]))
        yield Yard(folder, db, ccv, connect, bases, desk, stack)


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    async with opened(tmp_path, f"sqlite:///{tmp_path / 'orders.db'}") as made:
        yield made


async def probe(http: httpx.AsyncClient, path: str) -> tuple[int, str]:
    answer = await http.get(path)
    return answer.status_code, answer.json()["why"]


async def probed_until(http: httpx.AsyncClient, path: str, wanted: tuple[int, str]) -> None:
    async with asyncio.timeout(PATIENCE):
        while await probe(http, path) != wanted:
            await asyncio.sleep(0.05)


# ── its work ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_orders_of_both_providers_live_by_the_environment_alone(yard: Yard) -> None:
    worker = await yard.worker()
    order = await yard.ordered()
    other = await yard.desk.create("connect", key="c", **connect_request())
    await yard.desk.send(other.id, "register")
    order = await yard.desk.wait(order.id, "Processing", PATIENCE)
    await yard.desk.wait(other.id, "registered", PATIENCE)
    yard.ccv.move(str(order.provider_id), "Canceled")
    await yard.desk.refresh(order.id)
    await yard.desk.wait(order.id, "Canceled", PATIENCE)
    assert await worker.end(signal.SIGTERM) == 0
    assert yard.leased() == []
    assert [line["event"] for line in worker.lines][-2:] == ["work.draining", "work.ended"]
    assert all(line["level"] and line["timestamp"] for line in worker.lines)
    assert worker.told == []


@pytest.mark.parametrize("name", [pytest.param("shop:flow", marks=pytest.mark.slow), "shop:made", "shop:async_flow"])
async def test_the_flow_of_a_module_works_and_its_host_is_told(yard: Yard, name: str) -> None:
    worker = await yard.worker(name, host="")
    order = await yard.ordered()
    await worker.has_told(1)
    assert worker.told == [f"{order.id}:3:0 Processing"]
    assert await worker.end(signal.SIGINT) == 0


async def test_two_workers_on_one_database_send_each_order_once(yard: Yard) -> None:
    workers = [await yard.worker(), await yard.worker()]
    orders = [await yard.ordered(str(n)) for n in range(20)]
    await asyncio.gather(*(yard.desk.wait(order.id, "Processing", PATIENCE) for order in orders))
    assert yard.ccv.journal.count_executed(SUBMIT) == 20
    assert [await worker.end(signal.SIGTERM) for worker in workers] == [0, 0]
    assert yard.leased() == []


# ── its end ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_answered_within_the_grace_just_ends(yard: Yard) -> None:
    yard.ccv.faults.arm(Fault(SUBMIT, "delay", seconds=1.0))
    worker = await yard.worker("--grace", "30")
    order = await yard.ordered()
    await eventually(lambda: yard.ccv.journal.count_received(SUBMIT), PATIENCE)
    assert await worker.end(signal.SIGTERM) == 0
    assert (await yard.desk.order(order.id)).state == "Processing"
    assert yard.leased() == []


async def test_a_submit_under_way_at_the_end_of_the_grace_is_in_doubt_and_never_sent_again(yard: Yard) -> None:
    yard.ccv.faults.arm(Fault(SUBMIT, "timeout-after-commit"))
    worker = await yard.worker("--grace", "0.2")
    order = await yard.ordered()
    await eventually(lambda: yard.ccv.journal.count_received(SUBMIT), PATIENCE)
    assert await worker.end(signal.SIGTERM) == 0
    assert (await yard.desk.order(order.id)).state == "submission_in_doubt"
    last = (await yard.desk.journal(order.id))[-1]
    assert (last.event, last.note) == ("submission_answer_lost", "the worker stopped before the answer came")
    assert yard.leased() == []
    later = await yard.worker()
    other = await yard.ordered("other")
    await yard.desk.wait(other.id, "Processing", PATIENCE)
    assert await later.end(signal.SIGTERM) == 0
    assert yard.ccv.journal.count_executed(SUBMIT) == 2  # one each


async def test_a_configuration_under_way_is_given_back_and_done_by_another_at_once(yard: Yard) -> None:
    yard.ccv.faults.arm(Fault(CONFIGURE, "timeout"))
    worker = await yard.worker("--grace", "0.2")
    order = await yard.ordered()
    await eventually(lambda: yard.ccv.journal.count_received(CONFIGURE), PATIENCE)
    assert await worker.end(signal.SIGTERM) == 0
    assert yard.leased() == []
    await yard.worker()
    await yard.desk.wait(order.id, "Processing", PATIENCE / 2)  # the lease of the first would have lasted a minute
    assert yard.ccv.journal.count_executed(SUBMIT) == 1


@pytest.mark.slow
async def test_a_read_under_way_is_planned_again(yard: Yard) -> None:
    worker = await yard.worker("--grace", "0.2")
    order = await yard.ordered()
    order = await yard.desk.wait(order.id, "Processing", PATIENCE)
    yard.ccv.faults.arm(Fault(READ, "timeout"))
    await yard.desk.refresh(order.id)
    await eventually(lambda: yard.ccv.journal.count_received(READ), PATIENCE)
    assert yard.leased() == [("read",)]
    assert await worker.end(signal.SIGTERM) == 0
    assert yard.leased() == []


async def test_a_read_that_failed_before_the_signal_is_planned_again(yard: Yard) -> None:
    worker = await yard.worker("--grace", "0.2")
    order = await yard.ordered()
    order = await yard.desk.wait(order.id, "Processing", PATIENCE)
    yard.ccv.move(str(order.provider_id), "Canceled")
    yard.rename("of_journal", "of_elsewhere")  # what was read cannot be written
    await yard.desk.refresh(order.id)
    await worker.logged("worker.item_failed")
    yard.rename("of_elsewhere", "of_journal")
    assert yard.leased() == [("read",)]
    assert await worker.end(signal.SIGTERM) == 0
    assert yard.leased() == []


@pytest.mark.parametrize("host", [pytest.param("hang", marks=pytest.mark.slow), "block"])
async def test_a_host_that_does_not_return_is_told_again_by_another(yard: Yard, host: str) -> None:
    worker = await yard.worker(host=host)
    await yard.ordered()
    await worker.has_told(1)
    assert await worker.end(signal.SIGTERM) == 0
    assert yard.leased() == []
    later = await yard.worker(host="")
    await later.has_told(1)
    assert later.told == worker.told
    assert await later.end(signal.SIGTERM) == 0


async def test_a_second_signal_ends_it_at_once(yard: Yard) -> None:
    yard.ccv.faults.arm(Fault(SUBMIT, "timeout"))
    worker = await yard.worker("--grace", "600")
    await yard.ordered()
    await eventually(lambda: yard.ccv.journal.count_received(SUBMIT), PATIENCE)
    assert await worker.end(signal.SIGTERM, signal.SIGINT) == -signal.SIGINT
    assert yard.leased() == [("submit_order",)]  # left to its lease; whoever takes it over reports it lost


# ── its health ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_it_is_not_ready_while_it_drains(yard: Yard) -> None:
    yard.ccv.faults.arm(Fault(SUBMIT, "timeout"))
    worker = await yard.worker("--grace", "2", "--health", "127.0.0.1:0")
    await yard.ordered()
    async with httpx.AsyncClient(trust_env=False, base_url=(await worker.logged("work.started"))["health"]) as http:
        await probed_until(http, "/ready", (200, ""))
        await eventually(lambda: yard.ccv.journal.count_received(SUBMIT), PATIENCE)
        assert (await http.get("/live")).json()["in_hand"] == 1
        worker.process.send_signal(signal.SIGTERM)
        assert (await worker.logged("work.draining"))["in_hand"] == 1
        assert (await probe(http, "/ready"), await probe(http, "/live")) == ((503, "draining"), (200, ""))
    assert await worker.process.wait() == 0


async def test_it_is_not_ready_while_its_database_is_in_trouble(yard: Yard) -> None:
    worker = await yard.worker("--health", "127.0.0.1:0", host="")
    async with httpx.AsyncClient(trust_env=False, base_url=(await worker.logged("work.started"))["health"]) as http:
        await probed_until(http, "/ready", (200, ""))
        for here, there, wanted in (
            ("of_effects", "of_elsewhere", (503, "the database is away")),
            ("of_elsewhere", "of_effects", (200, "")),
        ):
            yard.rename(here, there)
            await probed_until(http, "/ready", wanted)
            assert await probe(http, "/live") == (200, "")
    order = await yard.ordered()
    await yard.desk.wait(order.id, "Processing", PATIENCE)
    assert await worker.end(signal.SIGTERM) == 0


async def test_wrong_credentials_are_said_once_and_named_where_it_is_asked_how_it_is(yard: Yard) -> None:
    worker = await yard.worker()
    orders = [await yard.ordered(str(n)) for n in range(6)]
    await asyncio.gather(*(yard.desk.wait(order.id, "Processing", PATIENCE) for order in orders))
    assert await worker.end(signal.SIGTERM) == 0
    yard.secrets = ("another-key-canary", "another-secret-canary")
    worker = await yard.worker("--health", "127.0.0.1:0")
    for n, order in enumerate(orders):
        await yard.desk.refresh(order.id)
        other = await yard.desk.create("connect", key=str(n), **connect_request())
        await yard.desk.send(other.id, "register")
    async with httpx.AsyncClient(trust_env=False, base_url=(await worker.logged("work.started"))["health"]) as http:
        async with asyncio.timeout(PATIENCE):
            while len((answer := await http.get("/ready")).json()["troubles"]) < 2:
                await asyncio.sleep(0.05)
    assert answer.json()["troubles"] == dict.fromkeys(("ccv", "connect"), "refuses our credentials")
    assert (answer.status_code, answer.json()["why"]) == (200, "")  # it works for whom it may
    assert await worker.end(signal.SIGTERM) == 0
    said = [(line["provider"], line["level"], line["why"]) for line in worker.lines if line["event"] == "circuit.opened"]
    assert sorted(said) == [(name, "warning", "refuses our credentials") for name in ("ccv", "connect")]
    assert not [line for line in worker.raw if "canary" in line]


@pytest.mark.slow
async def test_postgresql_goes_away_and_returns(tmp_path: Path) -> None:
    own = postgres.server(f"orderflow-pg-own-{secrets.token_hex(4)}")
    try:
        async with opened(tmp_path, own.get_uri()) as yard:
            worker = await yard.worker("--health", "127.0.0.1:0")
            async with httpx.AsyncClient(trust_env=False, base_url=(await worker.logged("work.started"))["health"]) as http:
                await probed_until(http, "/ready", (200, ""))
                await asyncio.to_thread(postgres.pg_ctl, own, "-m", "immediate", "stop")
                await probed_until(http, "/ready", (503, "the database is away"))
                assert await probe(http, "/live") == (200, "")
                await asyncio.to_thread(own.ensure_postgres_running)
                await probed_until(http, "/ready", (200, ""))
            order = await yard.ordered()
            await yard.desk.wait(order.id, "Processing", PATIENCE)
            assert await worker.end(signal.SIGTERM) == 0
    finally:
        own.ensure_postgres_running()
        own.cleanup()


@pytest.mark.slow
async def test_it_ends_although_its_database_is_away_and_says_what_it_left(tmp_path: Path) -> None:
    own = postgres.server(f"orderflow-pg-own-{secrets.token_hex(4)}")
    try:
        async with opened(tmp_path, own.get_uri()) as yard:
            yard.ccv.faults.arm(Fault(SUBMIT, "timeout"))
            worker = await yard.worker("--grace", "0.5")
            await yard.ordered()
            await eventually(lambda: yard.ccv.journal.count_received(SUBMIT), PATIENCE)
            await asyncio.to_thread(postgres.pg_ctl, own, "-m", "immediate", "stop")
            assert await worker.end(signal.SIGTERM) == 1
            assert (await worker.logged("work.ended"))["left"] >= 1
            await asyncio.to_thread(own.ensure_postgres_running)
    finally:
        own.ensure_postgres_running()
        own.cleanup()


# ── its logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_line_is_json_and_shows_no_secret(yard: Yard) -> None:
    yard.ccv.faults.arm(Fault(SUBMIT, "garbage"))
    worker = await yard.worker("--log-level", "debug", "--health", "127.0.0.1:0", host="raise")
    lost = await yard.ordered("lost")
    await yard.desk.wait(lost.id, "submission_in_doubt", PATIENCE)
    order = await yard.ordered()
    await yard.desk.wait(order.id, "Processing", PATIENCE)
    assert await worker.logged("listener.failed")
    async with httpx.AsyncClient(trust_env=False, base_url=(await worker.logged("work.started"))["health"]) as http:
        bodies = [(await http.get(path)).text for path in ("/live", "/ready", "/nowhere")]
    assert await worker.end(signal.SIGTERM) == 0
    assert [line for line in worker.lines if "plain" in line] == []
    shown = "".join([*worker.raw, *bodies])
    assert [canary for canary in (*CANARIES, *LINK_KEYS.values()) if canary in shown] == []


@pytest.mark.slow
async def test_less_is_said_on_request(yard: Yard) -> None:
    worker = await asyncio.create_subprocess_exec(
        str(SCRIPT), "work", "--log-level", "error", env={**os.environ, **yard.environment}, stderr=asyncio.subprocess.PIPE
    )
    order = await yard.ordered()
    await yard.desk.wait(order.id, "Processing", PATIENCE)
    worker.send_signal(signal.SIGTERM)
    _, said = await worker.communicate()
    assert (worker.returncode, said) == (0, b"")
