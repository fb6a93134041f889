"""A process notices that the database lacks its last commits, takes no prune for a restore, and costs one look a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
from attrs import define, evolve, field
from structlog.testing import capture_logs
from tests.kit.toy import FAST, START, Bench, Toy, open_bench

from orderflow._app import Orderflow
from orderflow._engine.attempt import LeaveLeased
from orderflow._engine.recent_commits import _MOST, RecentCommits
from orderflow._store.records import PRUNED, RESTORED, KeptCommits
from orderflow.errors import OperationalError
from orderflow.model import Order
from orderflow.simulators import SimClock

pytestmark = pytest.mark.anyio


@define
class Kept:
    """A store that has these versions and times."""

    versions: dict[str, int] = field(factory=dict)
    maintenance: dict[str, float] = field(factory=dict)
    is_away: bool = False
    asked: list[Sequence[str]] = field(factory=list)

    async def find_kept(self, order_ids: Sequence[str]) -> KeptCommits:
        self.asked.append(order_ids)
        if self.is_away:
            raise OperationalError("away")
        return KeptCommits({name: self.versions[name] for name in order_ids if name in self.versions}, self.maintenance)


@define
class Memory:
    store: Kept
    clock: SimClock
    commits: RecentCommits


@pytest.fixture
async def memory() -> Memory:
    """A process that has committed version 3 of one order, and has looked once before."""
    store: Any = Kept({"toy-a": 3})
    clock = SimClock(start=START, manual=True)
    commits = RecentCommits(store=store, clock=clock)
    await commits.look()
    commits.add("toy-a", 3, START)
    return Memory(store, clock, commits)


async def test_what_is_there_is_no_loss(memory: Memory) -> None:
    await memory.commits.look()
    memory.store.versions["toy-a"] = 7  # another process, or a redaction, went on
    await memory.commits.look()
    assert not memory.commits.restored


async def test_a_version_that_went_back_is_reported_once(memory: Memory) -> None:
    memory.store.versions["toy-a"] = 2
    structlog.reset_defaults()
    with capture_logs() as logs:
        await memory.commits.look()
        await memory.commits.look()
    assert memory.commits.restored
    assert [(log["event"], log["order_id"]) for log in logs] == [("database.lacks_commits", "toy-a")]
    assert "orderflow db restored" in logs[0]["remedy"]


async def test_an_order_that_is_gone_is_a_loss_unless_it_was_pruned(memory: Memory) -> None:
    """Another process prunes: what it deletes had not moved since."""
    del memory.store.versions["toy-a"]
    memory.store.maintenance = {PRUNED: START + 1}
    await memory.commits.look()
    assert not memory.commits.restored
    memory.store.maintenance = {PRUNED: START}
    await memory.commits.look()
    assert memory.commits.restored


async def test_a_restore_that_is_declared_ends_it(memory: Memory) -> None:
    memory.store.versions["toy-a"] = 2
    await memory.commits.look()
    memory.store.maintenance = {RESTORED: START + 5}
    await memory.commits.look()
    assert not memory.commits.restored
    await memory.commits.look()
    assert not memory.commits.restored
    memory.commits.add("toy-a", 3, START)  # and the next loss is noticed
    await memory.commits.look()
    assert memory.commits.restored


async def test_a_restore_that_is_declared_before_the_look_is_no_loss(memory: Memory) -> None:
    memory.store.versions["toy-a"] = 2
    memory.store.maintenance = {RESTORED: START + 5}
    await memory.commits.look()
    assert not memory.commits.restored


async def test_a_restore_that_was_declared_before_the_backup_says_nothing(memory: Memory) -> None:
    memory.store.maintenance = {RESTORED: START + 5}
    await memory.commits.look()
    memory.commits.add("toy-a", 3, START)
    memory.store.versions["toy-a"] = 2
    for declared_at in (START + 5, START + 4):
        memory.store.maintenance = {RESTORED: declared_at}
        await memory.commits.look()
        assert memory.commits.restored


async def test_it_looks_at_most_once_an_interval_and_only_where_it_remembers_something() -> None:
    store: Any = Kept()
    clock = SimClock(start=START, manual=True)
    commits = RecentCommits(store=store, clock=clock)
    for _ in range(3):
        clock.advance(1)
        await commits.look(1.0)
    assert store.asked == [[]]  # the first asks when a restore was declared
    commits.add("toy-a", 1, START)
    store.versions = {"toy-a": 1}
    for _ in range(3):
        await commits.look(1.0)
    assert len(store.asked) == 1
    clock.advance(1)
    for _ in range(3):
        await commits.look(1.0)
    assert len(store.asked) == 2
    commits.look_again()
    await commits.look(1.0)
    assert len(store.asked) == 3


async def test_a_look_that_fails_is_made_again(memory: Memory) -> None:
    memory.store.is_away = True
    memory.clock.advance(1)
    with pytest.raises(OperationalError):
        await memory.commits.look(1.0)
    memory.store.is_away, memory.store.versions = False, {"toy-a": 2}
    await memory.commits.look(1.0)
    assert memory.commits.restored


async def test_it_remembers_the_last_orders_only(memory: Memory) -> None:
    for n in range(_MOST - 1):
        memory.commits.add(f"toy-{n}", 1, START)
    memory.commits.add("toy-a", 3, START)
    memory.commits.add("toy-new", 1, START)
    await memory.commits.look()
    assert len(memory.store.asked[-1]) == _MOST
    assert "toy-a" in memory.store.asked[-1]
    assert "toy-0" not in memory.store.asked[-1]


async def test_what_is_forgotten_is_not_missed(memory: Memory) -> None:
    memory.store.versions["toy-a"] = 2
    await memory.commits.look()
    memory.commits.forget()
    await memory.commits.look()
    assert not memory.commits.restored


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(tmp_path) as opened:
        yield opened


async def test_a_call_for_an_order_that_went_back_is_not_made(bench: Bench) -> None:
    """The look of a moment ago saw nothing yet: the order as it is loaded for the call does."""
    order = await bench.create(state="sending")
    attempt = await bench.lease()
    await bench.engine.recent_commits.look()
    bench.engine.recent_commits.add(order.id, order.version + 1, START)
    assert isinstance(await bench.engine.outbox._carry_out(attempt), LeaveLeased)
    assert bench.engine.recent_commits.restored
    assert bench.toy.count_calls("place") == 0


async def test_a_call_begins_behind_a_look(bench: Bench) -> None:
    """A fetch may have waited for a database that came back as another one."""
    await bench.create(state="sending")
    attempt = await bench.lease()
    bench.engine.recent_commits.add("toy-lost", 1, START)
    bench.clock.advance(2)
    await bench.engine.outbox.run(attempt)
    assert bench.engine.recent_commits.restored
    assert bench.toy.count_calls("place") == 0


async def test_creating_and_every_decision_that_moves_an_order_are_remembered(bench: Bench) -> None:
    order = await bench.engine.commands.create(bench.toy, "k", {})
    commits = bench.engine.recent_commits
    assert not commits.contradict(order, commits.version_of(order.id))
    await bench.engine.commands.send(order.id, "order_it", {})
    now = await bench.store.load(order.id)
    assert not commits.contradict(now, commits.version_of(order.id))
    assert commits.contradict(order, commits.version_of(order.id))  # as it was before
    commits.forget()
    assert not commits.contradict(evolve(order), commits.version_of(order.id))


async def test_a_commit_of_this_process_while_the_order_is_loaded_is_no_restore(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.create(state="sending")
    attempt = await bench.lease()
    load = bench.store.load

    async def load_and_be_overtaken(order_id: str) -> Order:
        loaded = await load(order_id)
        bench.engine.recent_commits.add(order_id, loaded.version + 1, START)
        return loaded

    monkeypatch.setattr(bench.store, "load", load_and_be_overtaken)
    await bench.engine.outbox.run(attempt)
    assert not bench.engine.recent_commits.restored
    assert bench.toy.count_calls("place") == 1


async def test_a_worker_that_recognised_it_fetches_nothing(tmp_path: Path) -> None:
    toy = Toy(timing=FAST)
    async with Orderflow(f"sqlite:///{tmp_path / 'orders.db'}", [toy], worker=True, fetch_interval=0.02) as flow:
        order = await flow.create("toy", key="k")
        await flow.send(order.id, "order_it")
        await flow.wait(order.id, "placed", 60)
        flow._engine.recent_commits.restored = True
        await asyncio.sleep(0.3)  # what was begun may end
        count = len(toy.polls)
        await asyncio.sleep(0.7)
        assert len(toy.polls) == count  # FAST polls ten times a second
        assert flow.health is not None
        assert flow.health.restored
