"""Rules 7 to 10 under everything at once: worker processes killed by SIGKILL, PostgreSQL stopped without warning, notices lost and doubled,
answers cut, over sockets. The simulators judge: what they executed, and what became of each order.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field, frozen
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from tests.kit import postgres
from tests.kit.chaos_app import LEASE, build
from tests.kit.world import ccv_request, ccv_sim, connect_request, connect_sim

from orderflow._app import Orderflow
from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow._providers.connect.simulator import ConnectSimulator
from orderflow.model import Order
from orderflow.simulators import Fault, serve

pytestmark = pytest.mark.anyio

ENDS = ("fulfilled", "Completed")
LOST_CALL = {
    "registration_in_doubt": "registration_answer_lost",
    "fulfillment_in_doubt": "fulfillment_answer_lost",
    "submission_in_doubt": "submission_answer_lost",
}
REGISTER, SMS, SUBMIT = "POST /capi/v1/client/orde[r]", "POST /capi/v1/client/order/fulfillment", "POST /api/ordercompletion/reseller/order"
SIDE_BY_SIDE = 32


@frozen
class Storm:
    """How bad it gets."""

    orders: int
    workers: int
    notices_lost: float = 0.0
    notices_doubled: float = 0.0
    answers_lost: float = 0.0
    kill_every: float | None = None
    stops: int = 0
    patience: float = 120.0  # seconds to come to rest once the storm is over


@define
class World:
    """Simulators, shop and service, and the worker processes beside them."""

    flow: Orderflow
    connect: ConnectSimulator
    ccv: CcvSimulator
    environment: dict[str, str]
    folder: Path
    rng: random.Random = field(factory=lambda: random.Random(7))
    workers: list[asyncio.subprocess.Process] = field(factory=list)
    kills: int = 0
    stops: int = 0

    async def employ(self) -> None:
        """One more worker process."""
        log = self.log(self.kills + len(self.workers)).open("wb")
        command = (str(Path(sys.executable).with_name("orderflow")), "worker", "chaos_app:flow")
        with log:
            self.workers.append(await asyncio.create_subprocess_exec(*command, env=self.environment, stdout=log, stderr=log))

    async def kill_one(self) -> None:
        """SIGKILL for one of them, and another in its place."""
        victim = self.workers.pop(self.rng.randrange(len(self.workers)))
        assert victim.returncode is None, f"a worker ended by itself, with {victim.returncode}: see {self.folder}"
        victim.kill()
        await victim.wait()
        self.kills += 1
        await self.employ()

    def log(self, n: int) -> Path:
        """What the n-th worker says."""
        return self.folder / f"worker-{n}.log"

    async def dismiss(self) -> None:
        """SIGTERM for all, once the newest has begun to work; they drain."""
        newest = self.log(self.kills + len(self.workers) - 1)
        async with asyncio.timeout(30):
            while b"work.started" not in newest.read_bytes():
                await asyncio.sleep(0.05)
        for worker in self.workers:
            with suppress(ProcessLookupError):
                worker.send_signal(signal.SIGTERM)
        codes = [await worker.wait() for worker in self.workers]
        assert codes == [0] * len(codes), codes


@asynccontextmanager
async def _world(folder: Path, db: str, dispatch: str) -> AsyncIterator[World]:
    async def thanks(_request: Request) -> Response:
        return PlainTextResponse("thank you")

    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        shop = Starlette(routes=[Route("/thanks", thanks)])
        ccv, connect = await enter(ccv_sim(step_seconds=0.1)), await enter(connect_sim())
        bases = [await enter(serve(app)) for app in (connect.asgi, ccv.asgi, shop)]
        flow = build(db, *bases, dispatch=dispatch, worker=False)
        shop.mount("/orders", flow.receiver())
        await enter(flow)
        paths = str(Path(__file__).parents[2])
        environment = {**os.environ, "PYTHONPATH": paths, "CHAOS": "|".join((db, *bases, dispatch))}
        world = World(flow, connect, ccv, environment, folder)
        try:
            yield world
        finally:
            for worker in world.workers:
                with suppress(ProcessLookupError):
                    worker.kill()
                await worker.wait()


async def _place(world: World, n: int) -> str:
    """One order: of five, one is paid by invoice, one at the URL, one by sms, and two are CCV's."""
    reference = f"chaos-{n}"
    if n % 5 >= 3:
        order = await world.flow.create("ccv", key=reference, **ccv_request(external_reference=reference))
        await world.flow.send(order.id, "submit", key="submit")
    else:
        method = ("invoice", "creditcardPayex", "sms")[n % 5]
        order = await world.flow.create("connect", key=reference, **connect_request(method, external_id=reference))
        await world.flow.send(order.id, "register", key="register")
    return order.id


def _arm(world: World, storm: Storm) -> None:
    for sim in (world.connect, world.ccv):
        if storm.notices_lost:
            sim.deliveries.arm("drop", times=None, chance=storm.notices_lost)
            sim.deliveries.arm("duplicate", times=None, chance=storm.notices_doubled)
        if storm.answers_lost:
            for kind in ("reset-after-commit", "reset"):
                for match in ("POST /capi", "GET /capi", "/api", "POST /user/oauth"):
                    sim.faults.arm(Fault(match, kind, times=None, chance=storm.answers_lost / 2))  # type: ignore[arg-type]


async def _rage(world: World, storm: Storm, server: Any) -> None:
    """Kill and stop, on and on; cancelled when all orders have been placed."""
    while storm.kill_every is not None:
        await asyncio.sleep(storm.kill_every)
        await world.kill_one()
        if world.stops < storm.stops and world.kills >= 1 + 8 * world.stops:
            await asyncio.to_thread(postgres.pg_ctl, server, "stop", "-m", "immediate")
            await asyncio.to_thread(server.ensure_postgres_running)
            world.stops += 1
    await asyncio.Event().wait()


