"""The quota of requests from outside: free at first, then ever rarer for an order without news, and never more than the quota."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from orderflow._provider.timing import Timing
from orderflow._receiver import poll_quota
from orderflow._receiver.poll_quota import PollQuota


def make_quota(**changes: Any) -> PollQuota:
    timing = Timing({}, **{"poll_interval": 1.0, "poll_cap": 100.0, "requested_polls_per_minute": inf, **changes})
    return PollQuota({"toy": timing})


def count_taken(quota: PollQuota, seconds: int, order_id: str = "toy-1", start: int = 0) -> list[int]:
    """The seconds at which one request each second counted."""
    return [second for second in range(start, start + seconds) if quota.take("toy", order_id, 1, float(second))]


def test_the_distance_between_requests_without_news_doubles_up_to_the_longest_wait_for_a_poll() -> None:
    assert count_taken(make_quota(), 500) == [0, 1, 2, 4, 8, 16, 32, 64, 128, 228, 328, 428]


def test_a_few_requests_at_once_are_free() -> None:
    quota = make_quota()
    assert [quota.take("toy", "toy-1", 1, 0.0) for _ in range(5)] == [True, True, True, False, False]


def test_news_begin_it_anew_and_other_orders_are_not_concerned() -> None:
    quota = make_quota()
    assert len(count_taken(quota, 60)) == 7
    assert not quota.take("toy", "toy-1", 1, 60.0)
    assert quota.take("toy", "toy-2", 1, 60.0)
    assert quota.take("toy", "toy-1", 2, 60.0)  # the order moved
    assert quota.take("toy", "toy-1", 2, 60.0)


def test_a_clock_that_is_set_back_blocks_no_request() -> None:
    quota = make_quota()
    count_taken(quota, 60, start=1000)
    assert quota.take("toy", "toy-1", 1, 0.0)


@pytest.mark.parametrize(
    ("limits", "taken"),
    [
        ({"requested_polls_per_minute": 7.0}, 7),
        ({"requested_polls_per_minute": inf, "calls_per_minute": 60.0}, 6),
        ({"requested_polls_per_minute": 7.0, "calls_per_minute": 30.0}, 3),
        ({"calls_per_minute": 1.0}, 1),
    ],
)
def test_a_provider_has_a_quota_over_all_its_orders(limits: dict[str, float], taken: int) -> None:
    quota = make_quota(**limits)
    assert sum(quota.take("toy", f"toy-{n}", 1, n / 10) for n in range(100)) == taken
    assert quota.take("toy", "toy-99", 1, 70.0)


def test_a_shared_notice_gets_what_is_left_of_the_quota() -> None:
    quota = make_quota(requested_polls_per_minute=10.0)
    assert [quota.take_several("toy", 4, 0.0) for _ in range(4)] == [4, 4, 2, 0]
    assert make_quota().take_several("toy", 500, 0.0) == 500


def test_it_remembers_a_bounded_number_of_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll_quota, "_MAX_ORDERS", 3)
    quota = make_quota()
    count_taken(quota, 20, "toy-first")
    assert not quota.take("toy", "toy-first", 1, 20.0)
    for n in range(3):
        quota.take("toy", f"toy-{n}", 1, 20.0)
    assert quota.take("toy", "toy-first", 1, 20.0)  # forgotten
