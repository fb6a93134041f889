"""The contract of every dispatcher: what is owed comes to one worker, once, in time, whoever dies; what is not owed never comes."""

from __future__ import annotations

import asyncio
import time

import pytest
from attrs import evolve
from tests.kit.commits import LEASE, NOW, SCOPE, move, new_order, scope, stay
from tests.kit.dispatchers import Line, Process
from tests.kit.toy import FAST, Toy

from orderflow.app import Orderflow
from orderflow.errors import OperationalError
from orderflow.model import NOTIFY_LISTENER, Applied, Ignored, StateEntered
from orderflow.provider.outcomes import NotExecuted
from orderflow.store.records import InboxKey

pytestmark = pytest.mark.anyio
LATER = NOW + LEASE + 5  # when every lease taken at NOW has ended, and so has every grace


async def test_what_a_commit_owes_comes_to_one_worker(line: Line) -> None:
    one, other = await line.process(), await line.process()
    await one.owe("register", "announce")
    taken = [*await one.take(), *await other.take(), *await one.take()]
    assert sorted(effect.name for effect in taken) == ["announce", "register"]
    assert {(effect.attempt, effect.previous_attempt_unknown) for effect in taken} == {(1, False)}


async def test_what_a_process_owes_that_does_not_work_comes_all_the_same(line: Line) -> None:
    caller, worker = await line.process(works=False), await line.process()
    await caller.owe("register")
    assert await worker.names() == ["register"]


async def test_workers_side_by_side_share_what_is_owed(line: Line) -> None:
    caller, *workers = [await line.process() for _ in range(4)]
    orders = [await caller.owe("register", name=f"n{n}") for n in range(40)]
    taken: list[str] = []
    while len(taken) < len(orders):
        found = await asyncio.gather(*(worker.take(limit=4) for worker in workers))
        assert any(found)
        taken += [effect.key.order_id for share in found for effect in share]
    assert sorted(taken) == sorted(orders)


async def test_no_more_is_taken_than_asked(process: Process) -> None:
    for n in range(5):
        await process.owe("register", name=f"n{n}")
    assert [len(await process.take(limit=limit)) for limit in (0, 2, 2, 2)] == [0, 2, 2, 1]


async def test_of_a_provider_no_more_is_taken_than_its_room_and_of_the_others_no_less(process: Process) -> None:
    for n in range(6):
        await process.owe("register", name=f"n{n}")
        await process.owe("register", name=f"n{n}", provider="other")
        await process.owe(NOTIFY_LISTENER, name=f"told{n}", entered_state="sent")
    limited = evolve(scope("toy", "other", notifiable=[("toy", "sent")]), quotas={"toy": 2})
    for most, wanted in ((20, {"toy": 2, "other": 6, NOTIFY_LISTENER: 6}), (20, {"toy": 2}), (1, {"toy": 1})):
        found = await process.take(scope=limited, limit=most)
        taken = [effect.name if effect.name == NOTIFY_LISTENER else effect.provider for effect in found]
        assert {name: taken.count(name) for name in taken} == wanted


async def test_a_commit_that_is_rolled_back_owes_nothing(process: Process, line: Line) -> None:
    order = await process.store.create(new_order(), "content")
    await process.store.commit(order.id, None, move("sent"))
    twice = move("lost", effects=["register"], at=NOW)

    def impossible(found: object) -> object:  # a second journal row of the version that is there already
        commit = twice(evolve(found, snapshot=evolve(found.snapshot, version=0)))  # type: ignore[type-var, attr-defined]
        return evolve(commit, decision=evolve(commit.decision, snapshot=evolve(commit.decision.snapshot, version=1)))

    with pytest.raises(OperationalError):
        await process.store.commit(order.id, None, impossible)  # type: ignore[arg-type]
    assert await process.take() == await process.take(LATER) == []
    assert await line.jobs() == []


async def test_a_lost_race_owes_what_the_retry_owes(line: Line) -> None:
    one, other = await line.process(), await line.process()
    orders = [await one.store.create(new_order(f"n{n}"), "content") for n in range(10)]
    racers = (one.store, ["a"]), (other.store, ["b", "c"])
    racing = [store.commit(order.id, None, move("sent", effects=owed)) for order in orders for store, owed in racers]
    await asyncio.gather(*racing)
    assert len(await line.jobs()) in {0, 30}  # 0: there are none in this line
    assert await one.names(limit=50) == ["a"] * 10 + ["b"] * 10 + ["c"] * 10


async def test_an_event_heard_twice_owes_once(process: Process, line: Line) -> None:
    order = await process.store.create(new_order(), "content")
    judged = [await process.store.commit(order.id, InboxKey("command", "k"), move("sent", effects=["register"])) for _ in range(2)]
    assert [type(receipt.decision) for receipt in judged] == [Applied, Ignored]
    assert len(await line.jobs()) <= 1
    assert await process.names() == ["register"]
    assert await process.take() == []


async def test_what_is_not_applied_owes_nothing(process: Process, line: Line) -> None:
    order = await process.store.create(new_order(), "content")
    await process.store.commit(order.id, None, stay())
    assert await process.take(LATER) == []
    assert await line.jobs() == []


async def test_what_ended_never_comes_again(process: Process, line: Line) -> None:
    await process.owe("register")
    for effect in await process.take():
        await process.finish(effect)
    assert await process.take() == await process.take(LATER) == []
    assert await line.jobs() == []


