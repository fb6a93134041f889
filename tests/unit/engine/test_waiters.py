"""Waiting for an order's state, in virtual time: a step of this process ends the wait at once, one of another process soon."""

from __future__ import annotations

import asyncio

import pytest
from attrs import evolve
from tests.kit.timed import CountingStore, TimedToy, open_flow, run_virtually, run_with_worker
from tests.kit.toy import FAST

from orderflow._app import Orderflow
from orderflow._engine.waiters import Waiters
from orderflow._provider.outcomes import InDoubt, Outcome, Succeeded
from orderflow.errors import OrderInDoubt, OutOfReach, UnknownName, WaitTimeout
from orderflow.model import Order

LONGEST_LOOK = 0.5  # seconds between two looks at the store


async def wait_for_preparing(waiting: Orderflow, sending: Orderflow, toy: TimedToy) -> float:
    """Wait in one flow, and send the command in the other meanwhile. Returns the seconds between the step and the end of the wait."""
    order = await sending.create("toy", key="k")
    waiter = asyncio.create_task(waiting.wait(order.id, "preparing", timeout=50))
    await toy.clock.sleep(0.2)
    await sending.send(order.id, "order_it")
    step = toy.clock.now()
    assert (await waiter).state == "preparing"
    return toy.clock.now() - step


@pytest.mark.parametrize("own", [True, False], ids=["this process", "another process"])
def test_a_step_of_this_process_ends_the_wait_at_once_and_one_of_another_process_soon(own: bool) -> None:
    async def main() -> None:
        store, toy = CountingStore(), TimedToy(timing=FAST)
        async with open_flow(store, toy, worker=False) as here, open_flow(store, toy, worker=False) as there:
            seconds = await wait_for_preparing(here, here if own else there, toy)
        assert seconds == pytest.approx(0.0 if own else LONGEST_LOOK - 0.2, abs=1e-3)
        store.connection.close()

    run_virtually(main())


def test_a_wait_ends_with_its_timeout_and_not_at_the_next_look() -> None:
    async def main() -> None:
        store, toy = CountingStore(), TimedToy(timing=FAST)
        async with open_flow(store, toy, worker=False) as flow:
            order = await flow.create("toy", key="k")
            start = toy.clock.now()
            with pytest.raises(WaitTimeout):
                await flow.wait(order.id, "placed", timeout=0.7)
            assert toy.clock.now() - start == pytest.approx(0.7, abs=1e-3)
            await flow.override(order.id, "refused", actor="a test", reason="so that nothing can follow", version=0)
            with pytest.raises(OutOfReach):
                await flow.wait(order.id, "placed", timeout=600)
            assert toy.clock.now() - start == pytest.approx(0.7, abs=1e-3)
        store.connection.close()

    run_virtually(main())


def test_a_state_that_was_passed_ends_the_wait_unless_it_was_passed_before_the_version_that_is_given() -> None:
    async def story(flow: Orderflow, toy: TimedToy, store: CountingStore) -> None:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
        passed = await asyncio.gather(*(flow.wait(order.id, state, timeout=50) for state in ("drafted", "preparing", "sending", "placed")))
        assert passed[-1].state == "placed"
        start = toy.clock.now()
        assert (await flow.wait(order.id, "sending", timeout=50)).state == "placed"
        for states, since in (("sending", 3), (["drafted", "preparing"], 2)):
            with pytest.raises(OutOfReach):
                await flow.wait(order.id, states, timeout=50, since=since)
        assert (await flow.wait(order.id, "sending", timeout=50, since=2)).state == "placed"
        with pytest.raises(UnknownName, match="nowhere"):
            await flow.wait(order.id, ["placed", "nowhere"], timeout=50)
        assert toy.clock.now() == start

    run_with_worker(FAST, story)


def test_a_doubt_that_only_a_person_can_end_ends_the_wait_once_nothing_is_owed_that_could() -> None:
    """A search is owed in the doubt, three times; then it needs a person."""

    async def story(flow: Orderflow, toy: TimedToy, store: CountingStore) -> None:
        toy.answer("place", InDoubt("reset"))
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
        await flow.wait(order.id, "in_doubt", timeout=50)
        view = await flow.view(order.id)
        assert (view.in_doubt, view.needs_person) == (True, False)
        with pytest.raises(OrderInDoubt, match="a person must end the doubt with placement_resolved or placement_given_up") as doubt:
            await flow.wait(order.id, "placed", timeout=5000)
        assert toy.count_calls("look_up") == 3
        error = doubt.value
        assert (error.order_id, error.awaited, error.state) == (order.id, "placed", "in_doubt")
        assert error.events == ("placement_resolved", "placement_given_up")
        assert (await flow.view(order.id)).needs_person
        start = toy.clock.now()
        with pytest.raises(OrderInDoubt):
            await flow.wait(order.id, "placed", timeout=5000)
        assert toy.clock.now() == start
        assert (await flow.wait(order.id, ["placed", "in_doubt"], timeout=50)).state == "in_doubt"

    run_with_worker(evolve(FAST, retry_attempts=3, undelivered_after=0.0, durations={**FAST.durations, "doubt": 1.0}), story)


@pytest.mark.parametrize(("worker", "timeout", "says"), [(False, 3.0, True), (False, 1.5, False), (True, 3.0, False)])
def test_a_timeout_says_what_no_worker_has_taken(worker: bool, timeout: float, says: bool) -> None:
    """But not before a worker would have had the time, nor where this process has one, which may be busy with the call."""

    async def main() -> None:
        store, toy = CountingStore(), TimedToy(timing=FAST)
        async with open_flow(store, toy, worker=worker) as flow:
            toy.answer("make_ready", _answer_late)
            order = await flow.create("toy", key="k")
            await flow.send(order.id, "order_it")
            with pytest.raises(WaitTimeout) as late:
                await flow.wait(order.id, "placed", timeout=timeout)
            overdue = "make_ready has been due for 3 s" if says else ""
            assert late.value.overdue == overdue
            assert ("; make_ready has been due for 3 s, and no worker has taken it: run `orderflow worker`" in str(late.value)) is says
        store.connection.close()

    run_virtually(main())


async def _answer_late(order: Order) -> Outcome:
    await asyncio.sleep(4)
    return Succeeded("prepared")


def test_each_waiter_of_an_order_is_notified_and_forgotten_when_it_is_gone() -> None:
    waiters = Waiters()
    with waiters.watch("toy-a") as first, waiters.watch("toy-a") as second, waiters.watch("toy-b") as other:
        assert len(waiters) == 2
        waiters.notify("toy-a")
        waiters.notify("toy-c")
        assert (first.is_set(), second.is_set(), other.is_set()) == (True, True, False)
    assert len(waiters) == 0
