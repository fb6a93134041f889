"""A worker dies by SIGKILL with an effect in its hands; another one carries it out within the time that is promised, or says it is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from tests.kit.dispatchers import Line
from tests.kit.killed_worker import LEASE, TIMING
from tests.kit.toy import Toy

from orderflow.app import Orderflow
from orderflow.dispatch.pgqueuer import GRACE, SWEEP
from orderflow.store.postgres.queries import SQL

pytestmark = pytest.mark.anyio

WORKER = Path(__file__).parents[2] / "kit" / "killed_worker.py"
POLL = 0.2
PROMISED = {"local": LEASE + POLL, "pgqueuer": LEASE + GRACE + SWEEP + POLL}
SLACK = 3.0  # for a machine with something else to do
TO_THE_LEASE = SQL["lease_effects_among"]  # picked, and not leased yet


async def _killed(line: Line, where: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(WORKER.parents[2])}
    process = await asyncio.create_subprocess_exec(sys.executable, str(WORKER), line.url, line.dispatch, where, env=environment)
    try:
        async with asyncio.timeout(30):
            assert await process.wait() == -signal.SIGKILL
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _taken_over(line: Line, where: str, until: str) -> tuple[Toy, float, list[str]]:
    """What the survivor was asked to do, how many seconds after the death the order got there, and by which path."""
    async with Orderflow(line.url, [Toy(timing=TIMING)], dispatch=line.dispatch) as flow:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
    await _killed(line, where)
    died = time.monotonic()
    toy = Toy(timing=TIMING)
    async with Orderflow(line.url, [toy], dispatch=line.dispatch, worker=True, fetch_interval=POLL) as flow:
        await flow.wait(order.id, until, timeout=30)
        return toy, time.monotonic() - died, [row.event for row in await flow.journal(order.id)]


async def test_a_repeatable_effect_is_carried_out_by_another_within_what_is_promised(line: Line) -> None:
    toy, seconds, path = await _taken_over(line, "make_ready", "placed")
    assert path == ["order_it", "prepared", "order_placed"]
    assert (toy.called("make_ready"), toy.called("place")) == (1, 1)
    assert seconds < PROMISED[line.dispatch] + SLACK


async def test_a_once_effect_is_reported_lost_and_not_called_within_what_is_promised(line: Line) -> None:
    toy, seconds, path = await _taken_over(line, "place", "in_doubt")
    assert path == ["order_it", "prepared", "placement_answer_lost"]
    assert toy.called("place") == 0
    assert seconds < PROMISED[line.dispatch] + SLACK


async def test_a_job_picked_and_not_leased_is_taken_over_and_was_never_begun(pgqueuer: Line) -> None:
    toy, seconds, path = await _taken_over(pgqueuer, f"sql:{TO_THE_LEASE}", "placed")
    assert path == ["order_it", "prepared", "order_placed"]
    assert (toy.called("make_ready"), toy.called("place")) == (1, 1)
    assert seconds < PROMISED["pgqueuer"] + SLACK
    assert await pgqueuer.jobs() == []
