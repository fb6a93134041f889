"""pgqueuer: that jobs are only pointers, may be lost at any moment, and come and go with the rows that they point at."""

from __future__ import annotations

import asyncio
import os
import sys
import time

import pytest
from attrs import evolve

from dispatch.lines import Line
from engine.toy import FAST, Toy
from orderflow.app import Orderflow
from orderflow.dispatch.pgqueuer import GRACE, SWEEP
from orderflow.errors import ConfigurationError, OperationalError, UnknownName
from orderflow.records import TELL_HOST
from orderflow.store.postgres import PostgresStore
from store.build import LEASE, NOW, SCOPE, move, new_order, scope

pytestmark = pytest.mark.anyio
SWEPT = NOW + GRACE + SWEEP  # by then a row that is due since NOW has got a job again


async def test_a_job_comes_with_the_commit_that_owes_its_effect(pgqueuer: Line) -> None:
    process = await pgqueuer.process(works=False)
    order = await process.owe("register", "announce")
    assert await pgqueuer.jobs() == [f"{order}:1:0:0", f"{order}:1:1:0"]
    assert (await pgqueuer.sql("SELECT DISTINCT status::text, queue_manager_id FROM of_pgqueuer")) == [("queued", None)]


async def test_a_commit_that_cannot_enqueue_is_rolled_back_whole(pgqueuer: Line) -> None:
    process = await pgqueuer.process()
    order = await process.store.create(new_order(), "content")
    await pgqueuer.sql("ALTER TABLE of_pgqueuer RENAME TO elsewhere")
    with pytest.raises(OperationalError):
        await process.store.commit(order.id, None, move("sent", effects=["register"]))
    await pgqueuer.sql("ALTER TABLE elsewhere RENAME TO of_pgqueuer")
    assert (await process.store.load(order.id)).state == "drafted"
    assert await process.take(SWEPT) == []
    await process.store.commit(order.id, None, move("sent", effects=["register"]))
    assert await process.names(SWEPT) == ["register"]


async def test_lost_jobs_are_found_again_by_the_sweep_once(pgqueuer: Line) -> None:
    one, other = await pgqueuer.process(), await pgqueuer.process()
    orders = [await one.owe("register", name=f"n{n}") for n in range(3)]
    await pgqueuer.sql("TRUNCATE of_pgqueuer")  # as a crash of the server does to an unlogged table
    assert await one.take() == []
    found = await asyncio.gather(one.take(SWEPT), other.take(SWEPT))
    again = [effect.key.order_id for share in (*found, await one.take(SWEPT)) for effect in share]
    assert sorted(again) == orders


async def test_a_job_that_waits_gets_no_second_one(pgqueuer: Line) -> None:
    process = await pgqueuer.process()
    for n in range(3):
        await process.owe("register", name=f"n{n}")
    taken = [len(await process.take(at, limit=1)) for at in (NOW, SWEPT, SWEPT + SWEEP)]
    assert (taken, len(await pgqueuer.jobs())) == ([1, 1, 1], 3)


async def test_what_a_process_without_pgqueuer_owes_comes_by_the_sweep(pgqueuer: Line) -> None:
    worker = await pgqueuer.process()
    store = PostgresStore(pgqueuer.url)
    await store.open()
    try:
        order = await store.create(new_order(), "content")
        await store.commit(order.id, None, move("sent", effects=["register"]))
    finally:
        await store.close()
    assert await worker.take() == []
    assert await worker.names(SWEPT) == ["register"]


async def test_a_job_picked_by_a_worker_that_died_before_its_lease_is_picked_again(pgqueuer: Line) -> None:
    worker = await pgqueuer.process()
    await worker.owe("register")
    await pgqueuer.sql("UPDATE of_pgqueuer SET status = 'picked', heartbeat = now() - $1::float8 * interval '1 s'", LEASE - 1)
    assert await worker.take(SWEPT) == []
    await pgqueuer.sql("UPDATE of_pgqueuer SET heartbeat = now() - $1::float8 * interval '1 s'", LEASE + GRACE)
    assert await worker.names(SWEPT) == ["register"]


async def test_a_row_that_is_due_a_moment_after_its_job_keeps_it(pgqueuer: Line) -> None:
    worker = await pgqueuer.process()
    await worker.owe("register")
    await pgqueuer.sql("UPDATE of_effects SET run_at = $1", NOW + 0.2)
    assert await worker.take() == []
    assert await worker.names(NOW + 0.2) == ["register"]


async def test_a_job_picked_as_the_database_failed_is_leased_with_the_next_look(pgqueuer: Line) -> None:
    worker = await pgqueuer.process()
    assert await worker.take() == []
    await worker.owe("register")
    await pgqueuer.sql("ALTER TABLE of_effects RENAME TO elsewhere")
    with pytest.raises(OperationalError):
        await worker.take()
    await pgqueuer.sql("ALTER TABLE elsewhere RENAME TO of_effects")
    assert await worker.names() == ["register"]


async def test_jobs_of_effects_that_others_finished_are_dropped(pgqueuer: Line) -> None:
    one, other = await pgqueuer.process(), await pgqueuer.process()
    await one.owe("register")
    for effect in await one.store.lease_effects(NOW, scope(), 10):
        await one.store.finish_effect(effect)
    assert await other.take() == []
    await other.dispatcher.close()
    assert await pgqueuer.jobs() == []


