"""A clock that was hours ahead and is set back: no silence outlives its own length, neither ours nor what all processes heed."""

from __future__ import annotations

import pytest
from attrs import evolve
from tests.kit.toy import TIMING

from orderflow.engine.admission import Admission
from orderflow.provider.outcomes import InDoubt, NotExecuted, Outcome, ReadFailed, Signal

NOW = 1_000_000.0
HOURS = 6 * 3600.0
PAUSED = evolve(TIMING, circuit_threshold=2, circuit_pause=10.0, throttle=30.0)
DEAD: tuple[Outcome, ...] = (InDoubt("reset"), InDoubt("reset"))
THROTTLED: tuple[Outcome, ...] = (NotExecuted("429", signal=Signal.THROTTLED, retry_after=50.0),)


def _silence(admission: Admission, at: float) -> float:
    """How long it lasts, looked at every second."""
    for second in range(10_000):
        if not admission.paused(at + second):
            return float(second)
    raise AssertionError("it does not end")


@pytest.mark.parametrize(
    ("outcomes", "longest"),
    [(DEAD, 10.0), (THROTTLED, 3600.0), ((ReadFailed("429", signal=Signal.THROTTLED, retry_after=50.0),), 3600.0)],
    ids=["nobody answers", "429", "429 on a read"],
)
def test_a_pause_is_never_longer_than_its_own_length_from_now(outcomes: tuple[Outcome, ...], longest: float) -> None:
    admission = Admission({"toy": PAUSED}, lambda: None)
    for outcome in outcomes:
        admission.answered("toy", outcome, NOW + HOURS)
    assert admission.paused(NOW + HOURS + 5)
    assert _silence(admission, NOW) <= longest


def test_what_the_store_says_is_heeded_once() -> None:
    """It names a moment by the clock that was ahead, and says it again with every look."""
    admission, blocked = Admission({"toy": PAUSED}, lambda: None), {"toy": NOW + HOURS + 50}
    silent = 0
    for second in range(0, 8000, 10):
        admission.heed(blocked, NOW + second)
        silent = second if admission.paused(NOW + second) else silent
    assert 0 < silent <= 3600
    admission.heed({"toy": NOW + 8030}, NOW + 8000)  # what is said anew is heeded
    assert admission.paused(NOW + 8010)
    assert not admission.paused(NOW + 8031)
