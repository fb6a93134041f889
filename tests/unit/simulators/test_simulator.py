"""What every provider simulator leans on: time, faults acted out on a real connection, the journal, real deliveries."""

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
    """A provider whose one act is to count."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.asgi = self.wrap(Starlette(routes=[Route("/count/{n}", self._add, methods=["POST"])]))

    async def _add(self, request: Request) -> Response:
        if request.path_params["n"] == "nobody":
            return JSONResponse({"error": "who?"}, status_code=404)
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


async def test_without_a_fault_the_app_answers_and_both_counts_rise(sim: Counter, client: httpx.AsyncClient) -> None:
    answer = await client.post("/count/one?secret=1", content=b"xyz")
    assert (answer.status_code, answer.json()) == (200, {"count": 3})
    row = sim.journal.rows[0]
    assert (row.method, row.path, row.query, row.body) == ("POST", "/count/one", "secret=1", b"xyz")
    assert (row.executed, row.answered) == (True, 200)
    assert "secret" not in repr(row)
    assert "xyz" not in repr(row)


async def test_a_request_the_provider_did_not_act_on_is_received_not_executed(sim: Counter, client: httpx.AsyncClient) -> None:
    await client.post("/count/nobody")
    assert (sim.journal.count_received("POST /count"), sim.journal.count_executed("POST /count")) == (1, 0)


@pytest.mark.parametrize(
    ("fault", "acted", "error"),
    [
        (Fault("POST /count", "reset"), False, httpx.ReadError),
        (Fault("POST /count", "reset-after-commit"), True, httpx.ReadError),
        (Fault("POST /count", "cut-body"), True, httpx.RemoteProtocolError),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
async def test_a_cut_connection(sim: Counter, client: httpx.AsyncClient, fault: Fault, acted: bool, error: type[Exception]) -> None:
    sim.faults.arm(fault)
    with pytest.raises(error):
        await client.post("/count/one", content=b"x")
    assert sim.journal.count_received("POST /count") == 1
    assert sim.journal.count_executed("POST /count") == sim.count == int(acted)
    assert (await client.post("/count/one", content=b"x")).status_code == 200, "a fault happens once unless told"


@pytest.mark.parametrize(
    ("fault", "acted", "status", "media", "body"),
    [
        (Fault("", "status", status=503), False, 503, "application/json", b""),
        (Fault("", "status", 429, {"X-RateLimit-Reset": "3"}, b"{}"), False, 429, "application/json", b"{}"),
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
async def test_a_spoilt_answer(
    sim: Counter, client: httpx.AsyncClient, *, fault: Fault, acted: bool, status: int, media: str, body: bytes | None
) -> None:
    sim.faults.arm(fault)
    answer = await client.post("/count/one", content=b"x")
    assert (answer.status_code, answer.headers["content-type"]) == (status, media)
    assert all(answer.headers[name] == value for name, value in fault.headers.items())
    assert body is None or answer.content == body
    assert sim.journal.count_executed() == int(acted)
    if body is None:
        with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
            answer.json()


async def test_a_caller_that_gives_up_waiting_does_not_stop_the_provider(sim: Counter) -> None:
    sim.faults.arm(Fault("POST", "delay", seconds=60))
    began = time.monotonic()
    async with serve(sim.asgi) as url, httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(f"{url}/count/one", content=b"x", timeout=0.05)
    assert sim.journal.count_executed() == 1
    assert time.monotonic() - began < 5


async def test_a_request_that_never_ends_is_cut_off_when_the_server_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orderflow.serving.uvicorn_server.GRACE_SECONDS", 0.05)
    arrived = asyncio.Event()

    async def hang(_: Request) -> Response:
        arrived.set()
        await asyncio.Event().wait()
        return Response()

    async with httpx.AsyncClient(trust_env=False) as client:
        async with serve(Starlette(routes=[Route("/", hang)])) as url:
            call = asyncio.create_task(client.get(url))
            await arrived.wait()
        with pytest.raises(httpx.TransportError):
            await asyncio.wait_for(call, 1)


async def test_a_taken_port_is_an_error_at_once() -> None:
    async with serve(Starlette()) as url:
        with pytest.raises(OSError, match="in use"):
            async with serve(Starlette(), port=int(url.rpartition(":")[2])):
                pass


# ---------------------------------------------------------------- which fault


def test_patterns() -> None:
    assert matches("", "GET", "/a")
    assert matches("GET /a", "GET", "/a/b")
    assert not matches("GET /a", "POST", "/a")
    assert matches("/a", "POST", "/a/b")
    assert matches("GET /a/*/status", "GET", "/a/17/status")
    assert not matches("GET /a/*/status", "GET", "/a/17/status/x")


def test_times_counts_down_and_none_is_for_ever() -> None:
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


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="kind: 'explode'"):
        Fault("", "explode")  # type: ignore[arg-type]


# ---------------------------------------------------------------- time


async def test_a_manual_clock_wakes_sleepers_in_order_of_their_time() -> None:
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


async def test_a_running_clock_moves_by_itself_and_can_be_pushed() -> None:
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
async def inbox() -> AsyncIterator[tuple[str, list[tuple[str, bytes]]]]:
    seen: list[tuple[str, bytes]] = []

    async def take(request: Request) -> Response:
        seen.append((request.method, await request.body()))
        return Response(status_code=204)

    async with serve(Starlette(routes=[Route("/note", take, methods=["GET", "POST"])])) as url:
        yield f"{url}/note", seen


async def test_a_delivery_arrives_once_and_without_a_body(inbox: Any) -> None:
    url, seen = inbox
    deliveries = Deliveries(SimClock())
    deliveries.start("POST", url)
    await deliveries.drain()
    assert seen == [("POST", b"")]
    assert [(row.outcome, row.answered) for row in deliveries.rows] == [("sent", 204)]
    assert deliveries.count_sent("POST /note") == 1
    await deliveries.close()


async def test_deliveries_can_be_lost_doubled_and_held_back(inbox: Any) -> None:
    url, seen = inbox
    clock = SimClock(manual=True)
    deliveries = Deliveries(clock)
    deliveries.arm("drop", "POST /note")
    deliveries.arm("duplicate")
    deliveries.arm("delay", seconds=60)
    await deliveries.send("POST", url)
    assert seen == []
    await deliveries.send("POST", url)
    assert len(seen) == 2
    deliveries.start("GET", url)
    await asyncio.sleep(0)
    assert len(seen) == 2
    clock.advance(60)
    await deliveries.drain()
    assert seen[2:] == [("GET", b"")]
    assert [row.outcome for row in deliveries.rows] == ["dropped", "sent", "sent", "sent"]
    await deliveries.close()


async def test_a_receiver_that_is_away_is_noted_and_not_tried_again(inbox: Any) -> None:
    url, _ = inbox
    deliveries = Deliveries(SimClock())
    async with serve(Starlette()) as gone:
        pass
    await deliveries.send("POST", f"{gone}/note")
    await deliveries.send("POST", url)
    assert [(row.outcome, row.answered) for row in deliveries.rows] == [("failed", None), ("sent", 204)]
    await deliveries.close()


# ---------------------------------------------------------------- background work


async def test_what_a_background_task_died_of_comes_out_at_close() -> None:
    async def broken() -> None:
        raise RuntimeError("script is wrong")

    sim = Counter()
    sim.background.spawn(broken())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="script is wrong"):
        await sim.close()


async def test_close_ends_background_work_that_would_last() -> None:
    sim = Counter()
    sim.background.spawn(sim.clock.sleep(3600))
    await asyncio.sleep(0)
    await asyncio.wait_for(sim.close(), 1)
