"""How often requests from outside may bring polls forward. Pure: the time is a parameter.

Anyone who holds a URL of ours can call it as often as they like. Each call asks for a poll. Polls suffice alone, so what is over the
quota is dropped. What bounds it:

- each order: a few requests without news are free, and then the distance between two that count doubles;
- each provider: a quota of its own, far below what may be called. So effects and polls that are due keep the rest.

It holds for one process, and begins anew with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from math import isfinite

from attrs import frozen

from orderflow._engine.rate_limiter import SlidingWindow
from orderflow._provider.timing import Timing

_FREE = 3
_SHARE = 0.1  # of the calls that this process may make
_MAX_ORDERS = 10_000  # that are remembered; the one that asked longest ago is forgotten first


@frozen
class _Requests:
    """The requests for one order that had no news yet: at which version, how many counted, and when the last one did."""

    version: int
    count: int
    last_at: float


class PollQuota:
    """The quota of one process, for all its providers."""

    def __init__(self, timings: Mapping[str, Timing]) -> None:
        self._timings = timings
        self._quotas = {name: _make_quota(timing) for name, timing in timings.items()}
        self._orders: OrderedDict[str, _Requests] = OrderedDict()

    def take(self, provider: str, order_id: str, version: int, now: float) -> bool:
        """Whether a request may bring the order's poll forward. ``version``: of the order; it rose if there were news since."""
        asked = self._orders.get(order_id)
        if asked is None or asked.version != version or now < asked.last_at:  # or the clock was set back
            asked = _Requests(version, 0, now)
        if now - asked.last_at < self._distance(self._timings[provider], asked.count) or not self.take_several(provider, 1, now):
            return False
        self._orders[order_id] = _Requests(version, asked.count + 1, now)
        self._orders.move_to_end(order_id)
        if len(self._orders) > _MAX_ORDERS:
            self._orders.popitem(last=False)
        return True

    def take_several(self, provider: str, wanted: int, now: float) -> int:
        """How many polls of a provider may be brought forward, of those that are wanted."""
        quota = self._quotas[provider]
        if quota is None:
            return wanted
        granted = min(wanted, max(0, quota.available(now)))
        for _ in range(granted):
            quota.record(now)
        return granted

    def _distance(self, timing: Timing, count: int) -> float:
        """Seconds from the last request that counted to the next one, after so many without news."""
        if count < _FREE:
            return 0.0  # the store keeps the distance between two polls
        return min(timing.poll_cap, timing.poll_interval * 2.0 ** min(count - _FREE + 1, 60))


def _make_quota(timing: Timing) -> SlidingWindow | None:
    limit = min(timing.requested_polls_per_minute, _SHARE * timing.calls_per_minute)
    return SlidingWindow(limit, 60.0) if isfinite(limit) else None
