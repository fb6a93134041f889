"""Many that say the same: heard together, at most once a beat, and nobody is answered by a run that began before he came."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from tests.kit.virtual_time import run_virtually

from orderflow.receiver.single_flight import SingleFlight

BEAT = 0.25


class Ear:
    """Numbers its runs, and keeps when each began."""

    def __init__(self, takes: float = 0.01) -> None:
        self.crowd: SingleFlight[int] = SingleFlight()
        self.began: list[float] = []
        self.sizes: list[int] = []
        self._takes = takes

    async def hear(self, key: str = "k") -> int:
        return await self.crowd.join(key, BEAT, self._run)

    async def _run(self, heard: int) -> int:
        self.began.append(now())
        self.sizes.append(heard)
        number = len(self.began)
        await asyncio.sleep(self._takes)
        return number


def now() -> float:
    return asyncio.get_running_loop().time()


def virtually(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        run_virtually(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@virtually
async def test_those_who_come_together_are_heard_together_and_at_once() -> None:
    ear, start = Ear(), now()
    assert await asyncio.gather(*(ear.hear() for _ in range(1000))) == [1] * 1000
    assert ear.began == pytest.approx([start], abs=1e-3)
    assert ear.sizes == [1000], "a run knows for how many it is"


@virtually
async def test_nobody_is_answered_by_a_run_that_began_before_he_came() -> None:
    ear, late = Ear(takes=0.7), []  # longer than a beat: runs overlap

    async def come() -> None:
        came = now()
        late.append((came, ear.began[await ear.hear() - 1]))

    async with asyncio.TaskGroup() as group:
        for _ in range(500):
            group.create_task(come())
            await asyncio.sleep(0.01)
    assert all(began >= came for came, began in late)
    assert all(began - came <= BEAT + 0.01 for came, began in late)
    assert min(later - earlier for earlier, later in zip(ear.began, ear.began[1:], strict=False)) >= BEAT - 1e-3


@virtually
async def test_one_key_does_not_wait_for_another() -> None:
    ear, start = Ear(), now()
    await asyncio.gather(*(ear.hear(str(n)) for n in range(100)))
    assert (len(ear.began), now() - start < 0.1) == (100, True)


@virtually
async def test_one_that_hangs_up_takes_nobody_along() -> None:
    ear = Ear()
    waiting = [asyncio.create_task(ear.hear()) for _ in range(3)]
    await asyncio.sleep(0.001)
    waiting[0].cancel()
    assert await asyncio.gather(*waiting[1:]) == [1, 1]
    assert waiting[0].cancelled()


@virtually
async def test_trouble_is_told_to_all_and_the_next_may_fare_better() -> None:
    crowd: SingleFlight[str] = SingleFlight()

    async def fail(_heard: int) -> str:
        raise LookupError("away")

    async def fare_well(_heard: int) -> str:
        return "well"

    async def all_of(run: Callable[[int], Awaitable[str]]) -> list[str | BaseException]:
        return await asyncio.gather(*(crowd.join("k", BEAT, run) for _ in range(3)), return_exceptions=True)

    assert {type(outcome) for outcome in await all_of(fail)} == {LookupError}
    assert await all_of(fare_well) == ["well"] * 3


@virtually
async def test_a_key_is_kept_for_a_beat_and_no_longer() -> None:
    ear = Ear()
    for n in range(2000):
        await ear.hear(str(n))
    assert len(vars(ear.crowd)["_rest"]) <= BEAT / 0.01 + 1
    assert vars(ear.crowd)["_next"] == vars(ear.crowd)["_size"] == {}
