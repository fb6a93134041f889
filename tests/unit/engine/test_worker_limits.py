"""The worker and admission together, in virtual time: it keeps to the limits, wastes none, and does not spin while it waits."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Collection

import pytest
from attrs import evolve
from tests.kit.timed import (
    CALL_SECONDS,
    CountingStore,
    InlineStore,
    TimedToy,
    VirtualClock,
    open_flow,
    order_many,
    run_virtually,
    run_with_worker,
)
from tests.kit.toy import TIMING

from orderflow._app import Orderflow
from orderflow._provider.outcomes import InDoubt, NotExecuted, Outcome, Signal
from orderflow._store.records import LeasedEffect, WorkerScope
from orderflow.model import EffectKey, StateEntered


def test_a_worker_begins_no_more_calls_than_the_limit_in_any_second_or_minute_and_does_not_spin() -> None:
    timing = evolve(TIMING, calls_per_second=10, calls_per_minute=150, poll_first=1e6)

    async def story(flow: Orderflow, toy: TimedToy, store: CountingStore) -> None:
        start = toy.clock.now()
        for order in await order_many(flow, 200):
            await flow.wait(order.id, "placed", 1000)
        assert len(toy.begun) == 400
        assert 120 <= toy.clock.now() - start < 136  # 150 in each of two minutes, the rest at ten a second
        for order in await flow.orders(limit=200):
            await flow.refresh(order.id)  # so that two hundred polls are due at once
        while len(toy.begun) < 600:
            await toy.clock.sleep(1.0)
        assert (toy.count_most_within(1.0), toy.count_most_within(60.0)) == (10, 150)
        assert store.fetches < 3 * len(toy.begun)

    run_with_worker(timing, story)


@pytest.mark.parametrize("first", ["toy", "slow"])
@pytest.mark.parametrize("kind", ["effects", "polls"])
def test_a_provider_with_a_quota_neither_limits_the_others_nor_waits_for_them(first: str, kind: str) -> None:
    """Hundreds of orders of each are due, those of one for longer; one of the two may be called once a second."""
    unlimited, clock = evolve(TIMING, poll_first=1e6), VirtualClock()
    toy, slow = TimedToy(timing=unlimited, clock=clock), TimedToy(name="slow", timing=unlimited, clock=clock)
    store = CountingStore()

    async def make_all_due(caller: Orderflow) -> None:
        count = {"toy": 800, "slow": 200}
        orders_by_provider = []
        for name in sorted(count, key=lambda name: name != first):
            orders_by_provider.append(await order_many(caller, count[name], name))
            await clock.sleep(1.0)
        if kind == "polls":
            async with open_flow(store, toy, slow) as worker:
                await asyncio.gather(*(worker.wait(order.id, "placed", 1000) for order in itertools.chain(*orders_by_provider)))
            for orders in orders_by_provider:
                await clock.sleep(10.0)
                for order in orders:
                    await caller.refresh(order.id)

    async def main() -> None:
        async with open_flow(store, toy, slow, worker=False) as caller:
            await make_all_due(caller)
        slow.timing = evolve(unlimited, calls_per_second=1)
        start, fetches, calls = clock.now(), store.fetches, 1600 if kind == "effects" else 800
        toy.begun, slow.begun, toy.most = [], [], 0
        async with open_flow(store, toy, slow):
            while len(toy.begun) < calls:
                await clock.sleep(0.05)
            seconds = clock.now() - start
            assert (toy.most, len(slow.begun)) == (32, math.ceil(seconds)), seconds  # one each second all the while
            assert seconds < calls * CALL_SECONDS / 32 + 0.5
            assert store.fetches - fetches < calls / 8
            await clock.sleep(10.0)
        assert slow.count_most_within(1.0) == 1
        store.connection.close()

    run_virtually(main())


def test_notifications_are_made_while_the_quota_is_used_up() -> None:
    timing = evolve(TIMING, calls_per_minute=20, poll_first=1e6)

    async def story(flow: Orderflow, toy: TimedToy, store: CountingStore) -> None:
        notified: list[StateEntered] = []

        async def collect(entered: StateEntered) -> None:
            notified.append(entered)

        flow.on_entered("toy", "preparing", collect)
        start = toy.clock.now()
        await order_many(flow, 50)
        while len(notified) < 50:
            await toy.clock.sleep(0.1)
        assert (len(toy.begun), toy.clock.now() - start < 2) == (20, True)  # a notification is no call

    run_with_worker(timing, story)


@pytest.mark.parametrize("outcome", [NotExecuted("429", 50.0, signal=Signal.THROTTLED), InDoubt("cut")], ids=["429", "no answer"])
def test_a_worker_wakes_when_a_pause_ends_and_hardly_fetches_before(outcome: Outcome) -> None:
    timing = evolve(TIMING, circuit_threshold=1, circuit_pause=50.0, poll_first=1e6)

    async def story(flow: Orderflow, toy: TimedToy, store: CountingStore) -> None:
        toy.answer("make_ready", outcome)
        (order,) = await order_many(flow, 1)
        await toy.clock.sleep(1)
        fetches, start = store.fetches, toy.clock.now()
        await toy.clock.sleep(48)
        assert store.fetches - fetches <= 2  # the retry of a repeatable effect is due meanwhile
        await flow.wait(order.id, "placed", 1000)
        assert 49 <= toy.clock.now() - start < 52

    run_with_worker(timing, story)


def test_after_a_pause_one_call_at_a_time_is_in_progress_until_one_is_answered() -> None:
    timing = evolve(TIMING, circuit_threshold=1, circuit_pause=50.0, poll_first=1e6, retry_attempts=99)

    async def story(flow: Orderflow, toy: TimedToy, store: CountingStore) -> None:
        toy.answer("make_ready", *[InDoubt("cut")] * 35)
        orders = await order_many(flow, 100)
        await toy.clock.sleep(49)
        first, toy.most = len(toy.begun), 0
        assert first <= 32
        await toy.clock.sleep(50 * (35 - first))
        assert (len(toy.begun), toy.most) == (35, 1)
        await asyncio.gather(*(flow.wait(order.id, "placed", 5000) for order in orders))
        assert toy.most > 10

    run_with_worker(timing, story)


def test_a_worker_asks_the_store_for_throttles_once_an_interval_and_obeys_them() -> None:
    """Another process was answered with 429 just after this worker had asked."""

    async def main() -> None:
        store, toy = CountingStore(), TimedToy(timing=evolve(TIMING, poll_first=1e6))
        async with open_flow(store, toy, fetch_interval=5.0) as flow:
            await toy.clock.sleep(0.1)
            await store.throttle("toy", toy.clock.now() + 100)
            for n in range(10):
                order = await flow.create("toy", key=str(n))
                await flow.send(order.id, "order_it")  # wakes the worker
                await toy.clock.sleep(0.4)
                assert (await flow.order(order.id)).state == "placed"
            assert (store.standing_fetches, store.fetches > 10) == (1, True)
            await toy.clock.sleep(1.0)
            start = toy.clock.now()
            order = await flow.create("toy", key="throttled")
            await flow.send(order.id, "order_it")
            await toy.clock.sleep(0.4)
            assert (store.standing_fetches, (await flow.order(order.id)).state) == (2, "preparing")
            await flow.wait(order.id, "placed", 1000)
            assert 94 <= toy.clock.now() - start < 96
        store.connection.close()

    run_virtually(main())


class SlowStore(InlineStore):
    """The first lease takes most of a second, later ones no time."""

    slow = True

    async def lease_effects(
        self, now: float, scope: WorkerScope, limit: int, among: Collection[EffectKey] | None = None
    ) -> list[LeasedEffect]:
        effects = await super().lease_effects(now, scope, limit, among)
        if effects and self.slow:
            self.slow = False
            await asyncio.sleep(0.9)
        return effects


def test_a_call_counts_from_when_it_begins_and_not_from_when_leasing_began() -> None:
    timing = evolve(TIMING, calls_per_second=10, poll_first=1e6)

    async def main() -> None:
        store, toy = SlowStore(), TimedToy(timing=timing)
        async with open_flow(store, toy) as flow:
            for order in await order_many(flow, 30):
                await flow.wait(order.id, "placed", 1000)
        assert toy.count_most_within(1.0) == 10
        store.connection.close()

    run_virtually(main())
