"""Retention on PostgreSQL beside other work: a poll is planned at each point between the statements of a deletion."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import pytest
from attrs import define, field
from tests.kit.commits import NOW, SCOPE, move, new_order
from tests.kit.interleaving import Worker

from orderflow._store.postgres.store import PostgresStore
from orderflow._store.records import PollAt, PollPlan, PollSooner
from orderflow.errors import UnknownName
from orderflow.model import Message

pytestmark = pytest.mark.anyio
LATER = NOW + 1000


@define
class Beside:
    """Two processes on one database. The statements of one are let through one by one."""

    url: str
    deleting: PostgresStore
    planning: PostgresStore
    worker: Worker = field(factory=lambda: Worker("A", asyncio.Event()))
    watched: bool = False

    async def gate(self, statement: str) -> None:
        if self.watched:
            await self.worker.gate(statement)

    async def parked(self) -> bool:
        """Wait until the deletion is about to send its next statement; False where it has ended."""
        while not (self.worker.parked or self.worker.ended):
            self.worker.changed.clear()
            await self.worker.changed.wait()
        return not self.worker.ended

    def go_on(self) -> None:
        self.worker.parked = False
        self.worker.turn.set()

    async def ended_or_waits_for_a_lock(self, task: asyncio.Task[None]) -> None:
        connection = await asyncpg.connect(self.url)
        waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR KEY SHARE%of_polls%'"
        try:
            async with asyncio.timeout(60):
                while not (task.done() or await connection.fetch(waits)):
                    await asyncio.sleep(0)
        finally:
            await connection.close()


@pytest.fixture
async def beside(postgres_url: str) -> AsyncIterator[Beside]:
    processes: list[Beside] = []

    async def gate(statement: str) -> None:
        await processes[0].gate(statement)

    async with AsyncExitStack() as stack:
        stores = PostgresStore(postgres_url, boundary=gate), PostgresStore(postgres_url)
        processes.append(Beside(postgres_url, *stores))
        for store in stores:
            stack.push_async_callback(store.close)
            await store.open()
        yield processes[0]


@pytest.mark.parametrize("plan", [PollAt(NOW, 0, 1.0), PollSooner(1.0)], ids=["planned", "brought forward"])
@pytest.mark.parametrize("before", range(5))
async def test_a_poll_planned_beside_a_deletion_is_not_left_behind(beside: Beside, before: int, plan: PollPlan) -> None:
    """``before``: how many of the deletion's statements were sent before the poll is planned; it sends four."""
    order = await beside.deleting.create(new_order(), "content")
    await beside.deleting.commit(order.id, None, move("done"))
    order = await beside.deleting.load(order.id)
    beside.watched = True
    deletion = asyncio.create_task(beside.worker.run(lambda: beside.deleting.delete([order], LATER)))
    for _ in range(before):
        assert await beside.parked()
        beside.go_on()
    assert await beside.parked() == (before < 4)
    planning = asyncio.create_task(beside.planning.plan_poll(order.id, NOW, plan))
    await beside.ended_or_waits_for_a_lock(planning)
    while await beside.parked():
        beside.go_on()
    assert await deletion == [order.id]
    result = (await asyncio.gather(planning, return_exceptions=True))[0]
    assert (result is None) if before == 0 else isinstance(result, UnknownName)
    assert await beside.planning.pool.fetch("SELECT 1 FROM of_polls") == []
    assert await beside.planning.next_due(SCOPE) is None


async def test_a_poll_and_a_decision_of_one_order_never_deadlock(beside: Beside) -> None:
    order = await beside.deleting.create(new_order(), "content")
    for n in range(20):
        await asyncio.gather(
            beside.deleting.commit(order.id, None, move("on", poll=PollAt(NOW + n, 0, 1.0))),
            beside.planning.plan_poll(order.id, NOW, PollSooner(1.0)),
            beside.deleting.plan_poll(order.id, NOW, PollAt(NOW, 0, 1.0)),
            beside.planning.commit(order.id, None, move("on", poll=PollSooner(1.0))),
        )
    assert (await beside.planning.load(order.id)).version == 40


async def test_a_message_written_beside_a_redaction_is_not_kept(beside: Beside) -> None:
    """It waits for the redaction to end, and sees what it did."""
    order = await beside.deleting.create(new_order(), "content")
    await beside.deleting.commit(order.id, None, move("done"))
    message = Message(order.id, "call", 201, "", "kari.canary@example.org", False, NOW, NOW)
    writes = (beside.planning.add_message(message), beside.planning.plan_poll(order.id, NOW, PollSooner(1.0), message))
    redacting, watching = await asyncpg.connect(beside.url), await asyncpg.connect(beside.url)
    try:
        async with redacting.transaction():
            await redacting.execute(f"SELECT FROM of_orders WHERE id = '{order.id}' FOR UPDATE")
            tasks = [asyncio.create_task(write) for write in writes]
            waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%of_orders%'"
            async with asyncio.timeout(60):
                while len(await watching.fetch(waits)) < len(tasks) and not any(task.done() for task in tasks):
                    await asyncio.sleep(0.01)
            row = f"'{order.id}', 2, 'redacted', 'operator', 'done', 'done', 'redaction', 0, ''"
            await redacting.execute(f"INSERT INTO of_journal VALUES ({row})")
        await asyncio.gather(*tasks)
    finally:
        await redacting.close()
        await watching.close()
    assert await beside.planning.messages(order.id) == []
