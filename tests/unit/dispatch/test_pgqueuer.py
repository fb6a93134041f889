"""pgqueuer: that jobs are only pointers, may be lost at any moment, and come and go with the rows that they point at."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

import asyncpg
import pytest
from attrs import evolve
from tests.kit.commits import LEASE, NOW, SCOPE, move, new_order, scope
from tests.kit.dispatchers import Line, Process
from tests.kit.toy import FAST, Toy

from orderflow.app import Orderflow
from orderflow.cli.main import main
from orderflow.dispatch.pgqueuer import GRACE, SWEEP
from orderflow.dispatch.pgqueuer_tables import drop_dead
from orderflow.errors import ConfigurationError, OperationalError, SchemaError, UnknownName
from orderflow.model import NOTIFY_LISTENER
from orderflow.store.postgres.store import PostgresStore

pytestmark = pytest.mark.anyio
INSTALLED = version("pgqueuer")
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
    await process.owe(NOTIFY_LISTENER, name="b", entered_state="sent")
    await process.owe("register", name="c")
    await process.take(scope=evolve(SCOPE, paused=frozenset({"toy"})))
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
        await worker.wake.wait()
    assert await worker.names() == ["register"]


async def test_a_process_does_not_wake_itself(pgqueuer: Line) -> None:
    worker, other = await pgqueuer.process(), await pgqueuer.process()
    await worker.take()
    await other.take()
    await worker.owe("register")
    async with asyncio.timeout(5):
        await other.wake.wait()
    await asyncio.sleep(0.2)  # what does not come cannot be awaited
    assert not worker.wake.is_set()


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
        await worker.wake.wait()


async def test_a_worker_that_hears_nothing_for_a_minute_is_woken(pgqueuer: Line) -> None:
    toy = Toy(timing=FAST)
    async with (
        Orderflow(pgqueuer.url, [toy], worker=True, dispatch="pgqueuer", fetch_interval=60.0),
        Orderflow(pgqueuer.url, [Toy(timing=FAST)], dispatch="pgqueuer") as caller,
    ):
        await asyncio.sleep(0.2)  # asleep: nothing is due
        order = await caller.create("toy", key="k")
        begun = time.monotonic()
        await caller.send(order.id, "order_it")
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


# ── its tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("waiting", [0, 700])
async def test_where_all_workers_are_local_the_table_stays_small(pgqueuer: Line, waiting: int) -> None:
    """Jobs that nobody takes are cleared away by who enqueues them; those of effects still owed, at the head of the walk, stay."""
    caller = await pgqueuer.process(works=False)
    kept = [await caller.owe(*["announce"] * 100, name=f"kept{n}") for n in range(waiting // 100)]
    most = 0
    for n in range(50):
        order = await caller.owe(*["register"] * 100, name=f"n{n}")
        await pgqueuer.sql("UPDATE of_effects SET owed = false WHERE order_id = $1", order)  # as a local worker ends them
        await caller.owe(name=f"m{n}")  # the round that follows has seen it
        most = max(most, (await pgqueuer.sql("SELECT count(*) FROM of_pgqueuer"))[0][0])
    assert most <= 1200 + 2 * waiting
    left = {key.partition(":")[0] for key in await pgqueuer.jobs()}
    assert left >= set(kept)
    assert await pgqueuer.sql("SELECT count(*) FROM of_pgqueuer WHERE dedupe_key LIKE 'toy-kept%'") == [(waiting,)]


async def test_what_is_due_much_later_waits_without_a_job_and_comes_all_the_same(pgqueuer: Line) -> None:
    process = await pgqueuer.process()
    await process.owe("register", "announce")
    soon, later = await process.take()
    await process.retry(soon, NOW + 3)
    await process.retry(later, NOW + 300)
    assert await process.take(NOW + 2) == []
    assert await pgqueuer.jobs() == [f"{soon.key}:1"]
    assert later.name in await process.names(NOW + 300 + GRACE + SWEEP)


async def test_taking_does_not_slow_down_with_100_000_waiting_jobs(pgqueuer: Line) -> None:
    process = await pgqueuer.process()
    for n in range(8):
        await process.owe("register", name=f"n{n}")
        assert len(await process.take()) == 1
    backlog = (
        "INSERT INTO of_pgqueuer (priority, entrypoint, payload, status, created, execute_after, dedupe_key)"
        " SELECT 0, 'toy', convert_to('toy-x' || n || ':1:0', 'UTF8'), 'queued', now(), now(), 'toy-x' || n || ':1:0:0'"
        " FROM generate_series(1, 100000) n"
    )
    await pgqueuer.sql(backlog)
    await pgqueuer.sql("ANALYZE of_pgqueuer")  # as autovacuum does
    before = await _looked_at(process, "of_pgqueuer")
    await process.take(limit=32)
    assert len(process.dispatcher._refused) == 32  # their rows are not there: dropped with the next look
    assert 32 <= await _looked_at(process, "of_pgqueuer") - before < 1000


async def _looked_at(process: Process, table: str) -> int:
    """How many of a table's rows or index entries were ever looked at."""
    await process.store.pool.fetch("SELECT pg_stat_force_next_flush()")
    found = await process.store.pool.fetch(
        "SELECT t.seq_tup_read + sum(i.idx_tup_read)::int FROM pg_stat_user_tables t JOIN pg_stat_user_indexes i USING (relid)"
        " WHERE t.relname = $1 AND t.schemaname = current_schema() GROUP BY t.seq_tup_read",
        table,
    )
    return int(found[0][0])


