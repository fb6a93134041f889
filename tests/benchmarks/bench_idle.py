"""What it costs to wait: the CPU of idle ``flow.wait`` calls, and the memory of a worker and of each open order.

Each figure is of a process of its own, which does nothing else. An open order waits for a poll that is due in an hour.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import structlog
from attrs import evolve
from tests.benchmarks.bench_decide import result
from tests.kit.postgres import drop_schema, make_schema
from tests.kit.toy import TIMING, Toy

from orderflow._app import Orderflow

ORDERS = 5_000
SECONDS = 10.0
SETTLE = 2.0  # seconds in which a process comes to rest
ROOT = Path(__file__).parents[2]
CALM = evolve(TIMING, durations=dict.fromkeys(TIMING.durations, 36_000.0), poll_first=3600.0, poll_cap=3600.0)


# ── the processes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def resident_bytes() -> int:
    """The memory of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def cpu_share() -> float:
    """CPU seconds that this process uses in a second."""
    await asyncio.sleep(SETTLE)
    begun, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(SECONDS)
    return (time.process_time() - used) / (time.perf_counter() - begun)


async def measure_waits(db: str, waits: int, *, worker: bool) -> tuple[float, float]:
    """CPU seconds a second, and bytes of memory, of a process with so many idle waits."""
    async with Orderflow(db, [Toy(timing=CALM)], worker=worker) as flow:
        waiting_for = [order.id for order in await flow.orders(limit=waits)] if waits else []
        waiting = [asyncio.create_task(flow.wait(order_id, "lapsed", 3600.0)) for order_id in waiting_for]
        share = await cpu_share()
        memory = resident_bytes()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return share, memory


async def fill(db: str) -> None:
    """So many orders that are open."""
    async with Orderflow(db, [Toy(timing=CALM)], worker=True) as flow:
        for n in range(0, ORDERS, 100):
            orders = await asyncio.gather(*(flow.create("toy", key=str(k)) for k in range(n, n + 100)))
            await asyncio.gather(*(flow.send(order.id, "order_it") for order in orders))
            await asyncio.gather(*(flow.wait(order.id, "placed", 60.0) for order in orders))


def measure(db: str, waits: int, *, worker: bool) -> tuple[float, float]:
    """``measure_waits`` in a process of its own."""
    command = (sys.executable, "-m", "tests.benchmarks.bench_idle", db, str(waits), "worker" if worker else "no worker")
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    share, memory = output.split()
    return float(share), float(memory)


# ── the rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _rows(name: str, empty: str, full: str) -> list[dict[str, object]]:
    nothing, memory_of_nothing = measure(empty, 0, worker=True)
    resting, memory_of_orders = measure(full, 0, worker=True)
    shown = [
        result(f"{name}: an idle worker", nothing, "CPU s/s", None, "shown", ok=True),
        result(f"{name}: an idle worker's memory", memory_of_nothing / 1e6, "MB", None, "shown", ok=True),
        result(f"{name}: a worker beside {ORDERS:,} open orders", resting, "CPU s/s", None, "shown", ok=True),
        result(
            f"{name}: a worker's memory for each open order",
            (memory_of_orders - memory_of_nothing) / ORDERS,
            "bytes",
            None,
            "shown",
            ok=True,
        ),
    ]
    for worker in (True, False):
        share, memory = measure(full, ORDERS, worker=worker)
        where = "with a worker" if worker else "without a worker"
        shown.append(result(f"{name}: {ORDERS:,} idle waits {where}", share, "CPU s/s", None, "shown", ok=True))
        if worker:
            each = (memory - memory_of_orders) / ORDERS
            shown.append(result(f"{name}: memory of each idle wait", each, "bytes", None, "shown", ok=True))
    return shown


def run() -> list[dict[str, object]]:
    """Every measurement of this area."""
    _silence_logs()
    with tempfile.TemporaryDirectory() as folder:
        empty, full = (f"sqlite:///{Path(folder) / name}.db" for name in ("empty", "full"))
        asyncio.run(fill(full))
        rows = _rows("SQLite", empty, full)
    made = [asyncio.run(make_schema()) for _ in range(2)]
    try:
        (_, empty), (_, full) = made
        asyncio.run(fill(full))
        return rows + _rows("PostgreSQL", empty, full)
    finally:
        for schema, _ in made:
            asyncio.run(drop_schema(schema))


def _silence_logs() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=True)


if __name__ == "__main__":
    _silence_logs()
    database, number, role = sys.argv[1:]
    print(*asyncio.run(measure_waits(database, int(number), worker=role == "worker")))
