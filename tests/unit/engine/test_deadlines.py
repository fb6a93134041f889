"""Rule 8, deadlines: armed on entry from another state, brought once, gone with their decision."""

from __future__ import annotations

import pytest
from tests.kit.toy import Bench

from orderflow.model import Origin, StepKind
from orderflow.store.records import DueDeadline

pytestmark = pytest.mark.anyio


async def _armed(bench: Bench) -> list[tuple[str, float]]:
    """Every armed deadline, and the seconds until it comes."""
    found: list[DueDeadline] = await bench.store.due_deadlines(1e12, bench.scope(), 100)
    return [(deadline.name, await _left(bench, deadline)) for deadline in found]


async def _left(bench: Bench, deadline: DueDeadline) -> float:
    low, high = bench.clock.now(), bench.clock.now() + 1e6
    while high - low > 0.01:
        middle = (low + high) / 2
        due = await bench.store.due_deadlines(middle, bench.scope(), 100)
        low, high = (low, middle) if deadline in due else (middle, high)
    return round(high - bench.clock.now())


async def test_a_deadline_comes_when_its_time_has_come(bench: Bench) -> None:
    order = await bench.new()
    await bench.after(999)
    assert await bench.state(order.id) == "placed"
    await bench.after(1)
    row = (await bench.store.journal(order.id))[-1]
    assert (row.event, row.origin, row.target) == ("nobody_came", Origin.CLOCK, "lapsed")


async def test_deadlines_are_armed_on_entry_from_another_state_only(bench: Bench) -> None:
    order = await bench.new()
    assert await _armed(bench) == [("nobody_came", 1000)]
    bench.clock.advance(400)
    await bench.accept(order.id, "came", Origin.CLAIM)
    assert await _armed(bench) == [("reminded", 500), ("nobody_came", 1000)]
    await bench.after(500)  # reminded: waiting to waiting
    assert (await bench.path(order.id))[-1] == "reminded"
    assert await _armed(bench) == [("nobody_came", 500)]
    await bench.after(500)
    assert await bench.state(order.id) == "lapsed"
    assert await _armed(bench) == [("window_closed", 10_000)]


async def test_leaving_a_state_disarms_it(bench: Bench) -> None:
    bench.toy.shows("packed")
    order = await bench.new()
    await bench.after(10)
    assert await _armed(bench) == []
    await bench.after(1e5)
    assert await bench.state(order.id) == "packed"


async def test_an_ignored_deadline_is_gone_with_its_decision(bench: Bench) -> None:
    order = await bench.new()
    await bench.engine.inbox.override(order.id, "lapsed", by="op", reason="test", version=order.version)
    await bench.after(10_000)
    await bench.engine.inbox.override(order.id, "lapsed", by="op", reason="again", version=(await bench.store.load(order.id)).version)
    assert await _armed(bench) == [("window_closed", 10_000)]
    await bench.after(10_000)  # its guard says no: the window is closed already
    assert await bench.reasons(order.id) == {("window_closed", "late"): 1}
    assert await _armed(bench) == []


async def test_a_deadline_brought_twice_moves_the_order_once(bench: Bench) -> None:
    order = await bench.new()
    await bench.accept(order.id, "came", Origin.CLAIM)
    bench.clock.advance(500)
    deadline = await bench.due_deadline()
    await bench.engine.deadlines.run(deadline)
    version = (await bench.store.load(order.id)).version
    await bench.engine.deadlines.run(deadline)
    assert (await bench.store.load(order.id)).version == version
    assert await bench.reasons(order.id) == {}


async def test_a_deadline_overtaken_by_a_move_does_not_end_the_next_states_wait(bench: Bench) -> None:
    """``placed`` and ``waiting`` both wait for ``nobody_came``, each for its own time."""
    order = await bench.new()
    bench.clock.advance(1000)
    deadline = await bench.due_deadline()
    await bench.accept(order.id, "came", Origin.CLAIM)  # at the last moment
    await bench.engine.deadlines.run(deadline)
    assert await bench.state(order.id) == "waiting"
    assert await _armed(bench) == [("reminded", 500), ("nobody_came", 1000)]


async def test_a_deadline_brings_the_read_forward(bench: Bench) -> None:
    """What it takes for silence may have been a lost notice."""
    await bench.new()
    for _ in range(100):
        await bench.after(10)
    assert [at - 1_000_000 for _, at in bench.toy.reads[-3:]] == [870, 950, 1000]  # 1030 but for the deadline


async def test_an_override_arms_the_deadlines_of_its_target(bench: Bench) -> None:
    order = await bench.new(state="in_doubt")
    await bench.engine.inbox.override(order.id, "placed", by="op", reason="test", version=order.version)
    assert await _armed(bench) == [("nobody_came", 1000)]
    row = (await bench.store.journal(order.id))[-1]
    assert (row.kind, row.note) == (StepKind.OVERRIDE, "by op: test")
