"""The timing of one provider: deadlines, polls, retries, leases, quotas."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isfinite

import attrs
from attrs import frozen

from orderflow.errors import ConfigurationError
from orderflow.lifecycle.table import Table

CALL_SHARE = 0.8
"""A call may take this share of its lease, so that two workers never call at once."""

_MAY_BE_INFINITE = ("calls_per_second", "calls_per_minute")


@frozen
class Timing:
    """Configuration of one provider's clockwork. ``durations`` holds what the lifecycle's deadlines and budgets name."""

    durations: Mapping[str, float]
    poll_first: float = 2.0  # from a transition to the next read
    poll_growth: float = 2.0  # each read without news multiplies the wait
    poll_cap: float = 3600.0
    poll_jitter: float = 0.2  # share of the wait that is drawn at random
    poll_interval: float = 1.0  # at most one read per order in this time
    retry_attempts: int = 6  # how often a not-executed effect is sent before it counts as undelivered
    retry_first: float = 1.0
    retry_cap: float = 300.0
    lease: float = 60.0  # silence after which another worker takes an effect or read over
    notice_fanout: int = 20  # how many orders one shared notice brings forward
    calls_per_second: float = inf  # what one process may begin, an effect or a read counting as one call; never less than one
    calls_per_minute: float = inf
    throttle: float = 30.0  # no process calls for so long after a 429 that does not say how long
    circuit_threshold: int = 5  # calls in a row without a usable answer, after which this process makes a pause
    circuit_pause: float = 10.0  # and this long it is; then one call at a time until one is answered


def check_timing(provider: str, table: Table, timing: Timing, timeout: float | None) -> None:
    """Check a provider's timing against its lifecycle. ``timeout``: seconds of silence after which one of its calls fails; None: unknown.

    Raises:
        ConfigurationError: a number is not finite; a deadline or budget of the lifecycle has no duration; or ``timeout`` is not below
            ``CALL_SHARE`` of the lease, so that even a call that never reached the provider would end in doubt.
    """
    _check_finite(provider, timing)
    for state in table.states.values():
        for key in (*(key for _, key in state.deadlines), *([state.budget] if state.budget else [])):
            if timing.durations.get(key, -1.0) < 0:
                raise ConfigurationError(f"{provider}: timing has no duration {key!r}")
    if timeout is not None and not 0 < timeout < CALL_SHARE * timing.lease:
        raise ConfigurationError(f"{provider}: timeout ({timeout:g} s) must be > 0 and < {CALL_SHARE:g} x lease ({timing.lease:g} s)")


def _check_finite(provider: str, timing: Timing) -> None:
    """A moment without end cannot be stored or waited for."""
    numbers = attrs.asdict(timing, recurse=False)
    durations = {f"duration {key!r}": seconds for key, seconds in numbers.pop("durations").items()}
    for name, number in (numbers | durations).items():
        if not isfinite(number) and not (name in _MAY_BE_INFINITE and number == inf):
            raise ConfigurationError(f"{provider}: timing's {name} ({number:g}) must be finite")
