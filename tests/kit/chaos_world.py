"""The world of test_chaos.py and of the runbook's tests: simulators, a shop, the service of chaos_app.py and its worker processes, on sockets.

The simulators are the reference: what they executed, and how each order ended there. No test lives here.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from attrs import define, field, frozen
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from tests.kit.chaos_app import FAST, Pace, build
from tests.kit.world import ccv_request, ccv_sim, connect_request, connect_sim

from orderflow._app import Orderflow
from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow._providers.connect.simulator import ConnectSimulator
from orderflow.model import Order
from orderflow.simulators import serve

ENDS = ("fulfilled", "Completed")
LOST_CALL = {
    "registration_in_doubt": "registration_answer_lost",
    "fulfillment_in_doubt": "fulfillment_answer_lost",
    "submission_in_doubt": "submission_answer_lost",
}


@frozen
class Worker:
    """A worker process and its log file."""

    process: asyncio.subprocess.Process
    log: Path

    async def wait_until_started(self) -> None:
        """Wait until it leases work."""
        async with asyncio.timeout(60):
            while b"worker.started" not in self.log.read_bytes():
                assert self.process.returncode is None, f"a worker ended by itself, with {self.process.returncode}: see {self.log}"
                await asyncio.sleep(0.05)


@define
class World:
    """Simulators, the shop's page and the service, and the worker processes."""

    flow: Orderflow
    connect: ConnectSimulator
    ccv: CcvSimulator
    environment: dict[str, str]
    folder: Path
    rng: random.Random = field(factory=lambda: random.Random(7))
    workers: list[Worker] = field(factory=list)
    kills: int = 0
    replaced: int = 0
    stops: int = 0

    async def start_worker(self) -> None:
        """Start one more worker process."""
        log = self.folder / f"worker-{self.kills + self.replaced + len(self.workers)}.log"
        command = (str(Path(sys.executable).with_name("orderflow")), "worker", "tests.kit.chaos_app:flow")
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(*command, env=self.environment, stdout=output, stderr=output)
        self.workers.append(Worker(process, log))

    async def kill_worker(self) -> None:
        """Kill one of them by SIGKILL, once it has started, and start another one."""
        worker = self.rng.choice(self.workers)
        await worker.wait_until_started()
        worker.process.kill()
        await worker.process.wait()
        self.workers.remove(worker)
        self.kills += 1
        await self.start_worker()

    async def stop_workers(self) -> None:
        """Stop all by SIGTERM, once they have started; they drain."""
        for worker in self.workers:
            await worker.wait_until_started()
        for worker in self.workers:
            with suppress(ProcessLookupError):
                worker.process.send_signal(signal.SIGTERM)
        codes = [await worker.process.wait() for worker in self.workers]
        assert codes == [0] * len(codes), codes


@asynccontextmanager
async def open_world(folder: Path, db: str, dispatch: str, pace: Pace = FAST) -> AsyncIterator[World]:
    """The world on a database: simulators, the shop, and the service without a worker. Workers that are left are killed."""

    async def thanks(_request: Request) -> Response:
        return PlainTextResponse("thank you")

    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        shop = Starlette(routes=[Route("/thanks", thanks)])
        ccv, connect = await enter(ccv_sim(step_seconds=0.1)), await enter(connect_sim())
        bases = [await enter(serve(app)) for app in (connect.asgi, ccv.asgi, shop)]
        flow = build(db, *bases, dispatch=dispatch, worker=False, pace=pace)
        shop.mount("/orders", flow.receiver())
        await enter(flow)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "CHAOS": "|".join((db, *bases, dispatch, pace.name)),
        }
        world = World(flow, connect, ccv, environment, folder)
        try:
            yield world
        finally:
            for worker in world.workers:
                with suppress(ProcessLookupError):
                    worker.process.kill()
                await worker.process.wait()


async def place_order(world: World, n: int) -> str:
    """Create one order. Of five, one is paid by invoice, one at the URL, one by sms, and two are CCV's."""
    reference = f"chaos-{n}"
    if n % 5 >= 3:
        order = await world.flow.create("ccv", key=reference, **ccv_request(external_reference=reference))
        await world.flow.send(order.id, "submit", key="submit")
    else:
        method = ("invoice", "creditcardPayex", "sms")[n % 5]
        order = await world.flow.create("connect", key=reference, **connect_request(method, external_id=reference))
        await world.flow.send(order.id, "register", key="register")
    return order.id


def state_at_provider(world: World, order: Order) -> str:
    """The order's status in its simulator; empty if it has no such order."""
    if order.provider == "ccv":
        return next((one.status for one in world.ccv.orders if one.id == order.provider_id), "")
    return next((one.status for one in world.connect.orders if str(one.order_id) == order.provider_id), "")


def count_executions(world: World) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """How often each once-effect was executed: registrations and submits by our reference, sms requests by Connect's order id."""
    by_sms = {str(order.order_id) for order in world.connect.orders if order.method == "sms"}
    sent: Counter[str] = Counter()
    for row in world.connect.journal.rows:
        if row.executed and row.method == "POST" and row.path.endswith("/order/fulfillment"):
            order_id = str(json.loads(row.body)["orderId"])
            sent[order_id] += order_id in by_sms
    return (
        Counter(one.external_order_id or "" for one in world.connect.orders),
        Counter(one.external_reference or "" for one in world.ccv.orders),
        sent,
    )
