"""The contract of every dispatcher: an owed effect comes to one worker, once, in time, whichever process dies. Nothing else comes."""

from __future__ import annotations

import asyncio
import time

import pytest
from attrs import evolve
from tests.kit.commits import LEASE, NOW, SCOPE, move, new_order, scope, stay
from tests.kit.dispatchers import Backend, Process
from tests.kit.toy import FAST, Toy

from orderflow._app import Orderflow
from orderflow._provider.outcomes import NotExecuted
from orderflow._store.records import InboxKey
from orderflow.errors import OperationalError
from orderflow.model import NOTIFY_LISTENER, Applied, Ignored, StateEntered

pytestmark = pytest.mark.anyio
LATER = NOW + LEASE + 5  # when every lease taken at NOW has ended, and every grace


# ── what comes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_effect_that_a_commit_owes_comes_to_one_worker(backend: Backend) -> None:
    here, there = await backend.open_process(), await backend.open_process()
    await here.owe("register", "announce")
    effects = [*await here.take(), *await there.take(), *await here.take()]
    assert sorted(effect.name for effect in effects) == ["announce", "register"]
    assert {(effect.attempt, effect.previous_attempt_sent) for effect in effects} == {(1, False)}


async def test_an_effect_that_is_owed_by_a_process_without_a_worker_comes_too(backend: Backend) -> None:
    caller, worker = await backend.open_process(works=False), await backend.open_process()
    await caller.owe("register")
    assert await worker.take_names() == ["register"]


async def test_workers_side_by_side_share_the_effects(backend: Backend) -> None:
    caller, *workers = [await backend.open_process() for _ in range(4)]
    orders = [await caller.owe("register", name=f"n{n}") for n in range(40)]
    taken: list[str] = []
    while len(taken) < len(orders):
        batches = await asyncio.gather(*(worker.take(limit=4) for worker in workers))
        assert any(batches)
        taken += [effect.key.order_id for batch in batches for effect in batch]
    assert sorted(taken) == sorted(orders)


async def test_no_more_effects_are_taken_than_the_limit(process: Process) -> None:
    for n in range(5):
        await process.owe("register", name=f"n{n}")
    assert [len(await process.take(limit=limit)) for limit in (0, 2, 2, 2)] == [0, 2, 2, 1]


async def test_a_quota_limits_the_effects_of_its_provider_and_no_others(process: Process) -> None:
    for n in range(6):
        await process.owe("register", name=f"n{n}")
        await process.owe("register", name=f"n{n}", provider="other")
        await process.owe(NOTIFY_LISTENER, name=f"entered{n}", entered_state="sent")
    limited = evolve(scope("toy", "other", notifiable=[("toy", "sent")]), quotas={("toy", ""): 2})
    for limit, expected in ((20, {"toy": 2, "other": 6, NOTIFY_LISTENER: 6}), (20, {"toy": 2}), (1, {"toy": 1})):
        effects = await process.take(scope=limited, limit=limit)
        taken = [effect.name if effect.name == NOTIFY_LISTENER else effect.provider for effect in effects]
        assert {name: taken.count(name) for name in taken} == expected


async def test_nothing_outside_a_workers_scope_is_taken_or_withheld_from_others(backend: Backend) -> None:
    here, there = await backend.open_process(), await backend.open_process()
    await here.owe("register", provider="connect")
    await here.owe(NOTIFY_LISTENER, name="b", entered_state="sent")
    for _ in range(3):
        assert await here.take(scope=scope("toy")) == []
        assert await here.take(scope=scope("toy", notifiable=[("toy", "paid"), ("connect", "sent")])) == []
    assert await there.take_names(scope=scope("toy", notifiable=[("toy", "sent")])) == [NOTIFY_LISTENER]
    assert await there.take_names(scope=scope("connect")) == ["register"]
    assert await there.take_names(scope=scope()) == []


