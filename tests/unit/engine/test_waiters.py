"""Waiting for an order's state, in virtual time: a step of this process ends the wait at once, one of another process soon."""

from __future__ import annotations

import asyncio

import pytest
from tests.kit.timed import CountingStore, TimedToy, open_flow, run_virtually
from tests.kit.toy import FAST

from orderflow._app import Orderflow
from orderflow._engine.waiters import Waiters
from orderflow.errors import OutOfReach, WaitTimeout

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


def test_each_waiter_of_an_order_is_notified_and_forgotten_when_it_is_gone() -> None:
    waiters = Waiters()
    with waiters.watch("toy-a") as first, waiters.watch("toy-a") as second, waiters.watch("toy-b") as other:
        assert len(waiters) == 2
        waiters.notify("toy-a")
        waiters.notify("toy-c")
        assert (first.is_set(), second.is_set(), other.is_set()) == (True, True, False)
    assert len(waiters) == 0