async def test_jobs_queue_by_what_it_takes_to_do_them(pgqueuer: Line) -> None:
    process = await pgqueuer.process()
    await process.owe("register", provider="connect")
    await process.owe(TELL_HOST, name="b", about="sent")
    await process.owe("register", name="c")
    await process.take(scope=evolve(SCOPE, silent=frozenset({"toy"})))
    queued = await pgqueuer.sql("SELECT entrypoint, updated = created FROM of_pgqueuer WHERE status = 'queued' ORDER BY id")
    assert queued == [("connect", True), ("toy:sent", True), ("toy", True)]


async def test_processes_that_open_side_by_side_install_once(pgqueuer: Line) -> None:
    processes = await asyncio.gather(*(pgqueuer.process() for _ in range(4)))
    await processes[0].owe("register")
    assert [name for process in processes for name in await process.names()] == ["register"]


OPEN = """
import asyncio, sys
from orderflow.app import Orderflow
async def main():
    async with Orderflow(sys.argv[1], [], dispatch="pgqueuer"):
        pass
asyncio.run(main())
"""


async def test_names_are_not_taken_from_the_environment(pgqueuer: Line) -> None:
    environment = {**os.environ, "PGQUEUER_PREFIX": "other_", "QUEUE_TABLE": "other", "PGQUEUER_DURABILITY": "durable"}
    opening = await asyncio.create_subprocess_exec(sys.executable, "-c", OPEN, pgqueuer.url, env=environment)
    assert await opening.wait() == 0
    process = await pgqueuer.process()
    await process.owe("register")
    assert await process.names() == ["register"]
    queues = "SELECT relname, relpersistence FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
    assert await pgqueuer.sql(f"{queues} AND relname ~ 'pgqueuer$|other'") == [("of_pgqueuer", b"u")]


async def test_another_process_is_woken_by_a_commit(pgqueuer: Line) -> None:
    caller, worker = await pgqueuer.process(works=False), await pgqueuer.process()
    assert await worker.take() == []  # listens from its first look on
    await caller.owe("register")
    async with asyncio.timeout(5):
        await worker.stirred.wait()
    assert await worker.names() == ["register"]


async def test_a_process_does_not_wake_itself(pgqueuer: Line) -> None:
    worker, other = await pgqueuer.process(), await pgqueuer.process()
    await worker.take()
    await other.take()
    await worker.owe("register")
    async with asyncio.timeout(5):
        await other.stirred.wait()
    await asyncio.sleep(0.2)  # what does not come cannot be awaited
    assert not worker.stirred.is_set()


async def test_a_worker_that_lost_its_listener_listens_again(pgqueuer: Line) -> None:
    caller, worker = await pgqueuer.process(works=False), await pgqueuer.process()
    await worker.take()
    channel = (await pgqueuer.sql("SELECT '%' || md5(current_schema()) || '%'"))[0][0]
    listeners = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND query LIKE $1"
    (lost,) = await pgqueuer.sql(listeners, channel)
    await pgqueuer.sql("SELECT pg_terminate_backend($1)", lost["pid"])
    at = NOW
    async with asyncio.timeout(10):
        while await pgqueuer.sql(listeners, channel) in ([lost], []):
            at += SWEEP
            await worker.take(at)
    await caller.owe("register")
    async with asyncio.timeout(5):
        await worker.stirred.wait()


async def test_a_worker_that_hears_nothing_for_a_minute_is_woken(pgqueuer: Line) -> None:
    toy = Toy(timing=FAST)
    async with (
        Orderflow(pgqueuer.url, [toy], work=True, dispatch="pgqueuer", poll=60.0),
        Orderflow(pgqueuer.url, [Toy(timing=FAST)], dispatch="pgqueuer") as caller,
    ):
        await asyncio.sleep(0.2)  # asleep: nothing is due
        order = await caller.create("toy", key="k")
        begun = time.monotonic()
        await caller.tell(order.id, "order_it")
        await caller.wait(order.id, "placed", timeout=10)
        assert time.monotonic() - begun < 5


async def test_its_log_stays_empty_and_no_transaction_of_ours_notifies(pgqueuer: Line) -> None:
    process = await pgqueuer.process()
    await process.owe("register")
    for effect in await process.take():
        await process.finish(effect)
    await process.take()
    assert await pgqueuer.sql("SELECT 1 FROM of_pgqueuer_log") == await pgqueuer.sql("SELECT 1 FROM of_pgqueuer") == []
    trigger = "SELECT tgenabled FROM pg_trigger WHERE tgname = 'of_tg_pgqueuer_changed' AND tgrelid = 'of_pgqueuer'::regclass"
    assert await pgqueuer.sql(trigger) == [(b"D",)]


def test_it_needs_postgresql() -> None:
    with pytest.raises(ConfigurationError, match="postgresql://"):
        Orderflow("sqlite:///orders.db", [Toy()], dispatch="pgqueuer")


def test_an_unknown_dispatcher_is_named() -> None:
    with pytest.raises(UnknownName, match="local, pgqueuer"):
        Orderflow("sqlite:///orders.db", [Toy()], dispatch="celery")
