"""After a restore: what is owed once goes in doubt as a lost lease would put it there, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from tests.kit.toy import Bench, Toy, ToyLifecycle, open_bench

from orderflow._engine.restore import RestoreReport
from orderflow.errors import InvalidInput

pytestmark = pytest.mark.anyio
WHO = {"actor": "kim", "reason": "backup of 03:00"}


async def declare(bench: Bench, *, dry_run: bool = False) -> RestoreReport:
    return await bench.engine.restore.declare(**WHO, dry_run=dry_run)


async def test_what_is_owed_once_is_in_doubt_and_never_sent(tmp_path: Path) -> None:
    async with open_bench(tmp_path) as bench:
        order = await bench.create(state="sending")
        assert await declare(bench) == RestoreReport(in_doubt=(order.id,))
        assert await bench.state_of(order.id) == "in_doubt"
        (*_, row) = await bench.store.journal(order.id)
        assert (row.event, row.origin.value, row.source, row.target) == ("placement_answer_lost", "reply", "sending", "in_doubt")
        assert row.note == "the database was restored, and this may have been executed before; by kim: backup of 03:00"
        await bench.work_after(100)
        assert bench.toy.count_calls("place") == 0


async def test_an_attempt_that_a_worker_holds_meanwhile_sends_nothing(tmp_path: Path) -> None:
    async with open_bench(tmp_path) as bench:
        order = await bench.create(state="sending")
        held = await bench.lease()
        await declare(bench)
        await bench.engine.outbox.run(held)
        assert bench.toy.count_calls("place") == 0
        assert await bench.state_of(order.id) == "in_doubt"


async def test_a_second_declaration_finds_nothing_to_do(tmp_path: Path) -> None:
    async with open_bench(tmp_path) as bench:
        order = await bench.create(state="sending")
        await declare(bench)
        journal = await bench.store.journal(order.id)
        assert await declare(bench) == RestoreReport(repeatable=(order.id,))  # the search that the doubt owes
        assert await bench.store.journal(order.id) == journal


async def test_killed_after_the_first_write_it_sends_nothing_and_goes_on(tmp_path: Path) -> None:
    """A worker puts in doubt what was left, with the same event; so does the command when it is run again."""
    async with open_bench(tmp_path) as bench:
        first, second = [await bench.create(key, state="preparing") for key in "ab"]
        for attempt in await bench.lease_all():
            await bench.engine.outbox.run(attempt)
        await bench.store.doubt_owed_calls(bench.clock.now(), bench.clock.now() + 60, "kim: killed")
        assert await declare(bench, dry_run=True) == RestoreReport(in_doubt=(first.id, second.id))
        await bench.work_after(60)
        assert [await bench.state_of(order.id) for order in (first, second)] == ["in_doubt", "in_doubt"]
        assert bench.toy.count_calls("place") == 0
        assert (await declare(bench)).in_doubt == ()


async def test_a_repeatable_call_is_repeated_after_the_polls(tmp_path: Path) -> None:
    async with open_bench(tmp_path) as bench:
        order = await bench.create(state="preparing")
        assert await declare(bench) == RestoreReport(repeatable=(order.id,))
        await bench.work_after(59)
        assert bench.toy.count_calls("make_ready") == 0
        await bench.work_after(1)
        assert bench.toy.count_calls("make_ready") == 1
        assert await bench.state_of(order.id) == "placed"


async def test_open_orders_are_polled_and_their_deadlines_wait_for_that(tmp_path: Path) -> None:
    """The provider went on since the backup: the poll proves it, before the deadline gives the order up."""
    async with open_bench(tmp_path, poll_first=5000.0, poll_cap=5000.0) as bench:
        order = await bench.create()
        bench.clock.advance(1001)  # the deadline is due
        bench.toy.show("packed")
        assert await declare(bench) == RestoreReport(polled=(order.id,))
        await bench.work()
        assert await bench.state_of(order.id) == "packed"


async def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    async with open_bench(tmp_path) as bench:
        order = await bench.create(state="sending")
        assert await declare(bench, dry_run=True) == RestoreReport(in_doubt=(order.id,))
        await bench.work()
        assert await bench.state_of(order.id) == "placed"
        assert (await bench.store.find_kept([])).maintenance == {}


async def test_what_this_process_does_not_know_is_left_and_is_not_sent(tmp_path: Path) -> None:
    async with open_bench(tmp_path) as bench:
        order = await bench.create(state="sending")
    table = ToyLifecycle.table
    less = evolve(table, effects={name: effect for name, effect in table.effects.items() if name != "place"})
    async with open_bench(tmp_path, Toy(table=less)) as bench:
        assert await declare(bench) == RestoreReport(undecided=(order.id,))
    async with open_bench(tmp_path) as bench:
        await bench.work_after(200)
        assert bench.toy.count_calls("place") == 0
        assert await bench.state_of(order.id) == "in_doubt"


async def test_a_damaged_order_holds_back_no_other(tmp_path: Path) -> None:
    async with open_bench(tmp_path) as bench:
        damaged, order = [await bench.create(key, state="preparing") for key in "ab"]
        for attempt in await bench.lease_all():
            await bench.engine.outbox.run(attempt)
        store: Any = bench.store
        statement = "UPDATE of_orders SET facts = 'x' WHERE id = ?"
        await store._writer.submit(lambda connection: connection.execute(statement, (damaged.id,)) and None)
        assert await declare(bench) == RestoreReport(in_doubt=(order.id,), undecided=(damaged.id,))


@pytest.mark.parametrize("field", ["actor", "reason"])
async def test_actor_and_reason_are_required(tmp_path: Path, field: str) -> None:
    async with open_bench(tmp_path) as bench:
        with pytest.raises(InvalidInput, match=field):
            await bench.engine.restore.declare(**{**WHO, field: " "}, dry_run=True)