async def test_the_effects_of_a_paused_provider_wait_and_its_notifications_come(backend: Backend) -> None:
    here, there = await backend.open_process(), await backend.open_process()
    await here.owe("register")
    await here.owe(NOTIFY_LISTENER, name="b", entered_state="sent")
    active = scope("toy", notifiable=[("toy", "sent")])
    paused = evolve(active, paused=frozenset({"toy"}))
    assert await here.take_names(scope=paused) == [NOTIFY_LISTENER]
    assert await here.take(scope=paused) == await there.take(NOW + 5, scope=paused) == []
    assert await there.take_names(NOW + 5, scope=active) == ["register"]


async def test_a_retry_comes_at_its_time(backend: Backend) -> None:
    process = await backend.open_process()
    start = time.time()
    order = await process.store.create(new_order(), "content")
    await process.store.commit(order.id, None, move("sent", effects=["register"], at=start))
    (effect,) = await process.take(start)
    at = time.time() + 0.4
    await process.retry(effect, at)
    while not (effects := await process.take(time.time())):
        assert time.time() < at + 3
        await asyncio.sleep(0.01)
    late = time.time() - at
    assert 0 <= late < 1, "before its time" if late < 0 else "long after its time"
    assert (effects[0].attempt, effects[0].previous_attempt_sent) == (2, False)


async def test_far_deadlines_are_not_read_when_something_is_due(backend: Backend) -> None:
    process = await backend.open_process()
    await process.owe("register")
    await backend.put_deadlines(100_000, at=NOW + 1e6)
    async with backend.count_deadlines_read(process.store) as count:
        assert await process.store.due_deadlines(NOW, SCOPE, 10) == []
        assert await process.take_names() == ["register"]
        assert await process.store.lease_polls(NOW, SCOPE, 10) == []
        assert await process.store.next_due(SCOPE) == NOW + LEASE
    assert count[0] < 1000


# ── what does not come ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_commit_that_is_rolled_back_owes_nothing(process: Process, backend: Backend) -> None:
    order = await process.store.create(new_order(), "content")
    await process.store.commit(order.id, None, move("sent"))
    lost = move("lost", effects=["register"], at=NOW)

    def write_version_1_again(order: object) -> object:  # its journal row is there already
        commit = lost(evolve(order, snapshot=evolve(order.snapshot, version=0)))  # type: ignore[type-var, attr-defined]
        return evolve(commit, decision=evolve(commit.decision, snapshot=evolve(commit.decision.snapshot, version=1)))

    with pytest.raises(OperationalError):
        await process.store.commit(order.id, None, write_version_1_again)  # type: ignore[arg-type]
    assert await process.take() == await process.take(LATER) == []
    assert await backend.jobs() == []


async def test_after_a_lost_race_the_effects_of_the_second_decision_are_owed(backend: Backend) -> None:
    here, there = await backend.open_process(), await backend.open_process()
    orders = [await here.store.create(new_order(f"n{n}"), "content") for n in range(10)]
    racers = (here.store, ["a"]), (there.store, ["b", "c"])
    commits = [store.commit(order.id, None, move("sent", effects=effects)) for order in orders for store, effects in racers]
    await asyncio.gather(*commits)
    assert len(await backend.jobs()) in {0, 30}  # 0: this dispatcher has no jobs
    assert await here.take_names(limit=50) == ["a"] * 10 + ["b"] * 10 + ["c"] * 10


async def test_an_event_that_comes_twice_owes_its_effects_once(process: Process, backend: Backend) -> None:
    order = await process.store.create(new_order(), "content")
    receipts = [await process.store.commit(order.id, InboxKey("command", "k"), move("sent", effects=["register"])) for _ in range(2)]
    assert [type(receipt.decision) for receipt in receipts] == [Applied, Ignored]
    assert len(await backend.jobs()) <= 1
    assert await process.take_names() == ["register"]
    assert await process.take() == []


