"""A crash anywhere: the service is killed at each distinct crash point of the demo's scenarios, on both databases.

Each scenario is played on each course (crash_course.py), so that polls come before, during and after everything else. A course repeats
exactly: every point that a first run passes is passed again, and the service is killed there. Then it is started again, and callers send
everything again. Nothing is lost, no step is illegal, and no once-effect is executed twice, as the simulators' journals show. Every order
reaches its expected state, or is in doubt and its journal names the lost call.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.kit.crash_course import COURSES
from tests.kit.crash_lanes import ONCE, End, Fresh, Lane, lane, problems
from tests.kit.postgres import drop_schema, make_schema

from orderflow._cli.demo.play import SCENARIOS
from orderflow._cli.demo.world import Scenario

pytestmark = pytest.mark.anyio
LANES = 8
SAMPLE = ("card by URL, new user without password", "sms with callback success", "plain")
TABLES = ("orders", "journal", "refusals", "effects", "deadlines", "polls", "inbox", "listeners", "providers", "messages", "provider_ids")


@pytest.fixture(params=["sqlite", "postgresql"])
async def lanes(request: pytest.FixtureRequest) -> AsyncIterator[list[Lane]]:
    """Lanes on databases of their own."""
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(LANES):
            make_database = name_file if request.param == "sqlite" else await make_emptier(stack)
            opened.append(await stack.enter_async_context(lane(make_database)))
        yield opened


async def name_file(folder: Path) -> str:
    """The URL of a new SQLite database."""
    return f"sqlite:///{folder / 'orders.db'}"


async def make_emptier(stack: AsyncExitStack) -> Fresh:
    """Make a schema, and a function that empties it and returns its URL."""
    name, url = await make_schema()
    stack.push_async_callback(drop_schema, name)

    async def empty_schema(_folder: Path) -> str:
        connection = await asyncpg.connect(url)
        try:
            exists = await connection.fetchval("SELECT to_regclass('of_orders')")
            if exists is not None:
                await connection.execute(";".join(f"DELETE FROM of_{table}" for table in TABLES))
        finally:
            await connection.close()
        return url

    return empty_schema


async def list_points(lanes: Sequence[Lane], scenarios: Iterable[Scenario]) -> dict[str, End]:
    """Play without a crash. Returns the label of each crash point, with the end of the first run that passed it."""
    waiting = list(enumerate((scenario, course) for course in COURSES for scenario in scenarios))
    ends: dict[int, End] = {}

    async def play_next(own_lane: Lane) -> None:
        while waiting:
            n, (scenario, course) = waiting.pop(0)
            ends[n] = end = await own_lane.play(scenario, course=course)
            assert problems(end) == [], (scenario.name, course)

    await run_in_lanes(lanes, play_next)
    points: dict[str, End] = {}
    for _, end in sorted(ends.items()):
        for label in end.passed:
            points.setdefault(label, end)
    return points


async def crash_at_each(lanes: Sequence[Lane], points: Mapping[str, End]) -> list[End]:
    """Play again for each point, and kill the service there."""
    waiting = list(points.items())
    ends: list[End] = []

    async def play_next(own_lane: Lane) -> None:
        while waiting:
            label, first = waiting.pop(0)
            ends.append(await own_lane.play(first.scenario, label, first.course))

    await run_in_lanes(lanes, play_next)
    return ends


async def run_in_lanes(lanes: Sequence[Lane], play_next: Callable[[Lane], Coroutine[Any, Any, None]]) -> None:
    """Run a function in all lanes at once."""
    async with asyncio.TaskGroup() as group:
        for own_lane in lanes:
            group.create_task(play_next(own_lane))


def assert_recovered(ends: Sequence[End], capsys: pytest.CaptureFixture[str]) -> None:
    """Each run was killed and ended as it must. Prints how many there were."""
    doubts = sum(end.order.state.endswith("_in_doubt") for end in ends)
    kills = sum(end.killed for end in ends)
    with capsys.disabled():
        print(
            f"\n{len(ends)} points, {kills} kills; {doubts} in doubt, the others in their expected state", file=sys.stderr
        )  # which test processes share with the terminal
    problems_of = [(end, [*problems(end), *([] if end.killed else ["not passed again"])]) for end in ends]
    failures = [f"{end.crash_at} [{end.scenario.name}, {end.course}]: {'; '.join(found)}" for end, found in problems_of if found]
    assert failures == [], "\n".join(failures)


async def test_after_a_crash_the_order_ends_as_without_it(lanes: list[Lane], capsys: pytest.CaptureFixture[str]) -> None:
    """A sample: every other point around a once-effect's call, and some elsewhere."""
    points = await list_points(lanes, [scenario for scenario in SCENARIOS if scenario.name in SAMPLE])
    around = {label: end for label, end in points.items() if label.split(" | ")[1] in ONCE and "token" not in label}
    others = {label: end for label, end in points.items() if label not in around}
    chosen = dict(list(around.items())[::2]) | dict(list(others.items())[::25])
    assert_recovered(await crash_at_each(lanes, chosen), capsys)


@pytest.mark.slow
async def test_after_a_crash_at_any_point_the_order_ends_as_without_it(lanes: list[Lane], capsys: pytest.CaptureFixture[str]) -> None:
    points = await list_points(lanes, SCENARIOS)
    assert_recovered(await crash_at_each(lanes, points), capsys)
