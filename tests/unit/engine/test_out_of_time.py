"""What a worker holds whose lease ran out before the call began: another may have taken it over, so it is not called any more."""

from __future__ import annotations

import pytest
from tests.kit.toy import Bench

from orderflow.model import Origin
from orderflow.provider.outcomes import NotExecuted
from orderflow.store.records import InboxKey

pytestmark = pytest.mark.anyio


async def test_a_once_effect_that_was_taken_over_before_its_call_began_is_not_called(bench: Bench) -> None:
    """The first worker stands still between lease and call; the second reports the answer lost; an operator gives the order up."""
    order = await bench.new(state="sending")
    held = await bench.lease()
    bench.toy.will("look_up", NotExecuted("later"))
    await bench.after(bench.toy.timing.lease)
    assert await bench.state(order.id) == "in_doubt"
    await bench.accept(order.id, "placement_given_up", Origin.OPERATOR, InboxKey("operator", "1"))
    await bench.engine.outbox.run(held)
    assert (await bench.state(order.id), bench.toy.called("place")) == ("abandoned", 0)


async def test_what_was_not_begun_in_time_is_owed_again_and_costs_no_attempt(bench: Bench) -> None:
    order = await bench.new(state="sending")
    for _ in range(bench.toy.timing.retry_attempts):
        held = await bench.lease()
        bench.clock.advance(0.9 * bench.toy.timing.lease)
        await bench.engine.outbox.run(held)
        assert (await bench.state(order.id), bench.toy.called("place")) == ("sending", 0)
    bench.toy.will("place", NotExecuted("connect failure"))
    await bench.work()
    await bench.after(1)
    assert (await bench.state(order.id), bench.toy.called("place")) == ("placed", 2)


async def test_a_read_that_was_not_begun_in_time_is_left_to_who_takes_it_over(bench: Bench) -> None:
    order = await bench.new()
    bench.clock.advance(10)
    held = await bench.lease_poll()
    await bench.after(bench.toy.timing.lease)
    assert len(bench.toy.reads) == 1
    await bench.engine.poller.run(held)
    assert (len(bench.toy.reads), await bench.state(order.id)) == (1, "placed")
