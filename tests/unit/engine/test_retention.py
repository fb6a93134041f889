"""Retention: settled orders go when they are old, whole and exported first; their personal data goes when it is asked for."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from attrs import evolve
from tests.kit.postgres import drop_schema, make_schema
from tests.kit.toy import FAST, TIMING, NoUrls, Toy, ToyLifecycle

from orderflow.app import Orderflow
from orderflow.dispatch.local import LocalDispatcher
from orderflow.engine.export import JsonLines
from orderflow.engine.outbox import Outbox
from orderflow.errors import InvalidInput, UnknownName
from orderflow.lifecycle.decide import settled
from orderflow.model import Applied, Decision, Event, Observation, Order, OrderHistory, Origin, Reason, Refused, Snapshot, StepKind
from orderflow.provider.outcomes import InDoubt, NoResult, NotExecuted, Outcome, Rejected, Signal, Succeeded
from orderflow.provider.timing import Timing
from orderflow.simulators import SimClock

pytestmark = pytest.mark.anyio
STATES = tuple(ToyLifecycle.table.states)
DAY = 86400.0


@pytest.fixture(params=["sqlite", "postgres"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'orders.db'}"
        return
    name, url = await make_schema()
    yield url
    await drop_schema(name)


@asynccontextmanager
async def flowing(url: str, timing: Timing = TIMING, **more: Any) -> AsyncIterator[tuple[Orderflow, SimClock]]:
    """A flow that carries nothing out, and its clock."""
    clock = SimClock(start=1_000_000.0, manual=True)
    async with Orderflow(url, [Toy(timing=timing)], clock=clock, **more) as flow:
        yield flow, clock


async def put(flow: Orderflow, state: str, key: str = "k", **facts: bool | str) -> Order:
    """An order that an operator put into a state."""
    order = await flow.create("toy", key=key, facts=facts)
    if state != "drafted":
        decision = await flow.override(order.id, state, by="kim", reason="a test", version=0)
        assert isinstance(decision, Applied)
    return await flow.order(order.id)


async def pruned(flow: Orderflow, older_than: float = 10.0, **asked: Any) -> list[str]:
    """Everything that one run deletes."""
    return [name for batch in [batch async for batch in flow.prune(older_than=older_than, **asked)] for name in batch]


# ── which orders go ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_of_all_states_only_settled_orders_go(url: str) -> None:
    async with flowing(url) as (flow, clock):
        made = {
            (state, window, paid): (await put(flow, state, f"{state} {window} {paid}", window=window, paid=paid)).id
            for state in STATES
            for window in ("open", "closed")
            for paid in (True, False)
        }
        clock.advance(11)
        gone = set(await pruned(flow))
        facts_of = {name: {"window": window, "paid": paid} for (_, window, paid), name in made.items()}
        wanted = {name for (state, _, _), name in made.items() if settled(ToyLifecycle.table, Snapshot(state, facts_of[name], {}, 1))}
        assert gone == wanted
        left = {order.id for order in await flow.orders(limit=1000)}
        assert left == set(made.values()) - wanted
        ends = {"shipped", "delivered", "refused", "abandoned"}
        assert {state for (state, _, _), name in made.items() if name in gone} == {*ends, "lapsed"}
        assert {window for (state, window, _), name in made.items() if name in gone and state == "lapsed"} == {"closed"}


async def test_a_provisional_end_is_kept_until_its_window_is_closed_and_it_is_old(url: str) -> None:
    async with flowing(url) as (flow, clock):
        order = await put(flow, "lapsed")
        clock.advance(1_000_000)
        assert await pruned(flow) == []
        async with Orderflow(url, [Toy()], clock=clock, worker=True, fetch_interval=0.01) as worker:
            async with asyncio.timeout(10):
                while (await worker.order(order.id)).snapshot.facts["window"] != "closed":
                    clock.advance(0.01)
                    await asyncio.sleep(0.005)
        assert await pruned(flow, 10.0) == []  # closing the window was a step, and is young
        clock.advance(11)
        assert await pruned(flow, 10.0) == [order.id]


async def test_an_order_is_kept_until_the_host_was_told(url: str) -> None:
    async with flowing(url) as (flow, clock):
        flow.on_entered("toy", "shipped", lambda told: None)
        order = await put(flow, "shipped")
        clock.advance(1_000_000)
        assert await pruned(flow) == []
        told: list[str] = []
        async with Orderflow(url, [Toy()], clock=clock, worker=True, fetch_interval=0.01) as worker:
            worker.on_entered("toy", "shipped", lambda news: told.append(news.order.id))
            async with asyncio.timeout(10):
                while (await worker.pending(order.id)).effects:
                    clock.advance(0.01)
                    await asyncio.sleep(0.005)
        assert told == [order.id]
        assert await pruned(flow) == [order.id]


async def test_the_age_counts_from_the_last_step(url: str) -> None:
    async with flowing(url) as (flow, clock):
        order = await put(flow, "shipped")
        clock.advance(10)
        assert await pruned(flow, 10.0) == []
        clock.advance(0.5)
        assert await pruned(flow, 10.0) == [order.id]


async def test_only_the_providers_orders_and_in_batches_of_the_size_asked(url: str) -> None:
    clock = SimClock(start=1_000_000.0, manual=True)
    async with Orderflow(url, [Toy(), Toy("other")], clock=clock) as flow:
        made = [(await put(flow, "shipped", str(n))).id for n in range(7)]
        theirs = await flow.create("other", key="0")
        await flow.override(theirs.id, "shipped", by="kim", reason="a test", version=0)
        clock.advance(11)
        assert await pruned(flow, provider="other", dry_run=True) == [theirs.id]
        batches = [batch async for batch in flow.prune(older_than=10, provider="toy", batch=3)]
        assert sorted(name for batch in batches for name in batch) == sorted(made)
        assert max(map(len, batches)) <= 3
        assert [order.id for order in await flow.orders()] == [theirs.id]
        with pytest.raises(UnknownName, match="provider"):
            flow.prune(older_than=10, provider="nobody")


async def test_a_process_without_the_provider_or_the_state_leaves_the_order_alone(url: str) -> None:
    async with flowing(url) as (flow, clock):
        order = await put(flow, "shipped")
        clock.advance(11)
    async with Orderflow(url, [Toy("other")], clock=clock) as stranger:
        assert await pruned(stranger) == []
    states = {name: info for name, info in ToyLifecycle.table.states.items() if name != "shipped"}
    newer = Toy(table=evolve(ToyLifecycle.table, states=states))
    async with Orderflow(url, [newer], clock=clock) as flow:
        assert await pruned(flow) == []
        assert isinstance(await flow.redact(order.id, by="kim", reason="asked"), Refused)


@pytest.mark.parametrize("asked", [{"older_than": -1.0}, {"older_than": float("nan")}, {"older_than": float("inf")}])
async def test_ages_and_sizes_are_checked_before_anything_is_looked_at(tmp_path: Path, asked: dict[str, float]) -> None:
    async with flowing(f"sqlite:///{tmp_path / 'orders.db'}") as (flow, _):
        with pytest.raises(InvalidInput, match="older_than"):
            flow.prune(**asked)
        for size in (0, -1, 5001):
            with pytest.raises(InvalidInput, match="batch"):
                flow.prune(older_than=1.0, batch=size)


async def test_a_dry_run_says_what_would_go_and_does_nothing(url: str, tmp_path: Path) -> None:
    async with flowing(url) as (flow, clock):
        order = await put(flow, "shipped")
        clock.advance(11)
        assert await pruned(flow, dry_run=True, export=tmp_path / "old.jsonl") == [order.id]
        assert (await flow.order(order.id), (tmp_path / "old.jsonl").exists()) == (order, False)


async def test_a_create_with_a_deleted_orders_key_makes_a_new_order(url: str) -> None:
    async with flowing(url) as (flow, clock):
        order = await put(flow, "shipped", paid=False)
        clock.advance(11)
        await pruned(flow)
        again = await flow.create("toy", key="k", facts={"paid": True})
        assert (again.id != order.id, again.state) == (True, "drafted")


async def test_workers_go_on_while_old_orders_go(url: str) -> None:
    async with Orderflow(url, [Toy(timing=FAST, word="delivered")], worker=True, fetch_interval=0.01) as flow:
        made = []
        gone: set[str] = set()

        async def live(n: int) -> None:
            order = await flow.create("toy", key=str(n))
            made.append(order.id)
            await flow.send(order.id, "order_it")

        async def clean() -> None:
            while len(gone) < 60:
                gone.update(await pruned(flow, 0.0, batch=7))

        async with asyncio.timeout(30):
            await asyncio.gather(clean(), *(live(n) for n in range(60)))
        assert gone == set(made)
        assert await flow.orders() == []


# ── export ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_whole_orders_are_exported_before_they_go(url: str, tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    async with flowing(url) as (flow, clock):
        order = await put(flow, "shipped", paid=True)
        await flow.send(order.id, "order_it")  # refused
        journal, refusals = await flow.journal(order.id), await flow.refusals(order.id)
        clock.advance(11)
        assert await pruned(flow, export=path) == [order.id]
    (line,) = _lines(path)
    assert line["order"] == {
        "id": order.id,
        "provider": "toy",
        "key": "k",
        "state": "shipped",
        "version": 1,
        "facts": {"paid": True, "window": "open"},
        "data": {},
        "created_at": order.created_at,
        "entered_at": order.entered_at,
        "flagged": False,
    }
    assert [(row["event"], row["at"], row["note"], row["kind"]) for row in line["journal"]] == [
        (row.event, row.at, row.note, row.kind) for row in journal
    ]
    assert [(row["event"], row["reason"], row["count"]) for row in line["refusals"]] == [("order_it", "not legal here", 1)]
    assert len(refusals) == 1
    assert path.stat().st_mode & 0o777 == 0o600


async def test_what_cannot_be_exported_is_not_deleted(url: str, tmp_path: Path) -> None:
    async with flowing(url) as (flow, clock):
        order = await put(flow, "shipped")
        clock.advance(11)
        with pytest.raises(FileNotFoundError):
            await pruned(flow, export=tmp_path / "nowhere" / "old.jsonl")

        async def full(orders: Sequence[OrderHistory]) -> None:
            raise OSError("no space left")

        with pytest.raises(OSError, match="no space"):
            await pruned(flow, export=full)
        assert await flow.order(order.id) == order


@pytest.mark.parametrize("what", ["moves", "is refused something", "owes something"])
async def test_an_order_to_which_something_happens_during_the_export_stays(url: str, what: str) -> None:
    async with flowing(url) as (flow, clock):
        order, other = await put(flow, "abandoned"), await put(flow, "abandoned", "other")
        exported: list[list[str]] = []

        async def slow(orders: Sequence[OrderHistory]) -> None:
            exported.append(sorted(one.order.id for one in orders))
            if len(exported) > 1:
                return
            if what == "is refused something":
                await flow.send(order.id, "order_it")
            else:
                await flow.override(order.id, "shipped" if what == "owes something" else "refused", by="kim", reason="late", version=1)

        flow.on_entered("toy", "shipped", lambda told: None)
        clock.advance(11)
        assert await pruned(flow, export=slow) == [other.id]
        assert (await flow.order(order.id)).version == (1 if what == "is refused something" else 2)
        clock.advance(11)
        assert await pruned(flow, export=slow) == ([] if what == "owes something" else [order.id])
        assert exported[0] == sorted([order.id, other.id])


async def test_a_line_torn_off_by_a_crash_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    path.write_text('{"order": {"id": "toy-torn')
    order = Order("toy-a", "toy", "k", Snapshot("shipped", {}, {"name": "Åse \ud800"}, 1), 0.0, 0.0)
    JsonLines(path)([OrderHistory(order, (), ())])
    JsonLines(path)([OrderHistory(order, (), ())] * 2)
    torn, *lines = path.read_text().splitlines()
    assert torn == '{"order": {"id": "toy-torn'
    assert [json.loads(line)["order"]["data"] for line in lines] == [{"name": "Åse \ud800"}] * 3


def _prune_and_die(url: str, path: Path, when: str) -> None:
    """In a process of its own: killed right behind the export, or right behind the delete, of the second batch."""

    async def run() -> None:
        clock = SimClock(start=2_000_000.0, manual=True)
        async with Orderflow(url, [Toy()], clock=clock) as flow:
            write, batches = JsonLines(path), 0

            def export(orders: Sequence[OrderHistory]) -> None:
                nonlocal batches
                write(orders)
                batches += 1
                if when == "exported" and batches == 2:
                    os.kill(os.getpid(), signal.SIGKILL)

            async for _ in flow.prune(older_than=10, batch=3, export=export):
                if when == "deleted" and batches == 2:
                    os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(run())


@pytest.mark.parametrize("when", ["exported", "deleted"])
async def test_a_kill_in_between_exports_twice_and_loses_nothing(url: str, tmp_path: Path, when: str) -> None:
    path = tmp_path / "old.jsonl"
    async with flowing(url) as (flow, _):
        made = sorted([(await put(flow, "shipped", str(n))).id for n in range(9)])
    process = multiprocessing.get_context("spawn").Process(target=_prune_and_die, args=(url, path, when))
    process.start()
    await asyncio.to_thread(process.join)
    assert process.exitcode == -signal.SIGKILL
    clock = SimClock(start=2_000_000.0, manual=True)
    async with Orderflow(url, [Toy()], clock=clock) as flow:
        left = {order.id for order in await flow.orders()}
        exported = [line["order"]["id"] for line in _lines(path)]
        assert len(exported) == 6
        assert set(exported) | left == set(made)
        await pruned(flow, export=path, batch=3)
        assert await flow.orders() == []
    exported = [line["order"]["id"] for line in _lines(path)]
    assert sorted(set(exported)) == made
    assert len(exported) == (12 if when == "exported" else 9)


# ── redaction ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def everything(url: str) -> str:
    """Every row of every table."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return repr([connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in tables])
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
        )
        return repr([await connection.fetch(f"SELECT * FROM {name}") for (name,) in tables])
    finally:
        await connection.close()


