"""The parts of every simulator: clock, faults on a real connection, journal, deliveries, background tasks."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderflow.simulators import Deliveries, Fault, Faults, SimClock, Simulator, mark_executed, matches, serve

pytestmark = pytest.mark.anyio


class Counter(Simulator):
    """A provider that counts bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.asgi = self.wrap(Starlette(routes=[Route("/count/{n}", self._add, methods=["POST"])]))

    async def _add(self, request: Request) -> Response:
        if request.path_params["n"] == "missing":
            return JSONResponse({"error": "unknown"}, status_code=404)
        self.count += len(await request.body())
        mark_executed(request.scope)
        return JSONResponse({"count": self.count})


@pytest.fixture
async def sim() -> AsyncIterator[Counter]:
    async with Counter() as simulator:
        yield simulator


@pytest.fixture
async def client(sim: Counter) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(sim.asgi) as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=5.0) as session:
        yield session


# ---------------------------------------------------------------- faults on the wire


async def test_without_a_fault_the_app_answers_and_the_journal_has_the_request(sim: Counter, client: httpx.AsyncClient) -> None:
    answer = await client.post("/count/one?secret=1", content=b"xyz")
    assert (answer.status_code, answer.json()) == (200, {"count": 3})
    row = sim.journal.rows[0]
    assert (row.method, row.path, row.query, row.body) == ("POST", "/count/one", "secret=1", b"xyz")
    assert (row.executed, row.answered) == (True, 200)
    assert "secret" not in repr(row)
    assert "xyz" not in repr(row)


async def test_a_request_without_an_effect_is_received_but_not_executed(sim: Counter, client: httpx.AsyncClient) -> None:
    await client.post("/count/missing")
    assert (sim.journal.count_received("POST /count"), sim.journal.count_executed("POST /count")) == (1, 0)


