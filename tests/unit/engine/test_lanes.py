"""Lanes: a backlog of one provider, of polls or of one listener holds back nothing else, and notifications of one order stay in order."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from tests.kit.timed import CountingStore, TimedToy, VirtualClock, open_flow, order_many, run_virtually, run_with_worker
from tests.kit.toy import TIMING, Toy

from orderflow import Orderflow, StateEntered, WorkerLimits
from orderflow._provider.call import Call
from orderflow._provider.outcomes import Outcome
from orderflow._provider.protocol import PublicUrls
from orderflow.errors import InvalidInput

QUIET = evolve(TIMING, poll_first=1e6, lease=1000.0)


class SlowToy(TimedToy):
    """A healthy provider whose calls take a minute."""

    async def perform(self, call: Call, urls: PublicUrls) -> Outcome:
        await self.clock.sleep(60.0)
        return await super().perform(call, urls)


def test_a_backlog_of_one_provider_holds_back_no_other() -> None:
    async def main() -> None:
        clock = VirtualClock()
        toy, slow, store = TimedToy(timing=QUIET, clock=clock), SlowToy(name="slow", timing=QUIET, clock=clock), CountingStore()
        async with open_flow(store, toy, slow) as flow:
            await order_many(flow, 500, "slow")
            await clock.sleep(1.0)
            start = clock.now()
            (order,) = await order_many(flow, 1)
            await flow.wait(order.id, "placed", 1000)
            assert clock.now() - start < 1.0
        store.connection.close()

    run_virtually(main())


@pytest.mark.parametrize("limit", [1, 5])
def test_no_more_runs_at_once_than_the_limits_say(limit: int) -> None:
    async def main() -> None:
        store, toy = CountingStore(), TimedToy(timing=QUIET)
        flow = Orderflow(store, [toy], worker=True, clock=toy.clock, limits=WorkerLimits(calls=limit, polls=limit, notifications=limit))
        running = most = 0

        async def listen(entered: StateEntered) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await toy.clock.sleep(1.0)
            running -= 1

        flow.on_entered("toy", "placed", listen)
        async with flow:
            orders = await order_many(flow, 40)
            await asyncio.gather(*(flow.wait(order.id, "placed", 1000) for order in orders))
            await toy.clock.sleep(60.0)
            assert (toy.most, most, running) == (limit, limit, 0)
        store.connection.close()

    run_virtually(main())


def test_a_listener_that_hangs_holds_back_no_call_and_no_other_listener() -> None:
    async def story(flow: Orderflow, toy: TimedToy, store: CountingStore) -> None:
        notified: list[str] = []

        async def hang(entered: StateEntered) -> None:
            await asyncio.Event().wait()

        async def collect(entered: StateEntered) -> None:
            notified.append(entered.order.key)

        flow.on_entered("toy", "sending", hang)
        flow.on_entered("toy", "preparing", collect)
        await order_many(flow, 100)
        await toy.clock.sleep(10.0)
        assert (len(toy.begun), len(notified)) == (200, 100)
        assert flow.health is not None
        assert flow.health.in_flight == 8
        later = await flow.create("toy", key="later")
        await flow.send(later.id, "order_it")
        await toy.clock.sleep(1.0)
        assert notified[-1] == "later"

    run_with_worker(evolve(QUIET, lease=30.0), story)


def test_notifications_of_one_order_stay_in_order_though_one_fails() -> None:
    async def story(flow: Orderflow, toy: TimedToy, store: CountingStore) -> None:
        notified: list[tuple[str, int]] = []
        failures = 3

        async def fail_first(entered: StateEntered) -> None:
            nonlocal failures
            if failures and (entered.order.key, entered.state) == ("0", "preparing"):
                failures -= 1
                raise ConnectionError("the mail server is away")
            notified.append((entered.order.key, entered.version))

        for state in ("preparing", "sending", "placed"):
            flow.on_entered("toy", state, fail_first)
        await order_many(flow, 3)
        await toy.clock.sleep(600.0)
        assert len(notified) >= 9
        for key in "012":
            versions = [version for order, version in notified if order == key]
            assert versions == sorted(versions)
        assert [key for key, _ in notified].index("0") > [key for key, _ in notified].index("2")  # the others did not wait

    run_with_worker(QUIET, story)


def test_the_next_notification_of_an_order_comes_as_soon_as_the_earlier_one_has_ended() -> None:
    """Nothing else is due, and nothing else wakes the worker."""

    async def story(flow: Orderflow, toy: TimedToy, store: CountingStore) -> None:
        notified: list[tuple[str, float]] = []

        async def listen(entered: StateEntered) -> None:
            await toy.clock.sleep(30.0)
            notified.append((entered.state, toy.clock.now()))

        for state in ("preparing", "placed"):
            flow.on_entered("toy", state, listen)
        start = toy.clock.now()
        await order_many(flow, 1)
        await toy.clock.sleep(100.0)
        assert [state for state, _ in notified] == ["preparing", "placed"]
        assert notified[-1][1] - start < 61.0

    run_with_worker(QUIET, story)


def test_a_failing_listener_is_reported_and_counted_until_it_succeeds() -> None:
    async def main() -> None:
        store, toy = CountingStore(), TimedToy(timing=QUIET)
        reported: list[tuple[str, str]] = []
        fails = True

        def report(entered: StateEntered, error: BaseException) -> None:
            reported.append((entered.state, repr(error)))
            raise SystemExit  # ends nothing

        async def listen(entered: StateEntered) -> None:
            if fails:
                raise SystemExit(3)

        flow = Orderflow(store, [toy], worker=True, clock=toy.clock, on_listener_error=report)
        flow.on_entered("toy", "placed", listen)
        async with flow:
            await order_many(flow, 1)
            await toy.clock.sleep(5.0)
            assert set(reported) == {("placed", "SystemExit(3)")}
            assert flow.health is not None
            assert flow.health.failing_listeners == {"toy placed": len(reported)}
            fails = False
            await toy.clock.sleep(3600.0)
            assert flow.health.failing_listeners == {}
        store.connection.close()

    run_virtually(main())


@pytest.mark.parametrize("value", [0, -1, True, 2.5, "8", None])
@pytest.mark.parametrize("name", ["calls", "polls", "notifications"])
def test_a_limit_is_a_whole_number_of_one_or_more(name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=rf"WorkerLimits\({name}=\)"):
        WorkerLimits(**{name: value})


@pytest.mark.anyio
async def test_a_worker_ends_though_plain_listeners_never_return(tmp_path: Path) -> None:
    """They held all threads that the SQLite store of version 0.1 needed to give back what was leased."""
    release, toy = threading.Event(), Toy(timing=evolve(QUIET, lease=60.0))
    flow = Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [toy], worker=True, grace=0.2)
    flow.on_entered("toy", "preparing", lambda entered: release.wait(60) and None)
    try:
        async with asyncio.timeout(60):
            async with flow:
                for order in [await flow.create(toy, key=str(n)) for n in range(40)]:
                    await flow.send(order.id, "order_it")
                await asyncio.sleep(0.5)
            assert flow.health is not None
            assert flow.health.in_flight == 0
    finally:
        release.set()


@pytest.mark.anyio
async def test_threads_that_were_given_up_keep_their_places(tmp_path: Path) -> None:
    """Their listeners still hold what they hold, so that no more may be started than the limit says."""
    release, started, toy = threading.Event(), [], Toy(timing=evolve(QUIET, lease=0.25, retry_first=0.01))
    flow = Orderflow(
        f"sqlite:///{tmp_path / 'orders.db'}", [toy], worker=True, grace=0.1, fetch_interval=0.05, limits=WorkerLimits(notifications=2)
    )

    def block(entered: StateEntered) -> None:
        started.append(entered.key)
        release.wait(60)

    flow.on_entered("toy", "preparing", block)
    try:
        async with flow:
            for n in range(5):
                await flow.send((await flow.create(toy, key=str(n))).id, "order_it")
            await asyncio.sleep(1.5)  # several leases
            assert len(started) == 2
            release.set()
            async with asyncio.timeout(60):
                while len(set(started)) < 5:
                    await asyncio.sleep(0.02)
    finally:
        release.set()


@pytest.mark.anyio
async def test_a_worker_ends_though_a_listener_catches_its_cancellation(tmp_path: Path) -> None:
    stopped, toy = asyncio.Event(), Toy(timing=evolve(QUIET, lease=60.0))
    flow = Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [toy], worker=True, grace=0.1)

    async def go_on(entered: StateEntered) -> None:
        while not stopped.is_set():
            with suppress(asyncio.CancelledError):
                await stopped.wait()

    flow.on_entered("toy", "preparing", go_on)
    try:
        async with asyncio.timeout(30):
            async with flow:
                await flow.send((await flow.create(toy, key="1")).id, "order_it")
                await asyncio.sleep(0.3)
    finally:
        stopped.set()
    assert flow.health is not None
    assert flow.health.in_flight == 1  # it is left to its lease