async def test_a_settled_orders_personal_data_goes_and_its_path_stays(url: str) -> None:
    secret = "kari.canary@example.org"
    toy = Toy(timing=FAST)
    async with Orderflow(url, [toy], worker=True, fetch_interval=0.01) as flow:
        toy.will("make_ready", NotExecuted(f"{secret} is not known here"))
        toy.will("place", InDoubt(f"{secret} was cut off"))
        order = await flow.create("toy", key="k", email=secret)
        await flow.send(order.id, "order_it", email=secret)
        found = await flow.wait(order.id, until="in_doubt", timeout=10)
        await flow.resolve(order.id, "placement_resolved", by="kim", reason=f"{secret} called", number="T-7")
        toy.shows(f"word of {secret}")
        async with asyncio.timeout(10):
            while not (found := await flow.order(order.id)).flagged:
                await asyncio.sleep(0.01)
        await flow.override(order.id, "shipped", by="kim", reason=secret, version=found.version)
    assert (await everything(url)).count(secret) >= 6  # data, notes, a detail, errors of effects
    async with flowing(url) as (flow, clock):
        path = [(row.event, row.source, row.target, row.at, row.kind) for row in await flow.journal(order.id)]

        decision = await flow.redact(order.id, by="kim", reason="ticket 7")

        assert isinstance(decision, Applied)
        assert secret not in await everything(url)
        found = await flow.order(order.id)
        assert (found.state, found.version, found.provider_id, found.key) == ("shipped", len(path) + 1, "T-7", "k")
        assert found.snapshot == decision.snapshot
        *rows, last = await flow.journal(order.id)
        assert [(row.event, row.source, row.target, row.at, row.kind) for row in rows] == path
        assert (last.kind, last.source, last.target, last.at) == (StepKind.REDACTION, "shipped", "shipped", clock.now())
        assert (last.event, last.note) == ("redacted", "by kim: ticket 7")
        assert [(row.reason, row.count > 0) for row in await flow.refusals(order.id)] == [(Reason.UNKNOWN_STATUS, True)]
        assert await flow.create("toy", key="k", email="another's") == found
        assert [one.id for one in await flow.orders()] == [order.id]
        clock.advance(1e10)
        assert await pruned(flow) == [order.id]
        assert order.id not in await everything(url)


