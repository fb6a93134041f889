"""What a worker leaves behind when it stops: nothing leased, nothing sent twice, nothing lost. Whatever it had in hand at the time."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from tests.kit.toy import TIMING, Toy, number

from orderflow.app import Orderflow
from orderflow.engine import worker as work
from orderflow.errors import OperationalError
from orderflow.model import Order, StateEntered
from orderflow.provider.outcomes import NotExecuted, Outcome, Rejected, Signal, StatusRead, Succeeded
from orderflow.store.records import Decider, DueDeadline, InboxKey, LeasedEffect, Receipt
from orderflow.store.sqlite.store import SqliteStore

pytestmark = pytest.mark.anyio

PATIENT = evolve(TIMING, durations=dict.fromkeys(TIMING.durations, 600.0), poll_first=600.0, poll_cap=600.0, poll_interval=0.01)
"""A lease of a minute, reads in ten: what another worker does within seconds was given back to it."""
SOON = 10.0


class Gate:
    """A place to stand at until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    async def pass_through(self) -> None:
        self.reached.set()
        await self.opened.wait()

    async def call(self, order: Order) -> Outcome:
        await self.pass_through()
        return Succeeded("order_placed", provider_id=number(order))

    async def fetch_status(self, order: Order) -> StatusRead:
        await self.pass_through()
        return StatusRead("new")


class SlowStore(SqliteStore):
    """Keeps whoever loads an order that is being sent, or writes, waiting where a gate stands in the way."""

    loading: Gate | None = None
    committing: Gate | None = None

    async def load(self, order_id: str) -> Order:
        order = await super().load(order_id)
        if self.loading is not None and order.state == "sending":
            await self.loading.pass_through()
        return order

    async def commit(self, order_id: str, key: InboxKey | None, judge: Decider, deadline: DueDeadline | None = None) -> Receipt:
        if self.committing is not None:
            await self.committing.pass_through()
        return await super().commit(order_id, key, judge, deadline)

    async def retry_effect(self, effect: LeasedEffect, at: float, why: str, uncounted: bool = False) -> None:
        if self.committing is not None:
            await self.committing.pass_through()
        await super().retry_effect(effect, at, why, uncounted)


class TroubledStore(SqliteStore):
    """Refuses these methods for orders in these states."""

    refuses: tuple[str, str] | None = None
    error: Exception = OperationalError("orders.db: away")
    refused: asyncio.Event

    async def load(self, order_id: str) -> Order:
        await self._look("load", order_id)
        return await super().load(order_id)

    async def commit(self, order_id: str, key: InboxKey | None, judge: Decider, deadline: DueDeadline | None = None) -> Receipt:
        await self._look("commit", order_id)
        return await super().commit(order_id, key, judge, deadline)

    async def finish_effect(self, effect: LeasedEffect, why: str = "") -> None:
        await self._look("finish_effect", effect.key.order_id)
        await super().finish_effect(effect, why)

    async def retry_effect(self, effect: LeasedEffect, at: float, why: str, uncounted: bool = False) -> None:
        await self._look("retry_effect", effect.key.order_id)
        await super().retry_effect(effect, at, why, uncounted)

    async def throttle(self, provider: str, until: float) -> None:
        self._refuse("throttle", "")
        await super().throttle(provider, until)

    async def _look(self, method: str, order_id: str) -> None:
        self._refuse(method, (await super().load(order_id)).state)

    def _refuse(self, *asked: str) -> None:
        if self.refuses == asked:
            self.refused.set()
            raise self.error


@pytest.fixture
def toy() -> Toy:
    return Toy(timing=PATIENT)


@pytest.fixture
async def desk(tmp_path: Path, toy: Toy) -> AsyncIterator[Orderflow]:
    """A flow that does not work, to create orders with and to look at them."""
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [toy]) as flow:
        yield flow


@asynccontextmanager
async def worker(
    folder: Path, toy: Toy, *told: str, run: Any = None, grace: float = 0.0, loading: Gate | None = None
) -> AsyncIterator[Orderflow]:
    store = SlowStore(folder / "orders.db")
    store.loading = loading
    flow = Orderflow(store, [toy], fetch_interval=0.05, grace=grace)
    for state in told:
        flow.on_entered("toy", state, run)
    async with flow.working():
        yield flow


async def stopped_at(gate: Gate, flow: Orderflow) -> None:
    """Stop the worker without grace while it stands at the gate; then open that."""
    await gate.reached.wait()
    stopping = asyncio.create_task(flow._worker.stop(0.0))
    while not flow._worker._calls.over:
        await asyncio.sleep(0)
    gate.opened.set()
    await stopping


