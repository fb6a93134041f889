"""A poll that brings the same status and another sum is a step, where the lifecycle declares it: proven numbers do not grow stale."""

from __future__ import annotations

import asyncio

import pytest
from attrs import evolve
from tests.kit.store_fixtures import url
from tests.kit.toy import FAST, Toy

from orderflow import Orderflow
from orderflow.analysis import check
from orderflow.lifecycle import Cause, Lifecycle, Origin, State, assumed, edge, reading
from orderflow.model import StepKind
from orderflow.provider import Name, StatusRead

pytestmark = pytest.mark.anyio
__all__ = ["url"]
command, reply, observation, claim, clock, operator = Origin
TEST = assumed("a test")


class Portal(Lifecycle, name="portal"):
    # fmt: off
    drafted  = State(initial=True)
    reserved = State()
    captured = State(proven=True)
    closed   = State(final=True)

    reserve       = edge(command, drafted.to(reserved), Cause.US, TEST, "reserve")
    seen_captured = edge(observation, reserved.to(captured), Cause.EMPLOYEE, TEST, "captured in the portal")
    seen_changed  = edge(observation, captured.to(captured), Cause.EMPLOYEE, TEST, "another sum")
    seen_closed   = edge(observation, captured.to(closed), Cause.EMPLOYEE, TEST, "closed")

    readings = {
        "RESERVED": reading(consistent=[reserved]),
        "CAPTURED": reading(consistent=[captured], proves=captured),
        "CLOSED":   reading(consistent=[closed], proves=closed),
    }
    # fmt: on


async def test_each_other_sum_is_one_step_and_the_same_sum_is_none(url: str) -> None:
    assert check(Portal.table).problems == ()
    toy = Toy(name="toy", timing=evolve(FAST, durations={}), table=Portal.table, endpoints=())
    async with Orderflow(url, [toy], worker=True) as flow:
        order = await flow.create(toy, key="k")
        toy.status = "RESERVED"
        await flow.send(order.id, Name("reserve"), provider_id="T-1")
        for captured in (100, 300, 250):
            toy.status = StatusRead("CAPTURED", {"sum": captured})
            async with asyncio.timeout(60):
                while (await flow.order(order.id)).snapshot.data.get("sum") != captured:
                    await asyncio.sleep(0.01)
            polls = len(toy.polls)
            async with asyncio.timeout(60):
                while len(toy.polls) < polls + 3:  # the same sum again
                    await asyncio.sleep(0.01)
        toy.status = "CLOSED"
        await flow.wait(order.id, Name("closed"), 20)
        rows = [row for row in await flow.journal(order.id) if row.version > 1]
        assert [(row.event, row.kind, dict(row.data or {})) for row in rows] == [
            ("seen_captured", StepKind.STEP.value, {"sum": 100}),
            ("seen_changed", StepKind.STEP.value, {"sum": 300}),
            ("seen_changed", StepKind.STEP.value, {"sum": 250}),
            ("seen_closed", StepKind.STEP.value, {}),
        ]
        assert (await flow.replay(order.id, 3)).data["sum"] == 300
        assert await flow.refusals(order.id) == []
