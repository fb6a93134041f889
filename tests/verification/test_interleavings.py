"""Races on PostgreSQL: two workers on one order, in every order in which their statements can reach the database.

The statements are those that the engine really issues, on two connections. However they interleave: no transition twice, no effect
twice, no version skipped. A store that reads and then writes shows that the harness finds such races.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from math import inf

import asyncpg
import pytest
from attrs import define, evolve
from tests.kit.engines import scope_of
from tests.kit.interleaving import Run, Work, every_order
from tests.kit.postgres import drop_schema, make_schema
from tests.kit.toy import FAST, Toy, build_toy_engine, command

from orderflow._engine.attempt import Attempt
from orderflow._engine.engine import Engine
from orderflow._flagged import ORDER_FLAGGED
from orderflow._provider.outcomes import NotExecuted, Outcome
from orderflow._store.postgres.store import PostgresStore
from orderflow._store.records import DueDeadline, InboxKey
from orderflow.model import Event, Observation, Order, Origin, Snapshot
from orderflow.simulators import SimClock

pytestmark = pytest.mark.anyio
TABLES = ("orders", "journal", "refusals", "effects", "deadlines", "polls", "inbox", "messages", "provider_ids")
ORDER = "toy-k"


Gate = Callable[[str], Awaitable[None]]


@define
class Side:
    """One worker's engine, on a store of its own. Its statements wait at ``gate`` while there is one."""

    store: PostgresStore
    engine: Engine
    gate: Gate | None = None

    async def send(self, name: str, origin: Origin = command, key: str = "") -> str:
        """Bring an event to the inbox. Returns the kind of decision."""
        receipt = await self.engine.inbox.accept(ORDER, Event(name, origin), InboxKey(origin.value, key) if key else None)
        return type(receipt.decision).__name__

    async def lease_effects(self) -> list[Attempt]:
        """Lease the effects that are due."""
        return await self.engine.outbox.fetch(scope_of(self.engine), 10)

    async def run_effects(self) -> None:
        """Carry out the effects that are due."""
        for attempt in await self.lease_effects():
            await self.engine.outbox.run(attempt)

    async def run_polls(self) -> None:
        """Make the polls that are due."""
        for poll in await self.engine.poller.fetch(scope_of(self.engine), 10):
            await self.engine.poller.run(poll)


@define
class Table:
    """Two workers, the provider that both call, a clock that stands still."""

    url: str
    sides: list[Side]
    toy: Toy
    clock: SimClock
    plain: Side  # prepares and looks; its statements never wait

    async def reset(self, state: str = "drafted") -> None:
        """An empty database with one order in ``state``: drafted, sending or placed."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(";".join(f"DELETE FROM of_{name}" for name in TABLES))
        finally:
            await connection.close()
        self.toy.calls.clear()
        self.toy.polls.clear()
        now = self.clock.now()
        for side in (*self.sides, self.plain):
            await forget_commits(side.engine)
        await self.plain.store.create(Order(ORDER, "toy", "k", Snapshot("drafted", self.toy.table.defaults(), {}, 0), now, now), "content")
        if state != "drafted":
            await self.plain.send("order_it")
            await self.plain.run_effects()
        if state == "placed":
            await self.plain.run_effects()

    async def count_steps_and_calls(self) -> tuple[list[str], dict[str, int]]:
        """The events in the journal, which must have no gap; and how often each effect was called."""
        journal = await self.plain.store.journal(ORDER)
        assert [row.version for row in journal] == list(range(1, len(journal) + 1))
        assert [row.source for row in journal[1:]] == [row.target for row in journal[:-1]]
        assert (await self.plain.store.load(ORDER)).version == len(journal)
        return [row.event for row in journal], {name: self.toy.count_calls(name) for name in ("make_ready", "place")}


async def forget_commits(engine: Engine) -> None:
    """The database is another one now. The engine looks at it before the workers' statements begin."""
    engine.recent_commits.forget()
    await engine.recent_commits.look()