def leased(folder: Path, at: float) -> list[tuple[str, ...]]:
    """What nobody may take now although it is owed."""
    with closing(sqlite3.connect(folder / "orders.db", timeout=15)) as connection:
        effects = connection.execute("SELECT name FROM of_effects WHERE owed = 1 AND (in_flight = 1 OR run_at > ?)", (at,)).fetchall()
        reads = connection.execute("SELECT 'read' FROM of_polls WHERE next_at BETWEEN ? AND ?", (at, at + 120.0)).fetchall()
    return effects + reads


async def ordered(desk: Orderflow, key: str = "k") -> Order:
    order = await desk.create("toy", key=key)
    await desk.send(order.id, "order_it")
    return order


async def lost_for_good(folder: Path, toy: Toy, desk: Orderflow, order: Order, why: str) -> None:
    """The journal says that the answer was lost, nothing is leased, and a worker that comes does not call again."""
    last = (await desk.journal(order.id))[-1]
    assert (last.event, last.note) == ("placement_answer_lost", why)
    assert leased(folder, time.time()) == []
    async with worker(folder, toy):
        await asyncio.sleep(0.3)
    assert toy.called("place") == 1


async def test_a_repeatable_call_is_owed_again_now_and_costs_no_attempt(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    for _ in range(toy.timing.retry_attempts + 1):
        gate = Gate()
        toy.will("make_ready", gate.call)
    toy.will("make_ready", NotExecuted("connect failure"))  # which is tried again only while there are attempts left
    order = await ordered(desk)
    for n in range(toy.timing.retry_attempts + 1):
        async with worker(tmp_path, toy):
            async with asyncio.timeout(SOON):
                while toy.called("make_ready") == n:
                    await asyncio.sleep(0.005)
        assert leased(tmp_path, time.time()) == []
    async with worker(tmp_path, toy):
        await desk.wait(order.id, "placed", SOON)
    assert toy.called("place") == 1


async def test_a_once_call_that_was_begun_is_reported_lost_and_never_sent_again(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    gate = Gate()
    toy.will("place", gate.call)
    toy.will("look_up", NotExecuted("later"))
    order = await ordered(desk)
    async with worker(tmp_path, toy):
        await gate.reached.wait()
    assert (await desk.order(order.id)).state == "in_doubt"
    await lost_for_good(tmp_path, toy, desk, order, "the worker stopped before the answer came")


async def test_a_once_call_that_does_not_end_when_it_is_cut_is_reported_lost(
    tmp_path: Path, toy: Toy, desk: Orderflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_GIVING_BACK", 0.1)
    begun = asyncio.Event()

    async def stubborn(_: Order) -> Outcome:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()
        raise AssertionError

    toy.will("place", stubborn)
    order = await ordered(desk)
    async with worker(tmp_path, toy):
        await begun.wait()
    last = (await desk.journal(order.id))[-1]
    assert (last.event, last.note) == ("placement_answer_lost", "the worker stopped before the answer was written")
    assert (leased(tmp_path, time.time()), toy.called("place")) == ([], 1)


async def test_a_once_call_that_was_not_begun_is_owed_again_and_sent_once(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    order = await ordered(desk)
    gate = Gate()
    async with worker(tmp_path, toy, loading=gate) as flow:
        await stopped_at(gate, flow)
        assert toy.called("place") == 0
    assert (await desk.order(order.id)).state == "sending"
    assert leased(tmp_path, time.time()) == []
    async with worker(tmp_path, toy):
        await desk.wait(order.id, "placed", SOON)
    assert toy.called("place") == 1


@pytest.mark.parametrize("blocking", [False, True], ids=["awaiting", "in a thread"])
async def test_a_host_that_is_being_told_is_told_again_by_the_same_key(tmp_path: Path, toy: Toy, desk: Orderflow, blocking: bool) -> None:
    keys: list[str] = []
    begun, over = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def awaits(told: StateEntered) -> None:
        keys.append(told.key)
        begun.set()
        if len(keys) == 1:
            await asyncio.Event().wait()

    def blocks(told: StateEntered) -> None:
        keys.append(told.key)
        loop.call_soon_threadsafe(begun.set)
        if len(keys) == 1:
            over.wait(SOON)

    run = blocks if blocking else awaits
    async with worker(tmp_path, toy, "placed", run=run):
        order = await ordered(desk)
        await begun.wait()
    over.set()
    assert leased(tmp_path, time.time()) == []
    begun.clear()
    async with worker(tmp_path, toy, "placed", run=run):
        await asyncio.wait_for(begun.wait(), SOON)
    assert keys == [f"{order.id}:3:0"] * 2


async def test_a_read_is_planned_again_now(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    gate = Gate()
    order = await ordered(desk)
    async with worker(tmp_path, toy):
        await desk.wait(order.id, "placed", SOON)
        toy.word = gate.fetch_status
        await desk.refresh(order.id)
        await gate.reached.wait()
    assert leased(tmp_path, time.time() + 1.0) == []
    toy.word = "packed"
    async with worker(tmp_path, toy):
        await desk.wait(order.id, "packed", SOON)


async def test_an_answer_that_is_being_written_at_the_end_of_the_grace_is_kept(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    call, commit = Gate(), Gate()
    toy.will("place", call.call)
    order = await ordered(desk)
    async with worker(tmp_path, toy) as flow:
        await call.reached.wait()
        flow._store.committing = commit  # type: ignore[attr-defined]
        call.opened.set()
        await stopped_at(commit, flow)
    assert (await desk.order(order.id)).state == "placed"


async def test_an_unanswered_attempt_of_another_worker_is_reported_lost_though_we_stop(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    """Giving it back as it is would make it look as if it had never been called."""
    gate = Gate()
    toy.will("place", gate.call)
    order = await ordered(desk)
    async with worker(tmp_path, toy) as flow:
        await gate.reached.wait()
        await flow.abandon()
    with closing(sqlite3.connect(tmp_path / "orders.db", timeout=15)) as connection, connection:
        connection.execute("UPDATE of_effects SET run_at = 0 WHERE name = 'place'")  # the lease has run out
    loading = Gate()
    async with worker(tmp_path, toy, loading=loading) as flow:
        await stopped_at(loading, flow)
    assert (await desk.order(order.id)).state == "in_doubt"
    assert toy.called("place") == 1


async def test_what_ends_within_the_grace_just_ends(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    gate = Gate()
    toy.will("place", gate.call)
    order = await ordered(desk)
    async with worker(tmp_path, toy, grace=SOON) as flow:
        await gate.reached.wait()
        asyncio.get_running_loop().call_later(0.1, gate.opened.set)
    assert (await desk.order(order.id)).state == "placed"
    assert flow.health is not None
    assert (flow.health.database_ok, flow.health.in_flight, flow.health.draining) == (True, 0, True)


async def test_a_database_that_is_silent_does_not_hold_us_and_what_is_left_is_said(
    tmp_path: Path, toy: Toy, desk: Orderflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_GIVING_BACK", 0.2)
    commit = Gate()
    await ordered(desk)
    before = asyncio.all_tasks()
    async with worker(tmp_path, toy) as flow:
        flow._store.committing = commit  # type: ignore[attr-defined]
        flow._inbox.wake.set()
        await commit.reached.wait()
        assert flow.health is not None
        assert (flow.health.in_flight, flow.health.draining) == (1, False)
    assert (flow.health.in_flight, flow.health.draining) == (1, True)
    assert leased(tmp_path, time.time()) == [("make_ready",)]
    assert asyncio.all_tasks() == before


async def test_a_worker_that_is_full_gives_everything_back(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    gate = Gate()
    toy.will("make_ready", *[gate.call] * 32)
    orders = [await ordered(desk, str(n)) for n in range(40)]
    async with worker(tmp_path, toy), asyncio.timeout(SOON):
        while len(toy.calls) < 32:
            await asyncio.sleep(0.005)
    assert leased(tmp_path, time.time()) == []
    async with worker(tmp_path, toy):
        await asyncio.gather(*(desk.wait(order.id, "placed", SOON) for order in orders))
    assert _twice(toy.calls, "place") == []


# ── what had failed before ───────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def troubled(
    folder: Path, toy: Toy, *refuses: str, run: Any = None, error: Exception | None = None
) -> AsyncIterator[tuple[Orderflow, TroubledStore]]:
    """A worker whose store refuses (method, state)."""
    store = TroubledStore(folder / "orders.db")
    store.error = error or store.error
    store.refused, store.refuses = asyncio.Event(), (refuses[0], refuses[1]) if refuses else None
    flow = Orderflow(store, [toy], fetch_interval=0.05, grace=0.0)
    if run is not None:
        flow.on_entered("toy", "placed", run)
    async with flow.working():
        yield flow, store


async def failed(flow: Orderflow) -> None:
    """Nothing is under way any more, and something is leased."""
    async with asyncio.timeout(SOON):
        while flow._worker._in_flight or not flow._worker._unwritten:
            await asyncio.sleep(0.005)


async def stopped_while_refused(flow: Orderflow, store: TroubledStore) -> None:
    """Stop the worker without grace; the store is back after the last call was cut, before the worker ends."""
    await store.refused.wait()
    stopping = asyncio.create_task(flow._worker.stop(0.0))
    async with asyncio.timeout(SOON):
        while flow._worker._in_flight:
            await asyncio.sleep(0.005)
    store.refuses = None
    await stopping


@pytest.mark.parametrize(("state", "effect"), [("preparing", "make_ready"), ("sending", "place")])
async def test_a_call_that_failed_before_it_began_is_owed_again_and_sent_once(
    tmp_path: Path, toy: Toy, desk: Orderflow, state: str, effect: str
) -> None:
    order = await ordered(desk)
    async with troubled(tmp_path, toy, "load", state) as (flow, store):
        await failed(flow)
        assert leased(tmp_path, time.time()) == [(effect,)]
        store.refuses = None
    assert flow.health is not None
    assert (leased(tmp_path, time.time()), flow.health.in_flight, toy.called(effect)) == ([], 0, 0)
    async with worker(tmp_path, toy):
        await desk.wait(order.id, "placed", SOON)
    assert toy.calls == [("make_ready", order.id), ("place", order.id)]


async def test_a_once_call_that_began_and_could_not_be_written_about_is_reported_lost(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    """The adapter names an event that does not exist. Owed again, the call would be made twice."""
    toy.will("place", Succeeded("nonsense"))
    toy.will("look_up", NotExecuted("later"))
    order = await ordered(desk)
    async with troubled(tmp_path, toy) as (flow, _):
        await failed(flow)
        assert leased(tmp_path, time.time()) == [("place",)]
    await lost_for_good(tmp_path, toy, desk, order, "the worker stopped before the answer was written")


@pytest.mark.parametrize(
    ("answer", "refuses", "state", "owed"),
    [
        (Succeeded("order_placed", provider_id="T-77"), "commit", "placed", None),
        (Rejected("400"), "commit", "refused", None),
        (NotExecuted("connect failure"), "retry_effect", "sending", "connect failure"),
    ],
    ids=["done", "declined", "not sent"],
)
async def test_an_answer_that_could_not_be_written_in_time_is_written_when_the_store_is_back(
    tmp_path: Path, toy: Toy, desk: Orderflow, monkeypatch: pytest.MonkeyPatch, answer: Outcome, refuses: str, state: str, owed: str | None
) -> None:
    """What the provider said is in our hands: reported lost, its id of the order would be thrown away."""
    monkeypatch.setattr(work, "_GIVING_BACK", 0.1)
    toy.will("place", answer)
    order = await ordered(desk)
    async with troubled(tmp_path, toy, refuses, "sending") as (flow, store):
        await stopped_while_refused(flow, store)
    found = await desk.order(order.id)
    assert (found.state, found.provider_id) == (state, getattr(answer, "provider_id", None))
    effects = [(one.name, one.in_flight, one.why) for one in (await desk.pending(order.id)).effects]
    assert effects == ([("place", False, owed)] if owed else [])
    assert flow.health is not None
    assert (flow.health.in_flight, toy.called("place")) == (0, 1)


@pytest.mark.parametrize("error", [OperationalError("orders.db: away"), RuntimeError("a bug")], ids=["away", "bug"])
async def test_what_is_owed_again_is_not_reported_lost_though_the_silence_was_not_written(
    tmp_path: Path, toy: Toy, desk: Orderflow, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A 429 is two writes: owed again, and silence for all. The second one fails."""
    monkeypatch.setattr(work, "_GIVING_BACK", 0.1)
    toy.will("place", NotExecuted("429", 50.0, signal=Signal.THROTTLED))
    order = await ordered(desk)
    async with troubled(tmp_path, toy, "throttle", "", error=error) as (flow, store):
        if isinstance(error, OperationalError):
            await stopped_while_refused(flow, store)
            assert await store.throttled_until()
        else:
            await failed(flow)
    assert [row.event for row in await desk.journal(order.id)] == ["order_it", "prepared"]
    assert [(one.name, one.in_flight, one.why) for one in (await desk.pending(order.id)).effects] == [("place", False, "429")]
    assert flow.health is not None
    assert flow.health.in_flight == 0


async def test_a_once_call_of_another_worker_is_reported_lost_though_its_take_over_failed(
    tmp_path: Path, toy: Toy, desk: Orderflow
) -> None:
    gate = Gate()
    toy.will("place", gate.call)
    toy.will("look_up", NotExecuted("later"))
    order = await ordered(desk)
    async with worker(tmp_path, toy) as flow:
        await gate.reached.wait()
        await flow.abandon()
    with closing(sqlite3.connect(tmp_path / "orders.db", timeout=15)) as connection, connection:
        connection.execute("UPDATE of_effects SET run_at = 0 WHERE name = 'place'")  # the lease has run out
    async with troubled(tmp_path, toy, "load", "sending") as (flow, store):
        await failed(flow)
        store.refuses = None
    assert ((await desk.order(order.id)).state, toy.called("place")) == ("in_doubt", 1)


async def test_a_call_of_another_worker_that_we_cannot_judge_is_left_to_its_lease_and_counted(
    tmp_path: Path, toy: Toy, desk: Orderflow
) -> None:
    """This version of the lifecycle does not know the effect; whoever does must learn that it was begun."""
    gate = Gate()
    toy.will("place", gate.call)
    await ordered(desk)
    async with worker(tmp_path, toy) as flow:
        await gate.reached.wait()
        await flow.abandon()
    with closing(sqlite3.connect(tmp_path / "orders.db", timeout=15)) as connection, connection:
        connection.execute("UPDATE of_effects SET run_at = 0 WHERE name = 'place'")  # the lease has run out
    known = {name: effect for name, effect in toy.table.effects.items() if name != "place"}
    async with troubled(tmp_path, Toy(timing=PATIENT, table=evolve(toy.table, effects=known))) as (flow, _):
        await failed(flow)
    assert flow.health is not None
    assert (flow.health.in_flight, leased(tmp_path, time.time())) == (1, [("place",)])


async def test_a_host_that_was_told_and_not_written_about_is_told_again(tmp_path: Path, toy: Toy, desk: Orderflow) -> None:
    keys: list[str] = []
    again = asyncio.Event()

    async def hear(told: StateEntered) -> None:
        keys.append(told.key)
        if len(keys) == 2:
            again.set()

    async with troubled(tmp_path, toy, "finish_effect", "placed", run=hear) as (flow, store):
        order = await ordered(desk)
        await failed(flow)
        store.refuses = None
    assert leased(tmp_path, time.time()) == []
    async with troubled(tmp_path, toy, run=hear):
        await asyncio.wait_for(again.wait(), SOON)
    assert keys == [f"{order.id}:3:0"] * 2


@pytest.mark.parametrize("method", ["load", "commit"])
async def test_a_read_that_failed_is_planned_again_now(tmp_path: Path, toy: Toy, desk: Orderflow, method: str) -> None:
    order = await ordered(desk)
    async with troubled(tmp_path, toy) as (flow, store):
        await desk.wait(order.id, "placed", SOON)
        toy.word, store.refuses = "packed", (method, "placed")
        await flow.refresh(order.id) if method == "commit" else await desk.refresh(order.id)
        await failed(flow)
        assert leased(tmp_path, time.time() + 1.0) == [("read",)]
        store.refuses = None
    assert leased(tmp_path, time.time() + 1.0) == []
    async with worker(tmp_path, toy):
        await desk.wait(order.id, "packed", SOON)


async def test_what_failed_and_cannot_be_given_back_is_said_until_its_lease_ends(
    tmp_path: Path, desk: Orderflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_GIVING_BACK", 0.1)
    monkeypatch.setattr(work, "_LAST_TRY", 0.1)
    brief = Toy(timing=evolve(PATIENT, lease=2.0))
    brief.will("place", Succeeded("nonsense"))
    await ordered(desk)
    async with troubled(tmp_path, brief) as (flow, store):
        await failed(flow)
        store.refuses = ("commit", "sending")
        assert flow.health is not None
        assert flow.health.in_flight == 1
    assert (flow.health.in_flight, leased(tmp_path, time.time())) == (1, [("place",)])
    async with asyncio.timeout(SOON):
        while flow.health.in_flight:
            await asyncio.sleep(0.02)
    with closing(sqlite3.connect(tmp_path / "orders.db", timeout=15)) as connection:
        assert connection.execute("SELECT run_at <= ? FROM of_effects WHERE name = 'place'", (time.time(),)).fetchone() == (1,)


def _twice(calls: Collection[tuple[str, str]], effect: str) -> list[str]:
    asked = [order for name, order in calls if name == effect]
    return sorted({order for order in asked if asked.count(order) > 1})
