"""``fast_timing``: a provider's timing for tests that run in real time. Only that lives here."""

from __future__ import annotations

from math import inf
from typing import Any

from attrs import evolve

from orderflow._provider.timing import Timing

_DEADLINE = 60.0  # far off: a test that wants a deadline to come brings it near


def fast_timing(timing: Timing, **changes: Any) -> Timing:
    """The timing with polls and retries in hundredths of a second, and deadlines a minute away; ``changes`` are other fields.

    ``fast_timing(TIMING, durations={"cancel_grace": 0.1})`` changes one deadline and leaves the others far off.
    """
    durations = {**dict.fromkeys(timing.durations, _DEADLINE), **changes.pop("durations", {})}
    fast = evolve(
        timing,
        durations=durations,
        poll_first=0.03,
        poll_cap=0.2,
        poll_interval=0.01,
        requested_polls_per_minute=inf,
        retry_attempts=4,
        retry_first=0.01,
        retry_cap=0.05,
        lease=5.0,
    )
    return evolve(fast, **changes)