async def test_an_event_that_is_not_applied_owes_nothing(process: Process, backend: Backend) -> None:
    order = await process.store.create(new_order(), "content")
    await process.store.commit(order.id, None, stay())
    assert await process.take(LATER) == []
    assert await backend.jobs() == []


async def test_a_finished_effect_never_comes_again(process: Process, backend: Backend) -> None:
    await process.owe("register")
    for effect in await process.take():
        await process.finish(effect)
    assert await process.take() == await process.take(LATER) == []
    assert await backend.jobs() == []


async def test_a_cancelled_effect_never_comes(process: Process, backend: Backend) -> None:
    order_id = await process.owe("register")
    await process.store.commit(order_id, None, move("lost", cancel_effects=True))
    assert await process.take() == await process.take(LATER) == []
    assert await backend.jobs() == []


# ── a worker is lost ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_effect_of_a_lost_worker_is_taken_over_when_its_lease_ends_and_not_before(backend: Backend) -> None:
    lost, other = await backend.open_process(), await backend.open_process()
    await lost.owe("register")
    await lost.take()
    assert await other.take(NOW + LEASE - 1) == []
    (effect,) = await other.take(LATER)
    assert (effect.attempt, effect.previous_attempt_sent) == (2, False)
    await other.finish(effect)
    assert await other.take(LATER + LEASE) == []


async def test_a_result_that_two_workers_report_is_applied_once(backend: Backend) -> None:
    lost, other = await backend.open_process(), await backend.open_process()
    order = await lost.flow.create("toy", key="k")
    await lost.flow.send(order.id, "order_it")
    slow = await lost.lease()
    other.clock.advance(LEASE + 5)
    taken_over = await other.lease()
    assert slow.effect.key == taken_over.effect.key
    await other.outbox.run(taken_over)
    await lost.outbox.run(slow)  # its result is late, and is decided all the same
    assert [row.event for row in await lost.flow.journal(order.id)] == ["order_it", "prepared"]
    other.clock.advance(LEASE + 5)
    assert (await other.lease()).effect.name == "place"


async def test_a_once_effect_of_a_lost_worker_is_reported_in_doubt_and_not_called(backend: Backend) -> None:
    lost, other = await backend.open_process(), await backend.open_process()
    order = await lost.flow.create("toy", key="k")
    await lost.flow.send(order.id, "order_it")
    await lost.outbox.run(await lost.lease())
    placing = await lost.lease()
    assert await lost.store.mark_sending(placing.effect, lost.clock.now())
    other.clock.advance(LEASE + 5)
    taken_over = await other.lease()
    await other.outbox.run(taken_over)
    assert (taken_over.effect.key, other.toy.count_calls("place")) == (placing.effect.key, 0)
    assert (await other.flow.order(order.id)).state == "in_doubt"


# ── a whole run ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_worker_that_has_stopped_leaves_nothing_leased_and_no_job(backend: Backend) -> None:
    toy = Toy(timing=evolve(FAST, retry_first=0.05, retry_attempts=20))  # on a slow machine one order may meet several failures
    toy.answer("make_ready", *(NotExecuted("busy") for _ in range(10)))
    keys: set[str] = set()
    all_notified = asyncio.Event()

    async def collect(entered: StateEntered) -> None:
        keys.add(entered.key)
        if len(keys) == 30:
            all_notified.set()

    async with Orderflow(backend.url, [toy], worker=True, dispatch=backend.dispatch, fetch_interval=0.2) as flow:
        flow.on_entered("toy", "placed", collect)
        for n in range(30):
            order = await flow.create("toy", key=f"k{n}")
            await flow.send(order.id, "order_it")
        async with asyncio.timeout(60):
            await all_notified.wait()
    assert (toy.count_calls("make_ready"), toy.count_calls("place")) == (40, 30)
    process = await backend.open_process()
    everything = scope("toy", notifiable=[("toy", "placed")])
    assert await process.store.lease_effects(time.time() + 1e6, everything, 1) == []
    assert await backend.jobs() == []
