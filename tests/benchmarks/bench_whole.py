"""Whole orders per second, over HTTP to the simulator: created, registered, completed by the API, polled, notified.

The simulator is a process of its own, and so is each worker, whose listener completes the orders. This process creates the orders and
counts the notifications. The floor is a bare httpx client that makes the same three calls an order, with no state and no database. All
processes share this machine: with few cores, a second worker has nowhere to run.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import structlog
from attrs import evolve
from tests.benchmarks.bench_decide import result
from tests.kit.postgres import DURABLE, drop_schema, make_schema
from tests.kit.world import CONNECT_FAST, connect_request

from orderflow._app import Orderflow
from orderflow._providers.connect import Connect
from orderflow._providers.connect.simulator import FULFILLED, ConnectSimulator
from orderflow.model import StateEntered
from orderflow.simulators import serve

CLIENT, SECRET = "simulated-client", "simulated-secret"
ORDERS = 300
CONCURRENT = 16
ROOT = Path(__file__).parents[2]
TIMING = evolve(CONNECT_FAST, durations=dict.fromkeys(CONNECT_FAST.durations, 600.0), poll_first=0.3, poll_cap=1.0, lease=30.0)


def build(db: str, url: str, *, worker: bool) -> Orderflow:
    """The service. Connect's rate limit is lifted, because it is not what is measured."""
    named = {"fulfilled_literals": [FULFILLED], "timing": TIMING, "rate_share": 1000.0}
    return Orderflow(db, [Connect(f"{url}/capi", f"{url}/user", CLIENT, SECRET, **named)], worker=worker, fetch_interval=0.2)  # type: ignore[arg-type]


# ── the other processes ──────────────────────────────────────────────────────────────────────────────────────────────────


async def simulate() -> None:
    """Serve the simulator until the standard input ends."""
    async with ConnectSimulator() as simulator, serve(simulator.asgi) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def work(db: str, url: str) -> None:
    """Carry out what is owed until the standard input ends; print a line for every order that is fulfilled."""
    flow = build(db, url, worker=True)

    async def complete(entered: StateEntered) -> None:
        await flow.send(entered.order.id, "complete_by_api", key=entered.key)

    async def note(entered: StateEntered) -> None:
        print(entered.order.id, flush=True)

    flow.on_entered("connect", "registered", complete)
    flow.on_entered("connect", "fulfilled", note)
    async with flow:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


@asynccontextmanager
async def process(*role: str) -> AsyncIterator[Callable[[], Any]]:
    """Another process in a role; yields what awaits its next line. It ends with its input."""
    arguments = (sys.executable, "-m", "tests.benchmarks.bench_whole", *role)
    other = await asyncio.create_subprocess_exec(*arguments, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    assert other.stdin is not None
    assert other.stdout is not None
    reader = other.stdout

    async def line() -> str:
        return (await reader.readline()).decode().strip()

    try:
        yield line
    finally:
        other.stdin.close()
        await other.wait()


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def measure_whole(db: str, url: str, workers: int) -> float:
    """Orders a second, from the creation of the first to the notification that the last is fulfilled."""
    async with build(db, url, worker=False) as flow, AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(process("work", db, url)) for _ in range(workers)]
        for line in lines:
            await line()
        numbers = iter(range(ORDERS))

        async def create() -> None:
            for number in numbers:
                order = await flow.create("connect", key=f"whole {number}", **connect_request())
                await flow.send(order.id, "register")

        fulfilled: set[str] = set()

        async def listen(line: Callable[[], Any]) -> None:
            while order_id := await line():
                fulfilled.add(order_id)
                if len(fulfilled) == ORDERS:
                    all_fulfilled.set()

        all_fulfilled = asyncio.Event()
        listening = [asyncio.create_task(listen(line)) for line in lines]
        begun = time.perf_counter()
        await asyncio.gather(*(create() for _ in range(CONCURRENT)))
        async with asyncio.timeout(120):
            await all_fulfilled.wait()
        taken = time.perf_counter() - begun
        await stack.aclose()
        await asyncio.gather(*listening)
    return ORDERS / taken


async def measure_floor(url: str) -> float:
    """The same calls, and nothing else."""
    api = f"{url}/capi/v1/client/order"
    numbers = iter(range(ORDERS))
    async with httpx.AsyncClient(trust_env=False) as http:
        login = {"client_id": CLIENT, "client_secret": SECRET, "grant_type": "client_credentials"}
        token = (await http.post(f"{url}/user/oauth/token", data=login)).json()["access_token"]
        http.headers.update({"authorization": f"Bearer {token}", "accept": "application/json"})

        async def run_orders() -> None:
            for number in numbers:
                body = {**connect_request()["order"], "externalOrderId": f"floor {number}"}
                order_id = (await http.post(api, json=body)).raise_for_status().json()["orderId"]
                (await http.post(f"{api}/fulfillment", json={"orderId": order_id})).raise_for_status()
                read = (await http.get(f"{api}/status/{order_id}")).raise_for_status().json()
                assert read["orders"][0]["orderStatus"] == FULFILLED

        begun = time.perf_counter()
        await asyncio.gather(*(run_orders() for _ in range(CONCURRENT)))
        return ORDERS / (time.perf_counter() - begun)


async def _run() -> list[dict[str, object]]:
    async with process("simulate") as line:
        url = await line()
        await measure_floor(url)  # warms the simulator up
        bare = await measure_floor(url)
        rows = [result("whole life: a bare client, the simulator alone", bare, "orders/s", None, "floor", ok=True)]
        for workers in (1, 2):
            schema, db = await make_schema()
            try:
                rate = await measure_whole(db, url, workers)
            finally:
                await drop_schema(schema)
            rows.append(result(f"whole life: PostgreSQL, {workers} worker(s)", rate, "orders/s", rate / bare, "shown", ok=True))
        with tempfile.TemporaryDirectory() as folder:
            rate = await measure_whole(f"sqlite:///{Path(folder) / 'whole.db'}", url, 1)
        rows.append(result("whole life: SQLite FULL, 1 worker(s)", rate, "orders/s", rate / bare, "shown", ok=True))
    return rows


def _silence_logs() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR), cache_logger_on_first_use=True)


def run() -> list[dict[str, object]]:
    """Every measurement of this area."""
    os.environ[DURABLE] = "yes"
    _silence_logs()
    return asyncio.run(_run())


if __name__ == "__main__":
    _silence_logs()
    asyncio.run(work(*sys.argv[2:]) if sys.argv[1] == "work" else simulate())
