"""The engine and CCV's simulator, on sockets: lost answers, notifications too early, too many or none, polls that a step overtakes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from tests.kit.world import CCV_FAST, World, ccv_request, running

from orderflow.model import Order, Reason
from orderflow.simulators import Fault

pytestmark = pytest.mark.anyio

SUBMIT = "POST /api/ordercompletion/reseller/order"
STATUS = "GET /api/ordercompletion/reseller/order/*/status"
SLOW_POLLS = {"timing": evolve(CCV_FAST, poll_first=30.0, poll_cap=30.0)}


async def submit_order(world: World, key: str = "k", until: str = "Processing", **more: Any) -> Order:
    order = await world.flow.create("ccv", key=key, **ccv_request(external_reference=key, **more))
    await world.flow.send(order.id, "submit")
    return await world.flow.wait(order.id, until, timeout=60)


@pytest.mark.parametrize("kind", ["reset-after-commit", "cut-body", "status-after-commit", "garbage", "html", "xml", "empty"])
async def test_a_submit_whose_answer_is_lost_is_never_sent_again(tmp_path: Path, kind: Any) -> None:
    async with running(tmp_path) as world:
        world.ccv.faults.arm(Fault(SUBMIT, kind))
        order = await submit_order(world, until="submission_in_doubt")
        await submit_order(world, key="another", until="Completed")  # time passes, the worker works
        assert world.ccv.journal.count_executed(SUBMIT) == world.ccv.journal.count_received(SUBMIT) == 2
        assert (await world.flow.order(order.id)).state == "submission_in_doubt"


async def test_a_submit_that_was_cut_off_on_the_way_is_in_doubt_too(tmp_path: Path) -> None:
    """The engine cannot know the difference: some orders in doubt were never sent."""
    async with running(tmp_path) as world:
        world.ccv.faults.arm(Fault(SUBMIT, "reset"))
        await submit_order(world, until="submission_in_doubt")
        assert (world.ccv.journal.count_received(SUBMIT), world.ccv.journal.count_executed(SUBMIT)) == (1, 0)


async def test_a_lost_submit_is_resolved_with_the_number_that_ccv_names(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        world.ccv.faults.arm(Fault(SUBMIT, "reset-after-commit"))
        order = await submit_order(world, until="submission_in_doubt")
        (known,) = world.ccv.orders
        assert known.external_reference == "k"  # by which a person finds the order
        await world.flow.resolve(order.id, "submission_resolved", actor="kim", reason="CCV found it", order_id=known.id)
        await world.flow.wait(order.id, "Completed", timeout=60)


async def test_a_429_is_waited_out_and_then_sent_once(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        world.ccv.faults.arm(Fault(SUBMIT, "status", 429, headers={"Retry-After": "1"}))
        await submit_order(world)
        first, second = (row for row in world.ccv.journal.rows if row.path.endswith("/order"))
        assert (first.answered, first.executed, second.executed) == (429, False, True)
        assert second.at - first.at >= 1.0


async def test_configuring_is_repeated_after_a_lost_answer(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        world.ccv.faults.arm(Fault("PATCH /api/ordercompletion/reseller", "reset-after-commit", times=2))
        await submit_order(world)
        assert world.ccv.journal.count_executed(SUBMIT) == 1


async def test_a_notification_before_the_answer_to_the_submit_is_remembered_until_the_id_comes(tmp_path: Path) -> None:
    """No other poll is planned within half a minute. Only the remembered notification can bring it."""
    async with running(tmp_path, ccv=SLOW_POLLS) as world:
        world.ccv.script("k", (0.0, "Incomplete"), notify_early=True)
        await submit_order(world, until="Incomplete")
        assert world.ccv.deliveries.count_sent() == 1


async def test_each_notification_brings_the_poll_forward(tmp_path: Path) -> None:
    async with running(tmp_path, ccv=SLOW_POLLS) as world:
        order = await submit_order(world, until="Completed")
        assert (await world.path(order.id))[-1] == "Completed"
        assert world.ccv.deliveries.count_sent() == 3


async def test_polls_suffice_when_all_notifications_are_lost(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        world.ccv.deliveries.arm("drop", times=None)
        await submit_order(world, until="Completed")
        assert world.ccv.deliveries.count_sent() == 0


async def test_many_notifications_make_few_polls(tmp_path: Path) -> None:
    timing = evolve(CCV_FAST, poll_first=30.0, poll_interval=30.0)
    async with running(tmp_path, ccv={"timing": timing}) as world:
        world.ccv.script("k")
        await submit_order(world)
        (known,) = world.ccv.orders
        url = known.submitted.status_notification_information.notification_url  # type: ignore[union-attr]
        answers = await asyncio.gather(*(world.http.post(str(url)) for _ in range(50)))
        assert {answer.status_code for answer in answers} == {204}
        await submit_order(world, key="another")  # the worker has fetched since
        assert world.ccv.journal.count_received(f"GET /api/ordercompletion/reseller/order/{known.id}/status") == 1


async def test_an_observation_that_an_operator_overtakes_is_dropped_and_recorded_and_the_order_is_polled_again(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        world.ccv.script("k")
        order = await submit_order(world)
        (known,) = world.ccv.orders
        world.ccv.faults.arm(Fault(STATUS, "delay", seconds=0.3))
        while world.ccv.faults.armed:
            await asyncio.sleep(0.01)
        world.ccv.transition(known.id, "Incomplete")
        await world.flow.override(order.id, "Screening", actor="kim", reason="test", version=order.version)
        async with asyncio.timeout(60):
            while {row.reason for row in await world.flow.refusals(order.id)} != {Reason.STALE, Reason.ANOMALY}:
                await asyncio.sleep(0.01)
        order = await world.flow.order(order.id)
        assert (order.state, order.flagged) == ("Screening", True)  # the stale status moved nothing; the next one contradicts


async def test_an_unknown_status_flags_the_order_until_it_moves(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        world.ccv.script("k")
        order = await submit_order(world)
        (known,) = world.ccv.orders
        world.ccv.transition(known.id, "OnHoliday")
        async with asyncio.timeout(60):
            while not (await world.flow.order(order.id)).flagged:
                await asyncio.sleep(0.01)
        world.ccv.transition(known.id, "Incomplete")
        assert not (await world.flow.wait(order.id, "Incomplete", timeout=60)).flagged