@pytest.mark.parametrize(
    ("fault", "executed", "error"),
    [
        (Fault("POST /count", "reset"), False, httpx.ReadError),
        (Fault("POST /count", "reset-after-commit"), True, httpx.ReadError),
        (Fault("POST /count", "cut-body"), True, httpx.RemoteProtocolError),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
async def test_a_cut_connection(sim: Counter, client: httpx.AsyncClient, fault: Fault, executed: bool, error: type[Exception]) -> None:
    sim.faults.arm(fault)
    with pytest.raises(error):
        await client.post("/count/one", content=b"x")
    assert sim.journal.count_received("POST /count") == 1
    assert sim.journal.count_executed("POST /count") == sim.count == int(executed)
    assert (await client.post("/count/one", content=b"x")).status_code == 200, "a fault happens once by default"


@pytest.mark.parametrize(
    ("fault", "executed", "status", "media", "body"),
    [
        (Fault("", "status", status=503), False, 503, "application/json", b""),
        (Fault("", "status", 429, {"X-RateLimit-Reset": "3"}, b"{}"), False, 429, "application/json", b"{}"),
        (Fault("", "status-html", status=503), False, 503, "text/html; charset=utf-8", None),
        (Fault("", "status-empty", 503, {"X-Why": "load"}, b"dropped"), False, 503, "application/json", b""),
        (Fault("", "status-after-commit", status=502), True, 502, "application/json", b""),
        (Fault("", "garbage"), True, 200, "application/json", None),
        (Fault("", "html"), True, 200, "text/html; charset=utf-8", None),
        (Fault("", "xml"), True, 200, "application/xml", None),
        (Fault("", "empty"), True, 200, "application/json", b""),
        (Fault("", "slow", seconds=0.02), True, 200, "application/json", b'{"count":1}'),
        (Fault("", "delay", seconds=0.01), True, 200, "application/json", b'{"count":1}'),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
async def test_an_answer_made_by_a_fault(
    sim: Counter, client: httpx.AsyncClient, *, fault: Fault, executed: bool, status: int, media: str, body: bytes | None
) -> None:
    sim.faults.arm(fault)
    answer = await client.post("/count/one", content=b"x")
    assert (answer.status_code, answer.headers["content-type"]) == (status, media)
    assert all(answer.headers[name] == value for name, value in fault.headers.items())
    assert body is None or answer.content == body
    assert sim.journal.count_executed() == int(executed)
    if body is None:
        with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
            answer.json()


async def test_a_client_that_stops_waiting_does_not_stop_the_provider(sim: Counter) -> None:
    sim.faults.arm(Fault("POST", "delay", seconds=60))
    began = time.monotonic()
    async with serve(sim.asgi) as url, httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(f"{url}/count/one", content=b"x", timeout=0.05)
    assert sim.journal.count_executed() == 1
    assert time.monotonic() - began < 5


# ---------------------------------------------------------------- which fault


def test_patterns() -> None:
    assert matches("", "GET", "/a")
    assert matches("GET /a", "GET", "/a/b")
    assert not matches("GET /a", "POST", "/a")
    assert matches("/a", "POST", "/a/b")
    assert matches("GET /a/*/status", "GET", "/a/17/status")
    assert not matches("GET /a/*/status", "GET", "/a/17/status/x")


def test_times_counts_down_and_none_means_always() -> None:
    faults = Faults()
    faults.arm(Fault("/a", "empty", times=2))
    faults.arm(Fault("/", "html", times=None))
    taken = [fault.kind for _ in range(4) if (fault := faults.take("GET", "/a")) is not None]
    assert taken == ["empty", "empty", "html", "html"]
    faults.clear()
    assert faults.take("GET", "/a") is None


def test_chance_is_the_same_for_the_same_seed() -> None:
    def run(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.arm(Fault("", "empty", times=None, chance=0.5))
        return [faults.take("GET", "/") is not None for _ in range(50)]

    assert run(1) == run(1) != run(2)
    assert 10 < sum(run(1)) < 40


def test_an_unknown_kind_is_in_the_error() -> None:
    with pytest.raises(ValueError, match="kind: 'explode'"):
        Fault("", "explode")  # type: ignore[arg-type]


# ---------------------------------------------------------------- time


async def test_a_manual_clock_wakes_tasks_in_order_of_their_time() -> None:
    clock, woken = SimClock(start=1000.0, manual=True), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as group:
        for seconds in (30.0, 10.0, 20.0):
            group.create_task(sleeper(seconds))
        await asyncio.sleep(0)
        clock.advance(5)
        await asyncio.sleep(0)
        assert woken == []
        clock.advance(20)
        await asyncio.sleep(0)
        assert woken == [10.0, 20.0]
        clock.advance(5)
    assert woken == [10.0, 20.0, 30.0]
    assert clock.now() == 1030.0


async def test_a_running_clock_moves_by_itself_and_can_be_advanced() -> None:
    clock = SimClock(start=0.0)
    await clock.sleep(0.01)
    assert 0.01 <= clock.now() < 5
    hour = asyncio.create_task(clock.sleep(3600))
    await asyncio.sleep(0)
    clock.advance(3600)
    await asyncio.wait_for(hour, 1)


async def test_the_clock_never_goes_back() -> None:
    with pytest.raises(ValueError, match="never goes back"):
        SimClock().advance(-1)


# ---------------------------------------------------------------- deliveries


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[str, list[tuple[str, bytes]]]]:
    received: list[tuple[str, bytes]] = []

    async def receive(request: Request) -> Response:
        received.append((request.method, await request.body()))
        return Response(status_code=204)

    async with serve(Starlette(routes=[Route("/note", receive, methods=["GET", "POST"])])) as url:
        yield f"{url}/note", received


async def test_a_delivery_arrives_once_and_without_a_body(receiver: Any) -> None:
    url, received = receiver
    deliveries = Deliveries(SimClock())
    deliveries.send_in_background("POST", url)
    await deliveries.drain()
    assert received == [("POST", b"")]
    assert [(row.outcome, row.answered) for row in deliveries.rows] == [("sent", 204)]
    assert deliveries.count_sent("POST /note") == 1
    await deliveries.close()


async def test_deliveries_can_be_dropped_duplicated_and_delayed(receiver: Any) -> None:
    url, received = receiver
    clock = SimClock(manual=True)
    deliveries = Deliveries(clock)
    deliveries.arm("drop", "POST /note")
    deliveries.arm("duplicate")
    deliveries.arm("delay", seconds=60)
    await deliveries.send("POST", url)
    assert received == []
    await deliveries.send("POST", url)
    assert len(received) == 2
    deliveries.send_in_background("GET", url)
    await asyncio.sleep(0)
    assert len(received) == 2
    clock.advance(60)
    await deliveries.drain()
    assert received[2:] == [("GET", b"")]
    assert [row.outcome for row in deliveries.rows] == ["dropped", "sent", "sent", "sent"]
    await deliveries.close()


async def test_a_receiver_that_is_down_is_recorded_and_not_tried_again(receiver: Any) -> None:
    url, _ = receiver
    deliveries = Deliveries(SimClock())
    async with serve(Starlette()) as gone:
        pass
    await deliveries.send("POST", f"{gone}/note")
    await deliveries.send("POST", url)
    assert [(row.outcome, row.answered) for row in deliveries.rows] == [("failed", None), ("sent", 204)]
    await deliveries.close()


# ---------------------------------------------------------------- background work


async def test_close_raises_the_exception_of_a_background_task() -> None:
    async def broken() -> None:
        raise RuntimeError("script is wrong")

    sim = Counter()
    sim.background.spawn(broken())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="script is wrong"):
        await sim.close()


async def test_close_cancels_background_tasks() -> None:
    sim = Counter()
    sim.background.spawn(sim.clock.sleep(3600))
    await asyncio.sleep(0)
    await asyncio.wait_for(sim.close(), 1)
