"""A worker dies by SIGKILL while it holds an effect. Another one takes the effect over within the promised time."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from attrs import frozen
from tests.kit.dispatchers import Backend
from tests.kit.killed_worker import LEASE, TIMING
from tests.kit.toy import Toy

from orderflow._app import Orderflow
from orderflow._dispatch.pgqueuer import SWEEP_DELAY, SWEEP_INTERVAL

pytestmark = pytest.mark.anyio

WORKER = Path(__file__).parents[2] / "kit" / "killed_worker.py"
FETCH_INTERVAL = 0.2
PROMISED = {"local": LEASE + FETCH_INTERVAL, "pgqueuer": LEASE + SWEEP_DELAY + SWEEP_INTERVAL + FETCH_INTERVAL}
SLACK = 3.0  # for a machine that is busy
LEASING = "UPDATE of_effects x SET"  # the job is picked, and its effect not leased yet


@frozen
class TakeOver:
    """What the second worker's provider was asked, how many seconds after the death the order got there, and by which events."""

    toy: Toy
    seconds: float
    events: list[str]


async def kill_worker(backend: Backend, place: str) -> None:
    """Run a worker until it kills itself at this place; see ``killed_worker``."""
    path = os.pathsep.join(filter(None, (str(WORKER.parents[2]), os.environ.get("PYTHONPATH"))))
    command = (sys.executable, str(WORKER), backend.url, backend.dispatch, place)
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, "PYTHONPATH": path})
    try:
        async with asyncio.timeout(60):
            assert await process.wait() == -signal.SIGKILL
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def take_over(backend: Backend, place: str, until: str) -> TakeOver:
    """Kill a worker at this place, and let a second one bring the order to a state."""
    async with Orderflow(backend.url, [Toy(timing=TIMING)], dispatch=backend.dispatch) as flow:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
    await kill_worker(backend, place)
    died = time.monotonic()
    toy = Toy(timing=TIMING)
    async with Orderflow(backend.url, [toy], dispatch=backend.dispatch, worker=True, fetch_interval=FETCH_INTERVAL) as flow:
        await flow.wait(order.id, until, timeout=30)
        return TakeOver(toy, time.monotonic() - died, [row.event for row in await flow.journal(order.id)])


async def test_a_repeatable_effect_is_carried_out_by_another_worker_within_the_promised_time(backend: Backend) -> None:
    end = await take_over(backend, "make_ready", "placed")
    assert end.events == ["order_it", "prepared", "order_placed"]
    assert (end.toy.count_calls("make_ready"), end.toy.count_calls("place")) == (1, 1)
    assert end.seconds < PROMISED[backend.dispatch] + SLACK


async def test_a_once_effect_is_reported_in_doubt_and_not_called_within_the_promised_time(backend: Backend) -> None:
    end = await take_over(backend, "place", "in_doubt")
    assert end.events == ["order_it", "prepared", "placement_answer_lost"]
    assert end.toy.count_calls("place") == 0
    assert end.seconds < PROMISED[backend.dispatch] + SLACK


async def test_a_job_that_was_picked_and_never_leased_is_taken_over_as_one_that_never_began(pgqueuer: Backend) -> None:
    end = await take_over(pgqueuer, f"sql:{LEASING}", "placed")
    assert end.events == ["order_it", "prepared", "order_placed"]
    assert (end.toy.count_calls("make_ready"), end.toy.count_calls("place")) == (1, 1)
    assert end.seconds < PROMISED["pgqueuer"] + SLACK
    assert await pgqueuer.jobs() == []
