"""The circuit breaker: closed, open, half open."""

from __future__ import annotations

import itertools

import pytest

from orderflow._engine.circuit_breaker import CircuitBreaker, CircuitState

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


def test_it_opens_after_so_many_failures_in_a_row_and_is_half_open_after_the_pause() -> None:
    breaker = CircuitBreaker(3, 10.0)
    for _ in range(2):
        breaker.record_failure(0.0)
    breaker.record_answer()
    for _ in range(2):
        breaker.record_failure(0.0)
    assert (breaker.state(0.0), breaker.tripped, breaker.one_at_a_time) == (CLOSED, False, False)
    breaker.record_failure(0.0)
    assert (breaker.state(0.0), breaker.open_until, breaker.tripped, breaker.one_at_a_time) == (OPEN, 10.0, True, True)
    assert (breaker.state(9.9), breaker.state(10.0)) == (OPEN, HALF_OPEN)


def test_a_failure_while_half_open_opens_it_again_and_an_answer_closes_it() -> None:
    breaker = CircuitBreaker(1, 10.0)
    breaker.record_failure(0.0)
    breaker.record_failure(50.0)
    assert (breaker.state(50.0), breaker.state(59.9), breaker.state(60.0)) == (OPEN, OPEN, HALF_OPEN)
    breaker.record_answer()
    assert (breaker.state(50.0), breaker.tripped, breaker.one_at_a_time) == (CLOSED, False, False)


def test_an_answer_that_does_not_close_it_ends_the_pause_and_nothing_else() -> None:
    breaker = CircuitBreaker(1, 10.0)
    breaker.record_failure(0.0)
    breaker.record_answer(close=False)
    assert (breaker.state(0.0), breaker.tripped, breaker.one_at_a_time) == (HALF_OPEN, False, True)


def test_a_probe_makes_it_half_open_until_an_answer() -> None:
    breaker = CircuitBreaker(3, 10.0)
    breaker.probe()
    assert (breaker.state(0.0), breaker.one_at_a_time, breaker.tripped) == (HALF_OPEN, True, False)
    breaker.record_failure(0.0)
    assert breaker.state(0.0) == HALF_OPEN
    breaker.record_answer()
    assert breaker.state(0.0) == CLOSED


def test_forgotten_failures_do_not_count_and_the_pause_stays() -> None:
    breaker = CircuitBreaker(2, 10.0)
    breaker.record_failure(0.0)
    breaker.forget_failures()
    breaker.record_failure(0.0)
    assert breaker.state(0.0) == CLOSED
    breaker.record_failure(0.0)
    breaker.forget_failures()
    assert (breaker.state(0.0), breaker.tripped) == (OPEN, False)


def test_a_pause_is_never_longer_than_its_length_from_now() -> None:
    """The clock was hours ahead, and was set back."""
    breaker = CircuitBreaker(1, 10.0)
    breaker.record_failure(6 * 3600.0)
    breaker.correct_clock(0.0)
    assert (breaker.open_until, breaker.state(9.9), breaker.state(10.0)) == (10.0, OPEN, HALF_OPEN)


@pytest.mark.parametrize("threshold", [1, 2, 3])
def test_it_is_open_for_the_pause_after_each_failure_from_the_threshold_on(threshold: int) -> None:
    """Every sequence of six failures and answers."""
    for story in itertools.product((True, False), repeat=6):
        breaker, in_a_row, half_open = CircuitBreaker(threshold, 10.0), 0, False
        for n, failed in enumerate(story):
            now = 100.0 * n
            assert breaker.state(now) == (HALF_OPEN if half_open else CLOSED), story
            if failed:
                breaker.record_failure(now)
            else:
                breaker.record_answer()
            in_a_row = in_a_row + 1 if failed else 0
            half_open = failed and (half_open or in_a_row >= threshold)
            assert breaker.state(now) == (OPEN if in_a_row >= threshold else HALF_OPEN if half_open else CLOSED), story
