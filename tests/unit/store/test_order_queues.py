"""Which waiting work shares a batch: one piece of an order, in the order of arrival, in fair shares."""

from __future__ import annotations

import random
from collections import defaultdict, deque

import pytest
from attrs import frozen

from orderflow._store.order_queues import OrderQueues


@frozen
class Work:
    order_id: str
    number: int


def works(*names: str) -> list[Work]:
    """``a1`` is the first piece of work of order a, ``-1`` is of no order."""
    return [Work(name[0].strip("-"), int(name[1:])) for name in names]


def names(batch: list[Work]) -> list[str]:
    return [f"{work.order_id or '-'}{work.number}" for work in batch]


def queues_of(*names: str, batches: int = 1, most: int = 100) -> OrderQueues[Work]:
    queues: OrderQueues[Work] = OrderQueues(batches=batches, most=most)
    for work in works(*names):
        queues.submit(work)
    return queues


def test_nothing_is_ready_at_first() -> None:
    queues = queues_of()
    assert not queues.has_ready
    assert queues.next_batch() == []


def test_a_batch_holds_one_piece_of_work_of_an_order_in_the_order_of_arrival() -> None:
    queues = queues_of("b1", "a1", "b2", "c1", "a2")
    assert names(queues.next_batch()) == ["b1", "a1", "c1"]
    assert not queues.has_ready


def test_work_of_no_order_waits_for_no_other() -> None:
    queues = queues_of("-1", "-2", "a1", "-3")
    batch = queues.next_batch()
    assert names(batch) == ["-1", "-2", "a1", "-3"]
    for work in batch:
        queues.release(work)
    assert not queues.has_ready


def test_the_next_work_of_an_order_is_ready_when_the_last_is_released() -> None:
    queues = queues_of("a1", "a2", "b1", "a3")
    first, other = queues.next_batch()
    queues.release(other)
    assert not queues.has_ready
    queues.release(first)
    (second,) = queues.next_batch()
    assert names([second]) == ["a2"]
    queues.submit(Work("a", 4))
    queues.release(second)
    (third,) = queues.next_batch()
    queues.release(third)
    assert names(queues.next_batch()) == ["a4"]


def test_work_that_lost_a_race_comes_before_all_other_work_of_its_order() -> None:
    queues = queues_of("a1", "a2")
    (first,) = queues.next_batch()
    queues.requeue(first)
    assert names(queues.next_batch()) == ["a1"]
    queues.release(first)
    assert names(queues.next_batch()) == ["a2"]


def test_an_order_is_forgotten_once_all_its_work_is_done() -> None:
    queues = queues_of("a1", most=1)
    queues.release(queues.next_batch()[0])
    queues.submit(Work("a", 2))
    assert names(queues.next_batch()) == ["a2"]


def test_a_batch_is_no_larger_than_allowed() -> None:
    queues = queues_of("a1", "b1", "c1", most=2)
    assert names(queues.next_batch()) == ["a1", "b1"]
    assert names(queues.next_batch()) == ["c1"]


@pytest.mark.parametrize(
    ("orders", "batches", "sizes"),
    [
        (15, 2, [15]),  # few: not worth splitting
        (16, 2, [8, 8]),
        (17, 2, [9, 8]),
        (64, 4, [16, 16, 16, 16]),
        (64, 1, [64]),
    ],
)
def test_where_many_orders_have_work_each_batch_gets_its_share(orders: int, batches: int, sizes: list[int]) -> None:
    queues: OrderQueues[Work] = OrderQueues(batches=batches, most=100)
    for n in range(orders):
        queues.submit(Work(f"order {n}", 1))
    assert [len(queues.next_batch()) for _ in sizes] == sizes
    assert not queues.has_ready


def test_a_share_is_of_all_work_that_of_other_batches_included() -> None:
    """Callers that submit again as soon as they are answered must not all end up in one batch."""
    queues: OrderQueues[Work] = OrderQueues(batches=2, most=100)
    for n in range(64):
        queues.submit(Work(f"order {n}", 1))
    for _ in range(3):
        batch = queues.next_batch()  # and another 32 are in the other batch
        assert len(batch) == 32
        for work in batch:
            queues.release(work)
            queues.submit(work)


@pytest.mark.parametrize("seed", range(20))
def test_no_order_is_in_two_batches_and_none_is_overtaken(seed: int) -> None:
    """Any mixture of submitting, batching, losing races and finishing."""
    rng = random.Random(seed)
    queues: OrderQueues[Work] = OrderQueues(batches=3, most=7)
    submitted = finished = 0
    in_batches: dict[str, Work] = {}
    expected: dict[str, deque[int]] = defaultdict(deque)
    while submitted < 300 or finished < 300:
        if submitted < 300 and rng.random() < 0.6:
            submitted += 1
            order_id = f"order {rng.randrange(20)}"
            queues.submit(Work(order_id, submitted))
            expected[order_id].append(submitted)
        if rng.random() < 0.4:
            batch = queues.next_batch()
            assert len(batch) <= 7
            for work in batch:
                assert work.order_id not in in_batches
                assert work.number == expected[work.order_id][0]
                in_batches[work.order_id] = work
        for work in [work for work in in_batches.values() if rng.random() < 0.3]:
            del in_batches[work.order_id]
            if rng.random() < 0.2:
                queues.requeue(work)
            else:
                expected[work.order_id].popleft()
                finished += 1
                queues.release(work)
    assert not queues.has_ready
    assert not any(expected.values())
