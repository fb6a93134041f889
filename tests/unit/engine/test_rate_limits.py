"""Rate limits: how many calls may begin now, and when the next one may."""

from __future__ import annotations

import random

import pytest
from attrs import evolve
from tests.kit.toy import TIMING

from orderflow._engine.rate_limiter import RateLimiter


def limiter(**timing: float) -> RateLimiter:
    return RateLimiter.of(evolve(TIMING, **timing))


@pytest.mark.parametrize("seed", range(20))
def test_no_second_and_no_minute_has_more_calls_than_its_limit_and_none_has_fewer_than_it_may(seed: int) -> None:
    """Compared with a count over all calls, at times drawn so that windows open and close between and exactly at them."""
    rng = random.Random(seed)
    per_second, per_minute = rng.randint(1, 5), rng.randint(3, 40)
    limits, now, begun = limiter(calls_per_second=per_second, calls_per_minute=per_minute), 1e9, list[float]()
    for _ in range(600):
        free = min(most - sum(at + seconds > now for at in begun) for most, seconds in ((per_second, 1), (per_minute, 60)))
        assert limits.available(now) == free
        if free > 0:
            assert limits.next_call_at(now) == now
            if rng.random() < 0.8:
                begun.append(now)
                limits.record(now)
        else:
            opening = limits.next_call_at(now)
            available = limits.available((now + opening) / 2)
            assert available is not None
            assert available <= 0
            now = opening
        now += rng.choice([0.0, 0.0, 0.125, 0.25, 1.0])


@pytest.mark.parametrize("calls_per_minute", [0.2, 0.999, 1e-9])
def test_the_smallest_limit_is_one_call(calls_per_minute: float) -> None:
    limits = limiter(calls_per_minute=calls_per_minute)
    assert limits.available(0.0) == 1
    limits.record(0.0)
    assert (limits.available(59.9), limits.next_call_at(59.9), limits.available(60.0)) == (0, 60.0, 1)


def test_without_limits_any_number_of_calls_may_begin() -> None:
    limits = limiter()
    for _ in range(10_000):
        limits.record(0.0)
    assert (limits.available(0.0), limits.next_call_at(0.0)) == (None, 0.0)


def test_calls_that_were_recorded_before_the_clock_was_set_back_do_not_count() -> None:
    limits = limiter(calls_per_minute=2)
    for _ in range(2):
        limits.record(1e6)
    assert limits.available(1e6) == 0
    assert (limits.available(1e6 - 3600), limits.next_call_at(1e6 - 3600)) == (2, 1e6 - 3600)