@pytest.mark.parametrize("state", STATES)
async def test_only_a_settled_order_is_redacted(tmp_path: Path, state: str) -> None:
    async with flowing(f"sqlite:///{tmp_path / 'orders.db'}") as (flow, _):
        order = await put(flow, state)
        decision = await flow.redact(order.id, by="kim", reason="ticket 7")
        if settled(ToyLifecycle.table, order.snapshot):
            assert isinstance(decision, Applied)
            return
        assert isinstance(decision, Refused)
        assert (decision.reason, "not settled" in decision.detail) == (Reason.NOT_LEGAL_HERE, True)
        assert await flow.order(order.id) == order
        (row,) = await flow.refusals(order.id)
        assert (row.event, row.reason, row.count) == ("redact", Reason.NOT_LEGAL_HERE, 1)


async def test_nothing_is_redacted_before_the_host_was_told(url: str) -> None:
    async with flowing(url) as (flow, _):
        flow.on_entered("toy", "shipped", lambda told: None)
        order = await put(flow, "shipped")
        decision = await flow.redact(order.id, by="kim", reason="ticket 7")
        assert isinstance(decision, Refused)
        assert decision.detail == "notify_listener is still owed, or its call is under way, and needs its data"


class Held:
    """A call that lasts until it is let go; what it brings is full of personal data."""

    def __init__(self, flow: Orderflow, toy: Toy) -> None:
        self._effects = Outbox(flow._engine.inbox, NoUrls(), LocalDispatcher(flow._store))
        self._begun, self._let_go = asyncio.Event(), asyncio.Event()
        self._toy = toy

    async def begin(self, effect: str, outcome: Outcome) -> asyncio.Task[None]:
        """Lease the effect that is due and call."""

        async def called(order: Order) -> Outcome:
            self._begun.set()
            await self._let_go.wait()
            return outcome

        self._toy.will(effect, called)
        (leased,) = await self._effects.due(10)
        call = asyncio.create_task(self._effects.carry_out(leased))
        await self._begun.wait()
        return call

    def let_go(self) -> None:
        self._let_go.set()


