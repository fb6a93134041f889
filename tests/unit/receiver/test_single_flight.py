"""Single flight: equal requests share an execution that begins after each of them asked; executions begin at least a window apart."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
from attrs import define, field
from tests.kit.timed import run_virtually

from orderflow._receiver.single_flight import SingleFlight, TooManyRequests

WINDOW = 0.25


@define
class Executions:
    """Numbers its executions, and keeps when each began and how many callers shared it."""

    seconds: float = 0.01
    flight: SingleFlight[int] = field(factory=SingleFlight)
    begun: list[float] = field(factory=list)
    callers: list[int] = field(factory=list)

    async def ask(self, key: str = "k", pace: str | None = None) -> int:
        """The number of the execution that answered."""
        return await self.flight.do(key, WINDOW, self._execute, pace=pace)

    async def _execute(self, callers: int) -> int:
        self.begun.append(now())
        self.callers.append(callers)
        number = len(self.begun)
        await asyncio.sleep(self.seconds)
        return number


def now() -> float:
    return asyncio.get_running_loop().time()


def in_virtual_time(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        run_virtually(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@in_virtual_time
async def test_callers_that_come_together_share_one_execution_which_begins_at_once() -> None:
    executions, start = Executions(), now()
    assert await asyncio.gather(*(executions.ask() for _ in range(1000))) == [1] * 1000
    assert executions.begun == pytest.approx([start], abs=1e-3)
    assert executions.callers == [1000]


@in_virtual_time
async def test_a_caller_is_answered_by_an_execution_that_began_after_it_asked() -> None:
    executions, answers = Executions(seconds=0.7), []  # longer than a window: executions overlap

    async def ask() -> None:
        asked = now()
        answers.append((asked, executions.begun[await executions.ask() - 1]))

    async with asyncio.TaskGroup() as group:
        for _ in range(500):
            group.create_task(ask())
            await asyncio.sleep(0.01)
    assert all(begun >= asked for asked, begun in answers)
    assert all(begun - asked <= WINDOW + 0.01 for asked, begun in answers)
    assert min(later - earlier for earlier, later in pairwise(executions.begun)) >= WINDOW - 1e-3


@in_virtual_time
async def test_keys_of_one_pace_begin_a_window_apart() -> None:
    executions, start = Executions(), now()
    await asyncio.gather(*(executions.ask(f"claim {n}", "url") for n in range(10)), executions.ask("claim", "another url"))
    assert executions.begun == pytest.approx(sorted([start, *(start + WINDOW * n for n in range(10))]), abs=1e-2)
    assert executions.callers == [1] * 11


@in_virtual_time
async def test_what_would_wait_too_long_is_refused_and_keeps_nothing() -> None:
    executions = Executions()
    answers = await asyncio.gather(*(executions.ask(f"claim {n}", "url") for n in range(1000)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, TooManyRequests)]
    assert len(executions.begun) == 1000 - len(refused) == 21
    await asyncio.sleep(WINDOW)
    assert await executions.ask("last", "url") == 22
    assert executions.flight._callers == executions.flight._pending == {}


@in_virtual_time
async def test_one_key_does_not_wait_for_another() -> None:
    executions, start = Executions(), now()
    await asyncio.gather(*(executions.ask(str(n)) for n in range(100)))
    assert (len(executions.begun), now() - start < 0.1) == (100, True)


@in_virtual_time
async def test_a_caller_that_is_cancelled_does_not_cancel_the_others() -> None:
    executions = Executions()
    tasks = [asyncio.create_task(executions.ask()) for _ in range(3)]
    await asyncio.sleep(0.001)
    tasks[0].cancel()
    assert await asyncio.gather(*tasks[1:]) == [1, 1]
    assert tasks[0].cancelled()


@in_virtual_time
async def test_an_exception_is_raised_in_all_its_callers_and_in_no_later_ones() -> None:
    flight: SingleFlight[str] = SingleFlight()

    async def fail(_callers: int) -> str:
        raise LookupError("away")

    async def succeed(_callers: int) -> str:
        return "done"

    async def ask_three_times(execute: Callable[[int], Awaitable[str]]) -> list[str | BaseException]:
        return await asyncio.gather(*(flight.do("k", WINDOW, execute) for _ in range(3)), return_exceptions=True)

    assert {type(outcome) for outcome in await ask_three_times(fail)} == {LookupError}
    assert await ask_three_times(succeed) == ["done"] * 3


@in_virtual_time
async def test_a_key_is_remembered_for_one_window() -> None:
    executions = Executions()
    for n in range(2000):
        await executions.ask(str(n))
    assert len(vars(executions.flight)["_next_start"]) <= WINDOW / 0.01 + 1
    assert vars(executions.flight)["_pending"] == vars(executions.flight)["_callers"] == {}


async def give_up_before_it_fails() -> list[Any]:
    flight, reported = SingleFlight[int](), list[Any]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))

    async def fail(_callers: int) -> int:
        await asyncio.sleep(1)
        raise OSError("away")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await flight.do("k", WINDOW, fail)
    await asyncio.sleep(1)
    gc.collect()
    await asyncio.sleep(0)
    return reported


def test_a_failure_after_all_callers_have_given_up_is_not_reported_as_never_retrieved() -> None:
    assert run_virtually(give_up_before_it_fails()) == []
