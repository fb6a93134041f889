"""Rule 9 on PostgreSQL: two workers on one order, in every order in which their statements can reach the database.

The statements are those that the engine really issues, on two connections. However they interleave: no transition twice, no effect
twice, no version skipped. The harness is shown to bite on a store that reads and then writes.
"""

from __future__ import annotations

import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from math import inf

import asyncpg
import pytest
from attrs import define, evolve
from tests.kit.interleaving import Run, Work, every_order
from tests.kit.postgres import drop_schema, make_schema
from tests.kit.toy import FAST, NoUrls, Toy, command

from orderflow._dispatch.local import LocalDispatcher
from orderflow._engine.deadlines import Deadlines
from orderflow._engine.inbox import Inbox
from orderflow._engine.listeners import Listeners
from orderflow._engine.outbox import Outbox
from orderflow._engine.polling import Poller
from orderflow._provider.outcomes import NotExecuted, Outcome
from orderflow._store.postgres.store import PostgresStore
from orderflow._store.records import InboxKey, LeasedEffect
from orderflow.model import Event, Observation, Order, Origin, Snapshot
from orderflow.simulators import SimClock

pytestmark = pytest.mark.anyio
TABLES = ("orders", "journal", "refusals", "effects", "deadlines", "polls", "inbox")
ORDER = "toy-k"


@define
class Side:
    """One worker's engine, on a store of its own."""

    store: PostgresStore
    inbox: Inbox
    effects: Outbox
    deadlines: Deadlines
    reader: Poller
    hand: dict[str, Callable[[str], Awaitable[None]]]  # its gate while it is watched

    async def tell(self, name: str, origin: Origin = command, key: str = "") -> object:
        receipt = await self.inbox.accept(ORDER, Event(name, origin), InboxKey(origin.value, key) if key else None)
        return type(receipt.decision).__name__

    async def carry_out_what_is_due(self) -> object:
        for effect in await self.effects.due(10):
            await self.effects.carry_out(effect)
        return None

    async def read_what_is_due(self) -> object:
        for read in await self.reader.due(10):
            await self.reader.read(read)
        return None


@define
class Table:
    """Two workers, the provider that both call, a clock that stands still."""

    url: str
    sides: list[Side]
    toy: Toy
    clock: SimClock
    plain: Side  # prepares and looks, unwatched

    async def fresh(self, *, until: str = "drafted") -> None:
        """An empty database with one order."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(";".join(f"DELETE FROM of_{name}" for name in TABLES))
        finally:
            await connection.close()
        self.toy.calls.clear()
        self.toy.reads.clear()
        now = self.clock.now()
        await self.plain.store.create(Order(ORDER, "toy", "k", Snapshot("drafted", self.toy.table.defaults(), {}, 0), now, now), "content")
        if until != "drafted":
            await self.plain.tell("order_it")
        if until in ("sending", "placed"):
            await self.plain.carry_out_what_is_due()
        if until == "placed":
            await self.plain.carry_out_what_is_due()

    async def counted(self) -> tuple[list[str], dict[str, int]]:
        """The journal's events, which must be without a gap; and how often each effect was called."""
        journal = await self.plain.store.journal(ORDER)
        assert [row.version for row in journal] == list(range(1, len(journal) + 1))
        assert [row.source for row in journal[1:]] == [row.target for row in journal[:-1]]
        assert (await self.plain.store.load(ORDER)).version == len(journal)
        return [row.event for row in journal], {name: self.toy.count_calls(name) for name in ("make_ready", "place")}


@pytest.fixture
async def table() -> AsyncIterator[Table]:
    name, url = await make_schema()
    toy, clock = Toy(timing=evolve(FAST, lease=60.0)), SimClock(start=1_000_000.0, manual=True)
    async with AsyncExitStack() as stack:

        async def side() -> Side:
            hand: dict[str, Callable[[str], Awaitable[None]]] = {}

            async def boundary(statement: str) -> None:
                if hand:
                    await hand["gate"](statement)

            store = PostgresStore(url, connections=1, width=1, boundary=boundary)
            stack.push_async_callback(store.close)
            await store.open()
            inbox = Inbox(store, {"toy": toy}, Listeners(), clock, random.Random(1))
            return Side(
                store, inbox, Outbox(inbox, NoUrls(), LocalDispatcher(store)), Deadlines(inbox), Poller(inbox, random.Random(1)), hand
            )

        yield Table(url, [await side(), await side()], toy, clock, await side())
    await drop_schema(name)


async def explore(table: Table, prepare: Callable[[], Awaitable[object]], works: Callable[[], Sequence[Work]]) -> AsyncIterator[Run]:
    """Every interleaving of what both sides do, each on a fresh order."""

    async def begin(run: Run) -> Sequence[Work]:
        await prepare()
        for side, worker in zip(table.sides, run.workers, strict=True):
            side.hand["gate"] = worker.gate
        return works()

    async for run in every_order(begin):
        for side in table.sides:
            side.hand.clear()
        yield run