@pytest.fixture
async def table() -> AsyncIterator[Table]:
    name, url = await make_schema()
    toy, clock = Toy(timing=evolve(FAST, lease=60.0)), SimClock(start=1_000_000.0, manual=True)
    async with AsyncExitStack() as stack:

        async def open_side() -> Side:
            async def boundary(statement: str) -> None:
                if side.gate is not None:
                    await side.gate(statement)

            store = PostgresStore(url, connections=1, width=1, boundary=boundary)
            side = Side(store, build_toy_engine(store, toy, clock))
            stack.push_async_callback(store.close)
            await store.open()
            return side

        yield Table(url, [await open_side(), await open_side()], toy, clock, await open_side())
    await drop_schema(name)


async def explore(table: Table, prepare: Callable[[], Awaitable[object]], works: Callable[[], Sequence[Work]]) -> AsyncIterator[Run]:
    """Every interleaving of what both sides do, each on a fresh order."""

    async def begin(run: Run) -> Sequence[Work]:
        await prepare()
        for side, worker in zip(table.sides, run.workers, strict=True):
            await side.engine.recent_commits.look()
            side.gate = worker.gate
        return works()

    async for run in every_order(begin):
        for side in table.sides:
            side.gate = None
        yield run


def print_count(count: int, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{count} interleavings: {what}", file=sys.stderr)  # which test processes share with the terminal


@pytest.mark.parametrize("key", ["once", ""], ids=["one key", "no key"])
async def test_one_command_from_two_callers_moves_the_order_once(table: Table, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    works = [lambda side=side: side.send("order_it", key=key) for side in table.sides]
    count = 0
    async for run in explore(table, table.reset, lambda: works):
        count += 1
        assert sorted(map(str, run.outcomes)) == ["Applied", "Ignored" if key else "Refused"], run.order
        assert (await table.count_steps_and_calls())[0] == ["order_it"], run.order
        owed = await table.plain.lease_effects()
        assert [attempt.effect.name for attempt in owed] == ["make_ready"], run.order
    assert count >= 6
    print_count(count, f"one command twice, {'one key' if key else 'without a key'}", capsys)


async def test_a_due_effect_is_called_once(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    count = 0
    works = [side.run_effects for side in table.sides]
    async for run in explore(table, lambda: table.reset("sending"), lambda: works):
        count += 1
        assert await table.count_steps_and_calls() == (["order_it", "prepared", "order_placed"], {"make_ready": 1, "place": 1}), run.order
    assert count >= 5
    print_count(count, "two workers, one once-effect", capsys)


def let_lease_end(
    table: Table, *, sent: bool, answer: Outcome | None = None
) -> tuple[Callable[[], Awaitable[None]], Callable[[], Sequence[Work]]]:
    """One side has leased the once-effect, and its lease is over: it goes on while the other side takes the effect over."""
    late, other = table.sides
    attempts: list[Attempt] = []

    async def prepare() -> None:
        await table.reset("sending")
        attempts[:] = await late.lease_effects()
        if sent:  # its own clock does not stop it
            effects = [evolve(attempt.effect, until=inf) for attempt in attempts]
            assert all([await table.plain.store.mark_sending(effect, table.clock.now()) for effect in effects])
            attempts[:] = [Attempt(effect, sent=True) for effect in effects]
        if answer is not None:
            table.toy.answer("place", answer)
        table.clock.advance(61.0)

    return prepare, lambda: [lambda: late.engine.outbox.run(attempts[0]), other.run_effects]


async def test_a_worker_that_is_late_and_the_one_that_takes_over_call_once(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    """The late one has called; its lease ends before its answer is stored. Whichever comes first, the order ends placed."""
    count, doubtful = 0, 0
    async for run in explore(table, *let_lease_end(table, sent=True)):
        count += 1
        events, calls = await table.count_steps_and_calls()
        assert calls["place"] == 1, run.order
        assert events.count("order_placed") == 1, run.order
        assert events.count("placement_answer_lost") <= 1, run.order
        assert (await table.plain.store.load(ORDER)).state == "placed", run.order
        doubtful += "placement_answer_lost" in events
    assert 0 < doubtful < count >= 35
    print_count(count, f"a late answer against a take-over ({doubtful} through doubt)", capsys)


async def test_a_worker_that_slept_through_its_lease_does_not_call(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    """It gives the effect back, or the other side has it by then. Nothing was sent, so nothing is in doubt."""
    count = 0
    async for run in explore(table, *let_lease_end(table, sent=False)):
        count += 1
        await table.plain.run_effects()  # if it was given back when the other side had looked
        events, calls = await table.count_steps_and_calls()
        assert (events[2:], calls["place"]) == (["order_placed"], 1), run.order
    assert count >= 15
    print_count(count, "a worker that slept through its lease", capsys)


async def test_the_moment_of_sending_and_a_take_over_send_once(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    """The clock of the late one is behind. It is about to send, while the other side takes the effect over."""
    late, other = table.sides
    own_clock = SimClock(start=table.clock.now(), manual=True)
    late_engine = build_toy_engine(late.store, table.toy, own_clock)
    attempts: list[Attempt] = []

    async def prepare() -> None:
        await table.reset("sending")
        await forget_commits(late_engine)
        attempts[:] = [Attempt(evolve(attempt.effect, until=inf)) for attempt in await late.lease_effects()]
        own_clock.advance(table.clock.now() - own_clock.now())
        table.clock.advance(61.0)

    count, doubtful = 0, 0
    async for run in explore(table, prepare, lambda: [lambda: late_engine.outbox.run(attempts[0]), other.run_effects]):
        count += 1
        events, calls = await table.count_steps_and_calls()
        assert calls["place"] == 1, run.order
        assert events[2:] in (["order_placed"], ["placement_answer_lost", "order_placed"]), run.order
        doubtful += "placement_answer_lost" in events
    assert 0 < doubtful < count
    print_count(count, f"the moment of sending against a take-over ({doubtful} through doubt)", capsys)


async def test_a_late_answer_that_says_not_executed_loses_nothing(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    """Its lease ends before the answer is stored. Either it is owed again, or the other side has reported that it is in doubt."""
    count, doubtful = 0, 0
    not_executed = NotExecuted("connection refused")
    async for run in explore(table, *let_lease_end(table, sent=True, answer=not_executed)):
        count += 1
        events, calls = await table.count_steps_and_calls()
        state = (await table.plain.store.load(ORDER)).state
        assert calls["place"] == 1, run.order
        assert events[2:] == (["placement_answer_lost"] if state == "in_doubt" else []), run.order
        if state == "in_doubt":
            doubtful += 1
            continue
        table.clock.advance(61.0)
        await table.plain.run_effects()
        assert (await table.plain.store.load(ORDER)).state == "placed", run.order
    assert 0 < doubtful < count
    print_count(count, f'a late "not executed" against a take-over ({doubtful} in doubt, the others owed again)', capsys)


@pytest.mark.slow
async def test_two_workers_that_send_and_carry_out_do_each_thing_once(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    """Both get the same command, and both carry out what is due then."""

    async def send_and_run(side: Side) -> None:
        await side.send("order_it", key="once")
        await side.run_effects()

    count = 0
    works = [lambda side=side: send_and_run(side) for side in table.sides]
    async for run in explore(table, table.reset, lambda: works):
        count += 1
        await table.plain.run_effects()
        await table.plain.run_effects()
        assert await table.count_steps_and_calls() == (["order_it", "prepared", "order_placed"], {"make_ready": 1, "place": 1}), run.order
    print_count(count, "two workers that send and carry out", capsys)


async def test_a_deadline_and_a_claim_that_comes_before_it(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = table.sides
    due: list[DueDeadline] = []

    async def prepare() -> None:
        await table.reset("placed")
        due[:] = await find_deadlines(table)

    def works() -> Sequence[Work]:
        return [lambda: one.engine.deadlines.run(due[0]), lambda: other.send("came", Origin.CLAIM, "token")]

    count, ends = 0, set()
    async for run in explore(table, prepare, works):
        count += 1
        ends.add(tuple((await table.count_steps_and_calls())[0][3:]))
        assert len(await find_deadlines(table)) <= 2, run.order
    assert ends == {("timed_out",), ("came",)}
    print_count(count, "a deadline against a claim", capsys)


async def find_deadlines(table: Table) -> list[DueDeadline]:
    """The deadlines that are due within an hour, as if they had waited for a poll."""
    due = await table.plain.store.due_deadlines(table.clock.now() + 3600, scope_of(table.plain.engine), 10)
    return [evolve(deadline, needs_poll=False) for deadline in due]


async def test_a_deadline_and_the_poll_that_it_waits_for(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    """The deadline is fetched and let wait; the other worker polls. Whatever comes first, what the provider says wins."""
    one, other = table.sides

    async def prepare() -> None:
        await table.reset("placed")
        table.clock.advance(3600.0)
        table.toy.status = "packed"

    async def run_deadlines(side: Side) -> None:
        for deadline in await side.engine.deadlines.fetch(scope_of(side.engine), 10):
            await side.engine.deadlines.run(deadline)

    count = 0
    async for run in explore(table, prepare, lambda: [lambda: run_deadlines(one), other.run_polls]):
        count += 1
        await table.plain.run_polls()
        await run_deadlines(table.plain)
        assert (await table.count_steps_and_calls())[0][3:] == ["seen_packed"], run.order
    assert count >= 6
    print_count(count, "a deadline against the poll that it waits for", capsys)


async def test_two_polls_of_one_status_move_the_order_once(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    def works() -> Sequence[Work]:
        observation = Observation("packed", 3)
        inboxes = [side.engine.inbox for side in table.sides]
        return [lambda inbox=inbox, n=n: inbox.accept_observation(ORDER, observation, 0, float(n)) for n, inbox in enumerate(inboxes)]

    count = 0
    async for run in explore(table, lambda: table.reset("placed"), works):
        count += 1
        assert (await table.count_steps_and_calls())[0][3:] == ["seen_packed"], run.order
    assert count >= 6
    print_count(count, "two polls of one status", capsys)


@pytest.mark.parametrize("owed", [False, True], ids=["both see it first", "one carries it out"])
async def test_an_anomaly_that_two_workers_see_is_notified_once(table: Table, owed: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Or one worker runs the listener of an anomaly while the other sees it again."""
    flagged: list[object] = []
    for side in (*table.sides, table.plain):
        side.engine.listeners.add("toy", ORDER_FLAGGED, flagged.append)
    one, other = table.sides

    async def see(side: Side, poll_started: float) -> None:
        await side.engine.inbox.accept_observation(ORDER, Observation("lost", 3), 0, poll_started)

    async def prepare() -> None:
        await table.reset("placed")
        flagged.clear()
        if owed:
            await see(table.plain, 0.0)

    def works() -> Sequence[Work]:
        return [lambda: see(one, 1.0), other.run_effects if owed else lambda: see(other, 2.0)]

    count = 0
    async for run in explore(table, prepare, works):
        count += 1
        await table.plain.run_effects()
        assert len(flagged) == 1, run.order
        assert (await table.plain.store.load(ORDER)).flagged, run.order
    assert count >= 3
    print_count(count, "an anomaly that is seen twice", capsys)


async def test_a_due_poll_is_made_once(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    async def prepare() -> None:
        await table.reset("placed")
        table.clock.advance(1.0)
        table.toy.status = "packed"

    count = 0
    async for run in explore(table, prepare, lambda: [side.run_polls for side in table.sides]):
        count += 1
        assert (await table.count_steps_and_calls())[0][3:] == ["seen_packed"], run.order
        assert len(table.toy.polls) == 1, run.order
    assert count >= 5
    print_count(count, "two workers, one due poll", capsys)


async def test_a_store_that_reads_and_then_writes_is_caught(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    """Four statements, no compare-and-swap, no key that would refuse: the harness must see the double transition."""
    connections = [await asyncpg.connect(table.url) for _ in table.sides]
    await connections[0].execute("ALTER TABLE of_journal DROP CONSTRAINT of_journal_pkey")
    await connections[0].execute("ALTER TABLE of_effects DROP CONSTRAINT of_effects_pkey")

    def naive(connection: asyncpg.Connection, gate: Gate) -> Work:
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
        await table.reset()
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
    print_count(count, f"a store that reads and then writes, caught in {caught}", capsys)


def test_every_order_finds_all_orders_of_two_times_four_statements() -> None:
    """C(8, 4) = 70, where no worker's statements depend on the other's."""

    async def count() -> tuple[int, int]:
        async def begin(run: Run) -> Sequence[Work]:
            async def four(gate: Gate) -> None:
                for _ in range(4):
                    await gate("")

            return [lambda worker=worker: four(worker.gate) for worker in run.workers]

        orders = [run.order async for run in every_order(begin)]
        return len(orders), len(set(orders))

    assert asyncio.run(count()) == (70, 70)
