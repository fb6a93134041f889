"""Rule 10, crash anywhere: a worker kills itself at a boundary, another one finishes; nothing is lost and no order is submitted twice.

CCV's simulator lives in this process and so survives. Each boundary has a database and a reference of its own, so that they can be
tried side by side.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from attrs import frozen

from orderflow.providers.ccv.simulator import CcvSimulator
from orderflow.records import JournalRow, Order
from orderflow.simkit import serve
from orderflow.store import store_at
from support import ccv_sim

pytestmark = pytest.mark.anyio

WORKER = Path(__file__).with_name("crash_worker.py")
SIDE_BY_SIDE = 4
CALLS = 3  # startorder, addSalesPackage, submit; what follows are reads
AT_THE_SUBMIT = (f"http:before:{CALLS}", f"http:after:{CALLS}")
HTTP = [f"http:{side}:{k}" for k in range(1, CALLS + 2) for side in ("before", "after")]
TOLD = [f"told:{k}" for k in (1, 2)]
SQL = [f"sql:{k}" for k in range(1, 140)]  # of the writer; how many there are depends on what the reads come upon
MAY_NOT_BE_REACHED = ("none", "sql")


@frozen
class Life:
    """What became of one order."""

    boundary: str
    crashed: bool
    order: Order
    journal: list[JournalRow]
    told: list[tuple[str, str]]  # key and state, as often as the host was told
    submits: int  # that reached CCV
    known: int  # orders that CCV made of them

    @property
    def state(self) -> str:
        return self.order.state


async def _worker(path: Path, base: str, boundary: str) -> tuple[int | None, str]:
    environment = {**os.environ, "PYTHONPATH": str(WORKER.parents[1])}
    command = (sys.executable, str(WORKER), str(path), base, path.stem, boundary)
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
    try:
        _, errors = await process.communicate()
    finally:
        if process.returncode is None:  # another boundary has failed the test
            process.kill()
            await process.wait()
    return process.returncode, errors.decode()


async def _live(folder: Path, base: str, sim: CcvSimulator, boundary: str) -> Life:
    """Crash at the boundary, start again without one, and look at what there is."""
    path = folder / f"{boundary.replace(':', '-')}.db"
    code, errors = await _worker(path, base, boundary)
    crashed = code == -signal.SIGKILL
    assert crashed or (code == 0 and boundary.startswith(MAY_NOT_BE_REACHED)), (boundary, errors)
    assert await _worker(path, base, "none") == (0, ""), boundary
    store = store_at(f"sqlite:///{path}", create=False)
    await store.open()
    try:
        (order,) = await store.orders()
        journal = await store.journal(order.id)
    finally:
        await store.close()
    told = [tuple(line.split()) for line in path.with_suffix(".told").read_text().splitlines()]
    reference = path.stem.encode()
    submits = sum(row.path.endswith("/order") and b'"%s"' % reference in row.body for row in sim.journal.rows)
    known = sum(order.external_reference == path.stem for order in sim.orders)
    return Life(boundary, crashed, order, journal, told, submits, known)  # type: ignore[arg-type]


async def _lives(folder: Path, boundaries: list[str]) -> list[Life]:
    async with ccv_sim(step_seconds=0.02) as sim, serve(sim.asgi) as base:
        turns = asyncio.Semaphore(SIDE_BY_SIDE)

        async def in_turn(boundary: str) -> Life:
            async with turns:
                return await _live(folder, base, sim, boundary)

        async with asyncio.TaskGroup() as group:
            lives = [group.create_task(in_turn(boundary)) for boundary in boundaries]
        return [life.result() for life in lives]


def _check(life: Life) -> None:
    where = life.boundary
    assert life.submits <= 1, f"{where}: submitted twice"
    assert life.state in {"Completed", "submission_in_doubt"}, where
    assert life.known == 1 or life.state == "submission_in_doubt", f"{where}: lost"
    assert [row.version for row in life.journal] == list(range(1, life.order.version + 1)), where
    assert [row.source for row in life.journal] == ["drafted", *(row.target for row in life.journal[:-1])], where
    entered = {row.target for row in life.journal} & {"Processing", "Completed", "submission_in_doubt"}
    assert {state for _, state in life.told} == entered, f"{where}: the host was not told of everything"
    assert len(set(life.told)) == len(entered), f"{where}: a key that is not stable"


async def test_after_a_crash_around_any_call_the_order_comes_to_rest(tmp_path: Path) -> None:
    lives = await _lives(tmp_path, [*HTTP, *TOLD])
    for life in lives:
        _check(life)
        doubt = life.boundary in AT_THE_SUBMIT
        assert life.state == ("submission_in_doubt" if doubt else "Completed"), life.boundary
        assert life.known == (life.boundary != AT_THE_SUBMIT[0]), life.boundary
    interrupted = {life.boundary: life.told for life in lives if life.boundary in TOLD}
    for boundary, told in interrupted.items():
        assert len(told) > len(set(told)), f"{boundary}: what the host heard when it died is told again"


async def test_after_a_crash_in_a_transaction_the_order_comes_to_rest(tmp_path: Path) -> None:
    lives = await _lives(tmp_path, ["none", *SQL[:100:15]])
    for life in lives:
        _check(life)
        if life.boundary == "none":
            assert (life.state, len(life.told)) == ("Completed", 2)
    assert sum(life.crashed for life in lives) > len(lives) / 2


@pytest.mark.slow
async def test_after_a_crash_before_any_statement_the_order_comes_to_rest(tmp_path: Path) -> None:
    lives = await _lives(tmp_path, SQL)
    for life in lives:
        _check(life)
    assert {life.state for life in lives} == {"Completed", "submission_in_doubt"}