def say(count: int, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{count} interleavings: {what}", file=sys.stderr)  # which test processes share with the terminal


@pytest.mark.parametrize("key", ["once", ""], ids=["one key", "no key"])
async def test_one_command_from_two_callers_moves_the_order_once(table: Table, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    works = [lambda side=side: side.tell("order_it", key=key) for side in table.sides]
    count = 0
    async for run in explore(table, table.fresh, lambda: works):
        count += 1
        assert sorted(map(str, run.outcomes)) == ["Applied", "Ignored" if key else "Refused"], run.order
        assert (await table.counted())[0] == ["order_it"], run.order
        owed = await table.plain.effects.due(10)
        assert [effect.name for effect in owed] == ["make_ready"], run.order
    assert count >= 6
    say(count, f"one command twice, {'one key' if key else 'without a key'}", capsys)


async def test_a_due_effect_is_called_once(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    count = 0
    works = [side.carry_out_what_is_due for side in table.sides]
    async for run in explore(table, lambda: table.fresh(until="sending"), lambda: works):
        count += 1
        assert await table.counted() == (["order_it", "prepared", "order_placed"], {"make_ready": 1, "place": 1}), run.order
    assert count >= 5
    say(count, "two workers, one once-effect", capsys)


def taken_over(
    table: Table, *, began_in_time: bool, answer: Outcome | None = None
) -> tuple[Callable[[], Awaitable[None]], Callable[[], Sequence[Work]]]:
    """The one side has leased the once-effect, and the lease is over: it goes on while the other takes over."""
    late, other = table.sides
    leased: list[LeasedEffect] = []

    async def prepare() -> None:
        await table.fresh(until="sending")
        found = await late.effects.due(10)
        leased[:] = [evolve(effect, until=inf) for effect in found] if began_in_time else found  # then nothing tells it to stop
        if answer is not None:
            table.toy.will("place", answer)
        table.clock.advance(61.0)

    return prepare, lambda: [lambda: late.effects.carry_out(leased[0]), other.carry_out_what_is_due]


async def test_a_worker_that_is_late_and_the_one_that_takes_over_call_once(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    """The late one has called; its lease ends before its answer is stored. Whoever comes first, the order ends placed."""
    count, doubtful = 0, 0
    async for run in explore(table, *taken_over(table, began_in_time=True)):
        count += 1
        events, calls = await table.counted()
        assert calls["place"] == 1, run.order
        assert events.count("order_placed") == 1, run.order
        assert events.count("placement_answer_lost") <= 1, run.order
        assert (await table.plain.store.load(ORDER)).state == "placed", run.order
        doubtful += "placement_answer_lost" in events
    assert 0 < doubtful < count >= 35
    say(count, f"a late answer against a take-over ({doubtful} through doubt)", capsys)


async def test_a_worker_that_slept_through_its_lease_calls_nobody(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    count, doubtful = 0, 0
    async for run in explore(table, *taken_over(table, began_in_time=False)):
        count += 1
        events, calls = await table.counted()
        if (await table.plain.store.load(ORDER)).state == "in_doubt":
            assert (events[2:], calls["place"]) == (["placement_answer_lost"], 0), run.order
            doubtful += 1
            continue
        await table.plain.carry_out_what_is_due()  # it was given back
        events, calls = await table.counted()
        assert (events[2:], calls["place"]) == (["order_placed"], 1), run.order
    assert 0 < doubtful < count
    say(count, f"a worker that slept through its lease ({doubtful} in doubt, the others given back)", capsys)


async def test_a_late_answer_that_says_not_executed_loses_nothing(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    """Its lease ends before the answer is stored. Either it is owed again, or the one that took over has said that it is in doubt."""
    count, doubtful = 0, 0
    refused = NotExecuted("refused")
    async for run in explore(table, *taken_over(table, began_in_time=True, answer=refused)):
        count += 1
        events, calls = await table.counted()
        state = (await table.plain.store.load(ORDER)).state
        assert calls["place"] == 1, run.order
        assert events[2:] == (["placement_answer_lost"] if state == "in_doubt" else []), run.order
        if state == "in_doubt":
            doubtful += 1
            continue
        table.clock.advance(61.0)
        await table.plain.carry_out_what_is_due()
        assert (await table.plain.store.load(ORDER)).state == "placed", run.order
    assert 0 < doubtful < count
    say(count, f'a late "not executed" against a take-over ({doubtful} in doubt, the others owed again)', capsys)


@pytest.mark.slow
async def test_two_workers_that_tell_and_carry_out_do_each_thing_once(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    """Both are told the same command, and both carry out whatever is due then."""

    async def all_of(side: Side) -> None:
        await side.tell("order_it", key="once")
        await side.carry_out_what_is_due()

    count = 0
    works = [lambda side=side: all_of(side) for side in table.sides]
    async for run in explore(table, table.fresh, lambda: works):
        count += 1
        await table.plain.carry_out_what_is_due()
        await table.plain.carry_out_what_is_due()
        assert await table.counted() == (["order_it", "prepared", "order_placed"], {"make_ready": 1, "place": 1}), run.order
    say(count, "two workers that tell and carry out", capsys)


async def test_a_deadline_and_the_claim_that_forestalls_it(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = table.sides
    due = []

    async def prepare() -> None:
        await table.fresh(until="placed")
        due[:] = await _deadlines_in_an_hour(table)

    def works() -> Sequence[Work]:
        return [lambda: one.deadlines.bring(due[0]), lambda: other.tell("came", Origin.CLAIM, "token")]

    count, ends = 0, set()
    async for run in explore(table, prepare, works):
        count += 1
        ends.add(tuple((await table.counted())[0][3:]))
        assert len(await _deadlines_in_an_hour(table)) <= 2, run.order
    assert ends == {("no_return",), ("came",)}
    say(count, "a deadline against a claim", capsys)


async def _deadlines_in_an_hour(table: Table) -> list[object]:
    return list(await table.plain.store.due_deadlines(table.clock.now() + 3600, table.plain.inbox.scope, 10))


async def test_two_reads_of_one_status_move_the_order_once(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    def works() -> Sequence[Work]:
        seen = Observation("packed", 3)
        return [lambda side=side, n=n: side.inbox.accept_observation(ORDER, seen, 0, f"read {n}") for n, side in enumerate(table.sides)]

    count = 0
    async for run in explore(table, lambda: table.fresh(until="placed"), works):
        count += 1
        assert (await table.counted())[0][3:] == ["seen_packed"], run.order
    assert count >= 6
    say(count, "two reads of one status", capsys)


async def test_a_due_read_is_made_once(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    async def prepare() -> None:
        await table.fresh(until="placed")
        table.clock.advance(1.0)
        table.toy.word = "packed"

    count = 0
    async for run in explore(table, prepare, lambda: [side.read_what_is_due for side in table.sides]):
        count += 1
        assert (await table.counted())[0][3:] == ["seen_packed"], run.order
        assert len(table.toy.reads) == 1, run.order
    assert count >= 5
    say(count, "two workers, one due read", capsys)


async def test_a_store_that_reads_and_then_writes_is_caught(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    """Four statements, no compare-and-swap, no key that would refuse: the harness must see the double transition."""
    connections = [await asyncpg.connect(table.url) for _ in table.sides]
    await connections[0].execute("ALTER TABLE of_journal DROP CONSTRAINT of_journal_pkey")
    await connections[0].execute("ALTER TABLE of_effects DROP CONSTRAINT of_effects_pkey")

    def naive(connection: asyncpg.Connection, gate: Callable[[str], Awaitable[None]]) -> Work:
        async def run(statement: str) -> list[asyncpg.Record]:
            await gate(statement)
            return list(await connection.fetch(statement))

        async def work() -> None:
            ((version,),) = await run("SELECT version FROM of_orders")
            row = f"'{ORDER}', {version + 1}"
            await run(f"UPDATE of_orders SET version = {version + 1}")
            await run(f"INSERT INTO of_journal VALUES ({row}, 'came', 'claim', 'placed', 'placed', 'step', 0, '')")
            await run(f"INSERT INTO of_effects (order_id, version, n, name, provider, run_at) VALUES ({row}, 0, 'call', 'toy', 0)")

        return work

    async def begin(run: Run) -> Sequence[Work]:
        await table.fresh()
        return [naive(connection, worker.gate) for connection, worker in zip(connections, run.workers, strict=True)]

    count, caught = 0, 0
    async for _ in every_order(begin):
        count += 1
        versions = [row.version for row in await table.plain.store.journal(ORDER)]
        caught += versions != [1, 2]
    for connection in connections:
        await connection.close()
    assert count == 70
    assert caught == 70 - 2 * 15  # nothing goes wrong only where one's first two statements come before all of the other's
    say(count, f"a store that reads and then writes, caught in {caught}", capsys)


def test_the_explorer_finds_every_order_of_two_times_four_statements() -> None:
    """C(8, 4) = 70, where no worker's statements depend on the other's."""
    import asyncio

    async def count() -> tuple[int, int]:
        async def begin(run: Run) -> Sequence[Work]:
            async def four(gate: Callable[[str], Awaitable[None]]) -> None:
                for _ in range(4):
                    await gate("")

            return [lambda worker=worker: four(worker.gate) for worker in run.workers]

        orders = [run.order async for run in every_order(begin)]
        return len(orders), len(set(orders))

    assert asyncio.run(count()) == (70, 70)