async def test_clearing_away_looks_at_no_more_than_its_page(pgqueuer: Line) -> None:
    process = await pgqueuer.process()
    await pgqueuer.sql(
        "INSERT INTO of_effects (order_id, version, n, name, provider, owed, run_at)"
        " SELECT 'toy-' || n, 1, 0, 'call', 'toy', n % 2 = 0, 0 FROM generate_series(1, 10000) n"
    )
    await pgqueuer.sql(
        "INSERT INTO of_pgqueuer (priority, entrypoint, payload, status, dedupe_key)"
        " SELECT 0, 'toy', convert_to('toy-' || n || ':1:0', 'UTF8'), 'queued', 'toy-' || n || ':1:0:0' FROM generate_series(1, 10000) n"
    )
    at, walked = 0, []
    before = [await _looked_at(process, table) for table in ("of_effects", "of_pgqueuer")]
    while not walked or at:
        at, gone = await process.store.pool.run(lambda session, at=at: drop_dead(session, at, 1000))
        walked.append(gone)
    assert walked == [*[500] * 10, 0]
    after = [await _looked_at(process, table) for table in ("of_effects", "of_pgqueuer")]
    assert [now < then + 50_000 for now, then in zip(after, before, strict=True)] == [True, True]
    assert await pgqueuer.sql("SELECT count(*) FROM of_pgqueuer") == [(5000,)]


FOREIGN = [("\\xff00", None), ("\\xff3a313a30", "not:ours"), ("\\x613a313a30", f"a:{10**12}:0:0")]


async def test_clearing_away_passes_jobs_that_are_not_ours(pgqueuer: Line) -> None:
    """Somebody's own, whose payload may be anything: they stay, and what is behind them goes."""
    process = await pgqueuer.process(works=False)
    columns, values = "priority, entrypoint, payload, status, dedupe_key", "0, 'theirs', $1::text::bytea, 'queued', $2"
    for payload, key in FOREIGN:
        await pgqueuer.sql(f"INSERT INTO of_pgqueuer ({columns}) VALUES ({values})", payload, key)
    order = await process.owe("register")
    await pgqueuer.sql("UPDATE of_effects SET owed = false WHERE order_id = $1", order)
    assert await process.store.pool.run(lambda session: drop_dead(session, 0, 1000)) == (0, 1)
    assert await pgqueuer.jobs() == [key for _, key in FOREIGN]


async def _as_made_by(pgqueuer: Line, release: str, *changes: str) -> None:
    """Tables as another pgqueuer left them behind."""
    opened = await pgqueuer.process(works=False)
    await opened.owe("register")
    for change in (*changes, f"COMMENT ON TABLE of_pgqueuer IS '{release}'"):
        await pgqueuer.sql(change)


OLDER = (
    "DROP INDEX of_pgqueuer_ep_prio_id_idx",
    "ALTER TABLE of_pgqueuer DROP COLUMN slot",
    "ALTER TABLE of_pgqueuer ENABLE TRIGGER of_tg_pgqueuer_changed",
)
LIKE_NEW = (
    "SELECT (SELECT count(*) FROM pg_indexes WHERE tablename = 'of_pgqueuer' AND schemaname = current_schema()),"
    " (SELECT count(*) FROM information_schema.columns WHERE table_name = 'of_pgqueuer' AND table_schema = current_schema()),"
    " (SELECT tgenabled FROM pg_trigger WHERE tgrelid = 'of_pgqueuer'::regclass AND tgname = 'of_tg_pgqueuer_changed'),"
    " obj_description('of_pgqueuer'::regclass, 'pg_class')"
)


