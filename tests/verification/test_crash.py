"""Rule 10, crash anywhere: the shop dies by SIGKILL at each distinct (state, effect, I/O boundary) of the demo's scenarios, on both stores.

Each scenario is lived on each course (crash_course.py): reads are forced to come before, during and after whatever else happens. A course
repeats, so every point that was counted is met again, and killed.
Restarted, everything said again: nothing lost, nothing illegal, no once-effect executed twice (the simulator's journal judges); every
order has converged, or is in doubt and its journal names the lost call.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest
from tests.kit.crash_course import COURSES
from tests.kit.crash_lanes import ONCE, End, Fresh, Lane, lane, problems
from tests.kit.postgres import drop_schema, make_schema

from orderflow._cli.demo.play import SCENARIOS
from orderflow._cli.demo.world import Scenario

pytestmark = pytest.mark.anyio
LANES = 8
CUT = ("card by URL, new user without password", "sms with callback success", "plain")
TABLES = ("orders", "journal", "refusals", "effects", "deadlines", "polls", "inbox", "listeners", "providers")


@pytest.fixture(params=["sqlite", "postgresql"])
async def lanes(request: pytest.FixtureRequest) -> AsyncIterator[list[Lane]]:
    """Lanes on databases of their own."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(LANES):
            fresh = _file if request.param == "sqlite" else await _schema(stack)
            made.append(await stack.enter_async_context(lane(fresh)))
        yield made


async def _file(folder: Path) -> str:
    return f"sqlite:///{folder / 'orders.db'}"


async def _schema(stack: AsyncExitStack) -> Fresh:
    name, url = await make_schema()
    stack.push_async_callback(drop_schema, name)

    async def emptied(_folder: Path) -> str:
        connection = await asyncpg.connect(url)
        try:
            there = await connection.fetchval("SELECT to_regclass('of_orders')")
            if there is not None:
                await connection.execute(";".join(f"DELETE FROM of_{table}" for table in TABLES))
        finally:
            await connection.close()
        return url

    return emptied


async def count(lanes: Sequence[Lane], scenarios: Iterable[Scenario]) -> dict[str, End]:
    """The points: each distinct label, and the first life that passes it."""
    todo = list(enumerate((scenario, course) for course in COURSES for scenario in scenarios))
    lives: dict[int, End] = {}

    async def work(lane: Lane) -> None:
        while todo:
            n, (scenario, course) = todo.pop(0)
            lives[n] = end = await lane.play(scenario, course=course)
            assert problems(end) == [], (scenario.name, course)

    await _all(lanes, work)
    points: dict[str, End] = {}
    for _, end in sorted(lives.items()):
        for label in end.passed:
            points.setdefault(label, end)
    return points


async def crash(lanes: Sequence[Lane], points: Mapping[str, End]) -> list[End]:
    """Each point, killed once."""
    todo = list(points.items())
    ends: list[End] = []

    async def work(lane: Lane) -> None:
        while todo:
            label, life = todo.pop(0)
            ends.append(await lane.play(life.scenario, label, life.course))

    await _all(lanes, work)
    return ends


async def _all(lanes: Sequence[Lane], work: object) -> None:
    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            group.create_task(work(lane))  # type: ignore[operator]


def check(ends: Sequence[End], capsys: pytest.CaptureFixture[str]) -> None:
    """Say how many there were; each was a kill, and came to a good end."""
    doubts = sum(end.order.state.endswith("_in_doubt") for end in ends)
    kills = sum(end.killed for end in ends)
    with capsys.disabled():
        print(
            f"\n{len(ends)} points, {kills} kills; {doubts} in doubt, the others converged", file=sys.stderr
        )  # which test processes share with the terminal
    found = [(end, [*problems(end), *([] if end.killed else ["not passed again"])]) for end in ends]
    wrong = [f"{end.crash_at} [{end.scenario.name}, {end.course}]: {'; '.join(why)}" for end, why in found if why]
    assert wrong == [], "\n".join(wrong)


async def test_after_a_crash_the_order_comes_to_rest(lanes: list[Lane], capsys: pytest.CaptureFixture[str]) -> None:
    """A cut: every other point around a once-effect's call, and some elsewhere."""
    points = await count(lanes, [scenario for scenario in SCENARIOS if scenario.name in CUT])
    around = {label: where for label, where in points.items() if label.split(" | ")[1] in ONCE and "token" not in label}
    others = {label: where for label, where in points.items() if label not in around}
    chosen = dict(list(around.items())[::2]) | dict(list(others.items())[::25])
    check(await crash(lanes, chosen), capsys)


@pytest.mark.slow
async def test_after_a_crash_anywhere_the_order_comes_to_rest(lanes: list[Lane], capsys: pytest.CaptureFixture[str]) -> None:
    points = await count(lanes, SCENARIOS)
    check(await crash(lanes, points), capsys)