async def test_a_lost_workers_effect_is_taken_over_when_its_lease_ends_and_not_before(line: Line) -> None:
    lost, other = await line.process(), await line.process()
    await lost.owe("register")
    await lost.take()
    assert await other.take(NOW + LEASE - 1) == []
    (effect,) = await other.take(LATER)
    assert (effect.attempt, effect.previous_attempt_unknown) == (2, True)
    await other.finish(effect)
    assert await other.take(LATER + LEASE) == []


async def test_a_retry_comes_at_its_time(line: Line) -> None:
    process = await line.process()
    begun = time.time()
    order = await process.store.create(new_order(), "content")
    await process.store.commit(order.id, None, move("sent", effects=["register"], at=begun))
    (effect,) = await process.take(begun)
    at = time.time() + 0.4
    await process.retry(effect, at)
    while not (found := await process.take(time.time())):
        assert time.time() < at + 3
        await asyncio.sleep(0.01)
    late = time.time() - at
    assert 0 <= late < 1, "before its time" if late < 0 else "long after its time"
    assert (found[0].attempt, found[0].previous_attempt_unknown) == (2, False)


async def test_nothing_outside_a_workers_scope_is_taken_and_nothing_is_kept_from_who_can(line: Line) -> None:
    one, other = await line.process(), await line.process()
    await one.owe("register", provider="connect")
    await one.owe(NOTIFY_LISTENER, name="b", entered_state="sent")
    for _ in range(3):
        assert await one.take(scope=scope("toy")) == []
        assert await one.take(scope=scope("toy", notifiable=[("toy", "paid"), ("connect", "sent")])) == []
    assert await other.names(scope=scope("toy", notifiable=[("toy", "sent")])) == [NOTIFY_LISTENER]
    assert await other.names(scope=scope("connect")) == ["register"]
    assert await other.names(scope=scope()) == []


async def test_a_silent_provider_is_not_called_and_its_host_is_told(line: Line) -> None:
    one, other = await line.process(), await line.process()
    await one.owe("register")
    await one.owe(NOTIFY_LISTENER, name="b", entered_state="sent")
    hearing = scope("toy", notifiable=[("toy", "sent")])
    paused = evolve(hearing, paused=frozenset({"toy"}))
    assert await one.names(scope=paused) == [NOTIFY_LISTENER]
    assert await one.take(scope=paused) == await other.take(NOW + 5, scope=paused) == []
    assert await other.names(NOW + 5, scope=hearing) == ["register"]


async def test_dropped_effects_never_come(process: Process, line: Line) -> None:
    identity = await process.owe("register")
    await process.store.commit(identity, None, move("lost", cancel_effects=True))
    assert await process.take() == await process.take(LATER) == []
    assert await line.jobs() == []


async def test_a_result_is_applied_once_though_two_workers_bring_it(line: Line) -> None:
    lost, other = await line.process(), await line.process()
    order = await lost.flow.create("toy", key="k")
    await lost.flow.send(order.id, "order_it")
    (slow,) = await lost.effects.due(10)
    other.clock.advance(LEASE + 5)
    (taken,) = await other.effects.due(10)
    assert slow.key == taken.key
    await other.effects.carry_out(taken)
    await lost.effects.carry_out(slow)  # what it brings is late, and is judged, not fenced
    assert [row.event for row in await lost.flow.journal(order.id)] == ["order_it", "prepared"]
    other.clock.advance(LEASE + 5)
    (placing,) = await other.effects.due(10)
    assert placing.name == "place"


async def test_a_once_effect_of_a_lost_worker_is_reported_lost_and_not_called(line: Line) -> None:
    lost, other = await line.process(), await line.process()
    order = await lost.flow.create("toy", key="k")
    await lost.flow.send(order.id, "order_it")
    (preparing,) = await lost.effects.due(10)
    await lost.effects.carry_out(preparing)
    (placing,) = await lost.effects.due(10)
    other.clock.advance(LEASE + 5)
    (taken,) = await other.effects.due(10)
    await other.effects.carry_out(taken)
    assert (taken.key, other.toy.called("place")) == (placing.key, 0)
    assert (await other.flow.order(order.id)).state == "in_doubt"


async def test_a_run_leaves_nothing_leased_and_no_job(line: Line) -> None:
    toy = Toy(timing=evolve(FAST, retry_first=0.05))
    toy.will("make_ready", *(NotExecuted("busy") for _ in range(10)))
    told: set[str] = set()
    all_told = asyncio.Event()

    async def tell(about: StateEntered) -> None:
        told.add(about.key)
        if len(told) == 30:
            all_told.set()

    async with Orderflow(line.url, [toy], worker=True, dispatch=line.dispatch, fetch_interval=0.2) as flow:
        flow.on_entered("toy", "placed", tell)
        for n in range(30):
            order = await flow.create("toy", key=f"k{n}")
            await flow.send(order.id, "order_it")
        async with asyncio.timeout(20):
            await all_told.wait()
    assert (toy.called("make_ready"), toy.called("place")) == (40, 30)
    process = await line.process()
    everything = scope("toy", notifiable=[("toy", "placed")])
    assert await process.store.lease_effects(time.time() + 1e6, everything, 1) == []
    assert await line.jobs() == []


async def test_far_deadlines_are_not_looked_at_when_something_is_due(line: Line) -> None:
    process = await line.process()
    await process.owe("register")
    await line.put_deadlines(100_000, at=NOW + 1e6)
    async with line.looking(process.store) as looked_at:
        assert await process.store.due_deadlines(NOW, SCOPE, 10) == []
        assert await process.names() == ["register"]
        assert await process.store.lease_polls(NOW, SCOPE, 10) == []
        assert await process.store.next_due(SCOPE) == NOW + LEASE
    assert looked_at[0] < 1000