@pytest.mark.parametrize("by", ["a process that opens", "orderflow db upgrade"])
async def test_tables_of_an_older_pgqueuer_are_brought_up_to_date(pgqueuer: Line, by: str, capsys: pytest.CaptureFixture[str]) -> None:
    await (await pgqueuer.process(works=False)).store.close()
    new = await pgqueuer.sql(LIKE_NEW)
    await _as_made_by(pgqueuer, "1.5.9", *OLDER)
    assert await pgqueuer.sql(LIKE_NEW) != new
    if by == "orderflow db upgrade":
        assert await asyncio.to_thread(main, ["db", "upgrade", "--db", pgqueuer.url, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["now"] >= 2
        assert await pgqueuer.sql(LIKE_NEW) == new
    processes = await asyncio.gather(*(pgqueuer.process() for _ in range(3)))
    assert await pgqueuer.sql(LIKE_NEW) == new
    assert [name for process in processes for name in await process.names()] == ["register"]


async def test_db_upgrade_makes_no_queue_where_there_is_none(postgres_url: str) -> None:
    assert await asyncio.to_thread(main, ["db", "upgrade", "--db", postgres_url]) == 0
    connection = await asyncpg.connect(postgres_url)
    try:
        assert await connection.fetchval("SELECT to_regclass('of_orders') IS NOT NULL AND to_regclass('of_pgqueuer') IS NULL")
    finally:
        await connection.close()


async def test_tables_of_a_newer_pgqueuer_are_refused_unless_they_are_the_same(pgqueuer: Line) -> None:
    await _as_made_by(pgqueuer, "99.0.1")
    await pgqueuer.process(works=False)
    await _as_made_by(pgqueuer, "99.0.1", *OLDER)
    with pytest.raises(SchemaError, match=r"of pgqueuer 99\.0\.1.*pip install 'pgqueuer>=99\.0\.1'"):
        await pgqueuer.process(works=False)
    assert (await pgqueuer.sql(LIKE_NEW))[0][3] == "99.0.1"


async def test_tables_of_a_candidate_are_brought_up_to_date_by_its_final_release(pgqueuer: Line) -> None:
    await _as_made_by(pgqueuer, f"{INSTALLED}rc1", *OLDER)
    await pgqueuer.process(works=False)
    assert (await pgqueuer.sql(LIKE_NEW))[0][3] == INSTALLED


async def test_what_is_said_of_something_else_with_the_same_number_is_not_said_of_the_queue(pgqueuer: Line) -> None:
    await pgqueuer.process(works=False)
    other = "classoid = 'pg_proc'::regclass AND objoid = 'of_pgqueuer'::regclass"
    await pgqueuer.sql("INSERT INTO pg_description VALUES ('of_pgqueuer'::regclass, 'pg_proc'::regclass, 0, '99.0.1')")
    try:
        await pgqueuer.sql("ALTER TABLE of_pgqueuer DROP COLUMN slot")
        await pgqueuer.process(works=False)  # nothing to do: the queue says that it is of the pgqueuer that is installed
        assert await pgqueuer.sql("SELECT 1 FROM pg_attribute WHERE attrelid = 'of_pgqueuer'::regclass AND attname = 'slot'") == []
    finally:
        await pgqueuer.sql(f"DELETE FROM pg_description WHERE {other}")


async def test_tables_that_cannot_be_converted_are_said_to_be_with_the_command_that_helps(pgqueuer: Line) -> None:
    await _as_made_by(pgqueuer, "0.1", "DROP INDEX of_pgqueuer_priority_id_id1_idx", "ALTER TABLE of_pgqueuer ALTER priority TYPE text")
    with pytest.raises(SchemaError, match="PGQUEUER_PREFIX=of_ pgq uninstall") as raised:
        await pgqueuer.process(works=False)
    assert "priority" in str(raised.value)
    environment = {**os.environ, "PGQUEUER_PREFIX": "of_", "PGDSN": pgqueuer.url}
    pgq = Path(sys.executable).with_name("pgq")
    removing = await asyncio.create_subprocess_exec(pgq, "uninstall", env=environment, stderr=asyncio.subprocess.DEVNULL)
    assert await removing.wait() == 0
    process = await pgqueuer.process()
    assert await process.names(SWEPT) == ["register"]


def test_it_needs_postgresql() -> None:
    with pytest.raises(ConfigurationError, match="postgresql://"):
        Orderflow("sqlite:///orders.db", [Toy()], dispatch="pgqueuer")


def test_an_unknown_dispatcher_is_named() -> None:
    with pytest.raises(UnknownName, match="local, pgqueuer"):
        Orderflow("sqlite:///orders.db", [Toy()], dispatch="celery")