async def _weather(world: World, storm: Storm, server: Any) -> list[Order]:
    """Place all orders in the storm, let it end, and wait until every order rests; answers with them."""
    _arm(world, storm)
    for _ in range(storm.workers):
        await world.employ()
    raging = asyncio.create_task(_rage(world, storm, server))
    turns = asyncio.Semaphore(SIDE_BY_SIDE)

    async def in_turn(n: int) -> str:
        async with turns:
            return await _place(world, n)

    async with asyncio.TaskGroup() as group:
        placed = [group.create_task(in_turn(n)) for n in range(storm.orders)]
    while (world.stops < storm.stops or len(await _open(world, storm)) > storm.orders // 20) and not raging.done():
        await asyncio.sleep(0.5)  # the storm goes on while there is work
    raging.cancel()
    with suppress(asyncio.CancelledError):
        await raging
    for sim in (world.connect, world.ccv):
        sim.faults.clear()
        sim.deliveries.clear()
    deadline = time.monotonic() + storm.patience
    while (left := await _open(world, storm)) and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
    assert not left, Counter(order.state for order in left)
    await world.dismiss()
    return [await world.flow.order(task.result()) for task in placed]


async def _open(world: World, storm: Storm) -> list[Order]:
    orders = await world.flow.orders(limit=storm.orders + 1)
    return [order for order in orders if order.state not in ENDS and order.state not in LOST_CALL] + [
        order for order in orders if order.state == "fulfillment_in_doubt" and _true_state(world, order) == "fulfilled"
    ]


def _true_state(world: World, order: Order) -> str:
    if order.provider == "ccv":
        return next((one.status for one in world.ccv.orders if one.id == order.provider_id), "")
    return next((one.status for one in world.connect.orders if str(one.order_id) == order.provider_id), "")


def _executed(world: World) -> tuple[Counter[str], Counter[str], Counter[str]]:
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


def _cut(world: World) -> set[str]:
    """Whose once-call was cut by the storm: by our reference, and by Connect's order id for a call that is about one."""
    found: set[str] = set()
    for row in (*world.connect.journal.rows, *world.ccv.journal.rows):
        if "cut" in row.played and row.body.startswith(b"{"):
            body = json.loads(row.body)
            found |= {str(body[name]) for name in ("externalOrderId", "externalReference", "orderId") if name in body}
    return found


def _may_be_in_doubt(world: World, order: Order, note: str, cut: set[str]) -> bool:
    """Its answer was cut, or its worker was killed with the call in hand."""
    if "never answered" in note:
        return world.kills > 0
    return "no usable answer" in note and not cut.isdisjoint({order.key, order.provider_id})


async def _judge(world: World, orders: list[Order]) -> Counter[str]:
    """Every order where the provider has it, or in doubt with the lost call named, and for no other reason; nothing executed twice."""
    cut = _cut(world)
    for executed in _executed(world):
        assert all(times <= 1 for times in executed.values()), executed.most_common(3)
    registered, submitted, _ = _executed(world)
    for order in orders:
        reference = order.key
        if order.state in LOST_CALL:
            journal = await world.flow.journal(order.id)
            assert journal[-1].event == LOST_CALL[order.state], (order.id, journal[-1])
            assert _may_be_in_doubt(world, order, journal[-1].note, cut), (order.id, journal[-1])
        else:
            assert order.state == _true_state(world, order), (order.id, order.state)
            assert registered[reference] + submitted[reference] == 1, order.id
    return Counter(order.state for order in orders)


async def _run(folder: Path, storm: Storm, capsys: pytest.CaptureFixture[str], dispatch: str = "pgqueuer") -> Counter[str]:
    server = None
    name = f"orderflow-pg-chaos-{os.getpid()}-{random.randrange(10**6)}"
    if storm.stops or not os.environ.get("DATABASE_URL"):
        server = postgres.server(name)
        db = server.get_uri()
    else:
        db = postgres.database_url()
    try:
        async with _world(folder, db, dispatch) as world:
            began = time.monotonic()
            found = await _judge(world, await _weather(world, storm, server))
            took = time.monotonic() - began
            with capsys.disabled():
                told = f"{dict(found)}; {world.kills} workers killed, PostgreSQL stopped {world.stops} times, {took:.0f} s"
                print(f"\nchaos: {told}", file=sys.stderr)
            return found
    finally:
        if server is not None:
            server.cleanup()


async def test_in_calm_weather_two_workers_bring_every_order_home_and_none_into_doubt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = await _run(tmp_path, Storm(orders=40, workers=2), capsys)
    assert found == {"fulfilled": 24, "Completed": 16}


async def test_in_a_small_storm_every_order_ends_where_the_provider_has_it_or_openly_in_doubt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storm = Storm(orders=100, workers=2, notices_lost=0.2, notices_doubled=0.1, answers_lost=0.05, kill_every=0.7, stops=1)
    found = await _run(tmp_path, storm, capsys)
    assert sum(found.values()) == 100


@pytest.mark.slow
async def test_two_thousand_orders_four_workers_and_everything_that_can_go_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storm = Storm(orders=2000, workers=4, notices_lost=0.2, notices_doubled=0.1, answers_lost=0.05, kill_every=1.0, stops=2, patience=300.0)
    found = await _run(tmp_path, storm, capsys)
    assert sum(found.values()) == 2000
    assert found["fulfilled"] + found["Completed"] > 1500, "most orders come home"


assert LEASE > 2.0, "a call that is not answered for its 2 s is no dead worker's"
