"""Orders per second through their whole life, over HTTP to the simulator: created, registered, completed by the API, read, told.

The simulator is a process of its own, so is each worker (the host's next step, ``complete_by_api``, is taken in it); this process creates
the orders and counts what the workers' listeners are told. The floor is a bare httpx client that makes the same three calls an order, with
no state, no database and no host. All of it shares this machine: with few cores, a second worker has nowhere to run.
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
AT_ONCE = 16
ROOT = Path(__file__).parents[2]
TIMING = evolve(CONNECT_FAST, durations=dict.fromkeys(CONNECT_FAST.durations, 600.0), poll_first=0.3, poll_cap=1.0, lease=30.0)


def build(db: str, url: str, *, worker: bool) -> Orderflow:
    """The service; Connect's rate limit is lifted, for it is not what is measured."""
    named = {"fulfilled_literals": [FULFILLED], "timing": TIMING, "rate_share": 1000.0}
    return Orderflow(db, [Connect(f"{url}/capi", f"{url}/user", CLIENT, SECRET, **named)], worker=worker, fetch_interval=0.2)  # type: ignore[arg-type]


# ── the other processes ──────────────────────────────────────────────────────────────────────────────────────────────────


async def simulate() -> None:
    """Serve the simulator until the standard input ends."""
    async with ConnectSimulator() as simulator, serve(simulator.asgi) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def work(db: str, url: str) -> None:
    """Carry out what is owed until the standard input ends; a line for every order that the host was told is fulfilled."""
    flow = build(db, url, worker=True)

    async def complete(told: StateEntered) -> None:
        await flow.send(told.order.id, "complete_by_api", key=told.key)

    async def note(told: StateEntered) -> None:
        print(told.order.id, flush=True)

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


async def whole(db: str, url: str, workers: int) -> float:
    """Orders a second, from the first that is created to the last that a host is told is fulfilled."""
    async with build(db, url, worker=False) as flow, AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(process("work", db, url)) for _ in range(workers)]
        for line in lines:
            await line()
        numbers = iter(range(ORDERS))

        async def create() -> None:
            for number in numbers:
                order = await flow.create("connect", key=f"whole {number}", **connect_request())
                await flow.send(order.id, "register")

        told: set[str] = set()

        async def listen(line: Callable[[], Any]) -> None:
            while order_id := await line():
                told.add(order_id)
                if len(told) == ORDERS:
                    every.set()

        every = asyncio.Event()
        listening = [asyncio.create_task(listen(line)) for line in lines]
        begun = time.perf_counter()
        await asyncio.gather(*(create() for _ in range(AT_ONCE)))
        async with asyncio.timeout(120):
            await every.wait()
        taken = time.perf_counter() - begun
        await stack.aclose()
        await asyncio.gather(*listening)
    return ORDERS / taken


async def floor(url: str) -> float:
    """The same calls, and nothing else."""
    api = f"{url}/capi/v1/client/order"
    numbers = iter(range(ORDERS))
    async with httpx.AsyncClient(trust_env=False) as http:
        login = {"client_id": CLIENT, "client_secret": SECRET, "grant_type": "client_credentials"}
        token = (await http.post(f"{url}/user/oauth/token", data=login)).json()["access_token"]
        http.headers.update({"authorization": f"Bearer {token}", "accept": "application/json"})

        async def live() -> None:
            for number in numbers:
                body = {**connect_request()["order"], "externalOrderId": f"floor {number}"}
                made = (await http.post(api, json=body)).raise_for_status().json()["orderId"]
                (await http.post(f"{api}/fulfillment", json={"orderId": made})).raise_for_status()
                read = (await http.get(f"{api}/status/{made}")).raise_for_status().json()
                assert read["orders"][0]["orderStatus"] == FULFILLED

        begun = time.perf_counter()
        await asyncio.gather(*(live() for _ in range(AT_ONCE)))
        return ORDERS / (time.perf_counter() - begun)


async def _run() -> list[dict[str, object]]:
    async with process("simulate") as line:
        url = await line()
        await floor(url)  # warms the simulator up
        bare = await floor(url)
        found = [result("whole life: a bare client, the simulator alone", bare, "orders/s", None, "floor", ok=True)]
        for workers in (1, 2):
            schema, db = await make_schema()
            try:
                rate = await whole(db, url, workers)
            finally:
                await drop_schema(schema)
            found.append(result(f"whole life: PostgreSQL, {workers} worker(s)", rate, "orders/s", rate / bare, "shown", ok=True))
        with tempfile.TemporaryDirectory() as folder:
            rate = await whole(f"sqlite:///{Path(folder) / 'whole.db'}", url, 1)
        found.append(result("whole life: SQLite FULL, 1 worker(s)", rate, "orders/s", rate / bare, "shown", ok=True))
    return found


def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR), cache_logger_on_first_use=True)


def run() -> list[dict[str, object]]:
    """Every measurement of this area."""
    os.environ[DURABLE] = "yes"
    _quiet()
    return asyncio.run(_run())


if __name__ == "__main__":
    _quiet()
    asyncio.run(work(*sys.argv[2:]) if sys.argv[1] == "work" else simulate())