SECRET = "kari.canary@example.org"
LATE_ANSWERS = {
    "it went well": Succeeded("order_placed", {"email": SECRET}, "T-77", f"{SECRET} has ordered"),
    "refused": Rejected(f"{SECRET} is unknown"),
    "not executed": NotExecuted(f"{SECRET} is busy"),
    "in doubt": InDoubt(f"{SECRET} was cut off"),
}


@asynccontextmanager
async def overridden_in_a_call(url: str, answer: Outcome) -> AsyncIterator[tuple[Orderflow, SimClock, Order, Held, asyncio.Task[None]]]:
    """An operator has ended the order while the provider is being called."""
    clock, toy = SimClock(start=1_000_000.0, manual=True), Toy()
    async with Orderflow(url, [toy], clock=clock) as flow:
        held = Held(flow, toy)
        order = await flow.create("toy", key="k", email=SECRET)
        await flow.send(order.id, "order_it", email=SECRET)
        (ready,) = await held._effects.due(10)
        await held._effects.carry_out(ready)
        call = await held.begin("place", answer)
        decision = await flow.override(order.id, "abandoned", by="kim", reason=f"{SECRET} called", version=2)
        assert isinstance(decision, Applied)
        yield flow, clock, await flow.order(order.id), held, call


@pytest.mark.parametrize("answer", LATE_ANSWERS)
async def test_nothing_is_redacted_while_a_call_is_under_way(url: str, answer: str) -> None:
    """Wanted or not: its answer would bring back what was removed."""
    async with overridden_in_a_call(url, LATE_ANSWERS[answer]) as (flow, clock, order, held, call):
        assert (await flow.pending(order.id)).effects == ()  # it is not owed any more
        decision = await flow.redact(order.id, by="kim", reason="ticket 7")
        assert isinstance(decision, Refused)
        assert decision.detail == "place is still owed, or its call is under way, and needs its data"
        assert await flow.order(order.id) == order
        held.let_go()
        await call
        clock.advance(0 if answer in ("it went well", "refused", "in doubt") else 61)  # what was not executed ends with its lease
        assert isinstance(await flow.redact(order.id, by="kim", reason="ticket 7"), Applied)
        assert SECRET not in await everything(url)


