"""A worker that stood still from its lease on, against the one that takes over: in every order of their statements, at most one call."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.integration.test_interleavings import ORDER, Table, Work, explore, say, table

pytestmark = pytest.mark.anyio
__all__ = ["table"]  # the fixture


async def test_a_worker_that_slept_through_its_lease_calls_nobody(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    late, other = table.sides
    leased = []

    async def prepare() -> None:
        await table.fresh(until="sending")
        leased[:] = await late.effects.due(10)
        table.clock.advance(61.0)

    def works() -> Sequence[Work]:
        return [lambda: late.effects.carry_out(leased[0]), other.carry_out_what_is_due]

    count, doubtful = 0, 0
    async for run in explore(table, prepare, works):
        count += 1
        events, calls = await table.counted()
        state = (await table.plain.store.load(ORDER)).state
        if state == "in_doubt":
            assert (events[2:], calls["place"]) == (["placement_answer_lost"], 0), run.order
            doubtful += 1
            continue
        await table.plain.carry_out_what_is_due()  # it was given back
        events, calls = await table.counted()
        assert (events[2:], calls["place"]) == (["order_placed"], 1), run.order
    assert 0 < doubtful < count
    say(count, f"a worker that slept through its lease ({doubtful} in doubt, the others given back)", capsys)
