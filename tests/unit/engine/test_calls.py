"""How long a call may take, and how a stopping worker cancels the calls in progress."""

from __future__ import annotations

import asyncio

import pytest

from orderflow._engine.calls import CANCELLED, TOO_LATE, CallCancelled, RunningCalls, seconds_for_call


@pytest.mark.parametrize(
    ("now", "seconds"),
    [(0.0, 48.0), (12.0, 36.0), (47.0, 1.0), (48.0, 0.0), (60.0, -12.0), (-5.0, 48.0)],
    ids=["at once", "later", "at the last moment", "too late", "the lease is over", "the clock was set back"],
)
def test_a_call_may_take_a_share_of_its_lease_less_what_has_passed(now: float, seconds: float) -> None:
    assert seconds_for_call(60.0, 60.0, now) == pytest.approx(seconds)


@pytest.mark.anyio
async def test_a_call_within_its_seconds_ends_as_it_ends() -> None:
    calls = RunningCalls()
    async with calls.limit(10.0):
        await asyncio.sleep(0)
    with pytest.raises(ZeroDivisionError):
        async with calls.limit(10.0):
            raise ZeroDivisionError


@pytest.mark.anyio
async def test_a_call_that_takes_longer_times_out() -> None:
    with pytest.raises(TimeoutError):
        async with RunningCalls().limit(0.01):
            await asyncio.Event().wait()


@pytest.mark.anyio
@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_a_call_that_would_begin_too_late_does_not_begin(seconds: float) -> None:
    with pytest.raises(CallCancelled, match=TOO_LATE):
        async with RunningCalls().limit(seconds):
            raise AssertionError


@pytest.mark.anyio
async def test_cancelling_ends_the_calls_in_progress_and_lets_none_begin() -> None:
    calls, ends = RunningCalls(), list[str]()

    async def call() -> None:
        try:
            async with calls.limit(60.0):
                await asyncio.Event().wait()
        except CallCancelled as cancelled:
            ends.append(str(cancelled))

    tasks = [asyncio.create_task(call()) for _ in range(3)]
    await asyncio.sleep(0)
    calls.cancel_all()
    assert calls.closed
    await asyncio.gather(*tasks)
    assert ends == [CANCELLED] * 3
    for seconds in (60.0, 0.0):
        with pytest.raises(CallCancelled, match=CANCELLED):
            async with calls.limit(seconds):
                raise AssertionError
