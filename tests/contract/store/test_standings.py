"""What a store keeps about providers: problems that begin, go on and end, throttles, and lifting. Shared by all processes."""

from __future__ import annotations

import asyncio

import pytest
from tests.kit.commits import LEASE, NOW, SCOPE, Another, move, new_order

from orderflow._store.ports import Store
from orderflow._store.records import PollAt, PollSooner, StoredStanding
from orderflow.model import ProviderProblem

pytestmark = pytest.mark.anyio
AWAY, LOGIN = ProviderProblem.DOES_NOT_ANSWER, ProviderProblem.LOGIN_FAILS


async def test_a_problem_begins_once_goes_on_and_ends_once(another: Another) -> None:
    here, there = await another(), await another()
    assert await here.read_standings() == {}
    assert await here.report_problem("toy", AWAY, None, NOW, NOW + 10)
    assert not await there.report_problem("toy", AWAY, 503, NOW + 5, NOW + 15)
    assert not await there.report_problem("toy", AWAY, 502, NOW + 4, NOW + 14)  # a clock that is behind
    row = StoredStanding("toy", 0.0, AWAY, 502, NOW, NOW + 5, NOW + 15)
    assert await there.read_standings() == await here.read_standings() == {"toy": row}
    assert not await here.end_problem("toy", LOGIN, NOW + 6)
    assert await here.end_problem("toy", AWAY, NOW + 6)
    assert not await there.end_problem("toy", AWAY, NOW + 6)
    assert await there.read_standings() == {"toy": StoredStanding("toy", seen_at=NOW + 6)}


async def test_what_was_seen_before_the_end_of_a_problem_begins_none(another: Another) -> None:
    """A process writes late what it saw: without this, the problem would stand there until the next call."""
    here, there = await another(), await another()
    await here.report_problem("toy", AWAY, None, NOW, NOW + 10)
    await here.end_problem("toy", AWAY, NOW + 6)
    assert not await there.report_problem("toy", AWAY, 503, NOW + 5, NOW + 15)
    assert not await there.report_problem("toy", LOGIN, 503, NOW + 5, NOW + 15)
    assert await here.read_standings() == {"toy": StoredStanding("toy", seen_at=NOW + 6)}
    assert await there.report_problem("toy", AWAY, 503, NOW + 6, NOW + 16)


async def test_what_was_seen_before_an_operator_lifted_the_standing_begins_none(another: Another) -> None:
    here, there = await another(), await another()
    await here.report_problem("toy", AWAY, None, NOW, NOW + 10)
    await here.lift_standing("toy", NOW + 6, "kim")
    assert not await there.report_problem("toy", AWAY, 503, NOW + 5, NOW + 15)
    assert await there.report_problem("toy", AWAY, 503, NOW + 7, NOW + 17)


async def test_another_problem_begins_anew(store: Store) -> None:
    await store.report_problem("toy", AWAY, 503, NOW, NOW + 10)
    assert await store.report_problem("toy", LOGIN, None, NOW + 5, NOW + 6)
    assert await store.read_standings() == {"toy": StoredStanding("toy", 0.0, LOGIN, None, NOW + 5, NOW + 5, NOW + 6)}


async def test_of_many_that_see_a_problem_at_once_one_sees_it_begin(another: Another) -> None:
    stores = [await another() for _ in range(3)]
    began = await asyncio.gather(*(store.report_problem("toy", AWAY, None, NOW, NOW) for store in stores * 4))
    assert began.count(True) == 1
    ended = await asyncio.gather(*(store.end_problem("toy", AWAY, NOW) for store in stores * 4))
    assert ended.count(True) == 1


async def test_a_throttle_and_a_problem_do_not_disturb_each_other(store: Store) -> None:
    await store.throttle("toy", NOW + 60)
    await store.report_problem("toy", AWAY, None, NOW, NOW + 10)
    await store.throttle("toy", NOW + 30)
    assert (await store.read_standings())["toy"] == StoredStanding("toy", NOW + 60, AWAY, None, NOW, NOW, NOW + 10)
    await store.end_problem("toy", AWAY, NOW + 1)
    assert await store.read_standings() == {"toy": StoredStanding("toy", NOW + 60, seen_at=NOW + 1)}


async def test_lifting_clears_everything_and_is_kept(store: Store) -> None:
    await store.throttle("toy", NOW + 60)
    await store.report_problem("toy", AWAY, 503, NOW, NOW + 10)
    await store.lift_standing("toy", NOW + 1, "kim: they are back")
    await store.lift_standing("other", NOW + 2, "kim: \0")
    standings = await store.read_standings()
    assert standings["toy"] == StoredStanding("toy", seen_at=NOW + 1, lifted_at=NOW + 1, lifted_by="kim: they are back")
    assert standings["other"].lifted_at == NOW + 2
    assert await store.report_problem("toy", AWAY, None, NOW + 3, NOW + 13)
    assert (await store.read_standings())["toy"].lifted_by == "kim: they are back"


async def test_unusable_answers_in_a_row_are_kept_with_the_poll(store: Store) -> None:
    order = await store.create(new_order(), "content")
    await store.commit(order.id, None, move("sent", poll=PollAt(NOW, 0, 1.0, 2)))
    (poll,) = await store.lease_polls(NOW, SCOPE, 10)
    assert poll.unusable == 2
    await store.plan_poll(order.id, NOW, PollSooner(1.0))  # a notice
    (poll,) = await store.lease_polls(NOW + LEASE, SCOPE, 10)
    assert poll.unusable == 2
    await store.plan_poll(order.id, NOW, PollAt(NOW + 2 * LEASE, 1, 1.0, 3))
    (poll,) = await store.lease_polls(NOW + 2 * LEASE, SCOPE, 10)
    assert (poll.without_news, poll.unusable) == (1, 3)
    await store.commit(order.id, None, move("sent", poll=PollAt(NOW + 3 * LEASE, 1, 1.0)))
    (poll,) = await store.lease_polls(NOW + 3 * LEASE, SCOPE, 10)
    assert poll.unusable == 0