@pytest.mark.parametrize("answer", LATE_ANSWERS)
async def test_an_answer_that_comes_after_the_redaction_writes_nothing_personal(url: str, answer: str) -> None:
    async with overridden_in_a_call(url, LATE_ANSWERS[answer]) as (flow, clock, order, held, call):
        clock.advance(61)  # the lease is over, the worker and its call are not
        assert isinstance(await flow.redact(order.id, by="kim", reason="ticket 7"), Applied)
        redacted = await flow.order(order.id)
        held.let_go()
        await call
        assert SECRET not in await everything(url)
        assert (await flow.order(order.id)).snapshot == redacted.snapshot
        if answer == "it went well":  # by its id it can be erased there too
            found = [row.detail for row in await flow.refusals(order.id) if row.reason is Reason.ANOMALY]
            assert found == ["order_placed names the provider's order T-77, and this order is abandoned"]


async def test_an_order_stays_redacted_whatever_is_made_of_it_afterwards(url: str) -> None:
    """Brought back to life by an operator, it takes commands, replies, claims and reads, and keeps of them nothing personal."""
    toy, clock = Toy(), SimClock(start=1_000_000.0, manual=True)
    async with Orderflow(url, [toy], clock=clock) as flow:
        order = await put(flow, "shipped")
        assert isinstance(await flow.redact(order.id, by="kim", reason="ticket 7"), Applied)

        async def moved(target: str) -> None:
            version = (await flow.order(order.id)).version
            assert isinstance(await flow.override(order.id, target, by="kim", reason="ticket 8", version=version), Applied)

        async def heard(name: str, origin: Origin, **more: Any) -> Decision:
            event = Event(name, origin, {"email": SECRET}, note=f"{SECRET} said so", **more)
            return (await flow._engine.inbox.accept(order.id, event)).decision

        await moved("drafted")
        assert isinstance(await flow.send(order.id, "order_it", email=SECRET), Applied)
        assert isinstance(await heard("prepared", Origin.REPLY), Applied)
        assert isinstance(await heard("order_placed", Origin.REPLY, provider_id="T-77"), Applied)
        assert isinstance(await heard("came", Origin.CLAIM), Applied)
        for status in ("packed", f"word of {SECRET}", "new"):
            seen = Observation(status, (await flow.order(order.id)).version, {"email": SECRET}, note=f"{SECRET} is seen")
            await flow._engine.inbox.accept_observation(order.id, seen, 0, f"read of {status[:4]}")
        await moved("in_doubt")
        assert isinstance(await flow.resolve(order.id, "placement_given_up", by="kim", reason="ticket 9"), Applied)
        assert SECRET not in await everything(url)
        found = await flow.order(order.id)
        assert (found.provider_id, dict(found.snapshot.data)) == ("T-77", {"provider_id": "T-77", "redacted": True})
        events = [(row.event, row.note) for row in await flow.journal(order.id)]
        assert ("seen_packed", "") in events
        assert ("placement_given_up", "by kim: ticket 9") in events
        assert {row.reason for row in await flow.refusals(order.id)} >= {Reason.UNKNOWN_STATUS, Reason.ANOMALY}


@pytest.mark.parametrize("effect", ["place", "look_up"])
@pytest.mark.parametrize(
    "answer",
    [NotExecuted(SECRET), NotExecuted(SECRET, 50.0, signal=Signal.THROTTLED), InDoubt(SECRET), Rejected(SECRET), NoResult(SECRET)],
    ids=["not sent", "busy", "in doubt", "declined", "no hit"],
)
async def test_why_a_redacted_orders_calls_ended_as_they_did_is_not_kept(url: str, effect: str, answer: Outcome) -> None:
    """It is written on the effect's row, beside the inbox."""
    toy = Toy(timing=evolve(FAST, retry_attempts=2))
    toy.will(effect, answer, answer)
    if effect == "look_up":
        toy.will("place", InDoubt(SECRET))
    async with Orderflow(url, [toy], worker=True, fetch_interval=0.01) as flow:
        order = await put(flow, "shipped")
        assert isinstance(await flow.redact(order.id, by="kim", reason="ticket 7"), Applied)
        version = (await flow.order(order.id)).version
        await flow.override(order.id, "drafted", by="kim", reason="ticket 8", version=version)
        assert isinstance(await flow.send(order.id, "order_it"), Applied)
        async with asyncio.timeout(10):
            while not toy.called(effect) or any(one.in_flight for one in (await flow.pending(order.id)).effects):
                await asyncio.sleep(0.01)
        assert SECRET not in await everything(url)


async def test_a_redaction_needs_who_and_why(tmp_path: Path) -> None:
    async with flowing(f"sqlite:///{tmp_path / 'orders.db'}") as (flow, _):
        order = await put(flow, "shipped")
        for by, reason in (("", "ticket 7"), ("kim", " ")):
            with pytest.raises(InvalidInput):
                await flow.redact(order.id, by=by, reason=reason)
        with pytest.raises(UnknownName):
            await flow.redact("toy-nobody", by="kim", reason="ticket 7")


async def test_two_redactions_at_once_and_an_override_leave_one_path(url: str) -> None:
    async with flowing(url) as (flow, _), flowing(url) as (there, _):
        order = await put(flow, "shipped")
        await asyncio.gather(
            *(one.redact(order.id, by="kim", reason="ticket 7") for one in (flow, there)),
            *(one.override(order.id, "refused", by="kim", reason="late", version=1) for one in (flow, there)),
        )
        journal = await flow.journal(order.id)
        assert [row.version for row in journal] == list(range(1, (await flow.order(order.id)).version + 1))
        assert sum(row.kind == StepKind.REDACTION for row in journal) == 2
